"""Refusals in the language of the page. They are raised in English, in layers that know of no reader.

The whole sentence is the message. Those that hold a number stand in COUNTED, those that hold a name or a time in
NAMED; what is in no catalogue stays English.
"""

from __future__ import annotations

import re

from django import template
from django.utils.translation import gettext, ngettext

register = template.Library()

COUNTED = (
    (
        "too many attempts: wait %(count)s minute and try again",
        "too many attempts: wait %(count)s minutes and try again",
    ),
    (
        "%(count)s near picture needs an own look and a key",
        "%(count)s near pictures need an own look and a key",
    ),
    (
        "%(count)s near picture was not looked at as closely as the picture that was judged",
        "%(count)s near pictures were not looked at as closely as the picture that was judged",
    ),
)

NAMED = (
    (
        "%(name)s may not %(act)s: the role %(roles)s is needed",
        "%(name)s may not do this: the role %(roles)s is needed",
    ),
    ("%(name)s may not %(act)s: nobody may, in a house of this size", "nobody may do this in a house of this size"),
    *(
        2 * (one,)
        for one in (
            "%(name)s will not take up this item now; why is not told here",
            "time for a break: nothing is handed out or opened until %(time)s UTC",
            "there is a list %(name)s already; nothing was opened",
            "nothing for %(name)s waits for two in agreement; nothing was opened",
            "nothing of %(name)s is new since edition %(number)s",
            (
                "of those who may assess, %(able)s never saw this file, and it takes %(wanted)s; nothing was opened. "
                "Enrol or certify further analysts"
            ),
            "%(name)s is suspended already",
            "%(name)s is suspended; nothing was opened",
            "%(list)s is open to %(name)s by that door already",
            "%(name)s is not suspended; nothing was changed",
            (
                "the list is in shadow until %(until)s UTC: look at what it would have matched, and activate it then; "
                "nothing was changed"
            ),
        )
    ),
)
"""Sentences that hold names, dates, times or codes: as they are raised, and the message that says so."""

SENTENCES = (
    # Of the form:
    "This question does not apply to the other answers; clear it.",
    "This question needs an answer; “Cannot determine” is one.",
    "This is not one of the answers; choose one of those shown.",
    "nothing of this picture was viewed yet; press the full stop key for the first step",
    # Of the key process, word for word:
    "this person has no budget here: it is given by two others",
    "the budget for an hour is used up; nothing was opened. An escalation needs no budget",
    "the budget for a day is used up; nothing was opened. An escalation needs no budget",
    "it is time for a pause of 15 minutes; nothing was opened. An escalation needs no budget",
    "the budget of bytes for a day is used up; nothing was opened. An escalation needs no budget",
    "this grant is unknown, or was given to somebody or something else",
    "this grant was used already",
    "this grant has run out",
    "this object was destroyed; nothing can open it",
    # Of partners' lists:
    "the screen keeps no such entry out; nothing was changed",
    # Of pages that answer JSON, or form a sentence where nothing is raised:
    "this page is too old: sign in once more",
    "show your factor once more first",
    "the form names no act",
    "a code: lower-case letters, digits and underlines, 40 at most",
    "that escalation is not open to you; nothing was recorded",
)
"""Sentences raised or written outside of what the collector reads by itself; a test compares them with their source."""


def _written(message: str) -> str:
    return re.escape(message).replace(re.escape("%(count)s"), "([0-9]+)")


_HOLDS = re.compile(r"%\\\(([a-z]+)\\\)s")
_NAMED = [(re.compile(_HOLDS.sub(r"(?P<\1>.+)", re.escape(raised))), message) for raised, message in NAMED]
_FORMS = [(re.compile(f"{_written(one)}|{_written(many)}"), one, many) for one, many in COUNTED]


@register.filter
def told(refusal: object) -> str:
    """`refusal`, a sentence or what was raised, in the language in force; as it is where no catalogue has it."""
    said = str(refusal)
    for form, one, many in _FORMS:
        if found := form.fullmatch(said):
            count = int(found[1] or found[2])
            return ngettext(one, many, count) % {"count": count}
    for form, message in _NAMED:
        if found := form.fullmatch(said):
            held = found.groupdict()
            roles = [gettext(role) for role in held.get("roles", "").split(" or ") if role]
            return gettext(message) % (held | {"roles": " / ".join(roles)})
    return gettext(said)
