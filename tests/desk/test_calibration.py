"""A certificate is earned on drawn pictures, in the ordinary workspace, by the ordinary rules; samples of decisions."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal

import numpy as np
import pytest
from django.test import Client
from django.utils import timezone
from PIL import Image

from havenline.testing.drawing import choose_subject, draw_subject
from havenline_desk import gates
from havenline_desk.actions.draw_quality_sample import SampleRefused, draw_quality_sample
from havenline_desk.actions.set_up_calibration import CalibrationRefused, set_up_calibration
from havenline_desk.actions.start_calibration import continue_calibration, start_calibration
from havenline_desk.actions.submit_assessment import submit_assessment
from havenline_desk.actions.take_next import take_next
from havenline_desk.gates import Denied
from havenline_desk.models import (
    Assignment,
    AuditEntry,
    CalibrationPicture,
    CalibrationResult,
    CalibrationSession,
    InstallationKind,
    Outcome,
    Person,
    QualitySample,
    Role,
    SampledOutcome,
    StackMember,
    StoredContent,
)
from havenline_desk.queries.calibration import calibration_quarters
from havenline_desk.queries.home import Start, start_of
from havenline_desk.queries.investigations import investigation_lines, references

from . import factories as make

pytestmark = pytest.mark.django_db
AT = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
SEED = 7


def newcomer(people: dict[str, Person], *, at: dt.datetime) -> Person:
    set_up_calibration(by=people["lead"], at=at + make.DAY)
    return make.make_person("newcomer", Role.ANALYST, at=at - 2 * make.DAY, certified=False)


def answer(person: Person, assignment: Assignment, *, wrong: bool, at: dt.datetime) -> None:
    member = StackMember.objects.get(revision=assignment.revision_id)
    make.look(assignment, person, member, step=2, at=at)
    facts = dict(CalibrationPicture.objects.get(revision=assignment.revision_id).facts)
    if wrong:
        facts["picture_kind"] = "drawn" if facts["picture_kind"] == "textured" else "textured"
    submit_assessment(assignment.pk, person=person, facts=facts, same={}, active_seconds=Decimal(5), at=at)


def go_through(person: Person, *, wrong: int, at: dt.datetime, seed: int = SEED) -> CalibrationResult:
    start_calibration(person, at=at, seed=seed)
    for number in range(100):
        step = continue_calibration(person, at=at + dt.timedelta(minutes=number))
        if isinstance(step, CalibrationResult):
            return step
        assert step is not None
        answer(person, step, wrong=number < wrong, at=at + dt.timedelta(minutes=number, seconds=30))
    raise AssertionError("the session never ended")


def test_who_passes_gets_a_certificate_that_ends_and_then_work() -> None:
    people = make.world(at=AT - 2 * make.DAY)
    person = newcomer(people, at=AT - 3 * make.DAY)
    assert start_of(person, at=AT) is Start.NO_CERTIFICATE
    result = go_through(person, wrong=0, at=AT)
    assert (result.passed, result.right) == (True, result.compared)
    assert result.certificate is not None
    assert result.certificate.person == person
    ended = result.closed_at
    assert gates.certified(person, at=ended + dt.timedelta(days=181))
    assert not gates.certified(person, at=ended + dt.timedelta(days=183))
    assert start_of(person, at=ended) is Start.WAITING
    work = take_next(person, at=ended)
    assert work is not None
    assert work.revision.stack.investigation.reference == "HL-1"
    acts = list(AuditEntry.objects.filter(actor=person.audit_id).values_list("act", flat=True))
    assert acts.count("calibration_started") == acts.count("calibration_closed") == 1
    assert acts.count("reveal_used") == result.session.pictures


def test_who_does_not_pass_gets_none_and_other_pictures_next_time() -> None:
    people = make.world(at=AT - 2 * make.DAY)
    person = newcomer(people, at=AT - 3 * make.DAY)
    result = go_through(person, wrong=10, at=AT)
    assert (result.passed, result.certificate) == (False, None)
    assert result.right == result.compared - 10
    with pytest.raises(Denied, match="no certificate in date"):
        take_next(person, at=result.closed_at)
    again = start_calibration(person, at=result.closed_at)
    assert again.seed != SEED
    shown = CalibrationPicture.objects.filter(session=again).values_list("revision__stack__representative", flat=True)
    before = CalibrationPicture.objects.exclude(session=again)
    assert not set(shown) & set(before.values_list("revision__stack__representative", flat=True))


def test_drawn_pictures_are_handed_to_their_person_alone_and_are_no_investigation() -> None:
    people = make.world(at=AT - 2 * make.DAY, stacks=0)
    person = newcomer(people, at=AT - 3 * make.DAY)
    start_calibration(person, at=AT)
    assert start_of(person, at=AT) is Start.CALIBRATING
    assert take_next(people["analyst-one"], at=AT) is None
    assert references() == ("HL-1",)
    assert [line.reference for line in investigation_lines()] == ["HL-1"]
    assert continue_calibration(people["analyst-one"], at=AT) is None


def test_an_answer_under_training_settles_nothing_elsewhere() -> None:
    people = make.world(at=AT - 2 * make.DAY, stacks=0)
    go_through(newcomer(people, at=AT - 3 * make.DAY), wrong=0, at=AT)
    assert set(Outcome.objects.values_list("investigation__reference", "settled_by")) == {("CALIBRATION", "single")}


def test_what_must_not_begin_does_not() -> None:
    people = make.world(at=AT - 2 * make.DAY)
    person = make.make_person("newcomer", Role.ANALYST, at=AT - 4 * make.DAY, certified=False)
    with pytest.raises(CalibrationRefused, match="not set up"):
        start_calibration(person, at=AT)
    with pytest.raises(Denied):
        set_up_calibration(by=people["senior"], at=AT)
    set_up_calibration(by=people["lead"], at=AT)
    with pytest.raises(CalibrationRefused, match="set up already"):
        set_up_calibration(by=people["lead"], at=AT)
    with pytest.raises(Denied):
        start_calibration(people["lead"], at=AT)
    take_next(people["analyst-one"], at=AT)
    with pytest.raises(CalibrationRefused, match="finish it first"):
        start_calibration(people["analyst-one"], at=AT)
    start_calibration(person, at=AT)
    with pytest.raises(CalibrationRefused, match="open already"):
        start_calibration(person, at=AT)


def test_a_house_that_keeps_no_content_calibrates_on_pictures_that_are_drawn_for_each_view() -> None:
    make.declare_policy(InstallationKind.DESK, at=AT)
    lead = make.make_person("lead", Role.LEAD, at=AT - make.DAY, certified=False)
    person = make.make_person("newcomer", Role.ANALYST, at=AT - make.DAY, certified=False)
    set_up_calibration(by=lead, at=AT)
    assert go_through(person, wrong=0, at=AT).passed
    assert gates.certified(person, at=AT + make.DAY)
    assert StoredContent.objects.count() == 0


def test_what_a_view_shows_is_what_was_drawn_without_a_decoder_and_in_the_ordinary_marks() -> None:
    make.declare_policy(InstallationKind.DESK, at=AT)
    at = timezone.now()
    lead = make.make_person("lead", Role.LEAD, at=at - make.DAY, certified=False)
    person = make.make_person("newcomer", Role.ANALYST, at=at - make.DAY, certified=False)
    set_up_calibration(by=lead, at=at)
    start_calibration(person, at=at, seed=SEED)
    browser = make.client_of(person)
    browser.post("/work/start")
    drawn = CalibrationPicture.objects.get(session__person=person, number=0)
    member = StackMember.objects.get(revision=drawn.revision_id)
    asked = browser.post("/work/reveal", {"member": member.pk, "step": 4}, content_type="application/json")
    shown = browser.get(asked.json()["url"])
    assert (shown.status_code, shown.headers["Content-Type"]) == (200, "image/webp")
    pixels = np.asarray(Image.open(io.BytesIO(shown.content)).convert("RGB")).astype(int)
    expected = draw_subject(choose_subject(SEED, 0), seed=SEED, number=0, attempt=0).astype(int)
    height, width, _ = expected.shape
    assert pixels.shape[0] > height
    assert np.abs(pixels[:height, :width] - expected).mean() < 8
    assert browser.get(asked.json()["url"]).status_code == 403, "a view is opened once"
    drawn.facts["picture_kind"] = "another"
    drawn.save()
    asked = browser.post("/work/reveal", {"member": member.pk, "step": 1}, content_type="application/json")
    refused = browser.get(asked.json()["url"])
    assert (refused.status_code, b"draws another picture" in refused.content) == (403, True)
    told = browser.post("/work/start", follow=True).content.decode()
    assert "that session is ended and counts as nothing" in told
    result = CalibrationResult.objects.get(session__person=person)
    assert (result.outdated, result.passed, result.compared) == (True, False, 0)
    assert not Assignment.objects.filter(revision__calibration__session=result.session, done_at=None).exists()
    assert "ended by a new version" in browser.get("/calibration").content.decode()
    assert browser.post("/calibration/begin").url == "/work", "another session begins at once"
    assert CalibrationSession.objects.filter(person=person, result=None).count() == 1


def test_agreement_with_what_was_drawn_is_told_by_question_of_five_others_in_a_quarter_that_is_over() -> None:
    people = make.world(at=AT - 100 * make.DAY, stacks=0)
    set_up_calibration(by=people["lead"], at=AT - 99 * make.DAY)
    team = [make.make_person(f"newcomer-{number}", Role.ANALYST, at=AT - 99 * make.DAY) for number in range(6)]
    for number, person in enumerate(team[:5]):
        go_through(person, wrong=2 if number == 0 else 0, at=AT, seed=SEED + number)
    senior, later = people["senior"], dt.datetime(2026, 4, 1, 9, tzinfo=dt.UTC)
    assert calibration_quarters(seen_by=senior, at=later - make.DAY)[0].questions is None, "it is not over yet"
    newest = calibration_quarters(seen_by=senior, at=later)[0]
    assert (newest.begins, newest.sessions) == (dt.date(2026, 1, 1), 5)
    assert newest.questions is not None
    told = {one.question.id: (one.compared, str(one.share)) for one in newest.questions}
    assert told["picture_kind"] == (50, "96.0")
    assert calibration_quarters(seen_by=team[0], at=later)[0].questions is None, "four others"
    page = make.client_of(senior).get("/quality").content.decode()
    assert "Calibration: answers that are what was drawn" in page
    assert "newcomer" not in page


def test_the_page_begins_goes_on_in_the_workspace_and_shows_the_result_to_oneself_alone() -> None:
    at = timezone.now()
    people = make.world(at=at - 2 * make.DAY, stacks=0)
    person = newcomer(people, at=at - 3 * make.DAY)
    browser = make.client_of(person)
    assert "Calibrate now" in browser.get("/").content.decode()
    assert "no certificate in date" in browser.get("/calibration").content.decode()
    assert browser.post("/calibration/begin").url == "/work"
    assert "CALIBRATION" in browser.get("/work").content.decode()
    assert browser.post("/calibration/begin").status_code == 409
    for _ in range(10):
        submit_by_page(browser, person)
    page = browser.get("/calibration").content.decode()
    assert "✓ passed" in page
    assert "Your certificate is in date until" in page
    other = make.client_of(people["analyst-one"]).get("/calibration").content.decode()
    assert "passed" not in other


def submit_by_page(browser: Client, person: Person) -> None:
    """Look once, answer as drawn, submit, go on."""
    assignment = Assignment.objects.get(person=person, done_at=None)
    member = StackMember.objects.get(revision=assignment.revision_id)
    make.look(assignment, person, member, step=1, at=timezone.now())
    facts = CalibrationPicture.objects.get(revision=assignment.revision_id).facts
    form = {f"fact.{key}": value for key, value in facts.items()}
    answered = browser.post("/work/submit", {"assignment": assignment.pk, "active_seconds": "2", **form})
    assert answered.status_code == 302
    assert browser.post("/work/start").url == "/work"


def settled_world(count: int) -> dict[str, Person]:
    people = make.world(at=AT, stacks=count)
    for number in range(count):
        for name in ("analyst-one", "analyst-two"):
            facts = make.TRIANGLE if number % 4 else make.NO_SHAPES
            make.assess(people[name], facts, at=AT + dt.timedelta(minutes=number))
    return people


def test_a_sample_is_recorded_by_strata_and_can_be_drawn_again_from_the_records() -> None:
    people = settled_world(8)
    senior, investigation = people["senior"], make.investigation()
    sample = draw_quality_sample(investigation, by=senior, wanted=4, seed=5, at=AT + make.DAY)
    strata = sorted(sample.sampled.values_list("stratum", flat=True))
    assert (sample.population, len(strata)) == (8, 4)
    assert set(strata) == {"criminal:plain_triangle:agreement", "not_criminal:-:agreement"}
    from havenline.judgement import stratified
    from havenline_desk.actions.draw_quality_sample import stratum_of

    again = stratified(
        {one.audit_id.hex: stratum_of(one) for one in Outcome.objects.all()}, wanted=sample.wanted, seed=sample.seed
    )
    assert {one.outcome.audit_id.hex for one in sample.sampled.select_related("outcome")} == set(again)
    second = draw_quality_sample(investigation, by=senior, wanted=10, at=AT + make.DAY)
    assert (second.population, second.sampled.count()) == (4, 4)
    with pytest.raises(SampleRefused, match="in no sample yet"):
        draw_quality_sample(investigation, by=senior, wanted=1, at=AT + make.DAY)
    assert AuditEntry.objects.filter(act="quality_sample_drawn", actor=senior.audit_id).count() == 2


def test_a_sample_stays_inside_the_budget_of_the_day_and_recent_means_recent() -> None:
    people = settled_world(2)
    senior, investigation = people["senior"], make.investigation()
    with pytest.raises(SampleRefused, match="between 1 and 50 decisions"):
        draw_quality_sample(investigation, by=senior, wanted=51, at=AT + make.DAY)
    with pytest.raises(SampleRefused, match="between 1 and 50 decisions"):
        draw_quality_sample(investigation, by=senior, wanted=0, at=AT + make.DAY)
    with pytest.raises(SampleRefused, match="in the last 30 days"):
        draw_quality_sample(investigation, by=senior, wanted=1, at=AT + 40 * make.DAY)
    with pytest.raises(Denied):
        draw_quality_sample(investigation, by=people["lead"], wanted=1, at=AT + make.DAY)
    draw_quality_sample(investigation, by=senior, wanted=1, at=AT + make.DAY)
    with pytest.raises(SampleRefused, match="between 1 and 49 decisions can be drawn now: 1 were drawn in 24 hours"):
        draw_quality_sample(investigation, by=senior, wanted=50, at=AT + make.DAY)
    assert (QualitySample.objects.count(), SampledOutcome.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_calibration_configuring_and_sampling_work_as_the_desks_own_database_role(desk_role: None) -> None:
    from havenline_desk.actions.configure_framework import configure_framework

    people = make.world(at=AT - 2 * make.DAY, stacks=1)
    for name in ("analyst-one", "analyst-two"):
        make.assess(people[name], make.TRIANGLE, at=AT)
    assert configure_framework(make.investigation(), "demo.colours", None, by=people["lead"], at=AT) == 1
    draw_quality_sample(make.investigation(), by=people["senior"], wanted=1, at=AT + make.DAY)
    assert go_through(newcomer(people, at=AT - 3 * make.DAY), wrong=0, at=AT).passed
