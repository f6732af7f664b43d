"""The embedded PostgreSQL: a real server 18 with Havenline's own set-up and start, and no TCP port.

Who may sign in is decided by the operating system's user (`peer`), over a socket in a folder of mode 0700.
Why it is built this way, and what lies where: docs/decisions/0002-embedded-postgresql.md.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import psycopg

from havenline.vocabulary import HavenlineError

from . import roles
from .binaries import MAJOR_VERSION, SYSTEM_FOLDER, programs, system_user
from .folders import account, first_wall, is_private, sync, try_lock, write
from .roles import DATABASE, DESK_ROLE, INTAKE_ROLE, OWNER_ROLE

__all__ = [
    "DATABASE",
    "DESK_ROLE",
    "INTAKE_ROLE",
    "OWNER_ROLE",
    "Cluster",
    "ClusterError",
    "StartResult",
    "throwaway_folder",
]

_PORT = "5432"
_LONGEST_SOCKET_PATH = 100
_UNSPEAKABLE = set('"$`\\\n\r')
_COMPLAINT = re.compile(r"\b(?:FATAL|PANIC|ERROR):\s*(.+)")
_TMP = Path("/tmp")  # noqa: S108 - nothing is made there but by mkdtemp


class ClusterError(HavenlineError):
    """The embedded PostgreSQL could not be set up, started, stopped or asked; says what to do."""


class StartResult(StrEnum):
    """What `Cluster.start` did: started a server, or took over one that was running."""

    STARTED = "started"
    ADOPTED = "adopted"


def throwaway_folder() -> Path:
    """Make and return a new folder for a test's cluster: a short path that the server's user can pass.

    As root its mode is 0711, since the system user must pass (pytest's own folders are 0700); else 0700.
    The caller removes it, after `Cluster.discard` of the cluster inside.
    """
    root = os.geteuid() == 0
    bases = [_TMP, SYSTEM_FOLDER] if root else [_TMP, Path(tempfile.gettempdir())]
    for base in bases:
        with contextlib.suppress(OSError):
            folder = Path(tempfile.mkdtemp(prefix="havenline-", dir=base))
            folder.chmod(0o711 if root else 0o700)
            return folder
    raise ClusterError(f"no folder can be made in {' or '.join(map(str, bases))}: make one of them writable")


class Cluster:
    """One PostgreSQL server with its files below `folder`, whose parent must exist.

    `throwaway=True` is for tests: the owner role may create databases, and `discard` removes everything.
    `binaries` names the folder of PostgreSQL's programs when the wheel is out of reach.
    `environ` is asked for XDG_RUNTIME_DIR alone.

    Not checked: access control lists, and another machine or container that uses the same `folder`.
    Beside ClusterError, methods raise the other errors of this folder's modules, all of them HavenlineError.
    """

    def __init__(
        self,
        folder: Path,
        *,
        throwaway: bool = False,
        binaries: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.throwaway = throwaway
        self._given_programs = binaries
        self._environ = os.environ if environ is None else environ
        self._root = os.geteuid() == 0

    @property
    def pgdata(self) -> Path:
        """PostgreSQL's own folder (PGDATA), which belongs to the user that runs the server."""
        return self.folder / "data"

    @property
    def logs(self) -> Path:
        """Folder of the server's logs: one file per weekday, overwritten a week later."""
        return self.folder / "log"

    def start(self, *, timeout: float = 60.0) -> StartResult:
        """Make sure that the server runs and answers, setting it up first where that was never finished.

        Safe at any time and from several processes at once: one starts, the others adopt. Raises ClusterError
        when it does not answer within `timeout` seconds; a server that is still recovering then goes on.
        """
        deadline = time.monotonic() + timeout
        self._make_folder()
        with self._serialised(deadline):
            while True:
                if self.pid() is not None:
                    if self._adoptable():
                        return StartResult.ADOPTED
                elif (life := try_lock(self.folder / "alive.lock")) is not None:
                    break
                if time.monotonic() > deadline:
                    raise ClusterError(
                        f"PostgreSQL in {self.folder} runs but does not answer ({self._answer()}): "
                        f"wait a minute and try again, then read {self.logs}"
                    )
                time.sleep(0.05)
            try:
                self._set_up(life)
                self._launch(life, deadline)
            finally:
                os.close(life)
        return StartResult.STARTED

    def stop(self, *, timeout: float = 30.0) -> bool:
        """Shut the server down in order, rolling back open transactions; False when it did not run."""
        if not self.folder.is_dir():
            return False
        with self._serialised(time.monotonic() + timeout):
            return self._halt("fast", timeout)

    def running(self) -> bool:
        """Whether a server answers on our socket and says that its data folder is ours."""
        return self.pid() is not None and self._answer() is None

    def connection(self, *, role: str = DESK_ROLE, database: str = DATABASE) -> dict[str, Any]:
        """Return the arguments for `psycopg.connect`; by `requirepeer` libpq checks the server's user too."""
        if role not in (*roles.ROLES, roles.CLUSTER_ROLE):
            raise ClusterError(f"there is no database role {role}: one of {', '.join(roles.ROLES)} is expected")
        folder = self._socket_folder()
        server = account(folder.stat().st_uid).pw_name
        return {"host": str(folder), "port": _PORT, "user": role, "dbname": database, "requirepeer": server}

    def ensure_roles_and_database(self) -> None:
        """Create what is missing of the three roles and the database `havenline`; changes nothing else."""
        with self._administration() as admin:
            roles.ensure_roles(admin, throwaway=self.throwaway)
        with self._administration(DATABASE) as admin:
            roles.close_to_the_public(admin, DATABASE)

    def create_database(self, name: str, *, template: str | None = None) -> None:
        """Create database `name` for the owner role, empty or as a copy of `template`."""
        with self._administration() as admin:
            roles.create_database(admin, name, template=template)
        with self._administration(name) as admin:
            roles.close_to_the_public(admin, name)

    def drop_database(self, name: str) -> None:
        """Drop database `name`, ending its connections; nothing happens when there is none."""
        with self._administration() as admin:
            roles.drop_database(admin, name)

    def discard(self) -> None:
        """Stop a throwaway cluster at once and remove its files; refused for any other."""
        if not self.throwaway:
            raise ClusterError(f"{self.folder} is no throwaway cluster: remove it by hand if you mean it")
        if not self.folder.is_dir():
            return
        with self._serialised(time.monotonic() + 30.0):
            self._halt("immediate", 30.0)
            with contextlib.suppress(ClusterError):
                shutil.rmtree(self._socket_folder())
            shutil.rmtree(self.folder)

    # The user that runs the server, and the folders.

    def _server_user(self) -> pwd.struct_passwd:
        """Whom the server runs as: never root, which PostgreSQL refuses to run as."""
        return system_user() if self._root else account(os.geteuid())

    def _make_folder(self) -> None:
        """Make `folder`: root's own, so that root never writes where the server's user could lay a link."""
        if unspeakable := _UNSPEAKABLE & set(str(self.folder)):
            shown = " ".join(map(repr, sorted(unspeakable)))
            raise ClusterError(f"{self.folder} holds {shown}, which PostgreSQL cannot be told: choose another path")
        user = self._server_user()
        if not self.folder.is_dir():
            try:
                self.folder.mkdir(mode=0o700)
            except OSError as error:
                raise ClusterError(f"{self.folder} cannot be made: {error.strerror}") from None
            if self._root:
                os.chown(self.folder, 0, user.pw_gid)
                self.folder.chmod(0o710)
        found = self.folder.stat()
        if found.st_uid != os.geteuid() or found.st_mode & (0o067 if self._root else 0o077):
            owner = account(found.st_uid).pw_name
            raise ClusterError(
                f"{self.folder} belongs to {owner} with mode {stat.S_IMODE(found.st_mode):04o}: "
                f"run Havenline as {owner}, and close the folder to others"
            )
        if self._root and (wall := first_wall(self.folder, user=user)) is not None:
            raise ClusterError(
                f"{wall} is closed to the system user {user.pw_name}, who must reach {self.folder}: "
                f"set HAVENLINE_HOME to a folder below {SYSTEM_FOLDER}, or run Havenline without root"
            )

    def _own_folder(self, folder: Path) -> Path:
        """Make `folder`, or accept it, as one of mode 0700 that belongs to the server's user."""
        user = self._server_user()
        if not os.path.lexists(folder):
            folder.mkdir(mode=0o700)
            if self._root:
                os.chown(folder, user.pw_uid, user.pw_gid)
        if not is_private(folder, owner=user.pw_uid):
            raise ClusterError(f"{folder} must be a folder of mode 0700 that belongs to {user.pw_name}: set it so")
        return folder

    def _place_socket_folder(self) -> Path:
        """Choose and record the socket's folder: below `folder`, else where its path stays short.

        Its name is new for each cluster: the server of one whose files were removed under it deletes the path of its
        socket when it notices, and must not find its successor's there.
        """
        record, user = self.folder / "socket_folder", self._server_user()
        with contextlib.suppress(OSError):
            recorded = Path(os.fsdecode(record.read_bytes()))
            if is_private(recorded, owner=user.pw_uid):
                return recorded
        if _fits(self.folder / "socket-12345678"):
            place = Path(tempfile.mkdtemp(prefix="socket-", dir=self.folder))
        else:
            place = Path(tempfile.mkdtemp(prefix="havenline-", dir=self._short_base()))
        if self._root:
            os.chown(place, user.pw_uid, user.pw_gid)
        write(record, os.fsencode(place))
        return place

    def _short_base(self) -> Path:
        if self._root:
            base = Path("/run/havenline")
            with contextlib.suppress(OSError):
                base.mkdir(mode=0o711, exist_ok=True)
                if base.stat().st_uid == 0 and not base.stat().st_mode & 0o022:
                    return base
        elif named := self._environ.get("XDG_RUNTIME_DIR"):
            base = Path(named)
            if is_private(base, owner=os.geteuid()) and _fits(base / "havenline-12345678"):
                return base
        return _TMP

    def _socket_folder(self) -> Path:
        try:
            folder = Path(os.fsdecode((self.folder / "socket_folder").read_bytes()))
            owner = self.pgdata.stat().st_uid
        except OSError:
            raise ClusterError(f"no PostgreSQL has been started in {self.folder}: start it first") from None
        if not is_private(folder, owner=owner):
            raise ClusterError(f"{folder}, where PostgreSQL's socket was, is gone or open to others: start it again")
        return folder

    # Locks, and whether a server lives.

    @contextlib.contextmanager
    def _serialised(self, deadline: float) -> Iterator[None]:
        """Hold the lock under which one process at a time starts or stops the server."""
        while (lock := try_lock(self.folder / "start.lock")) is None:
            if time.monotonic() > deadline:
                raise ClusterError(f"another process is still starting or stopping {self.folder}: try again later")
            time.sleep(0.05)
        try:
            yield
        finally:
            os.close(lock)

    def pid(self) -> int | None:
        """Return the process id of our living server: named in postmaster.pid and at work in our data folder.

        The number alone proves nothing: after a restart of the machine another process may carry it.
        """
        with contextlib.suppress(OSError, ValueError):
            number = int((self.pgdata / "postmaster.pid").read_text().split("\n")[0])
            if Path(f"/proc/{number}/cwd").samefile(self.pgdata):
                return number
        return None

    def _answer(self) -> str | None:
        """Return None when our own server answers, else why not."""
        try:
            arguments = self.connection(role=roles.CLUSTER_ROLE, database="postgres")
            with psycopg.connect(**arguments, connect_timeout=3, autocommit=True) as admin:
                row = admin.execute("SHOW data_directory").fetchone()
            if row is not None and Path(row[0]).samefile(self.pgdata):
                return None
        except (psycopg.Error, HavenlineError, OSError) as error:
            return str(error).strip().rpartition("\n")[2]
        return "the server that answers has another data folder"

    def _adoptable(self) -> bool:
        """Whether the living server answers; one whose socket was swept away is stopped instead."""
        if self._answer() is None:
            return True
        with contextlib.suppress(OSError, IndexError):
            lines = (self.pgdata / "postmaster.pid").read_text().split("\n")
            if lines[7].strip() == "ready" and not Path(lines[4], f".s.PGSQL.{_PORT}").exists():
                self._halt("fast", 30.0)
        return False

    def _halt(self, mode: str, timeout: float) -> bool:
        if self.pid() is None:
            return False
        seconds = str(max(1, int(timeout)))
        done = self._run("pg_ctl", "stop", "-D", str(self.pgdata), "-m", mode, "-w", "-s", "-t", seconds)
        if done.returncode and self.pid() is not None:
            raise ClusterError(f"PostgreSQL in {self.folder} has not stopped after {seconds} s: try again")
        return True

    def _last_complaint(self, *, since: str) -> str:
        """Return the last complaint in the server's logs that is not older than `since`."""
        logs = sorted(self.logs.glob("*.log"), key=lambda path: path.stat().st_mtime)
        for log in reversed(logs):
            for line in reversed(log.read_text(errors="replace").splitlines()[-100:]):
                if line[: len(since)] >= since and (found := _COMPLAINT.search(line)):
                    return found[1]
        return "it gave no reason"

    # Setting up and launching.

    def _set_up(self, life: int) -> None:
        """Run initdb in a folder beside and rename that when it is complete, so that none is half made."""
        for half in self.folder.glob("data.new-*"):
            shutil.rmtree(half)
        if self.pgdata.is_dir():
            self._check_origin()
            return
        fresh = self._own_folder(self.folder / f"data.new-{os.getpid()}")
        locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        sign_in = ["--auth-local=peer", "--auth-host=reject", f"--username={roles.CLUSTER_ROLE}"]
        options = [*locale, *sign_in, "--data-checksums", "--no-instructions"]
        if self.throwaway:  # what no loss of power need survive is not written through, at this point alone
            options.append("--no-sync")
        done = self._run("initdb", f"--pgdata={fresh}", *options, pass_fds=[life])
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["it gave no reason"])[0]
            raise ClusterError(f"PostgreSQL could not be set up in {self.folder}: {reason} ({_free(self.folder)})")
        fresh.rename(self.pgdata)
        sync(self.folder)

    def _check_origin(self) -> None:
        owner, user = self.pgdata.stat().st_uid, self._server_user()
        if owner != user.pw_uid:
            name = account(owner).pw_name
            raise ClusterError(f"{self.pgdata} belongs to {name}, not {user.pw_name}: run Havenline as before")
        version = self.pgdata / "PG_VERSION"
        made_by = version.read_text().strip() if version.exists() else "something else"
        if made_by != MAJOR_VERSION:
            raise ClusterError(
                f"{self.pgdata} was made by PostgreSQL {made_by}, and this Havenline brings {MAJOR_VERSION}: "
                "run the version of Havenline that made it"
            )

    def _launch(self, life: int, deadline: float) -> None:
        """Start the server and wait for its answer; it inherits and keeps the lock `life` while it lives."""
        self._own_folder(self.logs)
        sockets = self._place_socket_folder()
        self._write_settings(sockets)
        self._forget_dead_postmaster(sockets)
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        seconds = str(max(1, int(deadline - time.monotonic())))
        configuration = f'-c config_file="{self.folder / "postgresql.conf"}"'
        where = ["-D", str(self.pgdata), "-l", str(self.logs / "start.log"), "-o", configuration]
        done = self._run("pg_ctl", "start", *where, "-w", "-s", "-t", seconds, pass_fds=[life])
        if done.returncode and self.pid() is not None:
            raise ClusterError(f"PostgreSQL in {self.folder} is not ready after {seconds} s: it goes on, try again")
        reason = self._last_complaint(since=since) if done.returncode else self._answer()
        if reason is not None:
            raise ClusterError(
                f"PostgreSQL in {self.folder} did not start: {reason} ({_free(self.folder)}); "
                f"run `havenline doctor`, and read {self.logs}"
            )

    def _write_settings(self, sockets: Path) -> None:
        """Write the configuration beside the data folder, where the server's user cannot change it."""
        group = self._server_user().pw_gid if self._root else None
        names = sorted({self._server_user().pw_name, account(os.geteuid()).pw_name})
        settings = {
            "data_directory": _quote(self.pgdata),
            "hba_file": _quote(self.folder / "pg_hba.conf"),
            "ident_file": _quote(self.folder / "pg_ident.conf"),
            "unix_socket_directories": _quote(f'"{sockets}"'),
            "log_directory": _quote(self.logs),
            "dynamic_shared_memory_type": "posix" if os.access("/dev/shm", os.W_OK) else "mmap",  # noqa: S108
            **_SETTINGS,
        }
        signs_in = (roles.CLUSTER_ROLE, *roles.ROLES)
        files = {
            "postgresql.conf": "".join(f"{key} = {value}\n" for key, value in settings.items()),
            "pg_hba.conf": "local all all peer map=havenline\nhost all all all reject\n",
            "pg_ident.conf": "".join(f'havenline "{name}" {role}\n' for name in names for role in signs_in),
        }
        for name, text in files.items():
            write(self.folder / name, os.fsencode(text), mode=0o640 if self._root else 0o600, group=group)

    def _forget_dead_postmaster(self, sockets: Path) -> None:
        """Remove lock files whose process number another process, or a zombie, carries: they would bar the start.

        Called only while the life lock is ours, when no process of this server lives.
        """
        for lock_file in (self.pgdata / "postmaster.pid", sockets / f".s.PGSQL.{_PORT}.lock"):
            with contextlib.suppress(OSError, ValueError):
                if Path("/proc", str(int(lock_file.read_text().split("\n")[0]))).exists():
                    lock_file.unlink()

    def _run(self, name: str, *options: str, pass_fds: Sequence[int] = ()) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs as the server's user, in a bare environment."""
        user = self._server_user()
        folder = self._given_programs or programs(user=user)
        return subprocess.run(  # noqa: S603 - an absolute path and arguments of our own, no shell
            [str(folder / name), *options],
            capture_output=True,
            check=False,
            cwd="/",
            env={"PATH": f"{folder}:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": "/"},
            errors="replace",
            extra_groups=[] if self._root else None,
            group=user.pw_gid if self._root else None,
            pass_fds=pass_fds,
            stdin=subprocess.DEVNULL,
            umask=0o077,
            user=user.pw_uid if self._root else None,
        )

    def _administration(self, database: str = "postgres") -> roles.Admin:
        """Sign in as the bootstrap superuser."""
        arguments = self.connection(role=roles.CLUSTER_ROLE, database=database)
        try:
            return psycopg.connect(**arguments, connect_timeout=10, autocommit=True)
        except psycopg.OperationalError as error:
            reason = str(error).strip().rpartition("\n")[2]
            raise ClusterError(f"PostgreSQL in {self.folder} does not answer ({reason}): start it first") from None


_SETTINGS = {
    "listen_addresses": "''",
    "port": _PORT,
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "wal_level": "replica",
    "allow_alter_system": "off",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "lc_messages": "'C'",
    "logging_collector": "on",
    "log_filename": "'postgresql-%w.log'",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_file_mode": "0600",
    # The message of a failed statement can quote a value: it goes to the client, never to the log.
    "log_min_messages": "log",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


def _quote(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / f".s.PGSQL.{_PORT}")) <= _LONGEST_SOCKET_PATH


def _free(folder: Path) -> str:
    return f"{shutil.disk_usage(folder).free // 2**20} MiB of disk free"
