"""`keyd` without its socket: grants, budgets, destroying, rotation, its clock and its log."""

from __future__ import annotations

import json
import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, replace
from pathlib import Path
from unittest import mock

import pytest

from havenline_guard.keyd_log import first_fault
from havenline_guard.keyd_master import MasterKeys, MasterKeysError
from havenline_guard.keyd_state import SECOND
from havenline_guard.keyd_wire import Budget, KeydRefused, Peer
from tests.guard.keyd_rig import AMPLE, GRANTS, OBJECTS, PASSPHRASE, Rig, bound, refused, told, whole_log

SOAK = os.environ.get("HAVENLINE_SOAK") == "1"


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    made = Rig(tmp_path)
    made.keys.set_budget("p1", AMPLE, by="lead", second="welfare")
    return made


# -- invariant I3: grants ------------------------------------------------------------------------------------------


def test_a_grant_opens_its_object_once(rig: Rig) -> None:
    key, version = rig.keys.mint(OBJECTS[0], kind="original", size=100)
    token = rig.keys.grant(bound(OBJECTS[0]))
    assert rig.keys.open(token, bound(OBJECTS[0])) == (key, version)
    refused("used", rig.keys.open, token, bound(OBJECTS[0]))
    assert rig.acts()[-3:] == ["grant", "unwrap", "refused"]


@pytest.mark.parametrize("field", ["person", "session", "item", "assignment", "purpose", "object", "grant"])
def test_a_grant_is_of_no_use_to_anybody_or_for_anything_else(rig: Rig, field: str) -> None:
    for name in OBJECTS[:2]:
        rig.keys.mint(name, kind="original", size=1)
    other = {"session": "0" * 64, "object": OBJECTS[1], "grant": "0" * 32}.get(field, "other")
    token = rig.keys.grant(bound(OBJECTS[0]))
    refused("unknown", rig.keys.open, token, replace(bound(OBJECTS[0]), **{field: other}))
    assert rig.keys.open(token, bound(OBJECTS[0]))


def test_an_unknown_token_opens_nothing(rig: Rig) -> None:
    rig.keys.mint(OBJECTS[0], kind="original", size=1)
    refused("unknown", rig.keys.open, "x" * 32, bound(OBJECTS[0]))
    refused("malformed", rig.keys.open, "x", bound(OBJECTS[0]))


@pytest.mark.parametrize(("seconds", "opens"), [(119.9, True), (120, False), (5000, False)])
def test_a_grant_runs_out_after_its_seconds(rig: Rig, seconds: float, opens: bool) -> None:
    rig.keys.mint(OBJECTS[0], kind="original", size=1)
    token = rig.keys.grant(bound(OBJECTS[0]))
    rig.clocks.run(seconds)
    if opens:
        assert rig.keys.open(token, bound(OBJECTS[0]))
    else:
        refused("late", rig.keys.open, token, bound(OBJECTS[0]))


def test_no_grant_is_longer_than_two_minutes(rig: Rig) -> None:
    rig.keys.mint(OBJECTS[0], kind="original", size=1)
    refused("malformed", rig.keys.grant, bound(OBJECTS[0]), seconds=121)


@pytest.mark.parametrize("wall", [-86_400, -600, +86_400])
@pytest.mark.parametrize("restarted", [False, True])
def test_setting_the_clock_neither_lengthens_nor_ends_a_grant(rig: Rig, wall: int, restarted: bool) -> None:
    rig.keys.mint(OBJECTS[0], kind="original", size=1)
    first, second = (rig.keys.grant(bound(OBJECTS[0])) for _ in range(2))
    rig.clocks.run(60)
    rig.clocks.wall += wall * SECOND
    if restarted:
        rig.start_again()
    assert rig.keys.open(first, bound(OBJECTS[0]))
    rig.clocks.run(60)
    refused("late", rig.keys.open, second, bound(OBJECTS[0]))
    assert rig.keys.status()["clock_apart_seconds"] == wall


@pytest.mark.parametrize("wall", [-86_400, +30])
def test_a_new_start_of_the_machine_ends_every_grant_and_time_goes_on(rig: Rig, wall: int) -> None:
    rig.keys.mint(OBJECTS[0], kind="original", size=1)
    token = rig.keys.grant(bound(OBJECTS[0]))
    before = rig.state.now()
    rig.clocks.start_again(wall=rig.clocks.wall + wall * SECOND)
    rig.start_again()
    refused("late", rig.keys.open, token, bound(OBJECTS[0]))
    assert rig.state.now() == before + max(wall, 0) * SECOND
    whole_log(rig.keys)


