"""`havenline list vics`: a hash set or a case in the form of Project VIC, taken in as a list."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from havenline_cli import exits
from havenline_cli.list_make import check_free, is_csv, write
from havenline_cli.options import AsJson, Force, ListName, ListOutput, Number
from havenline_cli.told import plain, say_if_compiling, tell

if TYPE_CHECKING:
    from havenline.formats.vics import VicsHead, VicsRecord, VicsUnread
    from havenline.vocabulary import EditionRef, ListEntry

HELP = (
    "Take in a hash set or a case of Project VIC (VICS 1.1 to 2.0).\n\n"
    "The same files hold comparison pictures and what is not pertinent, so say which categories become entries. What "
    "is not understood goes to quarantine with its bytes, and the others are taken in."
)


@dataclass
class _Taken:
    """Entries by id, and what became of the other records."""

    wanted: frozenset[int]
    model: str
    carry_series: bool
    entries: dict[str, ListEntry] = field(default_factory=dict)
    categories: dict[str, int | None] = field(default_factory=dict)
    passed_over: Counter[str] = field(default_factory=Counter)
    unread: list[VicsUnread] = field(default_factory=list)
    repeated: int = 0

    def add(self, record: VicsRecord | VicsUnread) -> None:
        """Take one record in, or take note why not."""
        from havenline.formats.vics import VicsUnread

        if isinstance(record, VicsUnread):
            self.unread.append(record)
            return
        entry = record.entry
        if self.categories.setdefault(entry.entry, record.category) != record.category:
            self.unread.append(VicsUnread(record.number, "the same values stand under another category", b""))
        elif record.category not in self.wanted:
            self.passed_over["none" if record.category is None else str(record.category)] += 1
        elif entry.entry in self.entries:
            self.repeated += 1
        else:
            opaque = entry.opaque + ((("series", record.series),) if self.carry_series and record.series else ())
            label = f"vics.{self.model}:{record.category}"
            self.entries[entry.entry] = replace(entry, label=label, opaque=opaque)


def vics(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A VICS file, JSON.")],
    output: ListOutput,
    take: Annotated[
        list[int], typer.Option("--take", metavar="NUMBER", help="A category that becomes entries. Repeatable.")
    ],
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="The country model of a file before 2.0: US, UK, or another's name.")
    ] = "",
    categories: Annotated[
        list[int] | None,
        typer.Option(
            "--category", metavar="NUMBER", help="A category that may stand in it, where its model is not known here."
        ),
    ] = None,
    series: Annotated[
        bool, typer.Option("--carry-series", metavar="", help="Carry names of series, which may tell of a victim.")
    ] = False,
    quarantine: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write what was not understood there, as JSON Lines: number, reason, raw."),
    ] = None,
    name: ListName = None,
    number: Number = 1,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Run the command; `HELP` is what it tells."""
    from havenline.entries import Entries
    from havenline.formats.hash_list import ListError
    from havenline.formats.vics import read_vics

    for path in filter(None, (output, quarantine)):
        check_free(path, force=force)
    if is_csv(output) and series:
        raise typer.BadParameter("a CSV keeps no carried values: name a snapshot", param_hint="-o")
    say_if_compiling()
    try:
        head, records = read_vics(file, model=model, categories=dict.fromkeys(categories, "") if categories else None)
        taken = _Taken(frozenset(take), head.model.lower() or "none", series)
        for record in records:
            taken.add(record)
    except OSError as error:
        raise ListError(f"{file}: cannot be read ({error.strerror or error})") from None
    if quarantine is not None:
        _keep(quarantine, taken.unread, force=force)
    if not taken.entries:
        raise ListError(f"{file}: no record of the categories that were asked for, so nothing was written")
    entries = Entries.of(taken.entries.values())
    ref = write(output, entries, name=name, number=number, force=force)
    summary = _summary(output, ref, head, taken)
    tell(summary, _lines(summary), as_json=as_json)
    raise typer.Exit(exits.SOMETHING_REFUSED if taken.unread else exits.DONE)


def _keep(path: Path, unread: list[VicsUnread], *, force: bool) -> None:
    """Quarantine, for its owner alone. Raises ListError."""
    from havenline.formats.hash_list import ListError
    from havenline.whole_file import write_whole

    try:
        with write_whole(path, replace=force) as file:
            for each in unread:
                said = {"number": each.number, "reason": each.reason, "raw": b64encode(each.raw).decode()}
                file.write(json.dumps(said).encode() + b"\n")
    except OSError as error:
        raise ListError(f"{path}: cannot be written ({error.strerror or error}); nothing was kept") from None


def _summary(output: Path, ref: EditionRef, head: VicsHead, taken: _Taken) -> dict[str, Any]:
    return {
        "list": str(output),
        "name": ref.list_name,
        "number": ref.number,
        "digest": ref.digest,
        "version": head.version,
        "model": head.model,
        "shape": head.shape,
        "entries": len(taken.entries),
        "repeated": taken.repeated,
        "passed_over": dict(sorted(taken.passed_over.items())),
        "quarantined": len(taken.unread),
        "reasons": dict(sorted(Counter(each.reason for each in taken.unread).items())),
    }


def _lines(summary: dict[str, Any]) -> Iterator[str]:
    model = f", model {plain(summary['model'])}" if summary["model"] else ""
    yield f"{plain(summary['list'])}: {summary['entries']:,} entries (VICS {summary['version']}{model})"
    yield f"name     {plain(summary['name'])}"
    yield f"digest   {summary['digest']}"
    for category, count in summary["passed_over"].items():
        yield f"passed over, category {category}  {count:,}"
    if summary["repeated"]:
        yield f"the same values again, listed once  {summary['repeated']:,}"
    for reason, count in summary["reasons"].items():
        yield f"in quarantine  {count:,}  {reason}"
