"""Give a partner its password for the feeds it subscribed to, or end it."""

from __future__ import annotations

import datetime as dt
import secrets

from django.db import transaction

from havenline.vocabulary import HavenlineError

from .. import audit, evidence, gates
from ..models import AuditAct, FeedCredential, Partner, Person


class CredentialRefused(HavenlineError):
    """No credential was made or ended; the text says why."""


@transaction.atomic
def make_feed_credential(partner: Partner, *, made_by: Person, at: dt.datetime) -> str:
    """The new password, 256 random bits, to be shown once; the one before is ended. The user's name is the slug.

    It opens nothing by itself: a subscription does. Raises Denied without the role, CredentialRefused while the
    partner is suspended.
    """
    gates.require(made_by, gates.Act.KEEP_FEEDS, at=at)
    partner = Partner.objects.select_for_update().get(pk=partner.pk)
    if partner.suspended_at is not None:
        raise CredentialRefused(f"{partner.slug} is suspended; no credential was made")
    end_credentials(partner, at=at, by=made_by)
    secret = secrets.token_urlsafe(32)
    made = FeedCredential.objects.create(
        partner=partner, digest=evidence.digest_of(secret), made_by=made_by, made_at=at
    )
    audit.append(AuditAct.FEED_CREDENTIAL_MADE, at=at, actor=made_by, about=made, record=made)
    return secret


@transaction.atomic
def end_feed_credential(partner: Partner, *, ended_by: Person, at: dt.datetime) -> None:
    """From now on the partner's password opens nothing. Raises Denied, CredentialRefused where there is none."""
    gates.require(ended_by, gates.Act.KEEP_FEEDS, at=at)
    if not end_credentials(partner, at=at, by=ended_by):
        raise CredentialRefused(f"{partner.slug} has no credential in force; nothing was ended")


def end_credentials(partner: Partner, *, at: dt.datetime, by: Person) -> int:
    """Part of another act, such as a suspension; returns how many were in force."""
    rows = list(FeedCredential.objects.select_for_update().filter(partner=partner, ended_at=None))
    for row in rows:
        row.ended_at = at
        row.save(update_fields=["ended_at"])
        audit.append(AuditAct.FEED_CREDENTIAL_ENDED, at=at, actor=by, about=row)
    return len(rows)
