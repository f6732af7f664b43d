"""`havenline list show`: what a hash list says of itself, and what it holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from havenline_cli import exits
from havenline_cli.options import AsJson
from havenline_cli.told import count_lines, list_warnings, plain, tell, terms_words

if TYPE_CHECKING:
    from havenline.list_files import OpenedLists
    from havenline.matching.snapshot import EditionHead

HELP = (
    "Print what a hash list is called, its number, digest, terms, size, and how many values of each kind it holds.\n\n"
    "A snapshot is opened without reading its entries; --verify checks every byte of it and its digests."
)


def show(
    list_: Annotated[str, typer.Argument(metavar="LIST", help="As for `havenline scan --list`.")],
    verify: Annotated[
        bool, typer.Option("--verify", metavar="", help="Check every section and the digest of the entries.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the command; `HELP` is what it tells."""
    from havenline.list_files import Kept, check_whole, kept_as, open_lists

    kept = kept_as(list_)
    if kept is Kept.FILE:
        _show_file(list_, as_json=as_json)
        return
    opened = open_lists(list_)
    if verify:
        check_whole(opened)
    summary = summary_of(opened, verified=verify)
    tell(summary, lines_of(summary, opened.heads), as_json=as_json)


def summary_of(opened: OpenedLists, *, verified: bool = False) -> dict[str, Any]:
    """A snapshot or live lists for machines."""
    from havenline.matching.snapshot import said_terms

    lists = opened.lists if opened.live is None else opened.live.current()
    path = Path(opened.argument)
    files = [path] if opened.live is None else [each for each in path.iterdir() if each.is_file()]
    live, ref = opened.live, lists.heads[0].ref if len(lists.heads) == 1 else None
    return (
        {
            "kept_as": opened.kept.value,
            "lists": [
                {
                    "name": head.ref.list_name,
                    "number": head.ref.number,
                    "digest": head.ref.digest,
                    "entries": head.count,
                    "added": head.added,
                    "made_by": head.made_by or None,
                    "pipeline": head.pipeline or None,
                    "terms": said_terms(head.terms),
                }
                for head in lists.heads
            ],
            "entries": len(lists),
            "hashes": {kind.value: count for kind, count in lists.counts().items()},
            "pdq_below_quality_floor": lists.flat(),
            "bytes": sum(each.stat().st_size for each in files),
            "verified": verified,
        }
        | ({} if ref is None else {"name": ref.list_name, "number": ref.number, "digest": ref.digest})
        | ({} if live is None else {"generation": live.generation, "changes_not_folded": live.pending})
    )


def lines_of(summary: dict[str, Any], heads: tuple[EditionHead, ...]) -> Iterator[str]:
    """The same for people."""
    for head in heads:
        yield f"name     {plain(head.ref.list_name)}{', added since' if head.added else ''}"
        yield f"number   {head.ref.number or '- (no edition)'}"
        yield f"digest   {head.ref.digest}"
        if head.made_by:
            yield f"made by  {plain(head.made_by)}"
        yield f"PDQ by   {plain(head.pipeline) or 'not stated'}"
        yield f"terms    {terms_words(head.terms, films='film' in summary['hashes'])}"
        if len(heads) > 1:
            yield f"entries  {head.count:,}"
            yield ""
    yield f"{'in all' if len(heads) > 1 else 'entries'}  {' ' * (len(heads) > 1)}{summary['entries']:,}"
    yield from count_lines(summary["hashes"])
    if summary["pdq_below_quality_floor"]:
        yield f"  {summary['pdq_below_quality_floor']:,} PDQ values are too flat to compare by distance"
    if "generation" in summary:
        yield f"live     generation {summary['generation']}, {summary['changes_not_folded']:,} changes not folded"
    yield f"size     {summary['bytes'] / 1e6:,.1f} MB"
    if summary["verified"]:
        yield "verified: every section and digest is as it should be"


def _show_file(argument: str, *, as_json: bool) -> None:
    from havenline.formats.hash_list import ColumnMap, path_of
    from havenline.vocabulary import QUALITY_FLOOR
    from havenline_cli.list_import import carried_of, counts_of, read_with_bar

    read = read_with_bar(argument, form=None, mapping=ColumnMap())
    flat = int((read.entries.pdq_quality < QUALITY_FLOOR).sum())
    summary: dict[str, Any] = {
        "kept_as": "file",
        "name": read.ref.list_name,
        "number": read.ref.number,
        "digest": read.ref.digest,
        "entries": len(read.entries),
        "hashes": counts_of(read.entries),
        "carried": carried_of(read.entries),
        "pdq_below_quality_floor": flat,
        "alike": read.alike,
        "lines_refused": len(read.problems),
        "notes": list(read.notes),
        "bytes": path_of(argument).stat().st_size,
    }
    for line in list_warnings(argument, read):
        typer.echo(f"havenline: {line}", err=True)
    lines = [
        f"name     {plain(read.ref.list_name)}",
        "number   - (a plain file, no edition)",
        f"digest   {read.ref.digest}",
        f"entries  {len(read.entries):,}",
        *count_lines(summary["hashes"]),
    ]
    if flat:
        lines.append(f"  {flat:,} PDQ values are too flat to compare by distance")
    if read.alike:
        lines.append(f"  {read.alike:,} entries have the values of another")
    lines.append(f"size     {summary['bytes'] / 1e6:,.1f} MB")
    tell(summary, lines, as_json=as_json)
    raise typer.Exit(exits.SOMETHING_REFUSED if read.problems else exits.DONE)
