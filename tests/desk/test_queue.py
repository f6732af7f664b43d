"""Who is handed what, in which order, and why: skips are remembered, pools are kept, nothing is told of matches."""

from __future__ import annotations

import datetime as dt
import inspect

import pytest

from havenline.judgement import TriageFacts, TriageReason, Urgency, reasons, triage, waits_as_if_since
from havenline_desk import gates, waiting
from havenline_desk.actions.keep_pools import PoolRefused, join_pool, leave_pool, make_pool
from havenline_desk.actions.set_urgency import set_urgency
from havenline_desk.actions.skip_assignment import skip_assignment
from havenline_desk.actions.take_next import take_next
from havenline_desk.models import Assignment, Item, PoolKind, PoolNeed, Report, Role, Skip, SkipReason, Stack
from havenline_desk.queries.home import Start, start_of
from havenline_desk.queries.workspace import open_workspace

from . import factories as make

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
MINUTE, DAY = dt.timedelta(minutes=1), dt.timedelta(days=1)


def test_every_reason_counts_as_days_and_a_crowd_cannot_order_the_queue() -> None:
    plain = TriageFacts(opened_at=AT, reports=1, urgency=Urgency.ORDINARY, disputed=False)
    assert waits_as_if_since(plain) == AT
    crowd = TriageFacts(opened_at=AT, reports=100_000, urgency=Urgency.ORDINARY, disputed=False)
    assert waits_as_if_since(crowd) == AT - 9 * DAY
    everything = TriageFacts(opened_at=AT, reports=3, urgency=Urgency.FIRST, disputed=True)
    counted = {each.reason: each.days for each in reasons(everything, at=AT + 5 * DAY)}
    assert counted == {
        TriageReason.URGENCY: 30,
        TriageReason.DISPUTE: 3,
        TriageReason.REPORTS: 2,
        TriageReason.WAITING: 5,
    }
    assert waits_as_if_since(everything) == AT - 35 * DAY


def test_nothing_that_orders_the_queue_reads_a_match_or_an_origin() -> None:
    for module in (triage, waiting):
        source = inspect.getsource(module)
        for forbidden in ("Match", "matches", "provenance", "Signal", "Escalation"):
            assert forbidden not in source.split('"""', 2)[2], (module.__name__, forbidden)


@pytest.mark.django_db
def test_what_more_reports_name_comes_before_what_waits_as_long() -> None:
    people = make.world(at=AT, stacks=1)
    report = [Report.objects.create(reference=f"R-{number}", channel="form", received_at=AT) for number in range(4)]
    taken_in = make.investigation().imports.get()
    file = make.add_file(taken_in, make.draw(77), at=AT)
    Item.objects.get(file=file).reports.set(report)
    stack = Stack.objects.create(investigation=make.investigation(), representative=file, formed_at=AT)
    revision = stack.revisions.create(number=1, opened_at=AT + DAY)
    revision.members.create(file=file, place=make.MemberPlace.SHOWN, why="representative", distance=0)
    make.open_assignments([revision], at=AT + DAY)
    taken = take_next(people["analyst-one"], at=AT + DAY)
    assert taken is not None
    assert taken.revision == revision, "opened a day later, but three further reports count as three days"
    workspace = open_workspace(people["analyst-one"], at=AT + DAY)
    assert workspace is not None
    assert [(why.reason, why.days) for why in workspace.why_next] == [(TriageReason.REPORTS, 3)]


@pytest.mark.usefixtures("desk_role")
def test_urgency_moves_an_investigation_and_is_said_on_the_page() -> None:
    people = make.world(at=AT, stacks=1)
    second = make.make_investigation(people["lead"], at=AT + MINUTE, reference="HL-2")
    revision, _ = make.add_stack(second, 9, at=AT + MINUTE)
    set_urgency(second.investigation, Urgency.SOON, set_by=people["lead"], at=AT + 2 * MINUTE)
    taken = take_next(people["analyst-one"], at=AT + 3 * MINUTE)
    assert taken is not None
    assert taken.revision == revision
    workspace = open_workspace(people["analyst-one"], at=AT + 3 * MINUTE)
    assert workspace is not None
    assert [why.reason for why in workspace.why_next] == [TriageReason.URGENCY]
    set_urgency(second.investigation, Urgency.ORDINARY, set_by=people["lead"], at=AT + 4 * MINUTE)
    other = take_next(people["analyst-two"], at=AT + 5 * MINUTE)
    assert other is not None
    assert other.revision != revision
    with pytest.raises(gates.Denied):
        set_urgency(second.investigation, Urgency.FIRST, set_by=people["analyst-one"], at=AT)


