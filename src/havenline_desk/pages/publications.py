"""A publication before it is released, to who proposed it and who may agree: the very files that would be public."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from ..gates import Act, gate
from ..queries.publications import PAGE, PDF, file_of, preview_of
from .layout import person_of

_TYPES = {
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "md": "text/plain; charset=utf-8",
    "ttf": "font/ttf",
    "pdf": "application/pdf",
}
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""A publication brings its styles in its page and its letters in its folder; nothing of it runs or asks others."""


@gate(Act.SEE_PROPOSALS)
def publication(request: HttpRequest, name: str) -> HttpResponse:
    preview = preview_of(name, person_of(request), at=timezone.now())
    if preview is None:
        raise Http404
    shown = {"preview": preview, "page": PAGE, "pdf": PDF}
    return render(request, "havenline/publication.html", shown, status=409 if preview.problem else 200)


@gate(Act.SEE_PROPOSALS)
def publication_file(request: HttpRequest, name: str, file: str) -> HttpResponse:
    """One file as it would be public, or nothing where it is not what the manifest names."""
    content = file_of(name, file, person_of(request), at=timezone.now())
    if content is None:
        raise Http404
    response = HttpResponse(content, content_type=_TYPES.get(file.rpartition(".")[2], "application/octet-stream"))
    response.headers["Content-Security-Policy"] = _POLICY
    return response
