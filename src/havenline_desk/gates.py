"""Who may do what: one table of every act, default deny.

Each row says who may do or propose the act, on which objects, whether a second factor must have been shown a moment
ago, how many people it takes, and who may be the second. `docs/policy-table.md` shows the same table for reading.

Every way in names its act: a route by `@gate`; a command, a job or an operation of a socket in the tables of
`ways_in.py`. The system check refuses one without. Roles and acts are code and nowhere else: no
database row, no setting and no flag of a person widens them.
"""
# long: one table of every act, to be read as a whole

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from havenline.vocabulary import HavenlineError

from . import factors
from .models import (
    Assessment,
    Certificate,
    House,
    HouseDeclaration,
    InstallationKind,
    Person,
    Policy,
    Proposal,
    Role,
    RoleGrant,
    StackRevision,
)

View = Callable[..., HttpResponseBase]


class Denied(HavenlineError):
    """This person may not do this; the text says which role is missing."""


class Act(StrEnum):
    """Everything that anybody or anything may do here. Those of later parts stand here before their code does."""

    SIGN_IN = "sign_in"
    OWN_SIGN_IN = "own_sign_in"
    SEE_HOME = "see_home"
    TAKE_ASSESSMENT = "take_assessment"
    TAKE_DISPUTE = "take_dispute"
    WORK = "work"
    SEE_INVESTIGATIONS = "see_investigations"
    SEE_FIGURES = "see_figures"
    SEE_RECORDS = "see_records"
    READ_ORIGIN_TEXT = "read_origin_text"
    CREATE_INVESTIGATION = "create_investigation"
    APPROVE_IMPORT = "approve_import"
    IMPORT_COLLECTION = "import_collection"
    SEE_IMPORTS = "see_imports"
    STOP_IMPORT = "stop_import"
    APPROVE_FRAMEWORK = "approve_framework"
    IMPORT_FRAMEWORK = "import_framework"
    CONFIGURE_FRAMEWORKS = "configure_frameworks"
    SEE_FRAMEWORKS = "see_frameworks"
    SEE_AGREEMENT = "see_agreement"
    DRAW_QUALITY_SAMPLE = "draw_quality_sample"
    LOOK_OVER_SAMPLE = "look_over_sample"
    OPEN_CALIBRATION = "open_calibration"
    EXPORT_LOG = "export_log"
    SEE_ESCALATIONS = "see_escalations"
    ESCALATE = "escalate"
    ANSWER_ESCALATION = "answer_escalation"
    COSIGN_REFERRAL = "cosign_referral"
    DECLARE_CONTACT = "declare_contact"
    SET_URGENCY = "set_urgency"
    KEEP_POOLS = "keep_pools"
    SEE_QUEUE = "see_queue"
    ASSIGN_BY_HAND = "assign_by_hand"
    FREE_ASSIGNMENT = "free_assignment"
    SEE_PROPOSALS = "see_proposals"
    APPROVE_PROPOSAL = "approve_proposal"
    CANCEL_PROPOSAL = "cancel_proposal"
    CARRY_OUT_PROPOSAL = "carry_out_proposal"
    GRANT_ROLE = "grant_role"
    RESET_FACTORS = "reset_factors"
    CHANGE_HOUSE = "change_house"
    DECLARE_STORAGE = "declare_storage"
    STOP_STORAGE = "stop_storage"
    RAISE_BUDGET = "raise_budget"
    LOWER_BUDGET = "lower_budget"
    LOWER_OWN_BUDGET = "lower_own_budget"
    PLACE_HOLD = "place_hold"
    RELEASE_HOLD = "release_hold"
    DESTROY_EARLY = "destroy_early"
    PUBLISH_FIGURES = "publish_figures"
    SEE_RELEASES = "see_releases"
    OPEN_HOUSE_LIST = "open_house_list"
    RECORD_DECONFLICTION = "record_deconfliction"
    DECLARE_DECONFLICTION = "declare_deconfliction"
    ASK_FOR_PAIR = "ask_for_pair"
    SHOW_APART = "show_apart"
    RELEASE_HASH = "release_hash"
    WITHDRAW_HASH = "withdraw_hash"
    PUBLISH_EDITION = "publish_edition"
    CORRECT_OUTCOME = "correct_outcome"
    SEE_PARTNERS = "see_partners"
    ENROL_PARTNER_KEY = "enrol_partner_key"
    KEEP_FEEDS = "keep_feeds"
    SUBSCRIBE_PARTNER = "subscribe_partner"
    SUSPEND_PARTNER = "suspend_partner"
    SEE_INCOMING = "see_incoming"
    ACTIVATE_LIST = "activate_list"
    SUSPEND_PUBLISHER = "suspend_publisher"
    ACCEPT_LOSS = "accept_loss"
    WITHHOLD_ENTRY = "withhold_entry"
    LET_THROUGH = "let_through"
    SEND_FEEDBACK = "send_feedback"
    STOP_FEEDBACK = "stop_feedback"
    DISPUTE_ENTRY = "dispute_entry"
    REVIEW_ENTRY = "review_entry"
    # Of later parts:
    REFER = "refer"
    REFER_AT_ONCE = "refer_at_once"
    SEND_NOTICE = "send_notice"
    REVOKE_ROLE = "revoke_role"
    CLOSE_PERSON = "close_person"
    SEE_OWN_EXPOSURE = "see_own_exposure"
    SEE_EXPOSURE = "see_exposure"
    SEE_TEAM_EXPOSURE = "see_team_exposure"
    CARE_FOR_HOUSE = "care_for_house"
    KEEP_SHIFT = "keep_shift"
    READ_OWN_LOG = "read_own_log"
    READ_CUSTODY = "read_custody"
    READ_SYSTEM_LOG = "read_system_log"
    READ_LOG = "read_log"
    MAKE_API_KEY = "make_api_key"
    END_API_KEY = "end_api_key"
    SEE_MATCH_ALARMS = "see_match_alarms"
    CLOSE_MATCH_ALARM = "close_match_alarm"
    SEE_WEBHOOKS = "see_webhooks"
    KEEP_WEBHOOKS = "keep_webhooks"
    # Of programs with a key:
    USE_MATCH_API = "use_match_api"
    SEE_PEOPLE = "see_people"
    # Of whoever runs commands or services on the host:
    INSTALL = "install"
    ENROL_PERSON = "enrol_person"
    CERTIFY_PERSON = "certify_person"
    SEE_STATUS = "see_status"
    CHECK_LOG = "check_log"
    HASH_FILES = "hash_files"
    KEEP_LISTS = "keep_lists"
    LOOK_UP = "look_up"
    KEEP_CONTENT = "keep_content"
    SIGN_LOG = "sign_log"
    DESTROY_IN_TIME = "destroy_in_time"
    ROTATE_KEYS = "rotate_keys"
    RUN_JOBS = "run_jobs"
    SEND_WEBHOOKS = "send_webhooks"


