"""Runs under the fault shim, as a program of its own: every act of `keyd` and the vault, with the k-th operation on
the disk going wrong, k = 1 and on until a run is clean. Prints one line of JSON: runs, operations, and what was wrong.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from havenline.vocabulary import HavenlineError
from havenline_guard.keyd_wire import Budget
from havenline_guard.vault import Kept, Vault
from havenline_guard.vault_store import NAME, FolderStore
from tests.guard.keyd_rig import AMPLE, GRANTS, OBJECTS, Rig, bound, unlike_its_log, whole_log
from tests.guard.keyd_rig import told as read

FAIL, SHORT, CRASH, FULL = range(4)
CONTENT = b"a drawn triangle " * 9_000

shim = ctypes.CDLL(None)


class Told:
    """What was acknowledged, written where the shim does not look, so that a crash does not lose it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, what: str, **said: Any) -> None:
        os.write(self._descriptor, json.dumps({"what": what, **said}).encode() + b"\n")


def prepare(folder: Path) -> tuple[Rig, Vault, Kept]:
    rig = Rig(folder)
    rig.keys.set_budget("p1", AMPLE, by="lead", second="welfare")
    for name in OBJECTS[:4]:
        rig.keys.mint(name, kind="original", size=1)
    vault = Vault(FolderStore(folder / "store"), rig.keys)
    return rig, vault, vault.keep(CONTENT, kind="original")


def acts(rig: Rig, vault: Vault, kept: Kept, told: Told) -> list[Callable[[], None]]:
    def mint() -> None:
        told("mint", name=OBJECTS[10], key=rig.keys.mint(OBJECTS[10], kind="original", size=1)[0].hex())

    def look(name: str = OBJECTS[0]) -> None:
        token = rig.keys.grant(bound(name))
        told("grant", grant=GRANTS[token])
        rig.keys.open(token, bound(name))
        told("unwrap", grant=GRANTS[token])

    def see() -> None:
        token = rig.keys.grant(bound(kept.name))
        assert vault.open(kept, token, bound(kept.name)) == CONTENT
        told("unwrap", grant=GRANTS[token])

    def keep() -> None:
        made = vault.keep(CONTENT[::-1], kind="original")
        told("keep", name=made.name, sha256=made.sha256)

    def shred() -> None:
        vault.destroy(OBJECTS[1], rule="cleared", by="retention")
        told("shred", name=OBJECTS[1])

    def lower() -> None:
        rig.keys.set_budget("p1", Budget(9, 9, 9, 1 << 30, 99), by="lead")
        told("budget", per_hour=9)

    def hold() -> None:
        rig.keys.place_hold(OBJECTS[2], "h", by="lead")
        told("hold", name=OBJECTS[2])

    def sign() -> None:
        rig.keys.sign_checkpoint(0, [b"r" * 32])
        told("sign")

    def rotate() -> None:
        told("rotate", version=rig.keys.rotate(by="lead", second="senior"))
        while rig.state.rewrap_some():
            pass
        told("retired")

    return [mint, look, see, keep, shred, lower, hold, sign, rotate, look]


def run(folder: Path, descriptor: int, k: int, mode: int) -> None:
    """In a child: everything once with the k-th operation going wrong, and, unless that killed it, once more."""
    rig, vault, kept = prepare(folder)
    told = Told(descriptor)
    shim.fault_arm(str(folder).encode(), k, mode)
    for act in acts(rig, vault, kept, told):
        try:
            act()
        except HavenlineError:
            continue
    told("fired", count=shim.fault_fired(), seen=shim.fault_seen())
    shim.fault_disarm()
    look = acts(rig, vault, kept, told)[1]
    look()
    os._exit(0)


def wrong(folder: Path, told: list[dict[str, Any]], code: int) -> list[str]:
    """What does not hold although it was acknowledged, or holds although it was not written down."""
    rig = Rig(folder)
    vault = Vault(FolderStore(folder / "store"), rig.keys)
    done = {(act, body.get("grant")) for act, body in map(read, whole_log(rig.keys))}
    found = [] if code in (0, -9) else [f"the run ended with {code}"]
    for each in told:
        match each["what"]:
            case "mint":
                token = rig.keys.grant(bound(each["name"]))
                if rig.keys.open(token, bound(each["name"]))[0].hex() != each["key"]:
                    found.append("an acknowledged key is another")
            case "grant" | "unwrap" if (each["what"], each["grant"]) not in done:
                found.append(f"an acknowledged {each['what']} is not in the log")
            case "keep":
                kept = Kept(each["name"], "original", len(CONTENT), each["sha256"])
                token = rig.keys.grant(bound(kept.name))
                if vault.open(kept, token, bound(kept.name)) != CONTENT[::-1]:
                    found.append("kept content is not what was kept")
            case "shred" if each["name"] not in (folder / "erasures").read_text().split():
                found.append("a destroyed key is not in the ledger")
    found += unlike_its_log(rig)
    scrubbed = vault.scrub(filter(NAME.fullmatch, FolderStore(folder / "store").names()))
    found += [f"a torn object {name}" for name in scrubbed.damaged]
    while rig.state.rewrap_some():
        pass
    if len(rig.keys.status()["versions"]) != 1:  # type: ignore[arg-type]
        found.append("a rotation does not end")
    rig.state.close()
    return found


def main() -> None:
    base, (mode, k, step) = Path(sys.argv[1]), map(int, sys.argv[2:])
    found: list[str] = []
    runs = seen = 0
    while True:
        folder = Path(tempfile.mkdtemp(dir=base))
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                run(folder, writing, k, mode)
            finally:
                os._exit(1)
        os.close(writing)
        with os.fdopen(reading, "rb") as file:
            told = [json.loads(line) for line in file]
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        runs += 1
        found += [f"k = {k}: {each}" for each in wrong(folder, told, code)]
        fired = [each for each in told if each["what"] == "fired"]
        if fired and not fired[0]["count"]:
            seen = fired[0]["seen"]
            break
        k += step
    print(json.dumps({"runs": runs, "operations": seen, "wrong": found}))


if __name__ == "__main__":
    main()
