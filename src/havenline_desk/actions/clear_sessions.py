"""Clear what browsers were remembered by, once it counts no more."""

from __future__ import annotations

import datetime as dt

from django.contrib.sessions.models import Session


def clear_sessions(*, at: dt.datetime) -> int:
    """Delete the browser sessions that had run out by `at`, and return how many there were.

    They grant nothing any more: whether a person's session is in force is said by its own row, which stays, as does
    the log. Most of them are of visitors who never signed in.
    """
    deleted, _ = Session.objects.filter(expire_date__lte=at).delete()
    return deleted
