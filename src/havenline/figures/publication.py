"""A publication as a folder of files, each a pure function of its cube: tables, charts, a page, a PDF, a method note.

The same cube gives the same bytes whatever the time zone, the locale, the hash seed and the number of threads, with the
same versions of the libraries that draw. A manifest names every file by its SHA-256; the installation signs that.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from havenline.figures.charts import chart_of, font_folder
from havenline.figures.counting import count
from havenline.figures.cube import Cube, Earlier, cube_from_json, cube_of, cube_to_json, earlier_of
from havenline.figures.document import GROUPS, PublicationDocument, document_of
from havenline.figures.records import FiguresError
from havenline.figures.snapshot import FiguresSnapshot
from havenline.figures.tables import Change, FigureTable, changes_of, tables_of
from havenline.whole_file import write_whole

FORM = 1
CUBE, EARLIER, MANIFEST, SIGNATURE = "cube.json", "earlier.json", "manifest.json", "manifest.sig"
_FACES = resources("havenline.figures") / "faces"
_FONTS = ("SourceSansPro-Regular.ttf", "SourceSansPro-Semibold.ttf", "LICENSE.txt")
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,39}\Z")
_WIDTH = re.compile(rb'<svg[^>]*? width="([0-9.]+)"')
_WORK = list(GROUPS.values())[-1]


@dataclass(frozen=True, slots=True)
class Difference:
    """One file of a folder that is not what its cube makes, or not what its manifest says."""

    name: str
    what: str


def check_reference(reference: str) -> str:
    """Return the public number of a publication. Raises FiguresError unless it is letters, digits, dots and hyphens."""
    if not _REFERENCE.match(reference):
        raise FiguresError("the number of a publication is 1 to 40 letters, digits, dots and hyphens")
    return reference


def files_of(cube: Cube, earlier: Cube | None = None) -> dict[str, bytes]:
    """Return every file of a publication but its manifest, by name. Raises FiguresError where the PDF cannot be set."""
    statistics = cube.statistics()
    tables = tables_of(statistics, cube.cells)
    changes = changes_of(statistics, cube.cells, earlier.cells) if earlier is not None else ()
    document = document_of(cube, earlier)
    charts = {table.definition.id: svg for table in tables if (svg := chart_of(table, statistics)) is not None}
    made = {CUBE: cube_to_json(cube)}
    if earlier is not None:
        made[EARLIER] = cube_to_json(earlier)
        made["tables/changes.csv"] = _changes_csv(changes)
    for table in tables:
        made[f"tables/{table.definition.id}.csv"] = _csv(cube, table)
    made["tables.json"] = _json(cube, tables, changes)
    for name in ("cube.schema.json", "tables.schema.json"):
        made[name] = (_FACES / name).read_bytes()
    for section in document.sections:
        made[f"charts/{section.id}.txt"] = section.text.encode()
    for name, svg in charts.items():
        made[f"charts/{name}.svg"] = svg
    for name in _FONTS:
        made[f"fonts/{name}"] = (font_folder() / name).read_bytes()
    made["method.md"] = _method(document)
    made["index.html"] = _page(document, charts)
    made["report.pdf"] = _pdf(document, charts)
    return dict(sorted(made.items()))


def manifest_of(cube: Cube, made: Mapping[str, bytes]) -> bytes:
    """Return the manifest: the digests of all files, in the order of their names."""
    told = {
        "format": "havenline-publication",
        "form": FORM,
        "reference": cube.imprint.reference,
        "title": cube.imprint.title,
        "period": cube.head.period,
        "commitment": cube.commitment,
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in sorted(made.items())
        },
    }
    return (json.dumps(told, ensure_ascii=False, indent=1) + "\n").encode()


def write_publication(folder: Path, cube: Cube, earlier: Cube | None = None) -> str:
    """Write a publication into a new or empty folder, its manifest last; return the SHA-256 of the manifest.

    Raises FiguresError where the folder holds something. Not checked: that anybody agreed to publish it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FiguresError(f"{folder} holds something already; name an empty folder for the publication")
    made = files_of(cube, earlier)
    manifest = manifest_of(cube, made)
    for name, content in [*made.items(), (MANIFEST, manifest)]:
        (folder / name).parent.mkdir(exist_ok=True)
        with write_whole(folder / name, replace=False) as file:
            file.write(content)
    return hashlib.sha256(manifest).hexdigest()


