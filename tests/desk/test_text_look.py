"""One text of a settled file, read once in the original: by whom, for what, logged, and kept nowhere."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from havenline.provenance import SignalKind, read_picture
from havenline.vocabulary import Refusal, Refused
from havenline_desk import evidence
from havenline_desk.actions.look_at_text import grant_text_look, use_text_look
from havenline_desk.actions.record_origin import record_origin
from havenline_desk.actions.set_budget import USUAL, set_budget
from havenline_desk.evidence import EvidenceError, RevealRefused
from havenline_desk.gates import Denied
from havenline_desk.keys import key_name, keyd, origin_key
from havenline_desk.models import (
    Assignment,
    AuditEntry,
    OriginReading,
    OriginSignal,
    Outcome,
    Person,
    Plan,
    StoredContent,
    TextLook,
    TextReason,
)
from tests.core.provenance import drawn_marks as marks
from tests.guard.keyd_rig import Process

from . import factories as make

pytestmark = pytest.mark.django_db


@pytest.fixture
def at() -> dt.datetime:
    return timezone.now() - dt.timedelta(minutes=20)


@pytest.fixture
def people(at: dt.datetime) -> dict[str, Person]:
    return settled_world(at=at)


def settled_world(*, at: dt.datetime) -> dict[str, Person]:
    """One marked picture of HL-2, settled by one person."""
    made = make.world(at=at, stacks=0, plan=Plan.SINGLE)
    taken_in = make.make_investigation(made["lead"], at=at, reference="HL-2", plan=Plan.SINGLE)
    content = marks.png({"parameters": marks.A1111})
    file = make.add_file(taken_in, content, at=at)
    key = origin_key()
    record_origin({file: read_picture(content, key=key)}, key_name(key), at=at)
    stack = make.Stack.objects.create(investigation=taken_in.investigation, representative=file, formed_at=at)
    revision = make.StackRevision.objects.create(stack=stack, number=1, opened_at=at)
    make.StackMember.objects.create(
        revision=revision, file=file, place=make.MemberPlace.SHOWN, why="representative", distance=0
    )
    make.open_assignments([revision], at=at)
    make.assess(made["analyst-one"], make.NO_SHAPES, at=at + dt.timedelta(minutes=1))
    return made


def prompt() -> OriginSignal:
    return OriginSignal.objects.filter(kind=SignalKind.TEXT).order_by("place")[0]


def address() -> str:
    return f"/investigations/HL-2/records/{Outcome.objects.get().audit_id.hex}"


def read(client: Client, place: int, reason: str = "child"):  # type: ignore[no-untyped-def]
    return client.post(f"{address()}/text", {"place": str(place), "reason": reason})


def every_row() -> str:
    names = [name for name in connection.introspection.table_names() if name.startswith(("desk_", "django_"))]
    with connection.cursor() as cursor:
        rows = []
        for name in names:
            cursor.execute(f'SELECT to_jsonb(t)::text FROM "{name}" t')
            rows += [row for (row,) in cursor.fetchall()]
    return "\n".join(rows)


def test_the_text_is_shown_once_logged_first_and_stored_nowhere(people: dict[str, Person], home: Path) -> None:
    client = make.client_of(people["senior"])
    page = client.get(address()).content.decode()
    assert marks.CANARY not in page
    assert "Read this text once" in page
    answer = read(client, prompt().place)
    assert answer.status_code == 200
    assert marks.CANARY in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    look = TextLook.objects.get()
    assert (look.person, look.reason, look.used_at is not None) == (people["senior"], "child", True)
    logged = AuditEntry.objects.filter(grant=look.audit_id).order_by("seq").values_list("act", "purpose")
    assert list(logged) == [("text_look_granted", "origin_text"), ("reveal_used", "origin_text")]
    kept = every_row() + "".join(
        path.read_text(errors="replace") for path in (home / "audit").rglob("*") if path.is_file()
    )
    assert [text for text in marks.SECRETS if text in kept] == []
    assert marks.CANARY not in client.get(f"{address()}/text", follow=True).content.decode()
    assert marks.CANARY not in client.get(address()).content.decode()


def test_a_grant_is_for_one_person_one_session_once_and_for_two_minutes(
    people: dict[str, Person], at: dt.datetime
) -> None:
    def granted() -> str:
        return grant_text_look(
            Outcome.objects.get(),
            prompt().place,
            reason=TextReason.REFERRAL,
            person=people["lead"],
            session_key="one",
            at=at,
        )

    for person, session_key, later in (("senior", "one", 1), ("lead", "other", 1), ("lead", "one", 120)):
        with pytest.raises(RevealRefused, match="used already, has run out, or is not yours"):
            use_text_look(
                granted(), person=people[person], session_key=session_key, at=at + dt.timedelta(seconds=later)
            )
    token = granted()
    look = use_text_look(token, person=people["lead"], session_key="one", at=at)
    assert marks.CANARY in evidence.text(look, token=token)
    with pytest.raises(RevealRefused):
        use_text_look(token, person=people["lead"], session_key="one", at=at)


def test_a_text_that_cannot_be_read_as_it_was_recorded_is_not_shown(
    people: dict[str, Person], at: dt.datetime, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = prompt()
    asked = {"person": people["lead"], "session_key": "one", "at": at}
    token = grant_text_look(Outcome.objects.get(), recorded.place, reason=TextReason.REFERRAL, **asked)  # type: ignore[arg-type]
    with pytest.raises(RevealRefused, match="not been recorded as used"):
        evidence.text(TextLook.objects.get(), token=token)
    look = use_text_look(token, **asked)  # type: ignore[arg-type]
    here = settings.DECODERD
    for nobody, why in (("", "no decoderd is running"), (str(tmp_path / "gone"), "decoderd cannot be reached")):
        settings.DECODERD = nobody
        with pytest.raises(EvidenceError, match=why):
            evidence.text(look, token=token)
    settings.DECODERD = here
    with monkeypatch.context() as patched:
        refused = Refused(Refusal.BROKEN, "the file ends too early")
        patched.setattr(evidence.DecoderClient, "text", lambda *_, **__: refused)
        with pytest.raises(EvidenceError, match="ends too early"):
            evidence.text(look, token=token)
        patched.setattr(evidence.DecoderClient, "text", lambda *_, **__: b"x" * recorded.length)
        with pytest.raises(EvidenceError, match="does not give the text that was recorded"):
            evidence.text(look, token=token)
        # Under another key of the house the digest says nothing, so the length is all that is left.
        OriginReading.objects.update(keyed_by="0" * 16)
        assert evidence.text(look, token=token) == "x" * recorded.length
        patched.setattr(evidence.DecoderClient, "text", lambda *_, **__: b"x" * (recorded.length + 1))
        with pytest.raises(EvidenceError, match="does not give the text that was recorded"):
            evidence.text(look, token=token)


def test_who_may_not_and_what_is_no_text_is_refused(people: dict[str, Person], at: dt.datetime) -> None:
    with pytest.raises(Denied, match="read origin text"):
        grant_text_look(
            Outcome.objects.get(), 0, reason=TextReason.CHILD, person=people["auditor"], session_key="s", at=at
        )
    client = make.client_of(people["lead"])
    bare = OriginSignal.objects.filter(length=None).first()
    assert bare is None or read(client, bare.place).status_code == 403
    assert read(client, 400).status_code == 403
    for place, reason in ((-1, "child"), (0, ""), (0, "curious")):
        assert read(client, place, reason).status_code == 302
    assert not TextLook.objects.exists()


def test_while_somebody_assesses_the_file_blind_no_text_of_it_is_read(people: dict[str, Person]) -> None:
    Assignment.objects.filter(step="first").update(done_at=None)
    answer = read(make.client_of(people["lead"]), prompt().place)
    assert answer.status_code == 403
    assert b"still assesses this picture blind" in answer.content
    assert not TextLook.objects.exists()


def test_a_text_that_is_not_the_recorded_one_is_not_shown(people: dict[str, Person]) -> None:
    OriginSignal.objects.filter(pk=prompt().pk).update(digest="0" * 64)
    answer = read(make.client_of(people["lead"]), prompt().place)
    assert answer.status_code == 403
    assert b"does not give the text that was recorded" in answer.content
    assert marks.CANARY not in answer.content.decode()
    assert AuditEntry.objects.filter(act="reveal_failed", purpose="origin_text").count() == 1


def test_without_the_content_nothing_is_read(people: dict[str, Person]) -> None:
    StoredContent.objects.all().delete()
    answer = read(make.client_of(people["lead"]), prompt().place)
    assert answer.status_code == 403
    assert b"not kept here" in answer.content


def test_a_look_is_opened_by_keyd_inside_the_budget(tmp_path: Path, settings: Settings, at: dt.datetime) -> None:
    process = Process(tmp_path / "keyd")
    process.start()
    settings.KEYD = str(process.socket)
    try:
        people = settled_world(at=at)
        refused = read(make.client_of(people["lead"]), prompt().place)
        assert refused.status_code == 403
        assert b"no budget" in refused.content
        set_budget(people["senior"], USUAL, set_by=people["welfare"], second=people["lead"], at=at)
        assert marks.CANARY in read(make.client_of(people["senior"]), prompt().place).content.decode()
        with process.client() as client:
            assert client.exposed(people["senior"].audit_id.hex)[0].last_day == 1
    finally:
        held = keyd()
        assert held is not None
        held.close()
        process.stop()
