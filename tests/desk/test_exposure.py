"""What people are exposed to: each sees their own, the welfare lead sees persons, leads see weeks of five or more."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from django.utils import timezone

from havenline_desk import evidence, gates
from havenline_desk.actions.assign_by_hand import assign_by_hand
from havenline_desk.actions.grant_reveal import grant_reveal, use_reveal
from havenline_desk.actions.see_exposure import see_exposure
from havenline_desk.actions.set_budget import BudgetRefused, lower_own_budget, set_budget
from havenline_desk.actions.take_next import take_next
from havenline_desk.keys import keyd
from havenline_desk.models import Assessment, Assignment, AuditAct, AuditEntry, HandReason, Person, Reveal, Role
from havenline_desk.queries.exposure import budget_left, exposure_of_people, own_exposure, team_exposure
from havenline_guard.keyd_wire import Budget
from tests.guard.keyd_rig import Process

from . import factories as make

pytestmark = pytest.mark.django_db(transaction=True)

WEDNESDAY = dt.datetime(2026, 3, 11, 12, 0, tzinfo=dt.UTC)
LAST_WEEK = dt.datetime(2026, 3, 4, 12, 0, tzinfo=dt.UTC)


def views(person: Person, number: int, *, step: int, at: dt.datetime) -> None:
    """Used grants as rows: history is read from them, whoever opened what."""
    assignment = Assignment.objects.earliest("pk")
    file = assignment.revision.members.earliest("pk").file
    for _ in range(number):
        count = Reveal.objects.count()
        Reveal.objects.create(
            assignment=assignment,
            person=person,
            session_digest="0" * 64,
            file=file,
            ladder_step=step,
            purpose="first assessment",
            token_digest=f"{count:064x}",
            granted_at=at,
            expires_at=at + dt.timedelta(seconds=120),
            used_at=at,
        )


def look(person: Person) -> bytes:
    """One view, opened by the real key process."""
    at = timezone.now()
    assignment = take_next(person, at=at)
    assert assignment is not None
    file = assignment.revision.members.get().file_id
    token = grant_reveal(assignment.pk, person=person, session_key="s", file_id=file, ladder_step=2, at=at)
    return evidence.rendition(use_reveal(token, person=person, session_key="s", at=at), token=token)


def team(number: int, *, at: dt.datetime) -> list[Person]:
    return [make.make_person(f"member-{index}", Role.ANALYST, at=at) for index in range(number)]


# -- oneself -----------------------------------------------------------------------------------------------------


def test_ones_own_page_counts_views_by_day_and_step_and_nobody_elses() -> None:
    people = make.world(at=WEDNESDAY - 20 * make.DAY)
    one = people["analyst-one"]
    views(one, 3, step=1, at=WEDNESDAY)
    views(one, 1, step=4, at=WEDNESDAY - make.DAY)
    views(one, 5, step=2, at=WEDNESDAY - 14 * make.DAY)  # before the fourteen days
    views(people["analyst-two"], 7, step=1, at=WEDNESDAY)
    Reveal.objects.filter(person=one, ladder_step=4).update(used_at=None)
    views(one, 2, step=3, at=WEDNESDAY - 13 * make.DAY)
    found = own_exposure(one, at=WEDNESDAY)
    assert len(found.days) == 14
    assert [(each.day.day, each.views, each.share) for each in found.days if each.views] == [(11, 3, 100), (26, 2, 66)]
    assert (found.views, found.by_step) == (5, (3, 0, 2, 0)), "a grant that was not used is no view"
    assert found.left is None


def test_the_minutes_are_those_at_submitted_items() -> None:
    people = make.world(at=timezone.now() - make.DAY)
    at = timezone.now() - dt.timedelta(minutes=5)
    make.assess(people["analyst-one"], make.TRIANGLE, at=at)
    Assessment.objects.update(active_seconds=180)
    found = own_exposure(people["analyst-one"], at=timezone.now())
    assert sum(day.minutes for day in found.days) == 3


def test_the_budget_counts_warns_at_eighty_per_cent_and_says_when_it_frees(key_process: Process) -> None:
    people = make.world(at=timezone.now())
    one = people["analyst-one"]
    client = make.client_of(one)
    nobody_yet = make.make_person("new", Role.ANALYST, at=timezone.now())
    assert "No budget was given to you" in make.client_of(nobody_yet).get("/exposure").content.decode()
    budget = Budget(per_hour=5, per_day=50, minutes=60, bytes_per_day=1 << 30, per_week=500)
    set_budget(one, budget, set_by=people["welfare"], second=people["lead"], at=timezone.now())
    for _ in range(3):
        look(one)
    assert "of budget used" not in client.get("/work").content.decode()
    assert "There is room in each of your limits." in client.get("/exposure").content.decode()
    look(one)
    assert "80 % of budget used" in client.get("/work").content.decode()
    before = timezone.now()
    look(one)
    left = budget_left(one, at=timezone.now())
    assert left is not None
    assert (left.last_hour, left.last_day, left.used_up) == (5, 5, True)
    assert left.frees_at is not None
    first = Reveal.objects.filter(used_at__isnull=False).earliest("used_at").used_at
    assert first is not None
    assert abs(left.frees_at - first - dt.timedelta(hours=1)) < dt.timedelta(seconds=30)
    work = client.get("/work").content.decode()
    for words in ("budget used up", "It frees at", "an escalation needs no budget", 'href="/exposure"'):
        assert words in work
    member = Assignment.objects.get(person=one).revision.members.get()
    asked = client.post("/work/reveal", {"member": member.pk, "step": 1}, content_type="application/json")
    assert asked.status_code == 403
    assert re.search(r"used up.*It frees at \d\d:\d\d UTC", asked.json()["error"])
    for other in (people["analyst-two"], people["adjudicator"]):
        assert "budget used" not in make.client_of(other).get("/work").content.decode()
    assert before <= left.frees_at


def test_a_stricter_limit_is_set_alone_holds_at_once_and_is_never_raised_alone(key_process: Process) -> None:
    people = make.world(at=timezone.now())
    one, client = people["analyst-one"], make.client_of(people["analyst-one"])
    set_budget(one, Budget(9, 90, 60, 1 << 30, 900), set_by=people["welfare"], second=people["lead"], at=timezone.now())
    entries = AuditEntry.objects.filter(act=AuditAct.BUDGET_SET, seq__gt=AuditEntry.objects.latest("seq").seq)
    assert client.post("/exposure/limit", {"per_hour": "1", "per_day": "", "minutes": ""}).status_code == 302
    assert "lower now" in client.get("/exposure").content.decode()
    assert kept(one) == Budget(1, 90, 60, 1 << 30, 900)
    newest = entries.latest("seq")
    assert (newest.actor, newest.object) == (one.audit_id, one.audit_id)
    for said, words in (
        ({"per_hour": "2"}, "only lower your own"),
        ({"per_hour": "1", "per_day": "91"}, "only lower your own"),
        ({"per_day": "0"}, "at least 1"),
        ({"per_day": "-3"}, "at least 1"),
        ({"minutes": "many"}, "at least 1"),
        ({}, "no limit differs"),
    ):
        answer = client.post("/exposure/limit", said)
        assert answer.status_code == 422
        assert words in answer.content.decode().lower()
    assert kept(one) == Budget(1, 90, 60, 1 << 30, 900)
    assert entries.count() == 1, "what was refused leaves no entry"
    look(one)
    with pytest.raises(evidence.RevealRefused, match="used up"):
        look(one)


def kept(person: Person) -> Budget | None:
    client = keyd()
    assert client is not None
    return client.exposed(person.audit_id.hex)[1]


def test_without_a_budget_or_a_key_process_there_is_nothing_to_lower() -> None:
    people = make.world(at=timezone.now())
    with pytest.raises(BudgetRefused, match="no keyd"):
        lower_own_budget(people["analyst-one"], {"per_hour": 1}, at=timezone.now())
    page = make.client_of(people["analyst-one"]).get("/exposure").content.decode()
    assert "no key process here" in page
    assert "Lower my limit" not in page


# -- the welfare lead --------------------------------------------------------------------------------------------


def test_the_welfare_lead_sees_persons_by_name_and_that_they_looked_is_logged(key_process: Process) -> None:
    people = make.world(at=timezone.now())
    set_budget(
        people["analyst-two"],
        Budget(1, 9, 60, 1 << 30, 900),
        set_by=people["welfare"],
        second=people["lead"],
        at=timezone.now(),
    )
    look(people["analyst-two"])
    make.make_person("new", Role.ANALYST, at=timezone.now() - 2 * make.DAY)
    lines = exposure_of_people(at=timezone.now())
    assert [line.name for line in lines] == ["adjudicator", "analyst-one", "analyst-two", "new", "senior"]
    two = lines[2]
    assert two.left is not None
    assert (two.views, two.by_step, two.days, two.left.last_hour) == (1, (0, 1, 0, 0), 1, 1)
    seen = AuditEntry.objects.filter(act=AuditAct.EXPOSURE_SEEN)
    assert not seen.exists()
    page = make.client_of(people["welfare"]).get("/exposure/people").content.decode()
    assert [entry.actor for entry in seen] == [people["welfare"].audit_id]
    for words in ("analyst-two", "used up", "none given", "leads never see it"):
        assert words in page
    assert "Minutes" not in page.partition('id="lower-head"')[0], "none of theirs; a limit of minutes can be lowered"
    assert " style=" not in page


def test_nobody_else_opens_the_page_of_persons_and_a_refusal_leaves_no_entry() -> None:
    people = make.world(at=timezone.now())
    for name, person in people.items():
        if name == "welfare":
            continue
        answer = make.client_of(person).get("/exposure/people")
        assert answer.status_code == 403
        assert b"analyst-two" not in answer.content or name == "analyst-two"
        with pytest.raises(gates.Denied):
            see_exposure(seen_by=person, at=timezone.now())
    assert not AuditEntry.objects.filter(act=AuditAct.EXPOSURE_SEEN).exists()


def test_who_no_longer_works_here_but_looked_is_still_listed() -> None:
    people = make.world(at=WEDNESDAY - 20 * make.DAY)
    views(people["analyst-one"], 1, step=1, at=WEDNESDAY)
    Person.objects.filter(name__in=("analyst-one", "analyst-two")).update(is_active=False)
    assert [line.name for line in exposure_of_people(at=WEDNESDAY)] == ["adjudicator", "analyst-one", "senior"]


# -- leads -------------------------------------------------------------------------------------------------------


def lead() -> Person:
    return Person.objects.get(name="lead")


def test_who_is_among_the_team_cannot_subtract_themselves_down_to_four() -> None:
    make.world(at=LAST_WEEK)
    members = team(5, at=LAST_WEEK)
    for person in members:
        views(person, 2, step=1, at=LAST_WEEK)
    mine = members[0]
    assert team_exposure(seen_by=lead(), at=WEDNESDAY)[0].people == 5
    assert team_exposure(seen_by=mine, at=WEDNESDAY)[0].people is None
    sixth = make.make_person("member-5", Role.ANALYST, at=LAST_WEEK)
    views(sixth, 1, step=1, at=LAST_WEEK)
    assert team_exposure(seen_by=mine, at=WEDNESDAY)[0].people == 6
    views(sixth, 9, step=1, at=LAST_WEEK)
    assert team_exposure(seen_by=mine, at=WEDNESDAY)[0].people is None, "more than half of what the others saw"


def test_a_step_that_only_four_others_viewed_is_not_shown_to_the_fifth() -> None:
    make.world(at=LAST_WEEK)
    members = team(6, at=LAST_WEEK)
    for person in members:
        views(person, 2, step=1, at=LAST_WEEK)
    for person in members[:5]:
        views(person, 1, step=4, at=LAST_WEEK)
    assert team_exposure(seen_by=lead(), at=WEDNESDAY)[0].by_step == (12, 0, 0, 5)
    assert team_exposure(seen_by=members[0], at=WEDNESDAY)[0].by_step is None


@pytest.mark.parametrize(("people", "shown"), [(4, None), (5, 5), (6, 6)])
def test_a_week_of_fewer_than_five_people_is_not_shown(people: int, shown: int | None) -> None:
    make.world(at=LAST_WEEK)
    for person in team(people, at=LAST_WEEK):
        views(person, 2, step=2, at=LAST_WEEK)
    newest, *older = team_exposure(seen_by=lead(), at=WEDNESDAY)
    assert newest.people == shown
    assert newest.views == (2 * people if shown else 0)
    assert newest.by_step == ((0, 2 * people, 0, 0) if shown else None)
    assert [week.people for week in older] == [None, None, None]


def test_a_step_that_fewer_than_five_viewed_hides_every_step() -> None:
    make.world(at=LAST_WEEK)
    members = team(6, at=LAST_WEEK)
    for person in members:
        views(person, 2, step=1, at=LAST_WEEK)
    for person in members[:4]:
        views(person, 1, step=4, at=LAST_WEEK)
    week = team_exposure(seen_by=lead(), at=WEDNESDAY)[0]
    assert (week.people, week.views, week.by_step) == (6, 16, None)
    views(members[4], 1, step=4, at=LAST_WEEK)
    assert team_exposure(seen_by=lead(), at=WEDNESDAY)[0].by_step == (12, 0, 0, 5)


def test_a_week_that_is_mostly_one_persons_is_not_shown() -> None:
    make.world(at=LAST_WEEK)
    members = team(5, at=LAST_WEEK)
    for person in members[1:]:
        views(person, 1, step=1, at=LAST_WEEK)
    views(members[0], 4, step=1, at=LAST_WEEK)
    assert team_exposure(seen_by=lead(), at=WEDNESDAY)[0].people == 5, "exactly half is shown"
    views(members[0], 1, step=1, at=LAST_WEEK)
    assert team_exposure(seen_by=lead(), at=WEDNESDAY)[0].people is None


def test_the_running_week_is_not_shown_so_no_two_looks_can_be_subtracted() -> None:
    make.world(at=LAST_WEEK)
    members = team(5, at=LAST_WEEK)
    for person in members:
        views(person, 1, step=1, at=LAST_WEEK)
    monday = dt.datetime(2026, 3, 9, tzinfo=dt.UTC)
    before = team_exposure(seen_by=lead(), at=monday)
    views(members[0], 1, step=1, at=monday)
    for hours in (0, 24, 167):
        assert team_exposure(seen_by=lead(), at=monday + dt.timedelta(hours=hours)) == before
    assert team_exposure(seen_by=lead(), at=monday + dt.timedelta(hours=168))[0].people is None


def test_the_page_of_the_team_names_nobody() -> None:
    people = make.world(at=timezone.now() - 40 * make.DAY)
    at = timezone.now() - 7 * make.DAY
    for person in team(5, at=at - make.DAY):
        views(person, 2, step=3, at=at)
    for name in ("lead", "welfare", "auditor"):
        page = make.client_of(people[name]).get("/exposure/team").content.decode()
        assert '<td class="n">10</td>' in page
        assert "Not shown: fewer than 5 people" in page
        assert "member-" not in page
        assert "analyst" not in page
        assert " style=" not in page


def test_what_a_lead_sets_aside_is_opened_within_the_budget_alone_and_the_lead_learns_nothing(
    key_process: Process,
) -> None:
    at = timezone.now()
    people = make.world(at=at, stacks=2)
    one, lead = people["analyst-one"], people["lead"]
    lower_own_budget(one, {"per_hour": 1, "per_day": 1}, at=at)
    look(one)
    wanted = Assignment.objects.filter(person=None).exclude(revision__assignments__person=one)[0]
    assign_by_hand(wanted.pk, one, reason=HandReason.WAITED, said_by=lead, at=at)  # not refused: that would tell
    Assignment.objects.filter(person=one).update(person=None, leased_at=None, expires_at=None)
    with pytest.raises(evidence.RevealRefused, match="used up"):
        look(one)
    assert Assignment.objects.get(person=one).pk == wanted.pk
