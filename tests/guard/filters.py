"""What tests of filters of system calls share: a reading of a filter, and the numbers of the machine's own headers."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

_HEADERS = ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm-generic/unistd.h")
"""For x86-64 and for aarch64, which goes by the numbers that are common to newer machines."""
_OTHER_NAMES = {"newfstatat": "fstatat"}
"""In the second header."""


def verdict(program: list[bytes], machine: int, number: int, *arguments: int) -> int:
    """What the filter says of a system call: a small reading of the kernel's packet filter machine."""
    told = struct.pack("=iIQ6Q", number, machine, 0, *arguments, *(0,) * (6 - len(arguments)))
    held = at = 0
    while True:
        code, then, otherwise, value = struct.unpack("=HBBI", program[at])
        at += 1
        if code == 0x20:
            (held,) = struct.unpack_from("=I", told, value)
        elif code == 0x06:
            return value
        else:
            true = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[code]
            at += then if true else otherwise


def wrong_numbers(calls: dict[str, tuple[int | None, int | None]]) -> list[tuple[str, int | None, int | None]]:
    """Calls whose number is not the header's: name, place in the pair, number. Skips where there are no headers."""
    wrong = []
    for place, header in enumerate(map(Path, _HEADERS)):
        if not header.exists():
            pytest.skip("the headers of the C library are not installed here")
        told = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text()))
        for name, pair in calls.items():
            known = told.get(_OTHER_NAMES.get(name, name) if place else name)
            if (None if known is None else int(known)) != pair[place]:
                wrong.append((name, place, pair[place]))
    return wrong
