"""Lookups report each entry once, by its strongest kind, and never compare flat pictures by distance."""

from __future__ import annotations

import datetime as dt
import hashlib
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from havenline.entries import Entries, Values
from havenline.matching import Edition, HammingIndex, Lists, lists
from havenline.matching.asked import Asked, match_order
from havenline.matching.snapshot import Snapshot
from havenline.matching.sources import Source
from havenline.vocabulary import (
    VALUE_KINDS,
    EditionRef,
    Fingerprint,
    FrameHash,
    HashKind,
    Leeway,
    ListEntry,
    ListTerms,
    Match,
    Refusal,
    Refused,
)

MD5, SHA1, SHA256, PDQ = HashKind.MD5, HashKind.SHA1, HashKind.SHA256, HashKind.PDQ
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
CONTENT = b"a drawn circle"
EMPTY_CODE = "0" * 64


def bits(count: int) -> str:
    return f"{(1 << count) - 1:064x}"


def fingerprint(content: bytes = CONTENT, *, pdq: str | None = EMPTY_CODE, quality: int = 100) -> Fingerprint:
    return Fingerprint(
        md5=hashlib.md5(content).hexdigest(),
        sha1=hashlib.sha1(content).hexdigest(),
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        pdq=pdq,
        pdq_quality=None if pdq is None else quality,
        pipeline=None if pdq is None else "pdq-full/1",
        refusal=None if pdq is not None else Refused(Refusal.BROKEN, "cut short"),
    )


def edition(*entries: ListEntry, name: str = "shapes", number: int = 1, terms: ListTerms | None = None) -> Edition:
    return Edition(EditionRef(name, number, "0" * 64), Entries.of(entries), terms or ListTerms())


def found(*entries: ListEntry, of: Fingerprint) -> list[tuple[str, HashKind, int]]:
    (matches,) = Lists.build([edition(*entries)]).lookup([of], at=NOON)
    return [(match.entry, match.kind, match.distance) for match in matches]


ALL = {kind.value: getattr(fingerprint(), kind.value) for kind in VALUE_KINDS}


@pytest.mark.parametrize(
    ("kinds", "strongest"),
    [
        (("md5", "sha1", "sha256", "pdq"), SHA256),
        (("md5", "sha1", "pdq"), SHA1),
        (("md5", "pdq"), MD5),
        (("pdq",), PDQ),
    ],
)
def test_an_entry_is_reported_once_by_its_strongest_kind(kinds: tuple[str, ...], strongest: HashKind) -> None:
    entry = ListEntry("e1", **{kind: ALL[kind] for kind in kinds})
    assert found(entry, of=fingerprint()) == [("e1", strongest, 0)]


def test_an_exact_kind_does_not_need_the_others_to_agree() -> None:
    entry = ListEntry("e1", md5=ALL["md5"], sha256="f" * 64)
    assert found(entry, of=fingerprint()) == [("e1", MD5, 0)]


@pytest.mark.parametrize(("distance", "expected"), [(0, True), (31, True), (32, False), (255, False)])
def test_pdq_matches_up_to_31_bits(distance: int, expected: bool) -> None:
    matches = found(ListEntry("e1", pdq=bits(distance)), of=fingerprint())
    assert matches == ([("e1", PDQ, distance)] if expected else [])


@pytest.mark.parametrize(
    ("of", "entry", "expected"),
    [
        (50, 50, True),
        (50, None, True),
        (49, 100, False),
        (49, None, False),
        (100, 49, False),
        (100, 0, False),
    ],
)
def test_the_quality_gate_holds_on_both_sides(of: int, entry: int | None, expected: bool) -> None:
    matches = found(ListEntry("e1", pdq=EMPTY_CODE, pdq_quality=entry), of=fingerprint(quality=of))
    assert bool(matches) is expected


def test_a_picture_below_the_floor_is_still_found_by_its_digests() -> None:
    entry = ListEntry("e1", md5=ALL["md5"], pdq=EMPTY_CODE, pdq_quality=3)
    assert found(entry, of=fingerprint(quality=3)) == [("e1", MD5, 0)]


def test_a_file_without_perceptual_hash_is_looked_up_by_its_digests() -> None:
    entry = ListEntry("e1", sha1=ALL["sha1"], pdq=EMPTY_CODE)
    assert found(entry, of=fingerprint(pdq=None)) == [("e1", SHA1, 0)]


