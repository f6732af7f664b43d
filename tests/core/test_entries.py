"""Entries as columns say what the single entries said; their digest is the one that the specification gives."""

from __future__ import annotations

import hashlib
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from havenline import texts
from havenline.entries import Entries
from havenline.texts import Texts
from havenline.vocabulary import HashKind, ListEntry

WIDTHS = {"md5": 32, "sha1": 40, "sha256": 64, "pdq": 64}


def drawn(count: int, seed: int = 1) -> list[ListEntry]:
    chance = random.Random(seed)
    made = []
    for row in range(count):
        kinds = chance.sample(list(WIDTHS), chance.randint(0, 4))
        values = {kind: f"{chance.getrandbits(4 * WIDTHS[kind]):0{WIDTHS[kind]}x}" for kind in kinds}
        opaque = () if kinds and chance.random() < 0.8 else (("photodna", "AAAA"), ("x", f"ü{row}"))
        quality = chance.choice([None, 0, 50, 100]) if "pdq" in kinds else None
        label = chance.choice([None, "a", "bö"])
        made.append(ListEntry(f"e{chance.random()}ä{row}", pdq_quality=quality, label=label, opaque=opaque, **values))
    return made


def specified(entries: list[ListEntry]) -> str:
    """docs/formats/snapshot.md, 3, word for word."""
    ordered = sorted(entries, key=lambda entry: entry.entry.encode())
    said = f"havenline-entries\n{len(ordered)}\n".encode()
    for entry in ordered:
        said += entry.entry.encode() + b"\n"
    for kind in ("md5", "sha1", "sha256", "pdq"):
        said += bytes(getattr(entry, kind) is not None for entry in ordered)
        said += b"".join(bytes.fromhex(getattr(entry, kind) or "") for entry in ordered)
    said += bytes(255 if entry.pdq_quality is None else entry.pdq_quality for entry in ordered if entry.pdq)
    for entry in ordered:
        said += (entry.label or "").encode() + b"\n"
    for row, entry in enumerate(ordered):
        for name, text in sorted(entry.opaque):
            said += f"{row}\t{name}\t{text}\n".encode()
    return hashlib.sha256(said).hexdigest()


@pytest.mark.parametrize("count", [0, 1, 2, 300])
def test_columns_say_what_the_entries_said(count: int) -> None:
    entries = drawn(count)
    columns = Entries.of(entries)
    assert len(columns) == count
    assert list(columns) == entries
    assert columns.digest() == specified(entries)


def test_the_digest_does_not_depend_on_the_order_and_depends_on_all_else() -> None:
    entries = drawn(50)
    digest = Entries.of(entries).digest()
    assert Entries.of(reversed(entries)).digest() == digest
    others = [
        ListEntry("more", md5="0" * 32),
        ListEntry("more", sha1="0" * 40),
        ListEntry("more", pdq="0" * 64),
        ListEntry("more", sha256="0" * 64),
        ListEntry("more", pdq="0" * 64, pdq_quality=0),
        ListEntry("more", pdq="0" * 64, label="x"),
        ListEntry("more", pdq="0" * 64, opaque=(("x", "y"),)),
        ListEntry("more", pdq="0" * 64, opaque=(("x", "z"),)),
        ListEntry("most", pdq="0" * 64),
    ]
    digests = {Entries.of([*entries, other]).digest() for other in others}
    assert len(digests | {digest}) == len(others) + 1


@pytest.mark.parametrize("cuts", [(0,), (0, 0, 5), (100,), (30, 31, 90)])
def test_joining_parts_gives_the_whole_and_taking_gives_the_parts(cuts: tuple[int, ...]) -> None:
    entries = drawn(100, seed=3)
    bounds = [0, *cuts, 100]
    parts = [entries[start:end] for start, end in pairwise(bounds)]
    whole = Entries.joined([Entries.of(part) for part in parts])
    assert list(whole) == entries
    assert whole.digest() == specified(entries)
    rows = np.arange(cuts[0], 100, 3)
    assert list(whole.take(rows)) == [entries[row] for row in rows]


def test_nothing_joined_is_nothing() -> None:
    nothing = Entries.joined([])
    assert list(nothing) == []
    assert nothing.digest() == specified([])
    assert nothing.hashes[HashKind.PDQ].values.shape == (0, 32)


SOME = st.lists(st.text(max_size=20) | st.sampled_from(["", "a", "aaaaaaaa", "aaaaaaaaa", "b" * 300]), max_size=30)


@given(SOME)
def test_texts_are_given_back(given_: list[str]) -> None:
    made = Texts.of(given_)
    assert made.strings() == given_
    assert [made[row] for row in range(len(made))] == given_
    assert Texts.joined([made, made]).strings() == given_ * 2
    rows = list(range(len(given_)))[::-2]
    assert made.take(np.array(rows, np.int64)).strings() == [given_[row] for row in rows]
    with pytest.raises(IndexError):
        made[len(made)]


@given(SOME)
def test_texts_know_their_order_and_their_repeats(given_: list[str]) -> None:
    made = Texts.of(given_)
    expected = sorted(range(len(given_)), key=lambda row: (given_[row].encode(), row))
    assert made.order().tolist() == expected
    first = {text: row for row, text in reversed(list(enumerate(given_)))}
    later = [row for row, text in enumerate(given_) if first[text] != row]
    rows, origins = made.repeats()
    assert rows.tolist() == later
    assert origins.tolist() == [first[given_[row]] for row in later]
    keys = made.keys().tolist()
    assert all((keys[a] == keys[b]) == (given_[a] == given_[b]) for a in range(len(keys)) for b in range(len(keys)))


def test_many_texts_are_sorted_as_few_are() -> None:
    chance = random.Random(5)
    given_ = [f"{chance.getrandbits(24):x}ä" for _ in range(texts._FEW + 1000)]
    assert Texts.of(given_).order().tolist() == sorted(range(len(given_)), key=lambda row: (given_[row].encode(), row))


def test_the_mixed_value_of_a_text_is_the_specified_one() -> None:
    """docs/formats/snapshot.md, 4: it stands in files, so it never changes."""

    def specified(text: bytes) -> int:
        mixed = len(text) * 0xD6E8FEB86659FD93 % 2**64
        for at in range(0, len(text), 8):
            group = text[at : at + 8]
            number = int.from_bytes(group, "little") << 8 * (8 - len(group))
            mixed = (mixed ^ number) * 0x9E3779B97F4A7C15 % 2**64
            mixed ^= mixed >> 29
        return mixed

    given_ = ["", "a", "line-1", "12345678", "123456789", "ä" * 30]
    assert Texts.of(given_).keys().tolist() == [specified(text.encode()) for text in given_]
