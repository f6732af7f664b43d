"""What two people agreed to, held against a log: what is wrong is named at its entry, and nothing else."""

from __future__ import annotations

import base64
import copy
import datetime as dt
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from fido2 import cbor

from havenline_guard import verify as checker

ADMIN, LEAD, OTHER = ("01" * 16, "02" * 16, "03" * 16)
PASSKEY, PROPOSAL = "aa" * 16, "b1" * 16
ORIGIN = "https://desk.example.org:8443"
RP_ID = "desk.example.org"
BEGUN = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
ENDS = BEGUN + dt.timedelta(days=7)
TICK = dt.timedelta(microseconds=1)
Line = dict[str, Any]

_ES = ec.generate_private_key(ec.SECP256R1())
_ED = ed25519.Ed25519PrivateKey.generate()
_RSA = rsa.generate_private_key(65537, 2048)


def _cose_es() -> dict[int, Any]:
    numbers = _ES.public_key().public_numbers()
    return {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}


KINDS: dict[str, tuple[dict[int, Any], Callable[[bytes], bytes]]] = {
    "ES256": (_cose_es(), lambda signed: _ES.sign(signed, ec.ECDSA(SHA256()))),
    "EdDSA": ({1: 1, 3: -8, -1: 6, -2: _ED.public_key().public_bytes_raw()}, _ED.sign),
    "RS256": (
        {1: 3, 3: -257, -1: _RSA.public_key().public_numbers().n.to_bytes(256, "big"), -2: b"\1\0\1"},
        lambda signed: _RSA.sign(signed, padding.PKCS1v15(), SHA256()),
    ),
}


