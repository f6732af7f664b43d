"""A sampled decision is looked over in an assignment of its own, blind to who decided; nothing is overwritten."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.utils import timezone

from havenline_desk.actions.draw_quality_sample import draw_quality_sample
from havenline_desk.actions.enrol_person import certify_person
from havenline_desk.actions.look_over_sample import LookRefused, begin_look, record_finding
from havenline_desk.actions.skip_assignment import skip_assignment
from havenline_desk.actions.submit_assessment import SubmissionRefused, submit_assessment
from havenline_desk.actions.take_next import take_next
from havenline_desk.gates import Denied
from havenline_desk.models import (
    Assessment,
    Assignment,
    AuditEntry,
    FindingVerdict,
    Outcome,
    Person,
    QualityFinding,
    QualityReview,
    Role,
    SkipReason,
    Step,
)
from havenline_desk.queries.dashboard import backlog
from havenline_desk.queries.quality import open_look, sample_agreement, sample_lines

from . import factories as make

pytestmark = pytest.mark.django_db
AT = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
LATER = AT + make.DAY
MINUTE = dt.timedelta(minutes=1)


def sampled_world(count: int, *, at: dt.datetime = AT, near: int = 0) -> dict[str, Person]:
    """`count` decisions of two analysts, all of them sampled; the senior is certified."""
    people = make.world(at=at, stacks=count, near=near)
    for number in range(count):
        for name in ("analyst-one", "analyst-two"):
            make.assess(people[name], make.TRIANGLE, at=at + number * 5 * MINUTE)
    certify_person(people["senior"], until=at + 300 * make.DAY, issued_by=None, at=at)
    wanted = Outcome.objects.count()
    draw_quality_sample(make.investigation(), by=people["senior"], wanted=wanted, seed=1, at=at + make.DAY)
    return people


def view(assignment: Assignment, person: Person, *, at: dt.datetime, step: int = 2) -> None:
    file = assignment.quality_look.sampled.outcome.file_id
    make.look(assignment, person, assignment.revision.members.get(file=file), step=step, at=at)


def test_a_look_is_an_assignment_of_its_own_and_its_finding_changes_nothing() -> None:
    people = sampled_world(1)
    senior = people["senior"]
    before = list(Outcome.objects.values())
    assignment = begin_look(senior, at=LATER)
    assert assignment is not None
    assert (assignment.step, assignment.person) == (Step.QUALITY, senior)
    assert begin_look(senior, at=LATER) == assignment, "asked again it is the same"
    assert sum(row.count for row in backlog(make.investigation(), at=LATER).rows) == 0, "it is no step of the plan"
    with pytest.raises(LookRefused, match="nothing of this picture was viewed"):
        record_finding(assignment.pk, FindingVerdict.AGREES, person=senior, at=LATER)
    view(assignment, senior, at=LATER)
    for verdict, differing, why in (
        (FindingVerdict.AGREES, ("shapes",), "who agrees differs in no question"),
        (FindingVerdict.DIFFERS, (), "mark each question"),
        (FindingVerdict.DIFFERS, ("no_such_question",), "not of this form"),
        (FindingVerdict.LEFT, ("shapes",), "differs in nothing"),
    ):
        with pytest.raises(LookRefused, match=why):
            record_finding(assignment.pk, verdict, person=senior, differing=differing, at=LATER)
    with pytest.raises(SubmissionRefused):
        submit_assessment(
            assignment.pk, person=senior, facts=make.TRIANGLE, same={}, active_seconds=Decimal(1), at=LATER
        )
    found = record_finding(assignment.pk, FindingVerdict.DIFFERS, person=senior, differing=["largest_colour"], at=LATER)
    assert (found.differing, found.ladder_step) == (["largest_colour"], 2)
    assert list(Outcome.objects.values()) == before
    assert Assessment.objects.count() == 2
    with pytest.raises(LookRefused, match="no longer yours"):
        record_finding(assignment.pk, FindingVerdict.AGREES, person=senior, at=LATER)
    assert begin_look(senior, at=LATER) is None
    acts = AuditEntry.objects.filter(actor=senior.audit_id).order_by("pk").values_list("act", "purpose")
    assert ("assignment_taken", "quality_assessment") in acts
    assert ("reveal_used", "quality_assessment.2") in acts
    assert ("quality_finding", "differs") in acts


def test_only_a_certified_quality_lead_who_did_not_decide_it_looks() -> None:
    people = sampled_world(1)
    for name in ("analyst-one", "adjudicator", "lead", "auditor"):
        with pytest.raises(Denied):
            begin_look(people[name], at=LATER)
    new = make.make_person("new-senior", Role.SENIOR, at=AT, certified=False)
    with pytest.raises(Denied, match="no certificate"):
        begin_look(new, at=LATER)
    both = make.make_person("both", Role.SENIOR, Role.ANALYST, at=AT)
    Assessment.objects.filter(step=Step.FIRST).update(person=both)
    assert begin_look(both, at=LATER) is None, "they decided it"
    assert begin_look(people["senior"], at=LATER) is not None


def test_what_is_passed_on_goes_to_another_and_what_is_held_to_nobody() -> None:
    people = sampled_world(1)
    other = make.make_person("other-senior", Role.SENIOR, at=AT)
    assignment = begin_look(people["senior"], at=LATER)
    assert assignment is not None
    assert begin_look(other, at=LATER) is None
    skip_assignment(assignment.pk, person=people["senior"], reason=SkipReason.NOT_TODAY, at=LATER)
    assert begin_look(people["senior"], at=LATER) is None
    assert take_next(people["adjudicator"], at=LATER) is None
    again = begin_look(other, at=LATER)
    assert again == assignment
    found = record_finding(again.pk, FindingVerdict.LEFT, person=other, at=LATER)
    assert found.ladder_step == 0, "nobody is made to look"
    assert [(line.drawn, line.looked, line.waiting) for line in sample_lines()] == [(1, 1, 0)]


def test_a_decision_is_assessed_anew_by_others_and_corrected_with_its_copies() -> None:
    people = sampled_world(1)
    senior, old = people["senior"], Outcome.objects.get()
    other = make.make_investigation(people["lead"], at=AT, reference="HL-2").investigation
    copied = {name: getattr(old, name) for name in ("file", "framework", "framework_version", "facts", "status")}
    copy = Outcome.objects.create(
        **copied,
        investigation=other,
        copy_of=old,
        rule_path=[],
        settled_by="copy",
        viewed_by_person=False,
        settled_at=AT + make.DAY,
    )
    assignment = begin_look(senior, at=LATER)
    assert assignment is not None
    view(assignment, senior, at=LATER)
    record_finding(assignment.pk, FindingVerdict.REASSESS, person=senior, at=LATER)
    review = QualityReview.objects.get()
    assert (review.outcome, review.revision.assignments.count()) == (old, 2)
    for name in ("analyst-one", "analyst-two"):
        assert take_next(people[name], at=LATER) is None, "who decided it is not asked again"
    for name in ("analyst-three", "analyst-four"):
        person = make.make_person(name, Role.ANALYST, at=AT)
        make.give_budgets(at=AT)
        assert make.assess(person, make.NO_SHAPES, at=LATER).revision == review.revision
    new = Outcome.objects.get(corrects=old)
    assert (new.status, new.settled_by) == ("not_criminal", "agreement")
    old.refresh_from_db()
    assert (old.status, old.correction) == ("criminal", new), "the first record stays as it was"
    assert (copy.correction.status, copy.correction.copy_of) == ("not_criminal", new)
    assert (copy.correction.investigation, copy.correction.settled_by) == (other, "copy")
    assert AuditEntry.objects.filter(act="review_opened", object=review.audit_id).count() == 1
    assert begin_look(senior, at=LATER) is None
    lines = sample_lines()
    assert [(line.looked, line.gone) for line in lines] == [(1, 0)]


def test_agreement_with_samples_is_of_five_people_or_is_not_told() -> None:
    people = sampled_world(1)
    senior = people["senior"]
    assignment = begin_look(senior, at=LATER)
    assert assignment is not None
    view(assignment, senior, at=LATER)
    finding = record_finding(assignment.pk, FindingVerdict.AGREES, person=senior, at=LATER)
    told = sample_agreement()
    assert [(one.looked, one.share, one.withheld) for one in told] == [(1, None, "fewer than 5 people")]
    for number in range(5):
        Assessment.objects.create(
            revision=assignment.revision,
            person=make.make_person(f"further-{number}", Role.ANALYST, at=AT),
            step=f"s{number}",
            framework="demo.shapes",
            framework_version="1",
            facts={},
            ladder_step=1,
            active_seconds=1,
            started_at=AT,
            submitted_at=AT,
        )
    assert sample_agreement()[0].withheld == "fewer than 20 looks"
    assert finding in QualityFinding.objects.all()


def test_the_pages_hand_out_show_what_was_decided_and_record() -> None:
    at = timezone.now()
    people = sampled_world(2, at=at - 2 * make.DAY)
    browser = make.client_of(people["senior"])
    assert "Samples of decisions" in browser.get("/quality").content.decode()
    assert browser.get("/quality/look").status_code == 302
    assert browser.post("/quality/begin").url == "/quality/look"
    assert browser.get("/work").url == "/quality/look"
    opened = open_look(people["senior"], at=at)
    assert opened is not None
    page = browser.get("/quality/look").content.decode()
    assert all(fact.answer in page for fact in opened.facts)
    assert not [name for name in ("analyst-one", "analyst-two") if name in page]
    form = {"assignment": opened.assignment_id, "verdict": "agrees"}
    assert browser.post("/quality/finding", form).status_code == 422, "nothing was viewed"
    asked = browser.post(
        "/work/reveal", {"member": opened.member_id, "step": 1}, content_type="application/json"
    ).json()
    assert browser.get(asked["url"]).status_code == 200
    assert browser.post("/quality/finding", {**form, "verdict": "nothing"}).status_code == 422
    assert browser.post("/quality/finding", form).url == "/quality"
    assert [(line.drawn, line.looked) for line in sample_lines()] == [(2, 1)]
    assert make.client_of(people["lead"]).get("/quality").status_code == 403
