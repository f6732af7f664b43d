"""Make a key of the match service, and end one: by a person, or because it was used to probe the lists."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import secrets
from collections.abc import Sequence

from django.db import transaction

from havenline.matching.probes import FEWEST
from havenline.vocabulary import NCII, HavenlineError

from .. import audit, gates
from ..models import ApiKey, AuditAct, HouseList, KeyEnd, KeyScope, MatchAlarmKind, Partner, Person, WebhookKind
from .announce import tell_owner
from .keep_match_alarms import raise_match_alarm

PER_MINUTE, PER_DAY = 600, 50_000
MOST_LISTS = 100
SECRET_BEGINS = "hvl_"  # noqa: S105 - what every secret begins with, so that it is known where it was left lying


class ApiKeyRefused(HavenlineError):
    """No key was made or ended; the text says why."""


def digest_of(secret: str) -> str:
    """What is kept of a secret: it has 256 random bits, so that a plain SHA-256 cannot be turned back."""
    return hashlib.sha256(secret.encode()).hexdigest()


@transaction.atomic
def make_api_key(
    name: str,
    scope: KeyScope,
    *,
    partner: Partner | None = None,
    lists: Sequence[str] = (),
    per_minute: int = PER_MINUTE,
    per_day: int = PER_DAY,
    probe_limit: int = FEWEST,
    made_by: Person,
    at: dt.datetime,
) -> tuple[ApiKey, str]:
    """The key and its secret, which is kept nowhere. A partner's key is for one bit, and follows its subscriptions.

    Raises Denied without the role, ApiKeyRefused otherwise. Not checked: that `matchd` has the lists.
    """
    gates.require(made_by, gates.Act.MAKE_API_KEY, at=at)
    if not re.fullmatch(r"[a-z][a-z0-9-]{1,63}", name):
        raise ApiKeyRefused(f"{name!r} is no name of a key: lower-case letters, digits and hyphens, 2 to 64")
    if ApiKey.objects.filter(name=name).exists():
        raise ApiKeyRefused(f"there is a key {name} already, or was; take another name")
    if per_minute < 1 or per_day < 1 or not FEWEST <= probe_limit <= 1000:
        raise ApiKeyRefused(f"quotas are 1 or more, and the limit of close values {FEWEST} to 1,000")
    if partner is not None:
        if scope is not KeyScope.ONE_BIT or lists:
            raise ApiKeyRefused("a partner's key tells one bit, and of the lists that the partner is subscribed to")
        if partner.suspended_at is not None:
            raise ApiKeyRefused(f"{partner.slug} is suspended; no key was made")
    else:
        _check_lists(lists)
    secret = SECRET_BEGINS + secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        name=name,
        scope=scope,
        partner=partner,
        lists=sorted(set(lists)),
        per_minute=per_minute,
        per_day=per_day,
        probe_limit=probe_limit,
        digest=digest_of(secret),
        made_by=made_by,
        made_at=at,
    )
    audit.append(AuditAct.API_KEY_MADE, at=at, actor=made_by, about=key, purpose=scope.value, record=key)
    return key, secret


def _check_lists(lists: Sequence[str]) -> None:
    if not 0 < len(set(lists)) <= MOST_LISTS:
        raise ApiKeyRefused(f"name 1 to {MOST_LISTS} lists that the key is looked up in")
    if len({name.startswith(NCII) for name in lists}) > 1:
        raise ApiKeyRefused(
            "intimate images of adults are no lead of child abuse: make one key for these lists, another for the others"
        )


@transaction.atomic
def end_api_key(key: ApiKey, *, ended_by: Person, at: dt.datetime) -> None:
    """Servers refuse the key within a minute. Raises Denied, or ApiKeyRefused where it has ended already."""
    gates.require(ended_by, gates.Act.END_API_KEY, at=at)
    if not _ended(key, KeyEnd.REVOKED, by=ended_by, at=at):
        raise ApiKeyRefused(f"the key {key.name} has ended already")


@transaction.atomic
def freeze_api_key(key: ApiKey, *, at: dt.datetime) -> None:
    """End a key whose values lay too close to one another, with an alarm; nothing where it has ended already."""
    if _ended(key, KeyEnd.FROZEN, by=None, at=at):
        raise_match_alarm(MatchAlarmKind.PROBING, key=key, at=at)


@transaction.atomic
def raise_leak(key: ApiKey, *, recipient: Partner, house_list: HouseList, at: dt.datetime) -> None:
    """Record that a key asked for a canary of that recipient, where no such alarm is open."""
    raise_match_alarm(MatchAlarmKind.CANARY, key=key, recipient=recipient, house_list=house_list, at=at)


def _ended(key: ApiKey, ending: KeyEnd, *, by: Person | None, at: dt.datetime) -> bool:
    if not ApiKey.objects.filter(pk=key.pk, ended_at=None).update(ended_at=at, ending=ending):
        return False
    tell_owner(key, WebhookKind.KEY_ENDED, {"key": key.name, "ending": ending.value}, at=at)
    audit.append(AuditAct.API_KEY_ENDED, at=at, actor=by, about=key, purpose=ending.value)
    return True
