"""Lookups report each entry once, by its strongest kind, and never compare flat pictures by distance."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from havenline.matching import Edition, ListIndex
from havenline.vocabulary import (
    EditionRef,
    Fingerprint,
    FrameHash,
    HashKind,
    ListEntry,
    Match,
    Refusal,
    Refused,
)

MD5, SHA1, SHA256, PDQ = HashKind.MD5, HashKind.SHA1, HashKind.SHA256, HashKind.PDQ
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


def edition(*entries: ListEntry, name: str = "shapes", number: int = 1) -> Edition:
    return Edition(EditionRef(name, number, "0" * 64), entries)


def found(*entries: ListEntry, of: Fingerprint) -> list[tuple[str, HashKind, int]]:
    (matches,) = ListIndex.build([edition(*entries)]).lookup([of])
    return [(match.entry, match.kind, match.distance) for match in matches]


ALL = {kind.value: getattr(fingerprint(), kind.value) for kind in HashKind}


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
    (matches,) = ListIndex.build(editions).lookup([fingerprint()])
    assert matches == tuple(
        Match(EditionRef(name, number, "0" * 64), "e1", PDQ, 0) for name, number in [("a", 1), ("a", 2), ("b", 1)]
    )


def test_answers_come_in_the_order_of_the_questions() -> None:
    index = ListIndex.build([edition(ListEntry("e1", pdq=bits(5)))])
    asked = [fingerprint(pdq=bits(200)), fingerprint(pdq=None), fingerprint(), fingerprint(quality=0)]
    assert [len(matches) for matches in index.lookup(asked)] == [0, 0, 1, 0]


def test_empty_lists_and_empty_questions_are_answered() -> None:
    assert ListIndex.build([]).lookup([fingerprint()]) == [()]
    assert ListIndex.build([edition()]).lookup([]) == []
    assert len(ListIndex.build([edition(ListEntry("e1", md5=ALL["md5"]))])) == 1


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
