"""Promise 1: what was acknowledged survives kill -9 of PostgreSQL and of each own process, under four writers."""

from __future__ import annotations

import os
import random
import time

import pytest

from .desk_rig import desk_rig, within

SOAK = os.environ.get("HAVENLINE_SOAK") == "1"


@pytest.mark.timeout(6_000 if SOAK else 300)
def test_nothing_acknowledged_is_lost_in_kills_of_postgresql_under_four_writers() -> None:
    seed = int(os.environ.get("HAVENLINE_SEED", "1"))
    kills = 1_000 if SOAK else 50
    chance = random.Random(seed)
    recovered, done = [], 0
    with desk_rig() as rig:
        with rig.writing(seed=seed):
            within(60, lambda: rig.count() > 20)
            until = time.monotonic() + (5_000 if SOAK else 75)
            while done < kills and time.monotonic() < until:
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
    assert done >= (200 if SOAK else 15)
    assert counted["reveal_used"] > done


@pytest.mark.timeout(6_000 if SOAK else 300)
def test_nothing_that_a_browser_was_answered_is_lost_in_kills_of_the_web_server() -> None:
    seed = int(os.environ.get("HAVENLINE_SEED", "2"))
    kills = 500 if SOAK else 50
    chance = random.Random(seed)
    done = 0
    with desk_rig() as rig:
        with rig.web() as web:
            within(60, lambda: rig.count() > 20)
            until = time.monotonic() + (5_000 if SOAK else 75)
            while done < kills and time.monotonic() < until:
                time.sleep(chance.uniform(0.05, 0.5))
                web.kill()
                before = rig.count()
                within(60, lambda held=before: rig.count() > held)  # type: ignore[misc]
                done += 1
        counted = rig.reckon()
    print(f"seed {seed}: {done} kills of the web server, {counted.total()} answers, 0 lost: {dict(counted)}")
    assert done >= (200 if SOAK else 10)
    assert counted["reveal_used"] > done
