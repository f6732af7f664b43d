"""The key in the data folder that signs the audit log where no key process does."""

from __future__ import annotations

import re
from pathlib import Path
from unittest import mock

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from havenline.formats import publication_note
from havenline.formats.audit_log import ED25519, Checkpoint, signed
from havenline_desk.audit.key_file import KeyFileSigner

NAME = re.compile(r"havenline\.invalid/[0-9a-f]{16}")


def test_a_key_is_made_once_in_its_form_for_its_owner_alone_and_then_read(tmp_path: Path) -> None:
    path = tmp_path / "key"
    made = KeyFileSigner.of(path)
    assert re.fullmatch(rf"{NAME.pattern}\n[0-9a-f]{{64}}\n", path.read_text())
    assert path.stat().st_mode & 0o777 == 0o600
    again = KeyFileSigner.of(path)
    assert (again.name, again.public_key, again.algorithm) == (made.name, made.public_key, ED25519)
    assert repr(made) == f"KeyFileSigner(name={made.name!r}, algorithm={ED25519})", "it never shows its key"


def test_of_two_who_make_the_key_at_once_both_have_that_of_the_first(tmp_path: Path) -> None:
    first = KeyFileSigner.of(tmp_path / "key")
    with mock.patch.object(Path, "exists", return_value=False):
        second = KeyFileSigner.of(tmp_path / "key")
    assert second.name == first.name


def test_what_it_signs_is_checked_by_its_public_key_alone(tmp_path: Path) -> None:
    signer = KeyFileSigner.of(tmp_path / "key")
    note = signed(Checkpoint(signer.name, 3, bytes(32)), signer)
    assert b"\n3\n" in note
    public = Ed25519PublicKey.from_public_bytes(signer.public_key)
    public.verify(signer.sign_checkpoint(b"body"), b"body")
    public.verify(signer.sign_publication("0" * 64), publication_note.body(signer.name, "0" * 64))


def test_a_renewed_key_has_another_name_and_the_old_one_is_gone(tmp_path: Path) -> None:
    before = KeyFileSigner.of(tmp_path / "key")
    KeyFileSigner.renew(tmp_path / "key")
    after = KeyFileSigner.of(tmp_path / "key")
    assert after.name != before.name
    assert after.public_key != before.public_key
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["key"]
