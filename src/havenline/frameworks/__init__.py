"""Legal frameworks and classification schemes as versioned data, and the pure rules that apply them.

A framework is a TOML file in `data/<id>/<version>.toml` (`docs/formats/framework.md`). People answer its
questions; `Framework.derive` says what the answers mean under its law. Nothing here decides whether a
framework may be applied: the caller states whether local counsel has approved the version.
"""

from havenline.frameworks.conditions import Condition, Truth
from havenline.frameworks.model import (
    CANNOT_DETERMINE,
    Framework,
    FrameworkRef,
    LegalClass,
    Legality,
    LegalStatus,
    Option,
    Question,
    QuestionKind,
    Rule,
    StatusLabels,
)
from havenline.frameworks.reading import FrameworkError, available, load, read

__all__ = [
    "CANNOT_DETERMINE",
    "Condition",
    "Framework",
    "FrameworkError",
    "FrameworkRef",
    "LegalClass",
    "LegalStatus",
    "Legality",
    "Option",
    "Question",
    "QuestionKind",
    "Rule",
    "StatusLabels",
    "Truth",
    "available",
    "load",
    "read",
]