def test_a_grant_survives_a_killed_keyd_and_stays_used(rig: Rig) -> None:
    key, _ = rig.keys.mint(OBJECTS[0], kind="original", size=1)
    first, second = (rig.keys.grant(bound(OBJECTS[0])) for _ in range(2))
    rig.keys.open(first, bound(OBJECTS[0]))
    rig.start_again()
    refused("used", rig.keys.open, first, bound(OBJECTS[0]))
    assert rig.keys.open(second, bound(OBJECTS[0]))[0] == key


def test_the_name_of_a_grant_is_used_once(rig: Rig) -> None:
    rig.keys.mint(OBJECTS[0], kind="original", size=1)
    rig.keys.grant(bound(OBJECTS[0], grant="a" * 32))
    refused("exists", rig.keys.grant, bound(OBJECTS[0], grant="a" * 32))


def test_nothing_is_granted_for_what_was_never_kept(rig: Rig) -> None:
    refused("unknown", rig.keys.grant, bound(OBJECTS[5]))


def test_a_key_is_bound_to_its_object_and_kind(rig: Rig) -> None:
    for name in OBJECTS[:2]:
        rig.keys.mint(name, kind="original", size=1)
    database = sqlite3.connect(rig.folder / "keyd.sqlite")
    rig.state.close()
    wrapped = database.execute("SELECT wrapped FROM object_key WHERE object = ?", (OBJECTS[1],)).fetchone()
    database.execute("UPDATE object_key SET wrapped = ? WHERE object = ?", (*wrapped, OBJECTS[0]))
    database.commit()
    database.close()
    token = rig.keys.grant(bound(OBJECTS[0]))
    refused("master", rig.keys.open, token, bound(OBJECTS[0]))


def test_old_grants_and_exposures_are_forgotten(rig: Rig) -> None:
    rig.keys.mint(OBJECTS[0], kind="original", size=1)
    token = rig.keys.grant(bound(OBJECTS[0]))
    rig.keys.open(token, bound(OBJECTS[0]))
    rig.clocks.run(3 * 86_400)
    rig.keys.grant(bound(OBJECTS[0]))
    refused("unknown", rig.keys.open, token, bound(OBJECTS[0]))


# -- invariant I4: no log, no act ----------------------------------------------------------------------------------


def test_the_entry_is_on_the_disk_before_the_key_is_unwrapped(rig: Rig) -> None:
    rig.keys.mint(OBJECTS[0], kind="original", size=1)
    token = rig.keys.grant(bound(OBJECTS[0]))
    seen: list[bool] = []
    unwrap = rig.master.unwrap

    def looking(version: int, wrapped: bytes, *, bound: bytes) -> bytes:
        assert not rig.state._connected().in_transaction
        (line,) = rig.state._one("SELECT line FROM log ORDER BY seq DESC LIMIT 1")
        seen.append((json.loads(line)["act"], json.loads(line)["grant"]) == ("unwrap", GRANTS[token]))
        return unwrap(version, wrapped, bound=bound)

    with mock.patch.object(rig.master, "unwrap", looking):
        rig.keys.open(token, bound(OBJECTS[0]))
    assert seen == [True]
    assert rig.state._one("PRAGMA synchronous") == (2,)


def test_the_log_says_what_was_opened_by_whom_and_holds_no_key_and_no_token(rig: Rig) -> None:
    key, _ = rig.keys.mint(OBJECTS[0], kind="original", size=77)
    token = rig.keys.grant(bound(OBJECTS[0]), escalation=True)
    rig.keys.open(token, bound(OBJECTS[0]))
    entries = whole_log(rig.keys)
    act, body = told(entries[-1])
    assert (act, body["person"], body["object"], body["grant"]) == ("unwrap", "p1", OBJECTS[0], GRANTS[token])
    assert told(entries[-2])[1]["escalation"] is True
    text = "".join(entry.line + entry.body for entry in entries)
    assert key.hex() not in text
    assert token not in text


