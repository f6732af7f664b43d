"""The feed in NCMEC's form as a process of its own: none of the desk's pages, sessions or middleware is in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import django
from django.db import close_old_connections
from django.utils import timezone

django.setup()

from ..api.ncmec_feed import NcmecFeed, StartResponse  # noqa: E402 - the tables are there only now

_FEED = NcmecFeed(now=timezone.now)


def application(environ: Mapping[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """What granian asks. A connection that the database closed is opened anew, as for pages."""
    close_old_connections()
    return _FEED(environ, start_response)
