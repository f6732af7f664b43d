"""Response headers that belong on every page of the staff desk."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from ..pages.errors import COMES_BACK, unavailable


def never_stored(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """No page or rendition of the desk may stay in a cache, a history or another site's frame."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers["Cache-Control"] = "no-store"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers["Cross-Origin-Embedder-Policy"] = "require-corp"
        response.headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=(), display-capture=()"
        return response

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
