"""One's own calibration on drawn pictures: begin, go on in the ordinary workspace, see how it ended."""

from __future__ import annotations

from contextlib import suppress

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from ..actions.set_up_calibration import CalibrationRefused
from ..actions.start_calibration import continue_calibration, start_calibration
from ..gates import Act, gate
from ..pace import PauseDue
from ..queries.calibration import own_calibration
from .layout import person_of


@gate(Act.OPEN_CALIBRATION)
def calibration(request: HttpRequest) -> HttpResponse:
    return _page(request, "")


@gate(Act.OPEN_CALIBRATION)
def begin(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return redirect("calibration")
    person, at = person_of(request), timezone.now()
    try:
        start_calibration(person, at=at)
    except CalibrationRefused as refused:
        return _page(request, str(refused))
    with suppress(PauseDue):  # the page that follows says until when
        continue_calibration(person, at=at)
    return redirect("work")


def _page(request: HttpRequest, problem: str) -> HttpResponse:
    own = own_calibration(person_of(request), at=timezone.now())
    status = 409 if problem else 200
    return render(request, "havenline/calibration.html", {"own": own, "problem": problem}, status=status)