def keep_copy(folder: Path, place: Path) -> None:
    """Copy a publication to `place`, named whole or not at all; what lies there already is left as it is."""
    if place.exists():
        return
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=place.parent) as beside:
        shutil.copytree(folder, Path(beside) / "copy").rename(place)


def read_cube(folder: Path) -> Cube:
    """Return the cube of a publication. Raises FiguresError where the folder holds none."""
    return cube_from_json(_read(folder, CUBE))


def manifest_digest(folder: Path) -> str:
    """SHA-256 of the manifest, hexadecimal: what people agree to and what is signed. Raises FiguresError."""
    return hashlib.sha256(_read(folder, MANIFEST)).hexdigest()


def differences(
    folder: Path, *, snapshot: FiguresSnapshot | None = None, before: FiguresSnapshot | None = None
) -> tuple[Difference, ...]:
    """Make everything again and return what differs: from the published cube, with `snapshot` from the records.

    `before`: the snapshot of the earlier publication, where the periods overlap. Raises FiguresError where there is
    nothing to compare, or where a PDF cannot be set. Not checked: the signature, and files that only another version of
    the drawing libraries would make alike.
    """
    cube = read_cube(folder)
    earlier = cube_from_json(_read(folder, EARLIER)) if (folder / EARLIER).exists() else None
    found = []
    if snapshot is not None:
        if snapshot.commitment() != cube.commitment:
            found.append(Difference(CUBE, "is committed to another snapshot"))
        again = cube_of(
            count(snapshot),
            cube.imprint,
            commitment=snapshot.commitment(),
            earlier=None if earlier is None else earlier_of(earlier, before, snapshot.head),
            threshold=cube.threshold,
            rounding=cube.rounding,
        )
        if cube_to_json(again) != cube_to_json(cube):
            found.append(Difference(CUBE, "is not what the records give"))
    made = files_of(cube, earlier)
    made[MANIFEST] = manifest_of(cube, made)
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {SIGNATURE}
    for name in sorted(there | made.keys()):
        if name not in there:
            found.append(Difference(name, "is missing"))
        elif name not in made:
            found.append(Difference(name, "does not belong to the publication"))
        elif (folder / name).read_bytes() != made[name]:
            found.append(Difference(name, "is not what the cube gives"))
    return tuple(found)


def cube_for(
    snapshot: FiguresSnapshot,
    counted_earlier: Earlier | None,
    **how: Any,
) -> Cube:
    """Count a snapshot and hide what must be hidden; `how` as for `cube_of`."""
    shown = None
    if counted_earlier is not None and counted_earlier.exact is not None:
        shown = counted_earlier.cube.countries
    return cube_of(count(snapshot, countries=shown), earlier=counted_earlier, commitment=snapshot.commitment(), **how)


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as fault:
        raise FiguresError(f"{folder} holds no publication that can be read: {name}: {fault.strerror}") from None


def _tags(cube: Cube, table: FigureTable) -> dict[str, str]:
    one = table.definition
    return {
        "publication": cube.imprint.reference,
        "table": one.id,
        "dataset": one.dataset.value,
        "unit": one.unit.value,
        "period": cube.head.period,
        "framework": f"{cube.head.framework} {cube.head.framework_version}",
        "rule": one.rule.value,
    }


def _csv(cube: Cube, table: FigureTable) -> bytes:
    """Long form, one cell a row, each row naming its whole table; a hidden count is empty and its note is c."""
    one = table.definition
    by = ["question", "answer"] if one.each else [name for each in one.by for name in (each, f"{each}_label")]
    shares = [f"per_cent_of_{share.of.replace(' ', '_')}" for share in one.shares]
    tags = _tags(cube, table)
    rows = []
    for row in table.rows:
        if one.each:
            (name, code), label = next(iter(row.codes.items())), row.labels[0]
            at = [name, code and label]
        else:
            at = [text for pair in zip(row.codes.values(), row.labels, strict=True) for text in pair]
        counted = ["" if row.count is None else row.count, "c" if row.count is None else ""]
        rows.append([*at, *counted, *("" if share is None else share for share in row.shares), *tags.values()])
    return _lines([*by, "count", "note", *shares, *tags], rows)


