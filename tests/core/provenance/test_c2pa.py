"""Manifests signed with a certificate of the tests: whole, changed, cut short, elsewhere, beside; nothing fetched."""

from __future__ import annotations

import hashlib
import json
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import pytest
from tests.core.provenance import drawn_marks as marks
from tests.core.provenance.drawn_marks import KEY
from tests.core.provenance.signed import new_authority, signed, signing_chain

from havenline.media.jpeg_segments import segments
from havenline.provenance import (
    NOT_SHOWN,
    STATE_MEANS,
    Signal,
    SignalKind,
    Strength,
    read_manifest_beside,
    read_picture,
)
from havenline.provenance.parts import parts_of
from havenline.provenance.read_back import read_back
from havenline.provenance.signals import keyed
from havenline.provenance.signers import SignersError, read_signers
from havenline.testing.mutations import mutated

K = SignalKind
SEED = 27
FORMS = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
    "GIF": "image/gif",
    "AVIF": "image/avif",
    "HEIF": "image/heif",
    "JXL": "image/jxl",
}


def states(signals: tuple[Signal, ...]) -> list[tuple[str | None, Strength]]:
    return [
        (each.value, each.strength)
        for each in signals
        if each.kind is K.C2PA_STATE and not each.location.endswith(("validation", "list of signers"))
    ]


def reasons(signals: tuple[Signal, ...]) -> set[str | None]:
    return {each.value for each in signals if each.kind is K.C2PA_STATE and each.location.endswith("validation")}


@pytest.mark.parametrize("form", FORMS)
def test_a_manifest_is_read_from_every_container(form: str) -> None:
    content, _ = signed(marks.drawn(form), FORMS[form])
    signals = read_picture(content, key=KEY)
    assert states(signals) == [("Valid", Strength.SIGNED)]
    assert reasons(signals) == {"signingCredential.untrusted"}
    observed = {(each.kind, each.value) for each in signals if not each.inferred}
    assert {
        (K.C2PA_GENERATOR, "openai"),
        (K.C2PA_ACTION, "c2pa.created"),
        (K.C2PA_ACTION, "c2pa.edited"),
        (K.SOURCE_TYPE, "trainedAlgorithmicMedia"),
    } <= observed
    named = keyed(KEY, K.C2PA_GENERATOR, f"OpenAI for {marks.ACCOUNT}".encode())
    assert named in {each.digest for each in signals}
    said = json.dumps([asdict(each) for each in signals]).lower()
    assert not [word for word in marks.SECRETS if word in said]


def test_ingredients_are_counted_by_their_relation_and_keyed() -> None:
    first, _ = signed(marks.drawn("JPEG"), "image/jpeg")
    content, _ = signed(marks.drawn("JPEG"), "image/jpeg", ingredient=first)
    signals = read_picture(content, key=KEY)
    (ingredient,) = [each for each in signals if each.kind is K.C2PA_INGREDIENT]
    assert (ingredient.value, ingredient.digest) == (
        "componentOf",
        keyed(KEY, K.C2PA_INGREDIENT, marks.CANARY.encode()),
    )
    of_it = [each for each in signals if each.location.startswith("C2PA manifest of an ingredient")]
    assert of_it
    assert not [each for each in of_it if each.strength is Strength.SIGNED]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_changed_picture_is_invalid_and_its_claims_are_not_signed(form: str) -> None:
    content, _ = signed(marks.drawn(form), FORMS[form])
    changed = bytearray(content)
    changed[content.rindex({"JPEG": b"\xff\xda", "PNG": b"IDAT", "WEBP": b"VP8 "}[form]) + 20] ^= 1
    signals = read_picture(bytes(changed), key=KEY)
    assert states(signals) == [("Invalid", Strength.CLAIMED)]
    assert "assertion.dataHash.mismatch" in reasons(signals)
    assert not [each for each in signals if each.strength is Strength.SIGNED]


def test_a_changed_claim_is_invalid() -> None:
    content, _ = signed(marks.drawn("JPEG"), "image/jpeg")
    signals = read_picture(content.replace(b"c2pa.created", b"c2pa.opened\0"), key=KEY)
    assert not [each for each in signals if each.strength is Strength.SIGNED]
    assert states(signals)


