"""Messages come back as they were sent, and other bytes are refused, whatever they are."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from havenline.entries import BYTES, Entries, Values
from havenline.matching import Lists
from havenline.matching.asked import KINDS, Asked, AskedFrames
from havenline.matching.change_log import Change
from havenline.matching.snapshot import said_terms
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
    read, known = wire.read_asked(memoryview(wire.asked_body(one_value(), 1)))
    assert (read.count, read.leeway, known, len(read.frames)) == (1, 0, 1, 0)
    assert read.hashes[HashKind.PDQ].values.tolist() == [list(range(32))]
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


def test_a_question_at_the_bounds_of_what_may_be_asked_is_one() -> None:
    quality = replace(Asked.of([fingerprint("a")]), pdq_quality=np.array([100], np.uint8), leeway=64)
    read, _ = wire.read_asked(memoryview(wire.asked_body(quality, 0)))
    assert (read.pdq_quality.tolist(), read.leeway) == ([100], 64)
    values = {kind: Values.none(kind) for kind in VALUE_KINDS}
    bare = Asked(wire.MOST_QUESTIONS, values, np.empty(0, np.uint8))
    assert wire.read_asked(memoryview(wire.asked_body(bare, 0)))[0].count == wire.MOST_QUESTIONS


def test_the_bounds_are_those_that_the_description_of_the_messages_names() -> None:
    text = (Path(__file__).parents[2] / "docs" / "formats" / "matchd.md").read_text()
    assert f"(at most {wire.LONGEST_PATH} bytes)" in text
    assert f"fingerprints, at most {wire.MOST_QUESTIONS:,} |" in text
    assert f"each at most {wire.MOST_VALUES:,} |" in text
    assert f"frames of films, *f*, at most {wire.MOST_FRAMES_ASKED:,} |" in text
    assert f"has at most {wire.LARGEST / (1 << 20):g} MiB in all" in text
    assert f"# Messages of matchd, form {wire.FORM}\n" in text


def test_messages_and_reasons_have_the_numbers_that_the_description_gives_them() -> None:
    text = (Path(__file__).parents[2] / "docs" / "formats" / "matchd.md").read_text()
    pairs = re.findall(r"^\| (\d) \w+ \|.*?\| (\d{3}) \|", text, re.MULTILINE)
    kinds = [int(kind) for kind in wire.Kind]
    assert [(int(one), int(other)) for one, other in pairs] == list(zip(kinds[:6], kinds[6:12], strict=True))
    assert f"| {wire.Kind.REFUSED:d} refusal |" in text
    told = re.findall(r"^\| (\d) ([a-z ]+) \|", text.partition("## 6. Refusal")[2], re.MULTILINE)
    assert told == [(str(int(reason)), reason.name.lower().replace("_", " ")) for reason in wire.Reason]


def test_more_than_may_be_asked_is_not_sent() -> None:
    one, values = Asked.of([fingerprint("a")]), {kind: Values.none(kind) for kind in VALUE_KINDS}
    rows = np.zeros(wire.MOST_VALUES + 1, np.uint32)
    digests = Values(rows, np.zeros((len(rows), 16), np.uint8))
    count = wire.MOST_FRAMES_ASKED + 1
    frames = AskedFrames(np.zeros(count, np.uint32), np.zeros(count, np.uint32), np.zeros(count, np.bool_))
    for asked, text in (
        (Asked(wire.MOST_QUESTIONS + 1, values, np.empty(0, np.uint8)), "fingerprints"),
        (replace(one, hashes=one.hashes | {HashKind.MD5: digests}), "values of a kind"),
        (replace(one, frames=frames), "frames of films"),
    ):
        with pytest.raises(ValueError, match=text):
            wire.asked_body(asked, 0)


@pytest.mark.parametrize(
    ("at", "number"),
    [(8, wire.MOST_QUESTIONS + 1), (16, wire.MOST_VALUES + 1), (28, wire.MOST_VALUES + 1), (36, 1)],
    ids=["fingerprints", "perceptual", "digests", "zero"],
)
def test_a_head_that_says_too_much_is_refused(at: int, number: int) -> None:
    body = bytearray(wire.asked_body(Asked.of([fingerprint("a")]), 0))
    body[at : at + 4] = number.to_bytes(4, "little")
    with pytest.raises(Malformed, match=r"at most|its numbers say"):
        wire.read_asked(memoryview(body))


def test_one_byte_more_or_less_than_a_question_has_is_refused() -> None:
    for asked in (Asked.of([fingerprint("a")]), Asked.of(films()[1]), one_value()):
        body = wire.asked_body(asked, 0)
        for other in (body[:-1], body + b"\0"):
            with pytest.raises(Malformed, match="its numbers say"):
                wire.read_asked(memoryview(other))
    with pytest.raises(Malformed, match="cut short"):
        wire.read_asked(memoryview(body[:39]))


def one_value() -> Asked:
    """One perceptual hash and nothing else, as most questions are."""
    values = {kind: Values.none(kind) for kind in VALUE_KINDS}
    code = np.arange(32, dtype=np.uint8).reshape(1, 32)
    return Asked(1, values | {HashKind.PDQ: Values(np.zeros(1, np.uint32), code)}, np.array([51], np.uint8))


@pytest.mark.parametrize(("at", "byte"), [(8, 0), (32, 1), (36, 1), (72, 1), (76, 101)])
def test_one_perceptual_hash_alone_is_looked_at_as_closely_as_many(at: int, byte: int) -> None:
    """In turn: no fingerprint, a frame, the zero, a value of another fingerprint, a quality beyond 100."""
    body = bytearray(wire.asked_body(one_value(), 0))
    body[at] = byte
    with pytest.raises(Malformed):
        wire.read_asked(memoryview(body))
    body = bytearray(wire.asked_body(replace(one_value(), leeway=3), 0))
    assert wire.read_asked(memoryview(body))[0].leeway == 3


def test_greetings_come_back_and_others_are_refused() -> None:
    assert wire.read_hello(memoryview(wire.hello())) == wire.read_welcome(wire.welcome()) == wire.FORM
    assert wire.read_hello(memoryview(b"HVLNMTCH" + bytes([9, 1, 0, 0]) + bytes(4))) == 0x109
    for other in (b"HVLNMTCX" + wire.hello()[8:], wire.hello()[:-1] + b"\1"):
        with pytest.raises(Malformed, match="no greeting of Havenline's"):
            wire.read_hello(memoryview(other))
    for other in (wire.hello()[:-1], wire.hello() + b"\0"):
        with pytest.raises(Malformed, match="16 bytes"):
            wire.read_hello(memoryview(other))
    for other in (wire.welcome()[:-1], b"short"):
        with pytest.raises(Malformed, match="greeting cannot be read"):
            wire.read_welcome(other)
    assert wire._WELCOME.unpack(wire.welcome()) == (wire.FORM, wire.MOST_QUESTIONS, wire.LARGEST)


def test_a_refusal_says_why_and_whether_it_is_the_end() -> None:
    for closes in (True, False):
        said = wire.refusal(wire.Reason.BUSY, "später", closes=closes)
        assert wire.read_refusal(said) == (wire.Reason.BUSY, closes, "später")
        assert said[3] == 0


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


def of_films(**wrong: Any) -> bytes:
    """The answer about the films, with some of what it tells of them put otherwise."""
    lists, asking = films()
    leads = lists.look_up(Asked.of(asking), at=NOON)
    return wire.leads_body(replace(leads, films=replace(leads.films, **wrong)), Table.of(lists.heads), 0)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"ends": [6, 7]}, "moments of no film"),
        ({"ends": [9, 8]}, "moments of no film"),
        ({"leads": [0, 2]}, "moments of no film"),
        ({"leads": [1, 0]}, "other films than"),
        ({"counts": [[7, 6, 6, 6], [2, 2, 2, 6]]}, "impossible shares"),
        ({"counts": [[6, 6, 6, 6], [2, 2, 7, 6]]}, "impossible shares"),
        ({"counts": [[0, 6, 6, 6], [2, 2, 2, 6]]}, "impossible shares"),
    ],
)
def test_an_answer_about_films_that_contradicts_itself_is_refused(wrong: dict[str, list[Any]], text: str) -> None:
    wire.read_leads(of_films(), None)
    with pytest.raises(Malformed, match=text):
        wire.read_leads(of_films(**{name: np.array(numbers, np.uint32) for name, numbers in wrong.items()}), None)


def test_a_film_may_have_no_moments_of_its_own() -> None:
    ends = np.array([8, 8], np.uint32)
    assert wire.read_leads(of_films(ends=ends), None)[0].films.ends.tolist() == [8, 8]


def test_moments_without_a_film_are_refused() -> None:
    table = Table.of(())
    body = wire._LEADS.pack(table.number, 0, 0, 0, 0, 1) + bytes(8 + 9)
    with pytest.raises(Malformed, match="moments of no film"):
        wire.read_leads(body, table)


def test_an_answer_that_names_what_there_is_not_is_malformed() -> None:
    lists = Lists.build([edition("a")])
    table = Table.of(lists.heads)
    leads = lists.look_up(Asked.of([fingerprint("a")]), at=NOON)
    for wrong, text in (
        ({"edition": np.array([1], np.uint16)}, "editions or kinds that there are not"),
        ({"kind": np.array([len(KINDS)], np.uint8)}, "editions or kinds that there are not"),
        ({"kind": np.array([KINDS.index(HashKind.FILM)], np.uint8)}, "other films than"),
    ):
        with pytest.raises(Malformed, match=text):
            wire.read_leads(wire.leads_body(replace(leads, **wrong), table, 0), None)  # type: ignore[arg-type]
    body = wire.leads_body(leads, table, 0)
    for other in (body[:-1], body + b"\0", body[:20]):
        with pytest.raises(Malformed):
            wire.read_leads(other, None)


def test_an_answer_of_other_editions_than_the_asker_knows_is_refused() -> None:
    lists, other = Lists.build([edition("a")]), Table.of(Lists.build([edition("b")]).heads)
    leads, table = lists.look_up(Asked.of([fingerprint("a")]), at=NOON), Table.of(lists.heads)
    for known in (other, None):
        with pytest.raises(Malformed, match="editions that were not told"):
            wire.read_leads(wire.leads_body(leads, table, table.number), known)
        assert wire.read_leads(wire.leads_body(leads, table, 0), known)[1].heads == lists.heads
    with pytest.raises(Malformed, match="editions that were not told"):
        wire.read_leads(wire.nothing_body(table), other)


def test_an_answer_without_leads_is_the_same_bytes_by_the_short_way() -> None:
    lists = Lists.build([edition("a")])
    none, table = lists.look_up(Asked.of([fingerprint("x")]), at=NOON), Table.of(lists.heads)
    assert wire.nothing_body(table) == wire.leads_body(none, table, table.number)
    assert wire.read_leads(wire.leads_body(none, table, 0), None)[0].matches(1) == [()]


def test_a_table_tells_all_of_an_edition_and_one_that_cannot_be_read_is_named() -> None:
    terms = ListTerms(3, 60, True, False, NOON, 0.5, 0.25, True)
    heads = Lists.build([edition("a", "b", of="liste", number=7, terms=terms), edition("c")]).heads
    table = Table.of(heads)
    assert Table.read(table.text).heads == heads
    assert Table.read(table.text).number == table.number
    for text in (b"[{}]", b"[7]", b"{", b"7"):
        with pytest.raises(Malformed, match="list of editions cannot be read"):
            Table.read(text)


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


def test_a_change_is_utf_8_as_the_file_of_changes_is() -> None:
    assert "é".encode() in wire.change_body(Change({"shapes": ("é",)}, {}, {}))


TERMS = said_terms(ListTerms())
LONG = "é" * (1 << 15)
"""As many bytes as an id may have."""


@pytest.mark.parametrize(
    "said",
    [
        [],
        {"more": {}},
        {"withdraw": {"l": [7]}},
        {"withdraw": {"l": [""]}},
        {"withdraw": {"": ["a"]}},
        {"withdraw": {"l": [LONG + "x"]}},
        {"add": {"": []}},
        {"add": {"l": [{"entry": 7, "md5": "0" * 32}]}},
        {"add": {"l": [{"entry": "", "md5": "0" * 32}]}},
        {"add": {"l": [{"entry": "a", "md5": "0" * 32, "label": 7}]}},
        {"add": {"l": [{"entry": "a", "md5": "0" * 32, "label": LONG + "x"}]}},
        {"add": {"l": [{"entry": "a", "md5": "0" * 32, "opaque": [["other", 7]]}]}},
        {"add": {"l": [{"entry": "a", "md5": "0" * 32, "opaque": [[7, "x"]]}]}},
        {"add": {"l": [{"entry": "a", "pdq": "0" * 64, "pdq_quality": 101}]}},
        {"add": {"l": [{"entry": "a", "pdq": "0" * 64, "pdq_quality": -1}]}},
        {"add": {"l": [{"entry": "a", "pdq": "0" * 64, "pdq_quality": 1.5}]}},
        {"add": {"l": [{"entry": "a", "pdq": "0" * 64, "pdq_quality": True}]}},
        {"add": {"l": [{"film": "a", "frames": [[0, "0" * 64, 90.5]]}]}},
        {"add": {"l": [{"film": "a", "frames": [[True, "0" * 64, 90]]}]}},
        {"terms": {"": TERMS}},
        *({"terms": {"l": TERMS | {name: 1}}} for name in ("enabled", "allow", "shadow")),
        *({"terms": {"l": TERMS | {name: True}}} for name in ("asked_share", "listed_share", "radius")),
        {"terms": {"l": TERMS | {"quality_floor": 50.5}}},
        {"terms": {"l": TERMS | {"radius": 3.5}}},
    ],
    ids=itertools.count(),
)
def test_a_change_of_which_any_part_is_of_the_wrong_kind_is_refused_as_a_whole(said: object) -> None:
    with pytest.raises(Malformed, match="a change cannot be read"):
        wire.read_change(memoryview(json.dumps(said).encode()), at=NOON)


def test_a_change_at_the_bounds_of_what_may_be_said_is_one() -> None:
    added: list[dict[str, Any]] = [
        {"entry": LONG, "pdq": "0" * 64, "pdq_quality": 0, "label": LONG, "opaque": [["other", LONG]]},
        {"entry": "b", "pdq": "0" * 64, "pdq_quality": 100, "label": ""},
        {"film": "c", "frames": [[0, "0" * 64, 90], [0.5, "f" * 64, 90]]},
    ]
    terms = TERMS | {"asked_share": 1, "listed_share": 0, "radius": 0}
    said = {"withdraw": {"l": ["x"]}, "add": {"l": added}, "terms": {"l": terms}, "at": "whenever"}
    read = wire.read_change(memoryview(json.dumps(said).encode()), at=NOON)
    assert [(each.entry, each.label, each.pdq_quality) for each in read.add["l"]] == [
        (LONG, LONG, 0), ("b", "", 100), ("c", None, None),
    ]  # fmt: skip
    assert (read.at, read.terms["l"].asked_share) == (NOON.isoformat(), 1)


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
