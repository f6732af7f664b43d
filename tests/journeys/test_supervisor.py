"""`havenline up` with all its processes: each is killed and comes back, a view works, nothing is left behind."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from havenline_client import MatchService, Refused
from havenline_desk.sites.server import free_port
from havenline_desk.sites.supervisor import start_of
from tests.journeys.desk_rig import SupervisedRig, within

HAVENLINE = str(Path(sys.executable).with_name("havenline"))
NAMES = [
    *("supervisor", "postgresql", "keyd", "decoderd", "sealer", "jobs", "exchanges"),
    *("matchd", "match service", "webhooks", "web server"),
]
HEALED_WITHIN = 30.0
"""Seconds. On a quiet machine it takes one to three; what is asserted is that it happens, not how fast."""


@dataclass
class Up:
    """A real desk that `havenline up` opened."""

    process: subprocess.Popen[str]
    home: Path
    environ: dict[str, str]
    port: int
    session: str
    match_port: int

    def status(self, code: int = 0) -> dict[str, int]:
        """The process numbers by name; those that do not run are not among them."""
        command = [HAVENLINE, "status", "--json", "--home", str(self.home)]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done
        return {each["name"]: each["pid"] for each in json.loads(done.stdout)["processes"] if each["runs"]}

    def numbers(self) -> dict[str, int]:
        """As `status`, read from its file, so that asking again and again costs nothing."""
        from havenline_desk.sites.supervisor import STATUS_FILE, told

        return {each.name: each.pid for each in told(self.home / STATUS_FILE) if each.runs}

    def ready(self) -> bool:
        from havenline_desk.sites import server

        return server.answers(self.port)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        cookies = {"Cookie": f"sessionid={self.session}; csrftoken={'t' * 32}", "X-CSRFToken": "t" * 32}
        with contextlib.closing(connection):
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, cookies | {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def views(self) -> bool:
        """Whether a picture is granted by `keyd`, decoded by `decoderd` and comes over HTTP."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.ask("POST", "/work/start", {})
            member = re.search(rb'data-member="(\d+)"', self.ask("GET", "/work")[1])
            if member is None:
                return False
            status, answer = self.ask("POST", "/work/reveal", {"member": int(member[1]), "step": 1})
            if status != 200:
                return False
            status, picture = self.ask("GET", json.loads(answer)["url"])
            return status == 200 and picture[:4] == b"RIFF"
        return False

    def act(self, name: str) -> str:
        """Enrol somebody: one audited act through PostgreSQL, signed by `keyd`."""
        command = [HAVENLINE, "person", "add", name, "--home", str(self.home)]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    from havenline_desk.sites.cluster import throwaway_folder

    rig = SupervisedRig(throwaway_folder())
    folder, session = rig.folder, rig.run("fill", "0").split()[0]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("HAVENLINE_", "DJANGO_"))}
    match_port = free_port(0)
    environ |= {"HAVENLINE_MATCH_API": str(match_port), "HAVENLINE_WEBHOOKS": "1"}
    command = [HAVENLINE, "up", "--port", "0", "--home", str(folder / "desk")]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        lines: list[str] = []
        while (found := re.search(r"open at http://localhost:(\d+)/", "".join(lines))) is None:
            lines.append(child.stdout.readline())  # a child may say something first
            assert lines[-1], (lines, child.stderr.read())
        try:
            yield Up(child, folder / "desk", environ, int(found[1]), session, match_port)
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(timeout=60)
            shutil.rmtree(folder, ignore_errors=True)


def test_status_names_every_process(up: Up) -> None:
    numbers = up.status()
    assert list(numbers) == NAMES
    assert numbers["supervisor"] == up.process.pid
    assert len(set(numbers.values())) == len(NAMES), "each is a process of its own"
    assert up.ready()


def asked(up: Up) -> bool:
    """Whether the match service lets nobody in without a key, which it says only where it could read its keys."""
    try:
        with MatchService(f"http://127.0.0.1:{up.match_port}", "hvl_wrong") as service:
            service.match_hashes([{"sha256": "0" * 64}])
    except Refused as refused:
        return refused.name == "no_key"
    except OSError:
        return False
    raise AssertionError("it answered without a key")


def test_the_match_service_runs_where_it_is_wanted_and_comes_back(up: Up) -> None:
    within(2 * HEALED_WITHIN, lambda: asked(up))
    before = up.numbers()
    for name in ("matchd", "match service"):
        os.kill(before[name], signal.SIGKILL)
    within(2 * HEALED_WITHIN, lambda: up.numbers().get("match service", 0) not in (0, before["match service"]))
    within(2 * HEALED_WITHIN, lambda: asked(up))


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_killed_process_is_started_again_and_a_view_works(up: Up, name: str) -> None:
    assert up.views()
    before = up.numbers()
    os.kill(before[name], signal.SIGKILL)
    took = within(HEALED_WITHIN, lambda: up.numbers().get(name, before[name]) != before[name] and up.views())
    print(f"{name}: {took:.1f} s until a view")
    after = up.numbers()
    assert {each for each in NAMES if after[each] != before[each]} == {name}, "the others went on"
    assert "good for 7 days" in up.act(f"someone-after-{name.replace(' ', '-')}")
    assert list(up.status()) == NAMES


def test_one_after_another_and_at_once(up: Up) -> None:
    before = up.numbers()
    for name in NAMES[1:]:
        os.kill(before[name], signal.SIGKILL)
    took = within(
        2 * HEALED_WITHIN,
        lambda: set(up.numbers()) == set(NAMES) and all(up.numbers()[n] != before[n] for n in NAMES[1:]) and up.ready(),
    )
    took += within(HEALED_WITHIN, up.views)
    print(f"all of them: {took:.1f} s until a view")
    assert "good for 7 days" in up.act("someone-after-all")


def test_a_polite_end_leaves_nothing_behind(up: Up) -> None:
    numbers = up.numbers()
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(timeout=60) == 0
    began = time.monotonic()
    while left := {name: pid for name, pid in numbers.items() if start_of(pid) is not None}:
        assert time.monotonic() - began < 10, left
        time.sleep(0.05)
    assert up.status(code=1) == {}
    assert up.process.stderr is not None
    said = up.process.stderr.read()
    for name in NAMES[1:]:
        assert f"havenline: {name} ended by itself and is started again" in said
        assert f"havenline: {name} answers again" in said
