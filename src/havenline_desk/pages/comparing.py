"""Two pictures of the third person's assignment, compared one to one: numbers and a coarse map; nothing is kept."""

from __future__ import annotations

import json

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from havenline.provenance.derived import NOT_SHOWN, Cell, Comparison, compare
from havenline.vocabulary import HavenlineError

from .. import evidence
from ..actions.grant_reveal import grant_comparison, note_failed_reveal, use_reveal
from ..gates import Act, gate
from ..queries.workspace import compared_places
from .errors import COMES_BACK
from .layout import person_of

MAY_BE, MUCH = 0.5, 0.95


@gate(Act.WORK)
def compare_pictures(request: HttpRequest) -> HttpResponseBase:
    """JSON {"member": id} -> what was found, or {"error": …} with one clear line."""
    if request.method != "POST":
        return redirect("work")
    member = _member(request)
    places = None if member is None else compared_places(member, person=person_of(request))
    if places is None:
        return _refused(_("These pictures are not two of the stack of your assignment; nothing was compared."))
    at, who = timezone.now(), person_of(request)
    session_key = request.session.session_key or ""
    try:
        files = (places[0].file_id, places[1].file_id)
        tokens = grant_comparison(places[0].assignment_id, person=who, session_key=session_key, file_ids=files, at=at)
        planes = []
        for token in tokens:
            reveal = use_reveal(token, person=who, session_key=session_key, at=timezone.now())
            try:
                planes.append(evidence.grey(reveal, token=token))
            except HavenlineError:
                note_failed_reveal(reveal, at=timezone.now())
                raise
    except COMES_BACK:
        raise
    except HavenlineError as refused:
        return _refused(str(refused))
    return JsonResponse(_told(compare(*planes)))


def _member(request: HttpRequest) -> int | None:
    try:
        member = json.loads(request.body)["member"]
    except (ValueError, KeyError, TypeError):
        return None
    return member if type(member) is int and 0 < member < 2**63 else None


def _told(found: Comparison) -> dict[str, object]:
    """In words and as rows of the map, a letter a cell: alike, differs, outside, too plain to say."""
    letters = {Cell.ALIKE: "a", Cell.DIFFERS: "d", Cell.OUTSIDE: "o", Cell.PLAIN: "p"}
    lines = [_said(found)]
    if found.cells and found.score >= MAY_BE:
        lines.append(
            _("Laid over it: %(scale)s times the size, turned by %(turn)s°, covering %(overlap)s %% of picture 1.")
            % {"scale": f"{found.scale:.2f}", "turn": f"{found.turn:.0f}", "overlap": round(100 * found.overlap)}
        )
        if found.mirrored:
            lines.append(_("It is mirrored."))
        lines.append(
            _("They differ in %(part)s %% of what could be compared.") % {"part": round(100 * found.differing)}
        )
    lines.append(_("Does not show %(what)s.") % {"what": NOT_SHOWN})
    shown = found.cells if found.score >= MAY_BE else ()
    return {"lines": lines, "cells": ["".join(letters[cell] for cell in row) for row in shown]}


def _said(found: Comparison) -> str:
    said = {"pairs": found.pairs, "score": f"{found.score:.2f}"}
    if found.score >= MUCH:
        return _("Much of it lies alike: %(pairs)s corners agree, score %(score)s on drawn pictures.") % said
    if found.score >= MAY_BE:
        return _("Some of it may lie alike: %(pairs)s corners agree, score %(score)s on drawn pictures.") % said
    return _("No likeness was found: score %(score)s on drawn pictures.") % said


def _refused(text: str) -> JsonResponse:
    return JsonResponse({"error": text}, status=403)
