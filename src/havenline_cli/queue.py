"""`havenline queue` and `havenline escalation`: what is urgent, who is in which pool, whom to telephone."""

from __future__ import annotations

from typing import Annotated

import typer

from . import desk as opening
from .told import now

queue = typer.Typer(help="Say what is urgent, and keep pools of people.", no_args_is_help=True)
escalation = typer.Typer(help="Declare whom to telephone when a child may be in danger.", no_args_is_help=True)

PoolArgument = Annotated[str, typer.Argument(help="Name of the pool: lower-case letters, digits, hyphens.")]
PersonArgument = Annotated[str, typer.Argument(help="Sign-in name of the person.")]


@queue.command("urgency")
def urgency(
    reference: Annotated[str, typer.Argument(help="Reference of the investigation.")],
    level: Annotated[str, typer.Argument(help="ordinary, soon or first.")],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Say how urgent an investigation is; its open assignments move in the queue at once."""
    from havenline.judgement import Urgency

    opening.one_of(level, list(Urgency), "level")
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.set_urgency import set_urgency

        investigation = opening.investigation_named(reference)
        set_urgency(investigation, Urgency(level), set_by=opening.person_named(by), at=now())
    typer.echo(f"{reference} is now {level}.")


@queue.command("pool")
def pool(
    name: PoolArgument,
    kind: Annotated[str, typer.Option(help="language, specialist, or blind: no two of it assess one stack.")],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Make a pool."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_pools import make_pool
        from havenline_desk.models import PoolKind

        opening.one_of(kind, PoolKind.values, "--kind")
        make_pool(name, PoolKind(kind), made_by=opening.person_named(by), at=now())
    typer.echo(f"There is a pool {name} now. Put people into it with `havenline queue join {name} PERSON`.")


@queue.command("join")
def join(name: PoolArgument, person: PersonArgument, by: opening.ByOption, home: opening.HomeOption = None) -> None:
    """Put a person into a pool."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_pools import join_pool, pool_named

        said_by = opening.person_named(by)
        join_pool(pool_named(name), opening.person_named(person), said_by=said_by, at=now())
    typer.echo(f"{person} is in {name}.")


@queue.command("leave")
def leave(name: PoolArgument, person: PersonArgument, by: opening.ByOption, home: opening.HomeOption = None) -> None:
    """Take a person out of a pool."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_pools import leave_pool, pool_named

        said_by = opening.person_named(by)
        leave_pool(pool_named(name), opening.person_named(person), said_by=said_by, at=now())
    typer.echo(f"{person} is not in {name}.")


@escalation.command("contact")
def contact(
    place: Annotated[int, typer.Argument(help="1 is telephoned first, 2 where the first does not answer.")],
    duty: Annotated[str, typer.Argument(help="The duty in words, not a name: for example 'duty lead'.")],
    telephone: Annotated[str, typer.Argument(help="The number as it is dialled.")],
    by: opening.ByOption,
    note: Annotated[str, typer.Option(help="One line beside it, for example when it is answered.")] = "",
    home: opening.HomeOption = None,
) -> None:
    """Declare whom to telephone; the newest declaration of a place counts."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.escalate import declare_contact

        said_by = opening.person_named(by)
        declare_contact(place, duty=duty, telephone=telephone, note=note, declared_by=said_by, at=now())
    typer.echo(f"Contact {place}: {duty}, {telephone}.")
