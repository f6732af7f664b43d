"""Safe XML of one namespace as plain trees, each with where it stands in the bytes.

A document type is refused, and with it every entity but the five of XML: nothing expands and nothing outside is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.parsers import expat  # the C parser itself, because it tells where in the bytes an element stands

_DEEPEST = 32
_PLACED = 3
"""Elements at most so deep know their place in the bytes: the root, groups of records, records."""


class XmlRefused(Exception):
    """Not well-formed, cut short, too deep, of another form, or with a document type."""


class Element:
    """One element. `name` without the namespace that was asked for; of another one with it, a space between.

    `start` and `end`: its place in the bytes, of the root, a group or a record.
    """

    __slots__ = ("attributes", "children", "end", "name", "start", "text")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        """An element without text or children yet."""
        self.name, self.attributes = name, attributes
        self.start, self.end, self.text = 0, 0, ""
        self.children: list[Element] = []

    def __iter__(self) -> Iterator[Element]:
        return iter(self.children)

    def child(self, name: str) -> Element | None:
        """The first child of that name."""
        for each in self.children:
            if each.name == name:
                return each
        return None


def parsed(body: bytes, *, namespace: str) -> Element:
    """The root element of a whole document. Raises XmlRefused."""
    parser = expat.ParserCreate(namespace_separator=" ", intern={})
    parser.buffer_text = True
    prefix, cut = namespace + " ", len(namespace) + 1
    top = Element("", {})
    open_: list[Element] = [top]
    names: dict[str, str] = {}

    def begin(name: str, attributes: dict[str, str]) -> None:
        short = names.get(name)
        if short is None:
            short = names[name] = name[cut:] if name.startswith(prefix) else name
        made = Element(short, attributes)
        deep = len(open_)
        if deep <= _PLACED:
            made.start = parser.CurrentByteIndex
        elif deep > _DEEPEST:
            raise XmlRefused("elements lie too deep in each other")
        open_[-1].children.append(made)
        open_.append(made)

    def finish(_name: str) -> None:
        done = open_.pop()
        if len(open_) <= _PLACED:
            # The index is that of the end tag; the bytes up to and with its ">" belong to the element.
            done.end = body.find(b">", parser.CurrentByteIndex) + 1

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
    return top.children[0]
