"""A full desk under ten analysts at once, over HTTP: how long Start, a first rendition and submitting take.

The desk is the one that `havenline up` runs (web server, `keyd`, `decoderd`, sealer, PostgreSQL, each a process of its
own), with 100,000 postings in its database (`bench/_full_desk.py`). Each analyst is signed in and does what a browser
does, over one kept connection: press Start, ask for the first step and fetch it, then the second, look at each near
picture, think, submit. Some go on at once; others wait until the page records by itself. Each time is that of the whole
answer with what the browser is sent on to: Start ends with the workspace, submitting with the page that offers to take
it back, a rendition with its last byte. The clients run on the same cores.

No peer: of Coop and Ozone, the open review tools that we read, single granted views, sealed content and leases under a
signed log are not documented in what we read, and Coop needs several servers of its own; nothing does the same work.
Beside the times stands that of `/ready`, the least that the server can do, and the processor time of each process for
one item, which says what the desk needs whatever else the machine does.

HAVENLINE_BENCH_ITEMS (100000), _ANALYSTS (10), _THINK seconds (10), _SECONDS of the run (180), _SEED (2026).
"""

from __future__ import annotations

import collections
import datetime as dt
import http.client
import json
import os
import platform
import random
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).parent))

from _full_desk import FACTS, fill, on_a_desk

ITEMS = int(os.environ.get("HAVENLINE_BENCH_ITEMS", "100000"))
ANALYSTS = int(os.environ.get("HAVENLINE_BENCH_ANALYSTS", "10"))
THINK = float(os.environ.get("HAVENLINE_BENCH_THINK", "10"))
SECONDS = float(os.environ.get("HAVENLINE_BENCH_SECONDS", "180"))
SEED = int(os.environ.get("HAVENLINE_BENCH_SEED", "2026"))
ASKED = {"start": 150, "first rendition": 250, "submit": 150}
"""Milliseconds that nineteen in twenty may take at the most."""
ALSO = ("second rendition", "near rendition", "record", "ready")
CSRF = "t" * 32


class Stopped(Exception):
    """The desk answered with something that no analyst should get."""


@dataclass
class Analyst:
    """One signed-in browser. `times` are milliseconds by what was done."""

    port: int
    session: str
    draw: random.Random
    times: dict[str, list[float]] = field(default_factory=lambda: collections.defaultdict(list))
    trouble: str = ""
    items: int = 0

    def __post_init__(self) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def work(self, until: float) -> None:
        try:
            self.one_item()
            self.times.clear()  # the server loads what it needs with the first request of each thread
            while time.monotonic() < until:
                self.one_item()
        except (Stopped, OSError, http.client.HTTPException) as error:
            self.trouble = f"{type(error).__name__}: {error}"

    def one_item(self) -> None:
        with self.timed("ready"):
            self.ask("GET", "/ready")
        with self.timed("start"):
            self.ask("POST", "/work/start", {}, expected=302)
            page = self.ask("GET", "/work").decode()
        found = re.search(r'name="assignment" value="(\d+)"', page)
        if found is None:
            raise Stopped("nothing was handed out")
        shown, *near = re.findall(r'data-member="(\d+)"', page)
        self.think(0.2)
        with self.timed("first rendition"):
            self.look(shown, 1)
        self.think(0.2)
        with self.timed("second rendition"):
            self.look(shown, 2)
        for member in near:
            self.think(0.1)
            with self.timed("near rendition"):
                self.look(member, 2)
        self.think(0.6)
        self.submit(found[1], near)

    def submit(self, assignment: str, near: list[str]) -> None:
        facts = FACTS | ({"largest_colour": "blue"} if self.draw.random() < 0.1 else {})
        answers = {f"fact.{question}": code for question, code in facts.items()}
        form = answers | {f"member.{member}": "same" for member in near}
        with self.timed("submit"):
            self.ask("POST", "/work/submit", form | {"assignment": assignment, "active_seconds": "1"}, expected=302)
            page = self.ask("GET", "/work")
        self.items += 1
        if b'id="undo"' not in page:
            raise Stopped("what was submitted cannot be taken back")
        if self.draw.random() < 0.5:
            time.sleep(5)
            with self.timed("record"):
                self.ask("POST", "/work/record", {}, expected=302)
                self.ask("GET", "/work")

    def look(self, member: str, step: int) -> None:
        said = self.ask("POST", "/work/reveal", json.dumps({"member": int(member), "step": step}))
        picture = self.ask("GET", json.loads(said)["url"])
        if picture[:4] != b"RIFF":
            raise Stopped("no picture was shown")

    def think(self, share: float) -> None:
        time.sleep(THINK * share * self.draw.uniform(0.5, 1.5))

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.times[what].append((time.perf_counter() - began) * 1000)

    def ask(self, method: str, path: str, form: dict[str, str] | str | None = None, *, expected: int = 200) -> bytes:
        headers = {"Cookie": f"sessionid={self.session}; csrftoken={CSRF}"}
        body = None
        if form is not None:
            typed = isinstance(form, dict)
            headers |= {"X-CSRFToken": CSRF}
            headers |= {"Content-Type": "application/x-www-form-urlencoded" if typed else "application/json"}
            body = urlencode(form) if isinstance(form, dict) else form
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        read = answer.read()
        if answer.status != expected:
            raise Stopped(f"{method} {re.sub('reveal/.*', 'reveal/…', path)} answered {answer.status}")
        return read


