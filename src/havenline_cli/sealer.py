"""`havenline sealer`: the process that does what falls due and nobody's act does."""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import typer

from havenline_cli import desk as opening
from havenline_cli.retention import stopped_line
from havenline_cli.told import now, plain

SEAL_EVERY = 60
"""Seconds; docs/formats/audit-log.md, 5."""
_MINUTES = 60
SCRUB_IN, SCRUB_EVERY = 30, 24 * _MINUTES
"""Minutes: from the start to the first reading of all kept content, and from each to the next."""


def sealer(home: opening.HomeOption = None) -> None:
    """Each minute sign the log, record submissions, let live lists follow, renew what partners fetch.

    Each hour destroy what is due and clear old sessions, each day read all content. `havenline up` and `demo` start it.
    What fails is said on stderr, and tried again when it is due again.
    """
    with contextlib.suppress(KeyboardInterrupt), opening.desk(opening.existing_home(home)):
        minute, reading = 0, Beside()
        _told(_follow_lists)
        while True:
            time.sleep(SEAL_EVERY)
            minute += 1
            keep_house(minute)
            if minute % SCRUB_EVERY == SCRUB_IN:
                reading.begin(_scrub)


class Beside:
    """A thread for one duty that may take hours, so that it delays no other; it ends with the process."""

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None

    def begin(self, do: Callable[[], None]) -> None:
        """Begin it, unless the last time is not over yet."""
        if self.thread is None or not self.thread.is_alive():
            self.thread = threading.Thread(target=_alone, args=(do,), daemon=True)
            self.thread.start()


def _alone(do: Callable[[], None]) -> None:
    from django.db import connections

    try:
        _told(do)
    finally:
        connections.close_all()


def keep_house(minute: int) -> None:
    """Do what is to be done in the `minute`th minute, from 1; what fails in one duty keeps no other from being done."""
    _told(_record_due)
    _told(_follow_lists)
    _told(_renew_repository)
    _told(_seal)
    if minute % _MINUTES == 1:
        _told(_run_sealer)
        _told(_clear_sessions)
        _told(_forget_opt_outs)


def _told(do: Callable[[], None]) -> None:
    from django.db import DatabaseError, InterfaceError, close_old_connections

    from havenline.vocabulary import HavenlineError

    close_old_connections()
    try:
        do()
    except (HavenlineError, DatabaseError, InterfaceError, OSError) as error:
        _say(plain(str(error).strip() or type(error).__name__))
    except Exception as error:
        *_, place = traceback.extract_tb(error.__traceback__)
        _say(f"UNEXPECTED {type(error).__name__} in {Path(place.filename).name}, line {place.lineno}: please report it")


def _record_due() -> None:
    from havenline_desk.actions.hold_submission import record_due

    record_due(at=now())


def _follow_lists() -> None:
    """What was withdrawn leaves the live lists, whatever broke off before; docs/howto/release.md tells how soon."""
    from havenline_desk.actions.withdraw_entries import follow_lists

    follow_lists(at=now())


def _renew_repository() -> None:
    """Partners refuse a timestamp older than 48 hours: it is signed anew once 36 are left."""
    from havenline_desk.actions.take_trust_step import renew_due
    from havenline_desk.queries.repository import repository_here

    if renew_due(repository_here(), at=now()):
        _say("the timestamp of what this house publishes was renewed")


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


def _clear_sessions() -> None:
    from havenline_desk.actions.clear_sessions import clear_sessions

    clear_sessions(at=now())


def _forget_opt_outs() -> None:
    from havenline_desk.actions.keep_shift import forget_opt_outs

    forget_opt_outs(at=now())


def _scrub() -> None:
    from havenline_desk import evidence
    from havenline_desk.actions.raise_alarm import note_scrub
    from havenline_desk.keys import keyd

    if keyd() is None:
        return  # nothing is sealed here
    found = evidence.scrub()
    wrong = len(found.damaged) + len(found.missing)
    note_scrub(wrong=wrong, of=found.whole + wrong, at=now())
    if wrong:
        _say(f"ALARM: {wrong:,} kept objects are damaged or missing; `havenline scrub` names them")


def _say(line: str) -> None:
    typer.echo(f"havenline sealer: {line}", err=True)
