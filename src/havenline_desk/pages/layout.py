"""What every page shows around its own matter: who is signed in, where they may go, what was just recorded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .. import gates
from ..models import InstallationKind, Person, Policy
from ..queries.escalations import waiting_escalations


class Notice(StrEnum):
    """One line shown once on the next page; only these, so that nothing of a case ends up in a session."""

    RECORDED = "recorded"
    TOO_LATE = "too_late"
    SKIPPED = "skipped"
    ESCALATED = "escalated"
    WHY_SKIPPED = "why_skipped"
    NOT_YOURS = "not_yours"
    NOT_CERTIFIED = "not_certified"
    AGREED = "agreed"
    CARRIED_OUT = "carried_out"
    CANCELLED = "cancelled"
    CALIBRATED = "calibrated"
    NOT_CALIBRATED = "not_calibrated"
    CALIBRATION_OUTDATED = "calibration_outdated"
    LIMIT_LOWERED = "limit_lowered"
    SET_ASIDE = "set_aside"
    FREED = "freed"
    PROPOSED = "proposed"
    ROLE_TAKEN = "role_taken"
    CLOSED = "closed"
    LEFT_OUT = "left_out"
    CARE_DECLARED = "care_declared"
    BUDGET_LOWERED = "budget_lowered"
    IMPORT_ASKED = "import_asked"
    IMPORT_STOPPED = "import_stopped"
    LIST_SUSPENDED = "list_suspended"
    LIST_RESUMED = "list_resumed"
    FRAMEWORK_IMPORTED = "framework_imported"
    FRAMEWORK_ADDED = "framework_added"
    DONE = "done"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"
    SUSPENDED = "suspended"


NOTICES: dict[Notice, Promise] = {
    Notice.RECORDED: _("Recorded."),
    Notice.TOO_LATE: _("Too late to take it back: it is recorded. A correction is a matter for the lead."),
    Notice.SKIPPED: _("Passed on, and remembered: you are not handed it again. None of your answers were kept."),
    Notice.ESCALATED: _("The clock runs. Telephone the contact below now; the item stays open in your name."),
    Notice.WHY_SKIPPED: _("Nothing was passed on: say why, so that it is not handed to you again."),
    Notice.NOT_YOURS: _("That item was no longer yours, so nothing was recorded for it. It is still in the queue."),
    Notice.AGREED: _("You agreed. It is not done yet: carry it out below, or leave that to who proposed it."),
    Notice.CARRIED_OUT: _("Carried out, and recorded with the names of both."),
    Notice.CANCELLED: _("Cancelled. It cannot be carried out any more."),
    Notice.NOT_CERTIFIED: _("Nothing new was assigned: your certificate has run out."),
    Notice.CALIBRATED: _("Passed: your certificate is in date. Items can be assigned to you."),
    Notice.NOT_CALIBRATED: _("Not passed this time. Talk it over, and calibrate again with new pictures."),
    Notice.CALIBRATION_OUTDATED: _(
        "Havenline was renewed and draws other pictures now: that session is ended and counts as nothing. Begin anew."
    ),
    Notice.LIMIT_LOWERED: _("Your limit is lower now, and holds at once. Raising it again takes two others."),
    Notice.SET_ASIDE: _(
        "Set aside. It is the first that Start hands them, for 24 hours; then it is the queue's again."
    ),
    Notice.FREED: _("Free again: the queue hands it to whoever comes next."),
    Notice.PROPOSED: _("Proposed. Another person agrees to it under “Proposals”, within 24 hours."),
    Notice.ROLE_TAKEN: _("Taken away, at once. Their sessions have ended; giving it again takes two people."),
    Notice.LEFT_OUT: _("Kept so, for twelve hours. Nobody is told; change it here at any time."),
    Notice.CARE_DECLARED: _("It holds from now on."),
    Notice.BUDGET_LOWERED: _("Their limit is lower now, and holds at once. Raising it again takes two people."),
    Notice.IMPORT_ASKED: _("Asked for: a process of its own takes it within seconds. You may leave this page."),
    Notice.IMPORT_STOPPED: _(
        "It stops after the file that is being read. What was taken in stays; resume it at any time."
    ),
    Notice.LIST_SUSPENDED: _("Suspended: the list matches nothing from this moment on. It comes back through shadow."),
    Notice.LIST_RESUMED: _("In shadow again: what it would match is counted, and nobody acts on it."),
    Notice.FRAMEWORK_IMPORTED: _("Imported. Its rules, where it has any, decide once two people have approved it."),
    Notice.FRAMEWORK_ADDED: _("Added. What is settled was derived under it, and forms leased from now on ask for it."),
    Notice.DONE: _("Done, and written in the audit log."),
    Notice.PUBLISHED: _("Published: the edition is written down for good, and looked up in from now on."),
    Notice.WITHDRAWN: _("Withdrawn, at once and for good. The next edition tells the partners."),
    Notice.SUSPENDED: _("Suspended: nothing goes to this partner by any door. Two people end it, with a new key."),
    Notice.CLOSED: _("The account is closed, and its sessions have ended."),
}

PLACES: tuple[tuple[str, gates.Act, Promise], ...] = (
    ("home", gates.Act.SEE_HOME, _("Home")),
    ("work", gates.Act.WORK, _("Assess")),
    ("calibration", gates.Act.OPEN_CALIBRATION, _("Calibration")),
    ("quality", gates.Act.LOOK_OVER_SAMPLE, _("Samples")),
    ("escalations", gates.Act.SEE_ESCALATIONS, _("Escalations")),
    ("proposals", gates.Act.SEE_PROPOSALS, _("Proposals")),
    ("queue", gates.Act.SEE_QUEUE, _("Queue")),
    ("investigations", gates.Act.SEE_INVESTIGATIONS, _("Investigations")),
    ("incoming", gates.Act.SEE_INCOMING, _("Incoming lists")),
    ("feedback", gates.Act.SEE_INCOMING, _("Feedback")),
    ("releases", gates.Act.SEE_RELEASES, _("Lists")),
    ("disputes", gates.Act.SEE_RELEASES, _("Disputes")),
    ("partners", gates.Act.SEE_PARTNERS, _("Partners")),
    ("match_alarms", gates.Act.SEE_MATCH_ALARMS, _("Match alarms")),
    ("webhooks", gates.Act.SEE_WEBHOOKS, _("Webhooks")),
    ("people", gates.Act.SEE_PEOPLE, _("People")),
    ("audit_log", gates.Act.READ_LOG, _("Audit log")),
    ("frameworks", gates.Act.SEE_FRAMEWORKS, _("Frameworks")),
    ("shift", gates.Act.KEEP_SHIFT, _("Your shift")),
    ("exposure", gates.Act.WORK, _("Your exposure")),
    ("exposure_people", gates.Act.SEE_EXPOSURE, _("Exposure of people")),
    ("care", gates.Act.CARE_FOR_HOUSE, _("Care")),
    ("exposure_team", gates.Act.SEE_TEAM_EXPOSURE, _("Exposure of the team")),
)

_NOTICE_KEY = "notice"


@dataclass(frozen=True, slots=True)
class NavEntry:
    url: str
    label: Promise
    current: bool


def layout(request: HttpRequest) -> dict[str, Any]:
    """Context processor of every template; anonymous visitors get the frame without names and places."""
    person = getattr(request, "user", None)
    policy = Policy.objects.order_by("-pk").first()
    frame: dict[str, Any] = {
        "is_demo": policy is not None and policy.kind == InstallationKind.DEMO,
        # A page that answers a form may hold what is shown once; changing the language would leave it.
        "languages": settings.LANGUAGES if request.method == "GET" else (),
    }
    if not isinstance(person, Person):
        return frame
    at = timezone.now()
    held = gates.roles_of(person, at=at)
    acts = gates.acts_for(held)
    return frame | {
        "person_name": person.name,
        "role_words": [gettext(role.label) for role in sorted(held)],
        "nav": [
            NavEntry(reverse(name), label, request.path == reverse(name)) for name, act, label in PLACES if act in acts
        ],
        "answers_escalations": gates.Act.ANSWER_ESCALATION in acts,
        "escalations_waiting": waiting_escalations(person, at=at) if gates.Act.ANSWER_ESCALATION in acts else 0,
        "notice": NOTICES.get(request.session.pop(_NOTICE_KEY, None)),
    }


def leave_notice(request: HttpRequest, notice: Notice) -> None:
    """Show this notice once, on the page that follows."""
    request.session[_NOTICE_KEY] = notice.value


def person_of(request: HttpRequest) -> Person:
    """The signed-in person; the gate has made sure that there is one."""
    if not isinstance(request.user, Person):
        raise TypeError("this view needs a gate that asks for a signed-in person")
    return request.user
