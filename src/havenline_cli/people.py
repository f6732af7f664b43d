"""`havenline person`: who works here."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Annotated

import typer

from . import desk as opening
from .told import now

person = typer.Typer(help="Enrol staff, give roles, record certificates.", no_args_is_help=True)
SECRET_LASTS = dt.timedelta(days=7)


@person.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Sign-in name: lower-case letters, digits, hyphens.")],
    role: Annotated[
        list[str] | None,
        typer.Option("--role", help="A role; repeat for several. After installation: `havenline proposal role`."),
    ] = None,
    home: opening.HomeOption = None,
) -> None:
    """Enrol a person and print a one-time secret; with it they set up their passkey, within seven days."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.enrol_person import enrol_person
        from havenline_desk.models import Role

        unknown = [word for word in role or () if word not in Role.values]
        if unknown:
            raise opening.CommandError(f"{unknown[0]} is not a role; the roles are {', '.join(Role.values)}")
        secret, at = secrets.token_urlsafe(15), now()
        enrol_person(
            name, password=secret, roles=tuple(Role(word) for word in role or ()), secret_until=at + SECRET_LASTS, at=at
        )
    typer.echo(f"{name} is enrolled. {_told(secret)}")


@person.command("renew")
def renew(
    name: Annotated[str, typer.Argument(help="Who has not signed in yet, or whose factors are reset.")],
    home: opening.HomeOption = None,
) -> None:
    """Print a new one-time secret for somebody who never set up a factor, or whose factors two people reset."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.enrol_person import renew_enrolment

        secret, at = secrets.token_urlsafe(15), now()
        renew_enrolment(opening.person_named(name), password=secret, secret_until=at + SECRET_LASTS, at=at)
    typer.echo(f"{name} may set up a factor. {_told(secret)}")


@person.command("close")
def close(name: Annotated[str, typer.Argument(help="Who leaves.")], home: opening.HomeOption = None) -> None:
    """Close an account and end its sessions at once; what it did stays recorded."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.enrol_person import close_person

        close_person(opening.person_named(name), at=now())
    typer.echo(f"the account of {name} is closed.")


@person.command("take-role")
def take_role(
    name: Annotated[str, typer.Argument(help="Whose role it is.")],
    role: Annotated[str, typer.Argument(help="The role.")],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Take a role away and end the person's sessions at once; giving one is `havenline proposal role`."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.take_role_away import take_role_away
        from havenline_desk.models import Role

        wanted = Role(opening.one_of(role, Role.values, "ROLE"))
        take_role_away(opening.person_named(name), wanted, said_by=opening.person_named(by), at=now())
    typer.echo(f"{name} is no longer {wanted.label}.")


@person.command("link")
def link(
    name: Annotated[str, typer.Argument(help="Who is enrolled here.")],
    subject: Annotated[str, typer.Option(help="The `sub` of their account at the OpenID Connect provider.")],
    home: opening.HomeOption = None,
) -> None:
    """Let an account of the organisation's provider stand in for this person's password."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.link_account import link_account

        link_account(opening.person_named(name), subject, at=now())
    typer.echo(f"{name} may sign in with that account and a second factor.")


@person.command("unlink")
def unlink(name: Annotated[str, typer.Argument(help="Who is enrolled here.")], home: opening.HomeOption = None) -> None:
    """Take every linked account away from a person and end their sessions."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.link_account import unlink_accounts

        number = unlink_accounts(opening.person_named(name), at=now())
    typer.echo(f"{number} account{'' if number == 1 else 's'} of {name} unlinked.")


def _told(secret: str) -> str:
    return f"One-time secret, shown this once and good for {SECRET_LASTS.days} days: {secret}"


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


@person.command("budget")
def budget(
    name: Annotated[str, typer.Argument(help="Whose budget it is.")],
    by: opening.ByOption,
    per_hour: Annotated[int | None, typer.Option(min=0, help="Views in any hour.")] = None,
    per_day: Annotated[int | None, typer.Option(min=0, help="Views in any day.")] = None,
    per_week: Annotated[int | None, typer.Option(min=0, help="Views in any seven days.")] = None,
    minutes: Annotated[int | None, typer.Option(min=0, help="Minutes without a pause of 15 minutes.")] = None,
    home: opening.HomeOption = None,
) -> None:
    """Lower how much a person may open; giving and raising it is `havenline proposal budget`. Escalation needs none."""
    with opening.desk(opening.existing_home(home)):
        from dataclasses import replace

        from havenline_desk.actions.set_budget import USUAL, set_budget
        from havenline_desk.keys import keyd

        whose, client = opening.person_named(name), keyd()
        before = client.exposed(whose.audit_id.hex)[1] if client is not None else None
        said = {"per_hour": per_hour, "per_day": per_day, "per_week": per_week, "minutes": minutes}
        wanted = replace(before or USUAL, **{key: value for key, value in said.items() if value is not None})
        set_budget(whose, wanted, set_by=opening.person_named(by), at=now())
    typer.echo(
        f"{name} may open {wanted.per_hour} in an hour, {wanted.per_day} in a day, {wanted.per_week} in a week, "
        f"{wanted.minutes} minutes without a pause."
    )


@person.command("list")
def list_people(home: opening.HomeOption = None) -> None:
    """List who is enrolled, with roles, certificates, and how many people stand behind each role."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk import gates
        from havenline_desk.models import Person
        from havenline_desk.queries.quorums import role_lines

        at = now()
        for each in Person.objects.order_by("name"):
            roles = ", ".join(sorted(role.label for role in gates.roles_of(each, at=at))) or "no role in force"
            certificate = "certified" if gates.certified(each, at=at) else "no certificate in date"
            typer.echo(f"{each.name:24} {roles:32} {certificate}")
            for role, quorum in role_lines(each):
                typer.echo(f"{'':24} {role.label}: {quorum or 'no quorum recorded'}")
