"""`matchd` and four clients on the same cores, against the incumbent's index behind a simple server, in one run.

Run it with `./dev bench matchd`; with 10 million entries it takes 5 GB. Clients are processes that use
`MatchClient.look_up`, each over one connection, one question after the other. Lists are random codes; half of the
questions are random, half are stored codes with 0 to 31 bits turned. Answers are compared with those of the same lists
opened in this process: no difference, no times.

Own share: processor time of the answering process, system calls included, over that of `HammingIndex.search_codes`
for the same batches, one after the other in turn. Peer: `PDQIndex` of the package `threatexchange` in one process
behind Python's `ThreadingHTTPServer`, connections kept open, the hash in the URL, JSON back, as the incumbent's own
server does it; only where it fits (1 million).
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from havenline.entries import Entries, Values
from havenline.matching.asked import Asked
from havenline.matching.live import LiveLists
from havenline.matching.snapshot import Edition
from havenline.texts import Texts
from havenline.vocabulary import VALUE_KINDS, EditionRef, HashKind, ListEntry
from havenline_guard.client import MatchClient
from havenline_guard.matchd import Settings, serve
from matching import asked as questions
from matching import drawn, machine

CLIENTS = 4
BATCH = 1000
SECONDS = 4.0
ROUNDS = 3
DEMANDS = {(10**6, 1): 15_000, (10**7, 1): 10_000, (10**6, BATCH): 120_000, (10**7, BATCH): 45_000}
OWN_SHARE = 0.20
VISIBLE = 0.100
CHANGES = 1000
PLACES = (0, CHANGES // 3, CHANGES // 2, CHANGES - 1)
"""Of the changed entries those that four connections ask for; that all are seen is looked at when the time is taken."""
Codes = NDArray[np.uint8]
NONE = {kind: Values.none(kind) for kind in VALUE_KINDS}
ZERO = np.zeros(1, np.uint32)


def line(name: str, value: str) -> None:
    print(f"  {name:<44}{value}", flush=True)


def verdict(reached: float, demand: float) -> str:
    return "met" if reached >= demand else "met within noise" if reached >= 0.9 * demand else "NOT MET"


def as_asked(codes: Codes) -> Asked:
    rows = ZERO if len(codes) == 1 else np.arange(len(codes), dtype=np.uint32)
    quality = np.full(len(codes), 100, np.uint8)
    return Asked(len(codes), NONE | {HashKind.PDQ: Values(rows, codes)}, quality)


def entries_of(codes: Codes) -> Entries:
    n = len(codes)
    letters = np.frombuffer(b"".join(b"e%08d" % row for row in range(n)), np.uint8)
    hashes = NONE | {HashKind.PDQ: Values(np.arange(n, dtype=np.uint32), codes)}
    ids = Texts(np.arange(n + 1, dtype=np.uint64) * 9, letters)
    return Entries(ids, hashes, np.full(n, 100, np.uint8), np.zeros(n, np.uint32))


def forked(work: Callable[[], None]) -> int:
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


@contextmanager
def serving(folder: Path, path: Path, workers: int) -> Iterator[int]:
    me = frozenset({os.getuid()})
    settings = Settings(path, workers, me, me, fold_after=10**9)
    pid = forked(lambda: serve([folder], settings, say=lambda _: None))
    try:
        for _ in range(1200):
            if path.exists():
                break
            time.sleep(0.1)
        time.sleep(1.0)
        yield pid
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


def processor_time(parent: int) -> float:
    """Seconds that all children of `parent` have used, system calls included."""
    used = 0
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        cells = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += int(cells[11]) + int(cells[12])
    return used / os.sysconf("SC_CLK_TCK")


def together(ask: Callable[[int], Callable[[int], Any]], clients: int = CLIENTS) -> tuple[float, float]:
    """How many calls a second `clients` processes make in all, and the processor time of a call in the clients.

    `ask(k)` makes the call of client k, which is given the number of the call.
    """
    start, done = os.pipe(), os.pipe()

    def work(which: int) -> None:
        call = ask(which)
        for at in range(20):
            call(at)
        os.write(done[1], b"ready   ".ljust(48))
        os.read(start[0], 1)
        began, used, count = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - began < SECONDS:
            call(count)
            count += 1
        took = time.perf_counter() - began
        os.write(done[1], f"{count / took:.6f} {(time.process_time() - used) / count:.9f}".encode().ljust(48))

    pids = [forked(lambda which=which: work(which)) for which in range(clients)]  # type: ignore[misc]
    for _ in pids:
        os.read(done[0], 48)
    os.write(start[1], b"x" * clients)
    rates, used = [], []
    for _ in pids:
        rate, each = os.read(done[0], 48).split()
        rates.append(float(rate))
        used.append(float(each))
    for pid in pids:
        if os.waitpid(pid, 0)[1]:
            sys.exit("bench/matchd: a client failed; no times given")
    for descriptor in (*start, *done):
        os.close(descriptor)
    return sum(rates), statistics.mean(used)


def caller(path: Path, batches: list[list[Asked | Codes]]) -> Callable[[int], Callable[[int], Any]]:
    def ask(which: int) -> Callable[[int], Any]:
        client, mine = MatchClient(path), batches[which]

        def call(at: int) -> None:
            each = mine[at % len(mine)]
            client.look_up(as_asked(each) if isinstance(each, np.ndarray) else each)

        return call

    return ask


def same_answers(path: Path, folder: Path, codes: Codes) -> None:
    lists, client = LiveLists.open(folder).current(), MatchClient(path)
    for some in (codes, *(codes[row : row + 1] for row in range(200))):
        here = lists.look_up(as_asked(some), at=dt.datetime.now(dt.UTC)).matches(len(some))
        if client.look_up(as_asked(some)).matches(len(some)) != here:
            sys.exit("bench/matchd: other answers than from the lists themselves; no times given")


def throughput(path: Path, parent: int, codes: Codes, size: int) -> None:
    for batch, name in ((1, "single"), (BATCH, f"batches of {BATCH:,}")):
        count = 5000 if batch == 1 else 40
        asking = [questions(codes, count * batch, 100 + which) for which in range(CLIENTS)]
        batches = [[each[at : at + batch] for at in range(0, len(each), batch)] for each in asking]
        rates, spent, clients = [], [], []
        for _ in range(ROUNDS):
            before = processor_time(parent)
            rate, client = together(caller(path, batches))
            spent.append((processor_time(parent) - before) / (rate * SECONDS * batch))
            rates.append(rate * batch)
            clients.append(client / batch)
        rate, demand = statistics.median(rates), DEMANDS.get((size, batch))
        said = "" if demand is None else f"   demand {demand:,}: {verdict(rate, demand)}"
        line(f"{name}, {CLIENTS} clients", f"{rate:,.0f} lookups a second{said}")
        server, client, cores = statistics.median(spent), statistics.median(clients), os.cpu_count() or 1
        line("  processor time of a lookup", f"{server * 1e6:.1f} us in the server, {client * 1e6:.1f} in the client")
        line(
            "  of the processors this run had",
            f"{rate * (server + client) / cores:.0%}; all would allow {cores / (server + client):,.0f} a second",
        )


def own_share(path: Path, parent: int, folder: Path, codes: Codes) -> None:
    lists = LiveLists.open(folder)
    index = lists._base.index
    every = questions(codes, 60 * BATCH, 7)
    batches = [every[at : at + BATCH] for at in range(0, len(every), BATCH)]
    client = MatchClient(path)
    whole, kernel, leads = [], [], 0
    for _ in range(5):
        before = processor_time(parent)
        for batch in batches:
            leads += len(client.look_up(as_asked(batch)).asked)
        whole.append((processor_time(parent) - before) / len(every))
        began = time.thread_time()
        for batch in batches:
            index.search_codes(batch)
        kernel.append((time.thread_time() - began) / len(every))
    share = statistics.median(a / b for a, b in zip(whole, kernel, strict=True)) - 1
    line("search_codes alone, batches, processor time", f"{statistics.median(kernel) * 1e6:.2f} us a lookup")
    line(
        "the same in matchd",
        f"{statistics.median(whole) * 1e6:.2f} us a lookup; {leads / 5 / len(every):.2f} leads each",
    )
    line("its own share", f"{share:.0%}   demand {OWN_SHARE:.0%} at most: {verdict(OWN_SHARE, max(share, 1e-9))}")


def visible(path: Path, codes: Codes) -> None:
    """From the call until every process answers by it, while two clients ask without a pause."""
    stop = os.pipe()
    asking = questions(codes, 4000, 50)

    def busy() -> None:
        os.set_blocking(stop[0], False)
        client, at = MatchClient(path), 0
        while True:
            client.look_up(as_asked(asking[at % 4000 : at % 4000 + 1]))
            at += 1
            if at % 64 == 0 and os.getppid() == 1:
                return

    pids = [forked(busy) for _ in range(2)]
    watching = [MatchClient(path) for _ in range(4)]
    fresh = drawn(20 * CHANGES, 51)
    for each in watching:
        each.look_up(as_asked(fresh[:1]))
    client = MatchClient(path)
    taken: dict[str, list[float]] = {"additions": [], "withdrawals": []}
    for turn in range(20):
        some = fresh[turn // 2 * CHANGES : (turn // 2 + 1) * CHANGES]
        adding = turn % 2 == 0
        began = time.perf_counter()
        if adding:
            entries = [
                ListEntry(f"d{turn // 2:03d}-{row:04d}", pdq=code.tobytes().hex(), pdq_quality=100)
                for row, code in enumerate(some)
            ]
            began = time.perf_counter()
            client.change(add={"noise": entries})
        else:
            client.change(withdraw={"noise": [f"d{turn // 2:03d}-{row:04d}" for row in range(CHANGES)]})
        firsts = [each.look_up(as_asked(some[place : place + 1])) for each, place in zip(watching, PLACES, strict=True)]
        taken["additions" if adding else "withdrawals"].append(time.perf_counter() - began)
        every = [each.look_up(as_asked(some)) for each in watching]
        if [len(each.asked) for each in (*firsts, *every)] != ([1] * 4 + [CHANGES] * 4 if adding else [0] * 8):
            sys.exit("bench/matchd: an acknowledged change was not seen; no times given")
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    for name, times in taken.items():
        middle = statistics.median(times)
        said = f"demand {VISIBLE * 1e3:.0f}: {verdict(VISIBLE, middle)}"
        line(
            f"{CHANGES:,} {name} seen, 2 clients asking",
            f"{middle * 1e3:.0f} ms, at most {max(times) * 1e3:.0f}   {said}",
        )


def peer(codes: Codes) -> None:
    warnings.simplefilter("ignore")
    from threatexchange.signal_type.pdq.pdq_index import PDQIndex

    index = PDQIndex.build([(code.tobytes().hex(), row) for row, code in enumerate(codes)])

    class Server(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = index.query(self.path.rpartition("=")[2])
            body = json.dumps([each.metadata for each in found]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    port = server.server_address[1]
    pid = forked(lambda: server.serve_forever())
    asking = [[each.tobytes().hex() for each in questions(codes, 2000, 100 + which)] for which in range(CLIENTS)]

    def ask(which: int) -> Callable[[int], Any]:
        connection = HTTPConnection("127.0.0.1", port)

        def call(at: int) -> None:
            connection.request("GET", f"/m/raw_lookup?signal_type=pdq&signal={asking[which][at % 2000]}")
            connection.getresponse().read()

        return call

    rate, _ = together(ask)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    server.server_close()
    line(f"peer: PDQIndex {version('threatexchange')}, HTTP, {CLIENTS} clients", f"{rate:,.0f} lookups a second")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("sizes", nargs="*", type=int, default=[10**6, 10**7])
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--no-peer", action="store_true")
    chosen = parser.parse_args()
    for each in machine():
        print(each)
    for size in chosen.sizes:
        print(f"{size:,} entries, {chosen.workers} answering processes")
        folder = Path(tempfile.mkdtemp(prefix="havenline-bench-"))
        try:
            codes = drawn(size, 1)
            LiveLists.create(folder / "l", [Edition(EditionRef("noise", 1, "0" * 64), entries_of(codes))], threads=2)
            with serving(folder / "l", folder / "s", chosen.workers) as parent:
                same_answers(folder / "s", folder / "l", questions(codes, 2000, 3))
                throughput(folder / "s", parent, codes, size)
                own_share(folder / "s", parent, folder / "l", codes)
                visible(folder / "s", codes)
            if size <= 10**6 and not chosen.no_peer:
                peer(codes)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
