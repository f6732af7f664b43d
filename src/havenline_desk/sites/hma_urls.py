"""Every route of the interface of Hasher-Matcher-Actioner."""

from __future__ import annotations

from django.urls import path

from ..api import hma

urlpatterns = [
    path("status", hma.status),
    path("status/live", hma.status),
    path("h/hash", hma.hash_file),
    path("m/lookup", hma.lookup),
    path("m/raw_lookup", hma.raw_lookup),
    path("m/compare", hma.compare),
    path("m/index/status", hma.index_status),
    path("c/banks", hma.banks),
    path("c/bank/<str:name>", hma.bank),
    path("c/bank/<str:name>/content", hma.not_here),
    path("c/bank/<str:name>/content/<str:content>", hma.not_here),
    path("c/bank/<str:name>/signal", hma.not_here),
    path("c/exchanges", hma.not_here),
    path("c/exchanges/<path:rest>", hma.not_here),
    path("c/exchange/<path:rest>", hma.not_here),
    path("c/signal_type", hma.not_here),
]

handler404 = "havenline_desk.api.hma.nowhere"
handler500 = "havenline_desk.api.hma.failed"
