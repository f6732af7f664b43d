"""Legal frameworks and classification schemes as versioned data, and the pure rules that apply them.

A framework is a TOML file in `data/<id>/<version>.toml` (`docs/formats/framework.md`). People answer its
questions; `Framework.derive` says what the answers mean under its law. Nothing here decides whether a
framework may be applied: the caller states whether local counsel has approved the version.
"""

from havenline.frameworks.conditions import Condition, Truth
from havenline.frameworks.model import (
    CANNOT_DETERMINE,
    Framework,
    FrameworkKind,
    FrameworkRef,
    LegalClass,
    Legality,
    LegalStatus,
    Option,
    Question,
    QuestionKind,
    Rule,
    Section,
    StatusLabels,
)
from havenline.frameworks.reading import FrameworkError, available, facts, load, read, read_document
from havenline.frameworks.scheme_csv import LineProblem, SchemeError, SchemeHead, scheme_document
from havenline.frameworks.sheet import sheet

__all__ = [
    "CANNOT_DETERMINE",
    "Condition",
    "Framework",
    "FrameworkError",
    "FrameworkKind",
    "FrameworkRef",
    "LegalClass",
    "LegalStatus",
    "Legality",
    "LineProblem",
    "Option",
    "Question",
    "QuestionKind",
    "Rule",
    "SchemeError",
    "SchemeHead",
    "Section",
    "StatusLabels",
    "Truth",
    "available",
    "facts",
    "load",
    "read",
    "read_document",
    "scheme_document",
    "sheet",
]
