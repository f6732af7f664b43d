"""What the processes of `matchd` count, in memory that they share, and how it is told: numbers alone."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any

BUCKETS = tuple(1 << power for power in range(5, 21))
"""Upper ends of the classes of duration, in microseconds: from 32 to about a second."""


class Count(IntEnum):
    """Places in a process's row. The classes of duration come behind them."""

    LOOKUPS = 0
    QUESTIONS = 1
    LEADS = 2
    NANOSECONDS = 3
    CHANGES = 4
    REFUSED = 5
    MALFORMED = 6
    FAILED = 7
    CONNECTIONS = 8
    OPEN = 9
    ALIVE = 10
    RESTARTS = 11
    FILTERED = 12
    PENDING = 13
    PENDING_SINCE = 14
    GENERATION = 15
    ENTRIES = 16
    EDITIONS = 17
    FOLDS = 18
    STARTED = 19
    SHADOW = 20


_WIDTH = 21 + len(BUCKETS)
_TOLD = {
    Count.LOOKUPS: ("lookups_total", "Messages that looked something up."),
    Count.QUESTIONS: ("questions_total", "Fingerprints that were looked up."),
    Count.LEADS: ("leads_total", "Leads that were given."),
    Count.SHADOW: ("shadow_leads_total", "Leads that lists in shadow would have given; they were given to nobody."),
    Count.CHANGES: ("changes_total", "Changes that were acknowledged."),
    Count.REFUSED: ("refused_total", "Connections and questions that were refused."),
    Count.MALFORMED: ("malformed_total", "Connections that were closed because of malformed bytes."),
    Count.FAILED: ("failed_total", "Questions that failed because of a fault of the program or the lists."),
    Count.CONNECTIONS: ("connections_total", "Connections that were taken."),
    Count.RESTARTS: ("restarts_total", "Processes that fell and were started again."),
    Count.FOLDS: ("folds_total", "Times that changes were begun to be folded into a snapshot."),
}


class Counters:
    """A row of numbers for each process, shared by all that are forked after it was made.

    Row 0 is the parent's, row 1 that of the process that changes lists, the others those that answer. Each process
    writes to its own row alone, so nothing is locked; a reader may see a moment between two numbers.
    """

    def __init__(self, processes: int) -> None:
        """Make room for `processes` rows."""
        self.processes = processes
        self._all = memoryview(mmap.mmap(-1, processes * _WIDTH * 8)).cast("Q")

    def row(self, process: int) -> memoryview:
        """The numbers of one process, to be written by it alone."""
        return self._all[process * _WIDTH : (process + 1) * _WIDTH]

    def of(self, process: int, count: Count) -> int:
        """One number of one process."""
        return int(self._all[process * _WIDTH + count])

    def sum(self, count: int) -> int:
        """One number over all processes."""
        return sum(self._all[count::_WIDTH].tolist())

    def told(self, *, now: int) -> dict[str, Any]:
        """All numbers for people and programs; `now` in nanoseconds of the Unix clock. No name, no hash, no list."""
        started, since = self.of(0, Count.STARTED), self.of(1, Count.PENDING_SINCE)
        answering = range(2, self.processes)
        generations = [self.of(each, Count.GENERATION) for each in answering if self.of(each, Count.ALIVE)]
        return {
            **{name: self.sum(count) for count, (name, _) in _TOLD.items()},
            "lookup_seconds_sum": self.sum(Count.NANOSECONDS) / 1e9,
            "lookup_microseconds": dict(zip(map(str, BUCKETS), self._classes(), strict=True)),
            "connections_open": self.sum(Count.OPEN),
            "workers": self.processes - 2,
            "workers_alive": sum(self.of(each, Count.ALIVE) for each in answering),
            "calls_filtered": bool(self.of(0, Count.FILTERED)),
            "generation": min(generations, default=0),
            "entries": max((self.of(each, Count.ENTRIES) for each in answering), default=0),
            "editions": max((self.of(each, Count.EDITIONS) for each in answering), default=0),
            "changes_pending": self.of(1, Count.PENDING),
            "changes_pending_seconds": round((now - since) / 1e9, 3) if since else 0.0,
            "uptime_seconds": round((now - started) / 1e9, 3) if started else 0.0,
        }

    def _classes(self) -> list[int]:
        """How many lookups lasted at most as long as each of `BUCKETS`."""
        counts, made = 0, []
        for bucket in range(len(BUCKETS)):
            counts += self.sum(len(Count) + bucket)
            made.append(counts)
        return made


def bucket_of(nanoseconds: int) -> int:
    """The place in a row of the class of duration of a lookup, or that of no class beyond the last."""
    power = max(0, (nanoseconds // 1000).bit_length() - 5)
    return len(Count) + power if power < len(BUCKETS) else -1


def prometheus(told: Mapping[str, Any]) -> str:
    """The numbers in Prometheus's text form."""
    return "\n".join(_lines(told)) + "\n"


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    for name, text in _TOLD.values():
        yield from _number(name, "counter", text, told[name])
    whole = told["lookups_total"]
    yield "# HELP havenline_matchd_lookup_seconds How long lookups took, from their last byte to their answer's first."
    yield "# TYPE havenline_matchd_lookup_seconds histogram"
    for upper, count in told["lookup_microseconds"].items():
        yield f'havenline_matchd_lookup_seconds_bucket{{le="{int(upper) / 1e6:g}"}} {count}'
    yield f'havenline_matchd_lookup_seconds_bucket{{le="+Inf"}} {whole}'
    yield f"havenline_matchd_lookup_seconds_sum {told['lookup_seconds_sum']:.9f}"
    yield f"havenline_matchd_lookup_seconds_count {whole}"
    for name, text in (
        ("connections_open", "Connections that are open."),
        ("workers", "Processes that answer, as many as there should be."),
        ("workers_alive", "Processes that answer."),
        ("calls_filtered", "Whether the kernel filters the system calls of these processes."),
        ("generation", "The generation of the lists that is answered from; the lowest of all processes."),
        ("entries", "Entries of all lists."),
        ("editions", "Editions that are looked up in."),
        ("changes_pending", "Changes that are not folded into a snapshot yet."),
        ("changes_pending_seconds", "For how long there have been such changes."),
        ("uptime_seconds", "For how long the parent has been serving."),
    ):
        yield from _number(name, "gauge", text, int(told[name]) if type(told[name]) is bool else told[name])


def _number(name: str, kind: str, text: str, value: float) -> Iterator[str]:
    yield f"# HELP havenline_matchd_{name} {text}"
    yield f"# TYPE havenline_matchd_{name} {kind}"
    yield f"havenline_matchd_{name} {value}"
