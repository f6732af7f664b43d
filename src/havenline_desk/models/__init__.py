"""Every table of the desk, one file per context, one migration history."""

from .assessments import Assessment, Assignment, MemberAnswer, Outcome, Reveal, SettledBy, Step
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
from .people import CONTENT_ROLES, EXCLUSIVE_SETS, Certificate, Person, Role, RoleGrant
from .stacks import MemberPlace, Stack, StackMember, StackRevision

__all__ = [
    "CONTENT_ROLES",
    "EXCLUSIVE_SETS",
    "Assessment",
    "Assignment",
    "Certificate",
    "Edition",
    "File",
    "FrameHash",
    "FrameworkApproval",
    "Import",
    "ImportProblem",
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
    "Report",
    "Reveal",
    "Role",
    "RoleGrant",
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
