"""`havenline scan`: fingerprint and match a folder, zip or tar, without a database and keeping no content."""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from havenline_cli import exits
from havenline_cli.options import AsJson, Matchd, SourcePath, Workers
from havenline_cli.told import Refusals, all_cores, get_ready, list_warnings, now, plain

if TYPE_CHECKING:
    from havenline.formats.hash_list import HashList
    from havenline.matching.lists import ListLookup
    from havenline.matching.snapshot import EditionHead
    from havenline.vocabulary import EditionRef, Finding, Match

HELP = (
    "Fingerprint every file and match it against hash lists.\n\n"
    "Exact by SHA-256, SHA-1 and MD5; by PDQ within 31 of 256 bits, where both sides have quality 50 or "
    "more. Files are opened in worker processes, and nothing is kept but the table. "
    "A match is a lead, never a verdict."
)

_MATCHES_SHOWN = 20
_MATCHES_IN_JSON = 10_000


def scan(
    path: SourcePath,
    list_: Annotated[
        list[str] | None,
        typer.Option(
            "--list",
            "-l",
            metavar="LIST",
            help="An edition, a CSV with headers (pdq, sha256, sha1, md5), or raw lines of hex as pdq:FILE, "
            "sha256:FILE, sha1:FILE, md5:FILE. May be given several times.",
        ),
    ] = None,
    matchd: Matchd = None,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="TABLE",
            help="A table with one row a file: its name ends in .parquet, .csv or .jsonl; - for none.",
        ),
    ] = "-",
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Run the command; `HELP` is what it tells."""
    from havenline.formats.scan_table import check_ending

    if not list_ and matchd is None:
        raise typer.BadParameter("give a hash list (--list) or the socket of one who holds some (--matchd)")
    table = None if output == "-" else Path(output)
    if table is not None:
        check_ending(table)
    get_ready()
    lists = _read_lists(list_ or [])
    summary = _Summary(path, [_Edition(read.ref, len(read.entries), len(read.problems)) for _, read in lists], table)
    _run(path, lists, matchd, summary, workers=workers or all_cores())
    if as_json:
        typer.echo(json.dumps(summary.as_json(), ensure_ascii=False, indent=2))
    else:
        for line in summary.lines():
            typer.echo(line)
    refused = summary.refusals.total or any(read.problems for _, read in lists)
    raise typer.Exit(exits.SOMETHING_REFUSED if refused else exits.DONE)


def _read_lists(arguments: list[str]) -> list[tuple[str, HashList]]:
    from havenline.formats.hash_list import ListError, read_list

    read: list[tuple[str, HashList]] = []
    named: dict[tuple[str, int], str] = {}
    for argument in arguments:
        each = read_list(argument)
        name = each.ref.list_name, each.ref.number
        if name in named:
            raise ListError(
                f"{argument} and {named[name]} are both named {name[0]!r} number {name[1]}: "
                "a match could not say which it came from, so rename one of them"
            )
        named[name] = argument
        read.append((argument, each))
        for line in list_warnings(argument, each):
            typer.echo(f"havenline: {line}", err=True)
    return read


def _run(
    path: Path, lists: list[tuple[str, HashList]], matchd: Path | None, summary: _Summary, *, workers: int
) -> None:
    from havenline.entries import Entries
    from havenline.formats.scan_table import scan_table
    from havenline.matching import Edition, Lists
    from havenline.matching.lists import Together
    from havenline.scan import findings, fingerprint_source
    from havenline_cli.progress import meter

    with ExitStack() as stack:
        scanned = stack.enter_context(closing(fingerprint_source(path, workers=workers)))
        asking: ListLookup = Lists.build([Edition(read.ref, Entries.of(read.entries)) for _, read in lists])
        if matchd is not None:
            from havenline_guard.client import MatchClient

            client = stack.enter_context(MatchClient(matchd))
            asking = Together([asking, client]) if lists else client
            served = client.heads
            _check_names(lists, served)
            summary.lists += [_Edition(head.ref, head.count, 0) for head in served]
        lookup = partial(asking.lookup, at=now())
        refs = [each.ref for each in summary.lists]
        table = stack.enter_context(scan_table(summary.table, lists=refs)) if summary.table else None
        shown = stack.enter_context(meter(path))
        for finding, size in findings(scanned, lookup=lookup):
            if table is not None:
                table.add(finding, size=size)
            refused = summary.add(finding)
            shown.count(size=size, found=bool(finding.matches), refused=refused)
        summary.seconds, summary.size = shown.pace.seconds, shown.pace.size


def _check_names(lists: list[tuple[str, HashList]], served: tuple[EditionHead, ...]) -> None:
    from havenline.formats.hash_list import ListError

    names = {(head.ref.list_name, head.ref.number) for head in served}
    for argument, read in lists:
        if (read.ref.list_name, read.ref.number) in names:
            raise ListError(
                f"{argument} and a list that matchd holds are both named {read.ref.list_name!r} number "
                f"{read.ref.number}: a match could not say which it came from, so leave one of them out"
            )


@dataclass(frozen=True, slots=True)
class _Edition:
    """One edition that is looked up in."""

    ref: EditionRef
    entries: int
    lines_refused: int


@dataclass
class _Summary:
    """What a scan found, counted."""

    source: Path
    lists: list[_Edition]
    table: Path | None
    files: int = 0
    hashed: int = 0
    below_floor: int = 0
    matched_files: int = 0
    match_count: int = 0
    matches: list[tuple[str, Match]] = field(default_factory=list)
    refusals: Refusals = field(default_factory=Refusals)
    seconds: float = 0.0
    size: int = 0

    def add(self, finding: Finding) -> bool:
        """Count one file; whether it was refused."""
        self.files += 1
        made = finding.fingerprint
        refused = finding.refused or (made.refusal if made is not None else None)
        if refused is not None:
            self.refusals.add(finding.path, refused)
        elif made is not None:
            self.hashed += 1
            self.below_floor += not made.comparable
        self.matched_files += bool(finding.matches)
        self.match_count += len(finding.matches)
        room = _MATCHES_IN_JSON - len(self.matches)
        self.matches += [(finding.path, match) for match in finding.matches[:room]]
        return refused is not None

    def lines(self) -> list[str]:
        """The summary for people."""
        seconds = max(self.seconds, 1e-9)
        pace = f"{self.files / seconds:,.0f} files/s, {self.size / seconds / 1e6:,.1f} MB/s"
        floor = f", {self.below_floor:,} of them too flat to compare by distance" if self.below_floor else ""
        lines = [
            f"{plain(self.source)}: {self.files:,} files in {self.seconds:,.1f} s ({pace})",
            f"hashed   {self.hashed:>9,}{floor}",
            f"refused  {self.refusals.total:>9,}",
            *self.refusals.lines(),
            f"matched  {self.matched_files:>9,}",
        ]
        if self.matches:
            lines += _match_lines(self.matches[:_MATCHES_SHOWN])
        if self.match_count > _MATCHES_SHOWN:
            where = "all are in the table" if self.table else "write them all to a table with -o"
            lines.append(f"  and {self.match_count - _MATCHES_SHOWN:,} matches more; {where}")
        if self.table is not None:
            lines.append(f"table    {plain(self.table)}")
        return lines

    def as_json(self) -> dict[str, Any]:
        """The summary for machines."""
        return {
            "source": str(self.source),
            "lists": [
                {**_edition(each.ref), "entries": each.entries, "lines_refused": each.lines_refused}
                for each in self.lists
            ],
            "files": self.files,
            "bytes": self.size,
            "hashed": self.hashed,
            "below_quality_floor": self.below_floor,
            "refused": self.refusals.total,
            "refusals": self.refusals.as_json(),
            "matched_files": self.matched_files,
            "match_count": self.match_count,
            "matches": [
                {
                    "path": path,
                    "list": match.edition.list_name,
                    "edition": match.edition.number,
                    "entry": match.entry,
                    "kind": match.kind.value,
                    "distance": match.distance,
                }
                for path, match in self.matches
            ],
            "seconds": round(self.seconds, 3),
            "files_per_second": round(self.files / max(self.seconds, 1e-9), 1),
            "table": None if self.table is None else str(self.table),
        }


def _edition(ref: EditionRef) -> dict[str, Any]:
    return {"name": ref.list_name, "number": ref.number, "digest": ref.digest}


def _match_lines(matches: list[tuple[str, Match]]) -> list[str]:
    from havenline.vocabulary import HashKind

    rows = [("file", "list", "edition", "entry", "by", "distance")]
    for path, match in matches:
        edition = str(match.edition.number) if match.edition.number else "-"
        distance = str(match.distance) if match.kind is HashKind.PDQ else "exact"
        name, entry = plain(match.edition.list_name), plain(match.entry)
        rows.append((plain(path), name, edition, entry, match.kind.value, distance))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