def test_every_damage_to_the_log_is_found_and_placed(rig: Rig) -> None:
    for name in OBJECTS[:20]:
        rig.keys.mint(name, kind="original", size=1)
        rig.clocks.run(1)
    entries, status = whole_log(rig.keys), rig.keys.status()
    chance = random.Random(20)
    print("seed 20")
    for _ in range(2_000):
        changed, at = list(entries), chance.randrange(len(entries))
        match chance.randrange(5):
            case 0:
                changed[at] = replace(changed[at], line=flipped(changed[at].line, chance))
            case 1:
                changed[at] = replace(changed[at], body=flipped(changed[at].body, chance))
            case 2:
                del changed[at]
            case 3:
                other = (at + 1) % len(changed)
                changed[at], changed[other] = changed[other], changed[at]
            case _:
                changed.insert(at, changed[at])
        fault = first_fault(changed, head=(status["log"], status["head"]))
        assert fault is not None
        # An entry that was changed shows in the one after it, which bears its hash.
        assert changed[: max(0, fault.seq - 2)] == entries[: max(0, fault.seq - 2)]


def flipped(text: str, chance: random.Random) -> str:
    place = chance.randrange(len(text))
    return text[:place] + chr(ord(text[place]) ^ 1 << chance.randrange(6)) + text[place + 1 :]


# -- invariant I5: budgets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "allowed"),
    [
        (Budget(3, 9, 99, 1 << 40, 99), 3),
        (Budget(9, 4, 99, 1 << 40, 99), 4),
        (Budget(9, 9, 99, 250, 99), 2),
        (Budget(9, 9, 99, 1 << 40, 5), 5),
        (Budget(0, 9, 99, 1 << 40, 99), 0),
    ],
)
def test_the_budget_is_a_hard_stop_even_for_grants_given_before(rig: Rig, budget: Budget, allowed: int) -> None:
    rig.keys.mint(OBJECTS[0], kind="original", size=100)
    tokens = [rig.keys.grant(bound(OBJECTS[0])) for _ in range(6)]
    rig.keys.set_budget("p1", budget, by="p1")
    for token in tokens[:allowed]:
        assert rig.keys.open(token, bound(OBJECTS[0]))
    refused("budget", rig.keys.open, tokens[allowed], bound(OBJECTS[0]))
    refused("budget", rig.keys.grant, bound(OBJECTS[0]))


def test_after_the_minutes_without_a_pause_comes_a_pause(rig: Rig) -> None:
    rig.keys.mint(OBJECTS[0], kind="original", size=1)
    rig.keys.set_budget("p1", replace(AMPLE, minutes=20), by="p1")

    def look() -> None:
        rig.keys.open(rig.keys.grant(bound(OBJECTS[0])), bound(OBJECTS[0]))

    for _ in range(4):
        look()
        rig.clocks.run(300)
    assert "pause" in refused("budget", look)
    rig.clocks.run(599)
    refused("budget", look)
    rig.clocks.run(1)
    look()


@pytest.mark.parametrize(
    ("budget", "frees_in"),
    [
        (Budget(2, 9, 99, 99, 99), 3600 - 60),
        (Budget(1, 9, 99, 99, 99), 3600),
        (Budget(9, 2, 99, 99, 99), 86400 - 60),
        (Budget(9, 9, 1, 99, 99), 900),
        (Budget(9, 9, 99, 10, 99), 86400 - 60),
        (Budget(9, 9, 99, 5, 99), 86400),
        (Budget(9, 9, 99, 15, 99), 0),
        (Budget(9, 9, 99, 99, 2), 7 * 86400 - 60),
        (Budget(9, 9, 99, 99, 1), 7 * 86400),
        (Budget(1, 9, 99, 99, 0), None),
        (Budget(0, 9, 99, 99, 99), None),
    ],
)
def test_a_used_up_budget_says_when_it_frees_and_then_it_does(rig: Rig, budget: Budget, frees_in: int | None) -> None:
    rig.keys.mint(OBJECTS[0], kind="original", size=5)
    for wait in (60, 0):
        token = rig.keys.grant(bound(OBJECTS[0]))
        assert rig.keys.open(token, bound(OBJECTS[0]))
        rig.clocks.run(wait)
    rig.keys.set_budget("p1", budget, by="p1")
    assert rig.keys.exposed("p1")[0].frees_in == frees_in
    if frees_in:
        refused("budget", rig.keys.grant, bound(OBJECTS[0]))
        rig.clocks.run(frees_in - 1)
        assert rig.keys.exposed("p1")[0].frees_in == 1
        refused("budget", rig.keys.grant, bound(OBJECTS[0]))
        rig.clocks.run(1)
    if frees_in is not None:
        assert rig.keys.exposed("p1")[0].frees_in == 0
        assert rig.keys.grant(bound(OBJECTS[0]))


