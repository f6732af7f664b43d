"""Where each entry of an edition stands in its file, so that some are read without reading all."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from havenline.formats.edition import (
    ALGORITHMS,
    ENTRIES,
    LONGEST_LINE,
    Edition,
    EditionRefused,
    Entry,
    head_of,
    parse_entry,
)

_LINE = re.compile(rb'"entry":"([0-9a-f]{32})".*"values":\{"([^}]*)\}')


@dataclass(frozen=True, slots=True)
class EditionIndex:
    """`ids`: of all entries in order, 32 letters each; `starts`: the byte at which each line begins, and the end.

    `kinds`: of each entry one bit for each algorithm that it has a value of, in the order of `ALGORITHMS`.
    """

    edition: Edition
    path: Path
    ids: NDArray[np.bytes_]
    starts: NDArray[np.int64]
    kinds: NDArray[np.uint8]

    def with_any(self, algorithms: Iterable[str]) -> NDArray[np.bool_]:
        """Which entries have a value of any of these algorithms."""
        return (self.kinds & sum(1 << ALGORITHMS.index(each) for each in algorithms)) > 0

    def entries(self, places: Iterable[int]) -> list[Entry]:
        """The entries at these places. Raises EditionRefused; the file must be the one that was indexed."""
        found = []
        try:
            with self.path.open("rb") as file:
                for place in places:
                    begin, end = int(self.starts[place]), int(self.starts[place + 1])
                    file.seek(begin)
                    found.append(parse_entry(file.read(end - begin - 1), path=self.path, number=place + 1))
        except OSError as error:
            raise EditionRefused(f"{self.path}: cannot be read ({error.strerror or error})") from None
        return found


def index_of(folder: Path, *, digest: str) -> EditionIndex:
    """The index of the edition in `folder`, read through once; its files must be those that `digest` names.

    Memory: 41 bytes an entry, and the file itself while it is read. Raises EditionRefused.
    """
    edition = head_of(folder)
    path = folder / ENTRIES
    if edition.digest != digest:
        raise EditionRefused(f"{folder}: is another edition than the one recorded; restore it from a backup")
    try:
        whole = path.read_bytes()
    except OSError as error:
        raise EditionRefused(f"{path}: cannot be read ({error.strerror or error})") from None
    if hashlib.sha256(whole).hexdigest() != edition.entries_sha256:
        raise EditionRefused(f"{path}: has another SHA-256 than edition.json says")
    ends = np.flatnonzero(np.frombuffer(whole, np.uint8) == ord("\n")) + 1
    starts = np.concatenate([[0], ends]).astype(np.int64)
    found = [(each.group(1), _kinds(each.group(2))) for each in _LINE.finditer(whole)]
    if not len(found) == len(ends) == edition.entries or np.diff(starts).max(initial=0) > LONGEST_LINE:
        raise EditionRefused(f"{path}: these are not the entries that edition {edition.number} names")
    ids, kinds = np.array([name for name, _ in found], "S32"), np.array([bits for _, bits in found], np.uint8)
    return EditionIndex(edition, path, ids, starts, kinds)


def _kinds(values: bytes) -> int:
    names = {pair.partition(b'"')[0].decode() for pair in values.split(b',"')}
    return sum(1 << place for place, name in enumerate(ALGORITHMS) if name in names)
