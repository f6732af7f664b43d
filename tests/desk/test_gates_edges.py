"""The table of acts at its edges: when a role begins, which house was declared last, the words of a refusal."""

from __future__ import annotations

import datetime as dt
from unittest import mock

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.utils import timezone

from havenline_desk import gates
from havenline_desk.actions.declare_policy import declare_house, declare_policy
from havenline_desk.gates import Act, Denied, Reach
from havenline_desk.models import (
    Certificate,
    House,
    HouseDeclaration,
    InstallationKind,
    Person,
    Proposal,
    Role,
    RoleGrant,
)

pytestmark = pytest.mark.django_db

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
TICK = dt.timedelta(microseconds=1)


def person(name: str, *roles: Role, since: dt.datetime = AT) -> Person:
    made = Person.objects.create(name=name, enrolled_at=since)
    for role in roles:
        RoleGrant.objects.create(person=made, role=role, granted_at=since, effective_from=since)
    return made


def test_a_role_counts_from_its_instant_until_it_is_revoked_and_for_active_people() -> None:
    lead = person("lead", Role.LEAD)
    assert gates.roles_of(lead, at=AT - TICK) == frozenset()
    assert gates.roles_of(lead, at=AT) == {Role.LEAD}
    lead.is_active = False
    assert gates.roles_of(lead, at=AT) == frozenset()
    lead.is_active = True
    RoleGrant.objects.update(revoked_at=AT)
    assert gates.roles_of(lead, at=AT) == frozenset()
    assert gates.acts_of(lead, at=AT) == frozenset()


def test_a_certificate_is_in_date_from_its_first_instant_to_before_its_last() -> None:
    analyst, other = person("analyst", Role.ANALYST), person("other", Role.ANALYST)
    Certificate.objects.create(person=analyst, issued_at=AT, expires_at=AT + 5 * TICK)
    assert [gates.certified(analyst, at=AT + number * TICK) for number in (-1, 0, 4, 5)] == [False, True, True, False]
    assert not gates.certified(other, at=AT)


def test_the_house_is_the_one_declared_last_and_the_strictest_before() -> None:
    assert gates.house() is House.SIX
    for house in (House.TWO, House.ONE, House.THREE):
        HouseDeclaration.objects.create(house=house, declared_at=AT)
        assert gates.house() is house


@pytest.mark.parametrize("kind", [None, *InstallationKind])
def test_an_act_takes_two_except_where_pictures_are_drawn(kind: InstallationKind | None) -> None:
    if kind is not None:
        declare_policy(kind, at=AT)
    drawn = kind in {InstallationKind.DEMO, InstallationKind.STUDY}
    assert (gates.takes_two(Act.GRANT_ROLE), gates.takes_two(Act.LOWER_BUDGET)) == (not drawn, False)


@pytest.mark.parametrize(
    ("house", "assessors", "third_person", "hash_only", "by_name", "mark"),
    [
        (House.SIX, 2, True, False, False, ""),
        (House.THREE, 2, True, False, False, "small-quorum"),
        (House.TWO, 2, False, False, True, "small-quorum"),
        (House.ONE, 1, False, True, True, ""),
    ],
)
def test_each_house_has_its_quorum(
    house: House, assessors: int, third_person: bool, hash_only: bool, by_name: bool, mark: str
) -> None:
    held = gates.PROFILES[house]
    assert (held.assessors, held.third_person, held.hash_only, held.approver_by_name, held.mark) == (
        *(assessors, third_person, hash_only, by_name, mark),
    )
    small = house in {House.ONE, House.TWO}
    apart = {
        Act.RELEASE_HASH,
        Act.RAISE_BUDGET,
        Act.GRANT_ROLE,
        Act.RESET_FACTORS,
        Act.APPROVE_IMPORT,
    }
    for act in set(Act) - apart:
        rule, usual = gates.rule_of(act, house=house), gates.RULES[act]
        assert rule.second == (usual.second | gates.OUTSIDE if small and usual.second else usual.second), act
        assert (rule.roles, rule.people, rule.fresh) == (usual.roles, usual.people, usual.fresh), act
    for act in (Act.GRANT_ROLE, Act.RESET_FACTORS):
        assert gates.rule_of(act, house=house).roles == ({Role.ADMIN, Role.LEAD} if small else {Role.ADMIN})
    assert gates.rule_of(Act.RAISE_BUDGET, house=house).second == ({Role.LEAD, Role.AUDITOR} if small else {Role.LEAD})
    outside = gates.OUTSIDE if small else frozenset()
    assert gates.rule_of(Act.APPROVE_IMPORT, house=house).roles == {Role.SENIOR, Role.LEAD} | outside


