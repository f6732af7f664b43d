"""Escalate works at any step after one view; a telephone number is shown; the other assessor learns nothing."""

from __future__ import annotations

import datetime as dt

import pytest

from havenline_desk import gates
from havenline_desk.actions.escalate import EscalationRefused, declare_contact, raise_escalation, record_stage
from havenline_desk.actions.take_next import take_next
from havenline_desk.escalated import ANSWER_WITHIN, COSIGN_WITHIN
from havenline_desk.models import Assignment, AuditAct, AuditEntry, Escalation, EscalationStage, Person
from havenline_desk.queries.escalations import escalation_lines, waiting_escalations

from . import factories as make

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
Stage = EscalationStage


def raised(people: dict[str, Person], *, at: dt.datetime = AT) -> Escalation:
    assignment = take_next(people["analyst-one"], at=at)
    assert assignment is not None
    make.look(assignment, people["analyst-one"], assignment.revision.members.get(), step=1, at=at)
    return raise_escalation(assignment.pk, person=people["analyst-one"], at=at)


@pytest.mark.django_db
def test_one_view_is_needed_and_enough_and_raising_twice_is_once() -> None:
    people = make.world(at=AT)
    assignment = take_next(people["analyst-one"], at=AT)
    assert assignment is not None
    with pytest.raises(EscalationRefused, match="nothing of this item was viewed"):
        raise_escalation(assignment.pk, person=people["analyst-one"], at=AT)
    first = raised(people)
    assert raise_escalation(assignment.pk, person=people["analyst-one"], at=AT + SECOND) == first
    assert AuditEntry.objects.filter(act=AuditAct.ESCALATION_RAISED).count() == 1
    with pytest.raises(EscalationRefused, match="no longer yours"):
        raise_escalation(assignment.pk, person=people["analyst-two"], at=AT)
    assert Assignment.objects.get(pk=assignment.pk).person == people["analyst-one"], "the item stays open"


@pytest.mark.django_db
def test_the_first_contact_is_called_then_the_second_until_somebody_takes_over() -> None:
    people = make.world(at=AT)
    lead = people["lead"]
    escalation = raised(people)
    assert escalation_lines(lead, at=AT)[0].call is None, "nobody is declared yet"
    declare_contact(1, duty="duty lead", telephone="+44 20 7946 0000", declared_by=lead, at=AT)
    declare_contact(2, duty="director on call", telephone="+44 20 7946 0001", declared_by=lead, at=AT)
    line = escalation_lines(people["analyst-one"], at=AT)[0]
    assert line.call is not None
    assert (line.call.duty, line.overdue, Stage.SECOND_CONTACT in line.next) == ("duty lead", False, False)
    late = escalation_lines(people["analyst-one"], at=AT + ANSWER_WITHIN)[0]
    assert late.call is not None
    assert (late.call.duty, late.overdue, Stage.SECOND_CONTACT in late.next) == ("director on call", True, True)
    record_stage(escalation, Stage.SECOND_CONTACT, person=people["analyst-one"], at=AT + ANSWER_WITHIN)
    assert waiting_escalations(lead, at=AT) == 1
    record_stage(escalation, Stage.ACKNOWLEDGED, person=lead, at=AT + ANSWER_WITHIN)
    taken = escalation_lines(lead, at=AT + 2 * ANSWER_WITHIN)[0]
    assert (taken.call, taken.overdue, waiting_escalations(lead, at=AT)) == (None, False, 0)
    declare_contact(1, duty="another duty", telephone="112", declared_by=lead, at=AT)
    with pytest.raises(EscalationRefused, match="telephone number"):
        declare_contact(1, duty="duty lead", telephone="none", declared_by=lead, at=AT)
    with pytest.raises(EscalationRefused, match="two places"):
        declare_contact(3, duty="duty lead", telephone="112", declared_by=lead, at=AT)


