"""Have others assess a decided file anew; part of the acts that ask for it."""

from __future__ import annotations

import datetime as dt

from .. import audit
from ..models import AuditAct, Outcome, QualityFinding, QualityReview
from ..waiting import decided_by
from .open_assignments import open_assignments, revision_of_one


def assess_anew(decided: Outcome, *, finding: QualityFinding | None = None, at: dt.datetime) -> QualityReview | None:
    """A further revision of the stack with this file alone, for people who have not assessed it; None if one exists.

    `finding`: of a look at a sample, where that asks for it.
    """
    outcome = decided_by(decided)
    before = outcome.revision
    if before is None or QualityReview.objects.filter(outcome=outcome).exists():
        return None
    revision = revision_of_one(before.stack, outcome.file_id, why="assessed anew", at=at)
    review = QualityReview.objects.create(finding=finding, outcome=outcome, revision=revision, opened_at=at)
    open_assignments([revision], at=at)
    investigation = decided.investigation
    audit.append(AuditAct.REVIEW_OPENED, at=at, actor=None, about=review, investigation=investigation, record=review)
    return review