def test_entries_with_one_hash_are_all_reported_in_order() -> None:
    entries = [
        ListEntry("far", pdq=bits(9)),
        ListEntry("b", pdq=bits(3)),
        ListEntry("a", pdq=bits(3)),
        ListEntry("zero", pdq=EMPTY_CODE),
        ListEntry("z-exact", md5=ALL["md5"]),
        ListEntry("a-exact", sha256=ALL["sha256"]),
    ]
    assert found(*entries, of=fingerprint()) == [
        ("a-exact", SHA256, 0),
        ("z-exact", MD5, 0),
        ("zero", PDQ, 0),
        ("a", PDQ, 3),
        ("b", PDQ, 3),
        ("far", PDQ, 9),
    ]


def test_each_match_names_its_edition_and_equal_entries_of_several_editions_are_kept() -> None:
    entry = ListEntry("e1", pdq=EMPTY_CODE)
    editions = [
        edition(entry, name="b"),
        edition(entry, name="a", number=2),
        edition(entry, name="a", number=1),
    ]
    (matches,) = Lists.build(editions).lookup([fingerprint()], at=NOON)
    assert matches == tuple(
        Match(EditionRef(name, number, "0" * 64), "e1", PDQ, 0) for name, number in [("a", 1), ("a", 2), ("b", 1)]
    )


def test_answers_come_in_the_order_of_the_questions() -> None:
    index = Lists.build([edition(ListEntry("e1", pdq=bits(5)))])
    asked = [fingerprint(pdq=bits(200)), fingerprint(pdq=None), fingerprint(), fingerprint(quality=0)]
    assert [len(matches) for matches in index.lookup(asked, at=NOON)] == [0, 0, 1, 0]


def test_empty_lists_and_empty_questions_are_answered() -> None:
    assert Lists([]).lookup([fingerprint()], at=NOON) == [()]
    assert Lists.build([]).lookup([fingerprint()], at=NOON) == [()]
    assert Lists.build([edition()]).lookup([], at=NOON) == []
    assert Lists.build([edition()]).lookup([fingerprint()], at=NOON) == [()]
    assert len(Lists.build([edition(ListEntry("e1", md5=ALL["md5"]))])) == 1


def answers(*editions: Edition, of: Fingerprint, at: dt.datetime = NOON) -> list[tuple[str, str, bool]]:
    (matches,) = Lists.build(editions).lookup([of], at=at)
    return [(match.edition.list_name, match.entry, match.allowed) for match in matches]


@pytest.mark.parametrize(("radius", "expected"), [(0, ["b"]), (9, ["b"]), (10, ["b", "a"]), (64, ["b", "a"])])
def test_each_list_has_a_radius_of_its_own(radius: int, expected: list[str]) -> None:
    editions = [
        edition(ListEntry("e1", pdq=bits(10)), name="a", terms=ListTerms(radius=radius)),
        edition(ListEntry("e1", pdq=bits(5)), name="b", terms=ListTerms(radius=31)),
    ]
    assert [name for name, *_ in answers(*editions, of=fingerprint())] == expected


@pytest.mark.parametrize(
    ("floor", "of", "entry", "expected"),
    [
        (80, 79, 100, False),
        (80, 100, 79, False),
        (80, 80, 80, True),
        (80, 80, None, True),
        (0, 0, 0, True),
        (20, 49, 20, True),
    ],
)
def test_each_list_has_a_quality_floor_of_its_own(floor: int, of: int, entry: int | None, expected: bool) -> None:
    editions = [
        edition(ListEntry("e1", pdq=EMPTY_CODE, pdq_quality=entry), terms=ListTerms(quality_floor=floor)),
        edition(ListEntry("e1", pdq=EMPTY_CODE, pdq_quality=100), name="strict", terms=ListTerms(quality_floor=100)),
    ]
    assert bool([1 for name, *_ in answers(*editions, of=fingerprint(quality=of)) if name == "shapes"]) is expected


def test_a_list_that_is_off_or_has_expired_gives_no_match() -> None:
    entry = ListEntry("e1", sha256=ALL["sha256"], pdq=EMPTY_CODE)
    off = edition(entry, name="off", terms=ListTerms(enabled=False))
    brief = edition(entry, name="brief", terms=ListTerms(expires_at=NOON + dt.timedelta(days=1)))
    assert answers(off, of=fingerprint()) == []
    assert answers(off, brief, of=fingerprint()) == [("brief", "e1", False)]
    assert answers(off, brief, of=fingerprint(), at=NOON + dt.timedelta(days=1)) == []


def test_an_allow_list_marks_perceptual_matches_as_mistaken_and_touches_no_exact_one() -> None:
    allow = edition(ListEntry("lawful", sha256=ALL["sha256"]), name="allow", terms=ListTerms(allow=True))
    near = edition(ListEntry("near", pdq=bits(3)), name="near")
    same = edition(ListEntry("same", md5=ALL["md5"]), name="same")
    assert answers(allow, near, same, of=fingerprint()) == [("same", "same", False), ("near", "near", True)]
    assert answers(allow, near, of=fingerprint(b"another drawn circle")) == [("near", "near", False)]


