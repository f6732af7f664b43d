"""The messages to `keyd`, against docs/formats/keyd.md, 3: what each field may be, up to its last permitted value."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from havenline_guard import keyd_wire as wire
from havenline_guard.keyd_wire import Malformed, Peer

FORMAT = Path(__file__).parents[2] / "docs/formats/keyd.md"
HEX32, HEX64, NAME = "0123456789abcdef" * 2, "0123456789abcdef" * 4, "A9:._-z"
LARGEST_COUNT = 4_611_686_018_427_387_904
COUNTS = (0, LARGEST_COUNT), (-1, LARGEST_COUNT + 1, True, "1", 1.0, None)
NAMES = (NAME, "a", "a" * 64), ("", "a" * 65, ".a", "a b", "a\n", "é", 5, None)
OBJECTS = (HEX32,), (HEX32[:-1], HEX32 + "0", HEX32.upper(), HEX32 + "\n", 5)
HASHES = (HEX64,), (HEX64[:-1], HEX64 + "0", HEX64.upper(), 5)
GOOD_AND_BAD: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    **dict.fromkeys(("person", "item", "assignment", "purpose", "kind", "rule", "reference", "by"), NAMES),
    **dict.fromkeys(("object", "grant"), OBJECTS),
    **dict.fromkeys(("size", "after", "per_hour", "per_day", "minutes", "bytes_per_day", "per_week"), COUNTS),
    **dict.fromkeys(("session", "digest"), HASHES),
    "second": ((*NAMES[0], ""), NAMES[1][1:]),
    "seconds": ((1, 120), (0, 121, True, "60")),
    "escalation": ((True, False), (0, 1, None, "true")),
    "token": (("A-_9" * 8,), ("a" * 31, "a" * 33, "a" * 31 + "=", 5)),
    "origin": (("a", "havenline.invalid/x:y_z", "a" * 120), ("", "a" * 121, "/a", "a b", 5)),
    "leaves": (([], [HEX64] * 900), ([HEX64] * 901, [HEX64, HEX32], [5], HEX64, {HEX64: 1}, None)),
}
EVERYBODY = frozenset(Peer)


def good(ask: str) -> dict[str, Any]:
    return {"ask": ask} | {field: GOOD_AND_BAD[field][0][0] for field in wire.QUESTIONS[ask].fields}


@pytest.mark.parametrize("ask", wire.QUESTIONS)
def test_each_field_may_be_what_it_must_be_and_nothing_else(ask: str) -> None:
    assert wire.read_question(good(ask), EVERYBODY)[0] == ask
    for field in wire.QUESTIONS[ask].fields:
        fits, unfit = GOOD_AND_BAD[field]
        for value in fits:
            assert wire.read_question(good(ask) | {field: value}, EVERYBODY)[1][field] == value
        for value in unfit:
            with pytest.raises(Malformed, match=f"{ask}: {field} is not what it must be"):
                wire.read_question(good(ask) | {field: value}, EVERYBODY)
        without = good(ask)
        del without[field]
        with pytest.raises(Malformed, match=f"{ask} has the fields"):
            wire.read_question(without, EVERYBODY)
    with pytest.raises(Malformed, match=f"{ask} has the fields"):
        wire.read_question(good(ask) | {"more": 1}, EVERYBODY)


def test_only_the_peers_that_the_format_names_may_ask() -> None:
    said = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ", FORMAT.read_text(), re.MULTILINE)
    assert {ask for ask, _ in said} == set(wire.QUESTIONS)
    for ask, roles in said:
        may = set(Peer) if roles == "all" else {peer for peer in Peer if re.search(rf"\b{peer}\b", roles)}
        for peer in Peer:
            if peer in may:
                assert wire.read_question(good(ask), frozenset({peer}))[0] == ask
            else:
                with pytest.raises(PermissionError):
                    wire.read_question(good(ask), frozenset({peer}))
        with pytest.raises(PermissionError):
            wire.read_question(good(ask), frozenset())


@pytest.mark.parametrize("ask", [None, 5, "", "open_all", ["open"]])
def test_what_is_no_question_is_refused(ask: object) -> None:
    with pytest.raises(Malformed, match="nothing that can be asked"):
        wire.read_question({"ask": ask}, EVERYBODY)


def test_a_message_is_its_length_and_one_object_of_at_most_65536_bytes() -> None:
    whole = wire.message({"ask": "status"})
    assert whole == struct.pack(">I", len(whole) - 4) + b'{"form":1,"ask":"status"}'
    assert wire.read_message(whole[4:]) == {"ask": "status"}
    room = 65_536 - len(b'{"form":1,"text":""}')
    assert len(wire.message({"text": "x" * room})) == 4 + 65_536
    with pytest.raises(Malformed, match="at most 65,536 bytes"):
        wire.message({"text": "x" * (room + 1)})
    assert len(wire.message(good("sign_checkpoint") | {"leaves": [HEX64] * 900})) <= 65_540


@pytest.mark.parametrize("said", [[1], "x", 5, None, {}, {"form": 2}, {"form": "1"}, {"form": None}])
def test_an_object_of_another_form_is_no_message(said: object) -> None:
    with pytest.raises(Malformed, match="of form 1: use a matching program"):
        wire.read_message(json.dumps(said).encode())


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 60_000])
def test_bytes_that_are_no_json_are_no_message(body: bytes) -> None:
    with pytest.raises(Malformed, match="a message is one JSON object"):
        wire.read_message(body)


def test_the_longest_path_of_a_socket_fits_the_system() -> None:
    """sun_path has 108 bytes on Linux with its closing zero; the name stays clear of them."""
    assert wire.LONGEST_PATH == 100


def test_a_refusal_has_its_word_and_its_sentence() -> None:
    refused = wire.KeydRefused("held", "a hold lies on this object")
    assert (refused.reason, str(refused)) == ("held", "a hold lies on this object")
