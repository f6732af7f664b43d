"""`havenline list live`: hash lists that change while they are looked up in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from havenline_cli import exits
from havenline_cli.options import (
    AsJson,
    AskedShare,
    Carries,
    Expires,
    FormOption,
    ListedShare,
    Maps,
    QualityFloor,
    Radius,
    checked_text,
    mapping_from,
    terms_from,
)
from havenline_cli.told import all_cores, list_warnings, now, plain, say_if_compiling, tell, terms_words

if TYPE_CHECKING:
    from havenline.formats.hash_list import HashList
    from havenline.matching.live import Changed, LiveLists
    from havenline.matching.snapshot import Edition
    from havenline.vocabulary import ListTerms

app = typer.Typer(
    help="Keep hash lists in a folder that changes while it is looked up in. What a command here acknowledges holds "
    "for every process from its next lookup on, and across a crash.",
    no_args_is_help=True,
    epilog=exits.EPILOG,
)
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the live lists.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The list's name.")]
NewName = Annotated[str | None, typer.Option("--name", metavar="NAME", help="Of a file that is no snapshot.")]
NewNumber = Annotated[int | None, typer.Option("--number", metavar="N", min=1, help="Of a file that is no snapshot.")]


@app.command(epilog=exits.EPILOG)
def create(folder: Folder, as_json: AsJson = False) -> None:
    """Make a folder with no list in it yet, for its owner alone."""
    from havenline.matching.live import LiveLists

    with _told(folder):
        made = LiveLists.create(folder)
    tell({"folder": str(folder), "generation": made.generation}, [f"{plain(folder)}: made"], as_json=as_json)


@app.command(epilog=exits.EPILOG)
def publish(
    folder: Folder,
    list_: Annotated[str, typer.Argument(metavar="LIST", help="A snapshot, or a file as for `havenline list import`.")],
    name: NewName = None,
    number: NewNumber = None,
    maps: Maps = None,
    carries: Carries = None,
    form: FormOption = None,
    as_json: AsJson = False,
) -> None:
    """Put an edition in the place of the earlier one of its list. Entries withdrawn from the list stay out."""
    name = checked_text("--name", name)
    live = _opened(folder)
    editions, problems = _editions(list_, name=name, number=number, maps=maps, carries=carries, form=form)
    say_if_compiling()
    told = []
    for edition in editions:
        with _told(folder):
            changed = live.publish(edition, threads=all_cores())
            after = sum(head.count for head in live.current().heads if head.ref == edition.ref)
        told.append(
            {
                "name": edition.ref.list_name,
                "number": edition.ref.number,
                "digest": edition.ref.digest,
                "entries": after,
                "withdrawn_left_out": len(edition.entries) - after,
                "generation": changed.generation,
            }
        )
    lines = []
    for each in told:
        left = f", {each['withdrawn_left_out']:,} left out that were withdrawn" if each["withdrawn_left_out"] else ""
        number_ = f" number {each['number']}" if each["number"] else ""
        lines.append(f"{plain(each['name'])}{number_}: {each['entries']:,} entries published{left}")
    tell({"folder": str(folder), "published": told, "lines_refused": problems}, lines, as_json=as_json)
    raise typer.Exit(exits.SOMETHING_REFUSED if problems else exits.DONE)


@app.command(epilog=exits.EPILOG)
def add(
    folder: Folder,
    name: Name,
    file: Annotated[str, typer.Argument(metavar="FILE", help="As for `havenline list import`.")],
    maps: Maps = None,
    carries: Carries = None,
    form: FormOption = None,
    as_json: AsJson = False,
) -> None:
    """Add the entries of a file to a list, all or none. For some thousands at a time; publish larger lists."""
    name = checked_text("NAME", name) or ""
    live = _opened(folder)
    read = _read(file, maps=maps, carries=carries, form=form)
    entries = list(read.entries)
    with _told(folder):
        changed = live.change(add={name: entries}, at=now())
    lines = [f"{plain(name)}: {len(entries):,} {'entry' if len(entries) == 1 else 'entries'} added"]
    tell(
        _changed(folder, name, changed) | {"added": len(entries), "lines_refused": len(read.problems)},
        lines,
        as_json=as_json,
    )
    raise typer.Exit(exits.SOMETHING_REFUSED if read.problems else exits.DONE)


@app.command(epilog=exits.EPILOG)
def withdraw(
    folder: Folder,
    name: Name,
    entries: Annotated[list[str] | None, typer.Argument(metavar="ENTRY…", help="Ids of entries.")] = None,
    source: Annotated[Path | None, typer.Option("--from", metavar="FILE", help="More ids, one a line.")] = None,
    ahead: Annotated[
        bool, typer.Option("--ahead", metavar="", help="Also where there is no list of that name yet.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Withdraw entries from a list, for good: they stay out of every later edition too."""
    from havenline.formats.hash_list import ListError

    name = checked_text("NAME", name) or ""
    ids = list(dict.fromkeys([*(entries or ()), *(_ids_in(source) if source else ())]))
    if not ids:
        raise typer.BadParameter("name at least one entry, or a file with --from", param_hint="ENTRY…")
    live = _opened(folder)
    with _told(folder):
        names = {head.ref.list_name for head in live.current().heads}
        if name not in names and not ahead:
            known = ", ".join(sorted(plain(each) for each in names)) or "none"
            raise ListError(
                f"{folder}: there is no list {name!r} (there is: {known}); nothing was withdrawn. "
                "--ahead withdraws from a list that is still to come"
            )
        before = len(live.current())
        changed = live.change(withdraw={name: ids}, at=now())
        gone = before - len(live.current())
    lines = [
        f"{plain(name)}: {len(ids):,} {'id' if len(ids) == 1 else 'ids'} withdrawn, {gone:,} of them in the list now"
    ]
    tell(_changed(folder, name, changed) | {"withdrawn": len(ids), "entries_gone": gone}, lines, as_json=as_json)