def test_what_takes_two_asks_for_a_fresh_factor_and_names_its_second() -> None:
    for act, rule in gates.RULES.items():
        if rule.people == 1:
            assert not rule.second, act
        elif rule.reach is not Reach.HOST:
            assert (rule.people, rule.fresh, bool(rule.second)) == (2, True, True), act
    one_person_shows_a_factor = {act for act, rule in gates.RULES.items() if rule.fresh and rule.people == 1}
    assert one_person_shows_a_factor == {
        Act.APPROVE_PROPOSAL,
        Act.CARRY_OUT_PROPOSAL,
        Act.DECLARE_DECONFLICTION,
        Act.KEEP_WEBHOOKS,
        Act.PUBLISH_EDITION,
        Act.READ_ORIGIN_TEXT,
        Act.REVIEW_ENTRY,
        Act.SEND_FEEDBACK,
        Act.SUBSCRIBE_PARTNER,
    }
    assert gates.RULES[Act.ROTATE_KEYS].people == 2


def test_a_refusal_says_which_role_is_missing() -> None:
    nobody = person("nobody")
    with pytest.raises(Denied, match=r"^nobody may not grant role: the role administrator is needed$"):
        gates.require(nobody, Act.GRANT_ROLE, at=AT)
    with pytest.raises(Denied, match=r"^nobody may not grant role: the role investigation lead is needed$"):
        gates.require_second(nobody, Act.GRANT_ROLE, at=AT)
    with pytest.raises(Denied, match="the role investigation lead or senior analyst is needed"):
        gates.require(nobody, Act.SEND_NOTICE, at=AT)
    gates.require(person("admin", Role.ADMIN), Act.GRANT_ROLE, at=AT)
    gates.require_second(person("lead", Role.LEAD), Act.GRANT_ROLE, at=AT)
    declare_house(House.ONE, at=AT)
    with pytest.raises(Denied, match="nobody may, in a house of this size"):
        gates.require(nobody, Act.RELEASE_HASH, at=AT)
    with pytest.raises(Denied, match="a house of one person works with hashes only"):
        gates.require(person("analyst", Role.ANALYST), Act.WORK, at=AT)


def test_ones_own_proposal_concerns_one_and_is_never_ones_to_second() -> None:
    lead, admin, auditor = person("lead", Role.LEAD), person("admin", Role.ADMIN), person("auditor", Role.AUDITOR)
    both = person("both", Role.ADMIN, Role.LEAD)
    by_admin = Proposal(act=Act.GRANT_ROLE.value, proposer=admin)
    by_both = Proposal(act=Act.GRANT_ROLE.value, proposer=both)
    for proposal, seconds, concerned in (
        (by_admin, {lead, both}, {lead, admin, both}),
        (by_both, {lead}, {lead, both}),
    ):
        everybody = (lead, admin, auditor, both)
        assert {each for each in everybody if gates.may_second(each, proposal, at=AT)} == seconds
        assert {each for each in everybody if gates.concerns(each, proposal, at=AT)} == concerned


def answered(act: Act, user: Person | AnonymousUser, *, method: str = "GET", fresh: bool = True) -> HttpResponse:
    @gates.gate(act)
    def view(request: HttpRequest, word: str) -> HttpResponse:
        return HttpResponse(word)

    request = getattr(RequestFactory(), method.lower())("/proposals/abc?x=1")
    request.user = user
    with mock.patch("havenline_desk.gates.factors.fresh", return_value=fresh) as asked:
        answer = view(request, "in")
    assert asked.called == (gates.RULES[act].fresh and method == "POST" and isinstance(user, Person))
    assert view.act is act  # type: ignore[attr-defined]
    assert isinstance(answer, HttpResponse)
    return answer


def test_a_gate_lets_through_sends_to_sign_in_asks_for_a_factor_or_refuses() -> None:
    lead = person("lead", Role.LEAD, since=timezone.now())
    for method in ("GET", "POST"):
        assert answered(Act.SIGN_IN, AnonymousUser(), method=method).content == b"in"
        assert answered(Act.SEE_PROPOSALS, lead, method=method, fresh=False).content == b"in"
        assert answered(Act.APPROVE_PROPOSAL, lead, method=method).content == b"in"
        assert answered(Act.OWN_SIGN_IN, person(f"nobody {method}"), method=method).content == b"in"
        away = answered(Act.SEE_PROPOSALS, AnonymousUser(), method=method)
        assert (away.status_code, away["Location"].endswith("?next=/proposals/abc?x=1")) == (302, True)
        with pytest.raises(PermissionDenied):
            answered(Act.EXPORT_LOG, lead, method=method)
    assert answered(Act.APPROVE_PROPOSAL, lead, fresh=False).content == b"in"
    first = answered(Act.APPROVE_PROPOSAL, lead, method="POST", fresh=False)
    assert (first.status_code, first["Location"]) == (302, "/confirm?next=%2Fproposals")
    with pytest.raises(PermissionDenied):
        answered(Act.HASH_FILES, lead)
