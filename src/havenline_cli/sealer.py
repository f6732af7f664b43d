"""`havenline sealer`: the process that does what falls due and nobody's act does."""

from __future__ import annotations

import contextlib
import time

import typer

from havenline_cli import desk as opening
from havenline_cli.told import now

SEAL_EVERY = 60
"""Seconds; docs/formats/audit-log.md, 5."""


def sealer(home: opening.HomeOption = None) -> None:
    """Sign the end of the audit log every minute and record submissions that can no longer be taken back, until told.

    `havenline up` and `demo` start it. What fails is said on stderr and tried again a minute later.
    """
    with contextlib.suppress(KeyboardInterrupt), opening.desk(opening.existing_home(home)):
        while True:
            time.sleep(SEAL_EVERY)
            _once()


def _once() -> None:
    """Sign what nobody's act has had signed for a while; acts themselves refuse to go on where that fails."""
    from django.db import DatabaseError, close_old_connections

    from havenline.vocabulary import HavenlineError
    from havenline_desk import audit
    from havenline_desk.actions.hold_submission import record_due

    for duty in (lambda: record_due(at=now()), audit.seal):
        close_old_connections()
        try:
            duty()
        except (HavenlineError, DatabaseError, OSError) as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            typer.echo(f"havenline sealer: {reason[0]}", err=True)
