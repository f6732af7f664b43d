"""Hash sets and cases in the form of Project VIC (VICS 1.1 to 2.0, OData JSON), streamed; no picture is kept.

Specified in `docs/formats/vics.md`; section numbers below are that page's. No official specification was found: the
form is what independent readers and writers of it agree on.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from havenline.formats.json_stream import JsonBroken, JsonStream
from havenline.vocabulary import HavenlineError, ListEntry, check_hex

LONGEST_RECORD = 1 << 24
"""Characters of one record, or of one other member of a case; a longer one ends the reading."""
_HEAD = re.compile(r"https?://github\.com/ICMEC/ProjectVic/DataModels/(1\.[123])\.xml#(Cases|Media)\Z", re.IGNORECASE)
_HEAD_2 = re.compile(
    r"https?://github\.com/VICSDATAMODEL/ProjectVic/DataModels/(2\.0)\.xml/([A-Za-z]{1,20})/\$metadata#(Cases|Media)\Z",
    re.IGNORECASE,
)
_PICTURES = ("Miniature",)
"""Members that hold bytes of a picture."""
CATEGORIES: Mapping[str, Mapping[int, str]] = MappingProxyType(
    {
        "US": MappingProxyType({0: "non-pertinent", 1: "CAM", 2: "exploitive", 3: "CGI", 4: "comparison", 5: "none"}),
        "UK": MappingProxyType({1: "A", 2: "B", 3: "C"}),
    }
)
"""By country model, what each number means (4.); of other models the caller must say."""


class VicsRefused(HavenlineError):
    """A file is no VICS, breaks off, or needs a table that was not given; the text names the file and what to do."""


@dataclass(frozen=True, slots=True)
class VicsHead:
    """`version`: 1.1, 1.2, 1.3 or 2.0. `model`: the country model that the file names, empty before 2.0."""

    version: str
    model: str
    shape: str


@dataclass(frozen=True, slots=True)
class VicsRecord:
    """One media record. `category`: its number under the file's model, None where it says none.

    `entry`: its values, under an id that follows from them; `series`: the name of a series, or empty.
    """

    number: int
    category: int | None
    entry: ListEntry
    series: str = ""


@dataclass(frozen=True, slots=True)
class VicsUnread:
    """A record that was not understood: `raw` as it stands there, less bytes of pictures; `reason` tells no hash."""

    number: int
    reason: str
    raw: bytes


class _Unknown(Exception):
    """A record says what cannot be read. The text tells no hash value."""


def read_vics(
    path: Path, *, categories: Mapping[int, str] | None = None, model: str = ""
) -> tuple[VicsHead, Iterator[VicsRecord | VicsUnread]]:
    """What the file says of itself, and its records in order, read as they are taken; memory is that of one record.

    `model`: the country model of a file before 2.0, which names none. `categories`: the numbers that may stand in it,
    in place of those that are known of its model. Raises VicsRefused, also from the iterator, and OSError.
    """
    file = path.open("rb")
    walk = JsonStream(file, longest=LONGEST_RECORD)
    try:
        head = _head(walk, model)
    except JsonBroken as error:
        file.close()
        raise VicsRefused(f"{path}: {error}; nothing was read from it") from None
    known = categories if categories is not None else CATEGORIES.get(head.model.upper())
    if known is None:
        file.close()
        named = f"the model {head.model}" if head.model else "no country model"
        raise VicsRefused(f"{path}: of {named} it is not known what the categories mean: say it, or name the model")
    return head, _whole(walk, head, frozenset(known), path)


def write_vics(out: IO[bytes], entries: Iterable[tuple[ListEntry, int | None]], *, version: str, model: str) -> int:
    """Write a hash set (`#Media`) of entries with their categories; returns how many records it has.

    Written are MD5, SHA-1 and, as alternative hashes, SHA-256 and PDQ. Raises ValueError for a version or model that is
    not written, OSError.
    """
    if version not in ("1.3", "2.0") or not re.fullmatch(r"[A-Za-z]{1,20}", model):
        raise ValueError("versions 1.3 and 2.0 are written, for a model of up to 20 letters")
    base = "http://github.com/ICMEC/ProjectVic/DataModels/1.3.xml#Media"
    key = "odata.metadata"
    if version == "2.0":
        key, base = (
            "@odata.context",
            f"http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/{model}/$metadata#Media",
        )
    out.write(b'{"%s":%s,"value":[' % (key.encode(), json.dumps(base).encode()))
    count = 0
    for entry, category in entries:
        md5 = entry.md5.upper() if entry.md5 else None
        others = [
            {"MD5": md5, "HashName": name, "HashValue": value.upper()}
            for name, value in (("SHA256", entry.sha256), ("PDQ", entry.pdq))
            if value
        ]
        said: dict[str, object] = {"MediaID": count + 1, "Category": category, "MD5": md5}
        said |= {"SHA1": entry.sha1.upper()} if entry.sha1 else {}
        said |= {"AlternativeHashes": others} if others else {}
        out.write((b"," if count else b"") + b"\n" + json.dumps(said, separators=(",", ":")).encode())
        count += 1
    out.write(b"\n]}\n")
    return count


def _head(walk: JsonStream, model: str) -> VicsHead:
    """Everything before `value` (1.)."""
    walk.sign("{")
    found: VicsHead | None = None
    while True:
        name = walk.name()
        if name == "value":
            break
        value, _ = walk.value()
        if name in ("odata.metadata", "@odata.context") and isinstance(value, str):
            if old := _HEAD.match(value):
                found = VicsHead(old.group(1), model, old.group(2).capitalize())
            elif new := _HEAD_2.match(value):
                found = VicsHead(new.group(1), new.group(2), new.group(3).capitalize())
        if not walk.found(","):
            raise JsonBroken("names no records")
    if found is None:
        raise JsonBroken("its head names no version of VICS that is read here (1.1, 1.2, 1.3, 2.0)")
    if found.version == "2.0" and model and model.upper() != found.model.upper():
        raise JsonBroken(f"is of the model {found.model}, not {model}")
    return found


def _whole(walk: JsonStream, head: VicsHead, known: frozenset[int], path: Path) -> Iterator[VicsRecord | VicsUnread]:
    try:
        yield from _records(walk, head, known)
    except JsonBroken as error:
        raise VicsRefused(f"{path}: {error}; what was read before is not all") from None


def _records(walk: JsonStream, head: VicsHead, known: frozenset[int]) -> Iterator[VicsRecord | VicsUnread]:
    with walk.file:
        number = 0
        for _ in walk.elements(whole=head.shape == "Media"):
            if head.shape == "Media":
                number += 1
                yield _record(*walk.value(), number, known)
                continue
            walk.sign("{")
            more = not walk.found("}")
            while more:
                if walk.name() != "Media":
                    walk.value()
                else:
                    for _ in walk.elements(whole=True):
                        number += 1
                        yield _record(*walk.value(), number, known)
                more = walk.found(",")
                if not more:
                    walk.sign("}")
        while walk.found(","):
            walk.name()
            walk.value()
        walk.sign("}")
        walk.end()


def _record(said: Any, raw: str, number: int, known: frozenset[int]) -> VicsRecord | VicsUnread:
    try:
        if not isinstance(said, dict):
            raise _Unknown("no object")
        category = said.get("Category")
        if category is not None and (type(category) is not int or category not in known):
            raise _Unknown("a category that its model does not know")
        series = said.get("Series") or ""
        if not isinstance(series, str):
            raise _Unknown("a series that is no text")
        return VicsRecord(number, category, _entry(said), series.strip())
    except _Unknown as error:
        if isinstance(said, dict) and any(name in said for name in _PICTURES):
            raw = json.dumps({name: value for name, value in said.items() if name not in _PICTURES})
        return VicsUnread(number, str(error), raw.encode())


def _entry(said: Mapping[str, Any]) -> ListEntry:
    """The values of one record (3.)."""
    values: dict[str, str] = {}
    opaque: list[tuple[str, str]] = []
    for name, kind in (("MD5", "md5"), ("SHA1", "sha1")):
        if (value := said.get(name)) not in (None, ""):
            values[kind] = _hex(kind, value)
    if (value := said.get("PhotoDNA")) not in (None, ""):
        opaque.append(("photodna", _photodna(value)))
    for each in said.get("AlternativeHashes") or ():
        if not isinstance(each, dict) or not isinstance(each.get("HashName"), str):
            raise _Unknown("an alternative hash of another form")
        name, value = each["HashName"].strip().lower().replace("-", ""), each.get("HashValue")
        if name in ("md5", "sha1", "sha256", "pdq"):
            if values.setdefault(name, _hex(name, value)) != _hex(name, value):
                raise _Unknown(f"two values of {name}")
        elif name == "photodna":
            opaque.append(("photodna", _photodna(value)))
        else:
            raise _Unknown("an alternative hash of a kind that is unknown")
    if not values and not opaque:
        raise _Unknown("no hash value")
    told = "\n".join(f"{kind} {held}" for kind, held in (*sorted(values.items()), *opaque))
    name = hashlib.sha256(told.encode()).hexdigest()[:32]
    return ListEntry(name, opaque=tuple(dict.fromkeys(opaque)), **values)  # type: ignore[arg-type]


def _hex(kind: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _Unknown(f"a {kind} that is no text")
    try:
        return check_hex(kind, value.strip().lower())
    except ValueError:
        raise _Unknown(f"a {kind} of another form") from None


def _photodna(value: Any) -> str:
    """PhotoDNA in base64, 144 bytes; it is carried and never computed or compared."""
    try:
        if len(b64decode(value, validate=True)) == 144:
            return str(value)
    except (ValueError, TypeError):
        pass
    raise _Unknown("a PhotoDNA of another form")