@app.command(epilog=exits.EPILOG)
def terms(
    folder: Folder,
    name: Name,
    radius: Radius = None,
    quality_floor: QualityFloor = None,
    asked_share: AskedShare = None,
    listed_share: ListedShare = None,
    allow: Annotated[
        bool | None, typer.Option("--allow/--no-allow", help="Whether it is an allow-list.", show_default=False)
    ] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Whether it gives matches.", show_default=False)
    ] = None,
    expires: Expires = None,
    never_expires: Annotated[bool, typer.Option("--never-expires", metavar="", help="Take the expiry away.")] = False,
    as_json: AsJson = False,
) -> None:
    """Change the terms of a list; what is not said stays. Without an option, print them."""
    from dataclasses import replace

    from havenline.matching.snapshot import said_terms

    live = _opened(folder)
    before = _terms_of(live, folder, name)
    after = terms_from(
        before,
        radius=radius,
        quality_floor=quality_floor,
        asked_share=asked_share,
        listed_share=listed_share,
        allow=allow,
        enabled=enabled,
        expires=expires,
    )
    if never_expires:
        after = replace(after, expires_at=None)
    summary: dict[str, Any] = {"folder": str(folder), "name": name, "changed": after != before}
    if after != before:
        with _told(folder):
            summary |= _changed(folder, name, live.change(terms={name: after}, at=now()))
    summary["terms"] = said_terms(after)
    tell(summary, [f"{plain(name)}: {terms_words(after)}"], as_json=as_json)


@app.command(epilog=exits.EPILOG)
def fold(folder: Folder, as_json: AsJson = False) -> None:
    """Put the changes into a new snapshot. Lookups and changes go on meanwhile."""
    live = _opened(folder)
    say_if_compiling()
    with _told(folder):
        folded = live.fold(threads=all_cores())
        entries = len(live.current())
    summary = {"folder": str(folder), "folded": folded, "generation": live.generation, "entries": entries}
    words = "folded" if folded else "nothing to fold"
    tell(summary, [f"{plain(folder)}: {words}, generation {live.generation}, {entries:,} entries"], as_json=as_json)


