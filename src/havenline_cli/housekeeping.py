"""What `havenline up` does by itself while the desk is open: held submissions each minute, retention each hour."""

from __future__ import annotations

from collections.abc import Callable

import typer

from .retention import stopped_line
from .told import now

_MINUTES = 60


def keep_house(minute: int) -> None:
    """What is to be done in the `minute`th minute, from 1; what fails is told, and tried again when it is due again."""
    _told(_record_due)
    if minute % _MINUTES == 1:
        _told(_run_sealer)


def _told(do: Callable[[], None]) -> None:
    from django.db import DatabaseError, close_old_connections

    from havenline.vocabulary import HavenlineError

    close_old_connections()
    try:
        do()
    except (HavenlineError, DatabaseError) as error:
        typer.echo(f"havenline: {error}", err=True)


def _record_due() -> None:
    from havenline_desk.actions.hold_submission import record_due

    record_due(at=now())


def _run_sealer() -> None:
    from havenline_desk.actions.run_sealer import run_sealer
    from havenline_desk.keys import keyd
    from havenline_desk.queries.retention import kept_facts

    if keyd() is None:
        return  # nothing is sealed here
    facts = kept_facts()
    done = run_sealer(facts, at=now())
    if done.stopped:
        typer.echo(f"havenline: {stopped_line(len(done.due), len(facts))}", err=True)
    if done.destroyed:
        typer.echo(f"havenline: {len(done.destroyed):,} kept objects were destroyed: their time had come", err=True)
    if done.refused:
        typer.echo(f"havenline: {len(done.refused):,} due objects were kept: the key process would not", err=True)
