"""The tables of an index among the arrays of a mapped file: docs/formats/hamming-index.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from havenline.matching.mapped_file import Flaw, MappedFileRefused, read_mapped, write_mapped
from havenline.matching.pigeonhole import CHUNKS
from havenline.matching.tables import KEYS, LANES, Tables

KIND = "hamming-index"
DAMAGED = "the index holds values that contradict each other: it is damaged; build it anew from the list"


def write_index(path: Path, tables: Tables) -> None:
    """Write `tables` as the index file `path`, in place of an earlier one; as `mapped_file.write_mapped`."""
    write_mapped(path, KIND, {"entries": tables.entry_count}, arrays_of(tables))


def read_index(path: Path, *, verify: bool = False) -> Tables:
    """The tables in the index file `path`, mapped; as `mapped_file.read_mapped`."""
    mapped = read_mapped(path, KIND, verify=verify)
    return tables_of(mapped.arrays, entries=mapped.says.get("entries"))


def arrays_of(tables: Tables) -> dict[str, NDArray[Any]]:
    """The arrays of `tables` by their names."""
    return {name: getattr(tables, name) for name in Tables.__slots__}


def tables_of(arrays: Mapping[str, NDArray[Any]], *, entries: object) -> Tables:
    """The tables among `arrays`. Raises MappedFileRefused when they are not those of an index of `entries`.

    Not checked: what stands in the arrays.
    """
    shapes = {name: arrays[name].shape for name in Tables.__slots__ if name in arrays}
    count = shapes["codes"][0] if len(shapes.get("codes", ())) == 2 else -1
    tabled = shapes.get("directory", (0,))[0] > 0
    repeats = entries - count if isinstance(entries, int) else -1
    if shapes != _shapes(count, repeats, tabled=tabled) or not 0 <= repeats < 1 << 32 or count < 0:
        raise MappedFileRefused(Flaw.HEAD, "the head of the file contradicts itself: make the file anew")
    kinds = {"codes": np.uint64, "partners": np.uint16}
    if any(arrays[name].dtype != kinds.get(name, np.uint32) for name in Tables.__slots__):
        raise MappedFileRefused(Flaw.HEAD, "the head of the file contradicts itself: make the file anew")
    return Tables(**{name: arrays[name] for name in Tables.__slots__})


def _shapes(codes: int, repeats: int, *, tabled: bool) -> dict[str, tuple[int, ...]]:
    """The shape of each array: they follow from the counts."""
    return {
        "codes": (codes, 4),
        "directory": (CHUNKS if tabled else 0, KEYS + 1),
        "partners": (CHUNKS * codes + LANES if tabled else 0,),
        "postings": (CHUNKS * codes if tabled else 0,),
        "repeat_ranks": (repeats,),
        "repeat_codes": (repeats,),
        "repeat_entries": (repeats,),
    }
