"""The audit log on a page: for the auditor alone, logged before it is shown, and no count of what one person saw."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django import Settings

from havenline_desk import audit
from havenline_desk.actions.count_try import Throttled, count_try
from havenline_desk.actions.see_log import see_log
from havenline_desk.gates import Denied
from havenline_desk.models import AuditAct, AuditEntry, Person
from havenline_desk.queries import audit_view
from havenline_desk.queries.audit_view import SHOWN, Narrowed, checkpoints, log_page, signs

from . import factories as make

pytestmark = pytest.mark.django_db


@pytest.fixture
def people() -> dict[str, Person]:
    return make.world(at=timezone.now())


@pytest.mark.usefixtures("desk_role")
def test_opening_it_is_written_down_first_and_by_what_it_was_narrowed(people: dict[str, Person]) -> None:
    auditor = make.client_of(people["auditor"])
    assert auditor.get("/audit").status_code == 200
    assert auditor.get("/audit", {"person": "lead", "day": f"{timezone.now():%Y-%m-%d}"}).status_code == 200
    seen = AuditEntry.objects.filter(act=AuditAct.LOG_SEEN).order_by("seq").values_list("actor", "purpose")
    assert list(seen) == [(people["auditor"].audit_id, ""), (people["auditor"].audit_id, "day.person")]
    for name in ("lead", "admin", "welfare"):
        with pytest.raises(Denied):
            see_log(seen_by=people[name], at=timezone.now())
    assert "looked into the audit log" in auditor.get("/audit").content.decode()


def test_nothing_is_shown_where_it_cannot_be_logged(
    people: dict[str, Person], settings: Settings, tmp_path: Path
) -> None:
    auditor = make.client_of(people["auditor"])
    (tmp_path / "file").write_text("not a folder")
    settings.AUDIT_FOLDER = str(tmp_path / "file")
    answer = auditor.get("/audit")
    assert answer.status_code == 503
    assert b"enrolled a person" not in answer.content


def test_it_is_narrowed_by_act_person_and_day_and_paged(people: dict[str, Person]) -> None:
    now = timezone.now()
    whole = log_page(Narrowed())
    assert whole.older is None
    assert [line.seq for line in whole.lines] == sorted((line.seq for line in whole.lines), reverse=True)
    granted = log_page(Narrowed(act=AuditAct.ROLE_GRANTED))
    assert {line.does for line in granted.lines} == {"granted a role"}
    assert {line.about for line in granted.lines} == set(people)
    assert {line.actor for line in granted.lines} == {"(host)"}
    assert {line.actor for line in log_page(Narrowed(person="lead")).lines} == {"lead"}
    assert log_page(Narrowed(day=now.date() - make.DAY)).lines == ()
    for _ in range(SHOWN):
        see_log(seen_by=people["auditor"], at=now)
    first = log_page(Narrowed())
    assert len(first.lines) == SHOWN
    assert first.older is not None
    rest = log_page(Narrowed(before=first.older))
    assert first.lines[-1].seq == rest.lines[0].seq + 1
    assert rest.lines[-1].seq == 1


def test_what_one_person_looked_at_is_not_listed_by_person(people: dict[str, Person]) -> None:
    make.assess(people["analyst-one"], make.TRIANGLE, at=timezone.now())
    assert log_page(Narrowed(act=AuditAct.REVEAL_USED)).lines
    listed = {line.does for line in log_page(Narrowed(person="analyst-one")).lines}
    assert "was given an assignment" in listed
    assert not any("view" in does for does in listed)
    auditor = make.client_of(people["auditor"])
    answer = auditor.get("/audit", {"act": "reveal_used", "person": "analyst-one"})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "What one person looked at is theirs" in page
    assert "used a view</td>" not in page


def test_bad_input_is_named_beside_its_field_and_kept(people: dict[str, Person]) -> None:
    auditor = make.client_of(people["auditor"])
    answer = auditor.get("/audit", {"act": "x", "person": "nobody\x00", "day": "31.3.2026", "before": "-1"})
    assert answer.status_code == 422
    page = answer.content.decode()
    for words in ("Choose an act from the list.", "Nobody of that name", "Write the day as 2026-03-31."):
        assert words in page
    assert 'value="31.3.2026"' in page
    assert "No entry fits" in auditor.get("/audit", {"day": "1999-01-01"}).content.decode()


def test_checkpoints_say_what_is_signed_and_what_is_missing(
    people: dict[str, Person], settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit.seal()
    stands = checkpoints()
    assert stands.signed == stands.entries == AuditEntry.objects.count()
    assert stands.waiting == stands.missing == 0
    see_log(seen_by=people["auditor"], at=timezone.now())
    assert checkpoints().waiting == 1
    monkeypatch.setattr(audit_view, "_newest", lambda: stands.signed - 3)  # entries cannot be deleted, even here
    assert checkpoints().missing == 3
    settings.AUDIT_FOLDER = str(tmp_path.parent / "elsewhere")
    assert checkpoints().apart


def test_signs_of_trouble_are_counted_and_named(people: dict[str, Person]) -> None:
    at = timezone.now()
    assert [sign.times for sign in signs(at=at)] == [0, 0, 0]
    key = people["lead"].passkeys.create(label="key", credential_id="c", public_key="k", added_at=at, counter=5)
    for act, about, purpose in (
        (AuditAct.RECOVERY_CODE_USED, people["senior"], ""),
        (AuditAct.FACTOR_REFUSED, key, "copied_key"),
        (AuditAct.FACTOR_REFUSED, key, "wrong_answer"),
    ):
        audit.append(act, at=at, actor=None, about=about, purpose=purpose)
    for _ in range(100):
        try:
            count_try(name="welfare", address="192.0.2.1", at=at)
        except Throttled:
            break
    found = {sign.name: sign for sign in signs(at=at)}
    assert {name: sign.times for name, sign in found.items()} == {"recovery": 1, "throttled": 1, "copied": 1}
    assert found["copied"].newest[0].about == "passkey of lead"
    assert found["throttled"].newest[0].about == "welfare"
    assert [sign.times for sign in signs(at=at + dt.timedelta(days=31))] == [0, 0, 0]
