"""Opting out, pauses, somebody to talk to, the end of a shift: for the person, and told to nobody who leads."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from havenline_desk.actions.assign_by_hand import HandRefused, assign_by_hand
from havenline_desk.actions.declare_care import CareRefused, declare_pace, declare_talk_to
from havenline_desk.actions.end_shift import end_shift
from havenline_desk.actions.escalate import raise_escalation
from havenline_desk.actions.grant_reveal import grant_reveal, use_reveal
from havenline_desk.actions.hold_submission import hold_submission
from havenline_desk.actions.keep_pools import join_pool, make_pool
from havenline_desk.actions.keep_shift import forget_opt_outs, opt_out
from havenline_desk.actions.set_up_calibration import set_up_calibration
from havenline_desk.actions.start_calibration import continue_calibration, start_calibration
from havenline_desk.actions.take_next import take_next
from havenline_desk.evidence import RevealRefused
from havenline_desk.gates import Denied
from havenline_desk.models import (
    Assessment,
    Assignment,
    AuditAct,
    AuditEntry,
    File,
    HandReason,
    MediaKind,
    OptOut,
    Person,
    PoolKind,
    PoolNeed,
    Reveal,
    Session,
    Skip,
    StackMember,
    Step,
)
from havenline_desk.pace import PaceState, PauseDue, pace_of
from havenline_desk.queries.queue import queue_page
from havenline_desk.waiting import NOT_TODAY

from . import factories as make

pytestmark = pytest.mark.django_db
AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def people() -> dict[str, Person]:
    return make.world(at=AT, stacks=2)


def view(assignment: Assignment, person: Person, *, at: dt.datetime) -> None:
    member = StackMember.objects.filter(revision=assignment.revision).first()
    assert member is not None
    make.look(assignment, person, member, step=2, at=at)


@pytest.mark.usefixtures("desk_role")
def test_what_somebody_does_not_want_today_is_not_handed_to_them_and_is_again_tomorrow(
    people: dict[str, Person],
) -> None:
    one, two = people["analyst-one"], people["analyst-two"]
    opt_out(one, investigations=[make.investigation()], at=AT)
    assert take_next(one, at=AT) is None
    assert take_next(two, at=AT) is not None
    assert take_next(one, at=AT + NOT_TODAY - MINUTE) is None
    assert take_next(one, at=AT + NOT_TODAY) is not None


def test_a_pool_can_be_left_out_alone_and_taken_back(people: dict[str, Person]) -> None:
    one, lead = people["analyst-one"], people["lead"]
    pool = make_pool("welsh", PoolKind.LANGUAGE, made_by=lead, at=AT)
    join_pool(pool, one, said_by=lead, at=AT)
    first = Assignment.objects.order_by("waits_as_if_since", "pk")[0]
    PoolNeed.objects.create(stack=first.revision.stack, pool=pool, said_by=lead, said_at=AT)
    opt_out(one, pools=[pool], at=AT)
    taken = take_next(one, at=AT)
    assert taken is not None
    assert taken.revision_id != first.revision_id
    Assignment.objects.update(person=None, leased_at=None, expires_at=None)
    opt_out(one, at=AT + MINUTE)
    taken = take_next(one, at=AT + MINUTE)
    assert taken is not None
    assert taken.revision_id == first.revision_id
    assert not OptOut.objects.exists(), "what was taken back is not kept"


def test_nothing_of_it_reaches_a_log_or_a_lead(people: dict[str, Person]) -> None:
    one, lead = people["analyst-one"], people["lead"]
    item = Assignment.objects.order_by("pk")[0]
    entries = AuditEntry.objects.count()
    before = queue_page(lead, at=AT)
    opt_out(one, investigations=[make.investigation()], at=AT)
    assert AuditEntry.objects.count() == entries
    assert queue_page(lead, at=AT) == before
    with pytest.raises(HandRefused, match="why is not told here"):
        assign_by_hand(item.pk, one, reason=HandReason.WAITED, said_by=lead, at=AT)
    assert take_next(one, at=AT) is None
    with pytest.raises(Denied):
        opt_out(lead, at=AT)


def test_films_and_pictures_can_be_left_out_each_alone_and_what_is_over_is_deleted(
    people: dict[str, Person],
) -> None:
    one, two = people["analyst-one"], people["analyst-two"]
    film, picture = Assignment.objects.filter(step=Step.FIRST).order_by("waits_as_if_since", "pk")
    File.objects.filter(memberships__revision=film.revision).update(media_type="video/mp4")

    def handed() -> int | None:
        taken = take_next(one, at=AT + MINUTE)
        if taken is not None:
            end_shift(one, at=AT + MINUTE)
        return taken and taken.revision_id

    assert handed() == film.revision_id
    opt_out(one, media=[MediaKind.FILM], at=AT)
    assert handed() == picture.revision_id
    opt_out(one, media=[MediaKind.PICTURE], at=AT)
    assert handed() == film.revision_id
    opt_out(one, media=list(MediaKind), at=AT)
    assert handed() is None
    opt_out(two, media=[MediaKind.FILM], at=AT + MINUTE)
    assert forget_opt_outs(at=AT + NOT_TODAY - MINUTE) == 0
    assert forget_opt_outs(at=AT + NOT_TODAY) == 2
    assert [row.person for row in OptOut.objects.all()] == [two]


def test_the_welfare_lead_alone_sees_who_left_what_out() -> None:
    people = make.world(at=timezone.now())
    mine = make.client_of(people["analyst-one"])
    assert mine.post("/shift", {"investigation": "HL-1"}).status_code == 302
    assert "checked" in mine.get("/shift").content.decode()
    shown = make.client_of(people["welfare"]).get("/exposure/people").content.decode()
    assert '<td class="not-today">HL-1</td>' in shown
    for name, pages in (
        ("lead", ("/", "/queue", "/queue/leases", "/queue/disagreements", "/people/analyst-one", "/exposure/team")),
        ("admin", ("/people/analyst-one",)),
        ("auditor", ("/audit", "/people/analyst-one")),
        ("senior", ("/investigations/HL-1",)),
        ("analyst-two", ("/shift",)),
    ):
        for page in pages:
            content = make.client_of(people[name]).get(page).content.decode()
            assert 'class="not-today"' not in content
            assert "checked>" not in content, "what others ticked is not ticked here"
    wrong = mine.post("/shift", {"investigation": "HL-9", "pool": "x"})
    assert wrong.status_code == 422
    assert "You are in no such pool" in wrong.content.decode()
    assert "no such investigation any more" in wrong.content.decode()
    assert "no such kind" in mine.post("/shift", {"media": "x"}).content.decode()
    assert OptOut.objects.count() == 1
    assert mine.post("/shift", {"media": "film"}).status_code == 302
    assert [row.media for row in OptOut.objects.all()] == ["film"]
    shown = make.client_of(people["welfare"]).get("/exposure/people").content.decode()
    assert '<td class="not-today">films</td>' in shown
    assert mine.post("/shift", {}).status_code == 302
    assert not OptOut.objects.exists()


def test_a_pause_is_proposed_then_due_and_over_after_its_time_and_escalation_needs_none(
    people: dict[str, Person],
) -> None:
    one, two, welfare = people["analyst-one"], people["analyst-two"], people["welfare"]
    assert pace_of(one, at=AT) is None
    for name in ("lead", "admin", "analyst-one"):
        with pytest.raises(Denied):
            declare_pace(views=2, minutes=60, most_views=4, most_minutes=90, pause_minutes=10, by=people[name], at=AT)
    declare_pace(views=2, minutes=60, most_views=4, most_minutes=90, pause_minutes=10, by=welfare, at=AT)
    held = take_next(one, at=AT)
    assert held is not None
    states = []
    for number in range(4):
        stands = pace_of(one, at=AT + number * MINUTE)
        assert stands is not None
        states.append(stands.state)
        view(held, one, at=AT + number * MINUTE)
    assert states == [PaceState.FREE, PaceState.FREE, PaceState.PROPOSED, PaceState.PROPOSED]
    due = pace_of(one, at=AT + 5 * MINUTE)
    assert due is not None
    assert (due.state, due.views, due.minutes, due.ends_at) == (PaceState.DUE, 4, 3, AT + 13 * MINUTE)
    with pytest.raises(RevealRefused, match="handed out or opened until 09:13 UTC"):
        view(held, one, at=AT + 5 * MINUTE)
    other = take_next(two, at=AT + 5 * MINUTE)
    assert other is not None
    again = take_next(one, at=AT + 5 * MINUTE)
    assert again is not None
    assert again.pk == held.pk, "what they have stays theirs"
    view(other, two, at=AT + 5 * MINUTE)  # everybody's pace is their own
    raise_escalation(held.pk, person=one, at=AT + 6 * MINUTE)
    view(held, one, at=AT + 6 * MINUTE)
    after = pace_of(one, at=AT + 16 * MINUTE)
    assert after is not None
    assert (after.state, after.views) == (PaceState.FREE, 0)


def test_in_a_pause_nothing_is_handed_out_and_the_page_says_until_when() -> None:
    at = timezone.now()
    people = make.world(at=at, stacks=3)
    one, browser = people["analyst-one"], make.client_of(people["analyst-one"])
    declare_pace(views=1, minutes=9, most_views=1, most_minutes=9, pause_minutes=10, by=people["welfare"], at=at)
    held = take_next(one, at=at)
    assert held is not None
    assert "Time for a break" not in browser.get("/work/left").content.decode()
    view(held, one, at=at)
    assert "Time for a break of 10 minutes." in browser.get("/work/left").content.decode()
    end_shift(one, at=at)
    with pytest.raises(PauseDue) as due:
        take_next(one, at=at + MINUTE)
    assert due.value.ends_at == at + 10 * MINUTE
    shown = browser.post("/work/start", follow=True).content.decode()
    assert f"Nothing is handed out or opened until {at + 10 * MINUTE:%H:%M} UTC" in shown
    assert not Assignment.objects.filter(person=one, done_at=None).exists()
    assert take_next(one, at=at + 10 * MINUTE) is not None


def test_drawn_pictures_of_a_calibration_are_no_views_of_the_pace(people: dict[str, Person]) -> None:
    one = people["analyst-one"]
    set_up_calibration(by=people["lead"], at=AT)
    start_calibration(one, seed=11, at=AT)
    drawn = continue_calibration(one, at=AT)
    assert isinstance(drawn, Assignment)
    declare_pace(views=1, minutes=9, most_views=1, most_minutes=9, pause_minutes=10, by=people["welfare"], at=AT)
    view(drawn, one, at=AT)
    assert Reveal.objects.filter(person=one, used_at=AT).count() == 1
    stands = pace_of(one, at=AT + MINUTE)
    assert stands is not None
    assert (stands.state, stands.views) == (PaceState.FREE, 0)


def test_long_work_with_few_views_is_paused_too_and_the_newest_rule_counts(people: dict[str, Person]) -> None:
    one, welfare = people["analyst-one"], people["welfare"]
    declare_pace(views=90, minutes=20, most_views=99, most_minutes=25, pause_minutes=10, by=welfare, at=AT)
    held = take_next(one, at=AT)
    assert held is not None
    for minute in (0, 9, 18, 26):
        view(held, one, at=AT + minute * MINUTE)
    stands = pace_of(one, at=AT + 27 * MINUTE)
    assert stands is not None
    assert (stands.state, stands.minutes) == (PaceState.DUE, 26)
    declare_pace(views=90, minutes=90, most_views=99, most_minutes=99, pause_minutes=10, by=welfare, at=AT)
    stands = pace_of(one, at=AT + 27 * MINUTE)
    assert stands is not None
    assert stands.state is PaceState.FREE


def test_what_cannot_hold_is_refused_by_field(people: dict[str, Person]) -> None:
    welfare = people["welfare"]
    with pytest.raises(CareRefused) as refused:
        declare_pace(views=0, minutes=30, most_views=5, most_minutes=20, pause_minutes=9999, by=welfare, at=AT)
    assert set(refused.value.problems) == {"views", "most_minutes", "pause_minutes"}
    with pytest.raises(CareRefused) as refused:
        declare_talk_to("", telephone="none", note="x" * 201, by=welfare, at=AT)
    assert set(refused.value.problems) == {"who", "telephone", "note"}
    assert not AuditEntry.objects.filter(act=AuditAct.CARE_DECLARED).exists()


@pytest.mark.usefixtures("desk_role")
def test_the_end_of_a_shift_records_what_was_submitted_and_frees_what_is_open(people: dict[str, Person]) -> None:
    one = people["analyst-one"]
    held = take_next(one, at=AT)
    assert held is not None
    view(held, one, at=AT)
    hold_submission(held.pk, person=one, facts=make.TRIANGLE, same={}, active_seconds=make.Decimal(9), at=AT + MINUTE)
    end_shift(one, at=AT + MINUTE)
    assert Assessment.objects.filter(person=one).count() == 1
    again = take_next(one, at=AT + 2 * MINUTE)
    assert again is not None
    end_shift(one, at=AT + 3 * MINUTE)
    assert not Assignment.objects.filter(person=one, done_at=None).exists()
    assert not Skip.objects.exists()
    entry = AuditEntry.objects.get(act=AuditAct.ASSIGNMENT_FREED)
    assert (entry.actor, entry.object, entry.purpose) == (one.audit_id, again.audit_id, "end_of_shift")
    taken = take_next(one, at=AT + 4 * MINUTE)
    assert taken is not None
    assert taken.pk == again.pk, "it was no skip"
    with pytest.raises(Denied):
        end_shift(people["lead"], at=AT)


def test_the_pages_show_whom_to_talk_to_keep_what_was_typed_and_sign_out_at_the_end() -> None:
    people = make.world(at=timezone.now())
    welfare, one = make.client_of(people["welfare"]), make.client_of(people["analyst-one"])
    assert "has not said yet whom you can telephone" in one.get("/exposure").content.decode()
    wrong = welfare.post("/exposure/care/contact", {"who": "the counsellor", "telephone": "soon", "note": ""})
    assert wrong.status_code == 422
    assert 'value="the counsellor"' in wrong.content.decode()
    assert "A number that can be telephoned." in wrong.content.decode()
    said = {"who": "the counsellor", "telephone": "020 7946 0003", "note": "day and night"}
    assert welfare.post("/exposure/care/contact", said).status_code == 302
    for page in ("/exposure", "/shift"):
        assert "020 7946 0003" in one.get(page).content.decode()
    wrong = welfare.post("/exposure/care/pace", {"views": "many", "minutes": "30", "most_views": "5"})
    assert 'value="many"' in wrong.content.decode()
    assert 'id="problem-pause_minutes"' in wrong.content.decode()
    rule = {"views": "1", "minutes": "30", "most_views": "1", "most_minutes": "30", "pause_minutes": "10"}
    assert welfare.post("/exposure/care/pace", rule).status_code == 302
    one.post("/work/start")
    member = StackMember.objects.first()
    assert member is not None
    asked = {"member": member.pk, "step": 1}
    url = one.post("/work/reveal", asked, content_type="application/json").json()["url"]
    assert one.get(url).status_code == 200
    assert "Time for a break of 10 minutes." in one.get("/work").content.decode()
    refused = one.post("/work/reveal", asked, content_type="application/json")
    assert refused.status_code == 403
    assert "break" in refused.json()["error"]
    over = one.post("/shift/end")
    assert over.status_code == 200
    assert "020 7946 0003" in over.content.decode()
    assert one.get("/work").status_code == 302
    assert not Session.objects.filter(person=people["analyst-one"], ended_at=None).exists()


def test_grants_in_hand_are_used_although_a_pause_became_due(people: dict[str, Person]) -> None:
    """A view that was granted is opened; the pause holds for the next."""
    one = people["analyst-one"]
    held = take_next(one, at=AT)
    assert held is not None
    member = StackMember.objects.filter(revision=held.revision).first()
    assert member is not None
    shown = {"session_key": "s", "file_id": member.file_id, "ladder_step": 1}
    first, second = (grant_reveal(held.pk, person=one, at=AT, **shown) for _ in range(2))  # type: ignore[arg-type]
    declare_pace(views=1, minutes=9, most_views=1, most_minutes=9, pause_minutes=10, by=people["welfare"], at=AT)
    for token in (first, second):
        use_reveal(token, person=one, session_key="s", at=AT)
