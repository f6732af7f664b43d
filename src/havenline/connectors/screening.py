"""What a partner's entry may not look like: a perceptual value that harmless pictures have, or that no picture has.

An exact digest hits one file; a perceptual value hits whatever lies near it, so a wrong one can hit very many people's
pictures. Kept out are, in this order: a told quality under 50; a value with fewer than 96 or more than 160 of its 256
bits set, for PDQ sets half; one of whose sixteen rows of sixteen bits fewer than six differ; and one within 31 bits
of a fingerprint of `harmless/`, which is drawn (docs/formats/harmless.md). Not found: a value near pictures that are
common in the world and not in `harmless/`; for those a list is in shadow first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from havenline.entries import UNKNOWN_QUALITY
from havenline.matching.hamming import HammingIndex
from havenline.vocabulary import NEAR_DISTANCE, QUALITY_FLOOR, HavenlineError, ListEntry

FEWEST_BITS, MOST_BITS = 96, 160
FEWEST_ROWS = 6
REASONS = (
    "",
    "its quality is under 50",
    "its bits are not those of a picture: far from half of them are set",
    "its bits repeat: few of its rows differ",
    "it is near a harmless picture",
)
"""Why an entry is kept out; each tells no value."""
_HARMLESS = Path(__file__).parent / "harmless"
_CODE = 32


class ScreenRefused(HavenlineError):
    """The fingerprints of harmless pictures cannot be used, so nothing is screened and nothing taken in."""


class Screen:
    """Screens entries against one version of the harmless fingerprints. Immutable."""

    __slots__ = ("_index", "version")

    def __init__(self, codes: NDArray[np.uint8], *, version: int) -> None:
        """`codes`: uint8 (n, 32), the fingerprints of harmless pictures."""
        self.version = version
        self._index = HammingIndex.build(codes)

    def __len__(self) -> int:
        """How many harmless fingerprints."""
        return len(self._index)

    def judge(self, values: NDArray[np.uint8], quality: NDArray[np.uint8], *, threads: int = 1) -> NDArray[np.uint8]:
        """For each PDQ value, uint8 (k, 32), the place in `REASONS` of the first that holds; 0 where it may pass.

        `quality` uint8 (k,): 0 to 100, or 255 where its publisher does not tell it.
        """
        found = np.zeros(len(values), np.uint8)
        if not len(values):
            return found
        set_bits = np.bitwise_count(values).sum(axis=1, dtype=np.int64)
        rows = np.sort(np.ascontiguousarray(values).view("<u2"), axis=1)
        different = 1 + (np.diff(rows, axis=1) != 0).sum(axis=1)
        queries, _, _ = self._index.search_codes(values, radius=NEAR_DISTANCE, threads=threads)
        found[queries] = 4
        found[different < FEWEST_ROWS] = 3
        found[(set_bits < FEWEST_BITS) | (set_bits > MOST_BITS)] = 2
        found[(quality != UNKNOWN_QUALITY) & (quality < QUALITY_FLOOR)] = 1
        return found

    def reasons(self, entries: Sequence[ListEntry | None]) -> list[str]:
        """Why each entry is kept out, or an empty text; None and entries without a perceptual value pass."""
        asked = [(place, each.pdq, each.pdq_quality) for place, each in enumerate(entries) if each and each.pdq]
        reasons = [""] * len(entries)
        if asked:
            values = np.frombuffer(bytes.fromhex("".join(pdq for _, pdq, _ in asked)), np.uint8).reshape(-1, _CODE)
            quality = np.array([UNKNOWN_QUALITY if told is None else told for _, _, told in asked], np.uint8)
            judged = self.judge(values, quality)
            for row in np.flatnonzero(judged).tolist():
                reasons[asked[row][0]] = REASONS[judged[row]]
        return reasons


@cache
def shipped_screen(folder: Path = _HARMLESS) -> Screen:
    """The screen that comes with this program. Raises ScreenRefused where its files are missing or damaged."""
    try:
        said = json.loads((folder / "harmless.json").read_bytes())
        content = (folder / "harmless.bin").read_bytes()
        if hashlib.sha256(content).hexdigest() != said["sha256"] or said["form"] != 1:
            raise ScreenRefused(f"{folder}: harmless.bin is not the file that harmless.json names; install anew")
        return Screen(np.frombuffer(content, np.uint8).reshape(-1, _CODE), version=int(said["version"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ScreenRefused(f"{folder}: cannot be read ({type(error).__name__}); install anew") from None
