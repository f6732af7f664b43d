"""A whole process in namespaces of its own, by bubblewrap where it is installed and allowed: a second wall.

The processes that open hostile files close themselves off by themselves (`sandbox`). This puts the one that starts them
too where there is no network, no other process, and of the machine's files only what its program is read from.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import havenline

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
_IMPORTS = "import havenline_guard.decoderd"
_SECONDS = 60.0
_TOLD = 200


@dataclass(frozen=True, slots=True)
class Bubble:
    """What a command is started with, empty where it runs as it is; then `why` says what hinders."""

    before: tuple[str, ...]
    why: str = ""


def bubble(*, folder: Path) -> Bubble:
    """Try it once on this machine; takes about a second.

    Inside: the programs, read-only; an empty /tmp; to be written `folder` and the folder of compiled loops, which
    NUMBA_CACHE_DIR must name and which is left out where it is not there; no system user but this one; four variables
    of the environment. What is inside ends with bubblewrap itself, without being asked first. Not checked: whether
    somebody knows a way out of namespaces.
    """
    found = shutil.which("bwrap")
    if found is None:
        return Bubble((), "bubblewrap is not installed")
    if Path(found).stat().st_mode & stat.S_ISUID:
        # It would run as root first, and what is set-user-id does not end with who started it.
        return Bubble((), "bubblewrap is set-user-id here, so it is not used")
    before = (found, *_arguments(folder), "--")
    try:
        tried = subprocess.run(  # noqa: S603 - our own arguments
            [*before, sys.executable, "-c", _IMPORTS], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Bubble((), f"bubblewrap did not end within {_SECONDS:.0f} seconds")
    if tried.returncode:
        said = (tried.stderr.strip().splitlines() or [f"ended with {tried.returncode}"])[-1]
        return Bubble((), f"bubblewrap cannot be used here: {said[:_TOLD]}")
    return Bubble(before)


def _arguments(folder: Path) -> Iterator[str]:
    yield from ("--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv")
    loops = os.environ["NUMBA_CACHE_DIR"]
    for name, value in (("NUMBA_CACHE_DIR", loops), ("HOME", "/tmp"), ("PATH", "/usr/bin"), ("LANG", "C.UTF-8")):  # noqa: S108
        yield from ("--setenv", name, value)
    yield from ("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp")  # noqa: S108 - the one inside
    for path in _SYSTEM:
        if Path(path).is_symlink():
            yield from ("--symlink", str(Path(path).readlink()), path)
        elif Path(path).exists():
            yield from ("--ro-bind", path, path)
    for each in _programs():
        yield from ("--ro-bind", str(each), str(each))
    yield from ("--bind", str(folder), str(folder), "--bind-try", loops, loops)
    yield from ("--chdir", "/")


def _programs() -> Sequence[Path]:
    """The folders that Python and Havenline are read from, none within another."""
    own = Path(havenline.__file__).parents[1]
    named = {Path(sys.prefix), Path(sys.base_prefix), own, *(Path(each) for each in sys.path if each)}
    there = sorted(each for each in named if each.is_dir() and not each.is_relative_to("/usr"))
    return [each for each in there if not any(each != other and each.is_relative_to(other) for other in there)]
