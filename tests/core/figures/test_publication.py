"""A publication: what it says, that anyone can make it again to the byte, and that nothing small can be read off it."""

from __future__ import annotations

import csv
import hashlib
import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import pypdfium2
import pytest

import havenline
from havenline.figures import FiguresError, charts
from havenline.figures.counting import count
from havenline.figures.cube import Cube, Imprint, cube_from_json, cube_of, cube_to_json, earlier_of, overlap
from havenline.figures.definitions import Scope, key_of
from havenline.figures.document import document_of
from havenline.figures.later_studies import study_snapshot
from havenline.figures.publication import cube_for, differences, read_cube, write_publication
from havenline.figures.snapshot import FiguresSnapshot
from havenline.figures.study import october_2023
from havenline.figures.synthetic import synthetic_snapshot
from havenline.figures.tables import tables_of

IMPRINT = Imprint("HL-2026-014", "One year of reports", "Example hotline")
SALT = "7" * 64


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> FiguresSnapshot:
    return synthetic_snapshot(tmp_path_factory.mktemp("s") / "s", assessments=6_000, seed=11, salt=SALT)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Cube:
    period = "2024-01-01 to 2024-12-31"
    made = synthetic_snapshot(tmp_path_factory.mktemp("b") / "b", assessments=4_000, seed=12, period=period, salt=SALT)
    return cube_for(made, None, imprint=replace(IMPRINT, reference="HL-2025-003"))