@pytest.mark.parametrize(
    ("seconds", "hour", "day", "week"),
    [
        *((3_599, 1, 1, 1), (3_600, 0, 1, 1), (86_399, 0, 1, 1), (86_400, 0, 0, 1), (200_000, 0, 0, 1)),
        *((604_799, 0, 0, 1), (604_800, 0, 0, 0)),
    ],
)
def test_an_opening_leaves_its_hour_day_and_week_at_their_last_second(
    rig: Rig, seconds: int, hour: int, day: int, week: int
) -> None:
    rig.keys.mint(OBJECTS[0], kind="original", size=7)
    rig.keys.set_budget("p1", AMPLE, by="p1")
    rig.keys.open(rig.keys.grant(bound(OBJECTS[0])), bound(OBJECTS[0]))
    rig.clocks.run(seconds)
    exposed = rig.keys.exposed("p1")[0]
    assert (exposed.last_hour, exposed.last_day, exposed.last_week) == (hour, day, week)
    assert exposed.bytes_last_day == 7 * day


def test_a_file_from_before_weeks_were_counted_gets_five_days_for_each(rig: Rig) -> None:
    rig.keys.set_budget("p1", replace(AMPLE, per_day=12), by="p1")
    rig.state._connected().execute("ALTER TABLE budget DROP COLUMN per_week")
    rig.start_again()
    assert rig.keys.exposed("p1")[1] == replace(AMPLE, per_day=12, per_week=60)
    rig.start_again()
    assert rig.keys.exposed("p1")[1] == replace(AMPLE, per_day=12, per_week=60)


def test_an_escalation_needs_no_budget_and_is_written_down_like_any_other(rig: Rig) -> None:
    rig.keys.mint(OBJECTS[0], kind="original", size=5)
    rig.keys.set_budget("p1", Budget(0, 0, 0, 0, 0), by="p1")
    refused("budget", rig.keys.grant, bound(OBJECTS[0]))
    for person in ("p1", "p9"):
        token = rig.keys.grant(bound(OBJECTS[0], person=person), escalation=True)
        assert rig.keys.open(token, bound(OBJECTS[0], person=person))
    assert rig.keys.status()["escalations_last_day"] == 2
    assert rig.acts()[-4:] == ["grant", "unwrap", "grant", "unwrap"]
    assert astuple(rig.keys.exposed("p1")[0]) == (1, 1, 0, 5, 1, None)


def test_who_has_no_budget_here_opens_nothing(rig: Rig) -> None:
    rig.keys.mint(OBJECTS[0], kind="original", size=1)
    assert "two others" in refused("budget", rig.keys.grant, bound(OBJECTS[0], person="p2"))
    assert rig.keys.exposed("p2")[1] is None


@pytest.mark.parametrize(
    ("by", "second"), [("lead", ""), ("lead", "lead"), ("p1", "welfare"), ("lead", "p1")]
)  # fmt: skip
def test_raising_a_budget_needs_two_others(rig: Rig, by: str, second: str) -> None:
    more = replace(AMPLE, minutes=AMPLE.minutes + 1)
    refused("two", rig.keys.set_budget, "p1", more, by=by, second=second)
    assert rig.keys.exposed("p1")[1] == AMPLE
    rig.keys.set_budget("p1", more, by="lead", second="welfare")
    assert rig.keys.exposed("p1")[1] == more


def test_the_desk_alone_cannot_raise_a_budget_and_can_lower_it(rig: Rig) -> None:
    rig.peers = frozenset({Peer.DESK})
    refused("not_allowed", rig.keys.set_budget, "p7", AMPLE, by="lead", second="welfare")
    rig.keys.set_budget("p1", replace(AMPLE, per_hour=1), by="p1")


