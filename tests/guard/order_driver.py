"""Runs under the fault shim: keeps objects and prints, in order, what was done on the disk and each acknowledgement."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from havenline_guard.vault import Vault
from havenline_guard.vault_store import FolderStore
from tests.guard.keyd_rig import Rig


def main() -> None:
    folder = Path(sys.argv[1])
    vault = Vault(FolderStore(folder / "store"), Rig(folder).keys)
    shim = ctypes.CDLL(None)
    shim.fault_arm(str(folder).encode(), 0, 0)
    shim.fault_journal(1)
    for _ in range(20):
        kept = vault.keep(b"a drawn triangle " * 9_000, kind="original")
        os.write(1, f"acknowledged {kept.name}\n".encode())


if __name__ == "__main__":
    main()
