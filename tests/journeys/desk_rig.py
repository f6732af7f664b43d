"""What the tests of a desk under faults share: a desk with a PostgreSQL of its own, writers, and the reckoning."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg.conninfo import make_conninfo

from havenline_desk.sites import supervisor
from havenline_desk.sites.cluster import DESK_ROLE, OWNER_ROLE, Cluster, throwaway_folder
from havenline_desk.sites.home import Home
from havenline_desk.sites.server import free_port
from tests.small_disk import SmallDisk

from .fault_desk import WRITERS

ROOT = Path(__file__).parents[2]


@dataclass
class Web:
    """A web server and the supervisor that starts it again."""

    supervisor: subprocess.Popen[bytes]
    pid: int

    def kill(self) -> None:
        """kill -9 every process of the server; returns when the supervisor has started the next."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        assert self.supervisor.stdout is not None
        self.pid = int(self.supervisor.stdout.readline())


def browse(port: int, session: str, told: Path, over: threading.Event) -> None:
    """Ask for views and look, over and over; write down each whole answer, and each refusal with its status."""
    cookies = {"Cookie": f"sessionid={session}; csrftoken={'t' * 32}", "X-CSRFToken": "t" * 32}
    with told.open("ab", buffering=0) as file:

        def ask(method: str, path: str, body: object = None) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
            headers = cookies | {"Content-Type": "application/json", "Connection": "close"}
            try:
                connection.request(method, path, json.dumps(body) if body is not None else None, headers)
                answer = connection.getresponse()
                read = answer.read()
            finally:
                connection.close()
            if answer.status >= 400:
                line = {"act": "refused", "status": answer.status, "again": answer.headers["Retry-After"], "path": path}
                file.write(json.dumps(line | {"at": time.time()}).encode() + b"\n")
                raise InterruptedError
            return answer.status, read

        while not over.is_set():
            try:
                ask("POST", "/work/start", {})
                _, page = ask("GET", "/work")
                found = re.search(rb'data-member="(\d+)"', page)
                if found is None:
                    continue
                for _ in range(10):
                    _, answer = ask("POST", "/work/reveal", {"member": int(found[1]), "step": 1})
                    url = json.loads(answer)["url"]
                    token = url.rpartition("/")[2]
                    file.write(json.dumps({"act": "reveal_granted", "token": token}).encode() + b"\n")
                    ask("GET", url)
                    file.write(json.dumps({"act": "reveal_used", "token": token}).encode() + b"\n")
                    if over.is_set():
                        return
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)


