"""Kept content: what is sealed, opened, found damaged and destroyed."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from havenline_guard.keyd_wire import KeydRefused
from havenline_guard.vault import Kept, Scrubbed, Vault, VaultError
from havenline_guard.vault_object import SEGMENT, Damaged, check, sealed, unsealed
from havenline_guard.vault_store import Absent, FolderStore, StoreError, Unreachable
from tests.guard.keyd_rig import AMPLE, OBJECTS, Rig, bound, refused

KEY = bytes(range(32))
ABOUT = {"name": OBJECTS[0], "kind": "original", "version": 1}
SIZES = (0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, 2 * SEGMENT + 17, 5 * SEGMENT)


def pieces(content: bytes, size: int) -> Iterator[bytes]:
    return (content[at : at + size] for at in range(0, len(content), size))


def seal(content: bytes, **other: object) -> bytes:
    return b"".join(sealed([content], KEY, **{**ABOUT, **other}))  # type: ignore[arg-type]


def unseal(whole: bytes, key: bytes = KEY, **other: object) -> bytes:
    return b"".join(unsealed([whole], key, **{**ABOUT, **other}))  # type: ignore[arg-type]


@pytest.mark.parametrize("size", SIZES)
def test_what_was_sealed_comes_back_whatever_the_pieces(size: int) -> None:
    content = random.Random(size).randbytes(size)
    whole = b"".join(sealed(pieces(content, 999), KEY, **ABOUT))  # type: ignore[arg-type]
    assert b"".join(unsealed(pieces(whole, 1_001), KEY, **ABOUT)) == content  # type: ignore[arg-type]
    assert len(whole) == 48 + size + 16 * max(1, -(-size // SEGMENT)) + 32
    check(pieces(whole, 77))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 3 * SEGMENT), st.integers(1, 3 * SEGMENT), st.integers(1, 3 * SEGMENT))
def test_sizes_of_pieces_do_not_matter(size: int, given_in: int, read_in: int) -> None:
    content = bytes(size)
    whole = b"".join(sealed(pieces(content, given_in), KEY, **ABOUT))  # type: ignore[arg-type]
    assert b"".join(unsealed(pieces(whole, read_in), KEY, **ABOUT)) == content  # type: ignore[arg-type]


@pytest.mark.parametrize("size", SIZES)
def test_no_changed_bit_gets_through(size: int) -> None:
    whole = seal(random.Random(size).randbytes(size))
    chance = random.Random(size + 1)
    print(f"seed {size + 1}")
    for _ in range(60):
        place = chance.randrange(len(whole) - 32)
        changed = bytearray(whole)
        changed[place] ^= 1 << chance.randrange(8)
        with pytest.raises(Damaged):
            unseal(bytes(changed))
        with pytest.raises(Damaged):
            check([bytes(changed)])


@pytest.mark.parametrize("size", SIZES)
def test_no_cut_added_swapped_or_doubled_segment_gets_through(size: int) -> None:
    whole = seal(random.Random(size).randbytes(size))
    head, body, trailer = whole[:48], whole[48:-32], whole[-32:]
    step = SEGMENT + 16
    segments = [body[at : at + step] for at in range(0, len(body), step)]
    forged = [whole[:cut] for cut in (0, 10, 47, 48, 80, len(whole) - 1, len(whole) - 33, len(whole) - 32)]
    forged += [head + b"".join(segments[:-1]) + trailer, head + b"".join([*segments, segments[-1]]) + trailer]
    if len(segments) > 1:
        forged.append(head + b"".join([segments[1], segments[0], *segments[2:]]) + trailer)
    for each in forged:
        with pytest.raises(Damaged):
            unseal(each)
    for each in (whole[:-1], whole[:90], b"", whole + b"x"):
        with pytest.raises(Damaged):
            check([each])


@pytest.mark.parametrize("other", [{"name": OBJECTS[1]}, {"kind": "rendition"}, {"version": 2}, {"key": bytes(32)}])
def test_an_object_opens_only_as_what_it_was_sealed_as(other: dict[str, object]) -> None:
    whole = seal(b"a drawn triangle")
    with pytest.raises(Damaged):
        unseal(whole, **other)  # type: ignore[arg-type]


def test_the_form_can_be_read_from_its_page_alone() -> None:
    """docs/formats/vault-object.md, written a second time with nothing of `vault_object`."""
    import struct

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    content = random.Random(4).randbytes(SEGMENT + 100)
    whole = seal(content)
    magic, form, segment, salt = struct.unpack(">8sII32s", whole[:48])
    assert (magic, form, segment) == (b"\x89HVLVO\r\n", 1, 65_536)
    about = b"havenline vault object 1\n"
    for part in (OBJECTS[0].encode(), b"original", whole[:48]):
        about += len(part).to_bytes(4, "big") + part
    about += (1).to_bytes(8, "big")
    cipher = AESGCM(HKDF(algorithm=SHA256(), length=32, salt=salt, info=about).derive(KEY))
    first = cipher.decrypt(bytes(12), whole[48 : 48 + 65_552], None)
    last = cipher.decrypt(bytes(10) + b"\1\1", whole[48 + 65_552 : -32], None)
    assert first + last == content
    assert whole[-32:] == hashlib.sha256(whole[:-32]).digest()


def test_two_objects_of_the_same_content_have_nothing_in_common() -> None:
    first, second = seal(bytes(200)), seal(bytes(200))
    assert not any(first[at : at + 8] in second for at in range(16, len(first) - 8))


# -- the vault -----------------------------------------------------------------------------------------------------


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    made = Rig(tmp_path)
    made.keys.set_budget("p1", AMPLE, by="lead", second="welfare")
    return made


@pytest.fixture
def vault(rig: Rig) -> Vault:
    return Vault(FolderStore(rig.folder / "store"), rig.keys)


def look(rig: Rig, vault: Vault, kept: Kept) -> bytes:
    return vault.open(kept, rig.keys.grant(bound(kept.name)), bound(kept.name))


@pytest.mark.parametrize("size", SIZES)
def test_content_is_kept_and_opened_by_a_grant(rig: Rig, vault: Vault, size: int) -> None:
    content = random.Random(size).randbytes(size)
    kept = vault.keep(content, kind="original")
    assert kept.sha256 == hashlib.sha256(content).hexdigest()
    assert kept.sha256[:32] != kept.name
    assert look(rig, vault, kept) == content
    stored = (rig.folder / "store" / kept.name).read_bytes()
    assert size < 32 or content[:32] not in stored
    assert (rig.folder / "store" / kept.name).stat().st_mode & 0o077 == 0


def test_no_content_without_a_grant_or_for_the_grant_of_another_object(rig: Rig, vault: Vault) -> None:
    first, second = (vault.keep(text, kind="original") for text in (b"one", b"two"))
    token = rig.keys.grant(bound(first.name))
    with pytest.raises(VaultError, match="another object"):
        vault.open(second, token, bound(first.name))
    refused("unknown", vault.open, second, token, bound(second.name))
    assert vault.open(first, token, bound(first.name)) == b"one"


@pytest.mark.parametrize("sizes", [(10, 10), (3 * SEGMENT, 3 * SEGMENT), (10, 11)])
def test_content_that_is_not_what_was_recorded_is_not_given(rig: Rig, vault: Vault, sizes: tuple[int, int]) -> None:
    content = bytes(sizes[0])
    kept = vault.keep(content, kind="original")
    wrong = Kept(
        kept.name, kept.kind, sizes[1], hashlib.sha256(b"x").hexdigest() if sizes[0] == sizes[1] else kept.sha256
    )
    token, given_out = rig.keys.grant(bound(kept.name)), b""
    opening = vault.pieces(wrong, token, bound(kept.name))
    for _ in range(sizes[0] // SEGMENT - 1):
        given_out += next(opening)
    with pytest.raises(VaultError, match="digest"):
        next(opening)
    assert len(given_out) < len(content)


def test_damage_on_the_store_is_found_by_scrubbing_and_by_opening(rig: Rig, vault: Vault) -> None:
    whole, rotten, cut, gone = (vault.keep(bytes(number), kind="original") for number in range(4))
    store = rig.folder / "store"
    (store / "not-an-object").write_bytes(b"")
    (store / OBJECTS[7]).write_bytes(b"left behind")
    damaged = bytearray((store / rotten.name).read_bytes())
    damaged[60] ^= 1
    (store / rotten.name).write_bytes(damaged)
    (store / cut.name).write_bytes((store / cut.name).read_bytes()[:-1])
    (store / gone.name).unlink()
    found = vault.scrub([whole.name, rotten.name, cut.name, gone.name])
    assert found == Scrubbed(1, tuple(sorted((rotten.name, cut.name))), (gone.name,), (OBJECTS[7],))
    for each in (rotten, cut, gone):
        if each is not cut:
            with pytest.raises(VaultError, match="tell the administrator"):
                look(rig, vault, each)
    for name in found.unnamed:
        FolderStore(rig.folder / "store").delete(name)
    assert vault.scrub([whole.name]).unnamed == tuple(sorted((rotten.name, cut.name)))


def test_an_object_that_cannot_be_read_counts_as_damaged(rig: Rig, vault: Vault) -> None:
    kept = vault.keep(b"one", kind="original")
    (rig.folder / "store" / kept.name).unlink()
    (rig.folder / "store" / kept.name).mkdir()
    assert vault.scrub([kept.name]).damaged == (kept.name,)
    vault.destroy(kept.name, rule="cleared", by="retention")
    refused("destroyed", rig.keys.grant, bound(kept.name))


def test_a_store_that_does_not_answer_says_nothing_of_its_objects(
    rig: Rig, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = vault.keep(b"one", kind="original")

    def silent(_store: FolderStore, _name: str) -> NoReturn:
        raise Unreachable("the store does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(FolderStore, "get", silent)
        with pytest.raises(Unreachable):
            vault.scrub([kept.name])
    assert vault.scrub([kept.name]).damaged == ()


def test_a_destroyed_object_cannot_be_opened_by_anything_that_is_left(rig: Rig, vault: Vault) -> None:
    kept, other = vault.keep(b"one", kind="original"), vault.keep(b"two", kind="original")
    path = rig.folder / "store" / kept.name
    ciphertext = path.read_bytes()
    token = rig.keys.grant(bound(kept.name))
    vault.destroy(kept.name, rule="cleared", by="retention")
    assert not path.exists()
    path.write_bytes(ciphertext)
    refused("destroyed", vault.open, kept, token, bound(kept.name))
    key, version = rig.keys.open(rig.keys.grant(bound(other.name)), bound(other.name))
    with pytest.raises(Damaged):
        list(unsealed([ciphertext], key, name=kept.name, kind=kept.kind, version=version))
    assert look(rig, vault, other) == b"two"


def test_what_is_held_keeps_key_and_bytes(rig: Rig, vault: Vault) -> None:
    kept = vault.keep(b"one", kind="original")
    rig.keys.place_hold(kept.name, "h", by="lead")
    with pytest.raises(KeydRefused):
        vault.destroy(kept.name, rule="cleared", by="retention")
    assert look(rig, vault, kept) == b"one"


def test_what_the_store_cannot_do_is_said(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    store.put(OBJECTS[0], [b"x"])
    with pytest.raises(StoreError, match="already"):
        store.put(OBJECTS[0], [b"y"])
    assert list(store.get(OBJECTS[0])) == [b"x"]
    with pytest.raises(StoreError, match="32 hex"):
        store.put("../elsewhere", [b"y"])
    with pytest.raises(StoreError, match="could not be read"):
        list(store.get(OBJECTS[1]))
    store.delete(OBJECTS[1])
    (tmp_path / "store" / OBJECTS[2]).mkdir()
    with pytest.raises(StoreError, match="could not be deleted"):
        store.delete(OBJECTS[2])
    FolderStore(tmp_path / "lost")
    (tmp_path / "lost").rmdir()
    lost = object.__new__(FolderStore)
    lost._folder = tmp_path / "lost"
    with pytest.raises(StoreError, match="could not be kept"):
        lost.put(OBJECTS[3], [b"x"])


def test_what_a_killed_process_left_half_written_is_named_and_taken_away(rig: Rig, vault: Vault) -> None:
    def half() -> Iterator[bytes]:
        yield b"half"
        os._exit(0)

    kept, folder = vault.keep(b"a drawn circle", kind="original"), rig.folder / "store"
    if not (child := os.fork()):
        try:
            FolderStore(folder).put(OBJECTS[0], half())
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    found = vault.scrub([kept.name])
    assert (found.whole, len(found.unnamed)) == (1, 1)
    (left,) = found.unnamed
    assert OBJECTS[0] in left
    store = FolderStore(folder)
    for refused_here in (lambda: store.put(left, [b"x"]), lambda: list(store.get(left))):
        with pytest.raises(StoreError, match="32 hex"):
            refused_here()
    store.delete(left)
    assert [path.name for path in folder.iterdir()] == list(store.names()) == [kept.name]


def test_a_store_is_for_its_owner_alone_and_may_be_there_already(tmp_path: Path) -> None:
    before = FolderStore(tmp_path / "deep" / "store")
    before.put(OBJECTS[0], [b"x"])
    assert (tmp_path / "deep" / "store").stat().st_mode & 0o777 == 0o700
    store = FolderStore(tmp_path / "deep" / "store")
    assert list(store.get(OBJECTS[0])) == [b"x"]
    (tmp_path / "deep" / "store" / OBJECTS[1]).mkdir()
    with pytest.raises(StoreError, match="could not be read: Is a directory") as caught:
        list(store.get(OBJECTS[1]))
    assert not isinstance(caught.value, Absent)
