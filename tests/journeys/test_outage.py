"""Promise 5: the way to the database is cut, stalled, slowed and half-closed under load; nothing is lost, all heals."""

from __future__ import annotations

import os
import time

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.fault_proxy import Fault, FaultProxy

from .desk_rig import desk_rig, within

SOAK = os.environ.get("HAVENLINE_SOAK") == "1"
FAULTS = [Fault.CUT, Fault.STALL, Fault.SLOW, Fault.HALF_CLOSE]


@pytest.mark.timeout(900 if SOAK else 300)
def test_the_desk_heals_within_ten_seconds_of_an_outage_and_loses_nothing_it_answered() -> None:
    seconds = 60.0 if SOAK else 4.0
    with desk_rig() as rig:
        parts = {name: str(value) for name, value in conninfo_to_dict(rig.environ["HAVENLINE_DATABASE_URL"]).items()}
        proxy = FaultProxy(rig.cluster._socket_folder() / ".s.PGSQL.5432")
        there = {"host": "127.0.0.1", "port": str(proxy.port), "user": parts["user"], "dbname": parts["dbname"]}
        rig.environ["HAVENLINE_DATABASE_URL"] = make_conninfo(**there, sslmode="disable", gssencmode="disable")
        healed: dict[str, float] = {}
        during: dict[str, int] = {}
        with rig.web():
            for fault in FAULTS:
                reached = rig.count()
                within(60, lambda held=reached: rig.count() > held + 8)  # type: ignore[misc]
                with proxy.doing(fault):
                    time.sleep(0.5)  # what the database had answered before may still be acknowledged
                    began = rig.count()
                    time.sleep(seconds)
                    if fault is Fault.SLOW:  # it goes on, however slow the machine is besides
                        within(60, lambda held=began: rig.count() > held)  # type: ignore[misc]
                    during[fault] = rig.count() - began
                over = rig.count()
                healed[fault] = within(60, lambda held=over: rig.count() > held + 4)  # type: ignore[misc]
        counted = rig.reckon()
        refused = [each for each in rig.acknowledged() if each["act"] == "refused"]
        proxy.close()
    print(f"{seconds:.0f} s each; at work again after {healed}; acknowledged meanwhile {during}")
    print(f"{counted.total()} acknowledged, {len(refused)} refused, 0 lost")
    assert proxy.carried > 10_000
    assert during[Fault.CUT] == during[Fault.STALL] == 0
    assert during[Fault.SLOW] > 0
    assert {(each["status"], each["again"]) for each in refused} == {(503, "60")}
    assert max(healed.values()) < 10
