"""From what people submitted to what stands, and how long it is kept: agreement, settlement, retention; pure rules."""

from havenline.judgement.agreement import Difference, differences
from havenline.judgement.retention import RetentionClass, RetentionFacts, Standing, Starts, retention_classes, standing
from havenline.judgement.settle import (
    JudgementError,
    ReviewPlan,
    SettledBy,
    Settlement,
    Step,
    SubmittedFacts,
    settle,
)

__all__ = [
    "Difference",
    "JudgementError",
    "RetentionClass",
    "RetentionFacts",
    "ReviewPlan",
    "SettledBy",
    "Settlement",
    "Standing",
    "Starts",
    "Step",
    "SubmittedFacts",
    "differences",
    "retention_classes",
    "settle",
    "standing",
]
