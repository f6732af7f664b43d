"""Entries of an edition read at their places are those that stand there, and another file's are none."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import pytest

from havenline.formats.edition import EditionRefused, Entry, ListKind, read_edition, write_edition
from havenline.formats.edition_index import index_of

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)


def entry(number: int) -> Entry:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    kinds = [("sha256", digest), ("md5", digest[:32]), ("pdq", digest[::-1])][: 1 + number % 3]
    return Entry(digest[:32], dict(kinds), 80 if len(kinds) == 3 else None, ListKind.CSAM, "a", "1", "", 2, "", AT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    entries = [entry(number) for number in range(50)]
    write_edition(tmp_path, list_name="house", kind=ListKind.CSAM, entries=entries, previous=None, made_at=AT)
    return tmp_path / "1"


def test_each_place_has_its_entry_and_its_kinds_of_values(folder: Path) -> None:
    edition, entries = read_edition(folder)
    held = list(entries)
    index = index_of(folder, digest=edition.digest)
    assert [each.decode() for each in index.ids] == [each.entry for each in held]
    places = [49, 0, 7, 7]
    assert index.entries(places) == [held[place] for place in places]
    for kinds in (["md5"], ["pdq", "md5"], ["sha256"], ["sha1"]):
        assert index.with_any(kinds).tolist() == [not set(kinds).isdisjoint(each.values) for each in held]


def test_an_edition_without_entries_has_an_index_of_none(tmp_path: Path) -> None:
    made = write_edition(tmp_path, list_name="house", kind=ListKind.CSAM, entries=[], previous=None, made_at=AT)
    assert len(index_of(tmp_path / "1", digest=made.digest).ids) == 0


def test_files_that_are_not_those_that_were_published_are_refused(folder: Path) -> None:
    digest = read_edition(folder)[0].digest
    with pytest.raises(EditionRefused, match="another edition"):
        index_of(folder, digest="0" * 64)
    entries = folder / "entries.ndjson"
    entries.write_bytes(entries.read_bytes()[:-1])
    with pytest.raises(EditionRefused, match="another SHA-256"):
        index_of(folder, digest=digest)
    entries.unlink()
    with pytest.raises(EditionRefused, match="cannot be read"):
        index_of(folder, digest=digest)
