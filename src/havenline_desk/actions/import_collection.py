"""Take a lawfully held collection into an investigation: from local files only, stoppable and resumable at any point.

Steps: 1 check the authority; 2 open the import; 3 take in each posting, a batch a transaction; 4 take in what the
manifest names without a file; 5 look files up in the hash lists; 6 select by the sampling rule; 7 form stacks;
8 finish. Every step can be repeated: importing the same collection again changes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction

from havenline.formats.manifest import Manifest
from havenline.matching.lists import ListLookup
from havenline.scan import Scanned, fingerprint_source
from havenline.scan_workers import CloseOff
from havenline.vocabulary import NCII, PDQ_FULL, HavenlineError

from .. import audit, evidence, gates
from ..agreement import Standing, standing_of, what_of
from ..keys import key_name, origin_key, signers_of_house
from ..models import AuditAct, File, Import, Investigation, Item, JobStage, Person, Proposal, SamplingRule, Selection
from ..models.investigations import ItemState
from .carry_out import carry_out
from .form_stacks import form_stacks
from .record_matches import record_matches
from .record_postings import record_named_without_file, record_postings
from .record_quorum import record_quorum

BATCH = 32


class ImportRefused(HavenlineError):
    """Nothing was taken in; the text says why."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What one run of an import did. `taken_in` counts new items, `known` files that were taken in before."""

    taken_in: int
    known: int
    refused: int
    matched_files: int
    selected: int
    stacks: int


def import_collection(
    investigation: Investigation,
    *,
    source: Path,
    collection: str,
    manifest: Manifest | None,
    lists: ListLookup,
    imported_by: Person,
    approved_by: Person | None,
    workers: int,
    at: dt.datetime,
    close_off: CloseOff | None = None,
    manifest_digest: str = "",
    proposal: Proposal | None = None,
    progress: Callable[[Scanned], None] = lambda scanned: None,
    stage: Callable[[JobStage, int, int], None] = lambda stage, done, of: None,
) -> Imported:
    """Run all steps; `progress` is called after each posting is committed, `stage` now and then with what is done
    and how far it is; what it raises ends the import, and the stage leaves nothing. `close_off` as in
    `fingerprint_source`.

    `proposal` is what two people agreed to: this investigation, collection, source, and manifest (its SHA-256). Without
    one `approved_by` is named, which a demonstration and a house of one or two may do.
    Raises ImportRefused without authority or with a list of kind ncii, Denied without the role, SourceError when the
    source cannot be read, SignersError when the house's list of signers cannot.
    Not checked here: that the organisation may hold the collection; the investigation records who says so.
    """
    # long: half of it is what must be given, the rest are its steps, one a line
    _check_authority(investigation, manifest, imported_by=imported_by, at=at)
    _check_kinds(lists)
    signers = signers_of_house()
    what = {
        "investigation": investigation.audit_id.hex,
        "collection": collection,
        "source": str(source.resolve()),
        "manifest": manifest_digest,
    }
    with _one_at_a_time(investigation):
        with transaction.atomic():
            approver = _approver(what, proposal, imported_by=imported_by, named=approved_by, at=at)
            taken_in_by = _opened(investigation, collection, imported_by=imported_by, approved_by=approver, at=at)
        if evidence.storage_declared(at=at):
            evidence.sweep()
        before, key = _counts(taken_in_by), origin_key()
        rows = {row.path: row for row in manifest.rows} if manifest is not None else {}
        scanned = fingerprint_source(
            source,
            workers=workers,
            known=_known(at=at),
            keep_content=evidence.storage_declared(at=at),
            origin_key=key,
            signers=signers,
            pixels=settings.ORIGIN_PIXELS,
            close_off=close_off,
        )
        read = 0
        for batch in _batches(scanned, BATCH):
            with transaction.atomic():
                record_postings(taken_in_by, batch, rows=rows, keyed_by=key_name(key), at=at)
            read += sum(posting.refused is None for posting in batch)
            for posting in batch:
                progress(posting)
        with transaction.atomic():
            record_named_without_file(taken_in_by, manifest, at=at)
        matched = record_matches(investigation, lists, at=at, between=partial(stage, JobStage.MATCHING))
        selected = _select(investigation, manifest, at=at)
        stacks = form_stacks(investigation, at=at, between=partial(stage, JobStage.STACKING))
        _finish(taken_in_by, at=at)
    after = _counts(taken_in_by)
    return Imported(
        taken_in=after.items - before.items,
        known=read - (after.files - before.files),
        refused=after.problems - before.problems,
        matched_files=matched,
        selected=selected,
        stacks=stacks,
    )


def _check_kinds(lists: ListLookup) -> None:
    mixed = next((head.ref.list_name for head in lists.heads if head.ref.list_name.startswith(NCII)), None)
    if mixed is not None:
        raise ImportRefused(
            f"the list {mixed!r} is of adults' intimate pictures: it gives no lead in an investigation of child abuse. "
            "Nothing was taken in; leave the list out"
        )


