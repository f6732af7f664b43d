"""The page from which imports are started: what lies in the inbox, what was agreed to, how far each import is."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath

from django.conf import settings

from .. import gates, inbox
from ..agreement import Standing, standing_of, what_of
from ..editions import looked_up_in
from ..inbox import EntryKind, InboxEntry
from ..models import (
    ImportJob,
    ImportProblem,
    Investigation,
    JobEnd,
    JobStage,
    Person,
    Proposal,
    SamplingRule,
    SourceKind,
)

SILENT_AFTER = dt.timedelta(minutes=2)
FILES_NAMED = 50
JOBS_SHOWN = 10
PROPOSALS_LOOKED_AT = 200


class JobState(StrEnum):
    """Where a job stands. `silent`: its process said nothing for two minutes, or none has taken it."""

    WAITING = "waiting"
    RUNNING = "running"
    SILENT = "silent"
    STOPPING = "stopping"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class NamedProblems:
    """Files that could not be used for one reason; at most fifty of their sentences."""

    reason: str
    files: int
    details: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JobLine:
    """`share` in per cent, None where how much there is is not known before it is read."""

    number: int
    collection: str
    source: str
    asked_by: str
    agreed_by: str
    asked_at: dt.datetime
    ended_at: dt.datetime | None
    state: JobState
    read: int
    files: int | None
    share: int | None
    stage: JobStage
    stage_done: int
    stage_of: int
    before: int
    said: str
    may_stop: bool
    may_resume: bool
    problems: tuple[NamedProblems, ...]


@dataclass(frozen=True, slots=True)
class AgreedImport:
    """An import that was proposed from the inbox. `name` is the proposal's; `ready`: another person agreed."""

    name: str
    collection: str
    source: str
    manifest: str
    until: dt.datetime
    ready: bool


@dataclass(frozen=True, slots=True)
class ImportPage:
    """`sources` is None where there is no inbox; `lists` counts the hash lists and matchd that are looked up in."""

    reference: str
    expired: bool
    expires_on: dt.date
    by_manifest: bool
    folder: str
    sources: tuple[InboxEntry, ...] | None
    manifests: tuple[InboxEntry, ...]
    approvers: tuple[str, ...]
    proposed: tuple[AgreedImport, ...]
    lists: int
    jobs: tuple[JobLine, ...]

    @property
    def open(self) -> bool:
        """Whether an import is open, so that no other can be started."""
        return any(job.ended_at is None for job in self.jobs)


def investigation_of(reference: str) -> Investigation | None:
    """The investigation of that reference, where a collection can be imported into it."""
    return Investigation.objects.filter(reference=reference).exclude(source_kind=SourceKind.TRAINING).first()


def import_page(investigation: Investigation, person: Person, *, at: dt.datetime) -> ImportPage:
    """Everything of the page, for the lead `person`."""
    found = inbox.entries()
    return ImportPage(
        reference=investigation.reference,
        expired=at.date() > investigation.expires_on,
        expires_on=investigation.expires_on,
        by_manifest=investigation.sampling_rule == SamplingRule.BY_MANIFEST,
        folder=str(inbox.folder()),
        sources=None if found is None else tuple(one for one in found if one.kind is not EntryKind.MANIFEST),
        manifests=tuple(one for one in found or () if one.kind is EntryKind.MANIFEST),
        approvers=_approvers(person, at=at),
        proposed=_proposed(investigation, person, at=at),
        lists=len(looked_up_in()) + bool(settings.MATCHD),
        jobs=job_lines(investigation, at=at),
    )


def job_lines(investigation: Investigation, *, at: dt.datetime) -> tuple[JobLine, ...]:
    """The newest ten imports that were asked for on the page, the newest first."""
    rows = list(
        ImportJob.objects.filter(investigation=investigation)
        .select_related("asked_by", "approved_by", "proposal")
        .order_by("-pk")[:JOBS_SHOWN]
    )
    newest: dict[str, int] = {}
    for row in rows:
        newest.setdefault(row.collection, row.pk)
    problems = _problems(investigation, newest)
    is_open = any(row.ended_at is None for row in rows)
    return tuple(
        _line(row, problems.get(row.collection, ()) if newest[row.collection] == row.pk else (), is_open, at=at)
        for row in rows
    )


def job_of(investigation: Investigation, number: int | None) -> ImportJob | None:
    return ImportJob.objects.filter(investigation=investigation, pk=number).first() if number is not None else None


def agreed_proposal(name: str, investigation: Investigation, person: Person, *, at: dt.datetime) -> AgreedImport | None:
    """The import that `person` proposed under that random id, where it can still be started."""
    return next((one for one in _proposed(investigation, person, at=at) if one.name == name), None)


