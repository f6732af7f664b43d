"""Lists whose lines name the kind of their value, one JSON array, and mappings that are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from havenline.formats import list_json
from havenline.formats.hash_list import ColumnMap, Form, ListError, read_list
from havenline.formats.saved_mapping import SavedMapping, read_mapping
from havenline.vocabulary import ListEntry

MD5, PDQ, SHA1 = "0a" * 16, "3d" * 32, "4e" * 20
KINDS = ["ImagePDQ=pdq", "VideoMD5=md5", "VideoTMK=tmk", "URL="]
MAPPING = ColumnMap.of(["entry=id"], kind_column="signalType", value_column="hashValue", kinds=KINDS)
RECORDS: list[dict[str, Any]] = [
    {"id": "a", "signalType": "ImagePDQ", "hashValue": PDQ},
    {"id": "b", "signalType": "VideoMD5", "hashValue": MD5.upper()},
    {"id": "c", "signalType": "VideoTMK", "hashValue": "tmk-value"},
    {"id": "d", "signalType": "URL", "hashValue": "https://x.invalid"},
    {"id": "e", "signalType": "Surprise", "hashValue": MD5},
    {"id": "f", "signalType": "ImagePDQ", "hashValue": MD5},
]
WANTED = [
    ListEntry("a", pdq=PDQ),
    ListEntry("b", md5=MD5),
    ListEntry("c", opaque=(("tmk", "tmk-value"),)),
]


def file_of(folder: Path, form: Form | str) -> Path:
    path = folder / f"list.{form}"
    if form == Form.PARQUET:
        pq.write_table(pa.Table.from_pylist(RECORDS), path)
    elif form == Form.JSONL:
        path.write_text("".join(json.dumps(each) + "\n" for each in RECORDS))
    elif form == "json":
        path.write_text(json.dumps(RECORDS, indent=1))
    else:
        sign = "\t" if form == Form.TSV else ","
        rows = [list(RECORDS[0]), *(list(each.values()) for each in RECORDS)]
        path.write_text("".join(sign.join(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("form", [*Form, "json"])
def test_each_line_gives_its_value_to_the_field_of_its_kind_in_every_form(tmp_path: Path, form: Form | str) -> None:
    read = read_list(str(file_of(tmp_path, form)), mapping=MAPPING)
    assert list(read.entries) == WANTED
    first = 1 if form in (Form.PARQUET, Form.JSONL, "json") else 2
    unknown, short = read.problems
    assert (unknown.line - first, unknown.reason) == (4, "of a kind that the mapping does not name")
    assert short.line - first == 5
    assert "pdq" in short.reason


def test_a_column_named_as_a_kind_is_not_taken_beside_the_values(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"kind,value,pdq\nP,{PDQ},{'5c' * 32}\n")
    mapping = ColumnMap.of(kind_column="kind", value_column="value", kinds=["P=pdq"])
    assert [each.pdq for each in read_list(str(path), mapping=mapping).entries] == [PDQ]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"kind_column": "a"}, "go together"),
        ({"kind_column": "a", "value_column": "b"}, "go together"),
        ({"kinds": ["a=pdq"]}, "go together"),
        ({"kind_column": "a", "value_column": "b", "kinds": ["a=label"]}, "is no kind of value"),
        ({"kind_column": "a", "value_column": "b", "kinds": ["a"]}, "not of the form"),
    ],
)
def test_a_mapping_of_kinds_that_cannot_be_is_refused(said: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ColumnMap.of(**said)


def test_a_list_without_the_columns_is_refused_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"md5\n{MD5}\n")
    with pytest.raises(ListError, match="it has no column 'signalType'"):
        read_list(str(path), mapping=ColumnMap.of(kind_column="signalType", value_column="md5", kinds=["x=md5"]))


def test_an_array_is_read_record_by_record_and_bad_ones_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_json, "_AT_ONCE", 2)
    path = tmp_path / "list.json"
    records = [{"entry": f"e{number}", "sha1": f"{number:040x}"} for number in range(7)]
    text = (
        json.dumps([*records, 5, {"sha1": "x"}])[:-1] + ', {"entry": "n", "pdq_quality": NaN, "sha1": "' + SHA1 + '"}]'
    )
    path.write_text("\ufeff\n" + text)
    read = read_list(str(path))
    assert [each.entry for each in read.entries] == [each["entry"] for each in records]
    assert [problem.line for problem in read.problems] == [8, 9, 10]


@pytest.mark.parametrize("text", ["[", '[{"md5": "', f'[{{"md5": "{MD5}"}}', f'[{{"md5": "{MD5}"}}] x', "[1 2]"])
def test_an_array_that_breaks_off_is_refused_whole(tmp_path: Path, text: str) -> None:
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(ListError, match="nothing was kept"):
        read_list(str(path))


def test_what_is_kept_is_read_again() -> None:
    for saved in (SavedMapping(MAPPING, Form.JSONL), SavedMapping(ColumnMap.of(["pdq=P"], ["photodna=D"]))):
        assert read_mapping(saved.written(), name="x") == saved


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said.pop("kinds"),
        lambda said: said.update(more=1),
        lambda said: said.update(form="other/1"),
        lambda said: said.update(columns=[]),
        lambda said: said.update(columns={"pdq": 1}),
        lambda said: said.update(columns={"surprise": "x"}),
        lambda said: said.update(format="xml"),
        lambda said: said.update(kind_column=""),
        lambda said: said.update(value_column=7),
    ],
)
def test_what_is_no_whole_mapping_is_refused(change: Any) -> None:
    said = json.loads(SavedMapping(MAPPING).written())
    change(said)
    with pytest.raises(ListError, match="the mapping x cannot be used"):
        read_mapping(json.dumps(said).encode(), name="x")
    for content in (b"", b"[]", b"{", b" " * 70_000):
        with pytest.raises(ListError, match="cannot be used"):
            read_mapping(content, name="x")
