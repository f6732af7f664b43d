"""Promise 1: what was acknowledged survives kill -9 of PostgreSQL and of each own process, under four writers."""

from __future__ import annotations

import os
import random
import time

import pytest

from .desk_rig import desk_rig, supervised_rig, within

SOAK = os.environ.get("HAVENLINE_SOAK") == "1"


@pytest.mark.timeout(6_000 if SOAK else 600)
def test_nothing_acknowledged_is_lost_in_kills_of_postgresql_under_four_writers() -> None:
    seed = int(os.environ.get("HAVENLINE_SEED", "1"))
    kills, least = (1_000, 200) if SOAK else (50, 8)
    chance = random.Random(seed)
    recovered, done = [], 0
    with desk_rig() as rig:
        with rig.writing(seed=seed):
            within(60, lambda: rig.count() > 20)
            until = time.monotonic() + (5_000 if SOAK else 60)
            while done < least or (done < kills and time.monotonic() < until):
                time.sleep(chance.uniform(0.05, 0.6))
                whole = chance.random() < 0.7
                rig.kill_database(whole=whole)
                killed = time.monotonic()
                if whole:
                    rig.cluster.start()
                before = rig.count()
                within(60, lambda held=before: rig.count() > held)  # type: ignore[misc]
                recovered.append(time.monotonic() - killed)
                done += 1
        counted = rig.reckon()
    mean, longest = sum(recovered) / done, max(recovered)
    print(
        f"seed {seed}: {done} kills, {counted.total()} acts acknowledged, 0 lost; again at work after {mean:.1f} s on"
    )
    print(f"average, {longest:.1f} s at most; {dict(counted)}")
    assert counted["reveal_used"] > done


@pytest.mark.timeout(6_000 if SOAK else 600)
def test_nothing_that_a_browser_was_answered_is_lost_in_kills_of_the_web_server() -> None:
    seed = int(os.environ.get("HAVENLINE_SEED", "2"))
    kills, least = (500, 200) if SOAK else (50, 8)
    chance = random.Random(seed)
    done = 0
    with desk_rig() as rig:
        with rig.web() as web:
            within(60, lambda: rig.count() > 20)
            until = time.monotonic() + (5_000 if SOAK else 60)
            while done < least or (done < kills and time.monotonic() < until):
                time.sleep(chance.uniform(0.05, 0.5))
                web.kill()
                before = rig.count()
                within(60, lambda held=before: rig.count() > held)  # type: ignore[misc]
                done += 1
        counted = rig.reckon()
    print(f"seed {seed}: {done} kills of the web server, {counted.total()} answers, 0 lost: {dict(counted)}")
    assert counted["reveal_used"] > done


@pytest.mark.timeout(6_000 if SOAK else 600)
def test_nothing_acknowledged_is_lost_in_kills_of_every_process_of_the_desk() -> None:
    """Four look, a sealer destroys, and each process falls as often as the others, in a random order."""
    seed = int(os.environ.get("HAVENLINE_SEED", "3"))
    each = 50 if SOAK else 3
    names = ["postgresql", "keyd", "decoderd", "sealer", "web server"] * each
    chance = random.Random(seed)
    chance.shuffle(names)
    took: dict[str, list[float]] = {}
    with supervised_rig(due=600 if SOAK else 150) as rig:
        with rig.up():
            within(300, lambda: rig.views() > 20)
            for name in names:
                time.sleep(chance.uniform(0.05, 0.6))
                took.setdefault(name, []).append(rig.kill(name))
        counted = rig.reckon()
    for name, seconds in took.items():
        average = sum(seconds) / len(seconds)
        print(f"{name}: {len(seconds)} kills, looked at again after {average:.1f} s, {max(seconds):.1f} s at most")
    print(f"seed {seed}: {counted.total()} acts acknowledged, 0 lost: {dict(counted)}")
    assert {len(seconds) for seconds in took.values()} == {each}
    assert counted["reveal_used"] > len(names)
    assert counted["content_destroyed"] > each
