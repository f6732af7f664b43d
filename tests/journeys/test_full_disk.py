"""Promise 4: a full disk refuses, loses nothing, shows nothing unlogged, and the desk goes on when there is space."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from havenline_desk.sites.binaries import system_user
from tests.small_disk import SmallDisk

from .desk_rig import DeskRig, desk_rig, within


def _database(rig: DeskRig) -> None:
    group = system_user().pw_gid
    rig.disks.append(SmallDisk.mount(rig.home.postgresql, megabytes=160, mode="0710", group=group))


def _audit(rig: DeskRig) -> None:
    rig.disks.append(SmallDisk.mount(rig.home.path / "audit", megabytes=1))


@pytest.mark.parametrize("place", [_database, _audit], ids=["database", "audit folder"])
def test_a_full_disk_refuses_with_a_time_to_come_back_and_nothing_is_lost_or_unlogged(
    place: Callable[[DeskRig], None],
) -> None:
    with desk_rig(place) as rig:
        (disk,) = rig.disks
        with rig.web():
            within(60, lambda: rig.count() > 20)
            disk.fill()
            full = time.time()
            within(60, lambda: any(each["at"] > full for each in refusals(rig)))
            time.sleep(5)
            disk.free()
            free = time.time()
            rig.cluster.start()  # as its supervisor does: out of space for its log, PostgreSQL ends
            before = rig.count()
            again = within(60, lambda: rig.count() > before + 4)
        counted = rig.reckon()
        refused = [each for each in refusals(rig) if full < each["at"] < free]
    print(f"{len(refused)} refused, {counted.total()} acknowledged, 0 lost; at work again after {again:.1f} s")
    assert {each["status"] for each in refused} == {503}
    assert {each["again"] for each in refused} == {"60"}
    assert again < 10


def refusals(rig: DeskRig) -> list[dict[str, Any]]:
    return [each for each in rig.acknowledged() if each["act"] == "refused"]
