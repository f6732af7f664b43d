"""How many views the settled items of an investigation took, beside what a plain review would have taken.

A plain review: every posting is viewed in full by every assessor of the plan. No figure here is of a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from django.db.models import Count, Max

from ..models import Assignment, Investigation, Outcome, Plan, Reveal, SettledBy, Step

FULL = 4
"""The step of the ladder that is a full view."""


@dataclass(frozen=True, slots=True)
class Views:
    """Views of settled items. `full` and `any_step` count every look that was used, by whomever, the third person too.

    `plain` full views less those that `copies`, `identical` postings and the `ladder` made needless, and `more` for
    third persons and second looks, are `full`. Near pictures need a look of their own, so stacks save none there.
    """

    items: int
    confirmed: int
    people: int
    plain: int
    full: int
    any_step: int
    copies: int
    identical: int
    ladder: int
    more: int

    @property
    def share(self) -> Fraction | None:
        """Full views as a share of the plain review's; None where nothing is settled."""
        return Fraction(self.full, self.plain) if self.plain else None

    def per_confirmed(self, views: int) -> Fraction | None:
        """So many views for each confirmed item; None where none is confirmed."""
        return Fraction(views, self.confirmed) if self.confirmed else None


def views_of(investigation: Investigation) -> Views:
    """Count from the records. Views of stacks that are not settled yet are left out, as their items are."""
    people = 2 if investigation.plan == Plan.DOUBLE else 1
    outcomes = Outcome.objects.filter(
        investigation=investigation,
        correction=None,
        file__items__investigation=investigation,
        file__items__selection__isnull=False,
    )
    postings = outcomes.order_by().annotate(postings=Count("file__items", distinct=True))
    items = confirmed = copied = looked_at = files = 0
    for _, settled_by, status, count in postings.values_list("pk", "settled_by", "status", "postings"):
        items += count
        confirmed += count * (status == "criminal")
        if settled_by == SettledBy.COPY:
            copied += count
        else:
            looked_at += count
            files += 1
    settled = Assignment.objects.filter(
        revision__stack__investigation=investigation, revision__outcomes__isnull=False
    ).values("pk")
    used = Reveal.objects.filter(assignment__in=settled, used_at__isnull=False, ladder_step__gt=0)
    deepest = (
        used.filter(assignment__step__in=(Step.FIRST, Step.SECOND), file__outcomes__investigation=investigation)
        .order_by()
        .values_list("assignment", "file")
        .annotate(Max("ladder_step"))
    )
    in_full = sum(step == FULL for _, _, step in deepest)
    full = used.filter(ladder_step=FULL).count()
    return Views(
        items=items,
        confirmed=confirmed,
        people=people,
        plain=people * items,
        full=full,
        any_step=used.count(),
        copies=people * copied,
        identical=people * (looked_at - files),
        ladder=people * files - in_full,
        more=full - in_full,
    )