def sha(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def evidence_over(digest: bytes, *, kind: str = "EdDSA", flags: int = 0x05, **other: Any) -> dict[str, str]:
    """As the desk keeps a passkey's answer; `other` replaces parts before they are signed."""
    key, sign = KINDS[kind]
    said = {
        "type": other.get("type", "webauthn.get"),
        "challenge": other.get("challenge", base64.urlsafe_b64encode(digest).decode().rstrip("=")),
        "origin": other.get("said_origin", ORIGIN),
    }
    data = other.get("data", sha(other.get("data_of", RP_ID).encode()) + bytes([flags]) + bytes(4))
    client = json.dumps(said)
    return {
        "authenticator_data": data.hex(),
        "client_data": client,
        "origin": other.get("origin", ORIGIN),
        "passkey": other.get("passkey", PASSKEY),
        "public_key": cbor.encode(key).hex(),
        "rp_id": other.get("rp_id", RP_ID),
        "signature": sign(data + sha(client.encode())).hex(),
    }


def action(**changed: Any) -> str:
    held = {
        "act": "grant_role",
        "expires_at": ENDS.isoformat(),
        "people": 2,
        "proposal": PROPOSAL,
        "proposed_at": BEGUN.isoformat(),
        "proposer": ADMIN,
        "what": {"role": "liaison"},
    }
    return json.dumps({**held, **changed}, sort_keys=True, separators=(",", ":"))


def agreement(*, signed: dict[str, Any] | None = None, **changed: Any) -> Line:
    text = action(**changed)
    return {
        "action": text,
        "approvals": {LEAD: evidence_over(sha(text.encode()), **(signed or {}))},
        "evidence": None,
    }


def entry(seq: int, act: str, thing: str, actor: str, **other: Any) -> Line:
    at = other.pop("at", BEGUN).isoformat()
    return {"seq": seq, "act": act, "object": thing, "actor": actor, "at": at, "purpose": None, **other}


def log() -> list[Line]:
    return [
        entry(1, "factor_added", PASSKEY, LEAD),
        entry(2, "proposal_made", PROPOSAL, ADMIN, purpose="grant_role"),
        entry(3, "proposal_approved", PROPOSAL, LEAD),
        entry(4, "proposal_carried_out", PROPOSAL, ADMIN, at=ENDS - TICK),
    ]


def held(lines: list[Line], entries: list[Line]) -> tuple[list[str], checker.Agreements]:
    """What is wrong, each with its entry, and what was counted."""
    report = checker.Report(agreed=entries)
    found = checker.Agreements([json.dumps(line).encode() for line in lines], report)
    return [f"{bad.first}: {bad.why}" for bad in report.bad], found


def wrong(lines: list[Line], entries: list[Line]) -> list[str]:
    return held(lines, entries)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_signed_holds_by_each_kind_of_key_and_is_told(kind: str) -> None:
    bad, found = held([agreement(signed={"kind": kind})], log())
    assert bad == []
    assert (found.signed, found.unsigned, found.carried_out) == (1, 1, 1)
    assert list(found.tell()) == [
        "agreements: 1 proposals, 1 carried out; 1 times somebody signed with a passkey, 1 times without",
        f"note: signed at {ORIGIN}",
        f"note: passkey {PASSKEY} has the public key with SHA-256 {sha(cbor.encode(KINDS[kind][0])).hex()}",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_of_another_key_and_one_over_other_bytes_do_not_fit(kind: str) -> None:
    key, sign = KINDS[kind]
    checker._verify_cose(key, sign(b"signed"), b"signed")
    with pytest.raises(checker.InvalidSignature):
        checker._verify_cose(key, sign(b"signed"), b"signer")
    for part in (1, 3, -1 if kind != "RS256" else 3):
        with pytest.raises((ValueError, KeyError)):
            checker._verify_cose({**key, part: 9}, sign(b"signed"), b"signed")


SIGNED: dict[str, tuple[dict[str, Any], str]] = {
    "of a registration": ({"type": "webauthn.create"}, "the signature is over another act"),
    "over another act": ({"challenge": "AAAA"}, "the signature is over another act"),
    "at another address": ({"said_origin": "https://other.example.org"}, "for another address than it says"),
    "said of another address": ({"origin": "https://other.example.org"}, "for another address than it says"),
    "at no address": ({"said_origin": "desk", "origin": "desk"}, "for another address than it says"),
    "by the name of another": ({"rp_id": "example.org", "data_of": "example.org"}, "for another address than it says"),
    "asked for another name": ({"data_of": "example.org"}, "was asked for another address"),
    "nobody present": ({"flags": 0x04}, "the passkey did not verify its user"),
    "nobody verified": ({"flags": 0x01}, "the passkey did not verify its user"),
    "too short": ({"data": sha(RP_ID.encode()) + b"\5\0\0\0"}, "the passkey did not verify its user"),
}


@pytest.mark.parametrize("way", SIGNED)
def test_a_signature_that_was_made_for_something_else_is_named_at_its_entry(way: str) -> None:
    changed, why = SIGNED[way]
    (bad,) = wrong([agreement(signed=changed)], log())
    assert bad.startswith("3: ")
    assert why in bad


def test_more_flags_than_are_asked_for_and_any_length_from_37_bytes_are_taken() -> None:
    more = {"data": sha(RP_ID.encode()) + b"\x9d" + bytes(9)}
    assert wrong([agreement(signed=more)], log()) == []


@pytest.mark.parametrize(
    ("part", "said", "why"),
    [
        ("signature", "00", "does not fit"),
        ("signature", "zz", "has not the form"),
        ("public_key", "", "has not the form"),
        ("client_data", "[]", "has not the form"),
        ("client_data", "{}", "has not the form"),
        ("authenticator_data", "", "did not verify its user"),
    ],
)
def test_a_part_that_is_none_is_named(part: str, said: str, why: str) -> None:
    line = agreement()
    line["approvals"][LEAD][part] = said
    (bad,) = wrong([line], log())
    assert why in bad


def test_behind_a_key_stands_nothing() -> None:
    line = agreement()
    line["approvals"][LEAD]["public_key"] += "00"
    assert wrong([line], log()) == ["3: the signature has not the form of one by a passkey"]


# -- whose passkey -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "before",
    [
        [],
        [entry(1, "factor_added", PASSKEY, OTHER)],
        [entry(1, "factor_added", PASSKEY, LEAD), entry(1, "factor_removed", PASSKEY, LEAD)],
        [entry(1, "factor_added", PASSKEY, LEAD), entry(1, "factors_reset", LEAD, ADMIN)],
    ],
)
def test_a_passkey_that_was_not_the_persons_then_agrees_to_nothing(before: list[Line]) -> None:
    assert wrong([agreement()], [*before, *log()[1:]]) == [
        "3: the passkey that signed it was not one of that person's then"
    ]


def test_what_others_lose_takes_nothing_from_this_person() -> None:
    others = [
        entry(1, "factor_added", "ab" * 16, OTHER),
        entry(1, "factors_reset", OTHER, ADMIN),
        entry(1, "factor_removed", "ac" * 16, LEAD),
    ]
    assert wrong([agreement()], [log()[0], *others, *log()[1:]]) == []


def test_one_passkey_has_one_key_in_all_agreements() -> None:
    second = "b2" * 16
    again = [
        entry(n, each["act"], second, each["actor"], purpose=each["purpose"]) for n, each in enumerate(log()[1:], 5)
    ]
    same, other = agreement(proposal=second), agreement(proposal=second, signed={"kind": "ES256"})
    assert wrong([agreement(), same], [*log(), *again]) == []
    assert wrong([agreement(), other], [*log(), *again]) == ["6: one passkey signed with two different keys"]


# -- who stood behind it, and when ---------------------------------------------------------------------------------


def changed(number: int, **other: Any) -> list[Line]:
    entries = log()
    entries[number - 1] |= other
    return entries


ENTRIES: dict[str, tuple[Line, list[Line], list[str]]] = {
    "another proposer": (agreement(), changed(2, actor=OTHER), ["2: another person proposed it", "0: "]),
    "another act": (agreement(), changed(2, purpose="stop_storage"), ["2: another person proposed it, or another act"]),
    "another time": (agreement(), changed(2, at=(BEGUN + TICK).isoformat()), ["2: it was proposed at another time"]),
    "three people": (agreement(people=3), log(), ["4: 2 people agreed, and it took 3"]),
    "too late": (agreement(), changed(4, at=ENDS.isoformat()), ["4: it was carried out at a time at which"]),
    "too early": (agreement(), changed(4, at=(BEGUN - TICK).isoformat()), ["4: it was carried out at a time at which"]),
    "at once": (agreement(), changed(4, at=BEGUN.isoformat()), []),
    "in another zone": (agreement(), changed(4, at="2026-03-02T11:00:00+02:00"), []),
    "one is enough": (agreement(people=1), log(), []),
    "the proposer agreed": (agreement(), changed(3, actor=ADMIN), ["3: somebody agreed who", "4: 1 people", "0: "]),
    "another agreed": (agreement(), changed(3, actor=OTHER), ["0: the agreements name others behind proposal b1b1"]),
    "nobody proposed": (agreement(), log()[:1], ["0: the agreements name others behind proposal b1b1"]),
    "not carried out": (agreement(), log()[:3], []),
}


@pytest.mark.parametrize("way", ENTRIES)
def test_what_the_log_says_otherwise_is_named_and_nothing_else(way: str) -> None:
    line, entries, expected = ENTRIES[way]
    found = wrong([line], copy.deepcopy(entries))
    assert len(found) == len(expected), found
    for bad, why in zip(found, expected, strict=True):
        assert bad.startswith(why)


def test_a_proposal_that_is_missing_is_named_at_each_of_its_entries() -> None:
    missing = "what was proposed here is missing from the agreements"
    bad, found = held([], log())
    assert bad == [f"2: {missing}", f"3: {missing}", f"4: {missing}"]
    assert (found.signed, found.unsigned, found.carried_out) == (0, 0, 1)


def test_the_proposer_may_sign_too() -> None:
    line = agreement()
    line["evidence"] = evidence_over(sha(line["action"].encode()), passkey="cc" * 16)
    entries = [entry(1, "factor_added", "cc" * 16, ADMIN), *log()]
    bad, found = held([line], entries)
    assert (bad, found.signed, found.unsigned) == ([], 2, 0)
    assert wrong([line], log()) == ["2: the passkey that signed it was not one of that person's then"]


# -- the lines -----------------------------------------------------------------------------------------------------


def test_a_line_that_is_none_and_a_second_one_are_named_by_their_number(tmp_path: Path) -> None:
    path = tmp_path / "agreements"
    path.write_text(f"{json.dumps(agreement())}\nnone\n{json.dumps(agreement())}\n")
    report = checker.Report(agreed=log())
    assert checker.verify_agreements(path, report) is not None
    assert [str(bad.why) for bad in report.bad] == [
        "line 2 of the agreements: it has not the form of an agreement",
        "line 3 of the agreements: a second one",
    ]
    assert checker.verify_agreements(path, report) is None, "of a log that does not hold nothing is said"


@pytest.mark.parametrize(
    "line",
    [
        agreement() | {"action": action().replace(",", ", ")},
        agreement() | {"action": action(act="ä").replace("\\u00e4", "ä")},
        agreement() | {"action": "[]"},
        agreement() | {"approvals": []},
        agreement() | {"approvals": {LEAD: {"passkey": 1}}},
        agreement() | {"evidence": "signed"},
        agreement(people=True),
        agreement(people="2"),
        agreement(expires_at=BEGUN.isoformat()),
        agreement(expires_at="soon"),
        agreement(proposer=1),
        agreement(act=None),
        {"action": action(), "approvals": {}},
    ],
)
def test_what_has_not_the_form_of_an_agreement_is_refused(line: Line) -> None:
    assert checker.read_agreement(json.dumps(line).encode()) == "it has not the form of an agreement"


def test_the_shortest_time_of_a_proposal_is_one() -> None:
    text = action(expires_at=(BEGUN + TICK).isoformat())
    read = checker.read_agreement(json.dumps({"action": text, "approvals": {}, "evidence": None}).encode())
    assert isinstance(read, dict)
    assert (read["digest"], read["action"]["people"]) == (sha(text.encode()), 2)


# -- how keys are written ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, -1, -24, -25, -257, b"", b"x" * 24, b"x" * 300, "name", {}]
)
def test_numbers_strings_and_maps_are_read_as_another_reader_reads_them(value: Any) -> None:
    for each in (value, {1: value, -2: {"inner": value}, 3: b"behind"}):
        raw = b"before" + cbor.encode(each)
        assert checker._cbor(raw + b"behind", 6) == (each, len(raw))


@pytest.mark.parametrize(
    "raw", ["", "a1", "a101", "5f", "1b0000000000000001", "80", "c0", "f6", "41", "58ff00", "62c328"]
)
def test_anything_else_is_no_key(raw: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        checker._cbor(bytes.fromhex(raw), 0)
