"""The checkpoints that `keyd` signs, and the form of its own log."""

from __future__ import annotations

import base64
import hashlib
import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from havenline_guard.keyd_log import START, consistent, entry_hash, entry_line, first_fault
from tests.guard.keyd_rig import Rig, refused


def root(leaves: list[bytes]) -> bytes:
    """RFC 9162 §2.1.1, as it is written there."""
    if len(leaves) < 2:
        return hashlib.sha256(b"\0" + leaves[0] if leaves else b"").digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root(leaves[:half]) + root(leaves[half:])).digest()


def proof(old: int, leaves: list[bytes], whole: bool = True) -> list[bytes]:
    """RFC 9162 §2.1.4.1, as it is written there."""
    if old == len(leaves):
        return [] if whole else [root(leaves)]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    if old <= half:
        return [*proof(old, leaves[:half], whole), root(leaves[half:])]
    return [*proof(old - half, leaves[half:], False), root(leaves[:half])]


LEAVES = [bytes([number]) * 3 for number in range(33)]


def test_every_true_proof_of_consistency_holds() -> None:
    for new in range(1, len(LEAVES) + 1):
        for old in range(1, new):
            assert consistent(
                old, root(LEAVES[:old]), new, root(LEAVES[:new]), proof(old, LEAVES[:new])
            ), (old, new)  # fmt: skip


def test_no_changed_proof_holds() -> None:
    chance = random.Random(9)
    print("seed 9")
    for _ in range(3_000):
        new = chance.randrange(2, len(LEAVES))
        old = chance.randrange(1, new)
        path, before, after = proof(old, LEAVES[:new]), root(LEAVES[:old]), root(LEAVES[:new])
        other = hashlib.sha256(bytes([chance.randrange(256)])).digest()
        match chance.randrange(5):
            case 0:
                before = other
            case 1:
                after = other
            case 2:
                path[chance.randrange(len(path))] = other
            case 3:
                path.pop(chance.randrange(len(path)))
            case _:
                path.insert(chance.randrange(len(path) + 1), other)
        assert not consistent(old, before, new, after, path)


@pytest.mark.parametrize(
    ("old", "new", "same", "holds"),
    [(0, 5, False, True), (5, 5, True, True), (5, 5, False, False), (6, 5, True, False), (6, 5, False, False)],
)
def test_equal_and_smaller_trees(old: int, new: int, same: bool, holds: bool) -> None:
    assert consistent(old, b"a" * 32, new, (b"a" if same else b"b") * 32, []) is holds
    assert not consistent(old, b"a" * 32, new, b"a" * 32, [b"x" * 32])


def test_a_checkpoint_is_a_signed_note_that_anybody_can_check(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    note = rig.keys.sign_checkpoint(5, root(LEAVES[:5]))
    text, _, signatures = note.partition("\n\n")
    assert text.split("\n") == ["havenline.test/log", "5", base64.b64encode(root(LEAVES[:5])).decode()]
    _, name, signature = signatures.strip().split(" ")
    public = bytes.fromhex(rig.keys.status()["public_key"])
    raw = base64.b64decode(signature)
    assert name == "havenline.test/log"
    assert raw[:4] == hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]
    Ed25519PublicKey.from_public_bytes(public).verify(raw[4:], text.encode() + b"\n")
    assert rig.acts()[-1] == "sign_checkpoint"


def test_a_log_that_was_rewritten_shortened_or_forked_is_not_signed(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.keys.sign_checkpoint(5, root(LEAVES[:5]))
    rig.keys.sign_checkpoint(5, root(LEAVES[:5]))
    rig.keys.sign_checkpoint(20, root(LEAVES[:20]), proof(5, LEAVES[:20]))
    forged = [b"other", *LEAVES[1:25]]
    rig.start_again()
    refused("forked", rig.keys.sign_checkpoint, 25, root(forged), proof(20, forged))
    refused("forked", rig.keys.sign_checkpoint, 19, root(LEAVES[:19]))
    refused("forked", rig.keys.sign_checkpoint, 20, root(forged[:20]))
    refused("forked", rig.keys.sign_checkpoint, 25, root(LEAVES[:25]))
    rig.keys.sign_checkpoint(25, root(LEAVES[:25]), proof(20, LEAVES[:25]))


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("no JSON", "no entry"),
        ("[]", "no entry"),
        ("{}", "no entry"),
        (entry_line(1, 5, "mint", {}, START).replace(",", ", "), "canonical"),
        (entry_line(2, 5, "mint", {}, START), "number 2"),
        (entry_line(1, 5, "mint", {}, "1" * 64), "does not follow"),
    ],
)
def test_each_fault_of_an_entry_is_named(line: str, what: str) -> None:
    fault = first_fault([line])
    assert fault is not None
    assert fault.seq == 1
    assert what in fault.what


def test_order_of_time_and_a_cut_end_are_seen() -> None:
    first = entry_line(1, 5, "mint", {}, START)
    second = entry_line(2, 4, "mint", {}, entry_hash(first))
    fault = first_fault([first, second])
    assert fault is not None
    assert "earlier" in fault.what
    assert first_fault([first]) is None
    cut = first_fault([first], head=(2, entry_hash(second)))
    assert cut is not None
    assert "last one here" in cut.what
    assert first_fault([], head=(0, START)) is None
