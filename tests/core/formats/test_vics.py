"""Project VIC files. Each test names the section of docs/formats/vics.md that it checks."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import random
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from havenline.formats import json_stream, vics
from havenline.formats.vics import VicsHead, VicsRecord, VicsRefused, VicsUnread, read_vics, write_vics
from havenline.vocabulary import ListEntry

OLD = "http://github.com/ICMEC/ProjectVic/DataModels/1.3.xml#Media"
NEW = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/US/$metadata#Media"
CASES = NEW.replace("#Media", "#Cases")
DNA = base64.b64encode(bytes(range(144))).decode()


def value(kind: str, number: int) -> str:
    length = {"md5": 32, "sha1": 40, "sha256": 64, "pdq": 64}[kind]
    return hashlib.sha256(f"vics {kind} {number}".encode()).hexdigest()[:length]


def media(number: int, **more: Any) -> dict[str, Any]:
    return {"MediaID": number, "Category": 1, "MD5": value("md5", number).upper(), **more}


def file_of(path: Path, records: list[Any], *, head: str = NEW, text: str | None = None) -> Path:
    key = "odata.metadata" if "ICMEC" in head else "@odata.context"
    path.write_text(text if text is not None else json.dumps({key: head, "value": records}))
    return path


def read(path: Path, **how: Any) -> tuple[VicsHead, list[VicsRecord | VicsUnread]]:
    head, records = read_vics(path, **how)
    return head, list(records)


def only(path: Path, **how: Any) -> VicsRecord | VicsUnread:
    (record,) = read(path, **how)[1]
    return record


@pytest.mark.parametrize("version", ["1.1", "1.2", "1.3"])
def test_1_a_head_before_2_0_names_a_version_and_no_model(tmp_path: Path, version: str) -> None:
    path = file_of(tmp_path / "a", [media(1)], head=OLD.replace("1.3", version))
    assert read(path, model="UK")[0] == VicsHead(version, "UK", "Media")
    with pytest.raises(VicsRefused, match="of no country model it is not known what the categories mean"):
        read(path)
    assert read(path, categories={1: "mine"})[0].model == ""


def test_1_a_head_of_2_0_names_its_model_and_no_other_is_taken_for_it(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a", [media(1)])
    assert read(path)[0] == VicsHead("2.0", "US", "Media")
    with pytest.raises(VicsRefused, match="is of the model US, not UK"):
        read(path, model="UK")
    with pytest.raises(VicsRefused, match="of the model CUSTOM it is not known"):
        read(file_of(tmp_path / "b", [media(1)], head=NEW.replace("US", "CUSTOM")))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"value": []}', "names no version"),
        (f'{{"odata.metadata": "{OLD.replace("1.3", "3.0")}", "value": []}}', "names no version"),
        ('{"a": 1}', "names no records"),
        ("[]", "of another form"),
        ("", "of another form"),
        ("<xml/>", "of another form"),
        (f'{{"@odata.context": "{NEW}", "value": {{}}}}', "is expected"),
        (f'{{"@odata.context": "{NEW}", "value": [', "broken off"),
        (f'{{"@odata.context": "{NEW}", "value": [{{"MD5": "0', "broken off"),
        (f'{{"@odata.context": "{NEW}", "value": [] }} x', "more behind its end"),
        (f'{{"@odata.context": "{NEW}", "value": [1 2]}}', "is expected"),
        (f'{{"@odata.context": "{CASES}", "value": [{{"Media": 7}}]}}', "is expected"),
    ],
)
def test_2_what_is_malformed_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "a"
    path.write_text(text)
    with pytest.raises(VicsRefused, match=words):
        read(path)


def test_1_a_byte_order_mark_is_passed_over_and_what_is_no_utf8_is_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a", [media(1)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert isinstance(only(path), VicsRecord)
    path.write_bytes(path.read_bytes().replace(b'"MD5"', b'"\xff"'))
    with pytest.raises(VicsRefused, match="not UTF-8"):
        read(path)


def test_2_records_of_all_cases_are_read_in_order(tmp_path: Path) -> None:
    cases = [
        {"CaseID": "a", "CaseMetadata": [{"PropertyName": "x"}], "Media": [media(1), media(2)], "ContactName": "role"},
        {"CaseID": "b", "Media": None},
        {"CaseID": "c"},
        {},
        {"Media": [media(3, MediaFiles=[{"FilePath": "..\\..\\x"}])]},
    ]
    found = read(file_of(tmp_path / "a", cases, head=CASES))[1]
    assert [(each.number, each.entry.md5) for each in found if isinstance(each, VicsRecord)] == [
        (number, value("md5", number)) for number in (1, 2, 3)
    ]


def test_3_values_of_either_case_and_alternative_hashes_are_read(tmp_path: Path) -> None:
    others = [
        {"HashName": "PhotoDNA", "HashValue": DNA},
        {"HashName": "SHA-256", "HashValue": value("sha256", 1).upper()},
        {"HashName": "PDQ", "HashValue": value("pdq", 1)},
    ]
    said = media(1, SHA1=value("sha1", 1), AlternativeHashes=others, PhotoDNA=DNA, IsDistributed="false", Series=" S ")
    record = only(file_of(tmp_path / "a", [said]))
    assert isinstance(record, VicsRecord)
    entry = record.entry
    assert {kind: getattr(entry, kind) for kind in ("md5", "sha1", "sha256", "pdq")} == {
        kind: value(kind, 1) for kind in ("md5", "sha1", "sha256", "pdq")
    }
    assert entry.opaque == (("photodna", DNA),)
    assert (record.category, record.series) == (1, "S")
    assert not any(held and held[:16] in entry.entry for held in (entry.md5, entry.sha1, entry.sha256))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"MD5": "xyz"}, "a md5 of another form"),
        ({"MD5": 7}, "a md5 that is no text"),
        ({"MD5": None}, "no hash value"),
        ({"PhotoDNA": "AAAA"}, "a PhotoDNA of another form"),
        ({"PhotoDNA": 5}, "a PhotoDNA of another form"),
        ({"AlternativeHashes": [{"HashName": "F1", "HashValue": "1"}]}, "of a kind that is unknown"),
        ({"AlternativeHashes": [7]}, "of another form"),
        ({"AlternativeHashes": [{"HashName": "MD5", "HashValue": "0" * 32}]}, "two values of md5"),
        ({"Series": 7}, "a series that is no text"),
        ({"Category": 9}, "a category that its model does not know"),
        ({"Category": "1"}, "a category that its model does not know"),
        ({"Category": True}, "a category that its model does not know"),
    ],
)
def test_3_and_4_what_is_unknown_goes_to_quarantine_with_its_bytes_and_no_picture(
    tmp_path: Path, more: Mapping[str, Any], words: str
) -> None:
    picture = base64.b64encode(b"bytes of a drawn picture").decode()
    found = read(file_of(tmp_path / "a", [media(1, **more), media(2), media(3, **more, Miniature=picture)]))[1]
    first, second, third = found
    assert isinstance(first, VicsUnread)
    assert isinstance(second, VicsRecord)
    assert isinstance(third, VicsUnread)
    assert words in first.reason
    assert json.loads(first.raw) == media(1, **more)
    assert json.loads(third.raw) == media(3, **more)
    assert value("md5", 1) not in first.reason.lower()


def test_3_no_byte_of_a_picture_is_in_a_record(tmp_path: Path) -> None:
    record = only(file_of(tmp_path / "a", [media(1, Miniature="AAECAwQF")]))
    assert "AAECAwQF" not in repr(record)


def test_4_what_nobody_categorised_has_no_category(tmp_path: Path) -> None:
    said = media(1)
    del said["Category"]
    records = read(file_of(tmp_path / "a", [said, media(2, Category=None), media(3, Category=0)]))[1]
    assert [each.category for each in records if isinstance(each, VicsRecord)] == [None, None, 0]


@pytest.mark.parametrize(("version", "model"), [("1.3", "US"), ("2.0", "UK")])
def test_5_what_is_written_is_read_again(tmp_path: Path, version: str, model: str) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    choose = random.Random(seed)
    entries = []
    for number in range(200):
        kinds = choose.sample(["md5", "sha1", "sha256", "pdq"], choose.randint(1, 4))
        entry = ListEntry(f"e{number}", **{kind: value(kind, number) for kind in kinds})
        entries.append((entry, choose.choice([None, 1, 2])))
    out = io.BytesIO()
    assert write_vics(out, entries, version=version, model=model) == 200
    path = tmp_path / "a"
    path.write_bytes(out.getvalue())
    head, found = read(path, model=model)
    assert head == VicsHead(version, model, "Media")
    assert [
        (each.category, each.entry.md5, each.entry.sha1, each.entry.sha256, each.entry.pdq)
        for each in found
        if isinstance(each, VicsRecord)
    ] == [(category, entry.md5, entry.sha1, entry.sha256, entry.pdq) for entry, category in entries]


def test_5_other_versions_are_not_written() -> None:
    for version, model in (("1.1", "US"), ("2.0", "../x"), ("2.0", "")):
        with pytest.raises(ValueError, match="are written"):
            write_vics(io.BytesIO(), [], version=version, model=model)


def test_2_the_pieces_in_which_a_file_is_read_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = {"Media": [media(number) for number in range(40)], "TotalMediaFiles": 40}
    path = file_of(tmp_path / "a", [case], head=CASES)
    whole = read(path)
    for step in (1, 2, 3, 7, 64):
        monkeypatch.setattr(json_stream, "_STEP", step)
        assert read(path) == whole


def test_2_a_record_that_is_too_long_ends_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vics, "LONGEST_RECORD", 1000)
    monkeypatch.setattr(json_stream, "_STEP", 100)
    path = file_of(tmp_path / "a", [media(1), media(2, Comments="x" * 5000)])
    _, records = read_vics(path)
    assert isinstance(next(records), VicsRecord)
    with pytest.raises(VicsRefused, match="a record that is too long"):
        next(records)


def test_2_a_long_file_takes_the_memory_of_one_piece(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with path.open("w") as file:
        file.write(f'{{"@odata.context":"{NEW}","value":[')
        for number in range(20_000):
            file.write(("," if number else "") + json.dumps(media(number, Comments="x" * 1000)))
        file.write("]}")
    _, records = read_vics(path)
    next(records)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(1 for _ in records) == 19_999
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 12_000  # KiB; the file has 22,000
