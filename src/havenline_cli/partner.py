"""`havenline partner`: who may be given lists of this house, by which door; two people enrol, one suspends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from . import desk as opening
from . import exits
from .proposal import propose_act
from .release import house_list_named
from .told import now, plain

if TYPE_CHECKING:
    from havenline_desk.models import Partner

app = typer.Typer(
    help="Partners that may be given lists of this house. Every door is shut until somebody opens it.",
    no_args_is_help=True,
    epilog=exits.EPILOG,
)
PartnerArgument = Annotated[str, typer.Argument(metavar="PARTNER", help="Its short name.")]
ListArgument = Annotated[str, typer.Argument(metavar="LIST", help="A list of this house.")]
DoorArgument = Annotated[str, typer.Argument(metavar="DOOR", help="exchange, ncmec or match.")]


@app.command("enrol")
def enrol(
    partner: PartnerArgument,
    recipient: Annotated[str, typer.Argument(metavar="KEY", help="Its public key of age: age1…, read over the phone.")],
    name: Annotated[str, typer.Option("--name", help="What it is called.")],
    purpose: Annotated[str, typer.Option("--purpose", help="What it is given lists for, by which agreement.")],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Propose to enrol a key of a partner, and with the first the partner. A new key ends a suspension."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_partners import check_partner

        check_partner(partner, recipient)
        what = {"partner": partner, "name": name.strip(), "purpose": purpose.strip(), "recipient": recipient}
        propose_act("enrol_partner_key", what, by=by)


@app.command("list")
def list_partners(home: opening.HomeOption = None, as_json: opening.JsonOption = False) -> None:
    """Partners, whether they are suspended, and what is open to each by which door."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.queries.release_lines import partner_lines

        lines = partner_lines()
    if as_json:
        said = [
            {"partner": line.slug, "name": line.name, "suspended": line.suspended_at is not None}
            | {"recipient": line.recipient, "open": [list(each) for each in line.open]}
            for line in lines
        ]
        typer.echo(json.dumps(said, ensure_ascii=False))
        return
    if not lines:
        typer.echo("No partner is enrolled.")
    for line in lines:
        typer.echo(f"{line.slug}  {plain(line.name)}{'  SUSPENDED' if line.suspended_at else ''}")
        typer.echo(f"  key {line.recipient}")
        for name, door in line.open:
            typer.echo(f"  gets {name} by {door}")


@app.command("open")
def open_door(
    partner: PartnerArgument,
    list_: ListArgument,
    door: DoorArgument,
    by: opening.ByOption,
    opted_in: Annotated[
        bool,
        typer.Option("--opted-in", help="The partner has asked for this list by name; needed for all but csam."),
    ] = False,
    home: opening.HomeOption = None,
) -> None:
    """Let a partner get a list by one door, with canaries of its own."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_partners import subscribe_partner
        from havenline_desk.models import Door

        opening.one_of(door, Door.values, "DOOR")
        subscribe_partner(
            partner_named(partner),
            house_list_named(list_),
            Door(door),
            opted_in_by_name=opted_in,
            by=opening.person_named(by),
            at=now(),
        )
    typer.echo(f"{list_} is open to {partner} by {door}.")


@app.command("close")
def close_door(
    partner: PartnerArgument,
    list_: ListArgument,
    door: DoorArgument,
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Let a partner get a list by one door no longer. What it has, it has: withdraw entries where need be."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_partners import end_subscription
        from havenline_desk.models import Subscription

        found = Subscription.objects.filter(
            partner=partner_named(partner), list=house_list_named(list_), door=door, ended_at=None
        ).first()
        if found is None:
            raise opening.CommandError(f"{plain(list_)} is not open to {plain(partner)} by {plain(door)}")
        end_subscription(found, by=opening.person_named(by), at=now())
    typer.echo("Closed.")


@app.command("suspend")
def suspend(partner: PartnerArgument, by: opening.ByOption, home: opening.HomeOption = None) -> None:
    """Let nothing go to a partner by any door from now on, until two people enrol a new key of it."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_partners import suspend_partner

        suspend_partner(partner_named(partner), by=opening.person_named(by), at=now())
    typer.echo(f"{partner} is suspended.")


def partner_named(slug: str) -> Partner:
    """The partner of that short name. Raises CommandError where none is enrolled under it."""
    from havenline_desk.queries import releases

    found = releases.partner_named(slug)
    if found is None:
        raise opening.CommandError(f"no partner {plain(slug)} is enrolled; see `havenline partner list`")
    return found
