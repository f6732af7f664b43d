"""`havenline doctor`: look at the machine, the data folder and the database, and say what to do."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from havenline.vocabulary import HavenlineError

from .desk import CommandError, HomeOption, JsonOption, home_of

if TYPE_CHECKING:
    from havenline_desk.sites.home import Home

GIB = 2**30
_OLD_ENOUGH = 3600.0
_LEFTOVERS = (
    ".kind-*",
    ".secret_key-*",
    "content/*.part",
    "postgresql/data.new-*",
    "postgresql/.p*.conf-*",
    "postgresql/.socket_folder-*",
)


class Verdict(StrEnum):
    """`warn` works but should be better; `fail` must not go into production."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: what was found, and, unless all is well, what to do."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


def doctor(
    home: HomeOption = None,
    demo: Annotated[bool, typer.Option("--demo", help="Examine the demonstration's data folder.")] = False,
    compile_first: Annotated[
        bool, typer.Option("--compile", help="First compile all kernels into the kernel cache.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check the machine, the data folder and the database's durability; say what to do.

    A stopped embedded database is started for the questions and stopped again.
    Exit code 0: nothing failed (there may be warnings). 1: something failed.
    """
    place = home_of(home, "demo" if demo else "desk")
    compiled = compile_kernels(kernel_cache(os.environ)) if compile_first else None
    checks = examine(place)
    failed = any(check.verdict is Verdict.FAIL for check in checks)
    if as_json:
        report = {"home": str(place.path), "ok": not failed, "checks": [asdict(check) for check in checks]}
        typer.echo(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        if compiled is not None:
            typer.echo(f"Kernels compiled or loaded in {compiled:.1f} s.")
        _print(checks)
    if failed:
        raise typer.Exit(1)


def examine(home: Home, *, environ: Mapping[str, str] | None = None, at: dt.datetime | None = None) -> list[Check]:
    """Look at everything and return one Check each, in reading order; never raises for what it finds.

    `environ` and `at` default to this process's environment and the present time. Not checked: the schema, the
    network, backups, and whether the disk honours fsync.
    """
    surroundings = os.environ if environ is None else environ
    now = dt.datetime.now(dt.UTC) if at is None else at
    return [
        check_python(sys.version_info[:2]),
        check_cores(len(os.sched_getaffinity(0))),
        check_memory(_read("/proc/meminfo")),
        check_processor(_read("/proc/cpuinfo")),
        check_swap(_read("/proc/swaps")),
        check_clock(now, made=_made(home.kind_file)),
        check_kernel_cache(kernel_cache(surroundings), uid=home.uid),
        check_sandbox(),
        check_bubblewrap(),
        *check_home(home),
        check_disk(shutil.disk_usage(_nearest(home.path)).free),
        *check_database(home, environ=surroundings),
        check_leftovers(home, at=now),
    ]


def check_python(version: tuple[int, int]) -> Check:
    """Judge the interpreter's (major, minor) version."""
    found = ".".join(map(str, version))
    if version >= (3, 11):
        return Check("Python", Verdict.OK, found)
    return Check("Python", Verdict.FAIL, found, "Havenline needs Python 3.11 or newer.")


def check_cores(cores: int) -> Check:
    """Judge the number of cores that this process may use."""
    if cores >= 2:
        return Check("processor cores", Verdict.OK, str(cores))
    return Check("processor cores", Verdict.WARN, str(cores), "Two cores or more keep the desk quick during an import.")


def check_memory(meminfo: str) -> Check:
    """Judge the machine's memory from the text of /proc/meminfo. Not checked: a smaller limit of a container."""
    found = re.search(r"^MemTotal:\s+(\d+) kB", meminfo, re.MULTILINE)
    if found is None:
        return Check("memory", Verdict.WARN, "unknown", "/proc/meminfo does not say; 2 GiB are needed.")
    gib = int(found[1]) * 1024 / GIB
    if gib >= 1.8:
        return Check("memory", Verdict.OK, f"{gib:.1f} GiB")
    return Check(
        "memory", Verdict.WARN, f"{gib:.1f} GiB", "Large pictures may be refused: give the machine 2 GiB or more."
    )


def check_processor(cpuinfo: str) -> Check:
    """Judge the vector instructions from the text of /proc/cpuinfo."""
    listed = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    features = set(listed[1].split()) if listed else set()
    useful = [
        (flag, word)
        for flag, word in (
            ("avx2", "AVX2"),
            ("avx512f", "AVX-512"),
            ("avx512_vpopcntdq", "AVX-512 VPOPCNTDQ"),
            ("asimd", "NEON"),
        )
        if flag in features
    ]
    if useful:
        return Check("processor features", Verdict.OK, ", ".join(word for _, word in useful))
    return Check(
        "processor features", Verdict.WARN, "no vector instructions known here",
        "Fingerprinting and matching are correct, but slower.",
    )  # fmt: skip


def check_swap(swaps: str) -> Check:
    """Judge the text of /proc/swaps: keys and content may reach a swap disk. Compressed memory (zram) is no disk."""
    used = [line.split()[0] for line in swaps.splitlines()[1:] if line.strip() and "/zram" not in line.split()[0]]
    if not used:
        return Check("swap", Verdict.OK, "off")
    return Check(
        "swap", Verdict.WARN, ", ".join(used),
        "Keys and pictures in memory may be written to disk: encrypt the swap or turn it off (swapoff -a).",
    )  # fmt: skip


def check_clock(now: dt.datetime, *, made: float | None) -> Check:
    """Judge the clock: no earlier than 2025 and than the making of the data folder (`made`, seconds of the epoch)."""
    found = f"{now:%Y-%m-%d %H:%M} UTC"
    if now.year < 2025 or (made is not None and now.timestamp() < made - 300):
        return Check(
            "clock", Verdict.FAIL, found, "Set the clock: retention and deadlines are counted by it (timedatectl)."
        )
    return Check("clock", Verdict.OK, found)


def kernel_cache(environ: Mapping[str, str]) -> Path:
    """Return the folder of compiled kernels: NUMBA_CACHE_DIR, else `havenline/kernels` in the user's cache folder."""
    if named := environ.get("NUMBA_CACHE_DIR"):
        return Path(named)
    base = Path(environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        base = Path(environ.get("HOME") or "/nonexistent") / ".cache"
    return base / "havenline" / "kernels"


def check_kernel_cache(folder: Path, *, uid: int) -> Check:
    """Judge the folder of compiled kernels. They are pickles: who can write there can run code as the reader."""
    name, nearest = "kernel cache", _nearest(folder)
    if nearest == folder:
        found = folder.stat()
        if found.st_mode & 0o022 or found.st_uid not in (0, uid):
            return Check(
                name, Verdict.FAIL, f"{folder} can be written by others (mode {stat.S_IMODE(found.st_mode):04o})",
                f"Whoever writes there runs code as you: rm -r {folder}; it is made anew, closed.",
            )  # fmt: skip
    if os.access(nearest, os.W_OK):
        return Check(name, Verdict.OK, f"{folder}" if nearest == folder else f"{folder}, made at the first use")
    if nearest == folder and any(folder.rglob("*.nbi")):
        return Check(name, Verdict.OK, f"{folder}, filled and read-only")
    return Check(
        name, Verdict.WARN, f"{folder} cannot be written",
        "Kernels are compiled at every start: run `havenline doctor --compile` as the user who installed Havenline.",
    )  # fmt: skip


def check_sandbox() -> Check:
    """Try whether a process that opens hostile files can be closed off on this machine."""
    from havenline_guard.sandbox import probe

    tried = probe()
    if tried.can:
        return Check("sandbox", Verdict.OK, "files are opened in processes that reach nothing")
    return Check(
        "sandbox", Verdict.FAIL, tried.why,
        "Pictures cannot be shown here, and `scan` opens files without a sandbox: use Linux 5.13 or newer with "
        "Landlock on x86-64 or aarch64.",
    )  # fmt: skip


def check_bubblewrap() -> Check:
    """Try whether `decoderd` as a whole can be put into namespaces of its own under `havenline up`."""
    from havenline_cli.bubble import bubble

    with tempfile.TemporaryDirectory(prefix="havenline-") as folder:
        why = bubble(folder=Path(folder)).why
    return Check("bubblewrap", Verdict.OK, why or "`decoderd` has namespaces of its own under `havenline up`")


def compile_kernels(folder: Path) -> float:
    """Run every kernel once, so that `folder` holds them compiled; return the seconds it took.

    Raises CommandError when `folder` cannot be made.
    """
    began = time.monotonic()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(
            f"{folder} cannot be made ({error.strerror}): set XDG_CACHE_HOME to a folder of yours"
        ) from None
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    from havenline.fingerprints import pdq
    from havenline.matching import kernels

    pdq.load_kernels()
    kernels.prepare()
    return time.monotonic() - began


def check_home(home: Home) -> Iterator[Check]:
    """Judge the data folder's kind, owner and mode, and those of what must be closed inside it."""
    name = "data folder"
    try:
        kind = home.kind()
    except HavenlineError as error:
        yield Check(name, Verdict.FAIL, str(error), "Repair it, or set HAVENLINE_HOME to another folder.")
        return
    if kind is None:
        yield Check(name, Verdict.OK, f"{home.path}, not made yet", "`havenline up` or `havenline demo` makes it.")
        return
    closed = [home.path, home.kept_content, home.secret_key_file]
    for path in [path for path in closed if _made(path) is not None]:
        found = path.stat()
        passable = 0o011 if home.uid == 0 and path == home.path else 0  # for the database's system user
        mode = stat.S_IMODE(found.st_mode)
        if found.st_uid != home.uid:
            yield Check(name, Verdict.FAIL, f"{path} belongs to user {found.st_uid}", f"chown {home.uid} {path}")
        elif mode & 0o077 & ~passable:
            yield Check(name, Verdict.FAIL, f"{path} is open to others (mode {mode:04o})", f"chmod go-rw {path}")
        elif path == home.path:
            yield Check(name, Verdict.OK, f"{path}, a {kind}")


def check_disk(free: int) -> Check:
    """Judge the free bytes of the disk that holds the data folder."""
    found = f"{free / GIB:.1f} GiB"
    if free >= 5 * GIB:
        return Check("free disk", Verdict.OK, found)
    verdict = Verdict.WARN if free >= GIB else Verdict.FAIL
    return Check("free disk", verdict, found, "PostgreSQL stops when the disk is full: free 5 GiB or more.")


def check_database(home: Home, *, environ: Mapping[str, str]) -> list[Check]:
    """Ask the database of this installation what it promises to keep."""
    import psycopg

    from havenline_desk.sites import binaries
    from havenline_desk.sites.cluster import Cluster

    try:
        if url := environ.get("HAVENLINE_DATABASE_URL"):
            return judge_durability(_settings(url))
        if not (home.postgresql / "data").is_dir():
            return [Check("PostgreSQL", Verdict.OK, f"{binaries.version()} in the wheel; nothing set up here yet")]
        cluster = Cluster(home.postgresql)
        found_running = cluster.running()
        cluster.start()
        try:
            conninfo = psycopg.conninfo.make_conninfo(
                **cluster.connection(role="havenline_cluster", database="postgres")
            )
            return judge_durability(_settings(conninfo))
        finally:
            if not found_running:
                cluster.stop()
    except (HavenlineError, psycopg.Error, OSError) as error:
        reason = str(error).strip().rpartition("\n")[2]
        return [Check("PostgreSQL", Verdict.FAIL, reason, "Nothing can be kept before the database answers.")]


def judge_durability(settings: Mapping[str, str]) -> list[Check]:
    """Judge a server's settings: what was acknowledged must survive a loss of power, and damage must be seen."""
    number = settings.get("server_version", "0")
    major = int(re.match(r"\d*", number)[0] or 0)  # type: ignore[index]  # this pattern always matches
    checks = [
        Check("PostgreSQL", Verdict.OK, number)
        if major >= 14
        else Check("PostgreSQL", Verdict.FAIL, number, "Havenline needs PostgreSQL 14 or newer; 18 is tested.")
    ]
    for setting, advice in _DURABILITY.items():
        value = settings.get(setting, "unknown")
        safe = value not in ("off", "unknown")
        checks.append(Check(setting, Verdict.OK if safe else Verdict.FAIL, value, "" if safe else advice))
    return checks


_DURABILITY = {
    "fsync": "A loss of power can destroy the database: set fsync = on.",
    "full_page_writes": "A loss of power can damage pages unseen: set full_page_writes = on.",
    "synchronous_commit": "Acknowledged records can be lost: set synchronous_commit = on, also for the desk's role.",
    "data_checksums": "Damage on the disk goes unseen: stop the server and run pg_checksums --enable.",
}


def check_leftovers(home: Home, *, at: dt.datetime) -> Check:
    """Look for what a killed program left behind more than an hour ago."""
    from havenline_desk.sites.binaries import SYSTEM_FOLDER

    left = [path for pattern in _LEFTOVERS for path in home.path.glob(pattern)]
    if home.uid == 0:
        left += SYSTEM_FOLDER.glob(".copying-*")
    old = [path for path in left if path.lstat().st_mtime < at.timestamp() - _OLD_ENOUGH]
    if not old:
        return Check("leftover files", Verdict.OK, "none")
    return Check(
        "leftover files", Verdict.WARN, f"{len(old)}: {old[0]}" + (" …" if old[1:] else ""),
        "A killed program left them; nothing needs them: " + "; ".join(f"rm -r {path}" for path in old[:5]),
    )  # fmt: skip


def _settings(conninfo: str) -> dict[str, str]:
    import psycopg

    with psycopg.connect(conninfo, connect_timeout=5, autocommit=True) as connection:
        names = ["server_version", *_DURABILITY]
        rows = connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [names])
        return {str(name): str(value) for name, value in rows.fetchall()}


def _print(checks: list[Check]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    marks = {Verdict.OK: ("ok", "green"), Verdict.WARN: ("warn", "yellow"), Verdict.FAIL: ("FAIL", "bold red")}
    table = Table(box=None, show_header=False, pad_edge=False)
    for check in checks:
        found = Text(check.found)
        if check.advice:
            found.append(f"\n→ {check.advice}", style="dim" if check.verdict is Verdict.OK else marks[check.verdict][1])
        table.add_row(Text(*marks[check.verdict]), check.name, found)
    console = Console()
    console.print(table)
    failed = sum(check.verdict is Verdict.FAIL for check in checks)
    warned = sum(check.verdict is Verdict.WARN for check in checks)
    console.print(f"\n{failed} failed, {warned} to improve, {len(checks) - failed - warned} in order.")


def _nearest(path: Path) -> Path:
    """Return `path`, or the first folder above it that exists."""
    return next(folder for folder in (path, *path.parents) if _made(folder) is not None)


def _made(path: Path) -> float | None:
    """Return the time of the last change of `path`, or None when it is not there or out of reach."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
