"""Messages come back as they were sent, and other bytes are refused, whatever they are."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from havenline.entries import BYTES, Entries, Values
from havenline.matching import Lists
from havenline.matching.asked import Asked, AskedFrames
from havenline.matching.change_log import Change
from havenline.vocabulary import VALUE_KINDS, Fingerprint, FrameHash, HashKind, ListEntry, ListTerms, listed_frames
from havenline_guard import wire
from havenline_guard.wire import Malformed, Table
from tests.guard.drawn import edition, entry, fingerprint

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


@st.composite
def questions(draw: st.DrawFn) -> Asked:
    count = draw(st.integers(1, 5))
    chance = np.random.default_rng(draw(st.integers(0, 1000)))
    hashes = {}
    for kind in VALUE_KINDS:
        number = draw(st.integers(0, 4))
        values = chance.integers(0, 256, (number, BYTES[kind]), dtype=np.uint8)
        hashes[kind] = Values(chance.integers(0, count, number).astype(np.uint32), values)
    qualities = chance.integers(0, 101, len(hashes[HashKind.PDQ])).astype(np.uint8)
    number = draw(st.integers(0, 4)) if len(qualities) else 0
    frames = AskedFrames(
        chance.integers(0, max(1, len(qualities)), number).astype(np.uint32),
        chance.integers(0, 1 << 32, number).astype(np.uint32),
        chance.integers(0, 2, number).astype(np.bool_),
    )
    return Asked(count, hashes, qualities, draw(st.integers(0, 64)), frames)


@given(questions(), st.integers(0, 2**64 - 1))
def test_a_question_arrives_as_it_was_asked(asked: Asked, known: int) -> None:
    read, again = wire.read_asked(memoryview(wire.asked_body(asked, known)))
    assert (read.count, read.leeway, again) == (asked.count, asked.leeway, known)
    assert np.array_equal(read.pdq_quality, asked.pdq_quality)
    for kind in VALUE_KINDS:
        assert np.array_equal(read.hashes[kind].rows, asked.hashes[kind].rows)
        assert np.array_equal(read.hashes[kind].values, asked.hashes[kind].values)
    for name in ("values", "milliseconds", "upright"):
        assert np.array_equal(getattr(read.frames, name), getattr(asked.frames, name))


def test_one_perceptual_hash_alone_arrives_as_it_was_asked() -> None:
    values = {kind: Values.none(kind) for kind in VALUE_KINDS}
    code = np.arange(32, dtype=np.uint8).reshape(1, 32)
    asked = Asked(1, values | {HashKind.PDQ: Values(np.zeros(1, np.uint32), code)}, np.array([51], np.uint8))
    read, _ = wire.read_asked(memoryview(wire.asked_body(asked, 1)))
    assert read.hashes[HashKind.PDQ].values.tolist() == code.tolist()
    assert read.hashes[HashKind.PDQ].rows.tolist() == [0]
    assert read.pdq_quality.tolist() == [51]


@pytest.mark.parametrize(
    "asked",
    [
        Asked(1, {**Asked.of([fingerprint("a")]).hashes}, np.array([101], np.uint8)),
        Asked(0, {**Asked.of([fingerprint("a")]).hashes}, np.array([100], np.uint8)),
        Asked(1, Asked.of([fingerprint("a"), fingerprint("b")]).hashes, np.array([100, 100], np.uint8)),
        Asked(1, Asked.of([fingerprint("a")]).hashes, np.array([100], np.uint8), 65),
        replace(
            Asked.of([fingerprint("a")]),
            frames=AskedFrames(np.ones(1, np.uint32), np.zeros(1, np.uint32), np.zeros(1, np.bool_)),
        ),
        replace(
            Asked.of([fingerprint("a")]),
            frames=AskedFrames(np.zeros(1, np.uint32), np.zeros(1, np.uint32), np.array([2], np.uint8)),  # type: ignore[arg-type]
        ),
    ],
    ids=["quality", "no fingerprint", "row beyond", "leeway", "a hash beyond", "turned twice"],
)
def test_a_question_that_contradicts_itself_is_refused(asked: Asked) -> None:
    with pytest.raises(Malformed):
        wire.read_asked(memoryview(wire.asked_body(asked, 0)))


@given(st.binary(max_size=400))
@settings(max_examples=300)
def test_any_bytes_are_a_question_or_are_refused(body: bytes) -> None:
    with contextlib.suppress(Malformed):
        wire.read_asked(memoryview(body))


@given(questions(), st.data())
@settings(max_examples=300)
def test_a_question_with_a_few_other_bytes_is_one_or_is_refused(asked: Asked, data: st.DataObject) -> None:
    body = bytearray(wire.asked_body(asked, 7))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    body = body[: data.draw(st.integers(0, len(body)))] if data.draw(st.booleans()) else body
    with contextlib.suppress(Malformed):
        read, _ = wire.read_asked(memoryview(body))
        assert all(int(each.rows.max(initial=0)) < max(1, read.count) for each in read.hashes.values())
        assert int(read.frames.values.max(initial=0)) < max(1, len(read.pdq_quality))


def films() -> tuple[Lists, list[Fingerprint]]:
    """Lists with two films beside a picture, and three films to ask about."""
    frames = [FrameHash(float(n), f"{(1 << 40 * n) - 1:064x}", 90) for n in range(6)]
    listed = [ListEntry("long", frames=listed_frames(frames)), ListEntry("part", frames=listed_frames(frames[:2]))]
    asking = [
        replace(fingerprint(name), pdq=None, pdq_quality=None, frames=tuple(some))
        for name, some in (("one", frames), ("two", frames[1:3]), ("other", [frames[0]._replace(pdq="5" * 64)]))
    ]
    return Lists.build([edition("a"), replace(edition("b", of="films"), entries=Entries.of(listed))]), asking


def test_an_answer_about_films_arrives_with_shares_and_moments() -> None:
    lists, asking = films()
    leads, table = lists.look_up(Asked.of(asking), at=NOON), Table.of(lists.heads)
    read, _ = wire.read_leads(wire.leads_body(leads, table, 0), None)
    matches = read.matches(3)
    assert matches == lists.lookup(asking, at=NOON)
    assert [[match.entry for match in each] for each in matches] == [["long"], ["long"], []]
    assert [match.film.listed_share for each in matches for match in each if match.film] == [1.0, 2 / 6]


@given(st.data())
@settings(max_examples=300)
def test_an_answer_about_films_with_a_few_other_bytes_is_one_or_is_refused(data: st.DataObject) -> None:
    lists, asking = films()
    table = Table.of(lists.heads)
    body = bytearray(wire.leads_body(lists.look_up(Asked.of(asking), at=NOON), table, table.number))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Malformed):
        leads, _ = wire.read_leads(bytes(body), table)
        if len(leads.asked) and max(leads.asked.tolist()) < 3:  # as the client checks
            for match in (match for each in leads.matches(3) for match in each):
                assert (match.film is not None) == (match.kind is HashKind.FILM)
                assert match.film is None or 0 < match.film.asked_share <= 1


def test_an_answer_arrives_as_it_was_given_with_the_editions_once() -> None:
    lists = Lists.build([edition("a", "b", "c"), edition("c", "d", of="other", terms=ListTerms(radius=3))])
    asking = [fingerprint("a"), fingerprint("x"), fingerprint("c", near=True)]
    leads = lists.look_up(Asked.of(asking), at=NOON)
    table = Table.of(lists.heads)
    first, known = wire.read_leads(wire.leads_body(leads, table, 0), None)
    assert known.heads == lists.heads
    assert first.matches(3) == leads.matches(3) == lists.lookup(asking, at=NOON)
    later, _ = wire.read_leads(wire.leads_body(leads, table, table.number), known)
    assert later.matches(3) == leads.matches(3)
    none, _ = wire.read_leads(wire.nothing_body(table), known)
    assert none.matches(1) == [()]
    with pytest.raises(Malformed):
        wire.read_leads(wire.nothing_body(table), None)


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_any_bytes_are_an_answer_or_are_refused(body: bytes) -> None:
    with contextlib.suppress(Malformed):
        wire.read_leads(body, Table.of(()))


def test_a_change_arrives_as_it_was_asked_for_at_the_servers_time() -> None:
    change = Change({"shapes": ("a",)}, {"shapes": (entry("d"), ListEntry("e", opaque=(("other", "x"),)), FILM)}, {})
    change = Change(change.withdraw, change.add, {"shapes": ListTerms(radius=10, expires_at=NOON)}, "whenever")
    read = wire.read_change(memoryview(wire.change_body(change)), at=NOON)
    assert read == Change(change.withdraw, change.add, change.terms, NOON.isoformat())


FILM = ListEntry("f", frames=(FrameHash(0.25, "0" * 64, 51),))
texts = st.one_of(st.text(max_size=5), st.integers(), st.none(), st.floats(), st.booleans())
anything = st.recursive(texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
shaped = st.fixed_dictionaries(
    {},
    optional={
        "withdraw": anything,
        "add": st.dictionaries(
            st.text(max_size=3),
            st.lists(
                st.fixed_dictionaries({"entry": texts}, optional=dict.fromkeys(("pdq_quality", "label"), texts))
                | st.fixed_dictionaries({"film": texts, "frames": st.lists(st.tuples(texts, st.just("0" * 64), texts))})
                | anything,
                max_size=2,
            ),
        ),
        "terms": st.dictionaries(st.text(max_size=3), anything),
    },
)


@given(anything | shaped)
@settings(max_examples=500)
def test_any_json_is_a_change_whose_parts_are_what_they_should_be_or_is_refused(said: object) -> None:
    with contextlib.suppress(Malformed):
        change = wire.read_change(memoryview(json.dumps(said).encode()), at=NOON)
        for name, ids in change.withdraw.items():
            assert all(type(each) is str for each in (name, *ids))
        for entries in change.add.values():
            assert all(type(each.entry) is str and each.entry for each in entries)
            assert all(type(quality) is int for each in entries for _, _, quality in each.frames)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_change_or_are_refused(body: bytes) -> None:
    with contextlib.suppress(Malformed):
        wire.read_change(memoryview(body), at=NOON)
