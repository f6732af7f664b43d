"""The master keys: sealed at rest, versioned, and bound to what they wrap."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from unittest import mock

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from havenline_guard.keyd_master import MasterKeys, MasterKeysError
from tests.guard.keyd_rig import COST, PASSPHRASE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "master.keys"


def test_what_is_sealed_is_unsealed_by_the_passphrase_alone(path: Path) -> None:
    made = MasterKeys.create(path, PASSPHRASE, cost=COST)
    version, wrapped = made.wrap(b"k" * 32, bound=b"object")
    again = MasterKeys.unseal(path, PASSPHRASE)
    assert again.unwrap(version, wrapped, bound=b"object") == b"k" * 32
    assert again.signer.public_key().public_bytes_raw() == made.signer.public_key().public_bytes_raw()
    with pytest.raises(MasterKeysError, match="passphrase is another"):
        MasterKeys.unseal(path, PASSPHRASE + b"!")
    assert path.stat().st_mode & 0o077 == 0


def test_master_keys_are_never_replaced(path: Path) -> None:
    MasterKeys.create(path, PASSPHRASE, cost=COST)
    with pytest.raises(FileExistsError):
        MasterKeys.create(path, PASSPHRASE, cost=COST)


def test_no_changed_file_is_believed(path: Path) -> None:
    MasterKeys.create(path, PASSPHRASE, cost=COST)
    whole = path.read_bytes()
    chance = random.Random(3)
    print("seed 3")
    for _ in range(100):
        place = chance.randrange(len(whole) - 1)
        changed = bytes([*whole[:place], whole[place] ^ 1 << chance.randrange(7), *whole[place + 1 :]])
        if changed.lower() != whole:
            path.write_bytes(changed)
            with pytest.raises(MasterKeysError):
                MasterKeys.unseal(path, PASSPHRASE)


@pytest.mark.parametrize(
    "change",
    [{"form": 2}, {"kdf": "other"}, {"n": 1 << 30}, {"n": "1024"}, {"r": 1 << 24}, {"p": 1 << 24}, {"salt": 5}],
)
def test_other_forms_are_refused_with_a_clear_word(path: Path, change: dict[str, object]) -> None:
    MasterKeys.create(path, PASSPHRASE, cost=COST)
    path.write_text(json.dumps(json.loads(path.read_bytes()) | change))
    with pytest.raises(MasterKeysError, match="master keys"):
        MasterKeys.unseal(path, PASSPHRASE)


@pytest.mark.parametrize("text", ["", "[]", "{}", '"x"', '{"sealed": "zz"}'])
def test_what_is_no_file_of_master_keys_is_refused(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(MasterKeysError, match="no file of master keys"):
        MasterKeys.unseal(path, PASSPHRASE)
    with pytest.raises(MasterKeysError, match="cannot be read"):
        MasterKeys.unseal(path.with_name("missing"), PASSPHRASE)


def test_a_wrapped_key_is_bound_to_its_version_and_object(path: Path) -> None:
    made = MasterKeys.create(path, PASSPHRASE, cost=COST)
    _, wrapped = made.wrap(b"k" * 32, bound=b"object")
    made.add(2)
    for version, bound in ((2, b"object"), (1, b"another")):
        with pytest.raises(MasterKeysError, match="changed, or belongs to another"):
            made.unwrap(version, wrapped, bound=bound)
    made.retire(1)
    assert (made.versions, made.current) == ((2,), 2)
    with pytest.raises(MasterKeysError, match="version 1"):
        MasterKeys.unseal(path, PASSPHRASE).unwrap(1, wrapped, bound=b"object")


def test_a_version_that_cannot_be_written_is_not_used(path: Path) -> None:
    made = MasterKeys.create(path, PASSPHRASE, cost=COST)
    full = mock.patch("havenline_guard.keyd_master.write_whole", side_effect=OSError(28, "No space left on device"))
    with full, pytest.raises(MasterKeysError, match="No space left"):
        made.add(2)
    assert made.current == 1


def test_the_file_is_what_its_format_says(path: Path) -> None:
    """docs/formats/keyd.md, 2, read by other code: cost, salt, nonce, and what is authenticated beside the keys."""
    MasterKeys.create(path, PASSPHRASE)
    said = json.loads(path.read_bytes())
    sealed = bytes.fromhex(said.pop("sealed"))
    salt = bytes.fromhex(said["salt"])
    assert said == {"form": 1, "kdf": "scrypt", "n": 131_072, "r": 8, "p": 1, "salt": salt.hex()}
    assert len(salt) == 16
    key = hashlib.scrypt(PASSPHRASE, salt=salt, n=131_072, r=8, p=1, dklen=32, maxmem=1 << 28)
    beside = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    inside = json.loads(AESGCM(key).decrypt(sealed[:12], sealed[12:], beside))
    assert (set(inside), set(inside["keys"])) == ({"keys", "signer"}, {"1"})
    assert [len(bytes.fromhex(each)) for each in (inside["keys"]["1"], inside["signer"])] == [32, 32]


@pytest.mark.parametrize(
    ("cost", "word"),
    [
        (1 << 9, "form that is not known"),
        ((1 << 10) - 1, "form that is not known"),
        ((1 << 10) + 1, "no file of master keys"),
        ((1 << 20) - 1, "no file of master keys"),
        ((1 << 20) + 1, "form that is not known"),
        (1 << 21, "form that is not known"),
    ],
)
def test_costs_are_read_from_2_to_the_10_up_to_2_to_the_20(path: Path, cost: int, word: str) -> None:
    """A cost within the range that is no power of two is asked of scrypt, which refuses it; one outside is not."""
    MasterKeys.create(path, PASSPHRASE, cost=COST)
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"n": cost}))
    with pytest.raises(MasterKeysError, match=word):
        MasterKeys.unseal(path, PASSPHRASE)


def test_the_largest_cost_is_one_that_is_read(path: Path) -> None:
    MasterKeys.create(path, PASSPHRASE, cost=COST)
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"n": 1 << 20}))
    asked = mock.patch("havenline_guard.keyd_master.Scrypt", side_effect=ValueError)  # a gibibyte is not taken for this
    with asked as scrypt, pytest.raises(MasterKeysError, match="no file of master keys"):
        MasterKeys.unseal(path, PASSPHRASE)
    assert scrypt.call_args.kwargs["n"] == 1 << 20


def test_a_wrapped_key_begins_with_its_nonce_and_names_what_it_belongs_to(path: Path) -> None:
    """docs/formats/keyd.md, 2: 12 bytes of nonce, then AES-256-GCM with the version in the additional data."""
    made = MasterKeys.create(path, PASSPHRASE, cost=COST)
    version, wrapped = made.wrap(b"k" * 32, bound=b"object\n")
    assert (version, len(wrapped)) == (1, 12 + 32 + 16)
    said = json.loads(path.read_bytes())
    sealed = bytes.fromhex(said.pop("sealed"))
    sealing = hashlib.scrypt(PASSPHRASE, salt=bytes.fromhex(said["salt"]), n=COST, r=8, p=1, dklen=32)
    beside = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    master = json.loads(AESGCM(sealing).decrypt(sealed[:12], sealed[12:], beside))["keys"]["1"]
    opened = AESGCM(bytes.fromhex(master)).decrypt(wrapped[:12], wrapped[12:], b"havenline keyd wrap 1\n1\nobject\n")
    assert opened == b"k" * 32
