"""The properties of an XMP packet (ISO 16684-1) that speak of origin, read as a stream and never as a tree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from xml.parsers import expat

READER = "xmp/1"
_DEEPEST = 64
_MOST = 4096
_MOST_ELEMENTS = 100_000
_LARGEST = 4 << 20
_LONGEST = 1 << 20
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_NAMES = {
    f"{_IPTC} DigitalSourceType": "Iptc4xmpExt:DigitalSourceType",
    f"{_IPTC} digitalsourcetype": "Iptc4xmpExt:DigitalSourceType",
    f"{_IPTC} AISystemUsed": "Iptc4xmpExt:AISystemUsed",
    f"{_IPTC} AISystemVersionUsed": "Iptc4xmpExt:AISystemVersionUsed",
    f"{_IPTC} AIPromptInformation": "Iptc4xmpExt:AIPromptInformation",
    f"{_IPTC} AIPromptWriterName": "Iptc4xmpExt:AIPromptWriterName",
    "http://ns.adobe.com/xap/1.0/ CreatorTool": "xmp:CreatorTool",
    "http://purl.org/dc/elements/1.1/ description": "dc:description",
    "http://purl.org/dc/elements/1.1/ creator": "dc:creator",
    "http://ns.adobe.com/photoshop/1.0/ Credit": "photoshop:Credit",
    "http://ns.adobe.com/exif/1.0/ UserComment": "exif:UserComment",
    "http://ns.adobe.com/tiff/1.0/ Software": "tiff:Software",
    "http://purl.org/dc/terms/ provenance": "dcterms:provenance",
}
_LABEL = "http://www.tc260.org.cn/ns/AIGC/"


class _Refused(Exception):
    """A document type, entities, or more than is read."""


def xmp_properties(packet: bytes) -> Iterator[tuple[str, str]]:
    """(property, text) of those that speak of origin, by their usual prefixes; each value of a list by itself.

    Ends quietly where the packet is no well-formed XML, has a document type, or is too deep or large; what came
    before is given.
    """
    reader = _Reader()
    if len(packet) > _LARGEST:
        return
    with suppress(expat.ExpatError, _Refused, ValueError, LookupError):
        reader.parser.Parse(packet.strip(b"\0 \r\n\t\xef\xbb\xbf"), True)
    yield from reader.found


class _Reader:
    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []
        self._path: list[tuple[str | None, list[str]]] = []
        self._size = self._elements = 0
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text

    def _refuse(self, *_: object) -> None:
        raise _Refused

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > _MOST_ELEMENTS or len(self._path) >= _DEEPEST or len(self.found) >= _MOST:
            raise _Refused
        self._path.append((_known(name), []))
        for attribute, said in attributes.items():
            self._note(_known(attribute) or self._resource(attribute), said)

    def _resource(self, attribute: str) -> str | None:
        """`rdf:resource` holds the value of the element that it stands on."""
        return self._within() if attribute.endswith("rdf-syntax-ns# resource") else None

    def _within(self) -> str | None:
        return next((known for known, _ in reversed(self._path) if known), None)

    def _text(self, text: str) -> None:
        self._size += len(text)
        if self._size > 16 * _LONGEST:
            raise _Refused
        if self._path:
            self._path[-1][1].append(text)

    def _end(self, _: str) -> None:
        within = self._within()
        pieces = self._path.pop()[1]
        text = "".join(pieces).strip()
        if text:
            self._note(within, text)

    def _note(self, known: str | None, text: str) -> None:
        if known and text and len(text) <= _LONGEST:
            self.found.append((known, text))


def _known(name: str) -> str | None:
    return "AIGC" if name.startswith(_LABEL) else _NAMES.get(name)
