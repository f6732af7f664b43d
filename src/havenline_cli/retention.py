"""`havenline retention`, `hold` and `scrub`: destroy what is due, keep what is held, look at what is kept."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from . import desk as opening
from . import exits
from .told import now, plain

retention = typer.Typer(help="Destroy kept content whose time has come.", no_args_is_help=True)
hold = typer.Typer(help="Hold kept content, so that nothing destroys it.", no_args_is_help=True)


@retention.command("run", epilog=exits.EPILOG)
def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be destroyed.")] = False,
    looked_at: Annotated[
        bool, typer.Option("--looked-at", help="A person has looked at why so much is due: destroy it.")
    ] = False,
    home: opening.HomeOption = None,
) -> None:
    """Destroy what is due, for good: its key, then its sealed bytes. Records of it stay."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.run_sealer import run_sealer
        from havenline_desk.queries.retention import kept_facts

        facts = kept_facts()
        done = run_sealer(facts, at=now(), dry=dry_run, looked_at=looked_at)
    if dry_run:
        for name in done.due:
            typer.echo(f"{name}  {facts[name].retention_class.id}")
        typer.echo(f"{len(done.due):,} of {len(facts):,} kept objects are due; nothing was destroyed.")
        return
    if done.stopped:
        raise opening.CommandError(stopped_line(len(done.due), len(facts)))
    typer.echo(f"{len(done.destroyed):,} of {len(facts):,} kept objects were destroyed.")
    for name in done.refused:
        typer.echo(f"havenline: {name} was kept: the key process holds it, or would not destroy it", err=True)
    if done.refused:
        raise typer.Exit(exits.SOMETHING_REFUSED)


@retention.command("status")
def status(home: opening.HomeOption = None, as_json: opening.JsonOption = False) -> None:
    """How many kept objects wait, are held, are kept for their time or are due; how many were destroyed."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.queries.retention import retention_status

        found = retention_status(at=now())
    if as_json:
        said = {each.value: count for each, count in found.standing.items()}
        next_due = found.next_due_at.isoformat() if found.next_due_at is not None else None
        typer.echo(json.dumps(said | {"destroyed": found.destroyed, "next_due_at": next_due, "stops": found.stops}))
        return
    for each, count in found.standing.items():
        typer.echo(f"  {each.value:<10} {count:>11,}")
    typer.echo(f"  {'destroyed':<10} {found.destroyed:>11,}")
    if found.next_due_at is not None:
        typer.echo(f"  the next is due {found.next_due_at:%Y-%m-%d %H:%M} UTC")
    if found.stops:
        typer.echo("  TOO MUCH IS DUE AT ONCE: nothing is destroyed until somebody has looked")


def stopped_line(due: int, kept: int) -> str:
    return (
        f"ALARM: {due:,} of {kept:,} kept objects are due at once, so nothing was destroyed. Look at the clock and at "
        "`havenline retention run --dry-run`; where it is right: `havenline retention run --looked-at`"
    )


@hold.command("place")
def place(
    name: Annotated[str, typer.Argument(help="Random name of the kept object, or SHA-256 of its file.")],
    reference: Annotated[str, typer.Option(help="Under which reference it is held, for example of a court.")],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Hold kept content. One person is enough; `havenline proposal release-hold` takes two."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.place_hold import place_hold
        from havenline_desk.queries.retention import stored_named

        stored = stored_named(name)
        if stored is None:
            raise opening.CommandError(f"nothing is kept here as {plain(name)}")
        place_hold(stored, reference, placed_by=opening.person_named(by), at=now())
    typer.echo(f"{stored.object_name} is held under {plain(reference)}.")


@hold.command("list")
def list_holds(home: opening.HomeOption = None) -> None:
    """The holds that stand."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.queries.retention import hold_lines

        lines = hold_lines()
    for line in lines:
        typer.echo(
            f"{line.object_name}  {plain(line.reference)}  by {line.placed_by}, {line.placed_at:%Y-%m-%d %H:%M} UTC"
        )
        typer.echo(f"  SHA-256 {line.sha256}")
    if not lines:
        typer.echo("Nothing is held.")


def scrub(
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Then take away what no record names, such as remains of a killed import.")
    ] = False,
    home: opening.HomeOption = None,
) -> None:
    """Read every kept object and compare it with its digest; needs no key, opens nothing.

    Ends with code 1 where an object is damaged or missing; each is named.
    """
    with opening.desk(opening.existing_home(home)):
        from havenline_desk import evidence
        from havenline_desk.actions.raise_alarm import note_scrub

        found = evidence.scrub()
        wrong = len(found.damaged) + len(found.missing)
        note_scrub(wrong=wrong, of=found.whole + wrong, at=now())
        swept = evidence.sweep() if sweep else 0
    for word, names in (("damaged", found.damaged), ("missing", found.missing), ("unnamed", found.unnamed)):
        for name in names:
            typer.echo(f"{word}  {name}")
    typer.echo(
        f"{found.whole:,} whole, {len(found.damaged):,} damaged, {len(found.missing):,} missing, "
        f"{len(found.unnamed):,} named by no record{f', {swept:,} taken away' if sweep else ''}"
    )
    if wrong:
        raise opening.CommandError("kept content is damaged or missing: bring it back from a backup; see above")
