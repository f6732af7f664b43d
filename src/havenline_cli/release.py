"""`havenline release`: lists of this house. Confirmed files onto them by two people, off them by one."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from . import desk as opening
from . import exits
from .proposal import told_proposal
from .told import now, plain

if TYPE_CHECKING:
    from havenline_desk.models import HouseList

app = typer.Typer(
    help="Lists of this house: release what two blind assessments confirmed, publish editions, withdraw.",
    no_args_is_help=True,
    epilog=exits.EPILOG,
)
ListArgument = Annotated[str, typer.Argument(metavar="LIST", help="The list, as `havenline release status` shows it.")]


@app.command("open")
def open_list(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters, digits, hyphens.")],
    kind: Annotated[str, typer.Argument(metavar="KIND", help="csam, prohibited or nationally_illegal.")],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Open a list of one kind. Nothing is on it, and it goes to nobody."""
    with opening.desk(opening.existing_home(home)):
        from havenline.formats.edition import ListKind
        from havenline_desk.actions.release_entries import open_house_list

        opening.one_of(kind, [each.value for each in ListKind], "KIND")
        opened = open_house_list(name, ListKind(kind), by=opening.person_named(by), at=now())
    typer.echo(f"{opened.name} is open; nothing is on it, and it goes to nobody.")


@app.command("status")
def status(home: opening.HomeOption = None, as_json: opening.JsonOption = False) -> None:
    """Each list: its newest edition, what the next would change, and what confirmed files wait for."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.queries.release_lines import list_lines

        lines = list_lines(at=now())
    if as_json:
        said = [
            {"list": line.name, "kind": line.kind, "edition": line.number, "entries": line.entries}
            | {"to_add": line.to_add, "to_withdraw": line.to_withdraw}
            | {"candidates": {state.value: count for state, count in line.states.items()}}
            for line in lines
        ]
        typer.echo(json.dumps(said))
        return
    if not lines:
        typer.echo("There is no list yet; open one with `havenline release open`.")
    for line in lines:
        made = f"edition {line.number} of {line.made_at:%Y-%m-%d}" if line.made_at else "no edition yet"
        typer.echo(f"{line.name}  {line.kind.replace('_', ' ')}  {made}, {line.entries:,} entries")
        typer.echo(f"  next: {line.to_add:,} to add, {line.to_withdraw:,} to withdraw")
        for state, count in sorted(line.states.items()):
            typer.echo(f"  {state.value.replace('_', ' ')}: {count:,}")


@app.command("police")
def police(
    reference: Annotated[str, typer.Argument(metavar="INVESTIGATION", help="What the answer is about.")],
    answer: Annotated[str, typer.Argument(metavar="ANSWER", help="clear or hold.")],
    said_as: Annotated[str, typer.Option("--reference", help="The reference of the police's answer.")],
    by: opening.ByOption,
    record: Annotated[
        str | None, typer.Option("--record", help="One outcome alone, by the id that its record shows.")
    ] = None,
    home: opening.HomeOption = None,
) -> None:
    """Record what the police said before anything goes out. A hold keeps it waiting until they clear it."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.record_deconfliction import record_deconfliction
        from havenline_desk.models import DeconflictionAnswer, Outcome

        opening.one_of(answer, DeconflictionAnswer.values, "ANSWER")
        investigation = opening.investigation_named(reference)
        outcome = None
        if record is not None:
            outcome = Outcome.objects.filter(investigation=investigation, audit_id=_uuid(record)).first()
            if outcome is None:
                raise opening.CommandError(f"{plain(reference)} has no outcome {plain(record)}; nothing was recorded")
        record_deconfliction(
            investigation,
            DeconflictionAnswer(answer),
            reference=said_as,
            outcome=outcome,
            person=opening.person_named(by),
            at=now(),
        )
    typer.echo("Recorded.")


