"""Propose confirmed outcomes for release onto a list of this house, and release them as two people agreed."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Collection, Sequence

from django.db import transaction

from havenline.formats.edition import Entry, ListKind, check_list_name
from havenline.vocabulary import PDQ_FULL, HavenlineError

from .. import audit, gates
from ..agreement import Accord, ProposalRefused
from ..confirmed import Candidate, ReleaseState, candidates
from ..editions import alone, values_of, whole_seconds
from ..models import (
    AuditAct,
    BatchedEntry,
    HouseList,
    Outcome,
    PerceptualHash,
    Person,
    Proposal,
    ReleaseBatch,
    ReleasedEntry,
)
from .propose import propose
from .record_quorum import record_quorum

MOST_AT_ONCE = 1000
"""Outcomes in one batch: so many that whoever agrees can still look at what they are."""


class ReleaseRefused(HavenlineError):
    """Nothing was released, withdrawn or published; the text says why."""


@transaction.atomic
def open_house_list(name: str, kind: ListKind, *, by: Person, at: dt.datetime) -> HouseList:
    """Open a list of one kind, with nothing on it and open to nobody. Raises ReleaseRefused, Denied."""
    gates.require(by, gates.Act.OPEN_HOUSE_LIST, at=at)
    try:
        check_list_name(name)
    except ValueError as fault:
        raise ReleaseRefused(f"{fault}; nothing was opened") from None
    if HouseList.objects.filter(name=name).exists():
        raise ReleaseRefused(f"there is a list {name} already; nothing was opened")
    opened = HouseList.objects.create(name=name, kind=kind.value, made_by=by, made_at=at)
    audit.append(AuditAct.HOUSE_LIST_OPENED, at=at, actor=by, about=opened, purpose=kind.value, record=opened)
    return opened


@transaction.atomic
def propose_release(
    house_list: HouseList, outcomes: Collection[Outcome], *, person: Person, at: dt.datetime
) -> Proposal:
    """Propose to release exactly these outcomes onto the list, as a batch that names every byte that would go out.

    Raises ReleaseRefused where one of them is not ready, Denied, and ProposalRefused where `person` assessed one of
    them in a house of six.
    """
    gates.require(person, gates.Act.RELEASE_HASH, at=at)
    if not 0 < len(outcomes) <= MOST_AT_ONCE:
        raise ReleaseRefused(f"a batch is of 1 to {MOST_AT_ONCE:,} outcomes; nothing was proposed")
    alone(house_list)
    found = _ready(house_list, [each.pk for each in outcomes], at=at)
    names = [uuid.uuid4().hex for _ in found]
    batch = ReleaseBatch.objects.create(
        list=house_list,
        entries=len(found),
        digest=_digest(_lines(house_list, found, names)),
        made_by=person,
        made_at=at,
    )
    BatchedEntry.objects.bulk_create(
        BatchedEntry(batch=batch, outcome=each.outcome, entry=name) for each, name in zip(found, names, strict=True)
    )
    what: dict[str, str | int] = {
        "list": house_list.audit_id.hex,
        "batch": batch.audit_id.hex,
        "entries": batch.entries,
        "digest": batch.digest,
    }
    proposal = propose(gates.Act.RELEASE_HASH, what, person=person, at=at)
    audit.append(AuditAct.RELEASE_BATCHED, at=at, actor=person, about=batch, purpose=house_list.kind, record=batch)
    return proposal


def record_release(agreed: Accord, at: dt.datetime) -> None:
    """Release a batch, inside the transaction that carries the proposal out: all of it, as it was, or nothing.

    Raises ProposalRefused where an outcome is not ready any more, or anything that would go out has changed.
    """
    batch = ReleaseBatch.objects.select_related("list").filter(audit_id=uuid.UUID(str(agreed.what["batch"]))).first()
    if batch is None or batch.list.audit_id.hex != agreed.what["list"]:
        raise ProposalRefused("this batch is not here, or of another list; nothing was released")
    alone(batch.list)
    batched = list(batch.batched.order_by("pk"))
    try:
        found = _ready(batch.list, [each.outcome_id for each in batched], at=at)
    except ReleaseRefused as refused:
        raise ProposalRefused(str(refused)) from None
    named = {each.outcome_id: each.entry for each in batched}
    names = [named[each.outcome.pk] for each in found]
    digest = _digest(_lines(batch.list, found, names))
    if not digest == batch.digest == agreed.what["digest"] or len(found) != agreed.what["entries"]:
        raise ProposalRefused("what would go out has changed since it was proposed; propose it anew")
    released = ReleasedEntry.objects.bulk_create(
        ReleasedEntry(
            list=batch.list,
            entry=name,
            file=each.outcome.file,
            outcome=each.outcome,
            algorithms=list(each.algorithms),
            framework=each.framework,
            framework_version=each.version,
            code=each.code,
            assessments=each.assessments,
            mark=_mark(),
            proposal=agreed.proposal,
            released_at=at,
        )
        for each, name in zip(found, names, strict=True)
    )
    record_quorum(released, people=len(agreed.people))
    audit.append(
        AuditAct.ENTRIES_RELEASED,
        at=at,
        actor=agreed.people[0],
        about=batch,
        purpose=batch.list.kind,
        record=batch,
    )


def _mark() -> str:
    return gates.PROFILES[gates.house()].mark


def _ready(house_list: HouseList, outcomes: Sequence[int], *, at: dt.datetime) -> list[Candidate]:
    """Those outcomes as candidates, in one order whoever asks. Raises ReleaseRefused unless all are ready."""
    found = candidates(at=at, house_list=house_list, outcomes=outcomes)
    ready = [each for each in found if each.state is ReleaseState.READY]
    if len({each.outcome.file_id for each in ready}) != len(set(outcomes)):
        waits = sorted({each.state.value.replace("_", " ") for each in found} - {ReleaseState.READY.value})
        why = ", ".join(waits) or "not confirmed, of another kind, on the list already, or the same file twice"
        raise ReleaseRefused(
            f"{len(set(outcomes)) - len(ready):,} of {len(set(outcomes)):,} cannot be released onto "
            f"{house_list.name} ({why}); nothing was released"
        )
    return ready


def _lines(house_list: HouseList, found: Sequence[Candidate], names: Sequence[str]) -> list[bytes]:
    """What would go out of each, as lines of an edition but for the time of release."""
    files = [each.outcome.file for each in found]
    whole = {
        each.file_id: each
        for each in PerceptualHash.objects.filter(file__in=[file.pk for file in files], pipeline=PDQ_FULL)
    }
    lines = []
    for each, name in zip(found, names, strict=True):
        values, quality = values_of(each.outcome.file, list(each.algorithms), whole.get(each.outcome.file_id))
        lines.append(
            Entry(
                entry=name,
                values=values,
                quality=quality,
                kind=ListKind(house_list.kind),
                framework=each.framework,
                version=each.version,
                code=each.code,
                assessments=each.assessments,
                mark=_mark(),
                released=whole_seconds(dt.datetime.fromtimestamp(0, dt.UTC)),
            ).line()
        )
    return sorted(lines)


def _digest(lines: Sequence[bytes]) -> str:
    return hashlib.sha256(b"".join(line + b"\n" for line in lines)).hexdigest()
