"""The match service over HTTP on a million entries, at 500 questions by PDQ a second, beside the incumbent's index.

Run it with `./dev bench match_api`. A desk of its own with its PostgreSQL, `matchd` and `havenline match-api`, all on
the cores that there are, without the privacy delay. The load is open: questions are due at fixed moments, whatever
became of those before, and a time counts from the moment the question was due. A process of its own asks, over open
connections. Half of the questions are random codes, half stored ones with 0 to 31 bits turned, in seeded order; whether
each answer is right is looked at. Then as many as four clients can ask one after the other, and the same of the peer:
`PDQIndex` of the package `threatexchange` behind Python's own HTTP server, in one process, on the same entries.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np

from havenline.matching.live import LiveLists
from havenline.matching.snapshot import Edition
from havenline.vocabulary import EditionRef
from matchd import entries_of, line, peer, serving, together, verdict
from matching import asked as questions
from matching import drawn, machine

RATE, P95 = 500, 0.020
CONNECTIONS = 24
SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=10**6)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rate", type=int, default=RATE)
    parser.add_argument("--no-peer", action="store_true")
    chosen = parser.parse_args()
    for each in machine():
        print(each)
    print(f"load {os.getloadavg()[0]:.1f} at start; seed {SEED}; {chosen.size:,} entries")
    from havenline_desk.sites.cluster import throwaway_folder

    folder, lists = throwaway_folder(), Path(tempfile.mkdtemp(prefix="havenline-bench-"))
    try:
        codes = drawn(chosen.size, SEED)
        LiveLists.create(lists / "l", [Edition(EditionRef("noise", 1, "0" * 64), entries_of(codes))], threads=2)
        with serving(lists / "l", lists / "s", 1):
            measured(folder, lists / "s", codes, chosen)
        if not chosen.no_peer:
            peer(codes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(lists, ignore_errors=True)


def measured(folder: Path, matchd: Path, codes: Any, chosen: argparse.Namespace) -> None:
    from havenline_desk.sites.server import free_port

    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("HAVENLINE_DATABASE_URL", "HAVENLINE_KEYD", "HAVENLINE_ORIGIN")
    } | {"HAVENLINE_HOME": str(folder / "bench"), "HAVENLINE_MATCHD": str(matchd), "HAVENLINE_MATCH_NO_DELAY": "1"}
    port = free_port(0)
    secret = made_key(folder, environment)
    command = [sys.executable, "-c", "from havenline_cli.main import main; main()", "match-api", "--port", str(port)]
    server = subprocess.Popen([*command, "--workers", str(chosen.workers)], env=environment)
    try:
        until_ready(port, server)
        asking = questions(codes, 4000, SEED + 1)
        bodies = [json.dumps({"items": [{"pdq": code.tobytes().hex(), "quality": 100}]}).encode() for code in asking]
        truth = right_answers(matchd, asking)
        open_load(port, secret, bodies, truth, chosen, measure=False)  # so that everything is loaded once
        open_load(port, secret, bodies, truth, chosen, measure=True)
        closed_load(port, secret, bodies)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)


def made_key(folder: Path, environment: dict[str, str]) -> str:
    """A desk of its own, and a key without quotas to speak of, made by the actions that commands call."""
    script = """
import datetime as dt, os
from pathlib import Path
from havenline_desk.sites.home import Home
from havenline_desk.sites.wiring import wire
home = Home.locate(environ=os.environ, uid=os.geteuid())
home.create("demo")
wired = wire(home)
from havenline_desk.sites.schema import bring_up_to_date
bring_up_to_date()
from havenline_desk.actions.declare_policy import declare_policy
from havenline_desk.actions.enrol_person import enrol_person
from havenline_desk.actions.keep_api_keys import make_api_key
from havenline_desk.models import InstallationKind, KeyScope, Role
at = dt.datetime.now(dt.UTC)
declare_policy(InstallationKind.DEMO, content_legal_basis="a benchmark, which keeps none", at=at)
liaison = enrol_person("liaison", password=None, roles=(Role.LIAISON,), at=at)
quotas = dict(per_minute=10**9 // 2, per_day=10**9 // 2, probe_limit=1000)
print(make_api_key("bench", KeyScope.ONE_BIT, lists=["noise"], made_by=liaison, at=at, **quotas)[1])
from django.db import connections
connections.close_all()
wired.release()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, check=True, text=True
    )
    return done.stdout.split()[-1]


