"""Error pages in the look of the desk; each says what happened and what to do."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import loader


def denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return render(request, "havenline/error_403.html", status=403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return render(request, "havenline/error_404.html", status=404)


def unreadable(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Rendered without the frame: a request that cannot be read is not worth a query."""
    return HttpResponse(loader.render_to_string("havenline/error_400.html"), status=400)


def failed(request: HttpRequest) -> HttpResponse:
    """Rendered without the frame: the database itself may be what failed."""
    return HttpResponse(loader.render_to_string("havenline/error_500.html"), status=500)


def unavailable(request: HttpRequest) -> HttpResponse:
    """The audit log cannot be written, so nothing is done; the reason is for whoever runs the machine, in its log."""
    page = loader.render_to_string("havenline/error_503.html")
    return HttpResponse(page, status=503, headers={"Retry-After": "60"})
