"""Synthetic records of any size, from a seed and without any content: for tests, measurements and demonstrations.

Nothing here is drawn from a real hotline's figures; the shares are made up, and tell nothing of the world.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from havenline.figures.snapshot import FiguresSnapshot, SnapshotHead, column_of, new_snapshot, read_snapshot
from havenline.frameworks import Framework, load

_BATCH = 999_999
"""A multiple of three, for every three items come in through one report."""
_PATTERNS = 600
_LIKELY = {"child": ("yes", 0.72), "image_kind": ("pseudo_photograph", 0.55), "indecent": ("yes", 0.8),
           "perceived_sex": ("girl", 0.8), "ai_generated_wholly": ("yes", 0.3)}  # fmt: skip
"""Answers that come more often than the others; the rest is even."""
_COUNTRIES = ["NL", "US", "DE", "FR", "RO", "JP", "CA", "SK", "BG", "LU", "SE", "PL", "IT", "ES", "CZ", "CH", "IS", ""]
_CHANNELS = ["public", "proactive", "police", "member", "hotline"]


def synthetic_snapshot(
    folder: Path,
    *,
    assessments: int,
    seed: int,
    period: str = "2025-01-01 to 2025-12-31",
    salt: str = "",
    growing: float = 1.0,
) -> FiguresSnapshot:
    """Write records with so many assessments, two of each stack, into an empty folder and open them.

    The same arguments give the same records with the same NumPy. `growing`: the share of the items that was there
    already; the snapshot of a smaller share holds the first of them, as an earlier report of the same period would.
    """
    framework = load("gb-eaw", "2023-09.2")
    drawn = default_rng(seed)
    patterns = _patterns(framework, drawn)
    stacks = assessments // 2
    kept = int(stacks * growing)
    head = SnapshotHead.under(
        framework,
        investigation=f"synthetic-{seed}",
        dataset="items, synthetic records without content",
        period=period,
        review_plan="double",
        posted=int(kept * 1.4),
        people=24,
    )
    with new_snapshot(folder, head, salt=salt) as writer:
        for first in range(0, stacks, _BATCH):
            size = min(_BATCH, stacks - first)
            batch = _Batch(drawn, patterns, head, first, size)
            keep = max(0, min(size, kept - first))
            for table, rows, per_item in batch.tables():
                writer.add(table, rows.slice(0, keep * per_item))
            reports = np.arange(first // 3, -(-(first + keep) // 3))
            channels = drawn.integers(0, len(_CHANNELS), size // 3 + 1)[: len(reports)]
            writer.add("reports", pa.table({"report": reports, "channel": _coded(channels, _CHANNELS)}))
            item = np.arange(first, first + keep)
            writer.add("report_items", pa.table({"report": item // 3, "item": item}))
        views = drawn.multinomial(stacks * 3, [0.4, 0.3, 0.2, 0.1])
        ladder = {"ladder_step": [1, 2, 3, 4], "views": views, "people": [24, 24, 20, 4]}
        writer.add("exposure", pa.table(ladder))
    return read_snapshot(folder)


class _Patterns:
    """Whole forms that pass the framework's check, how often each comes, and what the law says of each."""

    def __init__(self, framework: Framework, forms: list[Mapping[str, str]], weights: NDArray[np.float64]) -> None:
        self.weights = weights / weights.sum()
        derived = [framework.derive(form, approved=True) for form in forms]
        self.columns: dict[str, list[str | None]] = {
            "status": [one.status.value for one in derived],
            "class_id": [one.class_id for one in derived],
            "severity": [one.severity for one in derived],
            **{column_of(one.id): [form.get(one.id) for form in forms] for one in framework.questions},
        }


def _patterns(framework: Framework, drawn: Generator) -> _Patterns:
    forms = [_form(framework, drawn) for _ in range(_PATTERNS)]
    return _Patterns(framework, forms, drawn.pareto(1.2, _PATTERNS) + 0.01)


def _form(framework: Framework, drawn: Generator) -> Mapping[str, str]:
    form: dict[str, str] = {}
    while missing := [one for one in framework.asked(form) if one.id not in form]:
        question = missing[0]
        likely, share = _LIKELY.get(question.id, ("", 0.0))
        form[question.id] = likely if drawn.random() < share else str(drawn.choice(question.codes))
    return form if not framework.check(form) else _form(framework, drawn)


class _Batch:
    """One batch of stacks, each of one item: the items, and two assessments of each."""

    def __init__(self, drawn: Generator, patterns: _Patterns, head: SnapshotHead, first: int, size: int) -> None:
        self._patterns, self._head = patterns, head
        self._item = np.arange(first, first + size)
        self._truth = drawn.choice(_PATTERNS, size, p=patterns.weights)
        other = drawn.choice(_PATTERNS, size, p=patterns.weights)
        self._second = np.where(drawn.random(size) < 0.92, self._truth, other)
        self._waiting = drawn.random(size) < 0.03
        self._kind = (drawn.random(size) < 0.12).astype(np.int32)
        self._country = np.minimum(drawn.zipf(1.6, size) - 1, len(_COUNTRIES) - 1).astype(np.int32)
        self._minutes = np.rint(drawn.lognormal(6.5, 1.8, size)).astype(np.int64)
        self._spent = np.rint(drawn.lognormal(9.8, 0.7, 2 * size)).astype(np.int64)

    def tables(self) -> list[tuple[str, pa.Table, int]]:
        size = len(self._item)
        settled = {name: _picked(codes, self._truth, self._waiting) for name, codes in self._patterns.columns.items()}
        nothing = pa.nulls(size, pa.int64())
        items: dict[str, Any] = {
            "item": self._item,
            "kind": _coded(self._kind, ["picture", "video"]),
            "country": _coded(self._country, _COUNTRIES),
            "selected": np.ones(size, dtype=bool),
            "minutes_to_outcome": pa.array(self._minutes, mask=self._waiting),
            "minutes_to_list": nothing,
            "minutes_to_notice": nothing,
            "minutes_to_removal": nothing,
            **settled,
        }
        looks = np.empty(2 * size, dtype=np.int32)
        looks[0::2], looks[1::2] = self._truth, self._second
        assessed: dict[str, Any] = {
            "revision": np.repeat(self._item, 2),
            "step": _coded(np.tile(np.array([0, 1], dtype=np.int32), size), ["first", "second"]),
            "active_ms": self._spent,
        } | {
            name: _picked(codes, looks, np.zeros(2 * size, dtype=bool))
            for name, codes in self._patterns.columns.items()
            if name.startswith("q_")
        }
        return [("items", pa.table(items), 1), ("assessments", pa.table(assessed), 2)]


def _picked(codes: list[str | None], places: NDArray[np.integer[Any]], absent: NDArray[np.bool_]) -> pa.Array:
    """`codes[place]` for each place, none where `absent`, as a dictionary array without an empty entry."""
    known = sorted({code for code in codes if code is not None})
    place_of = np.array([known.index(code) if code is not None else -1 for code in codes], dtype=np.int32)
    found = place_of[places]
    return pa.DictionaryArray.from_arrays(pa.array(found, mask=absent | (found < 0)), pa.array(known, pa.string()))


def _coded(places: NDArray[np.integer[Any]], codes: list[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(places.astype(np.int32)), pa.array(codes))
