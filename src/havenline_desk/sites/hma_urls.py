"""Every route of the interface of Hasher-Matcher-Actioner."""

from __future__ import annotations

from django.urls import path

from ..api import hma

urlpatterns = [
    path("status", hma.status),
]

handler404 = "havenline_desk.api.hma.nowhere"
handler500 = "havenline_desk.api.hma.failed"