def _approver(
    what: dict[str, str], proposal: Proposal | None, *, imported_by: Person, named: Person | None, at: dt.datetime
) -> Person:
    """Who approved: carries the proposal out on the first run, and knows it again when the import is resumed."""
    if proposal is None:
        if gates.takes_two(gates.Act.IMPORT_COLLECTION) and not gates.PROFILES[gates.house()].approver_by_name:
            raise ImportRefused(
                "two people must have agreed to this import: `havenline proposal import`, then --proposal. "
                "Nothing was taken in"
            )
        if named is None:
            raise ImportRefused("name who approved this import with --approved-by. Nothing was taken in")
        gates.require(named, gates.Act.APPROVE_IMPORT, at=at)
        if imported_by.pk == named.pk:
            raise ImportRefused("the person who imports cannot be the one who approves; nothing was taken in")
        return named
    is_import = proposal.act == gates.Act.IMPORT_COLLECTION.value
    if not is_import or what_of(proposal) != what or proposal.proposer_id != imported_by.pk:
        raise ImportRefused(
            "this is not the import that was agreed to: another person, investigation, collection, source or manifest. "
            "Nothing was taken in"
        )
    begun = Import.objects.filter(investigation__audit_id=what["investigation"], collection=what["collection"]).first()
    if standing_of(proposal, at=at) is Standing.CARRIED_OUT and begun is not None:
        return begun.approved_by
    return carry_out(proposal, person=imported_by, at=at).people[1]


def _opened(
    investigation: Investigation, collection: str, *, imported_by: Person, approved_by: Person, at: dt.datetime
) -> Import:
    taken_in, fresh = Import.objects.get_or_create(
        investigation=investigation,
        collection=collection,
        defaults={"imported_by": imported_by, "approved_by": approved_by, "started_at": at},
    )
    if fresh:
        record_quorum([taken_in], people=2)
    for act, actor in ((AuditAct.IMPORT_APPROVED, approved_by), (AuditAct.IMPORT_STARTED, imported_by)):
        audit.append(
            act,
            at=at,
            actor=actor,
            about=taken_in,
            investigation=investigation,
            purpose="first_run" if fresh else "resumed",
            record=taken_in,
        )
    return taken_in


@transaction.atomic
def _finish(taken_in: Import, *, at: dt.datetime) -> None:
    if Import.objects.filter(pk=taken_in.pk, finished_at=None).update(finished_at=at):
        audit.append(
            AuditAct.IMPORT_FINISHED,
            at=at,
            actor=taken_in.imported_by,
            about=taken_in,
            investigation=taken_in.investigation,
        )


def _check_authority(
    investigation: Investigation,
    manifest: Manifest | None,
    *,
    imported_by: Person,
    at: dt.datetime,
) -> None:
    gates.require(imported_by, gates.Act.IMPORT_COLLECTION, at=at)
    if at.date() > investigation.expires_on:
        raise ImportRefused(
            f"the authority of {investigation.reference} to import ended on {investigation.expires_on}; "
            "nothing was taken in"
        )
    if investigation.sampling_rule == SamplingRule.BY_MANIFEST and manifest is None:
        raise ImportRefused("this investigation selects by manifest; give one with --manifest. Nothing was taken in")


@contextmanager
def _one_at_a_time(investigation: Investigation) -> Iterator[None]:
    """A session lock of the database: it falls with the connection, so a killed import leaves nothing locked."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_LOCK_SPACE, investigation.pk])
        row = cursor.fetchone()
    if row is None or not row[0]:
        raise ImportRefused(f"another import into {investigation.reference} is running; wait for it or stop it")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK_SPACE, investigation.pk])


_LOCK_SPACE = 0x4841


def _known(*, at: dt.datetime) -> frozenset[str]:
    """SHA-256 values whose fingerprint, origin (and content, where content is kept) need not be taken again."""
    files = File.objects.exclude(origin=None)
    if evidence.storage_declared(at=at):
        files = files.exclude(perceptual_hashes__pipeline=PDQ_FULL, stored=None)
    return frozenset(files.values_list("sha256", flat=True))


def _batches(scanned: Iterable[Scanned], size: int) -> Iterator[list[Scanned]]:
    iterator = iter(scanned)
    while batch := list(islice(iterator, size)):
        yield batch


@dataclass(frozen=True, slots=True)
class _Counts:
    items: int
    files: int
    problems: int


def _counts(taken_in: Import) -> _Counts:
    items = taken_in.items
    return _Counts(items.count(), items.exclude(file=None).count(), taken_in.problems.count())


@transaction.atomic
def _select(investigation: Investigation, manifest: Manifest | None, *, at: dt.datetime) -> int:
    """Add the Selection records the sampling rule asks for; pictures only, since only they can be assessed."""
    pictures = Item.objects.filter(
        investigation=investigation, selection=None, state__in=(ItemState.VIEWABLE, ItemState.HASH_ONLY)
    )
    if investigation.sampling_rule == SamplingRule.BY_MANIFEST:
        chosen = {row.path for row in manifest.rows if row.selected} if manifest is not None else set()
        pictures = pictures.filter(path__in=chosen)
    made = Selection.objects.bulk_create(
        [
            Selection(
                item=item,
                rule=investigation.sampling_rule,
                viewed_by_person=investigation.sampling_rule == SamplingRule.BY_MANIFEST,
                selected_at=at,
            )
            for item in pictures
        ],
        ignore_conflicts=True,
    )
    if made:
        audit.append(
            AuditAct.POSTINGS_SELECTED,
            at=at,
            actor=None,
            investigation=investigation,
            purpose=investigation.sampling_rule,
        )
    return len(made)
