"""Films of lists found by the shares of their frames, against a plain double loop; the seconds of both sides."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from havenline.entries import Entries
from havenline.matching import Edition, Lists, Snapshot, films, snapshot
from havenline.matching.asked import Asked, Leads
from havenline.matching.live import LiveLists
from havenline.matching.mapped_file import Flaw, MappedFileRefused, read_mapped, write_mapped
from havenline.matching.sources import Source
from havenline.vocabulary import (
    EditionRef,
    FilmMatch,
    Fingerprint,
    FrameHash,
    HashKind,
    Leeway,
    ListEntry,
    ListTerms,
    listed_frames,
)

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def frame(second: float, *bits: int, quality: int = 100) -> FrameHash:
    return FrameHash(second, f"{sum(1 << bit for bit in bits):064x}", quality)


def asked(frames: Sequence[FrameHash], upright: Sequence[FrameHash] = (), *, content: bytes = b"film") -> Fingerprint:
    return Fingerprint(
        md5=hashlib.md5(content).hexdigest(),
        sha1=hashlib.sha1(content).hexdigest(),
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        pipeline="pdq-full/1",
        orientation=6 if upright else 1,
        frames=tuple(frames),
        frames_upright=tuple(upright),
    )


def entry(name: str, frames: Sequence[FrameHash], **values: str) -> ListEntry:
    return ListEntry(name, frames=listed_frames(frames), **values)


def edition(*entries: ListEntry, name: str = "films", number: int = 1, **terms: object) -> Edition:
    made = Entries.of(entries)
    return Edition(EditionRef(name, number, made.digest()), made, ListTerms(**terms))  # type: ignore[arg-type]


def found(lists: Lists, of: Fingerprint) -> dict[str, FilmMatch]:
    (matches,) = lists.lookup([of], at=NOON)
    assert all(match.kind is HashKind.FILM for match in matches)
    return {match.entry: match.film for match in matches if match.film is not None}


LONG = [frame(float(n), *range(n * 40)) for n in range(6)]
PART = LONG[2:4]


def test_shares_are_told_both_ways_with_the_moments_of_both_sides() -> None:
    moved = [replace_second(each, each.second + 10) for each in LONG]
    (match,) = Lists.build([edition(entry("long", moved))]).lookup([asked(PART)], at=NOON)[0]
    assert match.film == FilmMatch(1.0, 2 / 6, ((2.0, 12.0, 0), (3.0, 13.0, 0)))  # type: ignore[arg-type]
    assert (match.kind, match.distance, match.seconds) == (HashKind.FILM, 0, (2.0, 3.0))


@pytest.mark.parametrize(
    ("terms", "matched"),
    [
        ({}, False),
        ({"asked_share": 2 / 6}, True),
        ({"asked_share": 0.34}, False),
        ({"asked_share": 0.3, "listed_share": 1.0}, True),
        ({"asked_share": 0.0}, True),
    ],
)
def test_a_list_says_which_shares_it_wants(terms: dict[str, float], matched: bool) -> None:
    lists = Lists.build([edition(entry("part", PART), **terms)])
    assert (list(found(lists, asked(LONG))) == ["part"]) is matched


def test_the_least_shares_are_vpdqs_unless_a_list_says_otherwise() -> None:
    assert (ListTerms().asked_share, ListTerms().listed_share) == (0.8, 0.0)
    five = [frame(float(n), *range(n * 40)) for n in range(5)]
    assert found(Lists.build([edition(entry("four", five[:4]))]), asked(five))["four"].asked_share == 0.8


def test_equal_frames_count_once_and_keep_all_their_seconds() -> None:
    still = [frame(float(n), 1, 2, 3) for n in range(9)] + [frame(9.0, *range(100))]
    lists = Lists.build([edition(entry("other", [frame(5.0, 1, 2, 3, 4), frame(7.0, 1, 2, 3, 4)]), asked_share=0.5)])
    match = found(lists, asked(still))["other"]
    assert (match.asked_share, match.listed_share) == (0.5, 1.0)
    assert match.moments == tuple((float(n), 5.0, 1) for n in range(9))


def test_flat_frames_neither_match_nor_count() -> None:
    flat = [frame(0.0, quality=49), frame(1.0, *range(128))]
    lists = Lists.build([edition(entry("other", [frame(0.0)]), asked_share=0.0)])
    assert found(lists, asked(flat)) == {}
    match = found(Lists.build([edition(entry("other", flat))]), asked([frame(3.0, *range(127))]))["other"]
    assert (match.asked_share, match.listed_share) == (1.0, 1.0)


def test_a_film_of_nothing_but_flat_frames_matches_nothing() -> None:
    flat = [frame(0.0, quality=49)]
    assert found(Lists.build([edition(entry("other", flat), asked_share=0.0)]), asked(flat)) == {}


def test_a_turned_film_is_asked_both_ways_and_the_nearer_one_told() -> None:
    turned = [frame(each.second, *range(255 - int(each.second) * 40, 256)) for each in LONG]
    lists = Lists.build([edition(entry("stored", LONG), entry("shown", turned))])
    matches = found(lists, asked(LONG, turned))
    assert [(name, match.upright, match.asked_share) for name, match in sorted(matches.items())] == [
        ("shown", True, 1.0),
        ("stored", False, 1.0),
    ]
    assert found(lists, asked(LONG)).keys() == {"stored"}
    half = [*LONG[:3], *turned[3:]]
    assert found(Lists.build([edition(entry("half", half))]), asked(LONG, turned)) == {}


def test_an_exact_hash_is_stronger_than_the_frames_and_these_than_one_picture() -> None:
    of = asked(LONG)
    lists = Lists.build(
        [edition(entry("file", LONG, sha256=of.sha256), entry("film", LONG, pdq=LONG[2].pdq), entry("one", PART[:1]))]
    )
    (matches,) = lists.lookup([of], at=NOON)
    assert [(match.entry, match.kind) for match in matches] == [("file", HashKind.SHA256), ("film", HashKind.FILM)]
    lists = Lists.build([edition(entry("film", LONG[:1], pdq=LONG[2].pdq))])
    assert [match.kind for match in lists.lookup([of], at=NOON)[0]] == [HashKind.PDQ]


def test_an_allow_list_marks_films_too_and_an_expired_or_withdrawn_one_is_not_told() -> None:
    of = asked(PART)
    listed = edition(entry("long", LONG))
    allowing = edition(ListEntry("ok", sha256=of.sha256), name="allow", allow=True)
    (match,) = Lists.build([listed, allowing]).lookup([of], at=NOON)[0]
    assert match.allowed
    assert match.film is not None
    assert found(Lists.build([replace(listed, terms=ListTerms(expires_at=NOON))]), of) == {}
    source = Source(Snapshot.build([listed]), np.array([0], np.int64))
    assert found(Lists([source]), of) == {}


def test_a_still_picture_is_not_asked_against_the_frames_of_films() -> None:
    still = replace(asked(PART), frames=(), pdq=PART[0].pdq, pdq_quality=100)
    assert Lists.build([edition(entry("long", LONG))]).lookup([still], at=NOON) == [()]


def test_a_wider_radius_is_asked_for_with_leeway() -> None:
    lists = Lists.build([edition(entry("other", [frame(0.0, *range(32))]))])
    assert lists.lookup([asked([frame(0.0)])], at=NOON) == [()]
    (match,) = lists.lookup([asked([frame(0.0)])], at=NOON, leeway=Leeway(bits=1))[0]
    assert match.distance == 32


def replace_second(each: FrameHash, second: float) -> FrameHash:
    return FrameHash(second, each.pdq, each.quality)


def drawn(chance: np.random.Generator, count: int, *, centres: np.ndarray) -> list[FrameHash]:
    codes = centres[chance.integers(0, len(centres), count)] ^ (chance.random((count, 256)) < 0.08)
    again = chance.integers(0, count, count // 3)
    codes[chance.integers(0, count, len(again))] = codes[again]
    values = np.packbits(codes.astype(bool), axis=1)
    return [
        FrameHash(second / 4, row.tobytes().hex(), int(chance.integers(35, 101))) for second, row in enumerate(values)
    ]


def by_hand(mine: Sequence[FrameHash], theirs: Sequence[FrameHash], terms: ListTerms) -> FilmMatch | None:
    """What two films come to, by comparing every frame with every other."""
    best: dict[str, int] = {}
    for each in mine:
        best[each.pdq] = max(best.get(each.pdq, 0), each.quality)
    ours = {pdq for pdq, quality in best.items() if quality >= terms.quality_floor}
    others = [each for each in listed_frames(theirs) if each.quality >= terms.quality_floor]
    pairs = {
        (a, b): (int(a, 16) ^ int(b.pdq, 16)).bit_count()
        for a in ours
        for b in others
        if (int(a, 16) ^ int(b.pdq, 16)).bit_count() <= terms.radius
    }
    if not pairs:
        return None
    asked_share = len({a for a, _ in pairs}) / len(ours)
    listed_share = len({b.pdq for _, b in pairs}) / len(others)
    if asked_share < terms.asked_share or listed_share < terms.listed_share:
        return None
    moments = []
    for each in mine:
        gaps = [(distance, b.second) for (a, b), distance in pairs.items() if a == each.pdq]
        if gaps:
            distance, second = min(gaps)
            moments.append((each.second, second, distance))
    return FilmMatch(asked_share, listed_share, tuple(moments))  # type: ignore[arg-type]


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    radius=st.sampled_from([0, 24, 31, 40]),
    floor=st.sampled_from([0, 50, 80]),
    asked_share=st.sampled_from([0.0, 0.3, 0.8]),
    listed_share=st.sampled_from([0.0, 0.5]),
    pairs_at_once=st.sampled_from([0, 7, 1 << 20]),
)
def test_shares_are_those_of_the_double_loop(
    seed: int, radius: int, floor: int, asked_share: float, listed_share: float, pairs_at_once: int
) -> None:
    chance = np.random.default_rng(seed)
    centres = chance.integers(0, 2, (3, 256))
    listed = {f"e{n}": drawn(chance, int(chance.integers(1, 14)), centres=centres) for n in range(5)}
    of = [drawn(chance, int(chance.integers(1, 14)), centres=centres) for _ in range(3)]
    both = [ListTerms(radius, floor, asked_share=asked_share, listed_share=listed_share), ListTerms()]
    editions = [
        replace(edition(*(entry(name, frames) for name, frames in listed.items()), name=str(n)), terms=terms)
        for n, terms in enumerate(both)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(films, "_PAIRS_AT_ONCE", pairs_at_once)
        answers = Lists.build(editions).lookup(
            [asked(frames, content=bytes([n])) for n, frames in enumerate(of)], at=NOON
        )
    for frames, matches in zip(of, answers, strict=True):
        told = {(match.edition.list_name, match.entry): match for match in matches}
        for n, terms in enumerate(both):
            for name, theirs in listed.items():
                expected, match = by_hand(frames, theirs, terms), told.get((str(n), name))
                assert (match.film if match else None) == expected
                if match and expected:
                    assert match.distance == min(moment[2] for moment in expected.moments)
                    assert match.seconds == tuple(moment[0] for moment in expected.moments)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(0, 4))
def test_answers_in_parts_are_the_answer_in_one(seed: int, cut: int) -> None:
    chance = np.random.default_rng(seed)
    centres = chance.integers(0, 2, (2, 256))
    lists = Lists.build([edition(*(entry(f"e{n}", drawn(chance, 6, centres=centres)) for n in range(4)))])
    made = [
        asked(drawn(chance, 5, centres=centres), drawn(chance, 5, centres=centres), content=bytes([n]))
        for n in range(4)
    ]
    whole = Asked.of(made)
    parts = []
    for first, last in ((0, cut), (cut, 4)):
        leads = lists.look_up(whole.part(first, last), at=NOON)
        parts.append(replace(leads, asked=leads.asked + np.uint32(first)))
    assert Leads.joined(parts).matches(4) == lists.lookup(made, at=NOON)


def test_frames_come_back_from_a_snapshot_as_they_were_listed(tmp_path: Path) -> None:
    entries = [
        ListEntry("p", pdq="0" * 64),
        entry("a", LONG, md5="0" * 32),
        ListEntry("q", md5="1" * 32),
        entry("b", PART),
    ]
    made = edition(*entries, asked_share=0.5, listed_share=0.25)
    Snapshot.build([made, edition(entry("c", LONG), name="more")]).save(tmp_path / "s")
    opened = Snapshot.open(tmp_path / "s", verify=True)
    first, second = opened.editions()
    assert list(first.entries) == entries
    assert (first.terms, first.entries.digest()) == (made.terms, made.ref.digest)
    assert list(second.entries) == [entry("c", LONG)]
    assert opened.count(HashKind.FILM) == 3


def test_the_digest_of_a_list_without_films_is_what_it_was_and_with_films_tells_frames_apart() -> None:
    plain = [ListEntry("b", pdq="0" * 64, pdq_quality=3, label="x"), ListEntry("a", md5="1" * 32)]
    assert Entries.of(plain).digest() == "ed76a3cecc92d4f875fe46e0a3d5749a5b6fc7c69829b27678d36a358727c03c"
    listed = [entry("b", LONG), entry("a", PART)]
    assert Entries.of(listed).digest() == Entries.of(reversed(listed)).digest()
    others = [
        [entry("b", LONG[:5]), entry("a", PART)],
        [entry("b", [*LONG[:5], replace_second(LONG[5], 5.001)]), entry("a", PART)],
        [entry("b", [*LONG[:5], LONG[5]._replace(quality=99)]), entry("a", PART)],
        [entry("b", [*LONG[:5], frame(5.0, 7)]), entry("a", PART)],
        [entry("a", LONG), entry("b", PART)],
        [entry("b", LONG), entry("a", PART), ListEntry("c", md5="1" * 32)],
    ]
    digests = {Entries.of(each).digest() for each in (listed, *others)}
    assert len(digests) == 1 + len(others)


def test_a_snapshot_without_films_has_the_form_that_earlier_programs_read(tmp_path: Path) -> None:
    Snapshot.build([edition(ListEntry("p", pdq="0" * 64))]).save(tmp_path / "plain")
    Snapshot.build([edition(entry("f", LONG))]).save(tmp_path / "films")
    assert b'"form":1' in (tmp_path / "plain").read_bytes()[:8192]
    assert b'"form":2' in (tmp_path / "films").read_bytes()[:8192]
    mapped = read_mapped(tmp_path / "films", snapshot.KIND)
    write_mapped(tmp_path / "later", snapshot.KIND, {**mapped.says, "form": 3}, mapped.arrays)
    with pytest.raises(MappedFileRefused) as refused:
        Snapshot.open(tmp_path / "later")
    assert refused.value.flaw is Flaw.VERSION


@pytest.mark.parametrize("section", ["frame_rows", "frame_milliseconds", "frame_quality", "frame_codes"])
def test_a_snapshot_whose_frames_do_not_fit_is_refused(tmp_path: Path, section: str) -> None:
    Snapshot.build([edition(entry("f", LONG))]).save(tmp_path / "films")
    mapped = read_mapped(tmp_path / "films", snapshot.KIND)
    for changed in ({section: mapped.arrays[section][:-1]}, {}):
        arrays = {name: each for name, each in mapped.arrays.items() if changed or name != section} | changed
        write_mapped(tmp_path / "bad", snapshot.KIND, mapped.says, arrays)
        with pytest.raises(MappedFileRefused):
            Snapshot.open(tmp_path / "bad")


def test_equal_frames_of_a_listed_film_are_one_frame() -> None:
    many = [frame(3.0004, 1, quality=60), frame(1.0, 1, quality=50), frame(2.0, 2), frame(0.5, 1, quality=70)]
    assert listed_frames(many) == (frame(0.5, 1, quality=70), frame(2.0, 2))
    with pytest.raises(ValueError, match="no hash twice"):
        ListEntry("e", frames=tuple(many))
    for bad in (frame(-1.0), frame(float(1 << 23)), frame(0.0, quality=101), FrameHash(0.0, "x", 3)):
        with pytest.raises(ValueError, match=r"second|hash|pdq"):
            listed_frames([bad])


def test_films_are_added_withdrawn_and_folded_in_live_lists(tmp_path: Path) -> None:
    live = LiveLists.create(tmp_path / "live", [edition(entry("long", LONG))])
    other = LiveLists.open(tmp_path / "live")
    of = asked(PART)
    live.change(add={"films": [entry("part", PART)]}, at=NOON)
    assert found(other.current(), of).keys() == {"long", "part"}
    live.change(withdraw={"films": ["long"]}, at=NOON)
    assert found(other.current(), of).keys() == {"part"}
    assert live.fold()
    assert found(other.current(), of).keys() == {"part"}
    live.publish(edition(entry("long", LONG), entry("new", LONG), number=2))
    assert found(other.current(), of).keys() == {"new"}
    live.change(terms={"films": ListTerms(listed_share=0.5)}, at=NOON)
    assert found(other.current(), of) == {}
    live.change(terms={"films": ListTerms(listed_share=0.25)}, at=NOON)
    assert found(other.current(), of).keys() == {"new"}
