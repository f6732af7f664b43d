"""The welfare lead says when a pause is proposed and due, and whom anybody here can talk to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from django.db import transaction

from havenline.vocabulary import HavenlineError

from .. import audit, gates
from ..models import AuditAct, PaceRule, Person, TalkTo

MOST = 1000
"""The largest number that a part of the rule may be."""


class CareRefused(HavenlineError):
    """Nothing was changed. `problems` says by field why."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = dict(problems)


@transaction.atomic
def declare_pace(
    *, views: int, minutes: int, most_views: int, most_minutes: int, pause_minutes: int, by: Person, at: dt.datetime
) -> PaceRule:
    """Let a pause of `pause_minutes` be proposed after `views` or `minutes`, and be due after the most of either.

    Holds at once, for everybody. Raises Denied without the role, CareRefused.
    """
    gates.require(by, gates.Act.CARE_FOR_HOUSE, at=at)
    said = {"views": views, "minutes": minutes, "most_views": most_views, "most_minutes": most_minutes}
    problems = {
        name: f"a whole number from 1 to {MOST}"
        for name, value in (said | {"pause_minutes": pause_minutes}).items()
        if not 1 <= value <= MOST
    }
    for name, most in (("views", "most_views"), ("minutes", "most_minutes")):
        if name not in problems and most not in problems and said[most] < said[name]:
            problems[most] = "a pause cannot be due before it is proposed"
    if problems:
        raise CareRefused(problems)
    rule = PaceRule.objects.create(**said, pause_minutes=pause_minutes, declared_by=by, declared_at=at)
    audit.append(AuditAct.CARE_DECLARED, at=at, actor=by, about=rule, purpose="pace", record=rule)
    return rule


@transaction.atomic
def declare_talk_to(who: str, *, telephone: str, note: str = "", by: Person, at: dt.datetime) -> TalkTo:
    """Say whom anybody here can talk to: a service or a duty, rather than a name. Raises Denied, CareRefused."""
    gates.require(by, gates.Act.CARE_FOR_HOUSE, at=at)
    problems = {}
    for field, text, longest in (("who", who, 120), ("telephone", telephone, 40), ("note", note, 200)):
        if len(text) > longest or not text.isprintable():
            problems[field] = f"up to {longest} characters, all of which can be printed"
        elif not text and field != "note":
            problems[field] = "this is needed"
    if telephone and "telephone" not in problems and not any(character.isdigit() for character in telephone):
        problems["telephone"] = "a number that can be telephoned"
    if problems:
        raise CareRefused(problems)
    contact = TalkTo.objects.create(who=who, telephone=telephone, note=note, declared_by=by, declared_at=at)
    audit.append(AuditAct.CARE_DECLARED, at=at, actor=by, about=contact, purpose="contact", record=contact)
    return contact
