"""Around every page of the staff desk: headers, sessions that are still in force, an answer without a log."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from ..actions.end_session import hold_session
from ..models import Person
from ..pages.errors import COMES_BACK, unavailable
from ..queries.sign_in import session_of

_PERMISSIONS = (
    "camera=(), microphone=(), geolocation=(), display-capture=(), "
    "publickey-credentials-get=(self), publickey-credentials-create=(self)"
)

_ASKED_BY_PAGES = ("/escalations/waiting", "/import/progress")
"""What pages ask for now and then while nobody may be there; a session that is idle ends all the same."""


def never_stored(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """No page or rendition of the desk may stay in a cache, a history or another site's frame."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers["Cache-Control"] = "no-store"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers["Cross-Origin-Embedder-Policy"] = "require-corp"
        response.headers["Permissions-Policy"] = _PERMISSIONS
        return response

    return middleware


def sessions_in_force(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Whoever was idle, signed in too long, or ended elsewhere is a stranger from this request on."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if isinstance(request.user, Person):
            session = session_of(request)
            try:
                held = session is not None and hold_session(
                    session, by_itself=request.path.endswith(_ASKED_BY_PAGES), at=timezone.now()
                )
            except COMES_BACK:
                return unavailable(request)
            if not held:
                request.session.flush()
                request.user = AnonymousUser()
        return get_response(request)

    return middleware


def refused_without_log(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """No log, no act: where database, audit log or `keyd` cannot be had, say so and say when to come back."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        return get_response(request)

    def refused(request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        return unavailable(request) if isinstance(exception, COMES_BACK) else None

    middleware.process_exception = refused  # type: ignore[attr-defined]
    return middleware
