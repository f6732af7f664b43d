"""The small parts of `matchd`: what it counts and how that is told, and which lists it holds."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from havenline.matching.lists import Lists
from havenline.matching.live import LiveLists
from havenline.matching.snapshot import Snapshot
from havenline.vocabulary import HavenlineError
from havenline_guard.counters import BUCKETS, Count, Counters, bucket_of, prometheus
from havenline_guard.held import FixedLists, open_held
from tests.guard.drawn import edition, fingerprint

SECOND = 1_000_000_000


def counted() -> Counters:
    """Two processes that answer; the second has fallen."""
    made = Counters(4)
    parent, changing, first, second = (made.row(each) for each in range(4))
    parent[Count.STARTED], parent[Count.RESTARTS], parent[Count.FILTERED] = 10 * SECOND, 2, 1
    changing[Count.CHANGES], changing[Count.PENDING], changing[Count.PENDING_SINCE] = 5, 3, 20 * SECOND
    changing[Count.GENERATION] = 1
    first[Count.ALIVE], first[Count.GENERATION], first[Count.ENTRIES], first[Count.EDITIONS] = 1, 9, 70, 2
    second[Count.ALIVE], second[Count.GENERATION], second[Count.ENTRIES], second[Count.EDITIONS] = 0, 4, 60, 1
    for row, many in ((first, 3), (second, 4)):
        row[Count.LOOKUPS], row[Count.OPEN], row[Count.NANOSECONDS] = many, 1, many * 1_500
        row[Count.SHADOW] = 10 * many
    for row, nanoseconds in ((first, 1_000), (first, 33_000), (second, 33_000), (second, 900_000_000)):
        row[bucket_of(nanoseconds)] += 1
    return made


def test_the_numbers_are_those_of_all_processes_together() -> None:
    made = counted()
    told = made.told(now=30 * SECOND)
    expected = {
        "lookups_total": 7,
        "shadow_leads_total": 70,
        "changes_total": 5,
        "restarts_total": 2,
        "connections_open": 2,
        "workers": 2,
        "workers_alive": 1,
        "calls_filtered": True,
        "generation": 9,
        "entries": 70,
        "editions": 2,
        "changes_pending": 3,
        "changes_pending_seconds": 10.0,
        "uptime_seconds": 20.0,
        "lookup_seconds_sum": 7 * 1_500 / 1e9,
        "questions_total": 0,
    }
    assert {name: told[name] for name in expected} == expected
    assert list(told["lookup_microseconds"].items()) == [
        (str(1 << power), 1 if power < 6 else 3 if power < 20 else 4) for power in range(5, 21)
    ]
    assert made.of(2, Count.LOOKUPS) == 3
    assert made.sum(Count.LOOKUPS) == 7
    made.row(1)[Count.ALIVE] = 1
    assert made.told(now=30 * SECOND)["workers_alive"] == 1, "who changes the lists answers nobody"


def test_a_server_that_has_not_started_tells_noughts() -> None:
    told = Counters(2).told(now=30 * SECOND)
    assert (told["uptime_seconds"], told["changes_pending_seconds"], told["generation"]) == (0.0, 0.0, 0)
    assert (told["entries"], told["editions"], told["workers"], told["calls_filtered"]) == (0, 0, 0, False)


def test_each_duration_has_its_class() -> None:
    first = len(Count)
    assert BUCKETS[0] == 32
    assert BUCKETS[-1] == 1 << 20
    for microseconds, place in ((0, 0), (31, 0), (32, 1), (63, 1), (64, 2), ((1 << 19) - 1, 14), ((1 << 20) - 1, 15)):
        assert bucket_of(1000 * microseconds + 999) == first + place, microseconds
    assert bucket_of(1000 << 20) == -1
    assert Counters(1).row(0).nbytes == 8 * (first + len(BUCKETS))


def test_prometheus_reads_the_same_numbers() -> None:
    lines = prometheus(counted().told(now=30 * SECOND)).splitlines()
    assert prometheus(counted().told(now=30 * SECOND)).endswith("\n")
    told = dict(each.rsplit(" ", 1) for each in lines if not each.startswith("#"))
    name = "havenline_matchd_"
    assert told[f"{name}lookups_total"] == "7"
    assert told[f"{name}shadow_leads_total"] == "70"
    assert told[f"{name}calls_filtered"] == "1"
    assert told[f"{name}changes_pending_seconds"] == "10.0"
    assert told[f'{name}lookup_seconds_bucket{{le="3.2e-05"}}'] == "1"
    assert told[f'{name}lookup_seconds_bucket{{le="1.04858"}}'] == "4"
    assert told[f'{name}lookup_seconds_bucket{{le="+Inf"}}'] == "7"
    assert told[f"{name}lookup_seconds_sum"] == "0.000010500"
    assert told[f"{name}lookup_seconds_count"] == "7"
    for each in told:
        bare = each.partition("{")[0].removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
        assert sum(line.startswith((f"# HELP {bare} ", f"# TYPE {bare} ")) for line in lines) == 2, bare


def test_live_lists_and_snapshots_are_held_and_nothing_else(tmp_path: Path) -> None:
    LiveLists.create(tmp_path / "live", [edition("a")])
    assert isinstance(open_held([tmp_path / "live"]), LiveLists)
    for name in ("one", "two"):
        Snapshot.build([edition(name, of=name)]).save(tmp_path / name)
    held = open_held([tmp_path / "one", tmp_path / "two"])
    assert isinstance(held, FixedLists)
    assert held.generation == 0
    assert isinstance(held.current(), Lists)
    assert held.current() is held.current()
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert [bool(found) for found in held.current().lookup([fingerprint("one"), fingerprint("b")], at=at)] == [
        True,
        False,
    ]
    for paths in ([], [tmp_path / "live", tmp_path / "one"], [tmp_path / "live", tmp_path / "live"]):
        with pytest.raises(HavenlineError, match="one folder of live lists, or one or more snapshot files"):
            open_held(paths)
    with pytest.raises(HavenlineError, match="none: cannot be read: No such file"):
        open_held([tmp_path / "none"])
