"""`havenline decoderd`: the process that opens hostile pictures for the desk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from havenline_cli.matchd import group_named, users_named
from havenline_cli.told import all_cores, plain, say_if_compiling

HELP = (
    "Open pictures for the desk over a Unix socket, each in a throw-away process, until told to end.\n\n"
    "Such a process has no files, no network, 1 GiB and 10 seconds, and cannot start anything; out come pixels, hashes "
    "or a named reason. Where the machine cannot close a process off, nothing is opened and this says why."
)


def decoderd(
    socket: Annotated[Path, typer.Option(metavar="SOCKET", help="Where to answer; at most 100 bytes.")],
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="USER", help="A system user, by name or number, who may ask.", show_default="its own"),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(metavar="GROUP", help="A system group that may reach SOCKET.", show_default="its user alone"),
    ] = None,
    at_once: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=64, help="Files at once.", show_default="all cores")
    ] = None,
) -> None:
    """Run the command; `HELP` is what it tells."""
    from havenline_guard.decoderd import Settings, serve

    settings = Settings(
        socket,
        users=users_named(allow, "--allow"),
        group=None if group is None else group_named(group),
        at_once=at_once or all_cores(),
    )
    say_if_compiling()
    serve(settings, say=lambda text: typer.echo(f"havenline decoderd: {plain(text)}", err=True))
