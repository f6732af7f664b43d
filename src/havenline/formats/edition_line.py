"""The line of an entry read by one pattern: canonical JSON leaves one way to write it (docs/formats/edition.md, 2)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from havenline.vocabulary import ListEntry

CODE = "[A-Za-z0-9][A-Za-z0-9._:-]{0,63}"
"""What a code looks like: none of its signs is written otherwise in JSON."""
VALUES = ("md5", "pdq", "sha1", "sha256")
"""The values of an entry in the order in which its line has them."""
_DAY = r"(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
_VALUES_FORM = "".join(
    rf"""(?:"{name}":"([0-9a-f]{{{digits}}})"(?:,(?=")|(?=\}})))?"""
    for name, digits in zip(VALUES, (32, 64, 40, 64), strict=True)
)


class Line(NamedTuple):
    """Of an entry what its line says that a reader of a whole edition needs; the values as lower-case hex."""

    code: str
    entry: str
    kind: str
    quality: int | None
    md5: str | None
    pdq: str | None
    sha1: str | None
    sha256: str | None

    def listed(self) -> ListEntry:
        """The entry as matching knows it, its code for a label."""
        return ListEntry(
            self.entry,
            md5=self.md5,
            sha1=self.sha1,
            sha256=self.sha256,
            pdq=self.pdq,
            pdq_quality=self.quality,
            label=self.code or None,
        )


def line_pattern(kinds: Iterable[str], marks: Iterable[str]) -> re.Pattern[str]:
    """The pattern of a line with one of these kinds and marks; it knows every day but the 29th of February."""
    return re.compile(
        rf"""\{{"assessments":[1-9]\d{{0,8}},"code":"({CODE}|)","entry":"([0-9a-f]{{32}})","""
        rf""""framework":"{CODE}","kind":"({"|".join(kinds)})","mark":"(?:{"|".join(marks)})","""
        rf""""quality":(null|\d|[1-9]\d|100),"released":"(?!0000)\d{{4}}-{_DAY}T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ","""
        rf""""values":\{{(?="){_VALUES_FORM}\}},"version":"{CODE}"\}}""",
        re.ASCII,
    )


def line_by_pattern(pattern: re.Pattern[str], line: bytes) -> Line | None:
    """What the line says; None where it is none, or one that the pattern does not know."""
    found = pattern.fullmatch(line.decode("latin-1"))
    if found is None:
        return None
    code, entry, kind, said, md5, pdq, sha1, sha256 = found.groups()
    if (said == "null") != (pdq is None):
        return None
    return Line(code, entry, kind, None if pdq is None else int(said), md5, pdq, sha1, sha256)


def added_line(line: bytes) -> bytes:
    """The line of the change that adds the entry: members are sorted, and nothing else in a line can look like one."""
    return line.replace(b',"quality":', b',"op":"add","quality":', 1)
