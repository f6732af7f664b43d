"""An edition of a hash list as one Parquet file that names itself and is verified on opening.

Specified in `docs/formats/edition.md`; section numbers below are that page's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from havenline.vocabulary import EditionRef, HavenlineError, ListEntry
from havenline.whole_file import write_whole

MAGIC = b"PAR1"
METADATA_KEY = b"havenline.edition"
FORMAT_VERSION = 1
LONGEST_TEXT = 200

_HASH_BYTES = {"md5": 16, "sha1": 20, "sha256": 32, "pdq": 32}
_canonical_cells = attrgetter("entry", "md5", "sha1", "sha256", "pdq", "pdq_quality", "label")


class ListError(HavenlineError):
    """A hash list cannot be read or written; the text names the file, the reason and what was kept."""


@dataclass(frozen=True, slots=True)
class ReadEdition:
    """An edition whose entries give the digest it names."""

    ref: EditionRef
    entries: tuple[ListEntry, ...]
    made_by: str


def canonical_digest(entries: Iterable[ListEntry]) -> str:
    """The SHA-256, as hex, of the entries in their canonical form (3.); the order given does not matter.

    Raises ValueError when an entry id occurs twice.
    """
    digest = hashlib.sha256()
    before: str | None = None
    for entry in sorted(entries, key=attrgetter("entry")):
        if entry.entry == before:
            raise ValueError(f"two entries have the id {entry.entry!r}")
        before = entry.entry
        cells = _canonical_cells(entry)
        digest.update(json.dumps(cells, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


def check_text(what: str, text: str) -> str:
    """Return `text` when it is one line of 1 to 200 printable characters without outer blanks, else
    ValueError.
    """
    if not text or len(text) > LONGEST_TEXT or not text.isprintable() or text != text.strip():
        raise ValueError(f"the {what} is not one line of 1 to {LONGEST_TEXT} printable characters")
    return text


def write_edition(path: Path, ref: EditionRef, entries: Sequence[ListEntry], *, made_by: str, replace: bool) -> None:
    """Write an edition whole or not at all. `made_by` is the version of the program that makes it.

    Raises FileExistsError, OSError as `write_whole`; ValueError when the number is under 1. Not checked
    here: the digest, which `canonical_digest` gives.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if ref.number < 1:
        raise ValueError("editions are numbered from 1")
    head = {
        "format": "havenline-edition",
        "version": FORMAT_VERSION,
        "name": ref.list_name,
        "number": ref.number,
        "digest": ref.digest,
        "entries": len(entries),
        "made_by": made_by,
    }
    head["head_digest"] = _head_digest(head)
    columns = [_column(field, entries) for field in _schema()]
    schema = _schema().with_metadata({METADATA_KEY: json.dumps(head, ensure_ascii=False)})
    with write_whole(path, replace=replace) as file:
        pq.write_table(pa.Table.from_arrays(columns, schema=schema), file, compression="zstd", write_page_checksum=True)


def read_edition(path: Path) -> ReadEdition:
    """The edition in `path`, verified: form, columns, number of entries and digest (4.).

    Raises ListError with the reason, OSError when the file cannot be read. Not checked: who made it; an
    edition is not signed.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            head = _head(path, file.schema_arrow)
            columns = file.read().to_pydict()
    except (pa.ArrowException, ValueError):
        raise _damaged(path, "it is no whole Parquet file") from None
    except OSError as error:
        # Arrow raises OSError for broken pages too, then without a number of the operating system.
        if error.errno is not None:
            raise
        raise _damaged(path, "its pages cannot be read") from None
    try:
        entries = tuple(_entries(columns))
        digest = canonical_digest(entries)
    except ValueError as error:
        raise _damaged(path, str(error)) from None
    if len(entries) != head["entries"] or digest != head["digest"]:
        raise _damaged(path, "its entries do not give the digest that it names")
    return ReadEdition(EditionRef(head["name"], head["number"], digest), entries, head["made_by"])


def _damaged(path: Path, reason: str) -> ListError:
    return ListError(f"{path}: damaged or altered: {reason}; nothing was read from it, fetch it again")


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("entry", pa.string(), nullable=False),
            *(pa.field(kind, pa.binary(length)) for kind, length in _HASH_BYTES.items()),
            pa.field("pdq_quality", pa.uint8()),
            pa.field("label", pa.string()),
        ]
    )


def _column(field: Any, entries: Sequence[ListEntry]) -> Any:
    import pyarrow as pa

    values = [getattr(entry, field.name) for entry in entries]
    if field.name in _HASH_BYTES:
        values = [None if value is None else bytes.fromhex(value) for value in values]
    return pa.array(values, field.type)


def _head(path: Path, schema: Any) -> dict[str, Any]:
    """The edition's own description (2.), checked; raises ListError."""
    written = (schema.metadata or {}).get(METADATA_KEY)
    if written is None:
        raise ListError(
            f"{path}: a Parquet file, but no edition of a hash list; nothing was read from it "
            "(save foreign lists as CSV with headers)"
        )
    try:
        head = json.loads(written)
    except ValueError:
        raise _damaged(path, "its description is not JSON") from None
    if not isinstance(head, dict) or head.get("format") != "havenline-edition":
        raise _damaged(path, "its description is not one of an edition")
    if head.get("version") != FORMAT_VERSION:
        raise ListError(f"{path}: an edition of another form; this program reads form {FORMAT_VERSION}")
    kinds = {"name": str, "number": int, "digest": str, "entries": int, "made_by": str}
    if any(type(head.get(key)) is not kind for key, kind in kinds.items()):
        raise _damaged(path, "its description is incomplete")
    if head["number"] < 1 or head.get("head_digest") != _head_digest(head):
        raise _damaged(path, "its description does not give the digest that it names")
    if not schema.remove_metadata().equals(_schema()):
        raise _damaged(path, "its columns are not those of an edition")
    try:
        check_text("list name", head["name"])
        check_text("made_by", head["made_by"])
    except ValueError as error:
        raise _damaged(path, str(error)) from None
    return head


def _head_digest(head: dict[str, Any]) -> str:
    """Over the description itself, so that an altered name or number is seen (2.)."""
    rest = {key: value for key, value in head.items() if key != "head_digest"}
    canonical = json.dumps(rest, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _entries(columns: dict[str, list[Any]]) -> Iterable[ListEntry]:
    """The entries in the columns. Raises ValueError when one is no entry."""
    hashes = [[None if value is None else value.hex() for value in columns[kind]] for kind in _HASH_BYTES]
    rest = columns["entry"], *hashes, columns["pdq_quality"], columns["label"]
    for entry, md5, sha1, sha256, pdq, quality, label in zip(*rest, strict=True):
        check_text("entry id", entry)
        if label is not None:
            check_text("label", label)
        yield ListEntry(entry, md5=md5, sha1=sha1, sha256=sha256, pdq=pdq, pdq_quality=quality, label=label)
