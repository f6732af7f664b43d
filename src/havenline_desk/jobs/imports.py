"""Run imports that were asked for on a page, one at a time; stoppable, and resumed wherever they were killed."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections

from havenline.formats.manifest import Manifest, read_manifest
from havenline.matching.lists import ListLookup
from havenline.scan import Scanned
from havenline.scan_workers import CloseOff
from havenline.vocabulary import HavenlineError

from .. import inbox
from ..actions.import_collection import import_collection
from ..actions.run_import import end_job, let_go, note_progress, note_stage, take_job
from ..inbox import EntryKind
from ..models import ImportJob, JobEnd, JobStage

TOLD_EVERY = 1.0
"""Seconds between two notes of how far it is."""


class StopAsked(Exception):
    """A person asked that this import stop; everything so far is committed."""


def run_next(
    *,
    lists: Callable[[], ListLookup],
    workers: int,
    close_off: CloseOff | None,
    now: Callable[[], dt.datetime],
    told_every: float = TOLD_EVERY,
) -> ImportJob | None:
    """Run the oldest job that nobody is at, to its end; None where there is none.

    `lists` opens the hash lists, only where there is something to look up. What refuses an import ends its job, with
    the reason; so does a fault, which is raised on. A database that went away does not: the job is left as it is, and
    goes on with the next call.
    """
    job = take_job(at=now())
    if job is None:
        return None
    try:
        _run(job, lists, workers=workers, close_off=close_off, now=now, told_every=told_every)
    except StopAsked:
        end_job(job, JobEnd.STOPPED, at=now())
    except (HavenlineError, OSError) as error:
        end_job(job, JobEnd.FAILED, said=str(error) or type(error).__name__, at=now())
    except (DatabaseError, InterfaceError):
        raise
    except Exception as fault:
        said = f"a fault of the software ({type(fault).__name__}); what was taken in stays. Tell who runs this server"
        end_job(job, JobEnd.FAILED, said=said, at=now())
        raise
    except BaseException:
        with contextlib.suppress(DatabaseError, InterfaceError):  # whoever ends this process is not kept waiting
            let_go(job)
        raise
    else:
        end_job(job, JobEnd.FINISHED, at=now())
    return job


def _run(
    job: ImportJob,
    lists: Callable[[], ListLookup],
    *,
    workers: int,
    close_off: CloseOff | None,
    now: Callable[[], dt.datetime],
    told_every: float,
) -> None:
    source = inbox.path_of(job.source, EntryKind.FOLDER, EntryKind.ARCHIVE)
    if inbox.digest_of(job.manifest) != job.manifest_digest:
        raise inbox.InboxRefused("the manifest was changed since the import was asked for; nothing was taken in")
    manifest = read_manifest(inbox.path_of(job.manifest, EntryKind.MANIFEST)) if job.manifest else None
    with _Told(job, inbox.count_files(source), now=now, every=told_every) as told:
        _import(
            job, told, source=source, manifest=manifest, lists=lists(), workers=workers, close_off=close_off, at=now()
        )


def _import(
    job: ImportJob,
    told: _Told,
    *,
    source: Path,
    manifest: Manifest | None,
    lists: ListLookup,
    workers: int,
    close_off: CloseOff | None,
    at: dt.datetime,
) -> None:
    told.say()
    import_collection(
        job.investigation,
        source=source,
        collection=job.collection,
        manifest=manifest,
        lists=lists,
        imported_by=job.asked_by,
        approved_by=job.approved_by,
        manifest_digest=job.manifest_digest,
        proposal=job.proposal,
        workers=workers,
        at=at,
        close_off=close_off,
        progress=told.count,
        stage=told.stage,
    )
    told.say(stoppable=False)


class _Told:
    """Counts what was read, and writes it down now and then."""

    def __init__(self, job: ImportJob, files: int | None, *, now: Callable[[], dt.datetime], every: float) -> None:
        self._job, self._files, self._now, self._every = job, files, now, every
        self._read = self._refused = 0
        self._last = time.monotonic()
        self._stage: JobStage | None = None
        self._aside = connections.create_connection(DEFAULT_DB_ALIAS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._aside.close()

    def stage(self, stage: JobStage, done: int, of: int) -> None:
        """Of a stage after reading; said at once when it begins, then now and then."""
        if stage is not self._stage or time.monotonic() - self._last >= self._every:
            self._stage, self._last = stage, time.monotonic()
            if not note_stage(self._job, stage, done=done, of=of, aside=self._aside, at=self._now()):
                raise StopAsked

    def count(self, posting: Scanned) -> None:
        self._read += 1
        self._refused += posting.refused is not None
        if time.monotonic() - self._last >= self._every:
            self.say()

    def say(self, *, stoppable: bool = True) -> None:
        goes_on = note_progress(self._job, read=self._read, refused=self._refused, files=self._files, at=self._now())
        self._last = time.monotonic()
        if stoppable and not goes_on:
            raise StopAsked