def test_a_manifest_that_is_cut_short_is_said_to_be_broken() -> None:
    content, _ = signed(marks.drawn("JPEG"), "image/jpeg")
    signals = read_picture(content[:3000], key=KEY)
    assert not [each for each in signals if each.strength is Strength.SIGNED]
    whole, _ = signed(marks.drawn("PNG"), "image/png")
    start = whole.index(b"caBX")
    broken = whole[: start + 200] + bytes(len(whole) - start - 200)
    assert not [each for each in read_picture(broken, key=KEY) if each.strength is Strength.SIGNED]


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A server that a fetched manifest would be asked of."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def test_a_manifest_elsewhere_is_told_and_never_fetched(listening: socket.socket) -> None:
    address = f"http://127.0.0.1:{listening.getsockname()[1]}/manifest.c2pa"
    content, store = signed(marks.drawn("JPEG"), "image/jpeg", remote=address)
    signals = read_picture(content, key=KEY)
    assert [(each.kind, each.value) for each in signals] == [(K.C2PA_REMOTE, "elsewhere, not fetched")]
    assert "127.0.0.1" not in str(signals)
    beside = read_manifest_beside(content, store, key=KEY)
    assert states(beside) == [("Valid", Strength.SIGNED)]
    with pytest.raises(BlockingIOError):
        listening.accept()


def test_without_the_library_a_manifest_is_there_but_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    content, _ = signed(marks.drawn("PNG"), "image/png")
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert states(read_picture(content, key=KEY)) == [("there, not read: the extra c2pa is missing", Strength.HINT)]


def test_the_manifests_of_a_jpeg_are_handed_over_and_no_state_hangs_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(SEED)
    print(f"seed {SEED}")
    first, store = signed(marks.drawn("JPEG"), "image/jpeg")
    content, _ = signed(marks.drawn("JPEG"), "image/jpeg", ingredient=first)
    assert [part.raw for part in parts_of(first, "image/jpeg") if part.form == "c2pa"] == [store]
    files = [first, content, _twice(first), *(mutated(each, chance) for each in (first, content) for _ in range(150))]
    handed_over = [read_picture(each, key=KEY) for each in files]
    monkeypatch.setattr("havenline.provenance.parts._app11_store", lambda _content: b"")
    assert handed_over == [read_picture(each, key=KEY) for each in files]
    assert len({state for each in handed_over for state in states(each)}) >= 3


def _twice(content: bytes) -> bytes:
    """The segments of a manifest once more before the picture."""
    bodies = [(start - 4, end) for name, start, end in segments(content) if name == 0xEB]
    start, end = bodies[0][0], bodies[-1][1]
    return content[:end] + content[start:end] + content[end:]


def authority() -> bytes:
    """The certificate that the signer's leads to."""
    return b"-----BEGIN" + signing_chain()[0].split(b"-----BEGIN")[2]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "HEIF"])
def test_a_signer_of_the_house_is_trusted_and_the_list_is_named(form: str) -> None:
    content, _ = signed(marks.drawn(form), FORMS[form])
    listed = authority() + b"# chosen on a day"
    signals = read_picture(content, key=KEY, signers=read_signers(listed))
    assert signals[0].meaning == STATE_MEANS["Trusted"]
    assert reasons(signals) == set()
    named = [each.value for each in signals if each.location == "C2PA manifest, list of signers"]
    assert named == [hashlib.sha256(listed).hexdigest()]
    assert signals[0].not_shown == NOT_SHOWN[K.C2PA_STATE]
    without = read_picture(content, key=KEY)
    assert without[0].meaning == STATE_MEANS["Valid"]
    assert [each.digest for each in without] == [each.digest for each in signals]  # a text keeps its place
    assert read_back([asdict(each) for each in signals]) == signals


def test_a_list_of_others_trusts_nobody_and_none_mends_a_changed_picture() -> None:
    content, _ = signed(marks.drawn("PNG"), "image/png")
    own = read_signers(authority())
    others = read_signers(new_authority())
    assert states(read_picture(content, key=KEY, signers=others)) == [("Valid", Strength.SIGNED)]
    changed = bytearray(content)
    changed[content.rindex(b"IDAT") + 20] ^= 1
    signals = read_picture(bytes(changed), key=KEY, signers=own)
    assert states(signals) == [("Invalid", Strength.CLAIMED)]
    assert [each.digest for each in signals] == [each.digest for each in read_picture(bytes(changed), key=KEY)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no certificates"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "a broken one"),
        (signing_chain()[0], "certificate 1 of the list of signers is not one of an authority"),
        (bytes((4 << 20) + 1), "larger than"),
        (authority() * 1001, "more than 1,000"),
    ],
)
def test_a_list_of_signers_that_cannot_be_used_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(SignersError, match=said):
        read_signers(content)
