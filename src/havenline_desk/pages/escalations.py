"""Escalations: raise one from the workspace, take one over, refer at once, co-sign, close."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from ..actions.escalate import EscalationRefused, raise_escalation, record_stage
from ..gates import Act, Denied, gate
from ..models import EscalationStage
from ..queries.escalations import contacts, escalation_lines, escalation_of, waiting_escalations
from .layout import Notice, leave_notice, person_of
from .numbers import whole_number


@gate(Act.SEE_ESCALATIONS)
def escalations(request: HttpRequest) -> HttpResponse:
    return _page(request, {})


@gate(Act.ESCALATE)
def escalate(request: HttpRequest) -> HttpResponse:
    """Raise the clock for the item that this person has open."""
    if request.method == "POST":
        number = whole_number(request.POST.get("assignment", ""))
        try:
            raise_escalation(number or 0, person=person_of(request), at=timezone.now())
        except EscalationRefused as refused:
            return _page(request, {"refused": str(refused)})
        leave_notice(request, Notice.ESCALATED)
    return redirect("escalations")


@gate(Act.SEE_ESCALATIONS)
def stage(request: HttpRequest) -> HttpResponse:
    """Record one stage of one escalation; a refusal keeps what was typed."""
    if request.method != "POST":
        return redirect("escalations")
    person, at = person_of(request), timezone.now()
    number = whole_number(request.POST.get("escalation", ""))
    escalation = escalation_of(number, person, at=at) if number is not None else None
    wanted = request.POST.get("stage", "")
    if escalation is None or wanted not in EscalationStage.values:
        return _page(request, {"refused": "that escalation is not open to you; nothing was recorded"})
    reference = request.POST.get("reference", "")
    try:
        record_stage(escalation, EscalationStage(wanted), person=person, reference=reference, at=at)
    except (EscalationRefused, Denied) as refused:
        return _page(request, {"refused_at": escalation.pk, "refused": str(refused), "typed": reference})
    return redirect("escalations")


@gate(Act.SEE_ESCALATIONS)
def escalations_waiting(request: HttpRequest) -> JsonResponse:
    """How many wait to be taken over; asked by every page of those who may."""
    return JsonResponse({"waiting": waiting_escalations(person_of(request), at=timezone.now())})


def _page(request: HttpRequest, more: Mapping[str, Any]) -> HttpResponse:
    lines = escalation_lines(person_of(request), at=timezone.now())
    context = {"lines": lines, "contacts": contacts(), "now": timezone.now()} | dict(more)
    return render(request, "havenline/escalations.html", context, status=422 if more else 200)
