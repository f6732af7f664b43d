"""Every table of the desk, one file per context, one migration history."""

from .assessments import Assessment, Assignment, MemberAnswer, Outcome, Reveal, SettledBy, Step
from .audit import URGENT_ACTS, AuditAct, AuditCheckpoint, Audited, AuditEntry
from .files import Edition, File, FrameHash, Match, PerceptualHash, StoredContent
from .installation import FrameworkApproval, InstallationKind, Policy
from .investigations import (
    Import,
    ImportProblem,
    Investigation,
    Item,
    ItemKind,
    ItemState,
    Location,
    Plan,
    Report,
    SamplingRule,
    Selection,
    SourceKind,
)
from .law import ConfiguredFramework, Derivation, DerivationRun, ImportedFramework
from .people import CONTENT_ROLES, EXCLUSIVE_SETS, Certificate, Person, Role, RoleGrant
from .quality import CalibrationPicture, CalibrationResult, CalibrationSession, QualitySample, SampledOutcome
from .stacks import MemberPlace, Stack, StackMember, StackRevision

__all__ = [
    "CONTENT_ROLES",
    "EXCLUSIVE_SETS",
    "URGENT_ACTS",
    "Assessment",
    "Assignment",
    "AuditAct",
    "AuditCheckpoint",
    "AuditEntry",
    "Audited",
    "CalibrationPicture",
    "CalibrationResult",
    "CalibrationSession",
    "Certificate",
    "ConfiguredFramework",
    "Derivation",
    "DerivationRun",
    "Edition",
    "File",
    "FrameHash",
    "FrameworkApproval",
    "Import",
    "ImportProblem",
    "ImportedFramework",
    "InstallationKind",
    "Investigation",
    "Item",
    "ItemKind",
    "ItemState",
    "Location",
    "Match",
    "MemberAnswer",
    "MemberPlace",
    "Outcome",
    "PerceptualHash",
    "Person",
    "Plan",
    "Policy",
    "QualitySample",
    "Report",
    "Reveal",
    "Role",
    "RoleGrant",
    "SampledOutcome",
    "SamplingRule",
    "Selection",
    "SettledBy",
    "SourceKind",
    "Stack",
    "StackMember",
    "StackRevision",
    "Step",
    "StoredContent",
]
