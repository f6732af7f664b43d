"""Link an account of the organisation's OpenID Connect provider to a person, and unlink it."""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db import transaction

from .. import audit
from ..models import AuditAct, Ending, LinkedAccount, Person
from .change_factors import FactorsUnchanged
from .end_session import end_sessions


@transaction.atomic
def link_account(person: Person, subject: str, *, at: dt.datetime) -> LinkedAccount:
    """`subject` is the provider's `sub` of the account: it never changes and is given to nobody else.

    Raises FactorsUnchanged when no provider is configured, or somebody is linked to that account.
    """
    if not settings.OIDC_ISSUER:
        raise FactorsUnchanged("no provider is configured: set HAVENLINE_OIDC_ISSUER first")
    if LinkedAccount.objects.filter(issuer=settings.OIDC_ISSUER, subject=subject, removed_at=None).exists():
        raise FactorsUnchanged("this account is linked to a person already")
    linked = LinkedAccount.objects.create(person=person, issuer=settings.OIDC_ISSUER, subject=subject, linked_at=at)
    audit.append(AuditAct.ACCOUNT_LINKED, at=at, actor=None, about=linked, record=linked)
    return linked


@transaction.atomic
def unlink_accounts(person: Person, *, at: dt.datetime) -> int:
    """Unlink every account of `person` and end their sessions; returns how many accounts that were."""
    live = list(LinkedAccount.objects.select_for_update().filter(person=person, removed_at=None))
    for linked in live:
        linked.removed_at = at
        linked.save(update_fields=["removed_at"])
        audit.append(AuditAct.ACCOUNT_UNLINKED, at=at, actor=None, about=linked)
    if live:
        end_sessions(person, Ending.FACTORS, by=None, at=at)
    return len(live)
