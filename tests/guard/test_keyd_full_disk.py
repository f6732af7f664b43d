"""Promise 4 for `keyd`: a disk without space refuses, loses nothing, and `keyd` goes on when there is some again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from havenline_guard.keyd_client import KeyClient
from havenline_guard.keyd_wire import KeydRefused
from tests.small_disk import SmallDisk

from .keyd_rig import AMPLE, OBJECTS, Process, opened, refused, told, whole_log


@pytest.fixture
def keyd(tmp_path: Path) -> Iterator[Process]:
    disk = SmallDisk.mount(tmp_path / "keyd", megabytes=2)
    made = Process(disk.path)
    made.start()
    yield made
    if made.running is not None:
        made.kill()
    disk.take_away()


def test_a_full_disk_refuses_every_act_opens_nothing_and_nothing_that_was_told_is_lost(keyd: Process) -> None:
    disk = SmallDisk(keyd.folder)
    with keyd.client() as keys:
        keys.set_budget("p1", AMPLE, by="lead", second="welfare")
        before = {name: keys.mint(name, kind="original", size=1)[0] for name in OBJECTS[:4]}
        disk.fill()
        minted, refusals = fill_up(keys)
        refused("unlogged", opened, keys, OBJECTS[0])
        refused("unlogged", keys.shred, OBJECTS[1], rule="cleared", by="retention")
        refused("unlogged", keys.status)
        disk.free()
        assert {name: opened(keys, name) for name in before} == before, "without being started again"
        assert {name: opened(keys, name) for name in minted} == minted
        entries = [told(entry) for entry in whole_log(keys)]
        assert {body["object"] for act, body in entries if act == "mint"} == {*before, *minted}
    print(f"{len(minted)} keys were made in what space was left, then {refusals} refusals")
    keyd.kill()
    keyd.start()
    with keyd.client() as keys:
        assert {name: opened(keys, name) for name in before} == before
    keyd.stop()


def fill_up(keys: KeyClient) -> tuple[dict[str, bytes], int]:
    """Make keys until three in a row are refused; those that were made, and how many were not."""
    minted: dict[str, bytes] = {}
    refusals = in_a_row = 0
    number = 0
    reasons: set[str] = set()
    while in_a_row < 3:
        number += 1
        name = f"{10_000 + number:032x}"
        try:
            minted[name] = keys.mint(name, kind="original", size=1)[0]
            in_a_row = 0
        except KeydRefused as error:
            reasons.add(error.reason)
            refusals, in_a_row = refusals + 1, in_a_row + 1
        assert number < 5_000
    assert reasons == {"unlogged"}
    return minted, refusals
