"""Which assignments may be handed to a person, and in which order: the one place that says so."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from havenline.judgement import Urgency

from . import gates
from .models import (
    Assignment,
    ConfirmingPair,
    EntryFinding,
    EntryVerdict,
    Investigation,
    InvestigationUrgency,
    Item,
    MediaKind,
    OptOut,
    Outcome,
    Person,
    PoolKind,
    PoolMember,
    PoolNeed,
    QualityReview,
    Reveal,
    SetAside,
    Skip,
    SkipReason,
    SourceKind,
    StackMember,
    Step,
    Submission,
)

_FILM = "video/"
NOT_TODAY = dt.timedelta(hours=12)
TAKEN_BACK_WITHIN = dt.timedelta(seconds=5)
"""How long a submission can be taken back."""


def waiting_for(person: Person, steps: Collection[Step], *, at: dt.datetime) -> QuerySet[Assignment]:
    """What `taken_up_by` says, less what the lead has set aside for somebody else."""
    return taken_up_by(person, steps, at=at).exclude(Exists(_set_aside(at=at).exclude(person=person)))


def taken_up_by(person: Person, steps: Collection[Step], *, at: dt.datetime) -> QuerySet[Assignment]:
    """What `open_to` says, less what `person` left out today: an investigation, what needs a pool, films or pictures.

    A stack with one film among its members is a film, and one with a picture a picture.
    """
    out = OptOut.objects.filter(person=person, until__gt=at)
    pools = PoolNeed.objects.filter(stack=OuterRef("revision__stack"), pool__in=out.exclude(pool=None).values("pool"))
    waiting = (
        open_to(person, steps, at=at)
        .exclude(revision__stack__investigation__in=out.exclude(investigation=None).values("investigation"))
        .exclude(Exists(pools))
    )
    members = StackMember.objects.filter(revision=OuterRef("revision"))
    film = Q(file__media_type__startswith=_FILM)
    for kind in out.exclude(media="").values_list("media", flat=True):
        waiting = waiting.exclude(Exists(members.filter(film if kind == MediaKind.FILM else ~film)))
    return waiting


def set_aside_for(person: Person, *, at: dt.datetime) -> list[int]:
    """The assignments that wait for `person` alone, free or not."""
    return list(SetAside.objects.filter(_in_force(at), person=person).values_list("assignment_id", flat=True))


def open_to(person: Person, steps: Collection[Step], *, at: dt.datetime) -> QuerySet[Assignment]:
    """Free assignments of those steps that `person` may ever be handed at `at`, the most urgent first.

    Left out: drawn pictures of calibration; a stack that the person has assessed or recused themselves from; a decision
    that is assessed anew where they decided it or asked for it; a file to confirm that they ever saw
    or asked for; what they skipped; what another pool is needed for;
    what somebody of the same blind pool has looked at.
    Not checked: roles and certificates.
    """
    free = Q(person=None) | Q(expires_at__lte=at)
    memberships = list(PoolMember.objects.filter(person=person, left_at=None).values_list("pool_id", "pool__kind"))
    beside = PoolMember.objects.filter(
        pool__in=[pool for pool, kind in memberships if kind == PoolKind.BLIND], left_at=None
    ).exclude(person=person)
    for_others = PoolNeed.objects.filter(stack=OuterRef("revision__stack")).exclude(
        pool__in=[pool for pool, _ in memberships]
    )
    looked_at_beside = Assignment.objects.filter(
        revision=OuterRef("revision"), person__in=list(beside.values_list("person_id", flat=True))
    )
    disputed = EntryFinding.objects.filter(verdict=EntryVerdict.ASSESS_ANEW, person=person)
    reviews_of_own = QualityReview.objects.filter(
        Q(outcome__revision__assessments__person=person)
        | Q(finding__person=person)
        | Q(finding=None, outcome__file__in=disputed.values("review__entry__file")),
        revision=OuterRef("revision"),
    )
    seen = Reveal.objects.filter(person=person, used_at__isnull=False, file=OuterRef("outcome__file")).exclude(
        assignment__revision=OuterRef("revision")
    )
    pairs_of_seen = ConfirmingPair.objects.filter(
        Q(asked_by=person) | Q(outcome__file__memberships__revision__assessments__person=person) | Exists(seen),
        revision=OuterRef("revision"),
    )
    skips = Skip.objects.filter(person=person)
    recused = list(skips.filter(reason=SkipReason.RECUSED).values_list("assignment__revision__stack_id", flat=True))
    passed_on = skips.exclude(reason=SkipReason.NOT_TODAY, skipped_at__lte=at - NOT_TODAY)
    return (
        Assignment.objects.filter(free, done_at=None, step__in=list(steps))
        .exclude(revision__stack__investigation__source_kind=SourceKind.TRAINING)
        .exclude(revision__assessments__person=person)
        .exclude(Exists(reviews_of_own))
        .exclude(Exists(pairs_of_seen))
        .exclude(revision__stack__in=recused)
        .exclude(revision__stack__parent__in=recused)
        .exclude(pk__in=list(passed_on.values_list("assignment_id", flat=True)))
        .exclude(Exists(for_others))
        .exclude(Exists(looked_at_beside))
        .order_by("waits_as_if_since", "pk")
    )


def unseen_by(person: Person) -> Q:
    """Of assignments: those of stack revisions that `person` neither has open nor ever worked on."""
    works_on_it = Assignment.objects.filter(revision=OuterRef("revision"), person=person)
    looked = Reveal.objects.filter(assignment__revision=OuterRef("revision"), person=person)
    return ~Exists(works_on_it) & ~Exists(looked)


def blind_and_open() -> QuerySet[Assignment]:
    """First and second assessments that are still to be submitted, by whomever."""
    return Assignment.objects.filter(done_at=None, step__in=(Step.FIRST, Step.SECOND))


def is_assessed_blind(file_id: int) -> bool:
    """Whether somebody has yet to assess a stack with this file blind, in whichever investigation."""
    return StackMember.objects.filter(file=file_id, revision__assignments__in=blind_and_open()).exists()


def open_in_the_name_of(person: Person) -> QuerySet[Assignment]:
    """What `person` has open: leased, not done, and not submitted either."""
    submitted = Submission.objects.filter(assignment=OuterRef("pk"), taken_back_at=None, recorded_at=None)
    return Assignment.objects.filter(person=person, done_at=None).exclude(Exists(submitted))


def decided_by(outcome: Outcome) -> Outcome:
    """The outcome that people settled: the one that a byte-identical copy took its answer from, or itself."""
    return outcome if outcome.copy_of is None else outcome.copy_of


def never_assessed(person: Person, outcome: Outcome) -> bool:
    """Whether `person` assessed the file of `outcome` nowhere, in whichever investigation. Not checked: their role."""
    assessed = Outcome.objects.filter(file=outcome.file_id, revision__assessments__person=person)
    original = decided_by(outcome).revision
    return not assessed.exists() and (original is None or gates.has_not_assessed(person, original))


def held_by(person: Person) -> Submission | None:
    """What `person` has submitted and could still take back, or would have recorded next."""
    return Submission.objects.filter(person=person, taken_back_at=None, recorded_at=None).first()


def _in_force(at: dt.datetime) -> Q:
    return Q(ended_at=None, ends_at__gt=at)


def _set_aside(*, at: dt.datetime) -> QuerySet[SetAside]:
    return SetAside.objects.filter(_in_force(at), assignment=OuterRef("pk"))


def urgency_of(investigation: Investigation) -> Urgency:
    """What its lead said last; ordinary where nothing was said."""
    newest = InvestigationUrgency.objects.filter(investigation=investigation).order_by("-pk").first()
    return Urgency(newest.urgency) if newest is not None else Urgency.ORDINARY


def reports_of(revisions: Iterable[int]) -> Mapping[int, int]:
    """How many reports name a posting of any file of each revision."""
    named = Item.objects.filter(
        file__memberships__revision__in=list(revisions),
        investigation=F("file__memberships__revision__stack__investigation"),
    )
    rows = named.order_by().values_list("file__memberships__revision").annotate(Count("reports", distinct=True))
    return Counter(dict(rows))
