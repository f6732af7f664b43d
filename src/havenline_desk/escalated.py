"""Which escalations a person may know of: blindness holds, so whoever works on the same stack learns nothing."""

from __future__ import annotations

import datetime as dt

from django.db.models import Exists, OuterRef, Q, QuerySet

from .models import Assignment, Escalation, Person, Reveal

ANSWER_WITHIN = dt.timedelta(minutes=10)
"""After this long without an answer the second contact is telephoned."""
COSIGN_WITHIN = dt.timedelta(hours=1)
"""After this long without a co-signature the referral is shown as late."""


def escalations_open_to(person: Person) -> QuerySet[Escalation]:
    """One's own, and those of stacks that one has neither open nor ever looked at. Not checked: roles."""
    theirs = Q(revision=OuterRef("assignment__revision"), person=person)
    looked = Reveal.objects.filter(assignment__revision=OuterRef("assignment__revision"), person=person)
    works_on_it = Exists(Assignment.objects.filter(theirs)) | Exists(looked)
    return Escalation.objects.filter(Q(raised_by=person) | ~works_on_it)
