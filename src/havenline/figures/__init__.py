"""Declared statistics over Arrow tables: the funnel from posted to confirmed, and how it is printed.

Everything is computed from the records by general rules; `havenline.figures.study` makes the records of a
published study, so that its table can be recomputed.
"""

from havenline.figures.funnel import PEOPLE_FLOOR, ROUNDING, ClassCount, Funnel, funnel, percent
from havenline.figures.records import (
    ASSESSMENTS,
    OUTCOMES,
    PER_ITEM,
    SELECTIONS,
    FiguresError,
    Labels,
    LawLabel,
    Records,
    laws_of,
)
from havenline.figures.render import to_csv, to_json, to_text

__all__ = [
    "ASSESSMENTS",
    "OUTCOMES",
    "PEOPLE_FLOOR",
    "PER_ITEM",
    "ROUNDING",
    "SELECTIONS",
    "ClassCount",
    "FiguresError",
    "Funnel",
    "Labels",
    "LawLabel",
    "Records",
    "funnel",
    "laws_of",
    "percent",
    "to_csv",
    "to_json",
    "to_text",
]
