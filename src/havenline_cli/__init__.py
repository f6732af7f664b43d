"""The command line, above everything; each command imports what it needs when it runs."""

import os
from pathlib import Path

# Before anything imports numba: compiled loops are kept for this user alone, not beside the installed code.
os.environ.setdefault(
    "NUMBA_CACHE_DIR",
    str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "havenline" / "kernels"),
)
