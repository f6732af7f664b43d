"""Hash lists as JSON Lines: one object a line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from havenline.formats.json_stream import JsonBroken, JsonStream
from havenline.formats.list_block import Block, Cells
from havenline.formats.list_lines import LONGEST_LINE, TOO_LONG, Lines, blocks_of_lines
from havenline.formats.list_mapping import CARRIED, FRAMES, ColumnMap, ListError

_AT_ONCE = 20_000
_SURROGATE = re.compile("[\ud800-\udfff]")


def json_blocks(path: Path, mapping: ColumnMap, told: list[str]) -> Iterator[Block]:
    """The lines of the file; a key that holds a dot is looked for as it stands, then step by step inside objects.

    The file may be one JSON array as well; its records are then counted in place of lines. `told` gets the names of
    the keys that are not used, of the first block. Raises ListError for an empty file and an array that breaks off,
    else as `blocks_of_lines`.
    """
    asked = {field: (column, _getter(column)) for field, (column, _) in mapping.asked().items()}
    used = {column.split(".")[0] for column, _ in asked.values()} | {column for column, _ in asked.values()}
    first = True
    getters = {field: get for field, (_, get) in asked.items()}
    for lines in _array(path) if _is_array(path) else map(_records, blocks_of_lines(path)):
        block, keys = _block(lines, getters, first=first)
        told += [key for key in keys if key not in used]
        first = False
        yield block
    if first:
        raise ListError(f"{path}: empty; JSON Lines are one object a line")


@dataclass(frozen=True, slots=True)
class _Read:
    """Records by their number, None for a blank line, or why one is none. `done`: bytes of the file that are read."""

    records: Iterable[tuple[int, dict[str, Any] | str | None]]
    done: int


def _is_array(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def _array(path: Path) -> Iterator[_Read]:
    """The records of one array, some thousand at a time."""
    with path.open("rb") as file:
        stream, found = JsonStream(file, longest=LONGEST_LINE), list[tuple[int, dict[str, Any] | str | None]]()
        try:
            for number, _ in enumerate(stream.elements(whole=False), start=1):
                value, text = stream.value()
                # As in lines: a number that JSON does not know is none.
                known = isinstance(value, dict) and _known(text)
                found.append((number, TOO_LONG if len(text) > LONGEST_LINE else value if known else "no JSON object"))
                if len(found) == _AT_ONCE:
                    yield _Read(found, file.tell())
                    found = []
            stream.end()
        except JsonBroken as error:
            raise ListError(f"{path}: {error}; nothing was kept") from None
        yield _Read(found, file.tell())


def _known(text: str) -> bool:
    return not any(word in text for word in ("NaN", "Infinity")) or _reads(text)


def _reads(text: str) -> bool:
    try:
        _DECODER.decode(text)
    except ValueError:
        return False
    return True


def _records(lines: Lines) -> _Read:
    def read() -> Iterator[tuple[int, dict[str, Any] | str | None]]:
        for number, line in enumerate(lines.text[:-1].split(b"\n"), start=lines.first):
            try:
                yield number, _record(line)
            except ValueError as error:
                yield number, str(error)

    return _Read(read(), lines.done)


def _block(lines: _Read, getters: Mapping[str, Callable[[Any], Any]], *, first: bool) -> tuple[Block, list[str]]:
    numbers: list[int] = []
    cells: dict[str, list[str]] = {field: [] for field in getters}
    refused: list[tuple[int, str]] = []
    keys: dict[str, None] = {}
    for number, record in lines.records:
        if record is None:
            continue
        try:
            if isinstance(record, str):
                raise ValueError(record)
            row = [_text(field, get(record)) for field, get in getters.items()]
        except ValueError as error:
            refused.append((number, str(error)))
            continue
        numbers.append(number)
        for taken, text in zip(cells.values(), row, strict=True):
            taken.append(text)
        if first:
            keys.update(dict.fromkeys(record))
    made = {field: Cells.of(texts) for field, texts in cells.items()}
    return Block(np.array(numbers, np.int64), made, tuple(refused), lines.done), list(keys)


def _record(line: bytes) -> dict[str, Any] | None:
    """The object on one line, or None for a blank one. Raises ValueError with what is wrong."""
    if len(line) > LONGEST_LINE:
        raise ValueError(TOO_LONG)
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    if not text.strip():
        return None
    try:
        record = _DECODER.decode(text)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise ValueError("no JSON object")
    return record


def _getter(column: str) -> Callable[[Any], Any]:
    steps = column.split(".")
    if len(steps) == 1:
        return lambda record: record.get(column)

    def get(record: Any) -> Any:
        if column in record:
            return record[column]
        for step in steps:
            if not isinstance(record, dict):
                return None
            record = record.get(step)
        return record

    return get


def _text(field: str, value: Any) -> str:
    """The cell that a JSON value stands for. Raises ValueError with what is wrong."""
    if value is None:
        return ""
    if isinstance(value, str):
        if not value.isascii() and _SURROGATE.search(value):
            raise ValueError(f"its {named_field(field)} is not Unicode")
        return value.strip()
    if isinstance(value, list) and field == FRAMES:
        return json.dumps(value)
    if isinstance(value, int) and not isinstance(value, bool):
        # Python refuses to print a number of thousands of digits.
        return str(value) if abs(value) < 1 << 64 else "a number too large"
    if isinstance(value, float) and value.is_integer() and field == "pdq_quality":
        return str(int(value)) if abs(value) < 1 << 16 else "a number too large"
    raise ValueError(f"its {named_field(field)} is no text")


def named_field(field: str) -> str:
    """How a field is called where a person reads of it."""
    return (
        field.removeprefix(CARRIED).replace("entry", "entry id", 1) if field == "entry" else field.removeprefix(CARRIED)
    )


def _no_number(_: str) -> NoReturn:
    raise ValueError("JSON knows no such number")


_DECODER = json.JSONDecoder(parse_constant=_no_number)
