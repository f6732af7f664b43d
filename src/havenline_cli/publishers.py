"""`havenline exchange …-publisher`: trust another installation, compare what it shows, trust it no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import typer

from havenline_cli import desk as opening
from havenline_cli.exchange_options import (
    Folder,
    Key,
    Name,
    exchange_folder,
    faults_told,
    home_folder,
    opened_exchange,
    sealing_key,
)
from havenline_cli.options import checked_text
from havenline_cli.repository import fours
from havenline_cli.told import all_cores, now, plain, say_if_compiling
from havenline_cli.trust import trusted

_LONGEST_ROOT = 512_001


def identity() -> None:
    """Print the key that publishers seal to; made once. It goes to a publisher over a way that both trust."""
    from havenline.connectors.publishers import make_identity

    with faults_told(_identity()):
        typer.echo(make_identity(_identity()))


def add_publisher(
    name: Name,
    place: Annotated[str, typer.Option("--from", metavar="URL", help="https://…, or file:/// and a folder.")],
    root: Annotated[Path, typer.Option("--root", metavar="FILE", help="The publisher's 1.root.json.")],
    recipient: Annotated[str, typer.Option("--recipient", metavar="ID", help="The id that it gave to us.")],
    publishers_list: Annotated[str, typer.Option("--their-list", metavar="LIST", help="Which of its lists.")],
    kind: Annotated[
        str, typer.Option("--kind", metavar="KIND", help="csam, prohibited or nationally_illegal: what you opt into.")
    ] = "csam",
    list_name: Annotated[
        str | None, typer.Option("--list", metavar="LIST", help="The live list's name.", show_default="NAME")
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option("--ca-file", metavar="FILE", help="Certificates to trust in place of the usual ones.")
    ] = None,
    folder: Folder = None,
    key: Key = None,
    home: opening.HomeOption = None,
) -> None:
    """Pin another installation's root. Nothing is taken before two people have heard its fingerprint."""
    from havenline.connectors import publishers, sealed
    from havenline.connectors.havenline.pinned import fingerprint_of
    from havenline.formats.edition import ListKind

    if kind not in list(ListKind):
        raise typer.BadParameter(f"is one of {', '.join(ListKind)}", param_hint="--kind")
    where, sealing = exchange_folder(folder, name), sealing_key(key)
    with faults_told(where):
        publishers.make_identity(_identity())
        if not sealing.exists():
            sealed.make_key(sealing)
        with root.open("rb") as file:
            content = file.read(_LONGEST_ROOT)
        new = publishers.NewPublisher(
            place,
            content,
            recipient,
            publishers_list,
            ListKind(kind),
            checked_text("--list", list_name) or name,
            None if ca_file is None else str(ca_file.absolute()),
        )
        digest = fingerprint_of(content)
        add = partial(publishers.add_publisher, where, new, identity=_identity(), key=sealing)
        trusted("pinned", name, add, home=home, digest=digest)
    typer.echo(
        f"{plain(name)}: the root is pinned. Now two people, each for themselves, have the publisher read its "
        f"fingerprint over the telephone, and type it: `havenline exchange confirm-publisher {plain(name)}`"
    )


def confirm_publisher(
    name: Name,
    by: Annotated[str, typer.Option("--by", envvar="HAVENLINE_PERSON", help="Who heard it.")],
    fingerprint: Annotated[
        str | None, typer.Option("--fingerprint", metavar="HEX", help="What was read.", show_default="asked for")
    ] = None,
    folder: Folder = None,
    home: opening.HomeOption = None,
) -> None:
    """Type the fingerprint that a publisher read over the telephone. Two different people must.

    Where there is a desk, both are its people: one who may propose a partner's key, one who may agree to it.
    """
    from havenline.connectors.havenline.pinned import hear, heard_by

    where = exchange_folder(folder, name)
    if opening.has_desk(home):
        with opening.desk(opening.existing_home(home)):
            from havenline_desk import gates

            names = [*(each for each in heard_by(where) if each != by), by]
            people = [opening.person_named(each) for each in names]
            gates.require_among(people, gates.Act.ENROL_PARTNER_KEY, at=now())
    said = fingerprint or typer.prompt("Fingerprint, 64 signs")
    with faults_told(where):
        hears = partial(hear, where, person=by, fingerprint=said, at=now())
        heard = trusted("heard", name, hears, home=home, by=by)
    rest = "one more person must hear it" if heard < 2 else f"fetch with `havenline exchange fetch {plain(name)}`"
    typer.echo(f"{plain(name)}: {plain(by)} heard the fingerprint {fours(''.join(said.lower().split()))}; {rest}")


def revoke_publisher(name: Name, folder: Folder = None, home: opening.HomeOption = None) -> None:
    """Trust a publisher no more, for good: its list is emptied at once, and it is asked no more."""
    say_if_compiling()
    with opened_exchange(folder, name) as opened:
        gone = opened.revoke(at=now(), threads=all_cores())
    trusted("revoked", name, lambda: None, home=home)  # recorded last: it holds whether or not the desk can be opened
    typer.echo(f"{plain(name)}: revoked; {gone:,} entries are in no list any more")


def gossip(
    name: Name,
    compare: Annotated[
        Path | None, typer.Option("--compare", metavar="FILE", help="Lines of another recipient, to compare.")
    ] = None,
    folder: Folder = None,
) -> None:
    """Print which root each edition had, for another recipient to compare; or compare what another one printed."""
    from havenline.connectors import publishers

    where = exchange_folder(folder, name)
    with faults_told(where):
        if compare is None:
            for line in publishers.gossip(where):
                typer.echo(line)
            return
        both = publishers.compare_gossip(where, compare.read_text("ascii", "replace").splitlines(), at=now())
    typer.echo(f"{plain(name)}: {both:,} editions that both saw, and each was the same")


def _identity() -> Path:
    return home_folder() / "exchange.identity"


COMMANDS: Mapping[str, Callable[..., None]] = MappingProxyType(
    {
        "identity": identity,
        "add-publisher": add_publisher,
        "confirm-publisher": confirm_publisher,
        "revoke-publisher": revoke_publisher,
        "gossip": gossip,
    }
)
"""Commands of `havenline exchange`, by their names."""
