"""`havenline scan`: fingerprint and match a folder, zip or tar, without a database and keeping no content."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from havenline.vocabulary import Effort, FilmMode, Lane, Refusal
from havenline_cli import exits, told
from havenline_cli.options import AsJson, Matchd, Sandbox, SandboxOption, SourcePath, Workers
from havenline_cli.told import Refusals, all_cores, get_ready, list_warnings, now, plain

if TYPE_CHECKING:
    from havenline.list_files import ListsTogether, OpenedLists
    from havenline.matching.lists import ListLookup
    from havenline.matching.snapshot import EditionHead
    from havenline.scan_workers import CloseOff
    from havenline.vocabulary import EditionRef, Finding, Fingerprint, Match

HELP = (
    "Fingerprint every file and match it against hash lists.\n\n"
    "Exact by SHA-256, SHA-1 and MD5; by PDQ within 31 of 256 bits, where both sides have quality 50 or "
    "more, unless the terms of a list say otherwise; a picture by both of Meta's pipelines, and turned as its "
    "orientation mark says; films and animated pictures by sampled frames; model files by the SHA-256 of their parts "
    "too, so that a rewritten header hides nothing. Files are opened in worker processes that can reach nothing "
    "else, and nothing is kept but the table. A match is a lead, never a verdict."
)
SCREENING_ERROR = (
    "Its own hashes lay half a bit from the exact ones on average, 99 of 100 within 6 bits and none beyond 12, "
    "so a find at the edge of the radius can be missed."
)

_MATCHES_SHOWN = 20
_SHADOW_AT_ONCE = 512
_MATCHES_IN_JSON = 10_000


def scan(
    path: SourcePath,
    list_: Annotated[
        list[str] | None,
        typer.Option(
            "--list",
            "-l",
            metavar="LIST",
            help="A snapshot, a folder of live lists, a file with columns named pdq, sha256, sha1 or md5 (CSV, TSV, "
            "JSON Lines, Parquet), or raw lines of hex as pdq:FILE, sha256:FILE, … May be given several times.",
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
    lane: Annotated[
        Lane,
        typer.Option(
            help="screening hashes plain JPEG from a small grey picture; what it finds is confirmed by the exact "
            "lane, so that nothing false is reported. " + SCREENING_ERROR
        ),
    ] = Lane.EXACT,
    films: Annotated[
        FilmMode,
        typer.Option(help="exact takes one frame in each interval, keyframes only such as stand for themselves."),
    ] = FilmMode.EXACT,
    every: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.04, max=3600, help="The interval of sampled frames.")
    ] = 1.0,
    workers: Workers = None,
    sandbox: SandboxOption = Sandbox.AUTO,
    as_json: AsJson = False,
) -> None:
    """Run the command; `HELP` is what it tells."""
    # long: most of it states the options
    from havenline.formats.scan_table import check_ending

    if not list_ and matchd is None:
        raise typer.BadParameter("give a hash list (--list) or the socket of one who holds some (--matchd)")
    table = None if output == "-" else Path(output)
    if table is not None:
        check_ending(table)
    get_ready()
    opened, lists = open_all(list_ or [])
    effort = Effort(lane=lane, films=films, seconds_a_frame=every)
    summary = _Summary(
        path, [edition for each in opened for edition in _editions_of(each)], table, effort, told.closing(sandbox)
    )
    _run(path, lists, opened, matchd, summary, workers=workers or all_cores())
    if as_json:
        typer.echo(json.dumps(summary.as_json(), ensure_ascii=False, indent=2))
    else:
        for line in summary.lines():
            typer.echo(line)
    refused = summary.refusals.total or any(each.read is not None and len(each.read.problems) for each in opened)
    raise typer.Exit(exits.SOMETHING_REFUSED if refused else exits.DONE)


def open_all(arguments: list[str]) -> tuple[list[OpenedLists], ListsTogether]:
    """What `--list` names, and all of it as one; bad lines are told on stderr. Raises ListError."""
    from havenline.formats.hash_list import path_of
    from havenline.list_files import ListsTogether, open_lists
    from havenline_cli.progress import reading

    opened = []
    for argument in arguments:
        with reading(path_of(argument)) as progress:
            each = open_lists(argument, threads=all_cores(), progress=progress)
        opened.append(each)
        for line in list_warnings(argument, each.read) if each.read is not None else ():
            typer.echo(f"havenline: {line}", err=True)
    return opened, ListsTogether(opened)


def _run(
    path: Path,
    lists: ListsTogether,
    opened: list[OpenedLists],
    matchd: Path | None,
    summary: _Summary,
    *,
    workers: int,
) -> None:
    from havenline.formats.scan_table import scan_table
    from havenline.matching.lists import Together
    from havenline.scan import Scanned, Triage, findings, fingerprint_postings, fingerprint_source
    from havenline.vocabulary import SCREENING_LEEWAY
    from havenline_cli.progress import meter

    effort, close_off = summary.effort, summary.close_off

    def confirm(postings: list[Any]) -> Iterator[Scanned]:
        exact = replace(effort, lane=Lane.EXACT)
        yield from fingerprint_postings(postings, workers=workers, effort=exact, close_off=close_off)

    with ExitStack() as stack:
        scanned = stack.enter_context(
            closing(fingerprint_source(path, workers=workers, effort=effort, close_off=close_off))
        )
        asking: ListLookup = lists
        if matchd is not None:
            from havenline_guard.client import MatchClient

            client = stack.enter_context(MatchClient(matchd))
            asking = Together([lists, client]) if opened else client
            served = client.heads
            _check_names(opened, served)
            summary.lists += [_Edition(head.ref, head.count, 0) for head in served]
        lookup = partial(asking.lookup, at=now())
        screening = Triage(partial(lookup, leeway=SCREENING_LEEWAY), confirm)
        refs = [each.ref for each in summary.lists]
        table = stack.enter_context(scan_table(summary.table, lists=refs)) if summary.table else None
        shown = stack.enter_context(meter(path))
        shadow = _InShadow(asking, summary.shadow)
        for finding, size in findings(
            scanned, lookup=lookup, triage=screening if effort.lane is Lane.SCREENING else None
        ):
            if table is not None:
                table.add(finding, size=size)
            refused = summary.add(finding)
            shadow.add(finding)
            shown.count(size=size, found=bool(_leads(finding)), refused=refused)
        shadow.ask()
        summary.seconds, summary.size = shown.pace.seconds, shown.pace.size


def _editions_of(opened: OpenedLists) -> list[_Edition]:
    refused = 0 if opened.read is None else len(opened.read.problems)
    return [_Edition(head.ref, head.count, refused) for head in opened.heads]


def _check_names(opened: list[OpenedLists], served: tuple[EditionHead, ...]) -> None:
    from havenline.formats.hash_list import ListError

    names = {(head.ref.list_name, head.ref.number) for head in served}
    for each in opened:
        for head in each.heads:
            if (head.ref.list_name, head.ref.number) in names:
                raise ListError(
                    f"{each.argument} and a list that matchd holds are both named {head.ref.list_name!r} number "
                    f"{head.ref.number}: a match could not say which it came from, so leave one of them out"
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
    effort: Effort
    close_off: CloseOff | None
    films: int = 0
    models: int = 0
    files: int = 0
    hashed: int = 0
    below_floor: int = 0
    matched_files: int = 0
    match_count: int = 0
    allowed_files: int = 0
    not_told: int = 0
    matches: list[tuple[str, Match]] = field(default_factory=list)
    refusals: Refusals = field(default_factory=Refusals)
    shadow: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    size: int = 0

    def add(self, finding: Finding) -> bool:
        """Count one file; whether it was refused."""
        self.files += 1
        made = finding.fingerprint
        refused = finding.refused or (made.refusal if made is not None else None)
        if refused is not None and refused.reason is Refusal.MODEL_FILE:
            self.models += 1
            refused = None
        elif refused is not None:
            self.refusals.add(finding.path, refused)
        elif made is not None:
            self.hashed += 1
            self.films += made.pdq is None
            self.below_floor += not made.comparable
        leads = _leads(finding)
        self.matched_files += bool(leads)
        self.allowed_files += bool(finding.matches) and not leads
        self.match_count += len(leads)
        self.not_told += sum(match.more for match in leads)
        room = _MATCHES_IN_JSON - len(self.matches)
        self.matches += [(finding.path, match) for match in leads[:room]]
        return refused is not None

    def lines(self) -> list[str]:
        """The summary for people."""
        seconds = max(self.seconds, 1e-9)
        pace = f"{self.files / seconds:,.0f} files/s, {self.size / seconds / 1e6:,.1f} MB/s"
        floor = f", {self.below_floor:,} of them too flat to compare by distance" if self.below_floor else ""
        lines = [
            f"{plain(self.source)}: {self.files:,} files in {self.seconds:,.1f} s ({pace})",
            f"hashed   {self.hashed:>9,}{floor}",
            *([f"  {self.films:,} of them films, by {self.effort.films.value} sampling"] if self.films else []),
            *([f"models   {self.models:>9,}, by their digests alone"] if self.models else []),
            f"refused  {self.refusals.total:>9,}",
            *self.refusals.lines(),
            f"matched  {self.matched_files:>9,}",
        ]
        if self.matches:
            lines += _match_lines(self.matches[:_MATCHES_SHOWN])
        if self.match_count > _MATCHES_SHOWN:
            where = "all are in the table" if self.table else "write them all to a table with -o"
            lines.append(f"  and {self.match_count - _MATCHES_SHOWN:,} matches more; {where}")
        if self.not_told:
            lines.append(f"  and {self.not_told:,} entries more that are not told one by one")
        if self.allowed_files:
            lines.append(f"allowed  {self.allowed_files:>9,}, whose only matches an allow-list marks as mistaken")
        for name, count in sorted(self.shadow.items()):
            lines.append(f"shadow   {count:>9,}, that {plain(name)} would have matched; which ones is told nowhere")
        if self.table is not None:
            lines.append(f"table    {plain(self.table)}")
        return lines

    def as_json(self) -> dict[str, Any]:
        """The summary for machines."""
        from havenline.formats.scan_table import match_row

        return {
            "source": str(self.source),
            "lists": [
                {
                    "name": each.ref.list_name,
                    "number": each.ref.number,
                    "digest": each.ref.digest,
                    "entries": each.entries,
                    "lines_refused": each.lines_refused,
                }
                for each in self.lists
            ],
            "files": self.files,
            "bytes": self.size,
            "lane": self.effort.lane.value,
            "films_sampled": self.effort.films.value,
            "seconds_a_frame": self.effort.seconds_a_frame,
            "sandbox": self.close_off is not None,
            "hashed": self.hashed,
            "films": self.films,
            "model_files": self.models,
            "below_quality_floor": self.below_floor,
            "refused": self.refusals.total,
            "refusals": self.refusals.as_json(),
            "matched_files": self.matched_files,
            "allowed_files": self.allowed_files,
            "match_count": self.match_count,
            "entries_not_told": self.not_told,
            "in_shadow": self.shadow,
            "matches": [
                {
                    "path": path,
                    **{name: cell for name, cell in match_row(match).items() if name != "allowed"},
                }
                for path, match in self.matches
            ],
            "seconds": round(self.seconds, 3),
            "files_per_second": round(self.files / max(self.seconds, 1e-9), 1),
            "table": None if self.table is None else str(self.table),
        }


class _InShadow:
    """Counts what lists in shadow would have matched, by list, in batches; `counts` is where it counts."""

    def __init__(self, lists: ListLookup, counts: dict[str, int]) -> None:
        shadow = lists.in_shadow()
        if shadow is not None:
            counts |= {head.ref.list_name: 0 for head in shadow.heads if head.terms.enabled}
        self._lists, self._counts = lists, counts
        self._waiting: list[Fingerprint] = []

    def add(self, finding: Finding) -> None:
        if self._counts and finding.fingerprint is not None:
            self._waiting.append(finding.fingerprint)
            if len(self._waiting) >= _SHADOW_AT_ONCE:
                self.ask()

    def ask(self) -> None:
        from havenline.matching.lists import count_in_shadow

        for name, count in count_in_shadow(self._lists, self._waiting, at=now()).items():
            self._counts[name] = self._counts.get(name, 0) + count
        self._waiting.clear()


def _leads(finding: Finding) -> list[Match]:
    """The matches that no allow-list marks as mistaken."""
    return [match for match in finding.matches if not match.allowed]


def _match_lines(matches: list[tuple[str, Match]]) -> list[str]:
    from havenline.vocabulary import BY_DISTANCE

    rows = [("file", "list", "edition", "entry", "by", "distance")]
    for path, match in matches:
        edition = str(match.edition.number) if match.edition.number else "-"
        distance = str(match.distance) if match.kind in BY_DISTANCE else "exact"
        if match.film is not None:
            shares = f"{match.film.asked_share:.0%} of its frames, {match.film.listed_share:.0%} of the entry's"
            distance = f"{distance}: {shares}"
        name, entry = plain(match.edition.list_name), plain(match.entry)
        rows.append((plain(path), name, edition, entry, match.kind.value, distance))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
