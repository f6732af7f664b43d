"""Draw pictures for one person's calibration and hand them out by the ordinary rules; a certificate if they pass."""

from __future__ import annotations

import datetime as dt
import secrets

from django.db import IntegrityError, transaction

from havenline import frameworks
from havenline.judgement import quality_rules, score

from .. import audit, gates
from ..evidence import is_drawn_otherwise
from ..models import (
    Assessment,
    Assignment,
    AuditAct,
    CalibrationPicture,
    CalibrationResult,
    CalibrationSession,
    File,
    Investigation,
    MemberPlace,
    Person,
    SourceKind,
    Stack,
    StackMember,
    StackRevision,
    Step,
)
from ..pace import refuse_in_a_pause
from ..waiting import open_in_the_name_of
from .enrol_person import certify_person
from .hold_submission import record_held
from .open_assignments import put_in_order
from .set_up_calibration import CalibrationRefused
from .take_next import lease


@transaction.atomic
def start_calibration(person: Person, *, at: dt.datetime, seed: int | None = None) -> CalibrationSession:
    """Draw the pictures of a new session; nobody has seen them, and nobody else ever will.

    The content is not kept: a view draws the picture again, so that a house without content storage calibrates too.
    `seed` is drawn when it is not given. Raises CalibrationRefused while a session or an item is open; Denied without a
    role for assessment.
    """
    gates.require(person, gates.Act.OPEN_CALIBRATION, at=at)
    Person.objects.select_for_update(of=("self",)).get(pk=person.pk)  # two windows of one person at once
    place = Investigation.objects.filter(source_kind=SourceKind.TRAINING).first()
    if place is None:
        raise CalibrationRefused("calibration is not set up here: the lead does that once")
    if CalibrationSession.objects.filter(person=person, result=None).exists():
        raise CalibrationRefused("a session is open already; go on with that one")
    if open_in_the_name_of(person).exists():
        raise CalibrationRefused("an item is open in your name; finish it first")
    rules = quality_rules()
    session = CalibrationSession.objects.create(
        person=person,
        seed=secrets.randbelow(2**40) if seed is None else seed,
        pictures=rules.pictures,
        pass_mark=rules.pass_mark,
        valid_days=rules.valid_days,
        opened_at=at,
    )
    revisions = [_drawn(session, place, number, at=at) for number in range(rules.pictures)]
    opened = [Assignment(revision=revision, step=Step.FIRST, opened_at=at) for revision in revisions]
    put_in_order(opened)
    Assignment.objects.bulk_create(opened)
    audit.append(AuditAct.CALIBRATION_STARTED, at=at, actor=person, about=session, investigation=place, record=session)
    return session


def continue_calibration(person: Person, *, at: dt.datetime) -> Assignment | CalibrationResult | None:
    """The next picture of the person's open session, its result once all are done, None without a session.

    What the person has submitted and not taken back is recorded first, as `take_next` does. No certificate is needed:
    this is how one is earned. A session whose pictures this version draws otherwise is ended, and counts as nothing.
    Raises PauseDue where a pause is due and nothing is held.
    """
    session = CalibrationSession.objects.filter(person=person, result=None).first()
    if session is None:
        return None
    record_held(person=person, at=at)
    if is_drawn_otherwise(session):
        return _end_outdated(session, at=at)
    try:
        with transaction.atomic():
            open_ = Assignment.objects.select_for_update(of=("self",)).filter(person=person, done_at=None).first()
            assignment = open_
            if assignment is None and (assignment := _next(session)) is not None:
                refuse_in_a_pause(person, at=at)
            if assignment is not None:
                lease(assignment, person=person, at=at)
                return assignment
            return _close(session, at=at)
    except IntegrityError:  # two windows of one person at once: the other one has claimed, or closed
        return Assignment.objects.filter(person=person, done_at=None).first()


@transaction.atomic
def _end_outdated(session: CalibrationSession, *, at: dt.datetime) -> CalibrationResult:
    CalibrationSession.objects.select_for_update(of=("self",)).get(pk=session.pk)  # two windows at once
    ended = CalibrationResult.objects.filter(session=session).first()
    if ended is not None:
        return ended
    Assignment.objects.filter(revision__calibration__session=session, done_at=None).update(done_at=at)
    result = CalibrationResult.objects.create(
        session=session, compared=0, right=0, passed=False, outdated=True, certificate=None, closed_at=at
    )
    audit.append(
        AuditAct.CALIBRATION_CLOSED, at=at, actor=session.person, about=result, purpose="outdated", record=result
    )
    return result


def _next(session: CalibrationSession) -> Assignment | None:
    waiting = Assignment.objects.filter(revision__calibration__session=session, done_at=None)
    return waiting.select_for_update(of=("self",)).order_by("revision__calibration__number").first()


def _close(session: CalibrationSession, *, at: dt.datetime) -> CalibrationResult:
    """Compare what was drawn with what was answered, and issue the certificate where the pass mark is reached."""
    drawn = {one.revision_id: one.facts for one in session.drawn.all()}
    answers = dict(Assessment.objects.filter(revision__in=drawn).values_list("revision", "facts"))
    found = score(frameworks.load("demo.shapes"), [(drawn[key], answers[key]) for key in sorted(answers)])
    passed = len(answers) == session.pictures and found.passes(session.pass_mark)
    person = session.person
    certificate = (
        certify_person(person, until=at + dt.timedelta(days=session.valid_days), issued_by=None, at=at)
        if passed
        else None
    )
    result = CalibrationResult.objects.create(
        session=session,
        compared=found.compared,
        right=found.right,
        passed=passed,
        certificate=certificate,
        closed_at=at,
    )
    audit.append(
        AuditAct.CALIBRATION_CLOSED,
        at=at,
        actor=person,
        about=result,
        purpose="passed" if passed else "not_passed",
        record=result,
    )
    return result


def _drawn(session: CalibrationSession, place: Investigation, number: int, *, at: dt.datetime) -> StackRevision:
    # Only here: drawing loads what nothing else of the desk needs.
    from havenline.fingerprints import fingerprint_bytes
    from havenline.testing.drawing import choose_subject, draw_subject
    from havenline.testing.variants import encode_original

    subject = choose_subject(session.seed, number)
    content = encode_original(draw_subject(subject, seed=session.seed, number=number, attempt=0))
    found = fingerprint_bytes(content)
    file = File.objects.create(
        sha256=found.sha256,
        sha1=found.sha1,
        md5=found.md5,
        size=found.size,
        media_type=found.media_type or "",
        width=found.width,
        height=found.height,
    )
    stack = Stack.objects.create(investigation=place, representative=file, formed_at=at)
    revision = StackRevision.objects.create(stack=stack, number=1, opened_at=at)
    StackMember.objects.create(
        revision=revision, file=file, place=MemberPlace.SHOWN, why="drawn for calibration", distance=0
    )
    CalibrationPicture.objects.create(session=session, revision=revision, number=number, facts=subject.facts())
    return revision
