"""`havenline api-key`: the credentials of programs that ask the match service."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from . import desk as opening
from .partner import partner_named
from .told import now, plain

app = typer.Typer(help="Keys of programs that ask the match service.", no_args_is_help=True)
_SCOPES = ("match:one_bit", "match:staff", "hma")


@app.command("make")
def make(
    name: Annotated[str, typer.Argument(help="Of the key: lower-case letters, digits, hyphens.")],
    by: opening.ByOption,
    scope: Annotated[str, typer.Option(help="match:one_bit, match:staff or hma.")] = "match:one_bit",
    partner: Annotated[
        str | None, typer.Option(help="Short name of the enrolled partner whose program it is; else of this house.")
    ] = None,
    hash_list: Annotated[
        list[str] | None,
        typer.Option("--list", metavar="LIST", help="A list it is looked up in, by its name in matchd."),
    ] = None,
    per_minute: Annotated[int, typer.Option(min=1, help="Items in a minute.")] = 600,
    per_day: Annotated[int, typer.Option(min=1, help="Items in a day.")] = 50_000,
    probe_limit: Annotated[
        int, typer.Option(min=20, max=1000, help="Different values close to one another, in a day, that freeze it.")
    ] = 20,
    home: opening.HomeOption = None,
) -> None:
    """Make a key and print its secret, once; a partner's follows its subscriptions at the door `match`."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_api_keys import make_api_key
        from havenline_desk.models import KeyScope

        whose = None if partner is None else partner_named(partner)
        _, secret = make_api_key(
            name,
            KeyScope(opening.one_of(scope, _SCOPES, "--scope")),
            partner=whose,
            lists=hash_list or (),
            per_minute=per_minute,
            per_day=per_day,
            probe_limit=probe_limit,
            made_by=opening.person_named(by),
            at=now(),
        )
    typer.echo(f"The key {name}, shown this once: {secret}")


@app.command("end")
def end(
    name: Annotated[str, typer.Argument(help="Of the key.")], by: opening.ByOption, home: opening.HomeOption = None
) -> None:
    """End a key for good; servers refuse it within a minute."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_api_keys import end_api_key
        from havenline_desk.queries.api_keys import key_named

        key = key_named(name)
        if key is None:
            raise opening.CommandError(f"there is no key {name}; see `havenline api-key list`")
        end_api_key(key, ended_by=opening.person_named(by), at=now())
    typer.echo(f"the key {name} has ended.")


@app.command("list")
def list_keys(as_json: opening.JsonOption = False, home: opening.HomeOption = None) -> None:
    """List the keys: whose, for what, their quotas, and whether they have ended."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.queries.api_keys import every_key

        rows = [
            {
                "name": key.name,
                "scope": key.scope,
                "partner": None if key.partner is None else key.partner.slug,
                "lists": key.lists,
                "per_minute": key.per_minute,
                "per_day": key.per_day,
                "ended": key.ending or None,
            }
            for key in every_key()
        ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        whose = f"of {row['partner']}" if row["partner"] else f"of this house, {len(row['lists'])} lists"
        typer.echo(
            f"{row['name']:<24} {row['scope']:<14} {plain(whose)}, {row['per_minute']:,} a minute, "
            f"{row['per_day']:,} a day{', ' + row['ended'] if row['ended'] else ''}"
        )


@app.command("alarms")
def alarms(home: opening.HomeOption = None) -> None:
    """List the open alarms of the match service, the newest first; 1 where there are any. A page closes them."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.queries.match_alarms import open_alarms

        lines = [
            f"{alarm.raised_at:%Y-%m-%d %H:%M} UTC  {alarm.key or alarm.endpoint}: {alarm.get_kind_display()}"
            + (
                f"; it stands in the copy of {alarm.list} that {alarm.recipient.slug} was given"
                if alarm.recipient is not None
                else ""
            )
            for alarm in open_alarms()
        ]
    for line in lines:
        typer.echo(plain(line))
    if lines:
        raise typer.Exit(1)
