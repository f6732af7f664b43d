"""Hash lists in Parquet, as other programs write them: any columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from havenline.entries import BYTES
from havenline.formats.list_block import Block, Cells
from havenline.formats.list_mapping import FRAMES, HASHES, ColumnMap, ListError
from havenline.vocabulary import HashKind

MAGIC = b"PAR1"
_AT_ONCE = 1 << 16
_HEX_OF = np.frombuffer(b"0123456789abcdef", np.uint8)


def parquet_blocks(path: Path, mapping: ColumnMap, told: list[str]) -> Iterator[Block]:
    """The rows of the file, numbered from 1. A column inside structures is named by dots.

    Texts may be strings, bytes or dictionaries of them; hashes also the bytes themselves; entry and quality also
    whole numbers; frames also lists; nulls, and NaN as a quality, are cells that are not there. `told` gets the names
    of the columns that are not used. Raises ListError for other types, and for a file that is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            columns = _columns(file.schema_arrow)
            try:
                chosen = mapping.chosen(list(columns))
            except ValueError as error:
                raise ListError(f"{path}: {error}; nothing was read from it") from None
            names = list(columns)
            used = {field: names[at] for field, at in chosen.items()}
            _check_types(path, {field: (name, columns[name]) for field, name in used.items()})
            told += [name for name in columns if name not in used.values() and not name.startswith(_parents(used))]
            total, size, row = max(file.metadata.num_rows, 1), path.stat().st_size, 0
            tops = list(dict.fromkeys(_top(file.schema_arrow, name) for name in used.values()))
            for batch in file.iter_batches(batch_size=_AT_ONCE, columns=tops):
                lines = np.arange(row + 1, row + 1 + len(batch))
                row += len(batch)
                cells = {field: _cells(field, _found(batch, name)) for field, name in used.items()}
                yield Block(lines, cells, (), size * row // total)
    except (pa.ArrowException, ValueError, KeyError):
        raise ListError(f"{path}: damaged, or no whole Parquet file; nothing was read from it") from None
    except OSError as error:
        # Arrow raises OSError for broken pages too, then without a number of the operating system.
        if error.errno is not None:
            raise
        raise ListError(f"{path}: damaged: its pages cannot be read; nothing was read from it") from None


def _columns(schema: Any) -> dict[str, Any]:
    """The type of every column by name; what lies inside structures by dots, at the top first."""
    import pyarrow as pa

    made = {field.name: field.type for field in schema}

    def inside(prefix: str, type_: Any) -> None:
        for field in type_:
            made.setdefault(f"{prefix}.{field.name}", field.type)
            if pa.types.is_struct(field.type):
                inside(f"{prefix}.{field.name}", field.type)

    for field in schema:
        if pa.types.is_struct(field.type):
            inside(field.name, field.type)
    return made


def _parents(used: dict[str, str]) -> tuple[str, ...]:
    """Beginnings of names that lie inside structures of which something is used."""
    return tuple(name.split(".")[0] + "." for name in used.values() if "." in name)


def _top(schema: Any, name: str) -> str:
    return name if name in schema.names else name.split(".")[0]


def _found(batch: Any, name: str) -> Any:
    import pyarrow.compute as pc

    if name in batch.schema.names:
        return batch.column(name)
    top, *steps = name.split(".")
    found = batch.column(top)
    for step in steps:
        found = pc.struct_field(found, step)
    return found


def _check_types(path: Path, used: dict[str, tuple[str, Any]]) -> None:
    import pyarrow as pa

    for field, (name, type_) in used.items():
        of = type_.value_type if pa.types.is_dictionary(type_) else type_
        fits = _is_text(of) or pa.types.is_null(of)
        if field in HASHES:
            fits = fits or (pa.types.is_fixed_size_binary(of) and of.byte_width == BYTES[HashKind(field)])
        elif field in ("entry", "pdq_quality"):
            fits = fits or pa.types.is_integer(of) or (pa.types.is_floating(of) and field == "pdq_quality")
        elif field == FRAMES:
            fits = fits or _is_list(of)
        if not fits:
            raise ListError(f"{path}: its column {name!r} is of type {type_}, of which no {field} can be read")


def _is_text(type_: Any) -> bool:
    import pyarrow as pa

    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    values = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return any(test(type_) for test in (*texts, *values))


def _is_list(type_: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(type_) or pa.types.is_large_list(type_))


def _cells(field: str, column: Any) -> Cells:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_null(column.type):
        return Cells.of([""] * len(column))
    if _is_list(column.type):
        return Cells.of(json.dumps(value, default=str) if value else "" for value in column.to_pylist())
    if pa.types.is_floating(column.type):
        whole = [None if value is None or value != value else value for value in column.to_pylist()]
        return Cells.of("" if value is None else f"{value:.17g}" for value in whole)
    if pa.types.is_integer(column.type):
        column = pc.cast(column, pa.large_string())
    raw = pa.types.is_fixed_size_binary(column.type) or pa.types.is_binary(column.type)
    raw = raw or pa.types.is_large_binary(column.type) or pa.types.is_binary_view(column.type)
    # Nulls may hide bytes: an empty text takes their place.
    column = pc.fill_null(pc.cast(column, pa.large_binary()), b"")
    offsets = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column) + 1]
    letters = np.frombuffer(column.buffers()[2] or b"", np.uint8)
    cells = Cells(letters, offsets[:-1].copy(), np.diff(offsets))
    if raw and field in HASHES:
        return _with_hex(cells, BYTES[HashKind(field)])
    return cells.stripped()


def _with_hex(cells: Cells, width: int) -> Cells:
    """Hex in place of the values that are `width` bytes themselves."""
    rows = np.flatnonzero(cells.lengths == width)
    values = cells.letters[cells.starts[rows, None] + np.arange(width)]
    pairs = np.empty((len(rows), width, 2), np.uint8)
    pairs[:, :, 0], pairs[:, :, 1] = _HEX_OF[values >> 4], _HEX_OF[values & 15]
    starts, lengths = cells.starts.copy(), cells.lengths.copy()
    starts[rows] = len(cells.letters) + np.arange(len(rows)) * 2 * width
    lengths[rows] = 2 * width
    letters: NDArray[np.uint8] = np.concatenate([cells.letters, pairs.reshape(-1)])
    return Cells(letters, starts, lengths)