def _changes_csv(changes: Iterable[Change]) -> bytes:
    rows = [
        [one.definition.id, ", ".join(one.labels), one.before, one.now, "" if one.per_cent is None else one.per_cent]
        for one in changes
    ]
    return _lines(["table", "cell", "before", "now", "change_per_cent"], rows)


def _lines(heads: list[str], rows: list[list[Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    return out.getvalue().encode()


def _json(cube: Cube, tables: Iterable[FigureTable], changes: Iterable[Change]) -> bytes:
    told = {
        "publication": cube.imprint.reference,
        "title": cube.imprint.title,
        "publisher": cube.imprint.publisher,
        "tables": [
            {
                **_tags(cube, table),
                "title": table.definition.title,
                "says": table.definition.says,
                "population": dict(table.definition.population),
                "left_out": list(table.definition.exclusions),
                "rows": [
                    {
                        "at": dict(row.codes),
                        "labels": list(row.labels),
                        "count": row.count,
                        "per_cent": {
                            whole.of: None if share is None else float(share)
                            for whole, share in zip(table.definition.shares, row.shares, strict=True)
                        },
                    }
                    for row in table.rows
                ],
            }
            for table in tables
        ],
        "work": {
            "people": cube.people,
            "hours": None if cube.hours is None else float(cube.hours),
            "seconds_per_item": None if cube.seconds_per_item is None else float(cube.seconds_per_item),
        },
        "changes": [
            {
                "table": one.definition.id,
                "labels": list(one.labels),
                "before": one.before,
                "now": one.now,
                "per_cent": None if one.per_cent is None else float(one.per_cent),
            }
            for one in changes
        ],
    }
    return (json.dumps(told, ensure_ascii=False, indent=1) + "\n").encode()


def _method(document: PublicationDocument) -> bytes:
    lines = [f"# Method of {document.reference}: {document.title}", "", f"{document.publisher}, {document.period}.", ""]
    for name, text in document.method:
        lines += [f"## {name}", "", text, ""]
    lines += ["## Definitions", ""]
    for title, notes in document.definitions:
        lines += [f"### {title}", "", *(f"- {name}: {text}" for name, text in notes), ""]
    return "\n".join(lines).encode()


def _page(document: PublicationDocument, charts: Mapping[str, bytes]) -> bytes:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    # Our own drawings, in which Vega escapes every text.
    drawn = {name: Markup(svg.decode()) for name, svg in charts.items()}  # noqa: S704
    template = made.from_string((_FACES / "page.html.jinja").read_text())
    page = template.render(doc=document, charts=drawn, groups=list(GROUPS.values()), work_group=_WORK)
    return f"{page}\n".encode()


def _pdf(document: PublicationDocument, charts: Mapping[str, bytes]) -> bytes:
    import typst

    last = re.search(r"(\d{4})-(\d{2})-(\d{2})\Z", document.period)
    date = [int(part) for part in last.groups()] if last else None
    told = asdict(document) | {"date": date, "groups": list(GROUPS.values()), "work_group": _WORK}
    for section in told["sections"]:
        notes = dict(section.pop("notes"))
        section |= {"unit": notes["Unit"], "dataset": notes["Dataset"], "rule": notes["Rule"]}
        section["left_out"] = notes["Left out"]
        found = _WIDTH.search(charts.get(section["id"], b""))
        section["width"] = float(found[1]) if found else 0.0
    with tempfile.TemporaryDirectory(prefix="havenline-publication-") as name:
        folder = Path(name)
        (folder / "charts").mkdir()
        for chart, svg in charts.items():
            (folder / "charts" / f"{chart}.svg").write_bytes(svg)
        (folder / "document.json").write_text(json.dumps(told, ensure_ascii=False))
        (folder / "publication.typ").write_bytes((_FACES / "publication.typ").read_bytes())
        try:
            pdf: bytes = typst.compile(
                str(folder / "publication.typ"),
                font_paths=[str(font_folder())],
                ignore_system_fonts=True,
                pdf_standards=["a-2b"],
                timestamp=0,
            )
        except typst.TypstError as fault:
            raise FiguresError(f"the PDF cannot be set: {fault.message}") from None
    return pdf
