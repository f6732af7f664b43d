"""Pure rules from what people submitted to what stands: triage, agreement, settlement, retention."""

from havenline.judgement.agreement import Difference, differences
from havenline.judgement.coefficients import (
    FEWEST_PEOPLE,
    FEWEST_UNITS,
    Agreement,
    Estimate,
    agreement,
    drifted,
)
from havenline.judgement.quality import QualityRules, Score, quality_rules, score, score_by_question, stratified
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
from havenline.judgement.triage import Counted, TriageFacts, TriageReason, Urgency, reasons, waits_as_if_since

__all__ = [
    "FEWEST_PEOPLE",
    "FEWEST_UNITS",
    "Agreement",
    "Counted",
    "Difference",
    "Estimate",
    "JudgementError",
    "QualityRules",
    "RetentionClass",
    "RetentionFacts",
    "ReviewPlan",
    "Score",
    "SettledBy",
    "Settlement",
    "Standing",
    "Starts",
    "Step",
    "SubmittedFacts",
    "TriageFacts",
    "TriageReason",
    "Urgency",
    "agreement",
    "differences",
    "drifted",
    "quality_rules",
    "reasons",
    "retention_classes",
    "score",
    "score_by_question",
    "settle",
    "standing",
    "stratified",
    "waits_as_if_since",
]
