"""Every form in which the field sends lists is read alike: whole blocks at once where lines are plain, the others one
by one, and never with another result."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from havenline.formats import csv_text, list_lines
from havenline.formats.csv_text import LineProblem
from havenline.formats.hash_list import ColumnMap, Form, HashList, ListError, joined, read_list
from havenline.formats.list_block import Cells
from havenline.formats.list_values import entry_of
from havenline.vocabulary import ListEntry

MD5, SHA1, SHA256, PDQ = "0a" * 16, "1b" * 20, "2c" * 32, "3d" * 32
COLUMNS = ("entry", "md5", "sha1", "sha256", "pdq", "pdq_quality", "label")


def written(folder: Path, content: str | bytes, name: str = "list.csv") -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def lines_of(entries: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(each) + "\n" for each in entries)


def told(read: HashList) -> list[tuple[int, str]]:
    return [(problem.line, problem.reason) for problem in read.problems]


def refusal(*arguments: Any, **options: Any) -> str:
    with pytest.raises(ListError) as refused:
        read_list(*arguments, **options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def read_line_by_line(path: Path) -> tuple[list[ListEntry], list[tuple[int, str]]]:
    """The plain twin of the reader of CSV: the same rules, one line after the other, without blocks or columns."""
    lines = csv_text.numbered_lines(path)
    line, text = next(lines)
    assert isinstance(text, str)
    header = csv_text.read_header(text, line, known=("md5", "sha1", "sha256", "pdq"))
    entries: dict[str, ListEntry] = {}
    first: dict[str, int] = {}
    problems = []
    for line, text in lines:
        row = text if isinstance(text, LineProblem) else csv_text.read_row(text, line, header)
        if isinstance(row, LineProblem):
            problems.append((line, row.reason))
            continue
        try:
            entry = entry_of(line, {field: row.cells[field] for field in COLUMNS if field in row.cells})
            if entry.entry in entries:
                raise ValueError(f"its entry id is that of line {first[entry.entry]:,}")
        except ValueError as error:
            problems.append((line, str(error)))
            continue
        entries[entry.entry] = entry
        first[entry.entry] = line
    return list(entries.values()), problems


def some_lines(rng: random.Random, count: int, separator: str) -> list[str]:
    """Lines of a CSV as careful and careless people write them."""
    digits = "0123456789abcdef"

    def hashed(length: int) -> str:
        value = "".join(rng.choices(digits, k=length))
        how = rng.random()
        if how < 0.05:
            return value.upper()
        if how < 0.08:
            return value[:-1]
        if how < 0.11:
            return value[:-1] + rng.choice("gGz -_")
        if how < 0.14 and length != 64:
            return base64.b64encode(bytes.fromhex(value)).decode()
        return "" if how < 0.3 else value

    made = []
    for number in range(count):
        cells = [
            rng.choice(
                [f"e{number}", f"e{rng.randrange(number + 1)}", "", f" e{number} ", f"é{number}", "x" * 201, "'=a"]
            ),
            hashed(32),
            hashed(64),
            rng.choice(["", "0", "7", "50", "100", "101", "-1", "1.0", "007", "0100", "٣"]),
            rng.choice(
                ["", "one", "two", "größe", f'"a{separator}b"', '"say ""hi"""', "tab\there", "'-x", "\x7f", "  y"]
            ),
        ]
        if rng.random() < 0.05:
            cells.append(rng.choice(["", "more"]))
        if rng.random() < 0.03:
            cells.pop()
        made.append(separator.join(cells))
        if rng.random() < 0.03:
            made.append(rng.choice(["", "   ", '"', "\t"]))
    return made


