"""The segments of a JPEG before its picture (ITU-T T.81, annex B), without decoding anything."""

from __future__ import annotations

from collections.abc import Iterator

START_OF_SCAN, END = 0xDA, 0xD9
FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
ARITHMETIC_FRAMES = frozenset({0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_MOST_STEPS = 1 << 20
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})


def segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, first byte, end) of each segment's body, up to the start of the first scan; ends early at damage."""
    at = 2
    for _ in range(_MOST_STEPS):
        if at + 4 > len(content) or content[at] != 0xFF:
            return
        name = content[at + 1]
        if name in (START_OF_SCAN, END):
            return
        if name == 0xFF or name in _BARE:
            at += 1 if name == 0xFF else 2
            continue
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        yield name, at + 4, end
        at = end
