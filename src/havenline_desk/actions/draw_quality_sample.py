"""Draw recent decisions for the quality lead to look over: by strata, from a seed, within what a day allows."""

from __future__ import annotations

import datetime as dt
import secrets

from django.db import connection, transaction

from havenline.judgement import quality_rules, stratified
from havenline.vocabulary import HavenlineError

from .. import audit, gates
from ..models import AuditAct, Investigation, Outcome, Person, QualitySample, SampledOutcome, SourceKind

_LOCK_SPACE = 0x4855


class SampleRefused(HavenlineError):
    """No sample was drawn; the text says why."""


@transaction.atomic
def draw_quality_sample(
    investigation: Investigation, *, by: Person, wanted: int, at: dt.datetime, seed: int | None = None
) -> QualitySample:
    """Record which decisions of the last days are to be looked over; who has the records can draw the same again.

    Strata are status, class and how it was settled, so that what is rare is looked over too. Nothing is shown by it: a
    look needs its own assignment. Decisions that stand in an earlier sample are left out. Raises SampleRefused when
    there is nothing to draw from, or more is wanted than is left of the day's budget.
    """
    gates.require(by, gates.Act.DRAW_QUALITY_SAMPLE, at=at)
    with connection.cursor() as cursor:  # two at once would both find the budget whole
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK_SPACE, by.pk])
    rules = quality_rules()
    if investigation.source_kind == SourceKind.TRAINING:
        raise SampleRefused("drawn pictures are no decisions")
    drawn_today = SampledOutcome.objects.filter(
        sample__drawn_by=by, sample__drawn_at__gt=at - dt.timedelta(hours=24)
    ).count()
    left = rules.most_sampled_a_day - drawn_today
    if not 1 <= wanted <= left:
        raise SampleRefused(f"between 1 and {left} decisions can be drawn now: {drawn_today} were drawn in 24 hours")
    since = at - dt.timedelta(days=rules.recent_days)
    recent = Outcome.objects.filter(
        investigation=investigation, correction=None, settled_at__gt=since, settled_at__lte=at, samples=None
    )
    strata = {outcome.audit_id.hex: stratum_of(outcome) for outcome in recent}
    if not strata:
        raise SampleRefused(f"nothing was settled in the last {rules.recent_days} days that is in no sample yet")
    sample = QualitySample.objects.create(
        investigation=investigation,
        drawn_by=by,
        seed=secrets.randbelow(2**40) if seed is None else seed,
        settled_from=since,
        settled_until=at,
        wanted=wanted,
        population=len(strata),
        drawn_at=at,
    )
    by_name = {outcome.audit_id.hex: outcome for outcome in recent}
    SampledOutcome.objects.bulk_create(
        SampledOutcome(sample=sample, outcome=by_name[name], stratum=strata[name])
        for name in stratified(strata, wanted=wanted, seed=sample.seed)
    )
    audit.append(
        AuditAct.QUALITY_SAMPLE_DRAWN, at=at, actor=by, about=sample, investigation=investigation, record=sample
    )
    return sample


def stratum_of(outcome: Outcome) -> str:
    """Status, class and how it was settled, as the sample records it."""
    return f"{outcome.status}:{outcome.class_id or '-'}:{outcome.settled_by}"