@pytest.mark.parametrize("seed", range(40))
def test_blocks_give_what_reading_line_by_line_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = random.Random(seed)
    separator = rng.choice([",", ";", "\t"])
    ending = rng.choice(["\n", "\r\n", "\r"])
    header = separator.join(("entry", "md5", "pdq", "pdq_quality", "label"))
    text = ending.join([header, *some_lines(rng, 300, separator)]) + rng.choice(["", ending])
    content = (b"\xef\xbb\xbf" if rng.random() < 0.5 else b"") + text.encode()
    if rng.random() < 0.5:
        content = content.replace("größe".encode(), "größe".encode("latin-1"))
    path = written(tmp_path, content)
    monkeypatch.setattr(list_lines, "AT_ONCE", rng.choice([1, 2, 61, 1000, 1 << 21]))
    read = read_list(path)
    entries, problems = read_line_by_line(Path(path))
    assert list(read.entries) == entries
    assert told(read) == problems
    assert len(entries) > 20
    assert len(problems) > 20


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.text(alphabet="0aAgé\",'\r\n \t=x\x00", max_size=20), max_size=12),
    cells=st.lists(st.sampled_from([MD5, MD5.upper(), MD5[1:], "", '"', " "]), min_size=1, max_size=6),
)
def test_whatever_stands_in_a_file_blocks_and_lines_agree(tmp_path: Path, rows: list[str], cells: list[str]) -> None:
    text = "md5,entry\n" + "\n".join([*rows, *(f"{cell},{at}" for at, cell in enumerate(cells)), f"{'f' * 32},last"])
    path = Path(written(tmp_path, text))
    if b"\0" in path.read_bytes():
        assert "binary" in refusal(str(path)) or "UTF-16" in refusal(str(path))
        return
    read = read_list(str(path))
    entries, problems = read_line_by_line(path)
    assert list(read.entries) == entries
    assert told(read) == problems


@given(st.lists(st.text(alphabet=" \t\u00a0\u3000ab\x1cé", max_size=8), max_size=20))
def test_blanks_are_taken_away_as_python_does(texts: list[str]) -> None:
    cells = Cells.of(texts).stripped()
    assert [cells[row] for row in range(len(cells))] == [text.strip() for text in texts]


def test_the_number_of_a_bad_line_holds_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_lines, "AT_ONCE", 100)
    lines = ["entry,md5", *(f"e{number},{number:032x}" for number in range(2, 1000))]
    for bad in (3, 500, 999):
        lines[bad - 1] = "e,bad"
    read = read_list(written(tmp_path, "\n".join(lines)))
    assert [line for line, _ in told(read)] == [3, 500, 999]
    assert len(read.entries) == 995


def test_a_line_without_end_is_refused_and_what_follows_is_read(tmp_path: Path) -> None:
    huge = "x" * (3 * list_lines.AT_ONCE)
    read = read_list(written(tmp_path, f"entry,md5\n{huge}\ne3,{MD5}\n{huge}"))
    assert told(read) == [(2, list_lines.TOO_LONG), (4, list_lines.TOO_LONG)]
    assert list(read.entries) == [ListEntry("e3", md5=MD5)]
    assert list_lines.TOO_LONG in refusal(written(tmp_path, huge, "huge.csv"))


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".txt"])
def test_an_empty_file_is_refused_in_every_form(tmp_path: Path, ending: str) -> None:
    assert "empty" in refusal(written(tmp_path, b"", f"x{ending}"))


def test_base64_is_taken_where_its_length_is_that_of_no_hex(tmp_path: Path) -> None:
    values = {"md5": MD5, "sha1": SHA1, "sha256": SHA256}
    packed = {kind: base64.b64encode(bytes.fromhex(value)).decode() for kind, value in values.items()}
    path = written(tmp_path, "entry,md5,sha1,sha256\n" + ",".join(["e1", *packed.values()]) + "\n")
    assert list(read_list(path).entries) == [ListEntry("e1", **values)]
    safe = base64.urlsafe_b64encode(b"\xfb\xff" * 8).decode()
    assert next(iter(read_list(written(tmp_path, f"md5\n{safe}\n")).entries)).md5 == "fbff" * 8
    code = base64.b64encode(bytes.fromhex(PDQ)).decode()
    assert "none of its" in refusal(written(tmp_path, f"pdq\n{code}\n"))
    assert "none of its" in refusal(written(tmp_path, f"md5\n{packed['md5'][:-2]}\n"))
    # The bits that the filling leaves over must be zero: otherwise two texts would be one value.
    assert "none of its" in refusal(written(tmp_path, f"md5\n{packed['md5'][:-3]}h==\n"))


def test_columns_are_mapped_and_values_carried(tmp_path: Path) -> None:
    text = f"hash_id\tPhotoDNA\tsha\tpdq_hash\tq\n7\tc29tZXRoaW5n\t{SHA256}\t{PDQ}\t66\n8\t\t{SHA256}\t\t\n"
    mapping = ColumnMap.of(["entry=hash_id", "sha256=SHA", "pdq=pdq_hash", "pdq_quality=q"], ["photodna=photodna"])
    read = read_list(written(tmp_path, text, "x.tsv"), mapping=mapping)
    assert list(read.entries) == [
        ListEntry("7", sha256=SHA256, pdq=PDQ, pdq_quality=66, opaque=(("photodna", "c29tZXRoaW5n"),)),
        ListEntry("8", sha256=SHA256),
    ]
    assert read.notes == ()


