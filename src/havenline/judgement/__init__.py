"""From what people submitted to what stands: agreement and settlement, as pure rules."""

from havenline.judgement.agreement import Difference, differences
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
    "ReviewPlan",
    "SettledBy",
    "Settlement",
    "Step",
    "SubmittedFacts",
    "differences",
    "settle",
]