@app.command("term")
def term(
    days: Annotated[int, typer.Argument(metavar="DAYS", help="1 to 365, from when an outcome was settled.")],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Declare after how many days without an answer of the police a release need not wait; else it always does."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.record_deconfliction import declare_term

        declare_term(days, by=opening.person_named(by), at=now())
    typer.echo(f"From now on {days} days without an answer are enough; a hold still holds.")


@app.command("propose")
def propose(
    list_: ListArgument,
    by: opening.ByOption,
    most: Annotated[int, typer.Option("--most", min=1, max=1000, help="At most so many, the oldest first.")] = 100,
    home: opening.HomeOption = None,
) -> None:
    """Propose to release what is ready onto a list, as one batch; another person looks at it and agrees."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.release_entries import propose_release
        from havenline_desk.models import Outcome
        from havenline_desk.queries.release_lines import ready_outcomes

        person, at, house_list = opening.person_named(by), now(), house_list_named(list_)
        ready = ready_outcomes(house_list, most=most, at=at)
        outcomes = list(Outcome.objects.filter(pk__in=ready))
        told_proposal(propose_release(house_list, outcomes, person=person, at=at), at=at)


@app.command("confirm")
def confirm(
    list_: ListArgument,
    by: opening.ByOption,
    most: Annotated[int, typer.Option("--most", min=1, max=50, help="At most so many, the oldest first.")] = 10,
    home: opening.HomeOption = None,
) -> None:
    """Ask two who never saw it to assess each file without two in agreement; what they agree with may be released."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.ask_for_pair import ask_for_pairs

        opened = ask_for_pairs(house_list_named(list_), most=most, by=opening.person_named(by), at=now())
    typer.echo(f"Asked two others for {opened:,} {'file' if opened == 1 else 'files'}; Start hands them out.")


@app.command("publish")
def publish(list_: ListArgument, by: opening.ByOption, home: opening.HomeOption = None) -> None:
    """Publish the next edition of a list: what is in force now, written down for good, and looked up in from now on."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.publish_edition import publish_edition

        made = publish_edition(house_list_named(list_), person=opening.person_named(by), at=now())
        name = made.list.name
    changed = f"{made.added:,} new, {made.withdrawn:,} withdrawn"
    typer.echo(f"{name} number {made.number}: {made.entries:,} entries, {changed}")
    typer.echo(f"  digest {made.digest}")


@app.command("withdraw")
def withdraw(
    entry: Annotated[str, typer.Argument(metavar="ENTRY", help="Random id of the entry, 32 hexadecimal digits.")],
    reason: Annotated[
        str, typer.Argument(metavar="REASON", help="not_criminal, corrected, wrong_picture, authority, partner, error.")
    ],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Withdraw an entry, at once and for good. One person is enough; releasing it again takes two and another id."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.withdraw_entries import withdraw_entry
        from havenline_desk.models import WithdrawalReason
        from havenline_desk.queries.release_lines import entry_named

        opening.one_of(reason, WithdrawalReason.values, "REASON")
        found = entry_named(entry)
        if found is None:
            raise opening.CommandError(f"there is no released entry {plain(entry)}; nothing was withdrawn")
        at_once = withdraw_entry(found, reason=WithdrawalReason(reason), person=opening.person_named(by), at=now())
    typer.echo("Withdrawn." if at_once else "Withdrawn. The live list does not follow yet: it is tried each minute.")


@app.command("follow")
def follow(
    list_: Annotated[str | None, typer.Option("--list", help="This list alone, from the edition of --number.")] = None,
    number: Annotated[int | None, typer.Option("--number", min=1, help="Read this edition again.")] = None,
    home: opening.HomeOption = None,
) -> None:
    """Let the live lists be what is recorded, also where their folder was lost. What was withdrawn stays withdrawn."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk import editions
        from havenline_desk.actions.withdraw_entries import follow_lists

        if list_ is not None:
            changed = int(editions.bring_up(house_list_named(list_), at=now(), number=number))
        else:
            changed = follow_lists(at=now())
        folder = editions.live_folder()
    typer.echo(f"{plain(str(folder))}: {changed} {'list' if changed == 1 else 'lists'} changed")


def house_list_named(name: str) -> HouseList:
    from havenline_desk.queries.releases import list_named

    found = list_named(name)
    if found is None:
        raise opening.CommandError(f"there is no list {plain(name)}; see `havenline release status`")
    return found


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise opening.CommandError(f"{plain(text)} is no id of a record") from None
