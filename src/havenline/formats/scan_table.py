"""The table that a scan writes: one row a file, streamed, as Parquet, CSV or JSON Lines by the name's ending.

Specified in `docs/formats/scan-table.md`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from havenline.formats.csv_text import guarded, storable
from havenline.vocabulary import EditionRef, Finding, FrameHash, HavenlineError, Match, Refused
from havenline.whole_file import write_whole

ENDINGS = (".parquet", ".csv", ".jsonl")
METADATA_KEY = b"havenline.scan"
FORMAT_VERSION = 5

_FILE_COLUMNS = (
    "path",
    "size",
    "media_type",
    "width",
    "height",
    "md5",
    "sha1",
    "sha256",
    "pdq",
    "pdq_quality",
    "pipeline",
    "pdq_512",
    "pdq_512_quality",
    "orientation",
    "pdq_upright",
    "pdq_512_upright",
    "cut_short",
    "model_body",
    "model_tensors",
    "refusal",
    "refusal_detail",
)
_FRAME_COLUMNS = ("frames", "frames_upright")
_BEST_COLUMNS = (
    "match_count",
    "match_best_list",
    "match_best_edition",
    "match_best_entry",
    "match_best_kind",
    "match_best_distance",
)
_ROWS_AT_ONCE = 4096

Row = dict[str, Any]


class ScanTableError(HavenlineError):
    """The table cannot be written; the text names the file, the reason and what was kept."""


class _Sink(Protocol):
    def write(self, row: Row) -> None: ...
    def close(self) -> None: ...


class ScanTable:
    """A table being written; `scan_table` opens it."""

    def __init__(self, path: Path, sink: _Sink) -> None:
        self._path, self._sink = path, sink

    def add(self, finding: Finding, *, size: int | None) -> None:
        """Append the row of one file. `size` in bytes, None when even that is unknown."""
        try:
            self._sink.write(table_row(finding, size=size))
        except OSError as error:
            raise _unwritable(self._path, error) from None


def check_ending(path: Path) -> str:
    """The table's form by the ending of its name. Raises ScanTableError when it is none of `ENDINGS`."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ScanTableError(f"{path}: a table ends in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")
    return ending


@contextmanager
def scan_table(path: Path, *, lists: Sequence[EditionRef] = ()) -> Iterator[ScanTable]:
    """A new table under `path`, complete when the block ends well.

    When it does not, nothing is left behind and an earlier file of that name stays as it was.

    `lists` are kept beside the rows in Parquet, so that list and edition number name a digest. Raises
    ScanTableError when the name has no known ending, or the file cannot be written.
    """
    ending = check_ending(path)
    body_failed = False
    try:
        with write_whole(path, replace=True) as file:
            sink = _SINKS[ending](file, lists)
            try:
                yield ScanTable(path, sink)
            except BaseException:
                body_failed = True
                with suppress(OSError):
                    sink.close()
                raise
            sink.close()
    except OSError as error:
        if body_failed:
            raise
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> ScanTableError:
    return ScanTableError(f"{path}: cannot be written ({error.strerror or error}); no table was kept")


def table_row(finding: Finding, *, size: int | None) -> Row:
    """The row of one file, by column. Frames and `matches` are lists of dictionaries, matches the best first."""
    row: Row = dict.fromkeys(_FILE_COLUMNS)
    row["path"], row["size"] = storable(finding.path), size
    refused: Refused | None = finding.refused
    fingerprint = finding.fingerprint
    frames: tuple[FrameHash, ...] = ()
    upright: tuple[FrameHash, ...] = ()
    if fingerprint is not None:
        for name in _FILE_COLUMNS[2:-2]:
            row[name] = getattr(fingerprint, name)
        row["size"] = fingerprint.size
        frames, upright = fingerprint.frames, fingerprint.frames_upright
        refused = fingerprint.refusal
    if refused is not None:
        row["refusal"], row["refusal_detail"] = refused.reason.value, storable(refused.detail)
    row["frames"] = [frame._asdict() for frame in frames]
    row["frames_upright"] = [frame._asdict() for frame in upright]
    row["matches"] = [match_row(match) for match in finding.matches]
    return row