@pytest.mark.parametrize("seed", range(200 if SOAK else 12))
def test_no_order_of_acts_exceeds_a_budget(tmp_path: Path, seed: int) -> None:
    print(f"seed {seed}")
    chance, rig = random.Random(seed), Rig(tmp_path)
    people, sizes = ("p1", "p2"), {}
    budgets = {
        person: Budget(chance.randrange(6), chance.randrange(12), 30, 900, chance.randrange(5, 40)) for person in people
    }
    for person, budget in budgets.items():
        rig.keys.set_budget(person, budget, by="lead", second="welfare")
    for name in OBJECTS[:6]:
        sizes[name] = chance.randrange(300)
        rig.keys.mint(name, kind="original", size=sizes[name])
    tokens: list[tuple[str, str, str]] = []
    opened: dict[str, list[tuple[int, int]]] = {person: [] for person in people}
    for _ in range(120):
        person, name = chance.choice(people), chance.choice(OBJECTS[:6])
        match chance.randrange(5):
            case 0 | 1:
                with suppress_refusals("budget"):
                    tokens.append((person, name, rig.keys.grant(bound(name, person=person))))
            case 2 | 3 if tokens:
                person, name, token = tokens.pop(chance.randrange(len(tokens)))
                with suppress_refusals("budget", "late"):
                    rig.keys.open(token, bound(name, person=person))
                    opened[person].append((rig.clocks.since_boot, sizes[name]))
            case _:
                rig.clocks.run(chance.choice((1, 10, 100, 700, 1000, 20_000)))
                if chance.random() < 0.1:
                    rig.start_again()
        now = rig.clocks.since_boot
        for who, budget in budgets.items():
            day = [(at, size) for at, size in opened[who] if at > now - 86_400 * SECOND]
            assert sum(at > now - 3600 * SECOND for at, _ in day) <= budget.per_hour
            assert len(day) <= budget.per_day
            assert sum(size for _, size in day) <= budget.bytes_per_day
            assert sum(at > now - 7 * 86_400 * SECOND for at, _ in opened[who]) <= budget.per_week
    whole_log(rig.keys)


# -- holds, shredding, tombstones ----------------------------------------------------------------------------------


def test_a_destroyed_object_is_never_opened_and_never_minted_again(rig: Rig) -> None:
    rig.keys.mint(OBJECTS[0], kind="original", size=1)
    token = rig.keys.grant(bound(OBJECTS[0]))
    rig.keys.shred(OBJECTS[0], rule="cleared", by="retention")
    refused("destroyed", rig.keys.open, token, bound(OBJECTS[0]))
    refused("destroyed", rig.keys.grant, bound(OBJECTS[0]))
    assert "destroyed" in refused("exists", rig.keys.mint, OBJECTS[0], kind="original", size=1)
    refused("unknown", rig.keys.shred, OBJECTS[1], rule="cleared", by="retention")
    assert (rig.keys.status()["keys"], rig.keys.status()["destroyed"]) == (0, 1)


def test_an_object_has_one_key(rig: Rig) -> None:
    rig.keys.mint(OBJECTS[0], kind="original", size=1)
    refused("exists", rig.keys.mint, OBJECTS[0], kind="original", size=1)


def test_a_destroyed_key_is_in_no_file_of_keyd(rig: Rig) -> None:
    rig.keys.mint(OBJECTS[0], kind="original", size=1)
    (wrapped,) = rig.state._one("SELECT wrapped FROM object_key")
    rig.state._move_wal()
    assert wrapped in (rig.folder / "keyd.sqlite").read_bytes()
    rig.keys.shred(OBJECTS[0], rule="cleared", by="retention")
    assert [path for path in rig.folder.iterdir() if wrapped in path.read_bytes()] == []


def test_a_hold_stops_destroying_until_two_people_release_it(rig: Rig) -> None:
    rig.keys.mint(OBJECTS[0], kind="original", size=1)
    rig.keys.place_hold(OBJECTS[0], "court-7", by="lead")
    rig.keys.place_hold(OBJECTS[0], "court-7", by="lead")
    refused("held", rig.keys.shred, OBJECTS[0], rule="early", by="lead", second="senior")
    refused("two", rig.keys.release_hold, OBJECTS[0], "court-7", by="lead", second="lead")
    rig.keys.release_hold(OBJECTS[0], "court-7", by="lead", second="senior")
    refused("unknown", rig.keys.release_hold, OBJECTS[0], "court-7", by="lead", second="senior")
    refused("two", rig.keys.shred, OBJECTS[0], rule="early", by="lead")
    rig.keys.shred(OBJECTS[0], rule="early", by="lead", second="senior")
    refused("destroyed", rig.keys.place_hold, OBJECTS[0], "court-8", by="lead")


def test_a_restored_database_does_not_bring_a_destroyed_key_back(rig: Rig) -> None:
    rig.keys.mint(OBJECTS[0], kind="original", size=1)
    rig.keys.mint(OBJECTS[1], kind="original", size=1)
    rig.state.close()
    backup = (rig.folder / "keyd.sqlite").read_bytes()
    rig.keys.mint(OBJECTS[2], kind="original", size=1)
    for name in (OBJECTS[0], OBJECTS[0], OBJECTS[2]):
        rig.keys.shred(name, rule="cleared", by="retention")
    rig.state.close()
    (rig.folder / "keyd.sqlite").write_bytes(backup)
    rig.start()
    refused("destroyed", rig.keys.grant, bound(OBJECTS[0]))
    assert rig.keys.grant(bound(OBJECTS[1]))
    assert "shred" in rig.acts()
    assert "destroyed" in refused("exists", rig.keys.mint, OBJECTS[2], kind="original", size=1)