@pytest.mark.django_db
@pytest.mark.parametrize("reason", list(SkipReason))
def test_a_skip_is_remembered_and_others_still_get_the_item(reason: SkipReason) -> None:
    people = make.world(at=AT, stacks=1)
    one, two = people["analyst-one"], people["analyst-two"]
    held = take_next(one, at=AT)
    assert held is not None
    assert skip_assignment(held.pk, person=two, reason=reason, at=AT) is None, "only the holder passes on"
    skip = skip_assignment(held.pk, person=one, reason=reason, at=AT + MINUTE)
    assert skip is not None
    assert skip_assignment(held.pk, person=one, reason=reason, at=AT + MINUTE) is None
    again = take_next(one, at=AT + 2 * MINUTE)
    if reason == SkipReason.RECUSED:
        assert again is None, "a recusal holds for every step of the stack"
        assert start_of(one, at=AT + 2 * MINUTE) is Start.NOTHING
    else:
        assert again is not None
        assert again.pk != held.pk, "the other step of the stack"
        assert skip_assignment(again.pk, person=one, reason=reason, at=AT + 3 * MINUTE) is not None
        later = take_next(one, at=AT + 13 * dt.timedelta(hours=1))
        assert (later is not None) is (reason == SkipReason.NOT_TODAY)
    taken = take_next(two, at=AT + 14 * dt.timedelta(hours=1))
    assert taken is not None
    assert taken.revision == held.revision


@pytest.mark.django_db
def test_a_recusal_covers_what_is_excluded_from_the_stack() -> None:
    people = make.world(at=AT, stacks=1)
    parent = Stack.objects.get()
    held = take_next(people["analyst-one"], at=AT)
    assert held is not None
    skip_assignment(held.pk, person=people["analyst-one"], reason=SkipReason.RECUSED, at=AT)
    file = make.add_file(make.investigation().imports.get(), make.draw(55), at=AT)
    child = Stack.objects.create(investigation=make.investigation(), representative=file, parent=parent, formed_at=AT)
    revision = child.revisions.create(number=1, opened_at=AT)
    revision.members.create(file=file, place=make.MemberPlace.SHOWN, why="excluded by an assessor", distance=0)
    make.open_assignments([revision], at=AT)
    assert take_next(people["analyst-one"], at=AT + MINUTE) is None


@pytest.mark.usefixtures("desk_role")
def test_a_stack_that_needs_a_pool_goes_to_its_members_alone() -> None:
    people = make.world(at=AT, stacks=1)
    one, two, lead = people["analyst-one"], people["analyst-two"], people["lead"]
    reads = make_pool("reads-welsh", PoolKind.LANGUAGE, made_by=lead, at=AT)
    held = take_next(one, at=AT)
    assert held is not None
    skip_assignment(held.pk, person=one, reason=SkipReason.LANGUAGE, pool="reads-welsh", at=AT)
    assert PoolNeed.objects.get().pool == reads
    assert take_next(two, at=AT) is None
    join_pool(reads, two, said_by=lead, at=AT)
    assert take_next(two, at=AT) is not None
    leave_pool(reads, two, said_by=lead, at=AT)
    join_pool(reads, two, said_by=lead, at=AT)
    with pytest.raises(PoolRefused, match="already"):
        make_pool("reads-welsh", PoolKind.LANGUAGE, made_by=lead, at=AT)
    with pytest.raises(gates.Denied):
        join_pool(reads, one, said_by=one, at=AT)


@pytest.mark.django_db
def test_a_pool_of_another_kind_is_not_named_by_a_skip() -> None:
    people = make.world(at=AT, stacks=1)
    make_pool("knows-maps", PoolKind.SPECIALIST, made_by=people["lead"], at=AT)
    held = take_next(people["analyst-one"], at=AT)
    assert held is not None
    skip_assignment(held.pk, person=people["analyst-one"], reason=SkipReason.LANGUAGE, pool="knows-maps", at=AT)
    assert Skip.objects.get().reason == SkipReason.LANGUAGE
    assert not PoolNeed.objects.exists()


@pytest.mark.django_db
def test_two_of_one_blind_pool_never_assess_one_stack() -> None:
    people = make.world(at=AT, stacks=1)
    make.make_person("analyst-three", Role.ANALYST, at=AT - 2 * DAY)
    three = make.Person.objects.get(name="analyst-three")
    shift = make_pool("early-shift", PoolKind.BLIND, made_by=people["lead"], at=AT)
    for name in ("analyst-one", "analyst-two"):
        join_pool(shift, people[name], said_by=people["lead"], at=AT)
    assert take_next(people["analyst-one"], at=AT + 2 * DAY) is not None
    assert take_next(people["analyst-two"], at=AT + 2 * DAY) is None
    assert take_next(three, at=AT + 2 * DAY) is not None


@pytest.mark.django_db
def test_the_page_passes_on_only_with_a_reason_and_says_so() -> None:
    people = make.world(at=dt.datetime.now(dt.UTC), stacks=1)
    client = make.client_of(people["analyst-one"])
    client.post("/work/start")
    held = Assignment.objects.get(person=people["analyst-one"])
    client.post("/work/skip", {"assignment": held.pk})
    assert Assignment.objects.get(pk=held.pk).person == people["analyst-one"]
    assert "say why" in client.get("/work").content.decode()
    client.post("/work/skip", {"assignment": held.pk, "reason": "unclear"})
    assert Assignment.objects.get(pk=held.pk).person is None
    assert "not handed it again" in client.get("/work").content.decode()