def match_row(match: Match) -> Row:
    """A match, by name; shares in 0..1, null where it is not by film."""
    film = match.film
    return {
        "list": match.edition.list_name,
        "edition": match.edition.number,
        "entry": match.entry,
        "kind": match.kind.value,
        "distance": match.distance,
        "allowed": match.allowed,
        "more": match.more,
        "seconds": list(match.seconds),
        "asked_share": None if film is None else film.asked_share,
        "listed_share": None if film is None else film.listed_share,
        "upright": None if film is None else film.upright,
        "moments": [] if film is None else [moment._asdict() for moment in film.moments],
    }


class _ParquetSink:
    def __init__(self, file: BinaryIO, lists: Sequence[EditionRef]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        described = {
            "format": "havenline-scan",
            "version": FORMAT_VERSION,
            "lists": [{"name": ref.list_name, "number": ref.number, "digest": ref.digest} for ref in lists],
        }
        self._schema = parquet_schema().with_metadata({METADATA_KEY: json.dumps(described, ensure_ascii=False)})
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")
        self._batch = pa.RecordBatch
        self._rows: list[Row] = []

    def write(self, row: Row) -> None:
        self._rows.append(row)
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_batch(self._batch.from_pylist(self._rows, schema=self._schema))
            self._rows.clear()


class _CsvSink:
    """Plain cells, frames and all matches as JSON, and the best match in columns of its own."""

    def __init__(self, file: BinaryIO, _lists: Sequence[EditionRef]) -> None:
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow((*_FILE_COLUMNS, *_FRAME_COLUMNS, *_BEST_COLUMNS, "matches"))

    def write(self, row: Row) -> None:
        matches = row["matches"]
        leads = [match for match in matches if not match["allowed"]]
        best = [leads[0][name] for name in ("list", "edition", "entry", "kind", "distance")] if leads else [""] * 5
        frames = [_json(row[name]) if row[name] else "" for name in _FRAME_COLUMNS]
        cells = [row[name] for name in _FILE_COLUMNS] + [*frames, len(leads), *best, _json(matches)]
        self._writer.writerow([_cell(cell) for cell in cells])

    def close(self) -> None:
        self._text.detach()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return guarded(value) if isinstance(value, str) else value


class _JsonLinesSink:
    def __init__(self, file: BinaryIO, _lists: Sequence[EditionRef]) -> None:
        self._file = file

    def write(self, row: Row) -> None:
        self._file.write(_json(row).encode() + b"\n")

    def close(self) -> None:
        """Nothing is held back."""


_SINKS: dict[str, type[_ParquetSink] | type[_CsvSink] | type[_JsonLinesSink]] = {
    ".parquet": _ParquetSink,
    ".csv": _CsvSink,
    ".jsonl": _JsonLinesSink,
}


def parquet_schema() -> Any:
    """The Arrow schema of the table, without metadata."""
    import pyarrow as pa

    moments = pa.struct([("asked_second", pa.float64()), ("listed_second", pa.float64()), ("distance", pa.int16())])
    matches = pa.struct(
        [
            ("list", pa.string()),
            ("edition", pa.int64()),
            ("entry", pa.string()),
            ("kind", pa.string()),
            ("distance", pa.int16()),
            ("allowed", pa.bool_()),
            ("more", pa.int64()),
            ("seconds", pa.list_(pa.float64())),
            ("asked_share", pa.float64()),
            ("listed_share", pa.float64()),
            ("upright", pa.bool_()),
            ("moments", pa.list_(moments)),
        ]
    )
    frames = pa.struct([("second", pa.float64()), ("pdq", pa.string()), ("quality", pa.int16())])
    kinds = {
        "size": pa.int64(),
        "width": pa.int32(),
        "height": pa.int32(),
        "pdq_quality": pa.int16(),
        "pdq_512_quality": pa.int16(),
        "orientation": pa.int8(),
        "cut_short": pa.bool_(),
    }
    columns = [(name, kinds.get(name, pa.string())) for name in _FILE_COLUMNS]
    columns += [(name, pa.list_(frames)) for name in _FRAME_COLUMNS]
    return pa.schema([*columns, ("matches", pa.list_(matches))])


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
