"""What two people agreed to is checked offline, with the passkeys' signatures; every alteration is named."""

from __future__ import annotations

import copy
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
from django.http import HttpRequest
from django.test import RequestFactory
from django.utils import timezone
from fido2 import cbor
from pytest_django import Settings

from havenline_desk import audit, factors
from havenline_desk.actions.approve import approve
from havenline_desk.actions.carry_out import carry_out
from havenline_desk.actions.change_factors import add_passkey
from havenline_desk.actions.propose import propose
from havenline_desk.gates import Act
from havenline_desk.models import InstallationKind, Person, Proposal, Role
from havenline_desk.queries.audit import agreement_lines, export_lines, log_key
from havenline_guard import verify as checker

from . import factories as make
from .authenticator import PRESENT, Authenticator

ORIGIN = "https://desk.example.org"
Line = dict[str, Any]


def request_of(person: Person) -> HttpRequest:
    request = RequestFactory().post("/")
    request.session = SessionStore()
    request.user = person
    return request


def with_passkey(person: Person) -> tuple[HttpRequest, Authenticator]:
    request, key = request_of(person), Authenticator(origin=ORIGIN)
    at = timezone.now()
    add_passkey(request, person, key.create(factors.begin_registration(request, person, at=at)), label="", at=at)
    return request, key


def signed_by(request: HttpRequest, key: Authenticator, proposal: Proposal) -> str:
    digest = bytes.fromhex(proposal.digest)
    with transaction.atomic():
        answer = key.get(factors.begin_step_up(request, digest, at=timezone.now()))
        return factors.finish_step_up(request, answer, digest, at=timezone.now()).to_json()


@pytest.fixture
def lines(transactional_db: None, settings: Settings) -> list[Line]:
    """A role given by two on a page, the second with a passkey; and a proposal that still waits."""
    settings.ORIGIN = ORIGIN
    at = timezone.now()
    make.declare_policy(InstallationKind.DESK, at=at)
    people = {
        name: make.make_person(name, role, at=at - dt.timedelta(days=2), certified=False)
        for name, role in {"admin": Role.ADMIN, "lead": Role.LEAD, "other": Role.LEAD}.items()
    }
    new = make.make_person("new", at=at, certified=False)
    request, key = with_passkey(people["lead"])
    with_passkey(people["other"])
    what = {"person": new.audit_id.hex, "role": Role.LIAISON.value}
    proposal = propose(Act.GRANT_ROLE, what, person=people["admin"], at=timezone.now())
    evidence = signed_by(request, key, proposal)
    approve(proposal, person=people["lead"], digest=proposal.digest, evidence=evidence, at=timezone.now())
    carry_out(proposal, person=people["admin"], at=timezone.now())
    propose(Act.GRANT_ROLE, what, person=people["admin"], at=timezone.now())
    audit.seal()
    return [json.loads(line) for line in agreement_lines()]


def verified(folder: Path, lines: list[Line]) -> tuple[checker.Report, checker.Agreements]:
    export, agreements = folder / "export.ndjson", folder / "agreements.ndjson"
    export.write_bytes(b"".join(export_lines()))
    agreements.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    keys = [checker.Key.parse(log_key())]
    report = checker.verify(export, checkpoints=audit.sink().checkpoints, keys=keys)
    assert report.exit_code == checker.HOLDS
    held = checker.verify_agreements(agreements, report)
    assert held is not None
    return report, held


def test_what_two_agreed_to_holds_and_the_keys_are_named_to_be_compared(home: Path, lines: list[Line]) -> None:
    report, held = verified(home, lines)
    assert (report.bad, held.signed, held.unsigned, held.carried_out, held.origins) == ([], 1, 2, 1, {ORIGIN})
    told = list(checker.tell(report, reconciled=True, agreements=held))
    assert told[1] == "agreements: 2 proposals, 1 carried out; 1 times somebody signed with a passkey, 2 times without"
    assert f"note: signed at {ORIGIN}" in told
    assert any("has the public key with SHA-256" in line for line in told)
    assert "not checked: what two people agreed to; give it with --agreements" in list(
        checker.tell(report, reconciled=True)
    )


