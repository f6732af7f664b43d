"""The desk with a real key process: sealed, opened once by the one who was granted it, written down in both logs."""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connections
from django.test import Client

from havenline_desk import audit, evidence, gates
from havenline_desk.actions.escalate import raise_escalation
from havenline_desk.actions.grant_reveal import grant_reveal, use_reveal
from havenline_desk.actions.set_budget import USUAL, BudgetRefused, set_budget
from havenline_desk.actions.take_next import take_next
from havenline_desk.evidence import EvidenceError, RevealRefused
from havenline_desk.models import Assignment, AuditAct, AuditEntry, File, Person, Reveal, StoredContent
from havenline_desk.queries.audit import export_lines, log_key
from havenline_desk.sites.own_keyd import OwnKeyd
from havenline_guard import verify
from havenline_guard.keyd_client import KeyClient, KeydUnreachable
from havenline_guard.keyd_wire import Budget
from tests.guard.keyd_rig import Process

from . import factories as make

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def people(key_process: Process) -> dict[str, Person]:
    now = dt.datetime.now(dt.UTC)
    made = make.world(at=now, stacks=1)
    for name in ("analyst-one", "analyst-two"):
        set_budget(made[name], USUAL, set_by=made["welfare"], second=made["lead"], at=now)
    return made


def granted(people: dict[str, Person], *, step: int = 2, session: str = "s") -> tuple[str, Assignment]:
    now = dt.datetime.now(dt.UTC)
    assignment = take_next(people["analyst-one"], at=now)
    assert assignment is not None
    token = grant_reveal(
        assignment.pk,
        person=people["analyst-one"],
        session_key=session,
        file_id=assignment.revision.members.get().file_id,
        ladder_step=step,
        at=now,
    )
    return token, assignment


def shown(people: dict[str, Person], token: str, *, session: str = "s") -> bytes:
    reveal = use_reveal(token, person=people["analyst-one"], session_key=session, at=dt.datetime.now(dt.UTC))
    return evidence.rendition(reveal, token=token)


def test_what_is_kept_is_sealed_and_a_grant_opens_it_once(people: dict[str, Person], home: Path) -> None:
    file = File.objects.get()
    stored = StoredContent.objects.get()
    raw = (home / "content" / stored.object_name).read_bytes()
    assert make.draw(1000)[:64] not in raw
    assert file.sha256 not in stored.object_name
    token, _ = granted(people)
    assert shown(people, token)[:4] == b"RIFF"
    with pytest.raises(RevealRefused, match="used already"):
        shown(people, token)
    reveal = Reveal.objects.get()
    with pytest.raises(RevealRefused, match="used already"):
        evidence.rendition(reveal, token=token)


def test_a_token_opens_nothing_for_another_session_person_or_item(people: dict[str, Person]) -> None:
    token, assignment = granted(people)
    now = dt.datetime.now(dt.UTC)
    for person, session in ((people["analyst-two"], "s"), (people["analyst-one"], "other")):
        with pytest.raises(RevealRefused):
            use_reveal(token, person=person, session_key=session, at=now)
    reveal = use_reveal(token, person=people["analyst-one"], session_key="s", at=now)
    reveal.session_digest = "0" * 64
    with pytest.raises(RevealRefused, match="somebody or something else"):
        evidence.rendition(reveal, token=token)
    reveal.refresh_from_db()
    reveal.ladder_step = 4
    with pytest.raises(RevealRefused, match="somebody or something else"):
        evidence.rendition(reveal, token=token)
    assert assignment.person == people["analyst-one"]


def test_fifty_uses_of_one_grant_at_once_show_it_once(people: dict[str, Person]) -> None:
    token, _ = granted(people)
    barrier = threading.Barrier(50)

    def use() -> bool:
        barrier.wait()
        try:
            return bool(shown(people, token))
        except RevealRefused:
            return False
        finally:
            connections.close_all()

    with ThreadPoolExecutor(50) as pool:
        assert sum(pool.map(lambda _: use(), range(50))) == 1


