"""An edition opens whole and verified, or is refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from havenline.formats import edition
from havenline.formats.hash_list import HashList, ListError, read_list, write_list
from havenline.vocabulary import ListEntry

ENTRIES = [
    ListEntry("e1", md5="a" * 32, sha1="b" * 40, sha256="c" * 64, pdq="d" * 64, pdq_quality=77, label="drawn"),
    ListEntry("e2", pdq="0" * 64),
    ListEntry("e3", sha256="f" * 64),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "list.parquet"
    write_list(made, ENTRIES, name="shapes", number=3, made_by="havenline 0.1.0")
    return made


def rewritten(path: Path, *, head: dict[str, Any] | None = None, table: pa.Table | None = None) -> Path:
    """The edition with other entries or another description, as someone might make it on purpose."""
    old = pq.read_table(path)
    described = json.loads(old.schema.metadata[edition.METADATA_KEY]) | (head or {})
    described["head_digest"] = edition._head_digest(described)
    table = old if table is None else table
    pq.write_table(table.replace_schema_metadata({edition.METADATA_KEY: json.dumps(described)}), path)
    return path


def test_an_edition_comes_back_as_it_was_written(path: Path) -> None:
    read = read_list(str(path))
    assert read.entries == tuple(ENTRIES)
    assert (read.ref.list_name, read.ref.number, read.made_by) == ("shapes", 3, "havenline 0.1.0")
    assert read.ref.digest == edition.canonical_digest(ENTRIES)


@pytest.mark.parametrize("count", [0, 1, 2, 64, 10_000])
def test_editions_of_any_size_come_back(tmp_path: Path, count: int) -> None:
    entries = [ListEntry(f"e{number}", md5=f"{number:032x}") for number in range(count)]
    write_list(tmp_path / "x", entries, name="x", number=1, made_by="test")
    assert read_list(str(tmp_path / "x")).entries == tuple(entries)


def test_the_ending_of_the_name_does_not_matter_for_reading(path: Path) -> None:
    assert read_list(str(path.rename(path.with_suffix(".bin")))).ref.number == 3


def test_a_foreign_parquet_file_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"md5": ["a" * 32]}), tmp_path / "x.parquet")
    with pytest.raises(ListError, match="no edition of a hash list"):
        read_list(str(tmp_path / "x.parquet"))


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ({"digest": "0" * 64}, "digest"),
        ({"entries": 2}, "digest"),
        ({"format": "other"}, "not one of an edition"),
        ({"version": 2}, "another form"),
        ({"number": "3"}, "incomplete"),
        ({"number": True}, "incomplete"),
        ({"number": 0}, "description"),
        ({"name": "a\nb"}, "list name"),
        ({"made_by": ""}, "made_by"),
    ],
)
def test_a_wrong_description_is_refused(path: Path, head: dict[str, Any], reason: str) -> None:
    with pytest.raises(ListError, match=reason):
        read_list(str(rewritten(path, head=head)))


def test_an_entry_left_out_added_or_altered_is_seen(path: Path) -> None:
    whole = pq.read_table(path)
    altered = whole.set_column(6, whole.schema.field(6), pa.array(["other", None, None]))
    for table in (whole.slice(1), pa.concat_tables([whole, whole.slice(2)]), altered):
        with pytest.raises(ListError, match="damaged or altered"):
            read_list(str(rewritten(path, head={"entries": table.num_rows}, table=table)))


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.append_column("more", pa.array([1, 2, 3])),
        lambda table: table.drop_columns(["label"]),
        lambda table: table.cast(table.schema.set(5, pa.field("pdq_quality", pa.int64()))),
    ],
)
def test_other_columns_are_refused(path: Path, change: Any) -> None:
    with pytest.raises(ListError, match="columns"):
        read_list(str(rewritten(path, table=change(pq.read_table(path)))))


def test_a_description_that_is_not_json_is_refused(path: Path) -> None:
    pq.write_table(pq.read_table(path).replace_schema_metadata({edition.METADATA_KEY: b"{"}), path)
    with pytest.raises(ListError, match="not JSON"):
        read_list(str(path))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, HashList]:
    made = tmp_path_factory.mktemp("editions") / "list.parquet"
    write_list(made, ENTRIES, name="shapes", number=3, made_by="havenline 0.1.0")
    return made, made.read_bytes(), read_list(str(made))


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(0, 1 << 20))
def test_a_file_cut_short_anywhere_is_refused(whole: tuple[Path, bytes, HashList], cut: int) -> None:
    path, content, _ = whole
    path.write_bytes(content[: cut % len(content)])
    with pytest.raises(ListError):
        read_list(str(path))


@settings(max_examples=400, deadline=None)
@given(place=st.integers(0, 1 << 20), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_changes_nothing(whole: tuple[Path, bytes, HashList], place: int, bit: int) -> None:
    path, content, expected = whole
    damaged = bytearray(content)
    damaged[place % len(content)] ^= 1 << bit
    path.write_bytes(damaged)
    try:
        read = read_list(str(path))
    except ListError:
        return
    assert read == expected