def run(wired: Any) -> int:
    from havenline_cli.supervised import supervised
    from havenline_desk.sites.server import free_port

    print(
        f"machine: {platform.machine()}, {os.cpu_count()} cores, {_processor()}, load {os.getloadavg()[0]:.1f} at start"
    )
    began = time.monotonic()
    filled = fill(ITEMS, ANALYSTS, kept_for_the_run(), seed=SEED, at=dt.datetime.now(dt.UTC) - dt.timedelta(days=2))
    print(
        f"{filled.postings:,} postings in {filled.stacks:,} stacks, {filled.waiting:,} assignments wait; filled in "
        f"{time.monotonic() - began:.0f} s; seed {SEED}"
    )
    port = free_port(0)
    keys = [signed_in(person) for person in filled.analysts]
    with supervised(wired, port):
        analysts = [Analyst(port, key, random.Random(f"{SEED} {number}")) for number, key in enumerate(keys)]
        before = processor_seconds(wired)
        until = time.monotonic() + SECONDS
        threads = [threading.Thread(target=analyst.work, args=(until,)) for analyst in analysts]
        for number, thread in enumerate(threads):
            time.sleep(THINK / len(analysts) if number else 0)
            thread.start()
        for thread in threads:
            thread.join()
        spent = {name: seconds - before.get(name, 0) for name, seconds in processor_seconds(wired).items()}
    code = told(analysts)
    items = max(1, sum(analyst.items for analyst in analysts))
    each = ", ".join(f"{name} {1000 * seconds / items:.0f} ms" for name, seconds in spent.items())
    print(f"processor time for one of {items} items: {each}; all {1000 * sum(spent.values()) / items:.0f} ms")
    return code


def processor_seconds(wired: Any) -> dict[str, float]:
    """What each process of the desk has used by now, its children and what it has reaped of them included."""
    from havenline_desk.sites.supervisor import STATUS_FILE
    from havenline_desk.sites.supervisor import told as processes

    parents, used = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(folder.name)] = int(words[1])
        used[int(folder.name)] = sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")

    def tree(pid: int) -> float:
        return used.get(pid, 0.0) + sum(tree(child) for child, parent in parents.items() if parent == pid)

    own = {each.name: each.pid for each in processes(wired.home.path / STATUS_FILE) if each.name != "supervisor"}
    return {name: tree(pid) for name, pid in own.items()}


def kept_for_the_run() -> int:
    """Pictures for more stacks than the analysts can come to; two of them share a stack."""
    return max(200, int(ANALYSTS * SECONDS / (THINK + 1) * 1.5)) + 20 * ANALYSTS


def signed_in(person: Any) -> str:
    """The key of a session that began with a passkey, without the page for it."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    from havenline_desk.actions.end_session import begin_session
    from havenline_desk.models import Way
    from havenline_desk.queries.sign_in import SESSION_KEY as OWN

    session = SessionStore()
    session[SESSION_KEY] = str(person.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = person.get_session_auth_hash()
    began = begin_session(person, Way.PASSKEY, address="127.0.0.1", at=dt.datetime.now(dt.UTC))
    session[OWN] = began.audit_id.hex
    session.save()
    assert session.session_key is not None
    return session.session_key


def told(analysts: list[Analyst]) -> int:
    """Print the table; 1 where a bar is missed or an analyst was stopped."""
    times: dict[str, list[float]] = collections.defaultdict(list)
    for analyst in analysts:
        for what, each in analyst.times.items():
            times[what] += each
    print(
        f"\n{len(analysts)} analysts, {THINK:g} s of thinking each, {SECONDS:g} s; load {os.getloadavg()[0]:.1f} at end"
    )
    print(f"{'':18} {'times':>6} {'median':>8} {'p95':>8} {'p99':>8} {'most':>8}   asked of p95")
    missed = [analyst.trouble for analyst in analysts if analyst.trouble]
    for what in (*ASKED, *ALSO):
        each = sorted(times[what])
        if not each:
            missed.append(f"nobody did this: {what}") if what in ASKED else None
            continue
        at = {share: each[min(len(each) - 1, int(len(each) * share))] for share in (0.5, 0.95, 0.99)}
        verdict = ""
        if what in ASKED:
            met = at[0.95] <= ASKED[what]
            verdict = f"{ASKED[what]} ms: {'met' if met else 'MISSED'}"
            missed += [] if met else [f"{what}: {at[0.95]:.0f} ms"]
        row = "".join(f"{value:>6.0f} ms" for value in (*at.values(), each[-1]))
        print(f"{what:18} {len(each):>6} {row}   {verdict}".rstrip())
    for line in missed:
        print(f"MISSED: {line}")
    return 1 if missed else 0


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown processor"
    )


if __name__ == "__main__":
    sys.exit(on_a_desk(run))
