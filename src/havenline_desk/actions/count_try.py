"""Count an attempt to sign in, and refuse where there were too many. The database counts; a restart forgets none."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction

from havenline.vocabulary import HavenlineError

from .. import audit, factors
from ..models import AuditAct, Person

WINDOW = dt.timedelta(minutes=15)


class Throttled(HavenlineError):
    """Too many attempts; nothing was checked. `wait` is how long until the next one counts again."""

    def __init__(self, wait: dt.timedelta) -> None:
        minutes = math.ceil(wait / dt.timedelta(minutes=1))
        super().__init__(f"too many attempts: wait {minutes} {'minute' if minutes == 1 else 'minutes'} and try again")
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Tried:
    """What an attempt was counted under, so that one that succeeds can be taken back."""

    address: str
    account: str


def count_try(*, name: str | None, address: str, at: dt.datetime) -> Tried:
    """Count one attempt from `address`, and for the account `name` where one was typed, before anything is checked.

    Raises Throttled for each attempt beyond the N-th within 15 minutes of the first, right or wrong; whether the
    account exists makes no difference. Only keyed digests of name and address are kept. Call it outside a
    transaction: an attempt counts even when what follows fails.
    """
    tried = Tried(
        factors.keyed_digest("throttle", "address", address),
        factors.keyed_digest("throttle", "account", name) if name is not None else "",
    )
    _count(tried.address, settings.SIGN_IN_TRIES_PER_ADDRESS, about=None, what="address", at=at)
    if name is not None:
        person = Person.objects.filter(name=name).first()
        _count(tried.account, settings.SIGN_IN_TRIES_PER_ACCOUNT, about=person, what="account", at=at)
    return tried


def _count(key: str, most: int, *, about: Person | None, what: str, at: dt.datetime) -> None:
    """One statement, so that workers that count at once count one after another. A clock set back ends no window."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO desk_throttle AS held (key, tries, since) VALUES (%(key)s, 1, %(at)s)
            ON CONFLICT (key) DO UPDATE SET
                tries = CASE WHEN held.since <= %(over)s THEN 1 ELSE held.tries + 1 END,
                since = CASE WHEN held.since <= %(over)s THEN %(at)s ELSE least(held.since, %(at)s) END
            RETURNING tries, since
            """,
            {"key": key, "at": at, "over": at - WINDOW},
        )
        tries, since = cursor.fetchone()
    if tries == most + 1:  # once for each window, so that a flood of attempts is no flood of entries
        with transaction.atomic():
            audit.append(AuditAct.SIGN_IN_THROTTLED, at=at, actor=None, about=about, purpose=what)
    if tries > most:
        raise Throttled(since + WINDOW - at)
