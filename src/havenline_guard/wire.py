"""The messages between `matchd` and who asks it, to and from bytes: docs/formats/matchd.md, form 2."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from havenline.entries import BYTES, Values
from havenline.matching.asked import KINDS, Asked, AskedFrames, FilmLeads, Leads
from havenline.matching.change_log import Change, change_of, said_change
from havenline.matching.snapshot import DIGESTS, EditionHead, said_terms, terms_of
from havenline.texts import Texts
from havenline.vocabulary import LARGEST_RADIUS, VALUE_KINDS, EditionRef, HashKind, HavenlineError

FORM = 2
HEAD = struct.Struct("<IBBHQ")
"""Bytes that follow, kind, zero, zero, tag: what the asker calls the question, and the answer bears again."""
LONGEST_PATH = 100
CHANGING = ".change"
"""What the name of the socket for changes has more than that for lookups."""
MOST_QUESTIONS = 65_536
"""Fingerprints in one message."""
MOST_VALUES = 131_072
"""Values of one kind in one message."""
MOST_FRAMES_ASKED = 131_072
"""Frames of films in one message."""
LARGEST = 8 << 20
"""Bytes of a message to the server."""
_MAGIC = b"HVLNMTCH"
_HELLO = struct.Struct("<8sII")
_WELCOME = struct.Struct("<III")
_REFUSED = struct.Struct("<HBB")
_ASKED = struct.Struct("<QIIIIIIII")
_LEADS = struct.Struct("<QIIQII")
_FILM = KINDS.index(HashKind.FILM)
_ORDER = (HashKind.PDQ, *DIGESTS)
"""The order of values in a question: PDQ first, where numbers of eight bytes are aligned."""
_NO_ROWS: NDArray[np.uint32] = np.empty(0, np.uint32)
_NO_QUALITY: NDArray[np.uint8] = np.empty(0, np.uint8)
_NO_VALUES = {kind: Values.none(kind) for kind in VALUE_KINDS}
_ONE, _ONE_PDQ, _ROW_0 = _ASKED.size + 37, [1, 0, 0, 0], bytes(4)
_ONE_ROW, _ONE_QUALITY = _ASKED.size + 32, _ASKED.size + 36
_FIRST_ROW: NDArray[np.uint32] = np.zeros(1, np.uint32)
_LONGEST_ID = 1 << 16
_FRAME_BYTES, _FILM_BYTES, _MOMENT_BYTES = 9, 25, 9
"""Bytes of a frame in a lookup; of a lead by film, and of a moment of one, in an answer."""


class Kind(IntEnum):
    """What a message is; those from 128 on are answers."""

    HELLO = 1
    LOOKUP = 2
    CHANGE = 3
    HEADS = 4
    HEALTH = 5
    METRICS = 6
    WELCOME = 129
    LEADS = 130
    CHANGED = 131
    TABLE = 132
    HEALTHY = 133
    COUNTED = 134
    REFUSED = 255


class Reason(IntEnum):
    """Why a question was refused."""

    MALFORMED = 1
    NOT_ALLOWED = 2
    TOO_MUCH = 3
    BUSY = 4
    CHANGE_REFUSED = 5
    LISTS = 6
    INTERNAL = 7
    VERSION = 8


class Malformed(HavenlineError):
    """Bytes that are no message of this form; the connection they came over is closed."""


@dataclass(frozen=True, slots=True)
class Table:
    """The editions that answers speak of, as bytes that are sent once, and the number that stands for them."""

    heads: tuple[EditionHead, ...]
    text: bytes
    number: int
    nothing: Leads
    """What an answer without leads says."""

    @classmethod
    def of(cls, heads: tuple[EditionHead, ...]) -> Table:
        """As a server makes it."""
        said = [
            {
                "name": head.ref.list_name,
                "number": head.ref.number,
                "digest": head.ref.digest,
                "entries": head.count,
                "made_by": head.made_by,
                "added": head.added,
                "pipeline": head.pipeline,
                "terms": said_terms(head.terms),
            }
            for head in heads
        ]
        return cls.read(json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode(), heads)

    @classmethod
    def read(cls, text: bytes, heads: tuple[EditionHead, ...] | None = None) -> Table:
        """As an asker reads it. Raises Malformed."""
        number = int.from_bytes(hashlib.sha256(text).digest()[:8], "little") or 1
        try:
            told = tuple(_head_of(each) for each in json.loads(text)) if heads is None else heads
        except (KeyError, TypeError, ValueError):
            raise Malformed("the server's list of editions cannot be read: use a matching program") from None
        few = np.empty(0, np.uint8)
        return cls(
            told,
            text,
            number,
            Leads(
                tuple(head.ref for head in told),
                _NO_ROWS,
                few.astype(np.uint16),
                few,
                few,
                few.astype(np.bool_),
                _NO_ROWS,
                Texts.of([]),
            ),
        )


def message(kind: Kind, tag: int, body: bytes) -> bytes:
    """A whole message."""
    return HEAD.pack(len(body), kind, 0, 0, tag) + body


def hello() -> bytes:
    """The first body of a connection."""
    return _HELLO.pack(_MAGIC, FORM, 0)


def read_hello(body: memoryview) -> int:
    """The form that the asker speaks. Raises Malformed."""
    if len(body) != _HELLO.size:
        raise Malformed("a connection begins with a greeting of 16 bytes")
    magic, form, zero = _HELLO.unpack(body)
    if magic != _MAGIC or zero:
        raise Malformed("this is no greeting of Havenline's")
    return int(form)


def welcome() -> bytes:
    """The answer to a greeting: form, and how much may be asked at once."""
    return _WELCOME.pack(FORM, MOST_QUESTIONS, LARGEST)


def read_welcome(body: bytes) -> int:
    """The form that the server speaks. Raises Malformed."""
    if len(body) != _WELCOME.size:
        raise Malformed("the server's greeting cannot be read: use a matching program")
    return int(_WELCOME.unpack(body)[0])


def refusal(reason: Reason, text: str, *, closes: bool) -> bytes:
    """Why not, and whether the connection ends with it."""
    return _REFUSED.pack(reason, closes, 0) + text.encode()


def read_refusal(body: bytes) -> tuple[int, bool, str]:
    """Reason, whether the connection ends, the text."""
    reason, closes, _ = _REFUSED.unpack_from(body)
    return reason, bool(closes), body[_REFUSED.size :].decode(errors="replace")


def asked_body(asked: Asked, known: int) -> bytes:
    """A lookup; `known` is the number of the table that the asker has, or 0. Raises ValueError for too much."""
    hashes = asked.hashes
    columns = [hashes[kind] for kind in _ORDER]
    counts = [len(column.rows) for column in columns]
    if asked.count > MOST_QUESTIONS or max(counts) > MOST_VALUES:
        most = f"{MOST_QUESTIONS:,} fingerprints and {MOST_VALUES:,} values of a kind"
        raise ValueError(f"at most {most} are looked up at once")
    frames = asked.frames
    if len(frames) > MOST_FRAMES_ASKED:
        raise ValueError(f"at most {MOST_FRAMES_ASKED:,} frames of films are looked up at once")
    values = [column.values.tobytes() for column in columns if len(column.rows)]
    rows = [column.rows.astype(np.uint32, copy=False).tobytes() for column in columns if len(column.rows)]
    told = [frames.values.tobytes(), frames.milliseconds.tobytes(), frames.upright.tobytes()] if len(frames) else []
    return b"".join(
        [
            _ASKED.pack(known, asked.count, asked.leeway, *counts, len(frames), 0),
            *values,
            *rows,
            *told,
            asked.pdq_quality.tobytes(),
        ]
    )


def read_asked(body: memoryview) -> tuple[Asked, int]:
    """A lookup, as views of `body`. Raises Malformed unless every row and every number of bytes fits."""
    if len(body) < _ASKED.size:
        raise Malformed("a lookup is cut short")
    known, count, leeway, *counts, frames, zero = _ASKED.unpack_from(body)
    if (
        len(body) == _ONE
        and counts == _ONE_PDQ
        and count == 1
        and not leeway
        and not (frames or zero)
        and body[_ONE_ROW:_ONE_QUALITY] == _ROW_0
        and body[_ONE_QUALITY] <= 100
    ):
        # By far the most frequent: the same as below, in fewer steps.
        one = _NO_VALUES.copy()
        one[HashKind.PDQ] = Values(_FIRST_ROW, np.frombuffer(body, np.uint8, 32, _ASKED.size).reshape(1, 32))
        return Asked(1, one, np.frombuffer(body, np.uint8, 1, _ONE_QUALITY)), known
    if leeway > LARGEST_RADIUS or count > MOST_QUESTIONS or max(*counts, frames) > MOST_VALUES:
        most = f"{MOST_QUESTIONS:,} fingerprints and {MOST_VALUES:,} values of a kind, or frames,"
        raise Malformed(f"a lookup asks for at most {most} at once")
    wanted = _ASKED.size + counts[0] + _FRAME_BYTES * frames
    wanted += sum(number * (BYTES[kind] + 4) for kind, number in zip(_ORDER, counts, strict=True))
    if len(body) != wanted or zero:
        raise Malformed(f"a lookup has {len(body):,} bytes where its numbers say {wanted:,}")
    hashes = _NO_VALUES.copy()
    at = _ASKED.size
    ends = []
    for kind, number in zip(_ORDER, counts, strict=True):
        ends.append(at)
        at += number * BYTES[kind]
    for kind, number, start in zip(_ORDER, counts, ends, strict=True):
        if number:
            width = BYTES[kind]
            rows = np.frombuffer(body, np.uint32, number, at)
            if int(rows.max() if number > 1 else rows[0]) >= count:
                raise Malformed("a value belongs to a fingerprint that is not asked for")
            hashes[kind] = Values(rows, np.frombuffer(body, np.uint8, number * width, start).reshape(number, width))
            at += 4 * number
    shown, at = _read_frames(body, at, frames, values=counts[0])
    quality = np.frombuffer(body, np.uint8, counts[0], at) if counts[0] else _NO_QUALITY
    if counts[0] and int(quality.max() if counts[0] > 1 else quality[0]) > 100:
        raise Malformed("a quality lies in 0..100")
    return Asked(count, hashes, quality, leeway, shown), known


def _read_frames(body: memoryview, at: int, count: int, *, values: int) -> tuple[AskedFrames, int]:
    """The frames of a lookup, of which it has `values` PDQ values, and where they end. Raises Malformed."""
    if not count:
        return AskedFrames(), at
    places = np.frombuffer(body, np.uint32, count, at)
    if int(places.max()) >= values:
        raise Malformed("a frame has a hash that is not asked for")
    turned = np.frombuffer(body, np.uint8, count, at + 8 * count)
    if int(turned.max()) > 1:
        raise Malformed("a frame is turned or not")
    shown = AskedFrames(places, np.frombuffer(body, np.uint32, count, at + 4 * count), turned.view(np.bool_))
    return shown, at + _FRAME_BYTES * count


def leads_body(leads: Leads, table: Table, known: int) -> bytes:
    """The answer to a lookup; without the table where the asker has it."""
    text = b"" if known == table.number else table.text
    letters, films = leads.entries.letters, leads.films
    told = [getattr(films, name).tobytes() for name, _, _ in _films_columns(0, 0)] if len(films) else []
    return b"".join(
        [
            _LEADS.pack(table.number, len(leads.asked), len(text), len(letters), len(films), len(films.asked)),
            leads.entries.offsets.tobytes(),
            *told,
            leads.asked.tobytes(),
            leads.more.tobytes(),
            leads.edition.tobytes(),
            leads.kind.tobytes(),
            leads.distance.tobytes(),
            leads.allowed.tobytes(),
            letters.tobytes(),
            text,
        ]
    )


def nothing_body(table: Table) -> bytes:
    """The answer to a lookup without leads, for an asker who has the table."""
    return _LEADS.pack(table.number, 0, 0, 0, 0, 0) + bytes(8)


def read_leads(body: bytes, table: Table | None) -> tuple[Leads, Table]:
    """The answer to a lookup; `table` is the one that the asker has. Raises Malformed."""
    try:
        number, count, said, letters, films, moments = _LEADS.unpack_from(body)
        if not count and table is not None and number == table.number and len(body) == _LEADS.size + 8:
            return table.nothing, table
        at = _LEADS.size
        told = _FILM_BYTES * films + _MOMENT_BYTES * moments
        if len(body) != at + 8 + 21 * count + told + letters + said:
            raise Malformed("an answer has other bytes than its numbers say")
        if said:
            table = Table.read(body[len(body) - said :])
        if table is None or table.number != number:
            raise Malformed("an answer speaks of editions that were not told")
        offsets = np.frombuffer(body, "<u8", count + 1, at)
        film_leads, at = _read_films(body, at + offsets.nbytes, films, moments, leads=count)
        columns: list[Any] = []
        for kind, length in (
            ("<u4", count), ("<u4", count), ("<u2", count), ("u1", count), ("u1", count),
            ("?", count), ("u1", letters),
        ):  # fmt: skip
            columns.append(np.frombuffer(body, kind, length, at) if length else np.empty(0, kind))
            at += columns[-1].nbytes
    except (struct.error, ValueError) as error:
        raise Malformed(f"an answer cannot be read: {error}") from None
    asked, more, edition, kind_, distance, allowed, text = columns
    if count and (max(edition.tolist()) >= len(table.heads) or max(kind_.tolist()) >= len(KINDS)):
        raise Malformed("an answer speaks of editions or kinds that there are not")
    editions = table.nothing.editions
    by_film = np.flatnonzero(kind_ == _FILM)
    if not np.array_equal(by_film, film_leads.leads):
        raise Malformed("an answer tells other films than it has leads by film")
    return Leads(editions, asked, edition, kind_, distance, allowed, more, Texts(offsets, text), film_leads), table


def _films_columns(films: int, moments: int) -> tuple[tuple[str, str, int], ...]:
    """The columns of what is told of leads by film, in their order: name, type, how many."""
    return (
        ("leads", "<u4", films), ("counts", "<u4", 4 * films), ("ends", "<u4", films), ("asked", "<u4", moments),
        ("listed", "<u4", moments), ("upright", "?", films), ("distances", "u1", moments),
    )  # fmt: skip


def _read_films(body: bytes, at: int, films: int, moments: int, *, leads: int) -> tuple[FilmLeads, int]:
    """What is told of the leads by film, and where it ends. Raises Malformed, ValueError."""
    if not films:
        if moments:
            raise Malformed("an answer tells moments of no film")
        return FilmLeads(), at
    columns: dict[str, Any] = {}
    for name, kind, length in _films_columns(films, moments):
        columns[name] = np.frombuffer(body, kind, length, at) if length else np.empty(0, kind)
        at += columns[name].nbytes
    columns["counts"] = columns["counts"].reshape(films, 4)
    counts, ends = columns["counts"], columns["ends"].astype(np.int64)
    if (counts[:, ::2] > counts[:, 1::2]).any() or not counts.all():
        raise Malformed("an answer tells impossible shares")
    if int(ends[-1]) != moments or (np.diff(ends) < 0).any() or int(columns["leads"].max()) >= leads:
        raise Malformed("an answer tells moments of no film")
    return FilmLeads(**columns), at


def change_body(change: Change) -> bytes:
    """A change, as the file of changes says it; the server tells the time itself."""
    return json.dumps(said_change(change), ensure_ascii=False, separators=(",", ":")).encode()


def read_change(body: memoryview, *, at: dt.datetime) -> Change:
    """A change that was asked for at the time `at`. Raises Malformed where any part of it is not what it should be."""
    try:
        said = json.loads(bytes(body))
        if type(said) is not dict or not said.keys() <= {"at", "withdraw", "add", "terms"}:
            raise ValueError("withdraw, add and terms are what can be changed")
        change = change_of(said | {"at": at.astimezone(dt.UTC).isoformat()})
        _check_change(change)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise Malformed(f"a change cannot be read: {type(error).__name__}") from None
    return change


def _check_change(change: Change) -> None:
    """What types alone do not promise: a bad record would stay in the file of changes for good."""
    ids = [each for name, ids in change.withdraw.items() for each in (name, *ids)]
    ids += [each for name, entries in change.add.items() for each in (name, *(entry.entry for entry in entries))]
    for each in (*ids, *change.terms):
        if type(each) is not str or not 0 < len(each.encode()) <= _LONGEST_ID:
            raise ValueError("names and ids are texts")
    for entries in change.add.values():
        for entry in entries:
            texts = [text for pair in entry.opaque for text in pair] + [entry.label or ""]
            if any(type(text) is not str or len(text.encode()) > _LONGEST_ID for text in texts):
                raise ValueError("labels and opaque values are texts")
            if any(type(quality) is not int or type(second) not in (int, float) for second, _, quality in entry.frames):
                raise ValueError("a frame has a second and a quality")
            if entry.pdq_quality is not None and (
                type(entry.pdq_quality) is not int or not 0 <= entry.pdq_quality <= 100
            ):
                raise ValueError("a quality lies in 0..100")
    for terms in change.terms.values():
        if not {type(terms.enabled), type(terms.allow), type(terms.shadow)} <= {bool}:
            raise ValueError("a list is enabled or not")
        if type(terms.asked_share) not in (int, float) or type(terms.listed_share) not in (int, float):
            raise ValueError("shares are numbers")
        if type(terms.radius) is not int or type(terms.quality_floor) is not int:
            raise ValueError("radius and quality floor are whole numbers")


def _head_of(said: Mapping[str, Any]) -> EditionHead:
    ref = EditionRef(said["name"], said["number"], said["digest"])
    return EditionHead(ref, terms_of(said["terms"]), said["made_by"], said["entries"], said["added"], said["pipeline"])
