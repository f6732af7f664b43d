"""The assessment workspace. No address names an item: everything is about the one assignment its holder has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from havenline.frameworks import Question

from .. import evidence, gates
from ..actions.hold_submission import hold_submission, record_held, take_back
from ..actions.skip_assignment import skip_assignment
from ..actions.start_calibration import continue_calibration
from ..actions.submit_assessment import SubmissionRefused
from ..actions.take_next import take_next
from ..gates import Act, Denied, gate
from ..models import CalibrationResult, SkipReason, Step
from ..pace import PauseDue, pace_of
from ..queries.escalations import contacts
from ..queries.home import Start, done_since, start_of
from ..queries.workspace import NearPicture, Workspace, open_workspace, pools_to_pass_to
from ..waiting import TAKEN_BACK_WITHIN, held_by, open_in_the_name_of
from .exposure import left_for
from .layout import Notice, leave_notice, person_of
from .numbers import whole_number
from .session import session_began
from .words import workspace_words

_FACT, _MEMBER = "fact.", "member."
_SAME = {"same": True, "different": False}
_MEDIA_NAMES = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/webp": "WebP",
    "image/avif": "AVIF",
    "image/tiff": "TIFF",
    "image/bmp": "BMP",
    "image/heic": "HEIC",
    "video/mp4": "MP4",
    "video/quicktime": "QuickTime",
    "video/webm": "WebM",
    "video/x-matroska": "Matroska",
    "video/x-msvideo": "AVI",
    "video/mpeg": "MPEG",
    "video/mp2t": "MPEG",
}


@dataclass(frozen=True, slots=True)
class Typed:
    """What a submitted form held, kept so that a refusal loses nothing."""

    facts: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[int, str] = field(default_factory=dict)
    active_seconds: Decimal | None = Decimal(0)


@dataclass(frozen=True, slots=True)
class QuestionRow:
    question: Question
    chosen: str
    problem: str
    conditional: bool


@dataclass(frozen=True, slots=True)
class NearRow:
    picture: NearPicture
    chosen: str


@gate(Act.WORK)
def work(request: HttpRequest) -> HttpResponse:
    if open_in_the_name_of(person_of(request)).filter(step=Step.QUALITY).exists():
        return redirect("look")
    workspace = open_workspace(person_of(request), at=timezone.now())
    if workspace is None:
        return _nothing_open(request)
    return _page(request, workspace, Typed(), {})


@gate(Act.WORK)
def start(request: HttpRequest) -> HttpResponse:
    """Take the next assignment, or renew the lease of the one already held."""
    if request.method == "POST":
        _take(request)
    return redirect("work")


@gate(Act.WORK)
def skip(request: HttpRequest) -> HttpResponse:
    """Pass the item on with a reason; without one nothing happens, and the page says so."""
    if request.method != "POST":
        return redirect("work")
    assignment_id = whole_number(request.POST.get("assignment", ""))
    reason = request.POST.get("reason", "")
    if reason not in SkipReason.values:
        leave_notice(request, Notice.WHY_SKIPPED)
        return redirect("work")
    skipped = assignment_id is not None and skip_assignment(
        assignment_id,
        person=person_of(request),
        reason=SkipReason(reason),
        pool=request.POST.get("pool", ""),
        at=timezone.now(),
    )
    leave_notice(request, Notice.SKIPPED if skipped else Notice.NOT_YOURS)
    return redirect("work")


@gate(Act.WORK)
def left(request: HttpRequest) -> HttpResponse:
    """The parts of the workspace that a view may have changed: the budget, and whether a pause is due."""
    person = person_of(request)
    page = {"left": left_for(person), "pace": pace_of(person, at=timezone.now())}
    return render(request, "havenline/left.html", page)


@gate(Act.WORK)
def submit(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return redirect("work")
    person, at = person_of(request), timezone.now()
    assignment_id = whole_number(request.POST.get("assignment", ""))
    if assignment_id is None or not open_in_the_name_of(person).filter(pk=assignment_id).exists():
        leave_notice(request, Notice.NOT_YOURS)
        return redirect("work")
    typed = _typed(request)
    if typed.active_seconds is None:
        unread = _("The page's clock could not be read, so nothing was recorded. Your answers are kept; submit again.")
        return _refused(request, typed, {"active_seconds": unread})
    try:
        hold_submission(
            assignment_id,
            person=person,
            facts=typed.facts,
            same={member: _SAME[answer] for member, answer in typed.members.items()},
            active_seconds=typed.active_seconds,
            at=at,
        )
    except SubmissionRefused as refused:
        return _refused(request, typed, refused.problems)
    return redirect("work")


@gate(Act.WORK)
def undo(request: HttpRequest) -> HttpResponse:
    """Take back what was submitted a moment ago: the item is open again, with every answer as it was."""
    if request.method != "POST":
        return redirect("work")
    person, at = person_of(request), timezone.now()
    taken_back = take_back(person=person, at=at)
    workspace = open_workspace(person, at=at)
    if taken_back is None or workspace is None:
        leave_notice(request, Notice.TOO_LATE)
        return redirect("work")
    typed = Typed(
        facts=taken_back.facts,
        members={int(member): "same" if same else "different" for member, same in taken_back.same.items()},
        active_seconds=taken_back.active_seconds,
    )
    return _page(request, workspace, typed, {})


@gate(Act.WORK)
def record(request: HttpRequest) -> HttpResponse:
    """The seconds are over: record what is held, and hand out nothing."""
    if request.method == "POST" and record_held(person=person_of(request), at=timezone.now()) is not None:
        leave_notice(request, Notice.RECORDED)
    return redirect("work")


def _take(request: HttpRequest) -> None:
    person, at = person_of(request), timezone.now()
    try:
        ended = continue_calibration(person, at=at)
    except PauseDue:
        return  # as below
    if isinstance(ended, CalibrationResult):
        ending = Notice.CALIBRATED if ended.passed else Notice.NOT_CALIBRATED
        leave_notice(request, Notice.CALIBRATION_OUTDATED if ended.outdated else ending)
    if ended is not None:
        return
    if gates.acts_of(person, at=at).isdisjoint({Act.TAKE_ASSESSMENT, Act.TAKE_DISPUTE}):
        return
    try:
        take_next(person, at=at)
    except Denied:
        leave_notice(request, Notice.NOT_CERTIFIED)
    except PauseDue:
        pass  # the page that follows says until when


def _refused(request: HttpRequest, typed: Typed, problems: Mapping[str, str]) -> HttpResponse:
    """The page again, with what was typed; where somebody has taken the item over meanwhile, it is not theirs."""
    workspace = open_workspace(person_of(request), at=timezone.now())
    if workspace is None:
        leave_notice(request, Notice.NOT_YOURS)
        return redirect("work")
    return _page(request, workspace, typed, problems)


def _page(request: HttpRequest, workspace: Workspace, typed: Typed, problems: Mapping[str, str]) -> HttpResponse:
    asked = {question.id for question in workspace.questions}
    context: dict[str, Any] = {
        "workspace": workspace,
        "rows": [
            QuestionRow(
                question=question,
                chosen=typed.facts.get(question.id, ""),
                problem=problems.get(question.id, ""),
                conditional=bool(question.asked_when.tests),
            )
            for question in workspace.questions
        ],
        "near_rows": [NearRow(picture, typed.members.get(picture.member_id, "")) for picture in workspace.near],
        "active_seconds": typed.active_seconds or Decimal(0),
        "problems": problems,
        "film_not_opened": workspace.film is not None and not evidence.shows_films(),
        "media_name": _MEDIA_NAMES.get(workspace.media_type, ""),
        "differing": [fact for fact in workspace.disputed if fact.differs],
        "agreeing": [fact for fact in workspace.disputed if not fact.differs],
        "other_problems": [text for key, text in problems.items() if key not in asked],
        "form_description": {
            "form": workspace.form,
            "third": workspace.third,
            "words": workspace_words(film=workspace.film is not None),
        },
        "skip_reasons": SkipReason.choices,
        "pools": pools_to_pass_to(),
        "contacts": contacts(),
        "done": done_since(person_of(request), since=session_began(request)),
        "left": left_for(person_of(request)),
        "pace": pace_of(person_of(request), at=timezone.now()),
    }
    return render(request, "havenline/workspace.html", context, status=422 if problems else 200)


def _nothing_open(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    waiting = start_of(person, at=timezone.now())
    return render(
        request,
        "havenline/nothing_open.html",
        {
            "start": waiting,
            "may_start": waiting in {Start.WAITING, Start.CONTINUE, Start.CALIBRATING},
            "held": held_by(person),
            "undo_seconds": int(TAKEN_BACK_WITHIN.total_seconds()),
            "done": done_since(person, since=session_began(request)),
            "left": left_for(person),
            "pace": pace_of(person, at=timezone.now()),
        },
    )


def _typed(request: HttpRequest) -> Typed:
    """An empty answer is no answer; an answer about a picture counts only as one of the two words offered."""
    posted = {key: str(value) for key, value in request.POST.items()}
    members = {
        member: value
        for key, value in posted.items()
        if key.startswith(_MEMBER) and value in _SAME
        if (member := whole_number(key.removeprefix(_MEMBER))) is not None
    }
    return Typed(
        facts={key.removeprefix(_FACT): value for key, value in posted.items() if key.startswith(_FACT) and value},
        members=members,
        active_seconds=_seconds(posted.get("active_seconds", "")),
    )


def _seconds(text: str) -> Decimal | None:
    try:
        seconds = Decimal(text)
    except InvalidOperation:
        return None
    return seconds if seconds.is_finite() and 0 <= seconds < 10**6 else None
