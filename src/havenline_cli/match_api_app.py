"""What each process of the match service runs: the application, and how processes that open files are closed off."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from multiprocessing import util
from typing import Any

from django.core.wsgi import get_wsgi_application


def _made() -> Callable[..., Any]:
    made = get_wsgi_application()
    # Its models can be imported only now that Django is set up.
    from havenline_desk.api import door, hashing
    from havenline_guard.sandbox import close_worker

    hashing.close_off = close_worker
    service = door.service()
    atexit.register(service.stop)
    # A process that multiprocessing started runs its own finalizers and not those of atexit.
    util.Finalize(None, service.stop, exitpriority=10)
    return made


application = _made()