class Reach(StrEnum):
    """Whom an act is open to at all."""

    ANYBODY = "anybody"
    SIGNED_IN = "signed in"
    ROLES = "roles"
    HOST = "host"
    """System users of the host: whoever may run the command, or is a known peer of the socket."""
    KEY = "a key of the match service"
    """Programs alone; a session of a person is no key, and a key opens no page."""


class About(StrEnum):
    """On which objects an act may be done, where not on all; ENFORCED_BY says where that is decided."""

    OWN_ASSIGNMENT = "own open assignment, certificate in date"
    OWN_VIEW = "own grant, same session, unused, within 120 seconds"
    NEVER_TWICE = "a stack that one has not assessed"
    UNSEEN_ESCALATION = "own escalation, or of a stack that one never worked on"
    SETTLED = "a settled file that nobody assesses blind"
    NOT_ONESELF = "another person"
    ONESELF = "oneself"
    ANOTHERS_PROPOSAL = "a proposal of another person, open, that waits for one's role"
    OWN_OR_WAITING = "own proposal, or one that waits for one's role"
    NOT_AN_ASSESSOR = "files that one has not assessed"
    IN_DATE = "an investigation whose authority is in date"


ENFORCED_BY: Mapping[About, str] = {
    About.OWN_ASSIGNMENT: "havenline_desk.waiting.open_in_the_name_of",
    About.OWN_VIEW: "havenline_desk.actions.grant_reveal.use_reveal",
    About.NEVER_TWICE: "havenline_desk.waiting.waiting_for",
    About.UNSEEN_ESCALATION: "havenline_desk.escalated.escalations_open_to",
    About.SETTLED: "havenline_desk.actions.look_at_text.grant_text_look",
    About.NOT_ONESELF: "havenline_desk.actions.enrol_person.certify_person",
    About.ONESELF: "havenline_desk.gates.is_oneself",
    About.ANOTHERS_PROPOSAL: "havenline_desk.gates.may_second",
    About.OWN_OR_WAITING: "havenline_desk.gates.concerns",
    About.NOT_AN_ASSESSOR: "havenline_desk.gates.has_not_assessed",
    About.IN_DATE: "havenline_desk.actions.import_collection.import_collection",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table. `roles` do the act, or propose it where it takes two; `second` may agree to it."""

    reach: Reach = Reach.ROLES
    roles: frozenset[Role] = frozenset()
    about: About | None = None
    fresh: bool = False
    people: int = 1
    second: frozenset[Role] = frozenset()


def _by(*roles: Role, about: About | None = None, fresh: bool = False) -> Rule:
    return Rule(roles=frozenset(roles), about=about, fresh=fresh)


def _two(*roles: Role, second: frozenset[Role], about: About | None = None) -> Rule:
    """Acts that harm a person or widen exposure take two people, each with a factor shown a moment ago."""
    return Rule(roles=frozenset(roles), about=about, fresh=True, people=2, second=second)


_A, _S, _J, _L = Role.ANALYST, Role.SENIOR, Role.ADJUDICATOR, Role.LEAD
EVERYONE = frozenset(Role)
OUTSIDE = frozenset({Role.AUDITOR, Role.WELFARE})
"""In a house of one or two these are held by people from outside, who see facts only."""
_HOST = Rule(reach=Reach.HOST)

RULES: Mapping[Act, Rule] = {
    Act.SIGN_IN: Rule(reach=Reach.ANYBODY),
    Act.OWN_SIGN_IN: Rule(reach=Reach.SIGNED_IN, about=About.ONESELF),
    Act.SEE_HOME: _by(*EVERYONE),
    Act.TAKE_ASSESSMENT: _by(_A, about=About.NEVER_TWICE),
    Act.TAKE_DISPUTE: _by(_J, about=About.NEVER_TWICE),
    Act.WORK: _by(_A, _S, _J, about=About.OWN_ASSIGNMENT),
    Act.SEE_INVESTIGATIONS: _by(_L, _S, Role.AUDITOR),
    Act.SEE_FIGURES: _by(_L, _S, _J, Role.LIAISON, Role.AUDITOR),
    Act.SEE_RECORDS: _by(_L, _S),
    Act.READ_ORIGIN_TEXT: _by(_L, _S, about=About.SETTLED, fresh=True),
    Act.CREATE_INVESTIGATION: _by(_L),
    Act.APPROVE_IMPORT: _by(_S, _L, about=About.NOT_ONESELF),
    Act.IMPORT_COLLECTION: _two(_L, second=frozenset({_S, _L}), about=About.IN_DATE),
    Act.SEE_IMPORTS: _by(_L),
    Act.STOP_IMPORT: _by(_L),
    Act.APPROVE_FRAMEWORK: _two(_L, second=frozenset({_S, _J, _L})),
    Act.EXPORT_LOG: _by(Role.AUDITOR),
    Act.SEE_ESCALATIONS: _by(_A, _S, _J, _L, about=About.UNSEEN_ESCALATION),
    Act.ESCALATE: _by(_A, _S, _J, _L, about=About.OWN_ASSIGNMENT),
    Act.ANSWER_ESCALATION: _by(_L, _S, about=About.UNSEEN_ESCALATION),
    Act.COSIGN_REFERRAL: _by(_L, _S, _J, about=About.UNSEEN_ESCALATION),
    Act.DECLARE_CONTACT: _by(_L),
    Act.SET_URGENCY: _by(_L),
    Act.KEEP_POOLS: _by(_L),
    Act.SEE_QUEUE: _by(_L),
    Act.ASSIGN_BY_HAND: _by(_L, about=About.NOT_ONESELF),
    Act.FREE_ASSIGNMENT: _by(_L),
    Act.IMPORT_FRAMEWORK: _by(_L),
    Act.CONFIGURE_FRAMEWORKS: _by(_L),
    Act.SEE_FRAMEWORKS: _by(*EVERYONE),
    Act.SEE_AGREEMENT: _by(_L, _S),
    Act.DRAW_QUALITY_SAMPLE: _by(_S),
    Act.LOOK_OVER_SAMPLE: _by(_S, about=About.NEVER_TWICE),
    Act.OPEN_CALIBRATION: _by(_A, _S, _J, about=About.ONESELF),
    Act.SEE_PROPOSALS: _by(*EVERYONE - {_A}, about=About.OWN_OR_WAITING),
    Act.APPROVE_PROPOSAL: _by(*EVERYONE - {_A}, about=About.ANOTHERS_PROPOSAL, fresh=True),
    Act.CANCEL_PROPOSAL: _by(*EVERYONE - {_A}, about=About.OWN_OR_WAITING),
    Act.CARRY_OUT_PROPOSAL: _by(*EVERYONE - {_A}, about=About.OWN_OR_WAITING, fresh=True),
    Act.GRANT_ROLE: _two(Role.ADMIN, second=frozenset({_L}), about=About.NOT_ONESELF),
    Act.RESET_FACTORS: _two(Role.ADMIN, second=frozenset({_L}), about=About.NOT_ONESELF),
    Act.CHANGE_HOUSE: _two(_L, second=frozenset({Role.AUDITOR, Role.ADMIN})),
    Act.DECLARE_STORAGE: _two(_L, second=frozenset({Role.AUDITOR})),
    Act.STOP_STORAGE: _by(_L, _S, _J, Role.AUDITOR, Role.WELFARE),
    Act.RAISE_BUDGET: _two(Role.WELFARE, second=frozenset({_L}), about=About.NOT_ONESELF),
    Act.LOWER_BUDGET: _by(Role.WELFARE, _L),
    Act.LOWER_OWN_BUDGET: Rule(reach=Reach.SIGNED_IN, about=About.ONESELF),
    Act.PLACE_HOLD: _by(_L, _S, _J),
    Act.RELEASE_HOLD: _two(_L, second=frozenset({_S, _J, _L})),
    Act.DESTROY_EARLY: _two(_L, second=frozenset({_S})),
    Act.PUBLISH_FIGURES: _two(_L, second=frozenset({_S, _J, Role.AUDITOR})),
    Act.SEE_RELEASES: _by(_S, _J, _L, Role.LIAISON, Role.AUDITOR),
    Act.OPEN_HOUSE_LIST: _by(Role.LIAISON),
    Act.RECORD_DECONFLICTION: _by(_L, _S),
    Act.DECLARE_DECONFLICTION: _by(_L, fresh=True),
    Act.ASK_FOR_PAIR: _by(_S, _J, _L),
    Act.SHOW_APART: _two(_S, second=frozenset({_J})),
    Act.RELEASE_HASH: _two(_S, _J, second=frozenset({_S, _J}), about=About.NOT_AN_ASSESSOR),
    Act.WITHDRAW_HASH: _by(_S, _J, _L),
    Act.PUBLISH_EDITION: _by(Role.LIAISON, fresh=True),
    Act.CORRECT_OUTCOME: _two(_S, second=frozenset({_J})),
    Act.SEE_PARTNERS: _by(Role.LIAISON, _L, Role.ADMIN, Role.AUDITOR),
    Act.ENROL_PARTNER_KEY: _two(Role.LIAISON, second=frozenset({_L, Role.ADMIN})),
    Act.KEEP_FEEDS: _by(Role.LIAISON),
    Act.SUBSCRIBE_PARTNER: _by(Role.LIAISON, fresh=True),
    Act.SUSPEND_PARTNER: _by(_S, _J, _L, Role.LIAISON),
    Act.SEE_INCOMING: _by(_L, _S, Role.LIAISON, Role.AUDITOR),
    Act.ACTIVATE_LIST: _two(Role.LIAISON, second=frozenset({_L, _S})),
    Act.SUSPEND_PUBLISHER: _by(_S, _J, _L, Role.LIAISON),
    Act.ACCEPT_LOSS: _two(Role.LIAISON, second=frozenset({_L, _S})),
    Act.WITHHOLD_ENTRY: _two(Role.LIAISON, _S, second=frozenset({_L, _S})),
    Act.LET_THROUGH: _by(_S, _L),
    Act.SEND_FEEDBACK: _by(Role.LIAISON, fresh=True),
    Act.STOP_FEEDBACK: _by(_S, _J, _L, Role.LIAISON),
    Act.DISPUTE_ENTRY: _by(Role.LIAISON, _S, _L),
    Act.REVIEW_ENTRY: _by(_S, _L, about=About.NOT_AN_ASSESSOR, fresh=True),
    Act.REFER: _two(_L, second=frozenset({_S, _J})),
    Act.REFER_AT_ONCE: _by(_A, _S, _J, _L, about=About.UNSEEN_ESCALATION),
    Act.SEND_NOTICE: _by(_L, _S),
    Act.REVOKE_ROLE: _by(Role.ADMIN, _L),
    Act.CLOSE_PERSON: _by(Role.ADMIN, _L),
    Act.SEE_OWN_EXPOSURE: Rule(reach=Reach.SIGNED_IN, about=About.ONESELF),
    Act.SEE_EXPOSURE: _by(Role.WELFARE),
    Act.SEE_TEAM_EXPOSURE: _by(_L, Role.WELFARE, Role.AUDITOR),
    Act.CARE_FOR_HOUSE: _by(Role.WELFARE),
    Act.KEEP_SHIFT: _by(_A, _J, about=About.ONESELF),
    Act.READ_OWN_LOG: Rule(reach=Reach.SIGNED_IN, about=About.ONESELF),
    Act.READ_CUSTODY: _by(_L, Role.AUDITOR),
    Act.READ_SYSTEM_LOG: _by(Role.ADMIN, Role.AUDITOR),
    Act.READ_LOG: _by(Role.AUDITOR),
    Act.MAKE_API_KEY: _by(Role.LIAISON, _L),
    Act.END_API_KEY: _by(Role.LIAISON, _L, Role.ADMIN),
    Act.SEE_MATCH_ALARMS: _by(Role.LIAISON, _L, Role.ADMIN, Role.AUDITOR),
    Act.CLOSE_MATCH_ALARM: _by(Role.LIAISON, _L),
    Act.SEE_WEBHOOKS: _by(Role.LIAISON, _L, Role.ADMIN, Role.AUDITOR),
    Act.KEEP_WEBHOOKS: _by(Role.LIAISON, fresh=True),
    Act.USE_MATCH_API: Rule(reach=Reach.KEY),
    Act.SEE_PEOPLE: _by(Role.ADMIN, _L, Role.AUDITOR),
    Act.INSTALL: _HOST,
    Act.ENROL_PERSON: _HOST,
    Act.CERTIFY_PERSON: _by(_S, _L, about=About.NOT_ONESELF),
    Act.SEE_STATUS: _HOST,
    Act.CHECK_LOG: _HOST,
    Act.HASH_FILES: _HOST,
    Act.KEEP_LISTS: _HOST,
    Act.LOOK_UP: _HOST,
    Act.KEEP_CONTENT: _HOST,
    Act.SIGN_LOG: _HOST,
    Act.DESTROY_IN_TIME: _HOST,
    Act.ROTATE_KEYS: replace(_HOST, people=2),
    Act.RUN_JOBS: _HOST,
    Act.SEND_WEBHOOKS: _HOST,
}
CONTENT_ACTS = frozenset({Act.TAKE_ASSESSMENT, Act.TAKE_DISPUTE, Act.LOOK_OVER_SAMPLE, Act.WORK})


@dataclass(frozen=True, slots=True)
class Profile:
    """The same table for a house of another size. `instead` are the rows that differ.

    `assessors`: who must agree blind before a hash may be released. `third_person`: whether a disagreement goes to a
    third person; otherwise it counts as undetermined. `approver_by_name`: whether who imports may name the approver of
    an import, who then need not agree to a proposal. `mark` stands on every entry that is released.
    """

    assessors: int
    third_person: bool
    hash_only: bool
    approver_by_name: bool
    mark: str
    instead: Mapping[Act, Rule]


_OUTSIDE_RELEASE = _two(_S, _J, _L, second=frozenset({Role.AUDITOR}))
"""The co-signer from outside sees facts only, so it does not matter that the first releaser may have assessed."""


def _small() -> dict[Act, Rule]:
    """For one or two people: an outside person may be the second, and the lead stands in for the administrator."""
    rows = {act: replace(rule, second=rule.second | OUTSIDE) for act, rule in RULES.items() if rule.second}
    rows[Act.GRANT_ROLE] = replace(rows[Act.GRANT_ROLE], roles=frozenset({Role.ADMIN, _L}))
    rows[Act.RESET_FACTORS] = replace(rows[Act.RESET_FACTORS], roles=frozenset({Role.ADMIN, _L}))
    rows[Act.APPROVE_IMPORT] = replace(RULES[Act.APPROVE_IMPORT], roles=RULES[Act.APPROVE_IMPORT].roles | OUTSIDE)
    rows[Act.RAISE_BUDGET] = replace(rows[Act.RAISE_BUDGET], second=frozenset({_L, Role.AUDITOR}))
    rows[Act.RELEASE_HASH] = _OUTSIDE_RELEASE
    return rows


PROFILES: Mapping[House, Profile] = {
    House.SIX: Profile(2, True, False, False, "", {}),
    House.THREE: Profile(2, True, False, False, "small-quorum", {Act.RELEASE_HASH: _OUTSIDE_RELEASE}),
    House.TWO: Profile(2, False, False, True, "small-quorum", _small()),
    House.ONE: Profile(1, False, True, True, "", {**_small(), Act.RELEASE_HASH: Rule()}),
}


def house() -> House:
    """The house as it was declared last; the strictest one where nothing was declared."""
    newest = HouseDeclaration.objects.order_by("-pk").first()
    return House.SIX if newest is None else House(newest.house)


def rule_of(act: Act, *, house: House) -> Rule:
    return PROFILES[house].instead.get(act, RULES[act])


def takes_two(act: Act) -> bool:
    """Whether `act` needs a proposal here. A demonstration and a study name their people on the command line."""
    policy = Policy.objects.order_by("-pk").first()
    drawn = policy is not None and policy.kind in {InstallationKind.DEMO, InstallationKind.STUDY}
    return not drawn and rule_of(act, house=house()).people > 1


def roles_of(person: Person, *, at: dt.datetime) -> frozenset[Role]:
    """The roles in force for `person` at `at`: granted, past their delay, not revoked."""
    if not person.is_active:
        return frozenset()
    grants = RoleGrant.objects.filter(person=person, effective_from__lte=at, revoked_at=None)
    return frozenset(Role(role) for role in grants.values_list("role", flat=True))


def acts_of(person: Person, *, at: dt.datetime) -> frozenset[Act]:
    """Everything the roles of `person` in force at `at` permit in this house: to do, or to propose."""
    return acts_for(roles_of(person, at=at))


def acts_for(roles: frozenset[Role]) -> frozenset[Act]:
    """Everything that those roles permit in this house: to do, or to propose."""
    here = house()
    held = {act for act in RULES if not rule_of(act, house=here).roles.isdisjoint(roles)}
    return frozenset(held - CONTENT_ACTS if PROFILES[here].hash_only else held)


def allowed(person: Person, act: Act, *, at: dt.datetime) -> bool:
    if RULES[act].reach is Reach.SIGNED_IN:
        return person.is_active
    return act in acts_of(person, at=at)


def require(person: Person, act: Act, *, at: dt.datetime) -> None:
    """Raise Denied unless a role of `person` in force at `at` permits `act`, alone or as who proposes it."""
    if not allowed(person, act, at=at):
        raise Denied(_refusal(person, act, rule_of(act, house=house()).roles))


def require_second(person: Person, act: Act, *, at: dt.datetime) -> None:
    """Raise Denied unless a role of `person` in force at `at` lets them agree to `act`. Not checked: whose it is."""
    second = rule_of(act, house=house()).second
    if second.isdisjoint(roles_of(person, at=at)):
        raise Denied(_refusal(person, act, second))


def require_among(people: Sequence[Person], act: Act, *, at: dt.datetime) -> None:
    """Raise Denied unless each may propose `act` or agree to it, and of several, one may propose and another agree.

    For an act whose two people each do the same by themselves, such as hearing a fingerprint.
    """
    seconds = rule_of(act, house=house()).second
    first = {person.pk for person in people if allowed(person, act, at=at)}
    second = {person.pk for person in people if not seconds.isdisjoint(roles_of(person, at=at))}
    for person in people:
        if person.pk not in first | second:
            raise Denied(_refusal(person, act, rule_of(act, house=house()).roles | seconds))
    if len(people) > 1 and not any(one != other for one in first for other in second):
        lacking = seconds if people[-1].pk in first else rule_of(act, house=house()).roles
        raise Denied(_refusal(people[-1], act, lacking))


def _refusal(person: Person, act: Act, roles: frozenset[Role]) -> str:
    if act in CONTENT_ACTS and PROFILES[house()].hash_only:
        return f"{person.name} may not {act.replace('_', ' ')}: a house of one person works with hashes only"
    wanted = " or ".join(sorted(role.label for role in roles))
    needed = f"the role {wanted} is needed" if wanted else "nobody may, in a house of this size"
    return f"{person.name} may not {act.replace('_', ' ')}: {needed}"


def certified(person: Person, *, at: dt.datetime) -> bool:
    """Whether a certificate (training done, calibration passed) is in date; nothing is assigned without one."""
    return Certificate.objects.filter(person=person, issued_at__lte=at, expires_at__gt=at).exists()


def is_oneself(person: Person, other: Person) -> bool:
    return person.pk == other.pk


def has_not_assessed(person: Person, *revisions: StackRevision) -> bool:
    return not Assessment.objects.filter(revision__in=revisions, person=person).exists()


def may_second(person: Person, proposal: Proposal, *, at: dt.datetime) -> bool:
    """Whether the proposal is another's and `person` holds a role that may agree to it. Not checked: its state."""
    act = Act(proposal.act)
    seconds = rule_of(act, house=house()).second
    return proposal.proposer_id != person.pk and not seconds.isdisjoint(roles_of(person, at=at))


def concerns(person: Person, proposal: Proposal, *, at: dt.datetime) -> bool:
    """Whether `person` may know of the proposal, cancel it, and carry it out once it is agreed."""
    return proposal.proposer_id == person.pk or may_second(person, proposal, at=at)


def gate(act: Act) -> Callable[[View], View]:
    """Let a view run only for a signed-in person whom the table permits `act`; SIGN_IN is open to everybody.

    Where the act asks for it, what is sent (POST) needs a second factor that was shown a moment ago.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def gated(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if RULES[act].reach is Reach.ANYBODY:
                return view(request, *args, **kwargs)
            if not isinstance(request.user, Person):
                return redirect(f"{settings.LOGIN_URL}?next={request.get_full_path()}")
            at = timezone.now()
            if not allowed(request.user, act, at=at):
                raise PermissionDenied
            if RULES[act].fresh and request.method == "POST" and not factors.fresh(request, at=at):
                return _factor_first(request)
            return view(request, *args, **kwargs)

        gated.act = act  # type: ignore[attr-defined]
        return gated

    return decorate


def _factor_first(request: HttpRequest) -> HttpResponseBase:
    """Nothing of what was sent is done; the person shows a factor, and sends it again from the page it stood on."""
    return redirect(f"{reverse('confirm')}?{urlencode({'next': '/' + request.path.split('/')[1]})}")
