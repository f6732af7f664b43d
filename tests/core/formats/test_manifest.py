"""A manifest is used line by line, or refused as a whole with one clear line."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from havenline.formats.manifest import COLUMNS, ManifestError, ManifestRow, PostingKind, read_manifest

SHA256 = "c" * 64


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "manifest.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_every_column_is_read(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        ",".join(COLUMNS)
        + f"\na/b.jpg,{SHA256.upper()},https://board.example/t/1,Board,board.example,nl,"
        + "2023-10-01T12:00:00+02:00,Picture,yes\n",
    )
    manifest = read_manifest(path)
    assert manifest.problems == ()
    assert manifest.rows == (
        ManifestRow(
            line=2,
            path="a/b.jpg",
            sha256=SHA256,
            url="https://board.example/t/1",
            service="Board",
            host="board.example",
            country="NL",
            posted_at=datetime(2023, 10, 1, 10, tzinfo=UTC),
            kind=PostingKind.PICTURE,
            selected=True,
        ),
    )


def test_the_columns_are_those_specified() -> None:
    assert COLUMNS == (
        "path", "sha256", "url", "service", "host", "country", "posted_at", "kind", "selected",
    )  # fmt: skip


def test_path_alone_is_enough_and_empty_cells_say_nothing(tmp_path: Path) -> None:
    rows = read_manifest(written(tmp_path, "path\na.jpg\nb c.jpg\n")).rows
    assert rows == (ManifestRow(2, "a.jpg"), ManifestRow(3, "b c.jpg"))
    rows = read_manifest(written(tmp_path, "\ufeffselected;path;url\r\n;a.jpg;\r\nno;b.jpg;\r\n")).rows
    assert rows == (ManifestRow(2, "a.jpg"), ManifestRow(3, "b.jpg", selected=False))


@pytest.mark.parametrize(
    ("kind", "may_lack"),
    [("picture", False), ("video", False), ("text", True), ("audio", True), ("link", True), ("", False)],
)
def test_only_links_text_and_audio_may_lack_a_file(tmp_path: Path, kind: str, may_lack: bool) -> None:
    (row,) = read_manifest(written(tmp_path, f"path,kind\na,{kind}\n")).rows
    assert row.may_lack_file is may_lack


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"path": ""}, "path is missing"),
        ({"path": "/etc/x"}, "relative"),
        ({"path": "a/../b"}, "relative"),
        ({"path": "./a"}, "relative"),
        ({"path": "a//b"}, "relative"),
        ({"path": "a/"}, "relative"),
        ({"path": "a\x07b"}, "printable"),
        ({"sha256": "c" * 63}, "64 lower-case hex"),
        ({"url": "https://x.example/a b"}, "url"),
        ({"url": "https://x.example/" + "a" * 2048}, "url"),
        ({"service": "x" * 254}, "service"),
        ({"host": "a\x1bb"}, "host"),
        ({"country": "NLD"}, "ISO 3166-1"),
        ({"country": "1A"}, "ISO 3166-1"),
        ({"posted_at": "2023-10-01T12:00:00"}, "zone"),
        ({"posted_at": "2023-10-01"}, "zone"),
        ({"posted_at": "yesterday"}, "ISO 8601"),
        ({"posted_at": "0001-01-01T00:00:00+14:00"}, "ISO 8601"),
        ({"kind": "film"}, "picture, video"),
        ({"selected": "1"}, "yes nor no"),
    ],
)
def test_a_bad_line_is_reported_and_the_others_are_read(tmp_path: Path, cells: dict[str, str], reason: str) -> None:
    line = ",".join({**dict.fromkeys(COLUMNS, ""), "path": "bad.jpg", **cells}[name] for name in COLUMNS)
    after = "good.jpg" + "," * (len(COLUMNS) - 1)
    manifest = read_manifest(written(tmp_path, f"{','.join(COLUMNS)}\n{line}\n{after}\n"))
    assert [row.path for row in manifest.rows] == ["good.jpg"]
    ((number, why),) = [(problem.line, problem.reason) for problem in manifest.problems]
    assert number == 2
    assert reason in why


def test_one_posting_may_have_been_seen_in_several_places(tmp_path: Path) -> None:
    text = "path,url,kind\na.jpg,https://x.example/1,picture\na.jpg,https://x.example/2,picture\n"
    manifest = read_manifest(written(tmp_path, text))
    assert [row.url for row in manifest.rows] == ["https://x.example/1", "https://x.example/2"]
    assert manifest.rows[1] == replace(manifest.rows[0], line=3, url="https://x.example/2")


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("a,picture,yes", "a,picture,yes", "repeats line 2"),
        ("a,picture,yes", "a,video,yes", "its kind differs from that of line 2"),
        ("a,picture,yes", "a,picture,no", "its selected differs"),
        ("a,picture,yes", "a,picture,", "its selected differs"),
    ],
)
def test_a_path_that_contradicts_or_repeats_itself_is_a_problem(
    tmp_path: Path, first: str, second: str, reason: str
) -> None:
    manifest = read_manifest(written(tmp_path, f"path,kind,selected\n{first}\n{second}\n"))
    assert [row.line for row in manifest.rows] == [2]
    (problem,) = manifest.problems
    assert problem.line == 3
    assert reason in problem.reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"a.jpg,yes\nb.jpg,no\n", "no column path"),
        (b"file,selected\na.jpg,yes\n", "no column path"),
        (b"path,colour\na.jpg,red\n", "'colour' is not known"),
        (b"path,\na.jpg,\n", "'' is not known"),
        (b"path,url,path\na,b,c\n", "path stands there twice"),
        ("path\na.jpg\n".encode("utf-16"), "UTF-16"),
        ("path\na.jpg\ncaf\u00e9.jpg\n".encode("latin-1"), "line 3 is not UTF-8"),
        (b"path\n\0\0\0", "binary"),
        (b'"path\n', "quotation mark"),
        (b"path\n" + b"a" * 70_000, "line 2 is longer"),
    ],
)
def test_a_manifest_that_cannot_be_trusted_is_refused_as_a_whole(tmp_path: Path, content: bytes, reason: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ManifestError) as refused:
        read_manifest(path)
    message = str(refused.value)
    assert message.startswith(str(path))
    assert reason in message
    assert "nothing was taken in" in message
    assert "\n" not in message


def test_a_missing_manifest_is_said(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        read_manifest(tmp_path / "none.csv")
