"""Lists are read as people and partners write them; what cannot be used is named, line by line."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havenline.entries import Entries
from havenline.formats.csv_text import guarded, unguarded
from havenline.formats.hash_list import HashList, ListError, read_list, write_list
from havenline.vocabulary import ListEntry

MD5, SHA1, SHA256, PDQ = "a" * 32, "b" * 40, "c" * 64, "d" * 64
EVERYTHING = ListEntry("e1", MD5, SHA1, SHA256, PDQ, 77, "triangle, red")


def written(folder: Path, text: str | bytes, name: str = "partner.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def entries_of(read: HashList) -> tuple[ListEntry, ...]:
    return tuple(read.entries)


def test_a_csv_with_every_column_is_read(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        f'entry,md5,sha1,sha256,pdq,pdq_quality,label\ne1,{MD5},{SHA1},{SHA256},{PDQ},77,"triangle, red"\n',
    )
    read = read_list(str(path))
    assert entries_of(read) == (EVERYTHING,)
    assert (read.ref.list_name, read.ref.number) == ("partner", 0)
    assert (len(read.problems), read.notes, read.alike) == (0, (), 0)


@pytest.mark.parametrize(
    "text",
    [
        f"sha256\n{SHA256}\n",
        f"\ufeffsha256\n{SHA256}\n",
        f"SHA256\r\n{SHA256.upper()}\r\n",
        f"\n\n  sha256  \n\n {SHA256} \n\n",
        f'"sha256"\n"{SHA256}"\n',
        f"note;sha256\nfirst, half;{SHA256}\n",
        f"note\tsha256\nx\t{SHA256}\n",
        f"sha256,note\n{SHA256},x,,,\n",
    ],
    ids=["plain", "marked", "upper, CRLF", "blanks", "quoted", "semicolons", "tabs", "cells to spare"],
)
def test_the_ways_people_write_a_csv_are_understood(tmp_path: Path, text: str) -> None:
    read = read_list(str(written(tmp_path, text)))
    assert [entry.sha256 for entry in read.entries] == [SHA256]
    assert len(read.problems) == 0


def test_entries_without_an_id_are_named_by_their_line(tmp_path: Path) -> None:
    read = read_list(str(written(tmp_path, f"md5\n{MD5}\n\n{'0' * 32}\n")))
    assert [entry.entry for entry in read.entries] == ["line-2", "line-4"]


def test_unknown_columns_are_passed_over_with_a_note(tmp_path: Path) -> None:
    read = read_list(str(written(tmp_path, f"md5,source,photodna\n{MD5},x,y\n")))
    assert read.notes == ("columns not used: 'source', 'photodna'",)
    assert len(read.entries) == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"x,{MD5[:-1]},,", "32 lower-case hex digits"),
        (f"x,{MD5[:-1]}g,,", "32 lower-case hex digits"),
        ("x,,,", "no hash"),
        (f"x,,{PDQ},101", "0 to 100"),
        (f"x,,{PDQ},-1", "0 to 100"),
        (f"x,,{PDQ},high", "0 to 100"),
        (f"e1,{MD5},,", "line 2"),
        (f"x\ty,{MD5},,", "printable"),
        (f"{'x' * 201},{MD5},,", "1 to 200"),
        (f"x,{MD5}", "2 cells where the header has 4"),
        (f"x,{MD5},,,5", "5 cells"),
        (f'"x,{MD5},,', "quotation mark"),
        (f"x,{'a' * 1_100_000},,", "1,048,576 bytes"),
    ],
)
def test_a_bad_line_is_reported_by_number_and_reason_and_the_rest_is_read(
    tmp_path: Path, line: str, reason: str
) -> None:
    text = f"entry,md5,pdq,pdq_quality\ne1,{MD5},,\n{line}\ne3,{'0' * 32},,\n"
    read = read_list(str(written(tmp_path, text)))
    assert [entry.entry for entry in read.entries] == ["e1", "e3"]
    ((number, why),) = [(problem.line, problem.reason) for problem in read.problems]
    assert number == 3
    assert reason in why
    assert MD5[:20] not in why


def test_a_line_that_is_not_utf8_is_a_bad_line(tmp_path: Path) -> None:
    path = written(tmp_path, f"md5,label\n{MD5},caf\u00e9\n".encode("latin-1") + f"{'0' * 32},ok\n".encode())
    read = read_list(str(path))
    assert [problem.reason for problem in read.problems] == ["not UTF-8"]
    assert len(read.entries) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (f"{PDQ}\n{PDQ}\n".encode(), "pdq:"),
        (f"{MD5}\n".encode(), "sha256:"),
        (b"name,colour\nx,y\n", "no hash list"),
        (f"md5,sha1,MD5\n{MD5},,\n".encode(), "md5 twice"),
        (f"md5\n{MD5}\n".encode("utf-16"), "UTF-16"),
        (f"md5\n{MD5}\n".encode("utf-16-le"), "UTF-16"),
        (b"md5\n" + b"\0" * 7, "binary"),
        (b'"md5\n', "quotation mark"),
        (b"md5\nzz\nyy\n", "none of its 2 lines is usable (line 2"),
        (b"PAR1" + b"\0" * 100, "no whole Parquet file"),
    ],
)
def test_a_file_that_is_no_list_is_refused_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ListError) as refused:
        read_list(str(path))
    assert str(refused.value).startswith(str(path))
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(ListError, match="cannot be read"):
            read_list(str(path))


def test_text_that_calls_itself_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ListError, match="not a Parquet file"):
        read_list(str(written(tmp_path, f"md5\n{MD5}\n", "list.parquet")))


@pytest.mark.parametrize(("kind", "value"), [("md5", MD5), ("sha1", SHA1), ("sha256", SHA256), ("pdq", PDQ)])
def test_raw_lines_are_read_as_the_prefix_says(tmp_path: Path, kind: str, value: str) -> None:
    path = written(tmp_path, f"# shapes\n{value.upper()}\n\nnot hex\n{value}\n", "raw.txt")
    read = read_list(f"{kind}:{path}")
    assert [(entry.entry, getattr(entry, kind)) for entry in read.entries] == [
        ("line-2", value),
        ("line-5", value),
    ]
    assert [problem.line for problem in read.problems] == [4]


def test_a_csv_comes_back_as_it_was_written(tmp_path: Path) -> None:
    entries = [
        EVERYTHING,
        ListEntry("=1+1", md5=MD5, label="@x"),
        ListEntry("'-y", pdq=PDQ, label='say "hi"'),
    ]
    path = tmp_path / "out.csv"
    ref = write_list(path, Entries.of(entries))
    read = read_list(str(path))
    assert entries_of(read) == tuple(entries)
    assert read.ref == ref
    assert (ref.list_name, ref.number) == ("out", 0)
    with path.open(newline="") as file:
        assert not [cell for row in csv.reader(file) for cell in row if cell.startswith(("=", "@", "-"))]


def test_nothing_is_replaced_unless_asked(tmp_path: Path) -> None:
    path, none = tmp_path / "list.csv", Entries.of([])
    write_list(path, Entries.of([EVERYTHING]))
    before = path.read_bytes()
    with pytest.raises(ListError, match="exists already"):
        write_list(path, none)
    assert path.read_bytes() == before
    write_list(path, none, replace=True)
    assert entries_of(read_list(str(path))) == ()
    assert [each.name for each in tmp_path.iterdir()] == ["list.csv"]


def test_a_folder_that_does_not_exist_is_said(tmp_path: Path) -> None:
    with pytest.raises(ListError, match="cannot be written"):
        write_list(tmp_path / "no" / "x.csv", Entries.of([]))


@pytest.mark.parametrize(
    "entries",
    [
        [EVERYTHING, EVERYTHING],
        [ListEntry("a\nb", md5=MD5)],
        [ListEntry("e", md5=MD5, label=" outer")],
        [ListEntry("e", md5=MD5, opaque=(("photodna", "x"),))],
    ],
    ids=["twice", "two lines", "blank", "carried"],
)
def test_lists_that_could_not_be_read_back_are_not_written(tmp_path: Path, entries: list[ListEntry]) -> None:
    with pytest.raises(ValueError, match=r"id|printable|carried"):
        write_list(tmp_path / "x.csv", Entries.of(entries))
    assert list(tmp_path.iterdir()) == []


def test_lists_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    write_list(path, Entries.of([EVERYTHING]))
    assert path.stat().st_mode & 0o777 == 0o600


@given(st.text(alphabet="'=+-@ab\t\r＝", max_size=6))
def test_a_guarded_cell_is_no_formula_and_comes_back(cell: str) -> None:
    assert guarded(cell)[:1] not in {"=", "+", "-", "@", "\t", "\r", "＝"} or cell == ""
    assert unguarded(guarded(cell)) == cell


def test_a_list_without_header_is_refused_and_none_of_its_values_is_told(tmp_path: Path) -> None:
    with pytest.raises(ListError, match="no hash list") as refused:
        read_list(str(written(tmp_path, f"e1,{PDQ},{MD5}\ne2,{PDQ},{MD5}\n")))
    assert PDQ not in str(refused.value)
    assert MD5 not in str(refused.value)