@app.command(epilog=exits.EPILOG)
def show(
    folder: Folder,
    verify: Annotated[bool, typer.Option("--verify", metavar="", help="Check every section of the snapshot.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print what `havenline list show` prints of the folder."""
    from havenline_cli.list_show import show as show_list

    _opened(folder)
    show_list(str(folder), verify=verify, as_json=as_json)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """What the operating system refuses, as one line."""
    from havenline.formats.hash_list import ListError

    try:
        yield
    except OSError as error:
        raise ListError(f"{folder}: cannot be changed ({error.strerror or error}); nothing was changed") from None


def _opened(folder: Path) -> LiveLists:
    from havenline.list_files import live_lists

    return live_lists(folder)


def _changed(folder: Path, name: str, changed: Changed) -> dict[str, Any]:
    return {"folder": str(folder), "name": name, "generation": changed.generation, "digest": changed.digest}


def _terms_of(live: LiveLists, folder: Path, name: str) -> ListTerms:
    from havenline.formats.hash_list import ListError

    with _told(folder):
        heads = live.current().heads
    for head in heads:
        if head.ref.list_name == name:
            return head.terms
    known = ", ".join(sorted({plain(head.ref.list_name) for head in heads})) or "none"
    raise ListError(f"{folder}: there is no list {name!r} (there is: {known}); nothing was changed")


def _editions(
    argument: str,
    *,
    name: str | None,
    number: int | None,
    maps: list[str] | None,
    carries: list[str] | None,
    form: str | None,
) -> tuple[list[Edition], int]:
    """The editions in a snapshot or in a file of another form, and how many lines were passed over."""
    from havenline.formats.hash_list import ListError
    from havenline.list_files import Kept, kept_as, open_lists
    from havenline.matching.snapshot import Edition
    from havenline.vocabulary import EditionRef

    kept = kept_as(argument)
    if kept is Kept.LIVE:
        raise ListError(f"{argument}: a folder; publish a snapshot or a file")
    if kept is Kept.FILE:
        read = _read(argument, maps=maps, carries=carries, form=form)
        ref = EditionRef(name or read.ref.list_name, number or read.ref.number, read.ref.digest)
        return [Edition(ref, read.entries)], len(read.problems)
    if name or number or maps or carries or form:
        raise typer.BadParameter("a snapshot says itself what it is: leave the other options out", param_hint="LIST")
    snapshot = open_lists(argument, verify=True).snapshot
    assert snapshot is not None
    if any(head.added for head in snapshot.heads):
        raise ListError(f"{argument}: holds additions to editions, not editions alone; nothing was changed")
    return snapshot.editions(), 0


def _read(argument: str, *, maps: list[str] | None, carries: list[str] | None, form: str | None) -> HashList:
    from havenline_cli.list_import import form_named, read_with_bar

    read = read_with_bar(argument, form=form_named(form), mapping=mapping_from(maps, carries))
    for line in list_warnings(argument, read):
        typer.echo(f"havenline: {line}", err=True)
    return read


def _ids_in(path: Path) -> list[str]:
    from havenline.formats import csv_text
    from havenline.formats.hash_list import ListError

    ids = []
    try:
        for number, text in csv_text.numbered_lines(path):
            if not isinstance(text, str):
                raise ListError(f"{path}: line {number}: {text.reason}; nothing was withdrawn")
            ids.append(text.strip())
    except csv_text.NotTextError as error:
        raise ListError(f"{path}: {error}; nothing was withdrawn") from None
    except OSError as error:
        raise ListError(f"{path}: cannot be read ({error.strerror or error}); nothing was withdrawn") from None
    return ids
