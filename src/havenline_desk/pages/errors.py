"""Error pages in the look of the desk; each says what happened and what to do."""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import loader

from havenline_guard.keyd_client import KeydUnreachable

from ..audit import AuditDamaged, AuditUnavailable
from ..evidence import ContentUnreachable

COMES_BACK = (AuditDamaged, AuditUnavailable, ContentUnreachable, KeydUnreachable, InterfaceError, OperationalError)
"""What is mended outside: nothing was done, and the same request may be made again later."""


def denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return render(request, "havenline/error_403.html", status=403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return render(request, "havenline/error_404.html", status=404)


def unreadable(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Rendered without the frame: a request that cannot be read is not worth a query."""
    return HttpResponse(loader.render_to_string("havenline/error_400.html"), status=400)


def failed(request: HttpRequest) -> HttpResponse:
    """Rendered without the frame: the database itself may be what failed, and then the desk comes back with it."""
    if isinstance(sys.exc_info()[1], COMES_BACK):
        return unavailable(request)
    return HttpResponse(loader.render_to_string("havenline/error_500.html"), status=500)


def unavailable(request: HttpRequest) -> HttpResponse:
    """Database or audit log cannot be written, so nothing is done; the reason is for whoever runs the machine."""
    page = loader.render_to_string("havenline/error_503.html")
    return HttpResponse(page, status=503, headers={"Retry-After": "60"})
