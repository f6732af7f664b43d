"""`havenline match-api`: the match service for programs, in server processes of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from . import desk as opening

HELP = (
    "Answer programs over HTTP whether what they hold is listed, until told to end.\n\n"
    "Only on loopback or a Unix socket; for outside callers a proxy of the house that does TLS stands before it. It "
    "serves no page of the staff desk. Needs a matchd (HAVENLINE_MATCHD), and a key for each program "
    "(`havenline api-key make`)."
)
DOORS = ("match", "hma")


def match_api(
    port: Annotated[int, typer.Option(min=0, max=65535, help="On 127.0.0.1; 0 lets the system choose one.")] = 8340,
    socket: Annotated[
        Path | None, typer.Option(metavar="SOCKET", help="A Unix socket in place of a port, for its user and group.")
    ] = None,
    door: Annotated[
        str, typer.Option(help="match, or hma: the interface of Hasher-Matcher-Actioner, for programs of this house.")
    ] = "match",
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1,
    home: opening.HomeOption = None,
) -> None:
    """Run the command; `HELP` is what it tells."""
    opening.one_of(door, DOORS, "--door")
    if not os.environ.get("HAVENLINE_MATCHD"):
        raise opening.CommandError("name the socket of a matchd with HAVENLINE_MATCHD: its lists are looked up in")
    behind_a_proxy = os.environ.get("HAVENLINE_TRUSTED_PROXIES", "0") != "0"
    if os.environ.get("HAVENLINE_MATCH_NO_DELAY") == "1" and behind_a_proxy:
        raise opening.CommandError("HAVENLINE_MATCH_NO_DELAY is for programs on this machine; a proxy stands before it")
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.sites import server

        if socket is not None:
            listen, told = ("--uds", str(socket.absolute()), "--uds-permissions", "660"), str(socket)
        else:
            chosen = port or server.free_port(0)  # callers know the port: another would be no use
            listen, told = ("--host", server.LOOPBACK, "--port", str(chosen)), f"http://{server.LOOPBACK}:{chosen}"
        command = server.match_api_command(
            listen, workers=workers, application="havenline_cli.match_api_app:application"
        )
        typer.echo(f"The match service answers at {told}", err=True)
        code = server.run(
            command,
            more={
                "HAVENLINE_MATCH_DOOR": door,
                "DJANGO_SETTINGS_MODULE": "havenline_desk.sites.match_api_settings",
            },
        )
    if code:
        raise opening.CommandError(f"the match service ended by itself ({code}); its log says why")