def test_a_line_that_only_carries_is_an_entry(tmp_path: Path) -> None:
    mapping = ColumnMap.of(carried=["photodna=p", "netclean=n"])
    read = read_list(written(tmp_path, "id,p,n\n1,x,y\n2,,z\n3,,\n"), mapping=mapping)
    assert [entry.opaque for entry in read.entries] == [
        (("netclean", "y"), ("photodna", "x")),
        (("netclean", "z"),),
    ]
    assert told(read) == [(4, "no hash on this line")]


def test_a_mapping_can_leave_a_column_out(tmp_path: Path) -> None:
    path = written(tmp_path, f"entry,md5,label\n1,{MD5},private\n")
    (entry,) = read_list(path, mapping=ColumnMap.of(["label="])).entries
    assert entry == ListEntry("1", md5=MD5)


@pytest.mark.parametrize(
    ("maps", "carries", "reason"),
    [
        (["sha512=x"], [], "none of entry"),
        (["md5"], [], "NAME=COLUMN"),
        (["=x"], [], "NAME=COLUMN"),
        (["md5=a", "md5=b"], [], "twice"),
        ([], ["pdq=x"], "another name"),
        ([], ["photodna="], "say its column"),
        ([], ["a\x1b=x"], "printable"),
    ],
)
def test_a_wrong_mapping_is_named(maps: list[str], carries: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ColumnMap.of(maps, carries)


@pytest.mark.parametrize(
    ("header", "maps", "reason"),
    [
        ("md5,x", ["entry=id"], "no column 'id'; its columns are 'md5', 'x'"),
        ("a,A", ["md5=aA"], "no column 'aA'"),
        ("md5,h,H", ["sha1=h"], None),
        ("md5,Hh,hH", ["sha1=hh"], "twice"),
        ("a,b", [], "--map"),
    ],
)
def test_columns_that_are_not_there_or_there_twice_are_said(
    tmp_path: Path, header: str, maps: list[str], reason: str | None
) -> None:
    path = written(tmp_path, f"{header}\n{MD5},{SHA1},\n")
    if reason is None:
        assert len(read_list(path, mapping=ColumnMap.of(maps)).entries) == 1
    else:
        assert reason in refusal(path, mapping=ColumnMap.of(maps))


def test_json_lines_are_read_with_nested_keys(tmp_path: Path) -> None:
    records = [
        {"id": 12, "hash": {"md5": MD5, "pdq": {"value": PDQ, "quality": 70}}, "a.b": "dotted"},
        {"id": "x ", "hash": {"md5": None, "pdq": {"value": PDQ.upper()}}},
        {"id": "y", "hash": "text"},
        {"id": "z", "hash": {"md5": ""}, "md5": "never looked at"},
    ]
    mapping = ColumnMap.of(
        ["entry=id", "md5=hash.md5", "pdq=hash.pdq.value", "pdq_quality=hash.pdq.quality", "label=a.b"]
    )
    read = read_list(written(tmp_path, lines_of(records), "x.jsonl"), mapping=mapping)
    assert list(read.entries) == [
        ListEntry("12", md5=MD5, pdq=PDQ, pdq_quality=70, label="dotted"),
        ListEntry("x", pdq=PDQ),
    ]
    assert told(read) == [(3, "no hash on this line"), (4, "no hash on this line")]
    assert read.notes == ("columns not used: 'md5'",)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "no JSON object"),
        ("[]", "no JSON object"),
        ("1", "no JSON object"),
        ('{"md5":NaN}', "no JSON object"),
        ("[" * 100_000, "no JSON object"),
        ('{"md5":' + "9" * 5000 + "}", "no JSON object"),
        ('{"md5":["x"]}', "its md5 is no text"),
        ('{"md5":true}', "its md5 is no text"),
        ('{"md5":1}', "32 lower-case hex digits"),
        ('{"md5":"\\ud800"}', "its md5 is not Unicode"),
        (f'{{"entry":{{}},"md5":"{MD5}"}}', "its entry id is no text"),
        (f'{{"entry":"a\\nb","md5":"{MD5}"}}', "printable"),
        (f'{{"entry":"a","pdq":"{PDQ}","pdq_quality":1.5}}', "its pdq_quality is no text"),
        ("{}", "no hash"),
    ],
)
def test_a_bad_line_of_json_is_reported_and_the_rest_is_read(tmp_path: Path, line: str, reason: str) -> None:
    good = json.dumps({"entry": "good", "pdq": PDQ, "pdq_quality": 60.0})
    read = read_list(written(tmp_path, f"\n{good}\n{line}\n", "x.jsonl"))
    ((number, why),) = told(read)
    assert (number, list(read.entries)) == (3, [ListEntry("good", pdq=PDQ, pdq_quality=60)])
    assert reason in why


