"""How a request of a program is let in and its answer let out: by key, at a step of the grid, whatever came of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from havenline_guard.client import MatchdRefused, MatchdUnreachable

from ..gates import Act
from ..models import KeyScope
from . import grid
from .questions import Refused
from .service import Service

Answering = Callable[..., HttpResponse]
"""Called with the service, the key, the request, and the parts of the path."""
Telling = Callable[[Refused], HttpResponse]
_service: Service | None = None


def service() -> Service:
    """That of this process, begun when it is first asked for."""
    global _service
    if _service is None:
        _service = Service(
            home=settings.HOME, matchd=settings.MATCHD, secret=settings.SECRET_KEY, step=settings.MATCH_STEP_NS
        )
        _service.start()
    return _service


def use(made: Service | None) -> None:
    """Answer from that service in this process from now on."""
    global _service
    _service = made


def answer(body: bytes, *, status: int = 200, retry_after: int = 0) -> HttpResponse:
    response = HttpResponse(body, status=status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if retry_after:
        response.headers["Retry-After"] = str(retry_after)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def refusal(refused: Refused) -> HttpResponse:
    """One name, and which item of the question it is about; nothing that was sent comes back."""
    said: dict[str, Any] = {"refused": refused.name}
    if refused.item is not None:
        said["item"] = refused.item
    return answer(json.dumps(said).encode(), status=refused.status, retry_after=refused.retry_after)


def body_of(request: HttpRequest, *, most: int) -> bytes:
    """The body, `most` bytes at most. Raises Refused."""
    length = request.headers.get("Content-Length") or "0"
    if not length.isdigit() or int(length) > most:
        raise Refused("too_large", 413)
    body = request.read(most + 1)
    if len(body) > most:
        raise Refused("too_large", 413)
    return body


def keyed(
    *scopes: KeyScope, methods: tuple[str, ...] = ("POST",), tell: Telling = refusal
) -> Callable[[Answering], Callable[..., HttpResponse]]:
    """Let a view run only for a key of one of `scopes`. `tell` gives a refusal the form that its callers know."""

    def decorate(view: Answering) -> Callable[..., HttpResponse]:
        @csrf_exempt
        @wraps(view)
        def gated(request: HttpRequest, **parts: str) -> HttpResponse:
            asked = time.monotonic_ns()
            here = service()
            held = None
            try:
                held = here.key_of(request.headers.get("Authorization", ""), scopes)
                if request.method not in methods:
                    raise Refused("post_only", 405)
                response = view(here, held, request, **parts)
            except Refused as refused:
                if held is not None and refused.status < 429:
                    here.note_refused(held)
                response = tell(refused)
            except (MatchdRefused, MatchdUnreachable):
                response = tell(Refused("unavailable", 503, retry_after=5))
            grid.wait_for_it(asked, step=here.step)
            return response

        gated.act = Act.USE_MATCH_API  # type: ignore[attr-defined]
        return gated

    return decorate


def open_to_all(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Whether the service answers, and how it is asked: open to every program that reaches it."""
    view.act = Act.USE_MATCH_API  # type: ignore[attr-defined]
    return view
