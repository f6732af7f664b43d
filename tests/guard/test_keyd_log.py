"""The checkpoints that `keyd` signs, and the form of its own log."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from havenline_guard.keyd_client import CheckpointKey
from havenline_guard.keyd_log import START, GrowingTree, KeyEntry, first_fault
from tests.guard.keyd_rig import OBJECTS, Rig, refused


def root(leaves: list[bytes]) -> bytes:
    """RFC 9162 §2.1.1, as it is written there."""
    if len(leaves) < 2:
        return hashlib.sha256(b"\0" + leaves[0] if leaves else b"").digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root(leaves[:half]) + root(leaves[half:])).digest()


LEAVES = [bytes([number]) * 3 for number in range(40)]
HASHES = [hashlib.sha256(b"\0" + leaf).digest() for leaf in LEAVES]


def test_the_root_is_that_of_the_standard_however_the_tree_grew() -> None:
    assert GrowingTree().root() == root([])
    for size in range(1, len(LEAVES) + 1):
        for first in range(size):
            tree = GrowingTree().grown(HASHES[:first]).grown(HASHES[first:size])
            assert (tree.size, tree.root()) == (size, root(LEAVES[:size]))


def test_a_checkpoint_is_signed_so_that_anybody_can_check(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    signed = rig.keys.sign_checkpoint(0, HASHES[:5])
    assert (signed.size, signed.root) == (5, root(LEAVES[:5]))
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(rig.keys.status()["public_key"]))
    public.verify(signed.signature, text("havenline.test/log", 5, signed.root))
    assert rig.acts() == ["sign_checkpoint"]


def test_a_publication_is_signed_for_two_people_and_is_no_checkpoint(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    digest = hashlib.sha256(b"manifest").hexdigest()
    signature = rig.keys.sign_publication(digest, by="lead", second="senior")
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(rig.keys.status()["public_key"]))
    public.verify(signature, f"havenline.test/log.publication\n{digest}\n".encode())
    assert rig.acts() == ["sign_publication"]
    refused("two", rig.keys.sign_publication, digest, by="lead", second="lead")
    refused("two", rig.keys.sign_publication, digest, by="lead", second="")
    assert rig.acts() == ["sign_publication"]


def text(name: str, size: int, top: bytes) -> bytes:
    return f"{name}\n{size}\n{base64.b64encode(top).decode()}\n".encode()


def test_a_log_that_was_rewritten_shortened_or_forked_is_not_signed(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    log = list(HASHES[:30])
    asked: list[tuple[int, int]] = []

    def leaves(after: int, until: int) -> list[bytes]:
        asked.append((after, until))
        return log[after:until]

    key = CheckpointKey(rig.keys, leaves)
    with mock.patch("havenline_guard.keyd_wire.MOST_LEAVES", 8):
        key.sign_checkpoint(text(key.name, 20, root(LEAVES[:20])))
    assert asked == [(0, 8), (8, 16), (16, 20)]
    rig.start_again()
    key.sign_checkpoint(text(key.name, 20, root(LEAVES[:20])))
    forged = [b"other", *LEAVES[1:25]]
    for size, top in ((20, root(forged[:20])), (19, root(LEAVES[:19])), (25, root(forged))):
        refused("forked", key.sign_checkpoint, text(key.name, size, top))
    refused("forked", rig.keys.sign_checkpoint, 20, HASHES[20:22])
    signature = key.sign_checkpoint(text(key.name, 28, root(LEAVES[:28])))
    Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, text(key.name, 28, root(LEAVES[:28])))


def test_keyd_signs_its_own_log_too_and_exports_it_in_the_form_of_the_audit_log(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    for name in OBJECTS[:40]:
        rig.keys.mint(name, kind="original", size=1)
        signed = rig.keys.sign_own()
    header, *lines = rig.keys.export()
    assert json.loads(header) == {
        "entries": 40, "form": 1, "format": "havenline-audit-log", "origin": "havenline.test/log.keyd"
    }  # fmt: skip
    read = [json.loads(line) for line in lines]
    canonical = [json.dumps(each["entry"], sort_keys=True, separators=(",", ":")).encode() for each in read]
    assert [each["hash"] for each in read] == [hashlib.sha256(each).hexdigest() for each in canonical]
    assert all(re.fullmatch(LINE, line) for line in lines)
    assert (signed.size, signed.root) == (40, root(canonical))
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(rig.keys.status()["public_key"]))
    public.verify(signed.signature, text("havenline.test/log.keyd", 40, signed.root))
    rig.start_again()
    assert rig.keys.sign_own().root == signed.root


LINE = (
    r'\{"entry":(\{"act":"([a-z][a-z0-9_]{0,31})","actor":null,"at":"[0-9-]{10}T[0-9:]{8}\.[0-9]{6}Z",'
    r'"grant":(null|"[0-9a-f]{32}"),"investigation":null,"object":(null|"[0-9a-f]{32}"),"prev_hash":"([0-9a-f]{64})",'
    r'"purpose":null,"record":"[0-9a-f]{64}","salt":"[0-9a-f]{32}","seq":([1-9][0-9]{0,15})\}),"hash":"[0-9a-f]{64}"\}\n'
)
"""A line of an export, as docs/formats/keyd.md says it."""

FIRST = KeyEntry.of(1, 5, "mint", {"object": OBJECTS[0]}, START, "0" * 32)


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        (KeyEntry("no JSON", "{}"), "no entry"),
        (KeyEntry("[]", "{}"), "no entry"),
        (KeyEntry("{}", "{}"), "no entry"),
        (replace(FIRST, body="[]"), "no entry"),
        (replace(FIRST, line=FIRST.line.replace(",", ", ")), "canonical"),
        (replace(FIRST, body=FIRST.body.replace(":", ": ")), "canonical"),
        (replace(FIRST, line=FIRST.line.replace('"at":"1970-01-01T00:00:00.000005Z"', '"at":7')), "canonical"),
        (replace(FIRST, body="{}"), "particulars"),
        (replace(FIRST, line=FIRST.line.replace(OBJECTS[0], OBJECTS[1])), "particulars"),
        (KeyEntry.of(2, 5, "mint", {}, START, "0" * 32), "number 2"),
        (KeyEntry.of(1, 5, "mint", {}, "1" * 64, "0" * 32), "does not follow"),
    ],
)
def test_each_fault_of_an_entry_is_named(entry: KeyEntry, what: str) -> None:
    fault = first_fault([entry])
    assert fault is not None
    assert fault.seq == 1
    assert what in fault.what


def test_order_of_time_and_a_cut_end_are_seen() -> None:
    second = KeyEntry.of(2, 4, "mint", {}, FIRST.hash, "0" * 32)
    fault = first_fault([FIRST, second])
    assert fault is not None
    assert "earlier" in fault.what
    assert first_fault([FIRST]) is None
    cut = first_fault([FIRST], head=(2, second.hash))
    assert cut is not None
    assert "last one here" in cut.what
    assert first_fault([], head=(0, START)) is None
