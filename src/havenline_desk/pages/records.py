"""Settled records for leads and seniors: facts, and what the file says of its origin. No picture, no search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from havenline.frameworks import Question
from havenline.vocabulary import HavenlineError

from .. import evidence
from ..actions.correct_outcome import CorrectionRefused, propose_correction
from ..actions.look_at_text import grant_text_look, note_failed_text_look, use_text_look
from ..agreement import ProposalRefused
from ..gates import Act, acts_of, gate
from ..models import TextReason
from ..queries.origin import NEWEST, house_trends, origin_trends, record_lines, record_page, settled_record
from .errors import COMES_BACK
from .layout import Notice, leave_notice, person_of
from .numbers import whole_number
from .told import told

_FACT = "fact."


@dataclass(frozen=True, slots=True)
class QuestionRow:
    """A question of the form that corrects, with what is chosen and what is wrong with it."""

    question: Question
    chosen: str
    problem: str


@gate(Act.SEE_RECORDS)
def records(request: HttpRequest, reference: str) -> HttpResponse:
    return _records(request, reference, "")


@gate(Act.SEE_RECORDS)
def records_after(request: HttpRequest, reference: str, record: str) -> HttpResponse:
    """The next page: older than that record."""
    return _records(request, reference, record)


@gate(Act.SEE_RECORDS)
def record_of(request: HttpRequest, reference: str, record: str) -> HttpResponse:
    return _page(request, reference, record)


@gate(Act.SEE_RECORDS)
def origin(request: HttpRequest, reference: str) -> HttpResponse:
    trends = origin_trends(reference)
    if trends is None:
        raise Http404
    return render(request, "havenline/origin.html", {"trends": trends})


@gate(Act.SEE_RECORDS)
def house_origin(request: HttpRequest) -> HttpResponse:
    return render(request, "havenline/house_origin.html", {"trends": house_trends(at=timezone.now())})


@gate(Act.READ_ORIGIN_TEXT)
def read_text(request: HttpRequest, reference: str, record: str) -> HttpResponse:
    """One text of the original, once, in this answer alone."""
    settled = settled_record(reference, record)
    if settled is None:
        raise Http404
    place, reason = whole_number(request.POST.get("place", "")), request.POST.get("reason", "")
    if request.method != "POST" or place is None or reason not in TextReason.values:
        return redirect("record_of", reference, record)
    who, session_key = person_of(request), request.session.session_key or ""
    try:
        granted = grant_text_look(
            settled,
            place,
            reason=TextReason(reason),
            person=who,
            session_key=session_key,
            at=timezone.now(),
        )
        look = use_text_look(granted, person=who, session_key=session_key, at=timezone.now())
        try:
            said = evidence.text(look, token=granted)
        except HavenlineError:
            note_failed_text_look(look, at=timezone.now())
            raise
    except COMES_BACK:
        raise
    except HavenlineError as refused:
        return _page(request, reference, record, refused=told(refused))
    shown = "".join(each if each.isprintable() or each == "\n" else "·" for each in said)
    return render(request, "havenline/text.html", {"reference": reference, "record": record, "text": shown})


@gate(Act.CORRECT_OUTCOME)
def propose_correction_of(request: HttpRequest, reference: str, record: str) -> HttpResponse:
    """Propose other answers; an adjudicator agrees to them on the page of proposals."""
    settled = settled_record(reference, record)
    if settled is None:
        raise Http404
    if request.method != "POST":
        return redirect("record_of", reference, record)
    facts = {key.removeprefix(_FACT): str(text) for key, text in request.POST.items() if key.startswith(_FACT) and text}
    reason = request.POST.get("reason", "").strip()
    try:
        propose_correction(settled, facts, reason=reason, person=person_of(request), at=timezone.now())
    except CorrectionRefused as refused:
        return _page(request, reference, record, typed=facts | {"reason": reason}, problems=refused.problems)
    except ProposalRefused as refused:
        problems = {"all": told(refused)}
        return _page(request, reference, record, typed=facts | {"reason": reason}, problems=problems)
    leave_notice(request, Notice.PROPOSED)
    return redirect("record_of", reference, record)


def _records(request: HttpRequest, reference: str, after: str) -> HttpResponse:
    page = record_lines(reference, after=after)
    if page is None:
        raise Http404
    return render(request, "havenline/records.html", {"reference": reference, "page": page, "most": NEWEST})


def _page(
    request: HttpRequest,
    reference: str,
    record: str,
    *,
    refused: str = "",
    typed: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> HttpResponse:
    page = record_page(reference, record)
    if page is None:
        raise Http404
    said, wrong = typed, problems or {}
    rows = [
        QuestionRow(question, (said or page.facts).get(question.id, ""), wrong.get(question.id, ""))
        for question in page.questions
    ]
    shown = {
        "page": page,
        "reasons": TextReason.choices,
        "readable": True,
        "refused": refused,
        "may_correct": Act.CORRECT_OUTCOME in acts_of(person_of(request), at=timezone.now()),
        "rows": rows,
        "reason": (said or {}).get("reason", ""),
        "problems": wrong,
    }
    status = 403 if refused else 422 if wrong else 200
    return render(request, "havenline/record.html", shown, status=status)