def _action(lines: list[Line], **changed: object) -> None:
    action = {**json.loads(lines[0]["action"]), **changed}
    lines[0]["action"] = json.dumps(action, sort_keys=True, separators=(",", ":"))


def _short(lines: list[Line]) -> None:
    begun = dt.datetime.fromisoformat(json.loads(lines[0]["action"])["proposed_at"])
    _action(lines, expires_at=(begun + dt.timedelta(microseconds=1)).isoformat())


def _evidence(lines: list[Line]) -> dict[str, str]:
    (evidence,) = lines[0]["approvals"].values()
    return evidence  # type: ignore[no-any-return]


def _said(lines: list[Line], **changed: object) -> None:
    evidence = _evidence(lines)
    evidence["client_data"] = json.dumps({**json.loads(evidence["client_data"]), **changed})


def _other_role(lines: list[Line]) -> None:
    _action(lines, what={**json.loads(lines[0]["action"])["what"], "role": "admin"})


def _unproved(lines: list[Line]) -> None:
    data = bytearray.fromhex(_evidence(lines)["authenticator_data"])
    data[32] = PRESENT
    _evidence(lines)["authenticator_data"] = data.hex()


def _other_key(lines: list[Line]) -> None:
    public = cbor.encode({1: 1, 3: -8, -1: 6, -2: ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()})
    _evidence(lines)["public_key"] = public.hex()


def _of_another(lines: list[Line]) -> None:
    _evidence(lines)["passkey"] = "ab" * 16


ALTERED: dict[str, tuple[Callable[[list[Line]], object], str]] = {
    "another role": (_other_role, "the signature is over another act"),
    "fewer people": (lambda lines: _action(lines, people=1), "the signature is over another act"),
    "three people": (lambda lines: _action(lines, people=3), "2 people agreed, and it took 3"),
    "another proposer": (lambda lines: _action(lines, proposer="ab" * 16), "another person proposed it"),
    "another time": (lambda lines: _action(lines, proposed_at="2026-01-01T00:00:00+00:00"), "at another time"),
    "run out": (
        lambda lines: _action(lines, expires_at=json.loads(lines[0]["action"])["proposed_at"]),
        "it has not the form of an agreement",
    ),
    "carried out late": (_short, "at a time at which the proposal did not stand"),
    "left out": (lambda lines: lines.pop(0), "what was proposed here is missing from the agreements"),
    "twice": (lambda lines: lines.append(lines[0]), "line 3 of the agreements: a second one"),
    "somebody else agreed": (
        lambda lines: lines[0].update(approvals={"ab" * 16: _evidence(lines)}),
        "name others behind proposal",
    ),
    "one more agreed": (lambda lines: lines[0]["approvals"].update({"ab" * 16: None}), "name others behind proposal"),
    "another address": (lambda lines: _said(lines, origin="https://other.example.org"), "for another address"),
    "another challenge": (lambda lines: _said(lines, challenge="AAAA"), "over another act"),
    "a registration": (lambda lines: _said(lines, type="webauthn.create"), "over another act"),
    "other client data": (lambda lines: _said(lines, extra=1), "the signature of the passkey does not fit"),
    "nobody verified": (_unproved, "the passkey did not verify its user"),
    "another key": (_other_key, "the signature of the passkey does not fit"),
    "a passkey of nobody": (_of_another, "was not one of that person's then"),
    "no signature": (lambda lines: _evidence(lines).update(signature="zz"), "has not the form of one by a passkey"),
    "a key that ends early": (
        lambda lines: _evidence(lines).update(public_key=_evidence(lines)["public_key"][:-2]),
        "has not the form of one by a passkey",
    ),
    "a key of another kind": (
        lambda lines: _evidence(lines).update(public_key=cbor.encode({1: 2, 3: -47, -1: 8}).hex()),
        "has not the form of one by a passkey",
    ),
    "no object": (lambda lines: lines.append({"action": 7}), "line 3 of the agreements: it has not the form"),
}


