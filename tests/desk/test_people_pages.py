"""Who works here: who may see it, how roles come and go, and what is never among it."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from havenline_desk import gates
from havenline_desk.actions.approve import approve
from havenline_desk.actions.carry_out import carry_out
from havenline_desk.actions.take_role_away import RoleKept, take_role_away
from havenline_desk.gates import Denied
from havenline_desk.models import AuditAct, AuditEntry, Person, Proposal, Role, Session
from havenline_desk.queries.people import people_lines, person_page

from . import factories as make

pytestmark = pytest.mark.django_db
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def at() -> dt.datetime:
    return timezone.now()


@pytest.fixture
def people(at: dt.datetime) -> dict[str, Person]:
    return make.world(at=at - make.DAY)


@pytest.mark.usefixtures("desk_role")
def test_a_role_is_taken_away_at_once_by_one_person_and_the_log_says_by_whom(
    people: dict[str, Person], at: dt.datetime
) -> None:
    one, lead = people["analyst-one"], people["lead"]
    browser = make.client_of(one)
    assert browser.get("/work").status_code == 200
    for name in ("senior", "auditor", "welfare", "analyst-two"):
        with pytest.raises(Denied):
            take_role_away(one, Role.ANALYST, said_by=people[name], at=at)
    take_role_away(one, Role.ANALYST, said_by=lead, at=at)
    assert gates.roles_of(one, at=at) == frozenset()
    assert not Session.objects.filter(person=one, ended_at=None).exists()
    assert browser.get("/work").status_code == 302
    entry = AuditEntry.objects.get(act=AuditAct.ROLE_REVOKED)
    assert (entry.actor, entry.object, entry.purpose) == (lead.audit_id, one.audit_id, "analyst")
    with pytest.raises(RoleKept, match="does not hold"):
        take_role_away(one, Role.ANALYST, said_by=lead, at=at)


def test_the_last_who_could_give_roles_keeps_theirs(people: dict[str, Person], at: dt.datetime) -> None:
    for name, role in (("admin", Role.ADMIN), ("lead", Role.LEAD)):
        with pytest.raises(RoleKept, match="is the last"):
            take_role_away(people[name], role, said_by=people["lead"], at=at)
    page = make.client_of(people["lead"]).get("/people/admin").content.decode()
    assert "the last one, so it stays" in page
    assert "Take away" not in page
    second = make.make_person("second-lead", Role.LIAISON, at=at)
    second.role_grants.create(role=Role.LEAD, granted_at=at, effective_from=at + make.DAY)
    with pytest.raises(RoleKept, match="is the last"):  # one that counts tomorrow is none today
        take_role_away(people["lead"], Role.LEAD, said_by=people["admin"], at=at)
    take_role_away(people["lead"], Role.LEAD, said_by=people["admin"], at=at + 2 * make.DAY)
    answer = make.client_of(people["admin"]).post("/people/second-lead/close", {"again": "second-lead"})
    assert answer.status_code == 302
    assert not Person.objects.get(name="second-lead").is_active


def test_a_role_is_proposed_on_the_page_and_given_by_two(people: dict[str, Person], at: dt.datetime) -> None:
    newcomer = make.make_person("newcomer", at=at)
    admin, lead = make.client_of(people["admin"]), people["lead"]
    assert "Propose a role" not in make.client_of(lead).get("/people/newcomer").content.decode()
    wrong = admin.post("/people/newcomer/propose-role", {"role": "owner"})
    assert wrong.status_code == 422
    assert "Choose the role." in wrong.content.decode()
    assert admin.post("/people/newcomer/propose-role", {"role": "analyst"}).status_code == 302
    page = admin.get("/people/newcomer").content.decode()
    assert "Another person agrees to it under" in page
    assert "analyst, by admin, good until" in page
    proposal = Proposal.objects.get()
    approve(proposal, person=lead, digest=proposal.digest, at=timezone.now())
    carry_out(proposal, person=people["admin"], at=timezone.now())
    shown = person_page("newcomer", at=timezone.now())
    assert shown is not None
    (held,) = shown.line.roles
    assert held.role is Role.ANALYST
    assert held.begins is not None, "a role that sees content counts a day later"
    assert Role.AUDITOR not in shown.can_be_given
    assert Role.ADJUDICATOR in shown.can_be_given
    assert newcomer.name in {line.name for line in people_lines(at=at)}
    oneself = admin.post("/people/admin/propose-role", {"role": "partner_liaison"})
    assert "cannot stand behind an act on admin" in oneself.content.decode()


def test_bad_input_gets_a_sentence_beside_its_field_and_changes_nothing(
    people: dict[str, Person], at: dt.datetime
) -> None:
    lead = make.client_of(people["lead"])
    wrong = lead.post("/people/analyst-one/close", {"again": "analyst-on"})
    assert wrong.status_code == 422
    page = wrong.content.decode()
    assert 'value="analyst-on" aria-invalid="true" aria-describedby="problem-again"' in page
    assert "Type the sign-in name as it stands above." in page
    oneself = lead.post("/people/lead/close", {"again": "lead"})
    assert oneself.status_code == 422
    last = lead.post("/people/admin/close", {"again": "admin"})
    assert "is the last administrator" in last.content.decode()
    assert lead.post("/people/analyst-one/take-role", {"held": "x\x00"}).status_code == 422
    assert "does not hold" in lead.post("/people/analyst-one/take-role", {"held": "senior"}).content.decode()
    for way in ("", "/close", "/take-role"):
        ask = lead.post if way else lead.get
        assert ask(f"/people/nobody{way}", {"again": "nobody", "held": "analyst"}).status_code == 404
    assert Person.objects.filter(is_active=False).count() == 0
    assert not AuditEntry.objects.filter(act__in=(AuditAct.ROLE_REVOKED, AuditAct.PERSON_CLOSED)).exists()


def test_the_list_says_roles_certificates_and_factors_and_nothing_of_work(
    people: dict[str, Person], at: dt.datetime
) -> None:
    make.assess(people["analyst-one"], make.TRIANGLE, at=at - MINUTE)
    people["analyst-two"].passkeys.create(
        label="secret label", credential_id="c", public_key="k", added_at=at, counter=0
    )
    make.client_of(people["lead"]).post("/people/senior/close", {"again": "senior"})
    lines = {line.name: line for line in people_lines(at=timezone.now())}
    assert list(lines)[-1] == "senior", "closed accounts stand last"
    assert lines["analyst-two"].factors.passkeys == 1
    assert lines["analyst-one"].factors.none
    assert lines["analyst-one"].in_date
    assert not lines["adjudicator"].roles[0].begins
    for name in ("admin", "lead", "auditor"):
        page = make.client_of(people[name]).get("/people").content.decode()
        assert "1 passkey" in page
        assert "secret label" not in page
        assert "view" not in page.partition("<main")[2].lower()
