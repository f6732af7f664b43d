"""One step of the ladder: asked for by POST, granted, and then shown once. The only module that emits media."""

from __future__ import annotations

import json

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from havenline.vocabulary import HavenlineError

from .. import evidence
from ..actions.grant_reveal import grant_reveal, note_failed_reveal, use_reveal
from ..gates import Act, gate
from ..models import Person
from ..queries.workspace import place_of
from .errors import COMES_BACK
from .exposure import left_for
from .layout import person_of
from .told import told


@gate(Act.WORK)
def ask(request: HttpRequest) -> HttpResponse:
    """JSON {"member": id, "step": 1..4} -> {"url": …}, or {"error": …} with one clear line."""
    if request.method != "POST":
        return redirect("work")
    asked = _asked(request)
    if asked is None:
        return _refused(_("The request could not be read; nothing was shown. Reload the page."), status=400)
    member_id, step = asked
    place = place_of(member_id, person=person_of(request))
    if place is None:
        return _refused(_("This picture is not in the stack of your assignment; nothing was shown."), status=403)
    try:
        token = grant_reveal(
            place.assignment_id,
            person=person_of(request),
            session_key=request.session.session_key or "",
            file_id=place.file_id,
            ladder_step=step,
            at=timezone.now(),
        )
    except COMES_BACK:
        raise
    except HavenlineError as refused:
        return _refused(f"{told(refused)}{_when_it_frees(person_of(request))}", status=403)
    return JsonResponse({"url": reverse("reveal", args=[token])})


@gate(Act.WORK)
def show(request: HttpRequest, token: str) -> HttpResponse:
    """The rendition that was granted, once; whatever is refused is refused alike, as plain text."""
    person, session_key = person_of(request), request.session.session_key or ""
    if request.method != "GET":
        return HttpResponse(_("Nothing was shown."), status=403, content_type="text/plain; charset=utf-8")
    try:
        reveal = use_reveal(token, person=person, session_key=session_key, at=timezone.now())
    except COMES_BACK:
        raise
    except HavenlineError as refused:
        return HttpResponse(told(refused), status=403, content_type="text/plain; charset=utf-8")
    try:
        picture = evidence.rendition(reveal, token=token)
    except HavenlineError as refused:
        note_failed_reveal(reveal, at=timezone.now())
        if isinstance(refused, COMES_BACK):
            raise
        return HttpResponse(told(refused), status=403, content_type="text/plain; charset=utf-8")
    return HttpResponse(picture, content_type="image/webp")


def _when_it_frees(person: Person) -> str:
    """The page may be older than the budget's end, so the refusal itself says when it frees."""
    left = left_for(person)
    if left is None or left.frees_at is None:
        return ""
    return ". " + _("It frees at %(time)s UTC; “Your exposure” shows it") % {"time": f"{left.frees_at:%H:%M}"}


def _asked(request: HttpRequest) -> tuple[int, int] | None:
    try:
        asked = json.loads(request.body)
        member_id, step = asked["member"], asked["step"]
    except (ValueError, KeyError, TypeError):
        return None
    numbers = type(member_id) is int and type(step) is int and 0 < member_id < 2**63
    return (member_id, step) if numbers else None


def _refused(text: str, *, status: int) -> JsonResponse:
    return JsonResponse({"error": text}, status=status)