@dataclass
class DeskRig:
    """A data folder with work to do, and its cluster, which a test may do anything to."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    writers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    disks: list[SmallDisk] = field(default_factory=list)

    @property
    def home(self) -> Home:
        return Home(self.folder / "desk", os.geteuid())

    @property
    def cluster(self) -> Cluster:
        return Cluster(self.home.postgresql)

    def set_up(self, prepare: Callable[[DeskRig], None] | None = None) -> None:
        self.home.create("demo")
        if prepare is not None:
            prepare(self)
        cluster = self.cluster
        cluster.start()
        cluster.ensure_roles_and_database()
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("HAVENLINE_", "DJANGO_"))},
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
            "DJANGO_SETTINGS_MODULE": "havenline_desk.sites.settings",
            "HAVENLINE_HOME": str(self.home.path),
            "HAVENLINE_SECRET_KEY": self.home.secret_key(),
            "HAVENLINE_PLAIN_LOOPBACK": "1",
            "HAVENLINE_AUDIT_FOLDER": str(self.home.path / "audit"),
            "HAVENLINE_DATABASE_URL": make_conninfo(**cluster.connection(role=DESK_ROLE)),
        }
        self.run("set-up", HAVENLINE_OWNER_URL=make_conninfo(**cluster.connection(role=OWNER_ROLE)))

    def run(self, *words: str, **environ: str) -> str:
        command = [sys.executable, "-m", "tests.journeys.fault_desk", *words]
        done = subprocess.run(command, env=self.environ | environ, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def told(self, number: int) -> Path:
        """Where a writer's acknowledgements are written down, outside the data folder."""
        return self.folder / f"told-{number}"

    @contextlib.contextmanager
    def writing(self, *, seed: int, **environ: str) -> Iterator[None]:
        """Four who work at once, until the block ends; each must then end by itself and well."""
        for number in range(WRITERS):
            words = ["write", str(number), str(seed), str(self.told(number))]
            command = [sys.executable, "-m", "tests.journeys.fault_desk", *words]
            self.writers.append(
                subprocess.Popen(command, env=self.environ | environ, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
            )
        try:
            yield
        finally:
            for writer in self.writers:
                _, complaint = writer.communicate(timeout=120)
                assert writer.returncode == 0, complaint.decode()
            self.writers.clear()

    def acknowledged(self) -> list[dict[str, Any]]:
        """Everything that any writer was told so far, refusals among it."""
        return [json.loads(line) for number in range(WRITERS) for line in _lines(self.told(number))]

    def count(self) -> int:
        """How many acts were acknowledged so far."""
        return sum(each["act"] not in {"refused", "alarm"} for each in self.acknowledged())

    def reckon(self) -> collections.Counter[str]:
        """Assert that nothing acknowledged is lost and nothing is unlogged; how often each act was acknowledged."""
        return reckoned(json.loads(self.run("check")), self.acknowledged())

    @contextlib.contextmanager
    def web(self) -> Iterator[Web]:
        """The desk's web server under a supervisor, and four browsers that look at pictures until the block ends."""
        keys = self.run("sessions").split()[:WRITERS]
        port = free_port(0)
        supervisor = self.serve(port)
        assert supervisor.stdout is not None
        over = threading.Event()
        web = Web(supervisor, int(supervisor.stdout.readline()))
        browsers = [
            threading.Thread(target=browse, args=(port, key, self.told(number), over))
            for number, key in enumerate(keys)
        ]
        for browser in browsers:
            browser.start()
        try:
            yield web
        finally:
            over.set()
            for browser in browsers:
                browser.join()
            supervisor.communicate(timeout=60)

    def serve(self, port: int, **streams: Any) -> subprocess.Popen[bytes]:
        """The supervisor of a web server; it says the server's process id on a line of its own."""
        command = [sys.executable, "-m", "tests.journeys.fault_desk", "serve", str(port)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=self.environ, stdin=pipe, stdout=pipe, **streams)

    def kill_database(self, *, whole: bool) -> None:
        """kill -9: the whole server, or one of its processes, after which it recovers by itself."""
        postmaster = self.cluster.pid()
        assert postmaster is not None
        children = children_of(postmaster)
        for pid in [postmaster, *children] if whole else children[-1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def discard(self) -> None:
        for writer in self.writers:
            writer.kill()
            writer.wait()
        with contextlib.suppress(Exception):
            self.cluster.stop()
        for disk in self.disks:
            disk.take_away()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def desk_rig(prepare: Callable[[DeskRig], None] | None = None) -> Iterator[DeskRig]:
    rig = DeskRig(throwaway_folder())
    try:
        rig.set_up(prepare)
        yield rig
    finally:
        rig.discard()


def reckoned(said: dict[str, Any], acknowledged: list[dict[str, Any]]) -> collections.Counter[str]:
    """Assert that nothing `acknowledged` is missing in what `fault_desk.found` said; how often each act was."""
    entries = collections.Counter((act, grant or thing) for act, thing, grant in said["entries"])
    told = [each for each in acknowledged if each["act"] != "refused"]
    for each in told:
        if "token" in each:  # of a view that the browser knows by its token alone
            each["id"] = said["views"].get(hashlib.sha256(each["token"].encode()).hexdigest(), "no such view")
    assert [each for each in told if each["act"] == "alarm"] == []
    lost = collections.Counter((each["act"], each["id"]) for each in told) - entries
    assert lost == collections.Counter(), f"{lost.total()} acknowledged acts are lost"
    assert said["wrong"] == [], said["wrong"]
    return collections.Counter(each["act"] for each in told)


@dataclass
class SupervisedRig:
    """A desk with all processes of `havenline up`, each of which a test may kill, and four browsers that look."""

    folder: Path
    sessions: list[str] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "desk"

    @property
    def environ(self) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("HAVENLINE_", "DJANGO_"))}
        return plain | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}

    def command(self, verb: str, *words: str) -> list[str]:
        return [sys.executable, "-m", "tests.journeys.supervised_desk", verb, str(self.home), *words]

    def run(self, verb: str, *words: str) -> str:
        done = subprocess.run(self.command(verb, *words), env=self.environ, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        """All processes run and four browsers look, until the block ends."""
        port = free_port(0)
        pipe, log = subprocess.PIPE, (self.folder / "log").open("ab")
        with (
            log,
            subprocess.Popen(
                self.command("up", str(port), str(self.folder / f"told-{WRITERS}")),
                env=self.environ,
                stdin=pipe,
                stdout=pipe,
                stderr=log,
            ) as child,
        ):
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n", (self.folder / "log").read_text()
            over = threading.Event()
            browsers = [
                threading.Thread(target=browse, args=(port, key, self.folder / f"told-{number}", over))
                for number, key in enumerate(self.sessions)
            ]
            for browser in browsers:
                browser.start()
            try:
                yield
            finally:
                over.set()
                for browser in browsers:
                    browser.join()
                child.communicate(timeout=60)
        assert child.returncode == 0, (self.folder / "log").read_text()

    def numbers(self) -> dict[str, int]:
        """The number of each process that runs, by its name."""
        return {each.name: each.pid for each in supervisor.told(self.home / supervisor.STATUS_FILE) if each.runs}

    def kill(self, name: str) -> float:
        """kill -9 of one process; in how many seconds another runs and somebody has had an answer that came later."""
        within(300, lambda: name in self.numbers())
        before = self.numbers()[name]
        with contextlib.suppress(ProcessLookupError):
            os.kill(before, signal.SIGKILL)
        seen = self.views()
        return within(300, lambda: self.numbers().get(name, before) != before and self.views() > seen)

    def acknowledged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for number in range(WRITERS + 1) for line in _lines(self.folder / f"told-{number}")]

    def views(self) -> int:
        """How many pictures came whole so far."""
        return sum(each["act"] == "reveal_used" for each in self.acknowledged())

    def reckon(self) -> collections.Counter[str]:
        """As `DeskRig.reckon`; and no view was answered that the key process did not open."""
        said = json.loads(self.run("check"))
        acknowledged = self.acknowledged()
        counted = reckoned(said, acknowledged)
        looked = {each["id"] for each in acknowledged if each["act"] == "reveal_used"}
        assert looked <= set(said["opened"])
        return counted


@contextlib.contextmanager
def supervised_rig(*, due: int) -> Iterator[SupervisedRig]:
    """With `due` kept objects whose time has come."""
    rig = SupervisedRig(throwaway_folder())
    try:
        rig.sessions = rig.run("fill", str(due)).split()[:WRITERS]
        yield rig
    finally:
        with contextlib.suppress(Exception):
            Cluster(rig.home / "postgresql").stop()
        shutil.rmtree(rig.folder, ignore_errors=True)


def children_of(parent: int) -> list[int]:
    """The processes that `parent` started, oldest first."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (path / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == parent:
                    found.append((int(fields[19]), int(path.name)))
    return [pid for _, pid in sorted(found)]


def within(seconds: float, check: Any) -> float:
    """Wait until `check()` holds and say how long it took; fails when it does not in `seconds`."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []
