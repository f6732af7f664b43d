"""`havenline list vics` as a person runs it, down to exit codes and what is left on disk."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from havenline.formats.hash_list import read_list
from havenline_cli import exits, main

HEAD = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/US/$metadata#Media"


def record(number: int, category: int | None, **more: Any) -> dict[str, Any]:
    return {"MediaID": number, "Category": category, "MD5": f"{number:032x}", **more}


def vics(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"@odata.context": HEAD, "value": list(records)}))
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = main.run(["list", "vics", *map(str, arguments)])
    return code, "".join(capsys.readouterr())


def test_only_the_categories_that_were_said_become_entries_and_the_rest_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = record(5, 1, MD5="zz", Miniature="AAEC")
    clashing = [record(6, 1), record(6, 2), record(7, 2), record(7, 2)]
    path = vics(tmp_path / "a.json", record(1, 1), record(2, 0), record(3, None), record(4, 4), broken, *clashing)
    out, kept = tmp_path / "out.csv", tmp_path / "kept.ndjson"
    code, said = run(capsys, path, "-o", out, "--take", 1, "--take", 2, "--quarantine", kept, "--json")
    assert code == exits.SOMETHING_REFUSED
    summary = json.loads(said[said.index("{") :])
    assert (summary["entries"], summary["repeated"]) == (3, 1)
    assert summary["passed_over"] == {"0": 1, "4": 1, "none": 1}
    listed = read_list(str(out)).entries
    assert len(listed) == 3
    assert set(listed.labels) >= {"vics.us:1", "vics.us:2"}
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [line["reason"] for line in lines] == [
        "a md5 of another form",
        "the same values stand under another category",
    ]
    assert json.loads(base64.b64decode(lines[0]["raw"])) == record(5, 1, MD5="zz")
    assert kept.stat().st_mode & 0o077 == 0


def test_without_a_record_of_those_categories_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(capsys, vics(tmp_path / "a.json", record(1, 0)), "-o", tmp_path / "out.csv", "--take", 1)
    assert code == exits.FAILED
    assert "nothing was written" in said
    assert not (tmp_path / "out.csv").exists()


def test_a_file_that_is_none_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text("[]")
    code, said = run(capsys, tmp_path / "a.json", "-o", tmp_path / "out.csv", "--take", 1)
    assert code == exits.FAILED
    assert "of another form" in said
    assert "Traceback" not in said
    code, said = run(capsys, tmp_path / "none.json", "-o", tmp_path / "out.csv", "--take", 1)
    assert code == exits.FAILED
    assert "cannot be read" in said