def test_a_budget_is_never_exceeded_by_one_and_escalation_goes_over_it(people: dict[str, Person]) -> None:
    now = dt.datetime.now(dt.UTC)
    one = people["analyst-one"]
    set_budget(
        one, Budget(per_hour=3, per_day=3, minutes=60, bytes_per_day=1 << 30, per_week=9), set_by=people["lead"], at=now
    )
    tokens = [granted(people)[0] for _ in range(8)]

    def use(token: str) -> bool:
        try:
            return bool(shown(people, token))
        except RevealRefused:
            return False
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(use, tokens)) == 3
    with pytest.raises(RevealRefused, match="budget for an hour is used up"):
        granted(people)
    assert Reveal.objects.filter(used_at=None).count() == 0
    raise_escalation(Assignment.objects.get(person=one).pk, person=one, at=now)
    token, _ = granted(people)
    assert shown(people, token)[:4] == b"RIFF"
    with pytest.raises(BudgetRefused, match="two"):
        set_budget(one, USUAL, set_by=people["lead"], at=now)
    with pytest.raises(gates.Denied):
        set_budget(one, USUAL, set_by=one, second=people["lead"], at=now)


def test_without_keyd_nothing_is_granted_opened_or_half_recorded(
    people: dict[str, Person], key_process: Process
) -> None:
    token, _ = granted(people)
    client = signed_in(people["analyst-one"])
    key_process.stop()
    rows, entries = Reveal.objects.count(), AuditEntry.objects.count()
    with pytest.raises((KeydUnreachable, audit.AuditUnavailable)):
        granted(people)
    assert (Reveal.objects.count(), AuditEntry.objects.count()) == (rows, entries)
    member = Assignment.objects.get(person=people["analyst-one"]).revision.members.get()
    asked = client.post("/work/reveal", {"member": member.pk, "step": 1}, content_type="application/json")
    assert (asked.status_code, asked.headers["Retry-After"] != "") == (503, True)
    key_process.start()
    assert shown(people, granted(people)[0])[:4] == b"RIFF", "it goes on by itself"
    assert token


def signed_in(person: Person) -> Client:
    return make.client_of(person)


def test_damaged_bytes_are_not_shown(people: dict[str, Person], home: Path) -> None:
    path = home / "content" / StoredContent.objects.get().object_name
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    token, _ = granted(people)
    with pytest.raises(EvidenceError):
        shown(people, token)


def test_both_logs_tell_the_same_to_the_offline_verifier(
    people: dict[str, Person], key_process: Process, tmp_path: Path, home: Path
) -> None:
    for _ in range(3):
        shown(people, granted(people)[0])
    audit.seal()
    entries = list(AuditEntry.objects.filter(act=AuditAct.REVEAL_USED))
    with key_process.client() as client:
        exported = list(client.export())
    (tmp_path / "keyd.ndjson").write_text("".join(exported))
    written = [json.loads(line)["entry"] for line in exported[1:]]
    unwrapped = {each["grant"] for each in written if each["act"] == "unwrap"}
    assert len(unwrapped) == 3
    assert unwrapped == {entry.grant.hex for entry in entries if entry.grant}
    (tmp_path / "log.ndjson").write_bytes(b"".join(export_lines()))
    arguments = ["--key", log_key(), "--checkpoints", str(home / "audit/checkpoints"), "--keyd"]
    code = verify.main([str(tmp_path / "log.ndjson"), *arguments, str(tmp_path / "keyd.ndjson")])
    assert code == 0
    lines = (tmp_path / "keyd.ndjson").read_text().splitlines()
    (tmp_path / "less.ndjson").write_text("\n".join(line for line in lines if "unwrap" not in line) + "\n")
    assert verify.main([str(tmp_path / "log.ndjson"), *arguments, str(tmp_path / "less.ndjson")]) != 0


def test_a_data_folder_gets_its_own_keyd_and_a_second_start_adopts_it(tmp_path: Path) -> None:
    process = OwnKeyd(tmp_path / "k")
    process.create(owner=os.geteuid())
    process.create(owner=os.geteuid())
    child = process.start()
    assert child is not None
    try:
        assert process.start() is None
        assert (process.folder / "passphrase").stat().st_mode & 0o077 == 0
        with KeyClient(process.socket) as client:
            assert client.status()["versions"] == [1]
    finally:
        child.terminate()
        child.wait(10)
    assert not process.answers()
