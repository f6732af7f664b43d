"""Safe XML of one namespace as plain trees, whose records are given with their bytes one by one.

A document type is refused, and with it every entity but the five of XML: nothing expands and nothing outside is read.
"""

from __future__ import annotations

from collections.abc import Callable
from xml.parsers import expat  # the C parser itself, because it tells where in the bytes an element stands

_DEEPEST = 32
_PLACED = 3
"""Elements at most so deep know their place in the bytes: the root, groups of records, records."""


class XmlRefused(Exception):
    """Not well-formed, cut short, too deep, of another form, or with a document type."""


class Element(list["Element"]):
    """One element, as a list of those in it: so that the ten million of a long list are made without a call in Python.

    `name` without the namespace that was asked for; of another one with it, a space between. `start`: where in the
    bytes it begins, of the root, a group or a record alone.
    """

    __slots__ = ("attributes", "name", "start", "text")
    attributes: dict[str, str]
    name: str
    start: int
    text: str

    def child(self, name: str) -> Element | None:
        """The first child of that name."""
        for each in self:
            if each.name == name:
                return each
        return None


Take = Callable[[Element, Element, bytes], bool]
"""Is given what holds a group or a record, that itself, and its bytes as they were sent; whether it was taken."""


class _Names(dict[str, str]):
    """Names as the parser tells them, each without the namespace that was asked for."""

    def __init__(self, namespace: str) -> None:
        super().__init__()
        self._prefix = namespace + " "

    def __missing__(self, name: str) -> str:
        short = self[name] = name.removeprefix(self._prefix)
        return short


def parsed(body: bytes, *, namespace: str, take: Take | None = None) -> Element:
    """The root element of a whole document. Raises XmlRefused.

    `take` is asked about each record and then about its group, as soon as they are complete. What it takes is not in
    the tree, so that one record is held at a time; where the document is refused further on, it must be thrown away.
    """
    parser = expat.ParserCreate(namespace_separator=" ", intern={})
    parser.buffer_text = True
    names = _Names(namespace)
    top = Element()
    open_: list[Element] = [top]

    def begin(name: str, attributes: dict[str, str]) -> None:
        made = Element()
        made.name, made.attributes, made.text = names[name], attributes, ""
        deep = len(open_)
        if deep <= _PLACED:
            made.start = parser.CurrentByteIndex
        elif deep > _DEEPEST:
            raise XmlRefused("elements lie too deep in each other")
        open_[-1].append(made)
        open_.append(made)

    def finish(_name: str) -> None:
        done = open_.pop()
        if take is not None and 1 < len(open_) <= _PLACED:
            # The index is that of the end tag; the bytes up to and with its ">" belong to the element.
            raw = body[done.start : body.find(b">", parser.CurrentByteIndex) + 1]
            if take(open_[-1], done, raw):
                open_[-1].pop()

    def text(letters: str) -> None:
        if not letters.isspace():
            open_[-1].text += letters

    def refuse(*_: object) -> None:
        raise XmlRefused("a document type is refused")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = begin, finish, text
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise XmlRefused(f"no XML, or cut short ({expat.ErrorString(error.code)})") from None
    return top[0]
