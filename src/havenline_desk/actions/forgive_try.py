"""Take back the count of an attempt to sign in that succeeded."""

from __future__ import annotations

import datetime as dt

from django.db import connection

from ..models import Throttle
from .count_try import Tried

_FORGOTTEN_AFTER = dt.timedelta(days=1)


def forgive_try(tried: Tried, *, signed_in: bool, at: dt.datetime) -> None:
    """It succeeded: take this one attempt back, and start the account anew where the person is signed in by it.

    A right password alone starts nothing anew, or it would buy endless guesses at the second factor.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE desk_throttle SET tries = greatest(tries - 1, 0) WHERE key = ANY (%s)",
            [[tried.address, tried.account]],
        )
    if signed_in:
        Throttle.objects.filter(key=tried.account).update(tries=0)
        Throttle.objects.filter(since__lt=at - _FORGOTTEN_AFTER).delete()