@pytest.mark.parametrize("entry", [{"md5": ALL["md5"]}, {"sha1": ALL["sha1"]}, {"pdq": EMPTY_CODE}])
def test_an_allow_list_allows_by_sha256_alone(entry: dict[str, str]) -> None:
    allow = edition(ListEntry("lawful", **entry), name="allow", terms=ListTerms(allow=True))
    near = edition(ListEntry("near", pdq=bits(3)), name="near")
    assert answers(allow, near, of=fingerprint()) == [("near", "near", False)]


def test_an_allow_list_that_has_expired_allows_nothing() -> None:
    terms = ListTerms(allow=True, expires_at=NOON)
    allow = edition(ListEntry("lawful", sha256=ALL["sha256"]), name="allow", terms=terms)
    assert answers(allow, edition(ListEntry("near", pdq=bits(3)), name="near"), of=fingerprint()) == [
        ("near", "near", False)
    ]


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"radius": 65}, "radius"),
        ({"radius": -1}, "radius"),
        ({"quality_floor": 101}, "floor"),
        ({"expires_at": NOON.replace(tzinfo=None)}, "zone"),
    ],
)
def test_terms_that_make_no_sense_are_refused(terms: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ListTerms(**terms)


def test_entries_that_are_gone_are_never_told() -> None:
    made = Snapshot.build([edition(*(ListEntry(f"e{row}", pdq=bits(3), md5=ALL["md5"]) for row in range(5)))])
    lists_ = Lists([Source(made, np.array([0, 2, 4]))])
    (matches,) = lists_.lookup([fingerprint()], at=NOON)
    assert [(match.entry, match.kind) for match in matches] == [("e1", MD5), ("e3", MD5)]
    assert len(lists_) == 2


@pytest.mark.parametrize("kinds", [("pdq",), ("md5",), ("md5", "pdq")])
def test_of_very_many_entries_with_one_hash_some_are_told_and_the_others_counted(kinds: tuple[str, ...]) -> None:
    crowd = edition(*(ListEntry(f"e{row:06}", **{kind: ALL[kind] for kind in kinds}) for row in range(5000)))
    off = edition(
        *(ListEntry(f"o{row:06}", pdq=EMPTY_CODE) for row in range(3000)), name="off", terms=ListTerms(enabled=False)
    )
    few = edition(ListEntry("only", pdq=EMPTY_CODE), name="few")
    (matches, again) = Lists.build([off, crowd, few]).lookup([fingerprint(), fingerprint()], at=NOON)
    assert matches == again
    of_crowd = [match for match in matches if match.edition.list_name == "shapes"]
    assert len(of_crowd) == lists.MOST
    assert sum(match.more for match in of_crowd) == 5000 - lists.MOST
    assert [match.entry for match in matches if match.edition.list_name == "few"] == ["only"]


def test_one_fingerprint_may_have_several_perceptual_values() -> None:
    """Both pipelines of PDQ: the nearer of the two is told, once."""
    asked = Asked.of([fingerprint(), fingerprint(pdq=bits(200))])
    more = Values.of(PDQ, [(1, bits(4))])
    both = Values(
        np.concatenate([asked.hashes[PDQ].rows, more.rows]), np.concatenate([asked.hashes[PDQ].values, more.values])
    )
    asked = Asked(2, {**asked.hashes, PDQ: both}, np.array([100, 100, 60], np.uint8))
    found = Lists.build([edition(ListEntry("e1", pdq=bits(5)))]).look_up(asked, at=NOON).matches(2)
    assert [[(each.entry, each.distance) for each in one] for one in found] == [[("e1", 5)], [("e1", 1)]]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_lookups_say_what_a_plain_comparison_says(seed: int) -> None:
    """Two snapshots of random editions on random terms against a loop over every entry."""
    chance = random.Random(seed)
    codes = [chance.getrandbits(256) for _ in range(40)]
    digests = {
        kind: [f"{chance.getrandbits(4 * width):0{width}x}" for _ in range(30)] for kind, width in WIDTHS.items()
    }

    def value(near: bool) -> str:
        turned = sum(1 << bit for bit in chance.sample(range(256), chance.choice([0, 5, 20, 40]))) if near else 0
        return f"{chance.choice(codes) ^ turned:064x}"

    def entry(row: int) -> ListEntry:
        kinds = chance.sample(list(WIDTHS), chance.randint(0, 2))
        chosen: dict[str, Any] = {kind: chance.choice(digests[kind]) for kind in kinds}
        if not kinds or chance.random() < 0.7:
            chosen |= {"pdq": value(True), "pdq_quality": chance.choice([None, 10, 50, 90])}
        return ListEntry(f"e{row}", **chosen)

    editions = [
        edition(
            *(entry(row) for row in range(chance.randint(0, 60))),
            name=f"list {number}",
            terms=ListTerms(
                radius=chance.choice([0, 10, 31, 45]),
                quality_floor=chance.choice([0, 50, 80]),
                allow=number == 3,
                enabled=number != 4,
            ),
        )
        for number in range(6)
    ]
    asked = [
        Fingerprint(
            **{kind: chance.choice(digests[kind]) for kind in WIDTHS},
            size=1,
            pdq=value(True),
            pdq_quality=chance.choice([10, 60, 100]),
            pipeline="pdq-full/1",
        )
        for _ in range(80)
    ]
    sources = [Source(Snapshot.build(editions[:3])), Source(Snapshot.build(editions[3:]))]
    for each, matches in zip(asked, Lists(sources).lookup(asked, at=NOON), strict=True):
        assert matches == plainly(editions, each)


WIDTHS = {"md5": 32, "sha1": 40, "sha256": 64}


def plainly(editions: list[Edition], of: Fingerprint) -> tuple[Match, ...]:
    allowed = any(
        each.terms.allow and each.terms.enabled and any(entry.sha256 == of.sha256 for entry in each.entries)
        for each in editions
    )
    found = []
    for each in editions:
        for entry in each.entries if each.terms.enabled and not each.terms.allow else ():
            kind = next(
                (kind for kind in (SHA256, SHA1, MD5) if getattr(entry, kind.value) == getattr(of, kind.value)), None
            )
            if kind is not None:
                found.append(Match(each.ref, entry.entry, kind, 0))
            elif entry.pdq is not None and of.pdq is not None:
                distance = (int(entry.pdq, 16) ^ int(of.pdq, 16)).bit_count()
                floor = each.terms.quality_floor
                good = (of.pdq_quality or 0) >= floor and (entry.pdq_quality is None or entry.pdq_quality >= floor)
                if good and distance <= each.terms.radius:
                    found.append(Match(each.ref, entry.entry, PDQ, distance, allowed))
    return tuple(sorted(found, key=match_order))


def test_a_search_finds_each_code_once_however_many_entries_have_it() -> None:
    index = HammingIndex.build(np.zeros((100_000, 32), np.uint8))
    assert [len(column) for column in index.search_codes(np.zeros((1, 32), np.uint8))] == [1, 1, 1]


def test_a_list_made_by_any_pipeline_is_matched_and_the_smallest_distance_counts() -> None:
    asked = replace(
        fingerprint(pdq=bits(250)),
        pdq_512=bits(3),
        pdq_512_quality=100,
        orientation=6,
        pdq_upright="f" * 64,
        frames=(FrameHash(0.0, bits(100), 100), FrameHash(1.0, bits(130), 49)),
    )
    entries = [
        ListEntry("reduced", pdq=EMPTY_CODE),
        ListEntry("turned", pdq="f" * 64),
        ListEntry("frame", pdq=bits(99)),
    ]
    assert found(*entries, ListEntry("flat frame", pdq=bits(160)), of=asked) == [
        ("turned", PDQ, 0), ("frame", PDQ, 1), ("reduced", PDQ, 3),
    ]  # fmt: skip


def test_a_pipeline_of_low_quality_is_not_asked() -> None:
    asked = replace(fingerprint(pdq=bits(200)), pdq_512=EMPTY_CODE, pdq_512_quality=49)
    assert found(ListEntry("e", pdq=EMPTY_CODE), of=asked) == []


@pytest.mark.parametrize("apart", [31, 32, 43, 44, 64, 65])
@pytest.mark.parametrize("listed", [1, 40], ids=["few", "many of one value"])
def test_leeway_widens_every_radius_and_lowers_the_floor_of_the_question(apart: int, listed: int) -> None:
    entries = [ListEntry(f"e{each}", pdq=bits(apart), pdq_quality=50) for each in range(listed)]
    near, far = ListTerms(), ListTerms(radius=60)
    made = Lists.build([edition(*entries, terms=near), edition(*entries, name="wide", terms=far)])
    for leeway, reach in ((Leeway(), {"shapes": 31, "wide": 60}), (Leeway(12, 2), {"shapes": 43, "wide": 64})):
        for quality in (47, 48, 49, 50):
            (matches,) = made.lookup([fingerprint(quality=quality)], at=NOON, leeway=leeway)
            wanted = {name for name, most in reach.items() if apart <= most and quality + leeway.quality >= 50}
            assert {match.edition.list_name for match in matches} == wanted
            assert len(matches) == listed * len(wanted)