def test_json_that_is_not_lines_is_refused(tmp_path: Path) -> None:
    assert "none of its 3 lines" in refusal(written(tmp_path, json.dumps({"md5": MD5}, indent=1), "x.json"))
    assert "UTF-16" in refusal(written(tmp_path, json.dumps({"md5": MD5}).encode("utf-16"), "x.jsonl"))


def test_json_lines_are_known_by_their_content_and_the_form_can_be_said(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeff " + json.dumps({"md5": MD5}), "list.txt")
    assert len(read_list(path).entries) == 1
    assert "no hash list" in refusal(path, form=Form.CSV)
    commas = written(tmp_path, f"a,b\tmd5\nx,y\t{MD5}\n", "list.txt")
    assert len(read_list(commas, form=Form.TSV).entries) == 1


def parquet(folder: Path, columns: dict[str, Any], **options: Any) -> str:
    path = folder / "x.parquet"
    pq.write_table(pa.table(columns), path, **options)
    return str(path)


@pytest.mark.parametrize(
    "hashes",
    [
        pa.array([PDQ, None, PDQ.upper()]),
        pa.array([PDQ, None, f" {PDQ}"], pa.large_string()),
        pa.array([bytes.fromhex(PDQ), None, bytes.fromhex(PDQ)], pa.binary(32)),
        pa.array([bytes.fromhex(PDQ), None, PDQ.encode()], pa.binary()),
        pa.array([PDQ, None, PDQ]).dictionary_encode(),
        pa.array([PDQ, None, PDQ], pa.string_view()),
    ],
    ids=["strings", "large strings", "fixed bytes", "bytes", "dictionary", "views"],
)
def test_foreign_parquet_is_read_whatever_its_texts_are(tmp_path: Path, hashes: pa.Array) -> None:
    path = parquet(
        tmp_path,
        {
            "id": pa.array([1, 2, 3]),
            "h": hashes,
            "md5": [None, MD5, None],
            "q": [50.0, 60.0, float("nan")],
            "z": [1, 2, 3],
        },
        row_group_size=2,
    )
    read = read_list(path, mapping=ColumnMap.of(["entry=id", "pdq=h", "pdq_quality=q"]))
    assert list(read.entries) == [
        ListEntry("1", pdq=PDQ, pdq_quality=50),
        ListEntry("2", md5=MD5),
        ListEntry("3", pdq=PDQ),
    ]
    assert read.notes == ("columns not used: 'z'",)
    assert told(read) == []


def test_parquet_rows_are_named_by_their_number(tmp_path: Path) -> None:
    values = [f"{number:032x}" for number in range(70_000)]
    values[0], values[65_536], values[69_999] = "bad", "", "é" * 16
    read = read_list(parquet(tmp_path, {"md5": values}))
    assert told(read) == [
        (1, "not a md5 value: 32 lower-case hex digits are expected"),
        (65_537, "no hash on this line"),
        (70_000, "not a md5 value: 32 lower-case hex digits are expected"),
    ]
    assert read.entries.ids[0] == "line-2"


def test_structures_in_parquet_are_reached_by_dots(tmp_path: Path) -> None:
    rows = [{"md5": MD5, "more": {"label": "one"}}, None, {"md5": "f" * 32, "more": None}]
    read = read_list(
        parquet(tmp_path, {"hashes": rows, "n": ["a", "b", "c"]}),
        mapping=ColumnMap.of(["md5=hashes.md5", "label=hashes.more.label", "entry=n"]),
    )
    assert list(read.entries) == [ListEntry("a", md5=MD5, label="one"), ListEntry("c", md5="f" * 32)]
    assert told(read) == [(2, "no hash on this line")]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"md5": [1, 2]}, "'md5' is of type int64"),
        ({"md5": [[MD5], [MD5]]}, "list"),
        ({"md5": pa.array([b"1234"], pa.binary(4))}, "fixed_size_binary"),
        ({"md5": [MD5], "entry": [1.5]}, "'entry' is of type double"),
        ({"md5": [MD5], "label": [True]}, "'label' is of type bool"),
        ({"colour": [MD5]}, "no hash list"),
        ({"md5": pa.array([None], pa.null())}, "none of its 1 lines"),
    ],
)
def test_columns_of_wrong_types_are_refused(tmp_path: Path, columns: dict[str, Any], reason: str) -> None:
    assert reason in refusal(parquet(tmp_path, columns))


