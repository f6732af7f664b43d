"""Enrol partners, open lists to them and close them again, suspend them, make their canaries."""

from __future__ import annotations

import datetime as dt
import re
import secrets
import uuid

from django.db import transaction

from havenline.formats.edition import ListKind

from .. import audit, gates
from ..agreement import Accord, ProposalRefused
from ..editions import alone, values_of
from ..models import AuditAct, Canary, Door, HouseList, Partner, PartnerKey, Person, ReleasedEntry, Subscription
from .announce import tell_partner_lists_changed
from .keep_feed_credentials import end_credentials
from .record_quorum import record_quorum
from .release_entries import ReleaseRefused

CANARIES = 32
"""For each recipient and list; so many that one found elsewhere is no accident."""
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\Z")
_RECIPIENT = re.compile(r"age1[ac-hj-np-z02-9]{58}\Z")
_TRIES = 200


def check_partner(slug: str, recipient: str) -> None:
    """Raise ProposalRefused unless `slug` can name a partner and `recipient` is an X25519 recipient of age."""
    if not _SLUG.match(slug):
        raise ProposalRefused("a partner's short name is 1 to 64 lower-case letters, digits and hyphens")
    if not _RECIPIENT.match(recipient):
        raise ProposalRefused("this is no public key of age (age1 and 58 characters); nothing was enrolled")


def record_partner_key(agreed: Accord, at: dt.datetime) -> None:
    """Enrol a key of a partner, and with the first the partner, inside the transaction that carries the proposal out.

    It ends a suspension: two people have looked again. What the partner had open stays open, and nothing is opened.
    """
    what = {name: str(value) for name, value in agreed.what.items()}
    check_partner(what["partner"], what["recipient"])
    if PartnerKey.objects.filter(recipient=what["recipient"]).exists():
        raise ProposalRefused("this key was enrolled before; a new enrolment takes a new key")
    partner, made = Partner.objects.get_or_create(
        slug=what["partner"], defaults={"name": what["name"], "purpose": what["purpose"], "enrolled_at": at}
    )
    if not made and (partner.name, partner.purpose) != (what["name"], what["purpose"]):
        raise ProposalRefused(f"{partner.slug} is enrolled under another name or purpose; nothing was enrolled")
    if Partner.objects.filter(pk=partner.pk).exclude(suspended_at=None).update(suspended_at=None):
        end_credentials(partner, at=at, by=agreed.people[0])  # of a suspension from before it ended them itself
    key = PartnerKey.objects.create(
        partner=partner, recipient=what["recipient"], proposal=agreed.proposal, enrolled_at=at
    )
    record_quorum([key], people=len(agreed.people))
    audit.append(AuditAct.PARTNER_ENROLLED, at=at, actor=agreed.people[0], about=partner, record=key)


@transaction.atomic
def suspend_partner(partner: Partner, *, by: Person, at: dt.datetime) -> None:
    """From now on nothing goes to the partner by any door, until two people enrol a new key. One person is enough.

    Its password of the feeds ends: once the suspension is lifted it is given a new one, or fetches nothing by it.
    """
    gates.require(by, gates.Act.SUSPEND_PARTNER, at=at)
    if not Partner.objects.filter(pk=partner.pk, suspended_at=None).update(suspended_at=at):
        raise ReleaseRefused(f"{partner.name} is suspended already")
    end_credentials(partner, at=at, by=by)
    audit.append(AuditAct.PARTNER_SUSPENDED, at=at, actor=by, about=partner)


@transaction.atomic
def subscribe_partner(
    partner: Partner, house_list: HouseList, door: Door, *, opted_in_by_name: bool = False, by: Person, at: dt.datetime
) -> Subscription:
    """Open a list to a partner by one door. What is prohibited or nationally illegal the partner must have named.

    Raises ReleaseRefused while it is suspended, where it is open already, or not opted into; Denied.
    """
    gates.require(by, gates.Act.SUBSCRIBE_PARTNER, at=at)
    alone(house_list)
    if Partner.objects.filter(pk=partner.pk).exclude(suspended_at=None).exists():
        raise ReleaseRefused(f"{partner.name} is suspended; nothing was opened")
    if house_list.kind != ListKind.CSAM.value and not opted_in_by_name:
        raise ReleaseRefused(
            f"{house_list.name} is of kind {house_list.kind.replace('_', ' ')}: it is opened to a partner only where "
            "the partner has opted into it by name"
        )
    if Subscription.objects.filter(partner=partner, list=house_list, door=door, ended_at=None).exists():
        raise ReleaseRefused(f"{house_list.name} is open to {partner.name} by that door already")
    opened = Subscription.objects.create(partner=partner, list=house_list, door=door, opened_by=by, opened_at=at)
    _make_canaries(partner, house_list, at=at)
    if door is Door.MATCH:
        tell_partner_lists_changed(partner, at=at)
    audit.append(AuditAct.SUBSCRIPTION_OPENED, at=at, actor=by, about=opened, purpose=door.value, record=opened)
    return opened


@transaction.atomic
def end_subscription(subscription: Subscription, *, by: Person, at: dt.datetime) -> None:
    """Close the list to the partner by that door. Whoever may suspend the partner may; nothing is taken back by it."""
    gates.require(by, gates.Act.SUSPEND_PARTNER, at=at)
    if not Subscription.objects.filter(pk=subscription.pk, ended_at=None).update(ended_at=at):
        raise ReleaseRefused("this is closed already")
    if subscription.door == Door.MATCH:
        tell_partner_lists_changed(subscription.partner, at=at)
    audit.append(AuditAct.SUBSCRIPTION_ENDED, at=at, actor=by, about=subscription, purpose=subscription.door)


def make_missing_canaries(house_list: HouseList, *, at: dt.datetime) -> None:
    """Canaries for whom the list was opened before there was anything on it; part of publishing an edition."""
    for row in Subscription.objects.filter(list=house_list, ended_at=None).select_related("partner").order_by("pk"):
        _make_canaries(row.partner, house_list, at=at)


def _make_canaries(partner: Partner, house_list: HouseList, *, at: dt.datetime) -> None:
    """Once for each partner and list: random values that look like entries of the list in every other respect.

    Nothing while the list has no entry that they could look like.
    """
    if Canary.objects.filter(partner=partner, list=house_list).exists():
        return
    standing = ReleasedEntry.objects.filter(list=house_list, withdrawal=None)
    rows = list(standing.select_related("file").prefetch_related("file__perceptual_hashes").order_by("?")[:_TRIES])
    like = [row for row in rows if "pdq" in row.algorithms and row.file.perceptual_hash] or rows
    if not like:
        return
    made = []
    for _ in range(CANARIES):
        row = secrets.choice(like)
        values, quality = values_of(row.file, row.algorithms, row.file.perceptual_hash)
        made.append(
            Canary(
                partner=partner,
                list=house_list,
                entry=uuid.uuid4().hex,
                values={name: secrets.token_hex(len(value) // 2) for name, value in values.items()},
                quality=quality,
                framework=row.framework,
                framework_version=row.framework_version,
                code=row.code,
                assessments=row.assessments,
                mark=row.mark,
                released_at=row.released_at,
                made_at=at,
            )
        )
    Canary.objects.bulk_create(made)
    audit.append(AuditAct.CANARIES_MADE, at=at, actor=None, about=partner)
