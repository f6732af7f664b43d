"""One's own shift: what one leaves out today, and its end."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.contrib import auth
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from ..actions.end_session import end_session
from ..actions.end_shift import end_shift
from ..actions.keep_shift import opt_out
from ..gates import Act, gate
from ..models import Ending, MediaKind
from ..queries.home import done_since
from ..queries.shift import open_investigations, pools_of, shift_page, talk_to
from ..queries.sign_in import session_of
from .layout import Notice, leave_notice, person_of
from .session import session_began


@gate(Act.KEEP_SHIFT)
def shift(request: HttpRequest) -> HttpResponse:
    """Leave out exactly what is ticked; what cannot be left out is named, and nothing is changed."""
    if request.method != "POST":
        return _page(request)
    person, at = person_of(request), timezone.now()
    ticked = {name: request.POST.getlist(name) for name in ("media", "pool", "investigation")}
    mine = {pool.name: pool for pool in pools_of(person)}
    known = {one.reference: one for one in open_investigations()}
    problems = {}
    if not set(ticked["media"]) <= set(MediaKind.values):
        problems["media"] = _("there is no such kind; nothing was changed")
    if not set(ticked["pool"]) <= mine.keys():
        problems["pool"] = _("you are in no such pool; nothing was changed")
    if not set(ticked["investigation"]) <= known.keys():
        problems["investigation"] = _("there is no such investigation any more; nothing was changed")
    if problems:
        return _page(request, ticked, problems)
    opt_out(
        person,
        pools=[mine[name] for name in dict.fromkeys(ticked["pool"])],
        investigations=[known[name] for name in dict.fromkeys(ticked["investigation"])],
        media=[MediaKind(name) for name in dict.fromkeys(ticked["media"])],
        at=at,
    )
    leave_notice(request, Notice.LEFT_OUT)
    return redirect("shift")


@gate(Act.KEEP_SHIFT)
def end(request: HttpRequest) -> HttpResponse:
    """Put everything away and sign out; the last page says whom one can talk to."""
    if request.method != "POST":
        return redirect("shift")
    person, at = person_of(request), timezone.now()
    done = done_since(person, since=session_began(request))
    end_shift(person, at=at)
    session = session_of(request)
    if session is not None:
        end_session(session, Ending.SIGNED_OUT, by=person, at=at)
    auth.logout(request)
    response = render(request, "havenline/shift_over.html", {"done": done, "talk_to": talk_to()})
    response.headers["Clear-Site-Data"] = '"cache", "cookies", "storage"'
    return response


def _page(
    request: HttpRequest,
    ticked: Mapping[str, Collection[str]] | None = None,
    problems: Mapping[str, str] | None = None,
) -> HttpResponse:
    page = {
        "page": shift_page(person_of(request), at=timezone.now()),
        "ticked": ticked,
        "problems": problems or {},
    }
    return render(request, "havenline/shift.html", page, status=422 if problems else 200)