def test_parquet_texts_that_are_not_utf8_are_bad_lines(tmp_path: Path) -> None:
    ids = pa.array([b"caf\xe9", b"ok"], pa.binary())
    read = read_list(parquet(tmp_path, {"entry": ids, "md5": [MD5, SHA256[:32]]}))
    assert told(read) == [(1, "not UTF-8")]


@pytest.mark.parametrize("cut", [3, 4, 50, -1, -9])
def test_parquet_that_is_cut_short_is_refused(tmp_path: Path, cut: int) -> None:
    path = Path(parquet(tmp_path, {"md5": [MD5] * 1000}))
    path.write_bytes(path.read_bytes()[:cut])
    assert "Parquet" in refusal(str(path))


def test_damaged_parquet_is_refused_or_reads_as_before(tmp_path: Path) -> None:
    values = [f"{number:032x}" for number in range(500)]
    path = Path(parquet(tmp_path, {"md5": values}, write_page_checksum=True, compression="none"))
    whole, rng = path.read_bytes(), random.Random(7)
    before = read_list(str(path)).ref.digest
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            assert read_list(str(path)).ref.digest == before
        except ListError:
            refused += 1
    assert refused > 50


def test_repeated_ids_are_refused_and_repeated_values_are_kept_and_counted(tmp_path: Path) -> None:
    text = f"entry,md5,label\na,{MD5},x\nb,{MD5},y\na,{SHA256[:32]},\nc,{SHA256[:32]},\nd,{MD5.upper()},\na,,\n"
    read = read_list(written(tmp_path, text))
    assert [entry.entry for entry in read.entries] == ["a", "b", "c", "d"]
    assert told(read) == [(4, "its entry id is that of line 2"), (7, "no hash on this line")]
    assert (read.alike, read.problems.repeats) == (2, 1)


def test_alike_means_all_values(tmp_path: Path) -> None:
    text = f"md5,sha1,pdq\n{MD5},,\n{MD5},{SHA1},\n,{SHA1},\n{MD5},{SHA1},{PDQ}\n{MD5},{SHA1},\n"
    assert read_list(written(tmp_path, text)).alike == 1


def test_several_files_become_one_list(tmp_path: Path) -> None:
    one = read_list(written(tmp_path, f"entry,md5\na,{MD5}\nb,bad\n", "1.csv"))
    two = read_list(written(tmp_path, lines_of([{"entry": "a", "md5": SHA256[:32]}, {"entry": "c", "md5": MD5}]), "2"))
    entries, problems, alike = joined([one, two])
    assert list(entries) == [ListEntry("a", md5=MD5), ListEntry("c", md5=MD5)]
    assert [[(each.line, each.reason) for each in bad] for bad in problems] == [
        [(3, "not a md5 value: 32 lower-case hex digits are expected")],
        [(1, "its entry id is that of line 2 of an earlier file")],
    ]
    assert alike == 1


def test_strict_reading_ends_at_the_first_bad_line(tmp_path: Path) -> None:
    path = written(tmp_path, f"entry,md5\na,{MD5}\nb,bad\na,{MD5}\n")
    assert "line 3: not a md5 value" in refusal(path, strict=True)
    again = written(tmp_path, f"entry,md5\na,{MD5}\na,{MD5}\n")
    assert "line 3: its entry id is that of line 2" in refusal(again, strict=True)
    assert len(read_list(written(tmp_path, f"entry,md5\na,{MD5}\n"), strict=True).entries) == 1


def test_how_far_reading_is_comes_to_the_size_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_lines, "AT_ONCE", 100)
    for path in (
        written(tmp_path, "md5\n" + f"{MD5}\n" * 100),
        written(tmp_path, lines_of([{"md5": MD5}] * 100), "x.jsonl"),
        parquet(tmp_path, {"md5": [MD5] * 100}),
    ):
        done: list[int] = []
        read_list(path, progress=done.append)
        assert done == sorted(done)
        assert done[-1] == Path(path).stat().st_size
