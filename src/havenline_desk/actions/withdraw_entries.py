"""Withdraw released entries: one person is enough, at once, and nothing brings an entry back under its id."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Collection, Sequence

from django.db import transaction
from django.db.models import Q, QuerySet

from havenline.vocabulary import HavenlineError

from .. import audit, gates
from ..confirmed import not_confirmed
from ..editions import alone, bring_up
from ..models import AuditAct, HouseList, Person, ReleasedEntry, Withdrawal, WithdrawalReason
from .announce import tell_lists_changed
from .release_entries import ReleaseRefused

_LOG = logging.getLogger(__name__)


def withdraw_entry(entry: ReleasedEntry, *, reason: WithdrawalReason, person: Person, at: dt.datetime) -> bool:
    """Record the withdrawal, then put the tombstone into the live list; returns whether that could be done at once.

    Where it could not, the withdrawal holds and `follow_lists` goes on with it each minute. Raises ReleaseRefused where
    it is withdrawn already, Denied.
    """
    with transaction.atomic():
        record_withdrawal(entry, reason=reason, person=person, at=at)
    return follow(entry.list, at=at)


def record_withdrawal(entry: ReleasedEntry, *, reason: WithdrawalReason, person: Person, at: dt.datetime) -> None:
    """Inside the caller's transaction; the live list is to `follow` once that is committed. Raises as above."""
    gates.require(person, gates.Act.WITHDRAW_HASH, at=at)
    alone(entry.list)
    if Withdrawal.objects.filter(entry=entry).exists():
        raise ReleaseRefused("this entry is withdrawn already; nothing was changed")
    _record([entry], reason=reason, person=person, at=at)


def withdraw_contradicted(
    files: Collection[int] | QuerySet[ReleasedEntry, int], *, at: dt.datetime
) -> list[ReleasedEntry]:
    """Withdraw what stands on a list of those files, where an outcome was corrected or no longer confirms it.

    Part of the act that brought this about, in its transaction; the live lists follow once that is committed.
    """
    in_force = ReleasedEntry.objects.filter(withdrawal=None, file__in=files).select_related("list", "outcome")
    if not in_force.exists():  # as nearly always when somebody settles
        return []
    doubtful = not_confirmed(files)
    corrected = set(in_force.exclude(outcome__correction=None).values_list("pk", flat=True))
    gone = list(in_force.filter(Q(pk__in=corrected) | Q(file__in=doubtful)).order_by("list", "pk"))
    for each in gone:
        alone(each.list)
    # Whoever waited for a list may find that another has withdrawn from it meanwhile.
    still = set(
        ReleasedEntry.objects.filter(pk__in=[each.pk for each in gone], withdrawal=None).values_list("pk", flat=True)
    )
    for each in gone:
        if each.pk in still:
            reason = WithdrawalReason.CORRECTED if each.pk in corrected else WithdrawalReason.NOT_CRIMINAL
            _record([each], reason=reason, person=None, at=at)
    for house_list in {each.list for each in gone}:
        transaction.on_commit(lambda house_list=house_list: _followed(house_list, at), robust=True)  # type: ignore[misc]
    return [each for each in gone if each.pk in still]


def follow_lists(*, at: dt.datetime) -> int:
    """Withdraw what no standing outcome confirms any more, and let every live list be what is recorded.

    Each minute: for what a crash, a full disk or another process left undone. Returns how many lists changed. Raises
    what the first list that could not follow raised, after all were tried.
    """
    files = ReleasedEntry.objects.filter(withdrawal=None).values_list("file_id", flat=True)
    with transaction.atomic():
        withdraw_contradicted(files, at=at)
    changed, faults = 0, []
    for house_list in HouseList.objects.order_by("pk"):
        try:
            changed += bring_up(house_list, at=at)
        except (HavenlineError, OSError) as fault:
            faults.append(fault)
    if faults:
        raise faults[0]
    return changed


def follow(house_list: HouseList, *, at: dt.datetime) -> bool:
    """Let the live list be what is recorded; False where it could not be, which `follow_lists` tries again."""
    try:
        bring_up(house_list, at=at)
    except (HavenlineError, OSError) as fault:
        _LOG.warning("a live list does not follow yet: %s", type(fault).__name__)
        return False
    return True


def _followed(house_list: HouseList, at: dt.datetime) -> None:
    follow(house_list, at=at)


def _record(
    entries: Sequence[ReleasedEntry], *, reason: WithdrawalReason, person: Person | None, at: dt.datetime
) -> None:
    for house_list in {entry.list for entry in entries}:
        tell_lists_changed(house_list, at=at)
    for entry in entries:
        row = Withdrawal.objects.create(entry=entry, reason=reason, person=person, withdrawn_at=at)
        audit.append(AuditAct.ENTRY_WITHDRAWN, at=at, actor=person, about=entry, purpose=reason.value, record=row)
