"""Copies of `keyd`'s database for backups, and signing for a log that starts anew."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest

from havenline_guard.keyd_client import CheckpointKey
from havenline_guard.keyd_copy import COPY, KeydAtWork, copy_at_rest, copy_database
from havenline_guard.keyd_log import GrowingTree

from .keyd_rig import OBJECTS, Process, Rig, refused, whole_log


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.state.close()


def rows(path: Path) -> list[tuple[str, bytes]]:
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        return database.execute("SELECT object, wrapped FROM object_key ORDER BY object").fetchall()


def test_a_copy_is_whole_for_its_owner_alone_and_the_next_destruction_takes_it_away(rig: Rig) -> None:
    for name in OBJECTS[:3]:
        rig.keys.mint(name, kind="original", size=1)
    copied = rig.folder / rig.keys.copy()
    assert copied.stat().st_mode & 0o777 == 0o600
    held = rig.state._all("SELECT object, wrapped FROM object_key ORDER BY object")
    assert rows(copied) == held
    rig.keys.mint(OBJECTS[3], kind="original", size=1)
    assert len(rows(copied)) == 3, "what comes later is not in it"
    rig.keys.copy()
    assert len(rows(copied)) == 4
    rig.keys.shred(OBJECTS[0], rule="cleared", by="retention")
    assert not copied.exists()
    assert rig.acts()[-2:] == ["copy", "shred"]


def test_where_no_copy_can_be_made_nothing_is_left_and_keyd_goes_on(rig: Rig) -> None:
    (rig.folder / COPY).mkdir()
    with pytest.raises(OSError, match="directory"):
        (rig.folder / COPY).unlink()
    refused("unlogged", rig.keys.copy)
    (rig.folder / COPY).rmdir()
    rig.keys.mint(OBJECTS[0], kind="original", size=1)
    assert len(rows(rig.folder / rig.keys.copy())) == 1


def test_a_copy_that_cannot_be_flushed_is_taken_away(rig: Rig) -> None:
    rig.keys.mint(OBJECTS[0], kind="original", size=1)
    full = mock.patch("havenline_guard.keyd_copy.os.fsync", side_effect=OSError(28, "No space left on device"))
    with full, pytest.raises(OSError, match="No space left"):
        copy_database(rig.state._connected(), rig.folder / "apart.sqlite")
    assert not (rig.folder / "apart.sqlite").exists()


def test_a_keyd_that_does_not_run_is_copied_without_it_and_one_that_runs_is_not(tmp_path: Path) -> None:
    keyd = Process(tmp_path / "keyd")
    keyd.start()
    with keyd.client() as client:
        client.mint(OBJECTS[0], kind="original", size=1)
    with pytest.raises(KeydAtWork):
        copy_at_rest(tmp_path / "keyd", tmp_path / "copy")
    keyd.kill()
    lock = tmp_path / "keyd" / "lock"
    lock.unlink()
    copy_at_rest(tmp_path / "keyd", tmp_path / "copy")
    assert lock.stat().st_mode & 0o777 == 0o600
    assert [name for name, _ in rows(tmp_path / "copy")] == [OBJECTS[0]]
    keyd.start()
    keyd.stop()


def test_a_new_log_is_signed_from_its_first_entry_when_two_decide_it(rig: Rig) -> None:
    leaves = [bytes([number]) * 32 for number in range(5)]
    rig.keys.sign_checkpoint(0, leaves)
    signer = CheckpointKey(rig.keys, lambda after, until: leaves[after:until])
    refused("two", signer.new_log, "havenline.test/new", by="p1", second="p1")
    refused("two", signer.new_log, "havenline.test/new", by="p1", second="")
    refused("exists", signer.new_log, "havenline.test/log", by="p1", second="p2")
    assert signer.name == "havenline.test/log"
    assert rig.keys.status()["signed"] == 5
    signer.new_log("havenline.test/new", by="p1", second="p2")
    assert (signer.name, rig.keys.status()["origin"], rig.keys.status()["signed"]) == (
        "havenline.test/new",
        "havenline.test/new",
        0,
    )
    rig.start_again()
    assert rig.keys.status()["origin"] == "havenline.test/new", "it outlives keyd and its command line"
    signed = rig.keys.sign_checkpoint(0, leaves[:2])
    assert (signed.size, signed.root) == (2, GrowingTree().grown(leaves[:2]).root())
    body = json.loads(whole_log(rig.keys)[-2].body)
    assert body == {"by": "p1", "origin": "havenline.test/new", "second": "p2", "signed": 5}
