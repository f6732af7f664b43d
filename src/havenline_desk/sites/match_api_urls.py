"""Every route of the match service."""

from __future__ import annotations

from django.urls import path

from ..api import match

urlpatterns = [
    path("ready", match.ready),
    path("v1/openapi.json", match.document),
    path("v1/match/hashes", match.match_hashes),
    path("v1/match/file", match.match_file),
    path("v1/staff/match/hashes", match.staff_hashes),
    path("v1/staff/match/file", match.staff_file),
]

handler404 = "havenline_desk.api.match.nowhere"
handler500 = "havenline_desk.api.match.failed"
