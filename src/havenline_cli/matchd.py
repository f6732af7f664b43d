"""`havenline matchd`: the process that holds hash lists; `havenline matchd-status`: how it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from havenline_cli.options import AsJson
from havenline_cli.told import all_cores, plain

HELP = (
    "Hold hash lists and answer lookups over a Unix socket, until told to end.\n\n"
    "It has no network, cannot start programs, and cannot be read by other processes of its user. Lookups go to "
    "SOCKET, changes to SOCKET.change. Only system users that are named may ask or change; without any, its own user."
)


def matchd(
    lists: Annotated[
        list[Path], typer.Argument(metavar="LISTS", help="A folder of live lists, or one or more snapshot files.")
    ],
    socket: Annotated[Path, typer.Option(metavar="SOCKET", help="Where to answer; at most 100 bytes.")],
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=256, help="Processes that answer.", show_default="all cores")
    ] = None,
    allow_lookup: Annotated[
        list[str] | None,
        typer.Option(metavar="USER", help="A system user, by name or number, who may look up.", show_default="its own"),
    ] = None,
    allow_change: Annotated[
        list[str] | None,
        typer.Option(metavar="USER", help="A system user who may change lists.", show_default="its own"),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(metavar="GROUP", help="A system group that may reach SOCKET.", show_default="its user alone"),
    ] = None,
    fold_after: Annotated[
        int, typer.Option(metavar="N", min=1, help="Put changes into a new snapshot when there are so many.")
    ] = 4096,
    fold_age: Annotated[
        float, typer.Option(metavar="SECONDS", min=1.0, help="Or when the first of them is so old.")
    ] = 3600.0,
) -> None:
    """Run the command; `HELP` is what it tells."""
    from havenline_guard.matchd import Settings, serve

    settings = Settings(
        socket,
        workers or all_cores(),
        lookup=users_named(allow_lookup, "--allow-lookup"),
        change=users_named(allow_change, "--allow-change"),
        group=None if group is None else group_named(group),
        fold_after=fold_after,
        fold_age=fold_age,
    )
    serve(lists, settings, say=lambda text: typer.echo(f"havenline matchd: {plain(text)}", err=True))


def status(
    socket: Annotated[Path, typer.Argument(metavar="SOCKET", help="The socket for lookups.")],
    as_json: AsJson = False,
    prometheus: Annotated[
        bool, typer.Option("--prometheus", metavar="", help="Print all numbers in Prometheus's text form.")
    ] = False,
) -> None:
    """How a matchd is: processes, generation, entries, changes that wait, lookups and how long they took."""
    from havenline_guard.client import MatchClient

    with MatchClient(socket, timeout=10.0) as client:
        if prometheus:
            typer.echo(client.metrics(), nl=False)
            return
        told = client.health()
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    mean = told["lookup_seconds_sum"] / max(1, told["lookups_total"]) * 1e6
    typer.echo(f"processes  {told['workers_alive']} of {told['workers']} answer; {told['restarts_total']:,} restarts")
    typer.echo(
        f"locked     {'system calls are filtered' if told['calls_filtered'] else 'system calls are NOT filtered'}"
    )
    typer.echo(
        f"lists      {told['editions']:,} editions, {told['entries']:,} entries, generation {told['generation']}"
    )
    typer.echo(f"changes    {told['changes_total']:,} made, {told['changes_pending']:,} not folded yet")
    typer.echo(f"lookups    {told['lookups_total']:,} for {told['questions_total']:,} files, {mean:,.0f} us each")
    typer.echo(f"refused    {told['refused_total']:,}, of them malformed {told['malformed_total']:,}")


def users_named(names: list[str] | None, option: str) -> frozenset[int]:
    """The numbers of system users; without any, of who runs this. Raises typer.BadParameter."""
    import os
    import pwd

    if not names:
        return frozenset({os.geteuid()})
    try:
        return frozenset(int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid for name in names)
    except KeyError as error:
        raise typer.BadParameter(str(error.args[0]), param_hint=option) from None


def group_named(name: str) -> int:
    """The number of a system group. Raises typer.BadParameter."""
    import grp

    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise typer.BadParameter(str(error.args[0]), param_hint="--group") from None