@pytest.mark.usefixtures("desk_role")
def test_one_person_refers_at_once_and_another_co_signs_later() -> None:
    people = make.world(at=AT)
    escalation = raised(people)
    one, lead = people["analyst-one"], people["lead"]
    with pytest.raises(EscalationRefused, match="reference"):
        record_stage(escalation, Stage.REFERRED, person=one, at=AT)
    record_stage(escalation, Stage.REFERRED, person=one, reference="CAD 123", at=AT)
    again = record_stage(escalation, Stage.REFERRED, person=one, reference="CAD 999", at=AT)
    assert again.reference == "CAD 123", "what was recorded stands"
    with pytest.raises(gates.Denied):
        record_stage(escalation, Stage.COSIGNED, person=one, at=AT)
    assert not escalation_lines(lead, at=AT + COSIGN_WITHIN - SECOND)[0].cosign_overdue
    assert escalation_lines(lead, at=AT + COSIGN_WITHIN)[0].cosign_overdue
    record_stage(escalation, Stage.COSIGNED, person=lead, at=AT + COSIGN_WITHIN)
    assert not escalation_lines(lead, at=AT + 2 * COSIGN_WITHIN)[0].cosign_overdue
    record_stage(escalation, Stage.CLOSED, person=lead, reference="police took over", at=AT)
    with pytest.raises(EscalationRefused, match="closed"):
        record_stage(escalation, Stage.ACKNOWLEDGED, person=lead, at=AT)
    assert escalation_lines(lead, at=AT)[0].next == ()


@pytest.mark.django_db
def test_nobody_co_signs_their_own_referral() -> None:
    people = make.world(at=AT)
    escalation = raised(people)
    record_stage(escalation, Stage.REFERRED, person=people["lead"], reference="CAD 7", at=AT)
    with pytest.raises(EscalationRefused, match="another person"):
        record_stage(escalation, Stage.COSIGNED, person=people["lead"], at=AT)


@pytest.mark.django_db
def test_the_other_assessor_learns_nothing() -> None:
    now = dt.datetime.now(dt.UTC)
    people = make.world(at=now, stacks=1)
    two = people["analyst-two"]
    take_next(two, at=now)
    client = make.client_of(two)
    pages = ("/", "/work", "/escalations", "/escalations/waiting")
    before = [make.seen(client.get(page)) for page in pages]
    order = list(Assignment.objects.order_by("pk").values_list("pk", "waits_as_if_since"))
    escalation = raised(people, at=now)
    assert [make.seen(client.get(page)) for page in pages] == before
    answer = client.post("/escalations/stage", {"escalation": escalation.pk, "stage": "referred", "reference": "x"})
    assert answer.status_code == 422
    assert not escalation.events.exists()
    assert list(Assignment.objects.order_by("pk").values_list("pk", "waits_as_if_since")) == order


@pytest.mark.django_db
def test_the_pages_raise_take_over_and_refuse_without_losing_what_was_typed() -> None:
    now = dt.datetime.now(dt.UTC)
    people = make.world(at=now, stacks=1)
    one, lead = make.client_of(people["analyst-one"]), make.client_of(people["lead"])
    one.post("/work/start")
    held = Assignment.objects.get(person=people["analyst-one"])
    refused = one.post("/work/escalate", {"assignment": held.pk})
    assert refused.status_code == 422
    assert "nothing of this item was viewed" in refused.content.decode().lower()
    make.look(held, people["analyst-one"], held.revision.members.get(), step=1, at=now)
    assert lead.get("/escalations/waiting").json() == {"waiting": 0}
    assert one.post("/work/escalate", {"assignment": held.pk}).status_code == 302
    assert lead.get("/escalations/waiting").json() == {"waiting": 1}
    assert "hidden" not in lead.get("/").content.decode().split('id="alarm"')[1].split(">")[0]
    number = Escalation.objects.get().pk
    missing = lead.post("/escalations/stage", {"escalation": number, "stage": "closed", "reference": "  "})
    assert missing.status_code == 422
    lead.post("/escalations/stage", {"escalation": number, "stage": "acknowledged"})
    assert lead.get("/escalations/waiting").json() == {"waiting": 0}
    assert lead.post("/escalations/stage", {"escalation": number, "stage": "gone"}).status_code == 422
