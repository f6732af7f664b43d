"""The lead sets items aside and frees them: what the queue forbids stays forbidden, and nobody's reasons are told."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from havenline_desk import gates
from havenline_desk.actions.assign_by_hand import KEPT_FOR, HandRefused, assign_by_hand, free_assignment
from havenline_desk.actions.keep_pools import join_pool, make_pool
from havenline_desk.actions.keep_shift import opt_out
from havenline_desk.actions.skip_assignment import skip_assignment
from havenline_desk.actions.submit_assessment import SubmissionRefused, submit_assessment
from havenline_desk.actions.take_next import LEASE, take_next
from havenline_desk.models import (
    Assignment,
    AuditAct,
    AuditEntry,
    HandReason,
    Investigation,
    MediaKind,
    Person,
    PoolKind,
    PoolNeed,
    Role,
    SetAside,
    SkipReason,
    Stack,
    Step,
)
from havenline_desk.queries.queue import disputes_page, leases_page, queue_page
from havenline_desk.queries.workspace import open_workspace

from . import factories as make

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
pytestmark = pytest.mark.django_db


def last_waiting() -> Assignment:
    return Assignment.objects.filter(person=None, done_at=None).order_by("-pk")[0]


def aside(assignment: Assignment, person: Person, *, by: Person, at: dt.datetime = AT) -> SetAside:
    return assign_by_hand(assignment.pk, person, reason=HandReason.WAITED, said_by=by, at=at)


@pytest.mark.usefixtures("desk_role")
def test_what_is_set_aside_is_handed_to_that_person_first_and_to_nobody_else() -> None:
    people = make.world(at=AT, stacks=3)
    one, two, lead = people["analyst-one"], people["analyst-two"], people["lead"]
    wanted = last_waiting()
    made = aside(wanted, two, by=lead)
    entry = AuditEntry.objects.get(act=AuditAct.ASSIGNMENT_MADE_BY_HAND)
    assert (entry.actor, entry.object, entry.purpose) == (lead.audit_id, wanted.audit_id, "waited")
    first = take_next(one, at=AT + MINUTE)
    assert first is not None
    assert first.pk != wanted.pk
    taken = take_next(two, at=AT + MINUTE)
    assert taken is not None
    assert taken.pk == wanted.pk
    workspace = open_workspace(two, at=AT + MINUTE)
    assert workspace is not None
    assert workspace.by_hand
    made.refresh_from_db()
    assert made.ended_at == AT + MINUTE
    assert not open_workspace(one, at=AT + MINUTE).by_hand  # type: ignore[union-attr]


def test_after_a_day_it_is_the_queue_s_again() -> None:
    people = make.world(at=AT, plan=make.Plan.SINGLE)
    wanted = last_waiting()
    aside(wanted, people["analyst-two"], by=people["lead"])
    assert take_next(people["analyst-one"], at=AT + KEPT_FOR - MINUTE) is None
    taken = take_next(people["analyst-one"], at=AT + KEPT_FOR)
    assert taken is not None
    assert taken.pk == wanted.pk


def test_one_refusal_tells_no_reason_apart() -> None:
    people = make.world(at=AT, stacks=6)
    one, lead = people["analyst-one"], people["lead"]
    assessed = make.assess(one, make.TRIANGLE, at=AT)
    other_step = Assignment.objects.get(revision=assessed.revision, step=Step.SECOND)
    recused = take_next(one, at=AT + 2 * MINUTE)
    assert recused is not None
    skip_assignment(recused.pk, person=one, reason=SkipReason.RECUSED, at=AT + 2 * MINUTE)
    skipped = take_next(one, at=AT + 2 * MINUTE)
    assert skipped is not None
    skip_assignment(skipped.pk, person=one, reason=SkipReason.NOT_TODAY, at=AT + 2 * MINUTE)
    pool = make_pool("welsh", PoolKind.LANGUAGE, made_by=lead, at=AT)
    untouched = Stack.objects.exclude(revisions__assignments__in=[assessed.pk, recused.pk, skipped.pk]).order_by("pk")
    needs, blind, left_out = (Assignment.objects.get(revision__stack=stack, step=Step.FIRST) for stack in untouched)
    PoolNeed.objects.create(stack=needs.revision.stack, pool=pool, said_by=lead, said_at=AT)
    beside = make_pool("side-by-side", PoolKind.BLIND, made_by=lead, at=AT)
    for name in ("analyst-one", "analyst-two"):
        join_pool(beside, people[name], said_by=lead, at=AT)
    Assignment.objects.filter(revision=blind.revision, step=Step.SECOND).update(
        person=people["analyst-two"], leased_at=AT, expires_at=AT + LEASE
    )
    said = set()
    for barred in (other_step, recused, skipped, needs, blind, left_out):
        if barred == left_out:
            opt_out(one, media=[MediaKind.PICTURE], at=AT)
        with pytest.raises(HandRefused) as refused:
            aside(barred, one, by=lead, at=AT + 4 * MINUTE)
        said.add(str(refused.value))
    assert said == {"analyst-one will not take up this item now; why is not told here"}
    assert not SetAside.objects.exists()


def test_who_may_be_given_something_and_by_whom() -> None:
    people = make.world(at=AT, stacks=2)
    lead, item = people["lead"], last_waiting()
    for name in ("analyst-one", "senior", "welfare", "admin", "auditor"):
        with pytest.raises(gates.Denied):
            aside(item, people["analyst-two"], by=people[name])
    for name, word in (("adjudicator", "no role"), ("senior", "no role"), ("lead", "themselves")):
        with pytest.raises(HandRefused, match=word):
            aside(item, people[name], by=lead)
    uncertified = make.make_person("uncertified", at=AT, certified=False)
    grant_role_at_once(uncertified, Role.ANALYST)
    with pytest.raises(HandRefused, match="no certificate"):
        aside(item, uncertified, by=lead)
    aside(item, people["analyst-one"], by=lead)
    with pytest.raises(HandRefused, match="set aside for analyst-one already"):
        aside(item, people["analyst-two"], by=lead)
    held = take_next(people["analyst-one"], at=AT)
    assert held is not None
    with pytest.raises(HandRefused, match="open now"):
        aside(held, people["analyst-two"], by=lead)
    with pytest.raises(HandRefused, match="no such item"):
        assign_by_hand(10**9, people["analyst-two"], reason=HandReason.SPREAD, said_by=lead, at=AT)


def grant_role_at_once(person: Person, role: Role) -> None:
    person.role_grants.create(role=role, granted_at=AT, effective_from=AT)


def test_a_lead_who_assesses_knows_nothing_of_the_stacks_they_work_on() -> None:
    people = make.world(at=AT, stacks=2)
    lead = people["lead"]
    grant_role_at_once(lead, Role.ANALYST)
    make.certify_person(lead, until=AT + make.DAY, issued_by=None, at=AT)
    held = take_next(lead, at=AT)
    assert held is not None
    other = Assignment.objects.exclude(pk=held.pk).get(revision=held.revision)
    assert {item.number for item in queue_page(lead, at=AT).items}.isdisjoint({held.pk, other.pk})
    with pytest.raises(HandRefused, match="no such item"):
        aside(other, people["analyst-one"], by=lead)
    other.person, other.leased_at, other.expires_at = people["analyst-one"], AT, AT + LEASE
    other.save()
    assert leases_page(lead, at=AT).leases == ()
    with pytest.raises(HandRefused):
        free_assignment(other.pk, said_by=lead, at=AT)


@pytest.mark.usefixtures("desk_role")
def test_a_freed_item_goes_on_and_its_former_holder_records_nothing() -> None:
    people = make.world(at=AT, plan=make.Plan.SINGLE)
    one, two, lead = people["analyst-one"], people["analyst-two"], people["lead"]
    held = take_next(one, at=AT)
    assert held is not None
    with pytest.raises(gates.Denied):
        free_assignment(held.pk, said_by=two, at=AT)
    free_assignment(held.pk, said_by=lead, at=AT + MINUTE)
    entry = AuditEntry.objects.get(act=AuditAct.ASSIGNMENT_FREED)
    assert (entry.actor, entry.object, entry.purpose) == (lead.audit_id, held.audit_id, "lease")
    with pytest.raises(SubmissionRefused):
        submit_assessment(held.pk, person=one, facts=make.TRIANGLE, same={}, active_seconds=make.Decimal(1), at=AT)
    taken = take_next(two, at=AT + 2 * MINUTE)
    assert taken is not None
    assert taken.pk == held.pk
    free_assignment(held.pk, said_by=lead, at=AT + 3 * MINUTE)
    aside(held, two, by=lead, at=AT + 3 * MINUTE)
    free_assignment(held.pk, said_by=lead, at=AT + 4 * MINUTE)
    assert take_next(one, at=AT + 5 * MINUTE) is not None
    with pytest.raises(HandRefused, match="nobody has this"):
        free_assignment(10**9, said_by=lead, at=AT)


def test_the_pages_count_what_waits_and_name_what_is_refused() -> None:
    at = timezone.now()
    people = make.world(at=at - dt.timedelta(days=2), stacks=2)
    lead = make.client_of(people["lead"])
    (line, second) = lead.get("/queue").context["page"].backlog
    assert (line.waiting, line.ages, line.held) == (2, (0, 2, 0, 0, 0), 0)
    assert second.waiting == 2
    item = str(last_waiting().pk)
    answer = lead.post("/queue/set-aside", {"item": item, "person": "analyst-one", "reason": ""})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "Choose why." in page
    assert f'value="{item}" id="item-{item}" aria-label' in page
    assert "<option selected>analyst-one</option>" in page
    bare = lead.post("/queue/set-aside", {"item": "\x00", "person": "a\x00", "reason": "x"}).content.decode()
    for words in ("Choose the item.", "Choose for whom it is.", "Choose why."):
        assert words in bare
    wrong = lead.post("/queue/set-aside", {"item": item, "person": "adjudicator", "reason": "spread"})
    assert "has no role for the" in wrong.content.decode()
    assert lead.post("/queue/set-aside", {"item": item, "person": "analyst-one", "reason": "spread"}).status_code == 302
    assert "Set aside." in lead.get("/queue").content.decode()
    assert "analyst-one" in lead.get("/queue/leases").content.decode()
    assert lead.post("/queue/free", {"item": item}).status_code == 302
    assert lead.post("/queue/free", {"item": item}).status_code == 422
    assert not SetAside.objects.filter(ended_at=None).exists()


def test_disagreements_name_questions_and_neither_answers_nor_people() -> None:
    people = make.world(at=AT)
    lead = people["lead"]
    assert "No disagreement yet" in make.client_of(lead).get("/queue/disagreements").content.decode()
    make.assess(people["analyst-one"], make.TRIANGLE, at=AT)
    make.assess(people["analyst-two"], make.TRIANGLE | {"largest_colour": "blue"}, at=AT)
    (line,) = disputes_page(lead, at=AT + MINUTE).lines
    assert len(line.questions) == 1
    assert not line.held
    page = make.client_of(lead).get("/queue/disagreements").content.decode()
    assert line.questions[0] in page
    main = page.partition("<main")[2]
    for word in ("analyst-one", "analyst-two", "Blue", "Red"):
        assert word not in main
    make.assess(people["adjudicator"], make.TRIANGLE, at=AT + 2 * MINUTE)
    (count,) = disputes_page(lead, at=AT + 5 * MINUTE).counts
    assert (count.waiting, count.decided, count.investigation) == (0, 1, Investigation.objects.get().reference)
