"""What the process that runs imports writes down: that it took a job, how far it is, how it ended.

The import itself logs what it takes in, and by whose word; none of this is said by a person.
"""

from __future__ import annotations

import datetime as dt

from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ..models import ImportJob, JobEnd, JobStage

_LOCK_SPACE = 0x4A42


@transaction.atomic
def take_job(*, at: dt.datetime) -> ImportJob | None:
    """The oldest job that no living process is at, taken by this one; None where there is none.

    The rows that others look at just now are skipped. Who holds a job holds a lock of its database session, which
    falls with the session: a job whose process was killed is free again at once.
    """
    waiting = ImportJob.objects.select_for_update(skip_locked=True, of=("self",)).filter(ended_at=None)
    for job in waiting.select_related("investigation", "asked_by", "approved_by", "proposal").order_by("pk"):
        if _locked(job):
            ImportJob.objects.filter(pk=job.pk, begun_at=None).update(begun_at=at)
            ImportJob.objects.filter(pk=job.pk).update(
                seen_at=at, read=0, refused=0, stage=JobStage.READING, stage_done=0, stage_of=0
            )
            return job
    return None


def note_progress(job: ImportJob, *, read: int, refused: int, files: int | None, at: dt.datetime) -> bool:
    """Write down how far it is; False where it has been told to stop."""
    ImportJob.objects.filter(pk=job.pk).update(read=read, refused=refused, files=files, seen_at=at)
    return ImportJob.objects.filter(pk=job.pk, stop_asked_at=None).exists()


def note_stage(
    job: ImportJob, stage: JobStage, *, done: int, of: int, aside: BaseDatabaseWrapper, at: dt.datetime
) -> bool:
    """Write down how far a stage after reading is; False where it has been told to stop.

    By the connection `aside`, so that it is told while the stage itself is one transaction that nobody sees into.
    """
    with aside.cursor() as cursor:
        cursor.execute(
            "UPDATE desk_importjob SET stage = %s, stage_done = %s, stage_of = %s, seen_at = %s WHERE id = %s"
            " RETURNING stop_asked_at",
            [stage.value, done, of, at, job.pk],
        )
        row = cursor.fetchone()
    return row is None or row[0] is None


def end_job(job: ImportJob, ending: JobEnd, *, said: str = "", at: dt.datetime) -> None:
    """Write down how it ended, once, and let go of it."""
    ImportJob.objects.filter(pk=job.pk, ended_at=None).update(ended_at=at, seen_at=at, ending=ending, said=said)
    let_go(job)


def let_go(job: ImportJob) -> None:
    """Leave the job to whichever process takes it next."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK_SPACE, job.pk])


def _locked(job: ImportJob) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_LOCK_SPACE, job.pk])
        row = cursor.fetchone()
    return bool(row and row[0])