@pytest.mark.parametrize("way", ALTERED)
def test_an_altered_agreement_is_found_and_named(home: Path, lines: list[Line], way: str) -> None:
    alter, why = ALTERED[way]
    altered = copy.deepcopy(lines)
    alter(altered)
    report, _ = verified(home, altered)
    assert report.exit_code == checker.ALTERED
    assert why in " | ".join(str(bad) for bad in report.bad), report.bad


def test_a_passkey_that_was_removed_or_reset_agrees_to_nothing_any_more(home: Path, lines: list[Line]) -> None:
    """The log alone says whose a passkey was at the time."""
    report, _ = verified(home, lines)
    added = next(entry for entry in report.agreed if entry["act"] == "factor_added")
    at = next(n for n, entry in enumerate(report.agreed) if entry["act"] == "proposal_approved")
    for act, thing in (("factor_removed", added["object"]), ("factors_reset", added["actor"])):
        again = checker.Report(entries=report.entries, covered=report.entries)
        again.agreed = [*report.agreed[:at], {**added, "act": act, "object": thing}, *report.agreed[at:]]
        checker.Agreements([json.dumps(line).encode() for line in lines], again)
        assert "was not one of that person's then" in str(again.bad)


def test_one_who_agrees_twice_and_one_passkey_with_two_keys_are_named(home: Path, lines: list[Line]) -> None:
    report, held = verified(home, lines)
    at = next(n for n, entry in enumerate(report.agreed) if entry["act"] == "proposal_approved")
    again = checker.Report(entries=report.entries, covered=report.entries)
    again.agreed = [*report.agreed[: at + 1], *report.agreed[at:]]
    checker.Agreements([json.dumps(line).encode() for line in lines], again)
    assert "somebody agreed who stood behind it already" in str(again.bad)
    held._keys = dict.fromkeys(held._keys, "00")
    text = checker.read_agreement(json.dumps(lines[0]).encode())
    assert not isinstance(text, str)
    held._check(report.agreed[at], text, _evidence(lines))
    assert "one passkey signed with two different keys" in str(report.bad)


def test_the_other_kinds_of_keys_are_checked_too() -> None:
    """Ed25519 and RS256, as some authenticators make them."""
    said, held = b"what was signed", ed25519.Ed25519PrivateKey.generate()
    edwards = {1: 1, 3: -8, -1: 6, -2: held.public_key().public_bytes_raw()}
    checker._verify_cose(edwards, held.sign(said), said)
    with pytest.raises(checker.InvalidSignature):
        checker._verify_cose(edwards, held.sign(said), said + b"x")
    private = rsa.generate_private_key(65537, 2048)
    numbers = private.public_key().public_numbers()
    key, end = checker._cbor(cbor.encode({1: 3, 3: -257, -1: numbers.n.to_bytes(256, "big"), -2: b"\1\0\1"}), 0)
    assert end == len(cbor.encode(key))
    checker._verify_cose(key, private.sign(said, padding.PKCS1v15(), SHA256()), said)
    with pytest.raises(checker.InvalidSignature):
        checker._verify_cose(key, private.sign(b"other", padding.PKCS1v15(), SHA256()), said)


@pytest.mark.parametrize("raw", ["", "a1", "5f", "9f", "1b0000000000000001", "80", "58ff00", "62c328"])
def test_what_is_no_plain_cbor_is_refused(raw: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        checker._cbor(bytes.fromhex(raw), 0)


def test_nothing_is_said_of_agreements_beside_a_log_that_does_not_hold(tmp_path: Path) -> None:
    report = checker.Report()
    report.wrong(1, "altered")
    assert checker.verify_agreements(tmp_path / "none", report) is None