def until_ready(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if server.poll() is not None:
            break
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.2)
    sys.exit("bench/match_api: the service does not answer")


def right_answers(matchd: Path, asking: Any) -> list[int]:
    from havenline_guard.client import MatchClient
    from matchd import as_asked

    with MatchClient(matchd) as client:
        found = client.look_up(as_asked(asking)).asked
    bits = np.zeros(len(asking), int)
    bits[found] = 1
    return [int(each) for each in bits]


class Asking:
    """One open connection."""

    def __init__(self, port: int, secret: str) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        self._connection = HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(self, body: bytes) -> list[int]:
        self._connection.request("POST", "/v1/match/hashes", body, self._headers)
        answer = self._connection.getresponse()
        read = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} {read[:100]!r}")
        return list(json.loads(read)["leads"])


def open_load(
    port: int, secret: str, bodies: list[bytes], truth: list[int], chosen: argparse.Namespace, *, measure: bool
) -> None:
    """In a process of its own: `rate` questions a second are due, whatever becomes of them."""
    seconds = chosen.seconds if measure else 3.0
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(writing, json.dumps(load(port, secret, bodies, truth, chosen.rate, seconds)).encode())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        said = told.read()
    if os.waitpid(pid, 0)[1] or not said:
        sys.exit("bench/match_api: the load could not be made; no times given")
    found = json.loads(said)
    if found["wrong"]:
        sys.exit(f"bench/match_api: {found['wrong']} wrong answers, {found['first']}; no times given")
    if measure:
        p50, p95, p99 = (found[name] for name in ("p50", "p95", "p99"))
        line(
            "due, asked over open connections", f"{chosen.rate} a second for {seconds:.0f} s, {CONNECTIONS} connections"
        )
        line("answered", f"{found['answered']:,} of {found['due']:,}, all right; {found['rate']:.0f} a second")
        line("from due to answered", f"median {p50 * 1e3:.1f} ms, p95 {p95 * 1e3:.1f}, p99 {p99 * 1e3:.1f}")
        line(f"demand: p95 {P95 * 1e3:.0f} ms at {RATE} a second", verdict(P95, p95))
        line("load of the machine", f"{os.getloadavg()[0]:.1f}")


def load(port: int, secret: str, bodies: list[bytes], truth: list[int], rate: int, seconds: float) -> dict[str, Any]:
    due, taken, wrong = int(rate * seconds), [], []
    turn, lock = iter(range(due)), threading.Lock()
    began = time.perf_counter() + 0.2

    def work() -> None:
        asking = Asking(port, secret)
        while True:
            with lock:
                number = next(turn, None)
            if number is None:
                return
            moment = began + number / rate
            time.sleep(max(0.0, moment - time.perf_counter()))
            try:
                said = asking.ask(bodies[number % len(bodies)])
                if said != [truth[number % len(bodies)]]:
                    wrong.append(f"another answer than the lists themselves give to question {number}")
            except Exception as error:
                wrong.append(f"{type(error).__name__}: {error}")
                asking = Asking(port, secret)
            taken.append(time.perf_counter() - moment)

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, every = time.perf_counter() - began, sorted(taken)
    at = {f"p{share}": every[int(len(every) * share / 100)] for share in (50, 95, 99)}
    return at | {
        "due": due,
        "answered": len(every) - len(wrong),
        "rate": len(every) / took,
        "wrong": len(wrong),
        "first": wrong[0] if wrong else "",
    }


def closed_load(port: int, secret: str, bodies: list[bytes]) -> None:
    def ask(which: int) -> Any:
        asking = Asking(port, secret)
        return lambda at: asking.ask(bodies[(at + which * 1000) % len(bodies)])

    rate, _ = together(ask)
    line("4 clients, one question after the other", f"{rate:,.0f} lookups a second")


if __name__ == "__main__":
    main()
