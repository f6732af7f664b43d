"""The kill switch: what `matchd` answers from a partner's list ends with its suspension, and does not come back."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from havenline.connectors.ncmec.simulator import NcmecSimulator, Shared
from havenline.connectors.stages import Stage
from havenline.vocabulary import Fingerprint
from havenline_guard.client import MatchClient
from tests.core.connectors.rig import Clock, Rig, digest
from tests.guard.conftest import Running

ASKED = Fingerprint(
    md5=digest("md5", 1), sha1="5e" * 20, sha256="5e" * 32, size=1, width=8, height=8, pdq="c3" * 32, pdq_quality=100,
    pipeline="pdq-full/1",
)  # fmt: skip
WITHIN = 60.0


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    clock = Clock()
    partner = NcmecSimulator(clock=clock)
    with partner.serving() as base:
        secrets = {"user": "member-one", "password": "not-a-secret"}
        made = Rig(tmp_path / "rig", base, connector="ncmec", secrets=secrets, stage=None)
        partner.put(Shared("9", "e1", clock.seconds - 100, {"md5": digest("md5", 1)}))
        made.fetch(clock.now)
        yield made
        made.exchange.close()


def _leads(running: Running) -> int:
    with MatchClient(running.socket) as client:
        return len(client.lookup([ASKED], at=dt.datetime.now(dt.UTC))[0])


def _counted(running: Running, wanted: int) -> bool:
    """Whether so many are counted, within twenty seconds: a process counts after it has answered."""
    with MatchClient(running.socket) as client:
        for _ in range(1000):
            if client.health()["shadow_leads_total"] == wanted:
                return True
            time.sleep(0.02)
    return False


def test_in_shadow_it_is_counted_active_it_answers_and_suspended_it_is_gone_for_good(
    matchd: Callable[..., Running], rig: Rig
) -> None:
    live, at = rig.folder / "live", Clock().now
    running = matchd(lists=live)
    assert _leads(running) == 0
    assert _counted(running, 1)
    rig.exchange.set_stage(Stage.ACTIVE, at=at + dt.timedelta(days=8))
    assert _leads(running) == 1
    before = time.monotonic()
    rig.exchange.set_stage(Stage.SUSPENDED, at=at + dt.timedelta(days=9))
    assert _leads(running) == 0
    assert time.monotonic() - before < WITHIN
    assert _counted(running, 1), "a list that is suspended is counted no more"
    running.process.terminate()
    running.process.wait(timeout=30)
    assert _leads(matchd(lists=live)) == 0