def _line(row: ImportJob, problems: tuple[NamedProblems, ...], is_open: bool, *, at: dt.datetime) -> JobLine:
    state = _state(row, at=at)
    share = 100 if state is JobState.FINISHED else min(99, 100 * row.read // row.files) if row.files else None
    agreed = row.approved_by.name if row.approved_by is not None else _approver(row.proposal)
    return JobLine(
        number=row.pk,
        collection=row.collection,
        source=row.source,
        asked_by=row.asked_by.name,
        agreed_by=agreed,
        asked_at=row.asked_at,
        ended_at=row.ended_at,
        state=state,
        read=row.read,
        files=row.files,
        share=share,
        stage=JobStage(row.stage),
        stage_done=row.stage_done,
        stage_of=row.stage_of,
        before=_before(row) if state is JobState.WAITING else 0,
        said=row.said,
        may_stop=row.ended_at is None and row.stop_asked_at is None,
        may_resume=not is_open and state in {JobState.STOPPED, JobState.FAILED},
        problems=problems,
    )


def _state(row: ImportJob, *, at: dt.datetime) -> JobState:
    if row.ended_at is not None:
        return JobState(JobEnd(row.ending).value)
    heard = row.seen_at or row.asked_at
    if at - heard > SILENT_AFTER:
        return JobState.SILENT
    if row.stop_asked_at is not None:
        return JobState.STOPPING
    return JobState.RUNNING if row.begun_at is not None else JobState.WAITING


def _before(row: ImportJob) -> int:
    """How many imports of this house were asked for before it and are not over: they are run one at a time."""
    return ImportJob.objects.filter(ended_at=None, pk__lt=row.pk).count()


def _approver(proposal: Proposal | None) -> str:
    names = proposal.approvals.order_by("pk").values_list("person__name", flat=True) if proposal is not None else ()
    return ", ".join(names)


def _problems(investigation: Investigation, collections: Iterable[str]) -> dict[str, tuple[NamedProblems, ...]]:
    """By collection, from all runs of its import: what could not be used, the most frequent reason first."""
    counts, details = defaultdict[str, Counter[str]](Counter), defaultdict[tuple[str, str], list[str]](list)
    rows = ImportProblem.objects.filter(import_of__investigation=investigation, import_of__collection__in=collections)
    for collection, reason, detail in rows.order_by("pk").values_list("import_of__collection", "reason", "detail"):
        counts[collection][reason] += 1
        if len(details[collection, reason]) < FILES_NAMED:
            details[collection, reason].append(detail)
    refused = investigation.items.filter(collection__in=collections).exclude(file=None).exclude(file__refusal="")
    for collection, reason, path, detail in refused.order_by("pk").values_list(
        "collection", "file__refusal", "path", "file__refusal_detail"
    ):
        counts[collection][reason] += 1
        if len(details[collection, reason]) < FILES_NAMED:
            details[collection, reason].append(f"{path}: {detail}")
    return {
        collection: tuple(
            NamedProblems(reason, number, tuple(details[collection, reason])) for reason, number in found.most_common()
        )
        for collection, found in counts.items()
    }


def _approvers(person: Person, *, at: dt.datetime) -> tuple[str, ...]:
    others = Person.objects.filter(is_active=True).exclude(pk=person.pk).order_by("name")
    return tuple(each.name for each in others if gates.allowed(each, gates.Act.APPROVE_IMPORT, at=at))


def _proposed(investigation: Investigation, person: Person, *, at: dt.datetime) -> tuple[AgreedImport, ...]:
    """Open proposals of imports that `person` made, whose source lies in the inbox."""
    rows = Proposal.objects.filter(act=gates.Act.IMPORT_COLLECTION.value, proposer=person, end=None)
    found = []
    for row in rows.filter(expires_at__gt=at).order_by("-pk")[:PROPOSALS_LOOKED_AT]:
        what = what_of(row)
        path = PurePath(what["source"])
        if what["investigation"] == investigation.audit_id.hex and path.parent == inbox.folder().resolve():
            standing = standing_of(row, at=at)
            found.append(
                AgreedImport(
                    name=row.audit_id.hex,
                    collection=what["collection"],
                    source=path.name,
                    manifest=_manifest_named(what["manifest"]),
                    until=row.expires_at,
                    ready=standing is Standing.AGREED,
                )
            )
    return tuple(found)


def _manifest_named(digest: str) -> str:
    """The manifest in the inbox that has that digest; empty where there is none."""
    for entry in inbox.entries() or () if digest else ():
        try:
            if entry.kind is EntryKind.MANIFEST and inbox.digest_of(entry.name) == digest:
                return entry.name
        except inbox.InboxRefused:
            continue
    return ""
