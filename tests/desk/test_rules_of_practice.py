"""Rules of practice that the desk's actions hold; the number of each rule stands in its test's name."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import ProgrammingError, transaction

from havenline_desk import evidence, gates
from havenline_desk.actions.approve_framework import ApprovalRefused, approve_framework
from havenline_desk.actions.create_investigation import InvestigationRefused, create_investigation
from havenline_desk.actions.declare_policy import PolicyRefused, declare_policy
from havenline_desk.actions.enrol_person import EnrolmentRefused, certify_person, enrol_person, grant_role
from havenline_desk.actions.form_stacks import form_stacks
from havenline_desk.actions.grant_reveal import grant_reveal, use_reveal
from havenline_desk.actions.submit_assessment import submit_assessment
from havenline_desk.actions.take_next import take_next
from havenline_desk.models import (
    Assessment,
    Assignment,
    InstallationKind,
    Investigation,
    Outcome,
    Person,
    Plan,
    Reveal,
    Role,
    SamplingRule,
    SettledBy,
    SourceKind,
    Stack,
)
from havenline_desk.sites.schema import CHANGEABLE

from . import factories as make

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


def open_investigation(
    lead: Person, reference: str, *, framework: str = "demo.shapes", at: dt.datetime
) -> Investigation:
    return create_investigation(
        reference,
        source_kind=SourceKind.SITE,
        period=(None, None),
        posted_total=10,
        sampling_rule=SamplingRule.EVERYTHING,
        authorised_by=lead,
        legal_basis="drawn pictures",
        expires_on=at.date(),
        framework=framework,
        framework_version=None,
        plan=Plan.DOUBLE,
        at=at,
    )


@pytest.mark.django_db
def test_rule_2_a_byte_identical_file_settled_by_two_takes_the_answer_without_a_view() -> None:
    people = make.world(at=AT)
    make.assess(people["analyst-one"], make.TRIANGLE, at=AT + MINUTE)
    make.assess(people["analyst-two"], make.TRIANGLE, at=AT + 3 * MINUTE)
    original = Outcome.objects.get()
    later = make.make_investigation(people["lead"], reference="HL-2", at=AT + make.DAY)
    later.investigation.items.create(
        taken_in=later,
        collection="drawn",
        path="same-bytes.png",
        file=original.file,
        kind="picture",
        state="viewable",
        imported_at=AT + make.DAY,
    )
    make.Selection.objects.create(
        item=later.investigation.items.get(), rule="everything", viewed_by_person=False, selected_at=AT + make.DAY
    )
    assert form_stacks(later.investigation, at=AT + make.DAY) == 0
    copy = Outcome.objects.get(investigation=later.investigation)
    assert (copy.settled_by, copy.viewed_by_person, copy.copy_of, copy.status) == (
        SettledBy.COPY,
        False,
        original,
        original.status,
    )


@pytest.mark.django_db
def test_rule_2_a_single_review_settles_no_copy() -> None:
    people = make.world(at=AT, plan=Plan.SINGLE)
    make.assess(people["analyst-one"], make.TRIANGLE, at=AT + MINUTE)
    later = make.make_investigation(people["lead"], reference="HL-2", at=AT + make.DAY)
    item = later.investigation.items.create(
        taken_in=later,
        collection="drawn",
        path="same-bytes.png",
        file=Outcome.objects.get().file,
        kind="picture",
        state="viewable",
        imported_at=AT + make.DAY,
    )
    make.Selection.objects.create(item=item, rule="everything", viewed_by_person=False, selected_at=AT + make.DAY)
    assert form_stacks(later.investigation, at=AT + make.DAY) == 1
    assert not Outcome.objects.filter(investigation=later.investigation).exists()


@pytest.mark.django_db
def test_rule_8_only_somebody_else_certifies_and_never_into_the_past() -> None:
    people = make.world(at=AT)
    with pytest.raises(EnrolmentRefused, match="themselves"):
        certify_person(people["analyst-one"], until=AT + make.DAY, issued_by=people["analyst-one"], at=AT)
    with pytest.raises(EnrolmentRefused, match="run out"):
        certify_person(people["analyst-one"], until=AT, issued_by=people["senior"], at=AT)


@pytest.mark.django_db
def test_rule_12_rules_yield_undetermined_until_local_approval_is_recorded() -> None:
    make.declare_policy(InstallationKind.DESK, at=AT)
    lead = make.make_person("lead", Role.LEAD, at=AT, certified=False)
    senior = make.make_person("senior", Role.SENIOR, at=AT, certified=False)
    from havenline_desk import law

    investigation = open_investigation(lead, "HL-1", framework="gb-eaw", at=AT)
    assert investigation.framework_version == "2023-09.2"
    assert not law.in_force(investigation.framework, investigation.framework_version)
    with pytest.raises(ApprovalRefused, match="two people"):
        approve_framework("gb-eaw", "2023-09.2", approved_by=lead, counsel="opinion 14 of 2026", at=AT)
    what = {"framework": "gb-eaw", "version": "2023-09.2", "counsel": "opinion 14 of 2026"}
    make.agree(gates.Act.APPROVE_FRAMEWORK, what, first=lead, second=senior, at=AT)
    assert law.in_force(investigation.framework, investigation.framework_version)


@pytest.mark.django_db
def test_separation_of_duties_holds_at_enrolment_and_content_roles_wait_a_day() -> None:
    people = make.world(at=AT)
    with pytest.raises(EnrolmentRefused, match="at once"):
        grant_role(people["analyst-one"], Role.ADMIN, at=AT)
    with pytest.raises(EnrolmentRefused, match="at once"):
        grant_role(people["auditor"], Role.WELFARE, at=AT)
    late = enrol_person("late-analyst", password=None, roles=(Role.ANALYST,), at=AT)
    assert gates.roles_of(late, at=AT + 23 * 60 * MINUTE) == frozenset()
    assert gates.roles_of(late, at=AT + 24 * 60 * MINUTE) == {Role.ANALYST}


@pytest.mark.django_db
def test_content_storage_is_off_until_a_demonstration_declares_it(home: Path) -> None:
    make.declare_policy(InstallationKind.DESK, at=AT)
    assert not evidence.storage_declared(at=AT)
    with pytest.raises(PolicyRefused, match="two people declare"):
        declare_policy(InstallationKind.DESK, content_legal_basis="any", at=AT)
    with pytest.raises(PolicyRefused, match="cannot become"):
        declare_policy(InstallationKind.DEMO, content_legal_basis="drawn", at=AT)
    lead = make.make_person("lead", Role.LEAD, at=AT, certified=False)
    taken_in = make.make_investigation(lead, at=AT)
    with pytest.raises(evidence.EvidenceError, match="storage is off"):
        make.add_file(taken_in, make.draw(1), at=AT)
    assert not (home / "content").exists()


@pytest.mark.django_db
def test_kept_bytes_must_be_those_of_the_file_and_unnamed_objects_are_swept(home: Path) -> None:
    people = make.world(at=AT)
    assert people
    stray = home / "content" / "0123456789abcdef0123456789abcdef"
    stray.write_bytes(b"written, never acknowledged")
    before = sorted((home / "content").iterdir())
    assert evidence.sweep() == 1
    assert sorted((home / "content").iterdir()) == [path for path in before if path != stray]
    file = make.File.objects.create(sha256="0" * 64, sha1="0" * 40, md5="0" * 32, size=1)
    with pytest.raises(evidence.EvidenceError, match="not those of this file"):
        evidence.keep({file: b"x"}, at=AT)


@pytest.mark.django_db
def test_an_investigation_needs_its_lead_its_basis_and_a_living_authority() -> None:
    people = make.world(at=AT)
    with pytest.raises(gates.Denied, match="investigation lead is needed"):
        open_investigation(people["analyst-one"], "HL-9", at=AT)
    with pytest.raises(InvestigationRefused, match="exists already"):
        open_investigation(people["lead"], "HL-1", at=AT)
    with pytest.raises(InvestigationRefused, match="is not a reference"):
        open_investigation(people["lead"], "HL 9/..", at=AT)


@pytest.mark.django_db
def test_a_reveal_is_single_use_bound_to_person_session_and_stack_and_late_ones_are_refused() -> None:
    people = make.world(at=AT, stacks=2)
    assignment = take_next(people["analyst-one"], at=AT)
    assert assignment is not None
    file_id = assignment.revision.members.get().file_id
    elsewhere = Stack.objects.exclude(pk=assignment.revision.stack_id).get().representative_id

    def grant(file: int = file_id, step: int = 2, person: str = "analyst-one") -> str:
        return grant_reveal(
            assignment.pk, person=people[person], session_key="s", file_id=file, ladder_step=step, at=AT
        )

    for refused in ({"file": elsewhere}, {"step": 0}, {"step": 5}, {"person": "analyst-two"}):
        with pytest.raises(evidence.RevealRefused):
            grant(**refused)  # type: ignore[arg-type]
    token = grant()
    for person, session, at in (
        ("analyst-two", "s", AT),
        ("analyst-one", "other", AT),
        ("analyst-one", "s", AT + 2 * MINUTE),
    ):
        with pytest.raises(evidence.RevealRefused):
            use_reveal(token, person=people[person], session_key=session, at=at)
    assert use_reveal(token, person=people["analyst-one"], session_key="s", at=AT).used_at == AT
    with pytest.raises(evidence.RevealRefused, match="used already"):
        use_reveal(token, person=people["analyst-one"], session_key="s", at=AT)
    assert Reveal.objects.count() == 1


@pytest.mark.usefixtures("desk_role")
def test_the_desk_role_can_work_but_not_edit_or_delete_what_is_final() -> None:
    people = make.world(at=AT, plan=Plan.SINGLE)
    make.assess(people["analyst-one"], make.NO_SHAPES, at=AT + MINUTE)
    assert Outcome.objects.count() == 1
    for model in (Assessment, Outcome, Reveal, Stack, Investigation, Assignment):
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            model._default_manager.all()._raw_delete(using="default")
    for model, field in ((Assessment, "facts"), (Outcome, "status"), (Reveal, "ladder_step"), (Investigation, "plan")):
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            model._default_manager.update(**{field: "x" if field != "ladder_step" else 1})
    assert {model.__name__ for model in CHANGEABLE} == {
        "ApiKey",
        "Assignment",
        "AuthenticatorApp",
        "Enrolment",
        "FeedCredential",
        "Hold",
        "Import",
        "ImportJob",
        "LinkedAccount",
        "MatchAlarm",
        "Partner",
        "Passkey",
        "Person",
        "PoolMember",
        "RecoveryCode",
        "ReleasedEntry",
        "Reveal",
        "RoleGrant",
        "Session",
        "SetAside",
        "StackRevision",
        "StorageAlarm",
        "Submission",
        "Subscription",
        "TextLook",
        "Throttle",
        "WebhookAttempt",
        "WebhookEndpoint",
        "WebhookEvent",
        "WebhookSecret",
        "Withdrawal",
    }


@pytest.mark.django_db
def test_submitting_twice_records_once() -> None:
    people = make.world(at=AT, plan=Plan.SINGLE)
    done = make.assess(people["analyst-one"], make.NO_SHAPES, at=AT + MINUTE)
    from havenline_desk.actions.submit_assessment import SubmissionRefused

    with pytest.raises(SubmissionRefused, match="no longer yours"):
        submit_assessment(
            done.pk,
            person=people["analyst-one"],
            facts=make.NO_SHAPES,
            same={},
            active_seconds=Decimal(1),
            at=AT + 5 * MINUTE,
        )
    assert Assessment.objects.count() == 1
