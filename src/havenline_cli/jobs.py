"""`havenline jobs`: the process that does what people asked for on a page."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import desk as opening
from .options import Sandbox, SandboxOption
from .told import all_cores, now, plain

if TYPE_CHECKING:
    from havenline.matching.lists import ListLookup
    from havenline.scan_workers import CloseOff

_LOOK_EVERY = 1.0
_AFTER_A_FAULT = 10.0
_LISTS_EVERY = 60.0


def jobs(
    workers: Annotated[int, typer.Option(min=1, help="Processes that decode. Default: all cores.")] = all_cores(),
    sandbox: SandboxOption = Sandbox.AUTO,
    once: Annotated[bool, typer.Option("--once", help="Leave when nothing waits.")] = False,
    home: opening.HomeOption = None,
) -> None:
    """Run the imports that were asked for on the desk, one at a time, until told. `havenline up` and `demo` start it.

    Killed, it leaves what it was at as it is; the next one goes on there. Files are looked up in the lists that
    HAVENLINE_LISTS and HAVENLINE_MATCHD name, and in this house's own. When no import waits, what a partner's list
    counted in shadow is looked up in it once two people have activated it, one investigation after the other.
    """
    with contextlib.suppress(KeyboardInterrupt), opening.desk(opening.existing_home(home)):
        from havenline_desk import inbox

        from .told import closing

        with contextlib.suppress(OSError):
            inbox.make_ready()
        close_off: CloseOff | None = None
        asked, lists_at = False, float("-inf")
        while True:
            from django.db import DatabaseError, InterfaceError, close_old_connections

            from havenline_desk.models import ImportJob

            pause = _LOOK_EVERY
            try:
                close_old_connections()
                if ImportJob.objects.filter(ended_at=None).exists():
                    if not asked:  # what decodes is loaded only where there is something to decode
                        close_off, asked = closing(sandbox), True
                    if _run_one(workers, close_off):
                        continue
                if once or time.monotonic() - lists_at >= _LISTS_EVERY:
                    if _look_up_one():
                        continue
                    lists_at = time.monotonic()
                if once:
                    return
            except (DatabaseError, InterfaceError, OSError) as error:
                lists_at = time.monotonic()
                typer.echo(f"havenline jobs: {plain(str(error).strip() or type(error).__name__)}", err=True)
                pause = _AFTER_A_FAULT
            time.sleep(pause)


def _run_one(workers: int, close_off: CloseOff | None) -> bool:
    """Run one job; False where none is free."""
    from havenline_desk.jobs.imports import run_next

    job = run_next(lists=_lists, workers=workers, close_off=close_off, now=now)
    if job is None:
        return False
    job.refresh_from_db()
    typer.echo(f"havenline jobs: the import {job.pk} {job.ending}", err=True)
    return True


def _look_up_one() -> bool:
    """Look one investigation up in a list that was activated since it was counted; False where none waits."""
    from havenline.vocabulary import HavenlineError
    from havenline_desk.actions.look_up_again import look_up_next

    try:
        done = look_up_next(at=now())
    except HavenlineError as refused:
        typer.echo(f"havenline jobs: {plain(str(refused))}", err=True)
        return False
    if done is not None:
        typer.echo(f"havenline jobs: looked an investigation up in {plain(done.exchange)}, now active", err=True)
    return done is not None


def _lists() -> ListLookup:
    from django.conf import settings

    from havenline_desk.editions import looked_up_in

    from .investigation import and_matchd
    from .scan import open_all

    return and_matchd(open_all(looked_up_in())[1], Path(settings.MATCHD) if settings.MATCHD else None)
