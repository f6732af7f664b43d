"""Roots and proofs against the test vectors of RFC 6962's reference code, a second library, and each other."""

from __future__ import annotations

import hashlib
import random

import pymerkle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from havenline.formats.merkle_tree import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)

SEED = 6962

# The eight leaves and roots of the reference implementation of RFC 6962 (certificate-transparency, merkletree tests).
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
INCLUSION = {
    (0, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (5, 8): (
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 3): ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",),
    (1, 5): (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}
CONSISTENCY = {
    (1, 1): (),
    (1, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (6, 8): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 5): (
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}


def hashed(count: int) -> list[bytes]:
    return [leaf_hash(record) for record in LEAVES[:count]]


def test_roots_are_those_of_the_reference_vectors() -> None:
    assert Frontier().root == EMPTY_ROOT == hashlib.sha256(b"").digest()
    assert [Frontier().extended(hashed(size)).root.hex() for size in range(1, 9)] == list(ROOTS)


def test_proofs_are_those_of_the_reference_vectors() -> None:
    for (index, size), expected in INCLUSION.items():
        assert [node.hex() for node in inclusion_proof(hashed(size), index)] == list(expected), (index, size)
    for (first, second), expected in CONSISTENCY.items():
        assert [node.hex() for node in consistency_proof(hashed(second), first)] == list(expected), (first, second)


def test_roots_and_proofs_agree_with_an_independent_library() -> None:
    draw = random.Random(SEED)
    other = pymerkle.InmemoryTree(algorithm="sha256")
    leaves: list[bytes] = []
    tree = Frontier()
    for size in range(1, 301):
        record = draw.randbytes(draw.randrange(1, 60))
        other.append_entry(record)
        leaves.append(leaf_hash(record))
        tree = tree.extended(leaves[-1:])
        assert tree.root == other.get_root(), f"seed {SEED}, size {size}"
        if size % 37 == 0:
            first = draw.randrange(1, size + 1)
            theirs = other.prove_inclusion(first, size).path  # it counts from 1, and begins with the leaf
            assert [leaves[first - 1], *inclusion_proof(leaves, first - 1)] == theirs, f"seed {SEED}, size {size}"


@given(st.integers(1, 70), st.data())
def test_every_proof_verifies_and_none_verifies_for_anything_else(size: int, drawn: st.DataObject) -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(size)]
    root = Frontier().extended(leaves).root
    index = drawn.draw(st.integers(0, size - 1))
    proof = inclusion_proof(leaves, index)
    assert verify_inclusion(leaf=leaves[index], index=index, size=size, proof=proof, root=root)
    assert not verify_inclusion(leaf=leaf_hash(b"other"), index=index, size=size, proof=proof, root=root)
    assert not verify_inclusion(leaf=leaves[index], index=index, size=size, proof=[*proof, root], root=root)
    assert not verify_inclusion(leaf=leaves[index], index=size, size=size, proof=proof, root=root)
    if size > 1:
        assert not verify_inclusion(leaf=leaves[index], index=index, size=size, proof=proof[:-1], root=root)
    first = drawn.draw(st.integers(1, size))
    old = Frontier().extended(leaves[:first]).root
    path = consistency_proof(leaves, first)
    assert verify_consistency(first=first, first_root=old, second=size, second_root=root, proof=path)
    wrong = leaf_hash(b"another history")
    assert not verify_consistency(first=first, first_root=wrong, second=size, second_root=root, proof=path)
    assert not verify_consistency(first=first, first_root=old, second=size, second_root=root, proof=[*path, wrong])
    if first < size:
        assert not verify_consistency(first=first, first_root=old, second=size, second_root=wrong, proof=path)


@given(st.lists(st.binary(max_size=4), max_size=80), st.integers(0, 80))
def test_a_tree_grown_in_pieces_is_the_tree_grown_at_once(records: list[bytes], cut: int) -> None:
    leaves = [leaf_hash(record) for record in records]
    assert Frontier().extended(leaves[:cut]).extended(leaves[cut:]) == Frontier().extended(leaves)


def test_impossible_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be a tree"):
        Frontier(3, (b"x" * 32,))
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_proof(hashed(3), 3)
    with pytest.raises(ValueError, match="no beginning"):
        consistency_proof(hashed(3), 0)
    assert not verify_consistency(first=4, first_root=b"", second=3, second_root=b"", proof=[])