@pytest.fixture(scope="module")
def folder(snapshot: FiguresSnapshot, before: Cube, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("publication") / "p"
    cube = cube_for(snapshot, earlier_of(before, None, snapshot.head), imprint=IMPRINT)
    digest = write_publication(made, cube, before)
    assert digest == hashlib.sha256((made / "manifest.json").read_bytes()).hexdigest()
    return made


MAKES = """
import sys
from pathlib import Path
import havenline
from havenline.figures.cube import Imprint, cube_from_json, cube_of, earlier_of
from havenline.figures.counting import count
from havenline.figures.publication import write_publication
from havenline.figures.synthetic import synthetic_snapshot
out, threads, earlier = Path(sys.argv[1]), int(sys.argv[2]), cube_from_json(Path(sys.argv[3]).read_bytes())
snapshot = synthetic_snapshot(out / "s", assessments=6_000, seed=11, salt="7" * 64)
cube = cube_of(
    count(snapshot, threads=threads), Imprint("HL-2026-014", "One year of reports", "Example hotline"),
    commitment=snapshot.commitment(), earlier=earlier_of(earlier, None, snapshot.head),
)
write_publication(out / "p", cube, earlier)
print(Path(havenline.__file__).parent)
"""


@pytest.mark.timeout(600)
def test_another_copy_of_the_code_makes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    """The place of the code, time zone, locale, hash seed and number of threads differ; every file is the same."""
    code = tmp_path / "another place" / "src"
    shutil.copytree(Path(havenline.__file__).parent, code / "havenline", ignore=shutil.ignore_patterns("__pycache__"))
    elsewhere = os.environ | {"TZ": "Pacific/Kiritimati", "LC_ALL": "de_DE.UTF-8", "PYTHONHASHSEED": "4711"}
    made = subprocess.run(
        [sys.executable, "-c", MAKES, str(tmp_path), "1", str(folder / "earlier.json")],
        env=elsewhere | {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "PYTHONPATH": str(code)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout.strip() == str(code / "havenline"), "the copy was not the code that ran"
    assert names(tmp_path / "p") == names(folder)
    assert [
        name for name in names(folder) if (folder / name).read_bytes() != (tmp_path / "p" / name).read_bytes()
    ] == []


def test_a_publication_verifies_from_its_cube_and_from_the_records(folder: Path, snapshot: FiguresSnapshot) -> None:
    assert differences(folder, snapshot=snapshot) == ()


@pytest.mark.timeout(300)
def test_whatever_is_altered_is_named(folder: Path, snapshot: FiguresSnapshot, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "tables" / "laws.csv").write_bytes((copy / "tables" / "laws.csv").read_bytes().replace(b"1", b"2"))
    (copy / "charts" / "laws.txt").unlink()
    (copy / "note.txt").write_text("added")
    found = {(one.name, one.what) for one in differences(copy)}
    assert found == {
        ("tables/laws.csv", "is not what the cube gives"),
        ("charts/laws.txt", "is missing"),
        ("note.txt", "does not belong to the publication"),
    }
    told = json.loads((copy / "cube.json").read_bytes())
    told["cells"]["items"][0]["count"] += 1
    (copy / "cube.json").write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n")
    named = {one.name for one in differences(copy, snapshot=snapshot)}
    assert {"cube.json", "tables/funnel.csv", "tables.json", "index.html", "report.pdf", "manifest.json"} <= named


def test_every_face_prints_the_numbers_of_the_tables(folder: Path) -> None:
    cube = read_cube(folder)
    page, told = (folder / "index.html").read_text(), json.loads((folder / "tables.json").read_bytes())
    pdf = pdf_text(folder / "report.pdf")
    by_id = {one["table"]: one for one in told["tables"]}
    seen = 0
    for table in tables_of(cube.statistics(), cube.cells):
        name = table.definition.id
        counts = [row.count for row in table.rows]
        assert [row["count"] for row in by_id[name]["rows"]] == counts
        lines = list(csv.DictReader(io.StringIO((folder / "tables" / f"{name}.csv").read_text())))
        assert [None if line["note"] == "c" else int(line["count"]) for line in lines] == counts
        if not any(counts):
            continue
        said = (folder / "charts" / f"{name}.txt").read_text().splitlines()[1:]
        assert [": hidden." in line for line in said] == [one is None for one in counts]
        section = page.split(f'id="{name}"')[1].split("</section>")[0].split("<table>")[1]
        printed = re.findall(r"<td>([^<]*)</td>", section)
        for one in counts:
            mark = "[c]" if one is None else f"{one:,}"
            assert mark in printed, (name, mark)
            assert mark in pdf, (name, mark)
            seen += 1
    assert seen > 250
    document = document_of(cube)
    for headline in document.headlines[:3]:
        assert f"<b>{headline.figure}</b>" in page
        assert headline.figure in [
            f"{row.count:,}" for row in table_rows(cube, headline.table) if row.count is not None
        ]
        assert headline.figure in document.summary or headline.what == "realistic"
    assert document.summary in page


def test_every_number_in_words_and_in_a_chart_is_one_of_its_table(folder: Path) -> None:
    told = json.loads((folder / "tables.json").read_bytes())
    page = html.unescape((folder / "index.html").read_text())
    seen = drawn = 0
    for table in told["tables"]:
        rows = table["rows"]
        said = folder / "charts" / f"{table['table']}.txt"
        if not said.exists():
            assert not any(row["count"] for row in rows)
            continue
        lines = said.read_text().splitlines()[1:]
        assert len(lines) == len(rows)
        for line, row in zip(lines, rows, strict=True):
            numbers = numbers_in(line.removeprefix(", ".join(row["labels"]) + ":"))
            shares = [each for each in row["per_cent"].values() if each is not None]
            assert numbers == ([] if row["count"] is None else [row["count"], *shares]), line
            seen += len(numbers)
        assert said.read_text() in page
        chart = folder / "charts" / f"{table['table']}.svg"
        if chart.exists():
            labels = {number for row in rows for number in numbers_in(" ".join(row["labels"]))}
            held = {row["count"] for row in rows} | {each for row in rows for each in row["per_cent"].values()}
            shown = {
                number for text in re.findall(r"<text[^>]*>([^<]*)<", chart.read_text()) for number in numbers_in(text)
            }
            assert shown <= held | labels, (table["table"], shown - held - labels)
            drawn += len(shown)
    assert min(seen, drawn) > 100
    every = {row["count"] for table in told["tables"] for row in table["rows"]}
    summary = document_of(read_cube(folder)).summary
    assert numbers_in(summary)
    assert set(numbers_in(summary)) <= every


def numbers_in(text: str) -> list[float]:
    """Numbers as the faces print them; those inside a word, such as an age, are not looked at."""
    return [float(found.replace(",", "")) for found in re.findall(r"(?<![\w–-])\d[\d,]*(?:\.\d+)?(?![\w–-])", text)]


def test_data_keep_their_schemas(folder: Path) -> None:
    for name in ("cube", "tables"):
        schema = json.loads((folder / f"{name}.schema.json").read_bytes())
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft202012Validator(schema).validate(json.loads((folder / f"{name}.json").read_bytes()))


def test_the_page_asks_nobody_for_anything(folder: Path) -> None:
    page = (folder / "index.html").read_text()
    assert set(re.findall(r"https?://[^\"' <>]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    linked = set(re.findall(r'(?:href|src)="([^"#]+)"', page)) | set(re.findall(r'url\("([^"]+)"\)', page))
    assert linked
    assert [name for name in linked if not (folder / name).is_file()] == []
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_small_counts_are_on_no_face(folder: Path) -> None:
    cube = read_cube(folder)
    assert cube.hidden > 0
    shown = [held for cells in cube.cells.values() for held in cells.values() if held is not None]
    assert all(held == 0 or held >= 10 for held in shown)
    for path in (folder / "tables").glob("*.csv"):
        rows = csv.DictReader(io.StringIO(path.read_text()))
        assert all(int(row["count"] or 0) not in range(1, 10) for row in rows if "count" in row), path.name


def test_a_report_of_an_overlapping_period_needs_the_records_of_the_earlier_one(
    snapshot: FiguresSnapshot, tmp_path: Path
) -> None:
    """Nine in ten of the items were reported before: no difference of two shown cells is small."""
    first = synthetic_snapshot(tmp_path / "first", assessments=6_000, seed=11, growing=0.9)
    earlier = cube_for(first, None, imprint=IMPRINT)
    with pytest.raises(FiguresError, match="name the snapshot"):
        earlier_of(earlier, None, snapshot.head)
    with pytest.raises(FiguresError, match="not the snapshot"):
        earlier_of(earlier, snapshot, snapshot.head)
    alone = cube_for(snapshot, None, imprint=IMPRINT)
    linked = cube_for(snapshot, earlier_of(earlier, first, snapshot.head), imprint=IMPRINT)
    assert small_differences(earlier, alone) > 0
    assert small_differences(earlier, linked) == 0
    assert linked.hidden > alone.hidden


def small_differences(before: Cube, now: Cube) -> int:
    pairs = [
        (held, before.cells[scope].get(key))
        for scope in (Scope.ITEMS, Scope.REPORTS, Scope.PAIRS)
        for key, held in now.cells[scope].items()
    ]
    return sum(0 < abs(held - then) < 10 for held, then in pairs if held is not None and then is not None)


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("2024-01-01 to 2024-12-31", "2025-01-01 to 2025-12-31", False),
        ("2024-01-01 to 2024-12-31", "2024-12-31 to 2025-12-31", True),
        ("2024-01-01 to 2024-12-31", "not stated", True),
    ],
)
def test_periods_share_a_day_or_not(one: str, other: str, shared: bool) -> None:
    assert overlap(one, other) is overlap(other, one) is shared


def test_october_2023_is_published_as_it_was_counted(tmp_path: Path) -> None:
    made = study_snapshot(tmp_path / "s", october_2023())
    cube = cube_for(made, None, imprint=IMPRINT)
    document = document_of(cube)
    assert [one.figure for one in document.headlines] == ["11,108", "2,978", "2,562", "87.5 h"]
    assert document.headlines[1].note == "26.8 % of assessed"
    assert (cube.people, str(cube.seconds_per_item), cube.hidden) == (12, "28.4", 0)
    assert cube_from_json(cube_to_json(cube)) == cube


def test_working_time_of_four_people_is_not_published(snapshot: FiguresSnapshot) -> None:
    counted = count(snapshot)
    few = replace(counted, work=replace(counted.work, people=4))
    cube = cube_of(few, IMPRINT, commitment=SALT)
    assert (cube.people, cube.hours, cube.seconds_per_item) == (None, None, None)
    assert "of attention" not in {one.what for one in document_of(cube).headlines}


def test_rounded_counts_are_multiples(snapshot: FiguresSnapshot) -> None:
    cube = cube_for(snapshot, None, imprint=IMPRINT, rounding=5)
    shown = [held for cells in cube.cells.values() for held in cells.values() if held is not None]
    assert all(held % 5 == 0 for held in shown)
    assert cube.cells[Scope.ITEMS][key_of({})] == 4_200
    with pytest.raises(FiguresError, match="at least 3"):
        cube_for(snapshot, None, imprint=IMPRINT, threshold=2)


def table_rows(cube: Cube, name: str) -> tuple:  # type: ignore[type-arg]
    return next(one.rows for one in tables_of(cube.statistics(), cube.cells) if one.definition.id == name)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def pdf_text(path: Path) -> str:
    pdf = pypdfium2.PdfDocument(path)
    return "\n".join(page.get_textpage().get_text_range() for page in pdf)


@pytest.mark.parametrize("share", range(101))
def test_a_number_on_a_tile_stands_out_from_it(share: int) -> None:
    """Contrast by WCAG 2.2, 1.4.3: at least 4.5 to 1, whatever the shade of the tile."""
    light, dark = (_parts(shade) for shade in charts.SHADES)
    tile = tuple(a + (b - a) * share / 100 for a, b in zip(light, dark, strict=True))
    letters = charts.ON_DARK if share / 100 >= charts.DARK else charts.ON_LIGHT
    brighter, darker = sorted((_luminance(tile), _luminance(_parts(letters))), reverse=True)
    assert (brighter + 0.05) / (darker + 0.05) >= 4.5


def _parts(colour: str) -> tuple[float, ...]:
    return tuple(float(int(colour[place : place + 2], 16)) for place in (1, 3, 5))


def _luminance(colour: tuple[float, ...]) -> float:
    linear = [part / 255 / 12.92 if part <= 10.3 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
