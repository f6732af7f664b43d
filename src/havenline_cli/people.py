"""`havenline person`: who works here."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Annotated

import typer

from . import desk as opening
from .told import now

person = typer.Typer(help="Enrol staff, give roles, record certificates.", no_args_is_help=True)


@person.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Sign-in name: lower-case letters, digits, hyphens.")],
    role: Annotated[list[str], typer.Option("--role", help="A role; repeat for several. A wrong one lists them all.")],
    home: opening.HomeOption = None,
) -> None:
    """Enrol a person and print the generated password once; it is stored nowhere."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.enrol_person import enrol_person
        from havenline_desk.models import Role

        unknown = [word for word in role if word not in Role.values]
        if unknown:
            raise opening.CommandError(f"{unknown[0]} is not a role; the roles are {', '.join(Role.values)}")
        password = secrets.token_urlsafe(15)
        enrol_person(name, password=password, roles=tuple(Role(word) for word in role), at=now())
    typer.echo(f"{name} is enrolled. Password, shown this once: {password}")


@person.command("certify")
def certify(
    name: Annotated[str, typer.Argument(help="Who has passed training and calibration.")],
    until: Annotated[dt.datetime, typer.Option(formats=["%Y-%m-%d"], help="Last day of the certificate.")],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Record a certificate; without one in date nothing is assigned to a person."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.enrol_person import certify_person

        end = until.replace(tzinfo=dt.UTC) + dt.timedelta(days=1)
        certify_person(opening.person_named(name), until=end, issued_by=opening.person_named(by), at=now())
    typer.echo(f"{name} is certified until {until:%Y-%m-%d}.")


@person.command("list")
def list_people(home: opening.HomeOption = None) -> None:
    """List who is enrolled, with roles and certificates."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk import gates
        from havenline_desk.models import Person

        at = now()
        for each in Person.objects.order_by("name"):
            roles = ", ".join(sorted(role.label for role in gates.roles_of(each, at=at))) or "no role in force"
            certificate = "certified" if gates.certified(each, at=at) else "no certificate in date"
            typer.echo(f"{each.name:24} {roles:32} {certificate}")
