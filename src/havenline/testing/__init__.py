"""The drawn demo collection, whose truth is known: drawing it, and scoring what was made of it."""

from havenline.testing.collection import CollectionExistsError, draw_collection
from havenline.testing.drawing import MARK
from havenline.testing.scoring import HardKind, Score, score
from havenline.testing.truth import Group, Truth, TruthFile, TruthUnreadableError

__all__ = [
    "MARK",
    "CollectionExistsError",
    "Group",
    "HardKind",
    "Score",
    "Truth",
    "TruthFile",
    "TruthUnreadableError",
    "draw_collection",
    "score",
]
