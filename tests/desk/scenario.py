"""A run of work in which every audited act occurs: steps in order, each one call, as the matrix of failures needs them.

A step is safe to run again when it was refused. What a later step needs is read from the database, not handed on.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from base64 import b32decode
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.test import override_settings

from havenline.connectors.exchange import Exchange
from havenline.connectors.stages import Stage
from havenline.figures.study import october_2023
from havenline.formats.edition import ListKind
from havenline.judgement import Urgency
from havenline.matching import Lists
from havenline_desk import audit, evidence, factors
from havenline_desk.actions.approve import approve
from havenline_desk.actions.approve_framework import approve_framework
from havenline_desk.actions.ask_for_pair import ask_for_pair
from havenline_desk.actions.ask_import import ask_import, stop_import
from havenline_desk.actions.assign_by_hand import assign_by_hand, free_assignment
from havenline_desk.actions.cancel import cancel
from havenline_desk.actions.cancel_reset import cancel_reset
from havenline_desk.actions.carry_out import carry_out
from havenline_desk.actions.change_factors import add_authenticator_app, make_recovery_codes, remove_factor
from havenline_desk.actions.configure_framework import configure_framework
from havenline_desk.actions.count_lookups import Answered, begin_lookups, count_lookups
from havenline_desk.actions.count_try import Throttled, count_try
from havenline_desk.actions.create_investigation import create_investigation
from havenline_desk.actions.declare_care import declare_talk_to
from havenline_desk.actions.declare_policy import declare_house, declare_policy
from havenline_desk.actions.deliver_webhooks import note_attempt, take_event
from havenline_desk.actions.draw_quality_sample import draw_quality_sample
from havenline_desk.actions.end_session import begin_session, end_session
from havenline_desk.actions.enrol_person import certify_person, close_person, enrol_person
from havenline_desk.actions.escalate import declare_contact, raise_escalation, record_stage
from havenline_desk.actions.export_log import export_log
from havenline_desk.actions.grant_reveal import grant_reveal, note_failed_reveal, use_reveal
from havenline_desk.actions.hold_submission import hold_submission, record_held, take_back
from havenline_desk.actions.import_collection import import_collection
from havenline_desk.actions.import_framework import import_framework
from havenline_desk.actions.keep_api_keys import freeze_api_key, make_api_key
from havenline_desk.actions.keep_incoming import let_through, resume_list, suspend_list
from havenline_desk.actions.keep_match_alarms import close_match_alarm
from havenline_desk.actions.keep_partners import end_subscription, subscribe_partner, suspend_partner
from havenline_desk.actions.keep_pools import make_pool
from havenline_desk.actions.keep_webhooks import change_secret, make_webhook, replay_event, try_webhook
from havenline_desk.actions.link_account import link_account, unlink_accounts
from havenline_desk.actions.look_at_text import grant_text_look
from havenline_desk.actions.look_over_sample import begin_look, record_finding
from havenline_desk.actions.look_up_again import look_up_next
from havenline_desk.actions.note_backup import note_backup, note_restore
from havenline_desk.actions.place_hold import place_hold
from havenline_desk.actions.propose import propose
from havenline_desk.actions.prove_person import (
    SignInRefused,
    confirm_by_code,
    prove_by_account,
    prove_by_recovery_code,
)
from havenline_desk.actions.publish_edition import publish_edition
from havenline_desk.actions.raise_alarm import end_alarm, raise_alarm
from havenline_desk.actions.record_deconfliction import declare_term, record_deconfliction
from havenline_desk.actions.record_study import record_study
from havenline_desk.actions.release_entries import open_house_list, propose_release
from havenline_desk.actions.reset_factors import reset_factors
from havenline_desk.actions.run_sealer import destroy_in_time
from havenline_desk.actions.see_exposure import see_exposure
from havenline_desk.actions.see_log import see_log
from havenline_desk.actions.set_budget import USUAL, set_budget
from havenline_desk.actions.set_up_calibration import set_up_calibration
from havenline_desk.actions.set_urgency import set_urgency
from havenline_desk.actions.skip_assignment import skip_assignment
from havenline_desk.actions.start_calibration import continue_calibration, start_calibration
from havenline_desk.actions.take_next import take_next
from havenline_desk.actions.take_role_away import take_role_away
from havenline_desk.actions.take_trust_step import Said, take_trust_step
from havenline_desk.actions.withdraw_entries import withdraw_entry
from havenline_desk.confirmed import ReleaseState, candidates
from havenline_desk.gates import Act
from havenline_desk.keys import keyd
from havenline_desk.models import (
    AlarmKind,
    ApiKey,
    Assignment,
    AuthenticatorApp,
    DeconflictionAnswer,
    Door,
    Ending,
    Escalation,
    EscalationStage,
    File,
    FindingVerdict,
    HandReason,
    House,
    HouseList,
    ImportJob,
    InstallationKind,
    Investigation,
    KeyScope,
    LookupWindow,
    MatchAlarm,
    OriginSignal,
    Outcome,
    Partner,
    Person,
    Plan,
    PoolKind,
    Proposal,
    ReleasedEntry,
    Reveal,
    Role,
    SamplingRule,
    Session,
    ShadowCount,
    SkipReason,
    SourceKind,
    StoredContent,
    Subscription,
    TextReason,
    TrustChange,
    Way,
    WebhookEndpoint,
    WebhookEvent,
    WebhookResult,
    WithdrawalReason,
)
from havenline_guard.keyd_client import KeydUnreachable

from . import factories as make
from . import feeds
from .feedback_rig import sending_opinions

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
Step = Callable[[], object]

STAFF = {
    "lead": Role.LEAD,
    "senior": Role.SENIOR,
    "auditor": Role.AUDITOR,
    "welfare": Role.WELFARE,
    "analyst-one": Role.ANALYST,
    "analyst-two": Role.ANALYST,
    "adjudicator": Role.ADJUDICATOR,
    "admin": Role.ADMIN,
    "liaison": Role.LIAISON,
}


def who(name: str) -> Person:
    return Person.objects.get(name=name)


def day_of_work(home: Path) -> Iterator[Step]:
    """A demonstration from its first declaration to its last export."""
    yield lambda: declare_policy(InstallationKind.DEMO, content_legal_basis="drawn pictures", at=AT)
    for name, role in STAFF.items():
        yield lambda name=name, role=role: enrol_person(name, password=None, roles=(role,), at=AT)  # type: ignore[misc]
        yield lambda name=name: certify_person(who(name), until=AT + make.DAY, issued_by=None, at=AT)  # type: ignore[misc]
    yield from signing_in(home)
    yield from two_people(home)
    yield lambda: approve_framework("gb-eaw", "2023-09", approved_by=who("lead"), counsel="opinion 14", at=AT)
    yield lambda: declare_contact(1, duty="duty lead", telephone="112", declared_by=who("lead"), at=AT)
    yield lambda: make_pool("reads-welsh", PoolKind.LANGUAGE, made_by=who("lead"), at=AT)
    yield from taking_in("HL-1", home)
    yield lambda: set_urgency(named("HL-1"), Urgency.SOON, set_by=who("lead"), at=AT)
    yield from looking_and_passing_on()
    yield from by_hand()
    yield from assessing("analyst-one", make.TRIANGLE, at=AT + 10 * MINUTE)
    yield from assessing("analyst-two", make.NO_SHAPES, at=AT + 20 * MINUTE)
    yield from assessing("adjudicator", make.TRIANGLE, at=AT + 30 * MINUTE)
    yield reading_a_text
    yield from taking_in("HL-2", home)
    yield from asking_for_an_import(home)
    yield lambda: declare_talk_to("the counsellor", telephone="112", by=who("welfare"), at=AT + 49 * MINUTE)
    yield lambda: see_exposure(seen_by=who("welfare"), at=AT + 49 * MINUTE)
    yield from publishing()
    yield from releasing()
    yield from confirming()
    yield from partners_lists(home)
    yield from law_and_quality()
    yield from asking_the_match_service()
    yield from retention(home)
    yield from feeds.feeding(home, at=AT + 49 * MINUTE)
    yield from sending_opinions(at=AT + 49 * MINUTE)
    yield lambda: take_role_away(who("senior"), Role.SENIOR, said_by=who("lead"), at=AT + 50 * MINUTE)
    yield lambda: see_log(seen_by=who("auditor"), narrowed_by=["act"], at=AT + 50 * MINUTE)
    yield lambda: export_log(by=who("auditor"), at=AT + 50 * MINUTE)
    yield lambda: note_backup(at=AT + 51 * MINUTE)
    yield lambda: note_restore(at=AT + 52 * MINUTE)


def asking_the_match_service() -> Iterator[Step]:
    at = AT + 49 * MINUTE

    def row() -> ApiKey:
        return ApiKey.objects.get(name="uploads")

    lists = {"lists": ["shapes"], "made_by": who("lead"), "at": at}
    yield lambda: make_api_key("uploads", KeyScope.ONE_BIT, **lists)
    yield lambda: begin_lookups(row(), at=at)
    yield lambda: count_lookups(LookupWindow.objects.get(), Answered(1, 1, 0, 0, "0" * 64), at=at)
    yield lambda: freeze_api_key(row(), at=at)
    yield lambda: close_match_alarm(MatchAlarm.objects.get(), reason="spoke with them", by=who("lead"), at=at)

    def hook() -> WebhookEndpoint:
        return WebhookEndpoint.objects.get()

    def answered(result: WebhookResult) -> None:
        attempt = take_event(at=at)
        assert attempt is not None
        note_attempt(attempt, result, 200, at=at)

    yield lambda: make_webhook("own", "http://127.0.0.1:9/", made_by=who("liaison"), at=at)
    yield lambda: try_webhook(hook(), by=who("liaison"), at=at)
    yield lambda: answered(WebhookResult.DELIVERED)
    yield lambda: replay_event(WebhookEvent.objects.get(), by=who("liaison"), at=at)
    yield lambda: change_secret(hook(), by=who("liaison"), at=at)


NEWCOMER, SECRET = "newcomer", "one time and never again"
ADDRESS = "127.0.0.1"


def signing_in(home: Path) -> Iterator[Step]:
    """Everything of sign-in, for somebody new whose account is closed at the end."""
    (home / "kind").write_text("demo\n")  # in a demonstration alone the last factor may go
    secret: str = factors.new_totp_secret()
    codes: list[str] = []

    def code(minutes: int) -> str:
        return (
            TOTP(b32decode(secret), 6, SHA1(), 30, enforce_key_length=False)
            .generate(int((AT + minutes * MINUTE).timestamp()))
            .decode()
        )

    def tried() -> None:
        with suppress(SignInRefused):
            prove_by_account("https://nowhere.invalid", "nobody", address=ADDRESS, at=AT)

    def throttled() -> None:
        with suppress(Throttled):
            for _ in range(12):
                count_try(name=NEWCOMER, address="192.0.2.9", at=AT)

    minutes = iter(range(3, 60, 2))

    def confirmed() -> None:
        minute = next(minutes)  # a code is used up even where its confirmation was not sealed
        with override_settings(ALLOW_TOTP=True):
            confirm_by_code(who(NEWCOMER), code(minute), address=ADDRESS, at=AT + minute * MINUTE)

    def wrong_code() -> None:
        with suppress(factors.FactorRefused):
            confirm_by_code(who(NEWCOMER), "000000", address=ADDRESS, at=AT + 4 * MINUTE)

    def begun() -> None:
        begin_session(who(NEWCOMER), Way.TOTP, address=ADDRESS, at=AT)

    def ended(ending: Ending) -> None:
        session = Session.objects.filter(person__name=NEWCOMER, ended_at=None).first()
        assert session is not None
        end_session(session, ending, by=None, at=AT)

    def linked() -> None:
        with override_settings(OIDC_ISSUER="https://provider.invalid"):
            link_account(who(NEWCOMER), "subject", at=AT)

    yield lambda: enrol_person(NEWCOMER, password=SECRET, roles=(), secret_until=AT + make.DAY, at=AT)
    yield lambda: add_authenticator_app(who(NEWCOMER), secret, code(1), password=make.PASSWORD, at=AT + MINUTE)
    yield lambda: codes.extend(make_recovery_codes(who(NEWCOMER), at=AT + MINUTE))
    yield confirmed
    yield wrong_code
    yield tried
    yield throttled
    yield begun
    yield lambda: ended(Ending.SIGNED_OUT)
    yield begun
    yield lambda: ended(Ending.BY_ONESELF)
    yield lambda: prove_by_recovery_code(NEWCOMER, codes[0], address=ADDRESS, at=AT + make.DAY)
    yield lambda: remove_factor(
        AuthenticatorApp.objects.get(person__name=NEWCOMER), by=who(NEWCOMER), keeping=None, at=AT + make.DAY
    )
    yield from resetting(at=AT + 2 * make.DAY)
    yield lambda: cancel_reset(who(NEWCOMER), at=AT + 2 * make.DAY)
    yield from resetting(at=AT + 3 * make.DAY)
    yield lambda: reset_factors(who(NEWCOMER), at=AT + 5 * make.DAY)
    yield linked
    yield lambda: unlink_accounts(who(NEWCOMER), at=AT)
    yield lambda: close_person(who(NEWCOMER), at=AT)


def resetting(*, at: dt.datetime) -> Iterator[Step]:
    """Two people agree that the newcomer may set up new factors."""
    names: list[Proposal] = []

    def ask() -> None:
        what = {"person": who(NEWCOMER).audit_id.hex}
        names.append(propose(Act.RESET_FACTORS, what, person=who("admin"), at=at))

    yield ask
    yield lambda: approve(names[-1], person=who("lead"), digest=names[-1].digest, at=at)
    yield lambda: carry_out(names[-1], person=who("admin"), at=at)


def by_keyd(home: Path, do: Step) -> Step:
    """A step that the key process does its part of; without its answer nothing is done."""

    def step() -> None:
        with override_settings(KEYD=str(home / "keyd" / "keyd.socket")):
            client = keyd()
            assert client is not None
            try:
                do()
            except KeydUnreachable as error:
                raise audit.AuditUnavailable(str(error)) from None
            finally:
                client.close()

    return step


def retention(home: Path) -> Iterator[Step]:
    """A sealed object that is held, and another that is destroyed."""
    at = AT + 45 * MINUTE

    def kept(number: int) -> StoredContent:
        content = make.draw(number)
        file, _ = File.objects.get_or_create(
            sha256=hashlib.sha256(content).hexdigest(), defaults={"sha1": "", "md5": "", "size": len(content)}
        )
        evidence.keep({file: content}, at=at)
        return file.stored

    def keep_both() -> None:
        kept(70), kept(71)

    yield by_keyd(home, keep_both)
    yield by_keyd(home, lambda: place_hold(kept(70), "court-1", placed_by=who("lead"), at=at))
    yield by_keyd(home, lambda: destroy_in_time(kept(71), rule="demo", at=at))
    yield lambda: raise_alarm(AlarmKind.STOPPED, counted=9, of=9, at=at)
    yield lambda: end_alarm(AlarmKind.STOPPED, at=at)


def two_people(home: Path) -> Iterator[Step]:
    """The house, a proposal that is carried out, one that is cancelled, and a budget that `keyd` holds."""
    names: list[Proposal] = []

    def propose_house(house: House) -> None:
        names.append(propose(Act.CHANGE_HOUSE, {"house": house.value}, person=who("lead"), at=AT))

    yield lambda: declare_house(House.SIX, at=AT)
    yield lambda: propose_house(House.THREE)
    yield lambda: approve(names[-1], person=who("auditor"), digest=names[-1].digest, at=AT)
    yield lambda: carry_out(names[-1], person=who("lead"), at=AT)
    yield lambda: propose_house(House.SIX)
    yield lambda: cancel(names[-1], person=who("lead"), at=AT)
    yield by_keyd(home, lambda: set_budget(who("analyst-one"), USUAL, set_by=who("welfare"), second=who("lead"), at=AT))


def reading_a_text() -> None:
    settled = Outcome.objects.filter(investigation=named("HL-1")).order_by("pk")[0]
    text = {"kind": "text", "location": "a comment", "strength": "hint", "reader": "pictures/1", "length": 3}
    OriginSignal.objects.get_or_create(
        reading=settled.file.origin, place=0, defaults=text | {"digest": "0" * 64, "inferred": False}
    )
    grant_text_look(settled, 0, reason=TextReason.DECISION, person=who("senior"), session_key="s", at=AT + 38 * MINUTE)


def publishing() -> Iterator[Step]:
    """Figures that two people release."""
    names: list[Proposal] = []

    def proposed() -> None:
        what = {"investigation": named("HL-1").audit_id.hex, "digest": "d" * 64}
        what |= {"reference": "HL-2026-1", "title": "Drawn pictures", "period": "not stated"}
        names.append(propose(Act.PUBLISH_FIGURES, what, person=who("lead"), at=AT))

    yield proposed
    yield lambda: approve(names[-1], person=who("senior"), digest=names[-1].digest, at=AT)
    yield lambda: carry_out(names[-1], person=who("lead"), at=AT)


def releasing() -> Iterator[Step]:
    """A confirmed outcome onto a list and off it again, by two people of a house of three; a partner that gets it."""
    at, names = AT + 46 * MINUTE, list[Proposal]()

    def csam() -> HouseList:
        return HouseList.objects.get(name="house-csam")

    def proposed() -> None:
        ready = [one.outcome for one in candidates(at=at, house_list=csam()) if one.state is ReleaseState.READY]
        names.append(propose_release(csam(), ready, person=who("senior"), at=at))

    def asked(act: Act, what: dict[str, str], first: str) -> Step:
        return lambda: names.append(propose(act, what, person=who(first), at=at))

    def agreed(first: str, second: str) -> Iterator[Step]:
        yield lambda: approve(names[-1], person=who(second), digest=names[-1].digest, at=at)
        yield lambda: carry_out(names[-1], person=who(first), at=at)

    def released() -> ReleasedEntry:
        return ReleasedEntry.objects.order_by("pk")[0]

    def correct() -> None:
        facts = json.dumps(make.NO_SHAPES, sort_keys=True)
        what = {"outcome": released().outcome.audit_id.hex, "facts": facts, "reason": "wrong_file"}
        names.append(propose(Act.CORRECT_OUTCOME, what, person=who("senior"), at=at))

    north = {"partner": "north", "name": "North", "purpose": "agreement 4", "recipient": make.AGE_KEYS[0]}
    yield from assessing("analyst-one", make.TEXTURED, at=AT + 41 * MINUTE)
    yield from assessing("analyst-two", make.TEXTURED, at=AT + 44 * MINUTE)
    yield lambda: declare_term(7, by=who("lead"), at=at)
    yield lambda: record_deconfliction(
        named("HL-1"), DeconflictionAnswer.CLEAR, reference="police 1", person=who("lead"), at=at
    )
    yield lambda: open_house_list("house-csam", ListKind.CSAM, by=who("liaison"), at=at)
    yield proposed
    yield from agreed("senior", "auditor")
    yield asked(Act.ENROL_PARTNER_KEY, north, "liaison")
    yield from agreed("liaison", "lead")
    yield lambda: subscribe_partner(Partner.objects.get(), csam(), Door.EXCHANGE, by=who("liaison"), at=at)
    yield lambda: publish_edition(csam(), person=who("liaison"), at=at)
    yield lambda: end_subscription(Subscription.objects.get(ended_at=None), by=who("liaison"), at=at)
    yield lambda: suspend_partner(Partner.objects.get(), by=who("lead"), at=at)
    yield lambda: withdraw_entry(released(), reason=WithdrawalReason.ERROR, person=who("lead"), at=at)
    yield correct
    yield from agreed("senior", "adjudicator")


def confirming() -> Iterator[Step]:
    """Two further people assess what a third person decided; an alteration is shown to be far from its original."""
    at, names = AT + 47 * MINUTE, list[Proposal]()
    for name in ("analyst-three", "analyst-four"):
        earlier = {"password": None, "roles": (Role.ANALYST,), "at": AT - 2 * make.DAY}
        yield lambda name=name, earlier=earlier: enrol_person(name, **earlier)  # type: ignore[misc]
        yield lambda name=name: certify_person(who(name), until=AT + make.DAY, issued_by=None, at=AT)  # type: ignore[misc]

    def asked() -> None:
        ask_for_pair(Outcome.objects.get(settled_by="adjudication", corrects=None), by=who("lead"), at=at)

    def apart() -> None:
        decided, other = Outcome.objects.filter(correction=None).exclude(revision=None).order_by("pk")[:2]
        what = {"outcome": decided.audit_id.hex, "original": other.audit_id.hex}
        names.append(propose(Act.SHOW_APART, what, person=who("senior"), at=at))

    yield asked
    yield from assessing("analyst-three", make.TRIANGLE, at=at)
    yield from assessing("analyst-four", make.TRIANGLE, at=at)
    yield apart
    yield lambda: approve(names[-1], person=who("adjudicator"), digest=names[-1].digest, at=at)
    yield lambda: carry_out(names[-1], person=who("senior"), at=at)


def partners_lists(home: Path) -> Iterator[Step]:
    """A list that a partner sends: one entry through the screen, suspended, taken up again."""
    at = AT + 47 * MINUTE
    make.make_exchange(home, stage=Stage.ACTIVE, since=AT)
    yield lambda: let_through("north", "bad", by=who("lead"), at=at)
    yield lambda: suspend_list("north", by=who("liaison"), at=at)
    yield lambda: resume_list("north", by=who("liaison"), at=at)
    said = Said("north", digest="a" * 64)
    yield lambda: take_trust_step(TrustChange.PINNED, said, do=lambda: None, person=who("liaison"), at=at)
    south = Exchange(make.make_exchange(home, stage=Stage.ACTIVE, since=AT, name="south"))
    south.store.set_stage(Stage.ACTIVE, at=AT, agreed="a" * 32)
    south.close()
    counted = {"investigation": named("HL-1"), "files": 2, "matched": 1, "counted_at": AT}
    ShadowCount.objects.create(list_name="north-list", **counted)
    yield lambda: look_up_next(at=at)


def law_and_quality() -> Iterator[Step]:
    from .test_law import HOUSE as DOCUMENT

    at = AT + 40 * MINUTE
    yield lambda: import_framework(DOCUMENT, by=who("lead"), at=at, origin="a test")
    yield lambda: configure_framework(named("HL-1"), "ncmec.industry", None, by=who("lead"), at=at)
    yield lambda: draw_quality_sample(named("HL-1"), by=who("senior"), wanted=1, at=at, seed=1)
    yield lambda: certify_person(who("senior"), until=at + dt.timedelta(days=300), issued_by=None, at=at)

    def look_over() -> None:
        assignment = begin_look(who("senior"), at=at)
        assert assignment is not None
        make.look(assignment, who("senior"), assignment.revision.members.get(place="shown"), step=1, at=at)
        record_finding(assignment.pk, FindingVerdict.REASSESS, person=who("senior"), at=at)

    yield look_over
    yield lambda: set_up_calibration(by=who("lead"), at=at)
    yield lambda: start_calibration(who("analyst-two"), at=at, seed=1)

    def give_up() -> None:
        pictures = Assignment.objects.filter(revision__calibration__session__person=who("analyst-two"))
        pictures.filter(done_at=None).update(done_at=at)
        continue_calibration(who("analyst-two"), at=at)

    yield give_up


def study(home: Path) -> Iterator[Step]:
    """Synthetic records, few of them."""
    whole = october_2023()
    looks = tuple(look for look in whole.looks if look.posting < 30)
    plan = dataclasses.replace(whole, postings=whole.postings[:30], looks=looks)
    yield lambda: record_study(plan, at=AT)


def named(reference: str) -> Investigation:
    return Investigation.objects.get(reference=reference)


def taking_in(reference: str, home: Path) -> Iterator[Step]:
    source = home / "source"
    source.mkdir(exist_ok=True)
    for number in (1, 2):
        (source / f"{number}.png").write_bytes(make.draw(1000 * number))
    yield lambda: create_investigation(
        reference,
        source_kind=SourceKind.SITE,
        period=(None, None),
        posted_total=2,
        sampling_rule=SamplingRule.EVERYTHING,
        authorised_by=who("lead"),
        legal_basis="drawn pictures",
        expires_on=AT.date() + make.DAY,
        framework="demo.shapes",
        framework_version=None,
        plan=Plan.DOUBLE,
        at=AT,
    )
    yield lambda: import_collection(
        named(reference),
        source=source,
        collection="drawn",
        manifest=None,
        lists=Lists([]),
        imported_by=who("lead"),
        approved_by=who("senior"),
        workers=1,
        at=AT,
    )


def held(name: str) -> Assignment:
    return Assignment.objects.get(person__name=name, done_at=None)


def looking_at(name: str, *, at: dt.datetime) -> Iterator[Step]:
    tokens = []

    def ask() -> None:
        (member,) = held(name).revision.members.all()
        shown = {"session_key": "s", "file_id": member.file_id, "ladder_step": 2, "at": at}
        tokens.append(grant_reveal(held(name).pk, person=who(name), **shown))

    yield lambda: take_next(who(name), at=at)
    yield ask
    yield lambda: use_reveal(tokens[-1], person=who(name), session_key="s", at=at)
    yield lambda: note_failed_reveal(
        Reveal.objects.get(token_digest=hashlib.sha256(tokens[-1].encode()).hexdigest()), at=at
    )


def looking_and_passing_on() -> Iterator[Step]:
    yield from looking_at("analyst-one", at=AT + MINUTE)
    yield lambda: raise_escalation(held("analyst-one").pk, person=who("analyst-one"), at=AT + MINUTE)
    yield lambda: record_stage(
        Escalation.objects.get(), EscalationStage.ACKNOWLEDGED, person=who("lead"), at=AT + 2 * MINUTE
    )
    yield lambda: skip_assignment(
        held("analyst-one").pk, person=who("analyst-one"), reason=SkipReason.UNCLEAR, at=AT + 3 * MINUTE
    )


def asking_for_an_import(home: Path) -> Iterator[Step]:
    (home / "inbox" / "drawn").mkdir(parents=True, exist_ok=True)
    what = {"source": "drawn", "collection": "from the inbox", "approved_by": who("senior"), "asked_by": who("lead")}
    yield lambda: ask_import(named("HL-2"), **what, at=AT + 48 * MINUTE)
    yield lambda: stop_import(ImportJob.objects.get(), said_by=who("lead"), at=AT + 48 * MINUTE)


def by_hand() -> Iterator[Step]:
    def waiting() -> int:
        return Assignment.objects.filter(person=None, done_at=None).order_by("pk")[0].pk

    at, lead = AT + 4 * MINUTE, "lead"
    yield lambda: assign_by_hand(waiting(), who("analyst-two"), reason=HandReason.SPREAD, said_by=who(lead), at=at)
    yield lambda: free_assignment(waiting(), said_by=who(lead), at=at)


def assessing(name: str, facts: dict[str, str], *, at: dt.datetime) -> Iterator[Step]:
    yield from looking_at(name, at=at)

    def submit() -> None:
        hold_submission(
            held(name).pk, person=who(name), facts=facts, same={}, active_seconds=Decimal(9), at=at + MINUTE
        )

    yield submit
    yield lambda: take_back(person=who(name), at=at + MINUTE)
    yield submit
    yield lambda: record_held(person=who(name), at=at + 2 * MINUTE)
