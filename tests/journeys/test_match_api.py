"""The match service as it is started: two processes, a quota across both and a restart, counts at its end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from havenline_client import Answer, MatchService, Refused
from havenline_desk.sites.cluster import throwaway_folder
from tests.desk.match_rig import matchd, pdq, sha256
from tests.guard.conftest import Running

HAVENLINE = [sys.executable, "-c", "from havenline_cli.main import main; main()"]
pytestmark = pytest.mark.skipif(
    os.environ.get("HAVENLINE_SOAK") != "1",
    reason="long form: a desk, two servers and ten commands; test_supervisor.py starts the service in the short one",
)
ASKED = [sha256("a"), sha256("z"), pdq("b"), pdq("y")]
TOLD = [True, False, True, False]


@pytest.fixture
def lists(tmp_path: Path) -> Iterator[Running]:
    running = matchd(tmp_path)
    yield running
    assert running.stop() == 0


@pytest.fixture
def environment(lists: Running) -> Iterator[dict[str, str]]:
    folder = throwaway_folder()
    left_out = ("HAVENLINE_DATABASE_URL", "HAVENLINE_KEYD", "HAVENLINE_ORIGIN", "DJANGO_SETTINGS_MODULE")
    given = {name: value for name, value in os.environ.items() if name not in left_out}
    yield given | {"HAVENLINE_HOME": str(folder / "desk"), "HAVENLINE_MATCHD": str(lists.socket)}
    shutil.rmtree(folder, ignore_errors=True)


class Served:
    """`havenline match-api` on a Unix socket, with two processes."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.path, self.log = folder / "api", folder / "log"
        self.path.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            command = [*HAVENLINE, "match-api", "--socket", str(self.path), "--workers", "2"]
            self.process = subprocess.Popen(command, env=environment, stderr=log, stdout=log, start_new_session=True)
        for _ in range(2400):
            assert self.process.poll() is None, self.log.read_text()
            if self._answers():
                return
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(20)
            try:
                asking.connect(str(self.path))
                asking.sendall(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return b"200" in asking.recv(64)
            except OSError:
                return False

    def ask(self, secret: str, *items: dict[str, Any]) -> list[bool]:
        with MatchService(f"unix:{self.path}", secret) as service:
            return service.match_hashes(items or ASKED)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(120) in (0, 130), self.log.read_text()


def havenline(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run([*HAVENLINE, *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def serve(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[[], Served]]:
    started: list[Served] = []

    def start() -> Served:
        started.append(Served(environment, tmp_path))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            os.killpg(each.process.pid, signal.SIGKILL)
            each.process.wait()


def test_the_service_from_its_first_key_to_its_end(
    environment: dict[str, str], serve: Callable[[], Served], tmp_path: Path
) -> None:
    home = Path(environment["HAVENLINE_HOME"])
    havenline(environment, "up", "--no-serve")
    havenline(environment, "person", "add", "liaison", "--role", "partner_liaison")
    made = havenline(
        environment,
        *("api-key", "make", "uploads", "--by", "liaison", "--list", "shapes", "--per-minute", "100000"),
        *("--per-day", "22"),
    )
    secret = made.split()[-1]
    served = serve()
    assert [served.ask(secret) for _ in range(5)] == [TOLD] * 5
    assert served.ask(secret, sha256("a")) == [True]
    with pytest.raises(Refused, match="quota"):
        served.ask(secret, sha256("a"), sha256("b"))
    with MatchService(f"unix:{served.path}", secret) as service:
        assert service.match_file(b"a text card") == Answer(lead=False, perceptual="unknown_kind")
    with pytest.raises(Refused, match="quota"):
        served.ask(secret, sha256("a"))
    with pytest.raises(Refused, match="no_key"):
        served.ask("hvl_wrong", sha256("a"))
    served.stop()
    served = serve()
    with pytest.raises(Refused) as refused:
        served.ask(secret, sha256("a"))
    assert (refused.value.name, refused.value.retry_after > 0) == ("quota", True)
    served.stop()

    log = served.log.read_bytes()
    kept = [log, *(path.read_bytes() for path in (home / "match-api").iterdir())]
    words = [secret, *(value for item in ASKED for value in item.values() if isinstance(value, str))]
    assert [word for word in words for held in kept if word.encode() in held] == []
    exported = export_of(environment, tmp_path)
    assert exported.count("lookups_begun") == exported.count("lookups_counted") >= 1
    assert json.loads(havenline(environment, "api-key", "list", "--json"))[0]["ended"] is None


SAMPLES = 10_000
CALLERS = 16


@pytest.mark.timeout(1800)
def test_the_time_of_an_answer_does_not_tell_a_hit_from_a_miss(
    environment: dict[str, str], serve: Callable[[], Served]
) -> None:
    """10,000 of each, interleaved, on the grid as it is served. The one test that time decides; so in the long form."""
    havenline(environment, "up", "--no-serve")
    havenline(environment, "person", "add", "liaison", "--role", "partner_liaison")
    quotas = ("--per-minute", "1000000", "--per-day", "1000000")
    secret = havenline(environment, "api-key", "make", "uploads", "--by", "liaison", "--list", "shapes", *quotas)
    address, key = f"unix:{serve().path}", secret.split()[-1]
    taken: dict[bool, list[float]] = {True: [], False: []}

    def ask(caller: int) -> None:
        with MatchService(address, key) as service:
            service.match_hashes([sha256("z")])  # the first of a window waits for its entry in the log
            for number in range(2 * SAMPLES // CALLERS):
                listed = (number + caller) % 2 == 0
                item = sha256("abc"[number // 2 % 3] if listed else f"missing {caller} {number}")
                began = time.perf_counter()
                assert service.match_hashes([item]) == [listed]
                taken[listed].append(time.perf_counter() - began)

    with ThreadPoolExecutor(CALLERS) as callers:
        list(callers.map(ask, range(CALLERS)))
    assert len(taken[True]) == len(taken[False]) == SAMPLES
    distance, p = kolmogorov_smirnov(taken[True], taken[False])
    medians = [sorted(each)[SAMPLES // 2] * 1e3 for each in taken.values()]
    print(f"hits median {medians[0]:.2f} ms, misses {medians[1]:.2f} ms; D = {distance:.4f}, p = {p:.3f}")
    assert p > 0.01


def kolmogorov_smirnov(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """The largest distance between the two distributions, and how probable one so large is where they are the same.

    By Kolmogorov's limit, good from some hundred values on.
    """
    both = np.sort(np.concatenate([one, other]))
    shares = [np.searchsorted(np.sort(each), both, "right") / len(each) for each in (one, other)]
    distance = float(np.abs(shares[0] - shares[1]).max())
    scaled = distance * (len(one) * len(other) / (len(one) + len(other))) ** 0.5
    if scaled < 0.2:  # the series does not converge there, and the probability is 1 to twelve digits
        return distance, 1.0
    return distance, float(sum(2 * (-1) ** (k - 1) * np.exp(-2 * k * k * scaled * scaled) for k in range(1, 101)))


def export_of(environment: dict[str, str], folder: Path) -> str:
    havenline(environment, "person", "add", "auditor", "--role", "auditor")
    havenline(environment, "audit", "export", str(folder / "export"), "--by", "auditor")
    return (folder / "export").read_text()
