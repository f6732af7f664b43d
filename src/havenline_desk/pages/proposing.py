"""Forms to propose what takes two people. Each is a small form over one verb; nothing typed is lost by a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..actions.propose import propose
from ..agreement import ProposalRefused, What
from ..gates import Act, acts_of, gate
from ..models import Person
from ..queries.proposing import Choices, choices_of, is_kept
from .layout import Notice, leave_notice, person_of
from .numbers import whole_number
from .told import told

_MIB = 1 << 20
_MOST = 1_000_000
_LIMITS: Mapping[str, Promise] = {
    "per_hour": _("Views in any hour"),
    "per_day": _("Views in any day"),
    "per_week": _("Views in any seven days"),
    "minutes": _("Minutes without a pause"),
    "mebibytes": _("MiB in any day"),
}
FORMS: Mapping[Act, tuple[Promise, Mapping[str, Promise]]] = {
    Act.CHANGE_HOUSE: (_("The quorums of another house"), {"house": _("People who work here")}),
    Act.DECLARE_STORAGE: (_("Keeping content"), {"legal_basis": _("Legal basis on which this organisation may")}),
    Act.APPROVE_FRAMEWORK: (
        _("Local approval of a framework"),
        {"framework": _("Framework and version"), "counsel": _("Who gave the opinion, and its reference")},
    ),
    Act.RAISE_BUDGET: (_("A budget"), {"person": _("Whose"), **_LIMITS}),
    Act.RESET_FACTORS: (_("New factors for somebody who lost theirs"), {"person": _("Whose")}),
    Act.RELEASE_HOLD: (_("Releasing a legal hold"), {"hold": _("Which hold")}),
    Act.DESTROY_EARLY: (
        _("Destroying kept content before its time"),
        {"object": _("Random name of the object, 32 digits"), "rule": _("Why, as a code")},
    ),
}
"""By act: its title, and its fields in order. Roles, imports, releases and corrections have pages of their own."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field; `choices` is None where it is typed, `long` where that is more than a number."""

    name: str
    id: str
    label: Promise
    value: str
    problem: str
    choices: Choices | None
    long: bool


@dataclass(frozen=True, slots=True)
class Form:
    act: str
    title: Promise
    fields: tuple[Field, ...]
    refused: str


@gate(Act.SEE_PROPOSALS)
def new_proposal(request: HttpRequest) -> HttpResponse:
    """The forms of every act that the person may propose; POST names one of them."""
    if request.method != "POST":
        return _page(request, None, {}, {}, "")
    person, at = person_of(request), timezone.now()
    act = next((one for one in FORMS if one.value == request.POST.get("act", "")), None)
    if act is None:
        return redirect("new_proposal")
    if act not in acts_of(person, at=at):
        raise PermissionDenied
    typed = {name: request.POST.get(name, "").strip() for name in FORMS[act][1]}
    problems = _problems(act, typed, choices_of(act, person=person))
    if problems:
        return _page(request, act, typed, problems, "")
    try:
        propose(act, _what(act, typed), person=person, at=at)
    except ProposalRefused as refused:
        return _page(request, act, typed, {}, told(refused))
    leave_notice(request, Notice.PROPOSED)
    return redirect("proposals")


def _problems(act: Act, typed: Mapping[str, str], choices: Mapping[str, Choices]) -> dict[str, str]:
    found = {}
    for name, text in typed.items():
        if name in choices and text not in dict(choices[name]):
            found[name] = gettext("choose one of those that are here")
        elif name in _LIMITS and (whole_number(text) is None or int(text) > _MOST):
            found[name] = gettext("a whole number, at most a million")
        elif not text or not text.isprintable():
            found[name] = gettext("say what it is")
        elif name == "object" and not is_kept(text):
            found[name] = gettext("no content is kept under this name")
    return found


def _what(act: Act, typed: Mapping[str, str]) -> What:
    """What the proposal says, from fields without a problem."""
    if act is Act.APPROVE_FRAMEWORK:
        name, version = typed["framework"].split(" ", 1)
        return {"framework": name, "version": version, "counsel": typed["counsel"]}
    if act is Act.RELEASE_HOLD:
        name, reference = typed["hold"].split(" ", 1)
        return {"object": name, "reference": reference}
    said: dict[str, str | int] = dict(typed)
    if "person" in typed:
        said["person"] = Person.objects.get(name=typed["person"]).audit_id.hex
    if act is Act.RAISE_BUDGET:
        said |= {name: int(typed[name]) for name in _LIMITS}
        said["bytes_per_day"] = int(said.pop("mebibytes")) * _MIB
    return said


def _page(
    request: HttpRequest, sent: Act | None, typed: Mapping[str, str], problems: Mapping[str, str], refused: str
) -> HttpResponse:
    person = person_of(request)
    mine = acts_of(person, at=timezone.now())

    def form(act: Act) -> Form:
        title, labels = FORMS[act]
        choices, here = choices_of(act, person=person), act is sent
        fields = tuple(
            Field(
                name,
                f"{act.value}-{name}",
                label,
                typed.get(name, "") if here else "",
                problems.get(name, "") if here else "",
                choices.get(name),
                name not in _LIMITS,
            )
            for name, label in labels.items()
        )
        return Form(act.value, title, fields, refused if here else "")

    page = {"forms": [form(act) for act in FORMS if act in mine]}
    return render(request, "havenline/propose.html", page, status=422 if problems or refused else 200)
