"""Lines that name the kind of their one value, as lines with a column for each kind."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from havenline.formats.list_block import Block, Cells
from havenline.formats.list_mapping import CARRIED, HASHES, KIND, VALUE, ColumnMap


def spread(block: Block, mapping: ColumnMap) -> Block:
    """The same lines, their values under the fields that their kinds are. Of a mapping without kinds nothing changes.

    Lines of a kind that is passed over are left out; one of a kind that the mapping does not name is refused.
    """
    if not mapping.kind_column:
        return block
    cells = dict(block.cells)
    kinds, values = cells.pop(KIND), cells.pop(VALUE)
    codes, named = _codes(kinds, mapping)
    for field in mapping.spread():
        mine = np.isin(codes, [at for at, ours in enumerate(named) if ours == field])
        cells[field] = Cells(values.letters, np.where(mine, values.starts, 0), np.where(mine, values.lengths, 0))
    unknown = np.flatnonzero(codes < 0)
    refused = tuple((int(block.lines[row]), "of a kind that the mapping does not name") for row in unknown)
    kept = np.array([ours != "" for ours in named] + [False])[codes]
    made = Block(block.lines, cells, (*block.refused, *refused), block.done)
    return made.at(kept)


def _codes(kinds: Cells, mapping: ColumnMap) -> tuple[NDArray[np.int64], list[str]]:
    """Of each line the position of its field in the list, -1 where the kind is unknown; an empty field passes over."""
    named = [ours if ours in HASHES or not ours else CARRIED + ours for ours in mapping.kinds.values()]
    places = {theirs: at for at, theirs in enumerate(mapping.kinds)}
    codes = np.full(len(kinds), -1, np.int64)
    for row in range(len(kinds)):
        try:
            codes[row] = places.get(kinds[row].strip(), -1)
        except UnicodeDecodeError:
            continue
    return codes, named
