"""Ask on a page for an import of what lies in the inbox: propose it, start what was agreed to, stop it, resume it."""

from __future__ import annotations

import datetime as dt

from django.db import IntegrityError, transaction

from .. import audit, gates, inbox
from ..agreement import Standing, standing_of, what_of
from ..inbox import EntryKind
from ..models import AuditAct, Import, ImportJob, Investigation, Person, Proposal, SamplingRule
from .import_collection import ImportRefused
from .propose import propose


def by_name() -> bool:
    """Whether who starts an import names the approver: in a demonstration, or a house of one or two."""
    alone = not gates.takes_two(gates.Act.IMPORT_COLLECTION)
    return alone or gates.PROFILES[gates.house()].approver_by_name


def what_is_imported(investigation: Investigation, *, source: str, collection: str, manifest: str) -> dict[str, str]:
    """What a proposal of this import says, as the inbox is now. Raises InboxRefused."""
    return {
        "investigation": investigation.audit_id.hex,
        "collection": collection,
        "source": str(inbox.path_of(source, EntryKind.FOLDER, EntryKind.ARCHIVE)),
        "manifest": inbox.digest_of(manifest),
    }


def propose_import(
    investigation: Investigation, *, source: str, collection: str, manifest: str, person: Person, at: dt.datetime
) -> Proposal:
    """Propose it to another person. Raises Denied, InboxRefused, ImportRefused, ProposalRefused."""
    _check(investigation, manifest, at=at)
    what = what_is_imported(investigation, source=source, collection=collection, manifest=manifest)
    return propose(gates.Act.IMPORT_COLLECTION, what, person=person, at=at)


@transaction.atomic
def ask_import(
    investigation: Investigation,
    *,
    source: str,
    collection: str,
    manifest: str = "",
    proposal: Proposal | None = None,
    approved_by: Person | None = None,
    asked_by: Person,
    at: dt.datetime,
) -> ImportJob:
    """Write the job down; a process of its own takes it. `proposal` was agreed to, or `approved_by` is named.

    Raises Denied without the role, InboxRefused, and ImportRefused where another import of the investigation is open,
    its time is over, or this is not what was agreed to. `import_collection` checks all of it again when it runs.
    """
    gates.require(asked_by, gates.Act.IMPORT_COLLECTION, at=at)
    _check(investigation, manifest, at=at)
    what = what_is_imported(investigation, source=source, collection=collection, manifest=manifest)
    _check_agreed(what, proposal, approved_by, asked_by=asked_by, at=at)
    try:
        with transaction.atomic():
            job = ImportJob.objects.create(
                investigation=investigation,
                collection=collection,
                source=source,
                manifest=manifest,
                manifest_digest=what["manifest"],
                proposal=proposal,
                approved_by=approved_by,
                asked_by=asked_by,
                asked_at=at,
            )
    except IntegrityError:
        raise ImportRefused("another import into this investigation is open; wait for it, or stop it first") from None
    audit.append(AuditAct.IMPORT_ASKED, at=at, actor=asked_by, about=job, investigation=investigation)
    return job


@transaction.atomic
def stop_import(job: ImportJob, *, said_by: Person, at: dt.datetime) -> None:
    """Have it stop after the posting that is being read; one that has not begun does not begin.

    Raises Denied without the role, ImportRefused where it had ended, or was told already.
    """
    gates.require(said_by, gates.Act.STOP_IMPORT, at=at)
    if not ImportJob.objects.filter(pk=job.pk, ended_at=None, stop_asked_at=None).update(stop_asked_at=at):
        raise ImportRefused("this import had ended, or was told to stop already; nothing was changed")
    audit.append(AuditAct.IMPORT_STOPPED, at=at, actor=said_by, about=job, investigation=job.investigation)


def resume_import(job: ImportJob, *, asked_by: Person, at: dt.datetime) -> ImportJob:
    """Ask for the same again: what was taken in is known, and is not taken in twice. Raises as `ask_import`."""
    if job.ended_at is None:
        raise ImportRefused("this import is open; there is nothing to resume")
    return ask_import(
        job.investigation,
        source=job.source,
        collection=job.collection,
        manifest=job.manifest,
        proposal=job.proposal,
        approved_by=job.approved_by,
        asked_by=asked_by,
        at=at,
    )


def _check(investigation: Investigation, manifest: str, *, at: dt.datetime) -> None:
    if at.date() > investigation.expires_on:
        raise ImportRefused(f"the authority to import ended on {investigation.expires_on}; nothing was started")
    if investigation.sampling_rule == SamplingRule.BY_MANIFEST and not manifest:
        raise ImportRefused("this investigation selects by manifest: choose one. Nothing was started")


def _check_agreed(
    what: dict[str, str], proposal: Proposal | None, named: Person | None, *, asked_by: Person, at: dt.datetime
) -> None:
    if proposal is None:
        if not by_name():
            raise ImportRefused("two people must have agreed to this import: propose it first. Nothing was started")
        if named is None or gates.is_oneself(named, asked_by):
            raise ImportRefused("name another person who approved this import. Nothing was started")
        gates.require(named, gates.Act.APPROVE_IMPORT, at=at)
        return
    if proposal.proposer_id != asked_by.pk or what_of(proposal) != what:
        raise ImportRefused(
            "this is not the import that was agreed to: the folder, the name, the manifest or the person differs. "
            "Propose it anew; nothing was started"
        )
    standing = standing_of(proposal, at=at)
    begun = Import.objects.filter(investigation__audit_id=what["investigation"], collection=what["collection"])
    if standing is not Standing.AGREED and not (standing is Standing.CARRIED_OUT and begun.exists()):
        raise ImportRefused("nobody has agreed to this import yet, or it has run out; nothing was started")