def test_a_ledger_that_a_crash_cut_short_is_carried_through_at_the_next_start(rig: Rig) -> None:
    for name in OBJECTS[:2]:
        rig.keys.mint(name, kind="original", size=1)
        rig.keys.shred(name, rule="cleared", by="retention")
    ledger = rig.folder / "erasures"
    ledger.write_bytes(ledger.read_bytes()[:-20])
    rig.start_again()
    assert {*OBJECTS[:2]} <= {*ledger.read_text().split()}


# -- rotation ------------------------------------------------------------------------------------------------------


def rotate_to_the_end(rig: Rig) -> None:
    while rig.state.rewrap_some():
        pass


def test_after_a_rotation_the_old_version_is_gone_and_every_key_opens(rig: Rig) -> None:
    kept = {name: rig.keys.mint(name, kind="original", size=1)[0] for name in OBJECTS[:5]}
    before = (rig.folder / "master.keys").read_bytes()
    rig.state.close()
    database = (rig.folder / "keyd.sqlite").read_bytes()
    assert rig.keys.rotate(by="lead", second="senior") == 2
    refused("busy", rig.keys.rotate, by="lead", second="senior")
    assert rig.keys.status()["to_rewrap"] == 5
    rotate_to_the_end(rig)
    assert rig.state.rewrap_some() is False
    assert rig.keys.status()["versions"] == [2]
    for name, key in kept.items():
        assert rig.keys.open(rig.keys.grant(bound(name)), bound(name))[0] == key
    old = MasterKeys.unseal(_written(rig.folder / "old.keys", before), PASSPHRASE)
    (wrapped, master) = rig.state._one("SELECT wrapped, master FROM object_key LIMIT 1")
    with pytest.raises(MasterKeysError, match="version 2"):
        old.unwrap(master, wrapped, bound=b"")
    new = MasterKeys.unseal(rig.folder / "master.keys", PASSPHRASE)
    with pytest.raises(MasterKeysError, match="version 1"):
        new.unwrap(1, b"\0" * 60, bound=b"")
    assert database != (rig.folder / "keyd.sqlite").read_bytes()
    refused("two", rig.keys.rotate, by="lead", second="")


def test_a_rotation_that_was_killed_anywhere_goes_on(rig: Rig) -> None:
    kept = {name: rig.keys.mint(name, kind="original", size=1)[0] for name in OBJECTS[:9]}
    with mock.patch("havenline_guard.keyd_state.REWRAPPED_AT_ONCE", 2):
        with mock.patch.object(MasterKeys, "add", side_effect=MasterKeysError("killed")):
            refused("master", rig.keys.rotate, by="lead", second="senior")
        rig.start_again()
        assert rig.keys.status()["versions"] == [1, 2]
        while rig.keys.status()["to_rewrap"]:
            rig.state.rewrap_some()
            rig.start_again()
        with (
            mock.patch.object(MasterKeys, "retire", side_effect=MasterKeysError("killed")),
            pytest.raises(MasterKeysError),
        ):
            rig.state.rewrap_some()
        rig.start_again()
        rotate_to_the_end(rig)
    assert rig.keys.status()["versions"] == [2]
    for name, key in kept.items():
        assert rig.keys.open(rig.keys.grant(bound(name)), bound(name))[0] == key


def test_older_master_keys_beside_a_newer_database_are_refused(rig: Rig) -> None:
    before = (rig.folder / "master.keys").read_bytes()
    rig.keys.rotate(by="lead", second="senior")
    rig.keys.mint(OBJECTS[0], kind="original", size=1)
    rig.state.close()
    (rig.folder / "master.keys").write_bytes(before)
    with pytest.raises(MasterKeysError, match="older than the database"):
        rig.start()


def test_a_second_state_cannot_write_beside_the_first(rig: Rig) -> None:
    with pytest.raises(sqlite3.OperationalError):
        Rig(rig.folder)


@contextmanager
def suppress_refusals(*reasons: str) -> Iterator[None]:
    try:
        yield
    except KeydRefused as error:
        if error.reason not in reasons:
            raise


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
