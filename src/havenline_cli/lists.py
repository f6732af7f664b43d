"""`havenline list`: make a hash list from files, and show what one holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from havenline_cli import exits
from havenline_cli.options import AsJson, SourcePath, Workers
from havenline_cli.told import Refusals, all_cores, get_ready, list_warnings, plain

if TYPE_CHECKING:
    from havenline.scan import Scanned
    from havenline.vocabulary import EditionRef, Fingerprint, ListEntry

app = typer.Typer(
    help="Make a hash list from files, and show what one holds.", no_args_is_help=True, epilog=exits.EPILOG
)

MAKE_HELP = (
    "Make a hash list from files: one entry for each distinct file, with all its hashes.\n\n"
    "Files of a known kind that cannot be opened as pictures are listed by their digests alone; empty files "
    "and those of unknown kind are left out. Both are reported."
)


@app.command(help=MAKE_HELP, epilog=exits.EPILOG)
def make(
    path: SourcePath,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="LIST", help="An edition; a CSV when it ends in .csv.")
    ],
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The list's name.", show_default="the output's name"),
    ] = None,
    number: Annotated[int, typer.Option(metavar="N", min=1, help="The edition's number.")] = 1,
    label: Annotated[str | None, typer.Option(metavar="LABEL", help="A label for every entry.")] = None,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Replace an existing file.")] = False,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Run the command; `MAKE_HELP` is what it tells."""
    from havenline import __version__
    from havenline.formats.edition import check_text
    from havenline.formats.hash_list import ListError, write_list

    for option, text in (("--name", name), ("--label", label)):
        try:
            if text is not None:
                check_text(option.lstrip("-"), text)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint=option) from None
    if not force and output.exists():
        raise ListError(f"{output}: exists already and was left as it is; use --force to replace it")
    get_ready()
    made = _Made(label)
    _gather(path, made, workers=workers or all_cores())
    if not made.entries:
        why = "; ".join(made.refusals.lines()).strip() or "it holds no files"
        raise ListError(f"{path}: nothing to list, so nothing was written ({why})")
    name = name or _name_of(output)
    ref = write_list(output, made.entries, name=name, number=number, made_by=f"havenline {__version__}", replace=force)
    _tell(_summary_of_made(output, ref, made), made.lines(output, ref), as_json=as_json)
    raise typer.Exit(exits.SOMETHING_REFUSED if made.refusals.total else exits.DONE)


@app.command(epilog=exits.EPILOG)
def show(
    list_: Annotated[str, typer.Argument(metavar="LIST", help="As for `havenline scan --list`.")],
    as_json: AsJson = False,
) -> None:
    """Print a hash list's name, number, digest and what it holds; an edition's digest is verified."""
    from havenline.formats.hash_list import read_list
    from havenline.vocabulary import QUALITY_FLOOR, HashKind

    read = read_list(list_)
    counts = {kind.value: sum(getattr(entry, kind.value) is not None for entry in read.entries) for kind in HashKind}
    flat = sum(entry.pdq_quality is not None and entry.pdq_quality < QUALITY_FLOOR for entry in read.entries)
    summary = {
        "name": read.ref.list_name,
        "number": read.ref.number,
        "digest": read.ref.digest,
        "entries": len(read.entries),
        "hashes": counts,
        "pdq_below_quality_floor": flat,
        "made_by": read.made_by,
        "lines_refused": len(read.problems),
        "notes": list(read.notes),
    }
    for line in list_warnings(list_, read):
        typer.echo(f"havenline: {line}", err=True)
    lines = [
        f"name     {plain(read.ref.list_name)}",
        f"number   {read.ref.number or '- (a plain file, no edition)'}",
        f"digest   {read.ref.digest}",
        f"made by  {plain(read.made_by or '-')}",
        f"entries  {len(read.entries):,}",
        *(f"  {kind:<6} {count:>9,}" for kind, count in counts.items()),
    ]
    if flat:
        lines.append(f"  {flat:,} PDQ values are too flat to compare by distance")
    _tell(summary, lines, as_json=as_json)
    raise typer.Exit(exits.SOMETHING_REFUSED if read.problems else exits.DONE)


@dataclass
class _Made:
    """Entries gathered from files, and what happened to the others."""

    label: str | None
    entries: list[ListEntry] = field(default_factory=list)
    refusals: Refusals = field(default_factory=Refusals)
    digests_only: int = 0
    repeated: int = 0
    _seen: set[str] = field(default_factory=set)

    def add(self, each: Scanned) -> None:
        """Take in one file, or take note why not."""
        made = each.fingerprint
        refused = each.refused or (made.refusal if made is not None else None)
        if refused is not None:
            self.refusals.add(each.path, refused)
        if made is None or not _worth_an_entry(made):
            return
        if made.sha256 in self._seen:
            self.repeated += 1
            return
        self._seen.add(made.sha256)
        self.digests_only += made.pdq is None
        self.entries.append(self._entry(made))

    def lines(self, output: Path, ref: EditionRef) -> Iterator[str]:
        """The summary for people."""
        yield f"{plain(output)}: {len(self.entries):,} {'entry' if len(self.entries) == 1 else 'entries'}"
        yield f"name     {plain(ref.list_name)}"
        if ref.number:
            yield f"number   {ref.number}"
        yield f"digest   {ref.digest}"
        if self.digests_only:
            yield f"by digests only  {self.digests_only:,}"
        if self.repeated:
            yield f"the same file again, listed once  {self.repeated:,}"
        if self.refusals.total:
            yield f"refused  {self.refusals.total:,}"
            yield from self.refusals.lines()

    def _entry(self, made: Fingerprint) -> ListEntry:
        from havenline.vocabulary import ListEntry

        return ListEntry(
            entry=f"e{len(self.entries) + 1:06d}",
            md5=made.md5,
            sha1=made.sha1,
            sha256=made.sha256,
            pdq=made.pdq,
            pdq_quality=made.pdq_quality,
            label=self.label,
        )


def _worth_an_entry(made: Fingerprint) -> bool:
    """Not what anyone may have for innocent reasons: an empty file, a licence text."""
    from havenline.vocabulary import Refusal

    return made.refusal is None or made.refusal.reason not in (Refusal.EMPTY, Refusal.UNKNOWN_KIND)


def _gather(path: Path, made: _Made, *, workers: int) -> None:
    from havenline.scan import fingerprint_source
    from havenline_cli.progress import meter

    with closing(fingerprint_source(path, workers=workers)) as scanned, meter(path) as shown:
        for each in scanned:
            before = made.refusals.total
            made.add(each)
            shown.count(size=each.size, refused=made.refusals.total > before)


def _name_of(output: Path) -> str:
    from havenline.formats.edition import LONGEST_TEXT

    return plain(output.stem).strip()[:LONGEST_TEXT] or "list"


def _summary_of_made(output: Path, ref: EditionRef, made: _Made) -> dict[str, Any]:
    return {
        "list": str(output),
        "name": ref.list_name,
        "number": ref.number,
        "digest": ref.digest,
        "entries": len(made.entries),
        "digests_only": made.digests_only,
        "repeated": made.repeated,
        "refused": made.refusals.total,
        "refusals": made.refusals.as_json(),
    }


def _tell(summary: dict[str, Any], lines: Iterator[str] | list[str], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False, indent=2))
    else:
        for line in lines:
            typer.echo(line)
