"""`havenline sealer`: the process that does what falls due and nobody's act does."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import typer

from havenline_cli import desk as opening
from havenline_cli.retention import stopped_line
from havenline_cli.told import now, plain

SEAL_EVERY = 60
"""Seconds; docs/formats/audit-log.md, 5."""
_MINUTES = 60


def sealer(home: opening.HomeOption = None) -> None:
    """Sign the end of the audit log and record held submissions each minute; destroy what is due each hour; until told.

    `havenline up` and `demo` start it. What fails is said on stderr, and tried again when it is due again.
    """
    with contextlib.suppress(KeyboardInterrupt), opening.desk(opening.existing_home(home)):
        minute = 0
        while True:
            time.sleep(SEAL_EVERY)
            minute += 1
            keep_house(minute)


def keep_house(minute: int) -> None:
    """Do what is to be done in the `minute`th minute, from 1."""
    _told(_record_due)
    _told(_seal)
    if minute % _MINUTES == 1:
        _told(_run_sealer)


def _told(do: Callable[[], None]) -> None:
    from django.db import DatabaseError, close_old_connections

    from havenline.vocabulary import HavenlineError

    close_old_connections()
    try:
        do()
    except (HavenlineError, DatabaseError, OSError) as error:
        _say(plain(str(error).strip() or type(error).__name__))


def _record_due() -> None:
    from havenline_desk.actions.hold_submission import record_due

    record_due(at=now())


def _seal() -> None:
    """Sign what nobody's act has had signed for a while; acts themselves refuse to go on where that fails."""
    from havenline_desk import audit

    audit.seal()


def _run_sealer() -> None:
    from havenline_desk.actions.run_sealer import run_sealer
    from havenline_desk.keys import keyd
    from havenline_desk.queries.retention import kept_facts

    if keyd() is None:
        return  # nothing is sealed here
    facts = kept_facts()
    done = run_sealer(facts, at=now())
    if done.stopped:
        _say(stopped_line(len(done.due), len(facts)))
    if done.destroyed:
        _say(f"{len(done.destroyed):,} kept objects were destroyed: their time had come")
    if done.refused:
        _say(f"{len(done.refused):,} due objects were kept: the key process would not")


def _say(line: str) -> None:
    typer.echo(f"havenline sealer: {line}", err=True)
