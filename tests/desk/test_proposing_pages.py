"""Proposing on pages what takes two people: small forms over one verb, a refusal beside its field, nothing lost."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from django.utils import timezone

from havenline_desk.actions.approve import approve
from havenline_desk.actions.carry_out import carry_out
from havenline_desk.agreement import what_of
from havenline_desk.gates import Act
from havenline_desk.models import Hold, Outcome, Person, Plan, Proposal, StoredContent
from havenline_desk.pages.proposing import FORMS

from . import factories as make

pytestmark = pytest.mark.django_db
WHO = {
    Act.CHANGE_HOUSE: "lead",
    Act.DECLARE_STORAGE: "lead",
    Act.APPROVE_FRAMEWORK: "lead",
    Act.RAISE_BUDGET: "welfare",
    Act.RESET_FACTORS: "admin",
    Act.RELEASE_HOLD: "lead",
    Act.DESTROY_EARLY: "lead",
}


@pytest.fixture
def at() -> dt.datetime:
    return timezone.now()


@pytest.fixture
def people(at: dt.datetime) -> dict[str, Person]:
    return make.world(at=at - 2 * make.DAY, plan=Plan.SINGLE, stacks=2)


@pytest.fixture
def kept(people: dict[str, Person], at: dt.datetime) -> str:
    stored = StoredContent.objects.order_by("pk")[0]
    Hold.objects.create(stored=stored, reference="court-7", placed_by=people["lead"], placed_at=at)
    return stored.object_name


def good(act: Act, kept: str) -> dict[str, str]:
    limits = {"per_hour": "10", "per_day": "80", "per_week": "300", "minutes": "45", "mebibytes": "512"}
    return {
        Act.CHANGE_HOUSE: {"house": "three_to_five"},
        Act.DECLARE_STORAGE: {"legal_basis": "an agreement of this year"},
        Act.APPROVE_FRAMEWORK: {"framework": "gb-eaw 2023-09", "counsel": "opinion 4"},
        Act.RAISE_BUDGET: {"person": "analyst-one", **limits},
        Act.RESET_FACTORS: {"person": "analyst-one"},
        Act.RELEASE_HOLD: {"hold": f"{kept} court-7"},
        Act.DESTROY_EARLY: {"object": kept, "rule": "court_order"},
    }[act]


@pytest.mark.parametrize("act", FORMS, ids=str)
def test_each_form_proposes_its_act_for_whom_may_and_for_nobody_else(
    act: Act, people: dict[str, Person], kept: str
) -> None:
    browser, sent = make.client_of(people[WHO[act]]), good(act, kept)
    field = next(iter(sent))
    assert f'id="{act.value}-{field}"' in browser.get("/proposals/new").content.decode()
    empty = browser.post("/proposals/new", {"act": act.value} | dict.fromkeys(sent, ""))
    assert empty.status_code == 422
    for name in sent:
        assert f'id="problem-{act.value}-{name}"' in empty.content.decode()
    assert not Proposal.objects.exists()
    assert browser.post("/proposals/new", {"act": act.value, **sent}).status_code == 302
    made = Proposal.objects.get()
    assert (made.act, made.proposer) == (act.value, people[WHO[act]])
    assert make.client_of(people["auditor"]).post("/proposals/new", {"act": act.value, **sent}).status_code == 403
    assert f'id="{act.value}-{field}"' not in make.client_of(people["auditor"]).get("/proposals/new").content.decode()


def test_what_was_typed_stays_and_a_budget_is_in_bytes(people: dict[str, Person], kept: str) -> None:
    browser, sent = make.client_of(people["welfare"]), good(Act.RAISE_BUDGET, kept) | {"act": "raise_budget"}
    wrong = browser.post("/proposals/new", sent | {"per_week": "many", "minutes": "9" * 12}).content.decode()
    assert 'value="many" aria-invalid="true"' in wrong
    assert 'value="512"' in wrong
    assert '<option value="analyst-one" selected>' in wrong
    assert '<option value="welfare"' not in wrong, "nobody proposes for themselves"
    browser.post("/proposals/new", sent)
    assert what_of(Proposal.objects.get())["bytes_per_day"] == 512 << 20


def test_content_that_is_not_kept_is_not_proposed_for_destruction(people: dict[str, Person]) -> None:
    sent = {"act": "destroy_early", "object": "0" * 32, "rule": "court_order"}
    answer = make.client_of(people["lead"]).post("/proposals/new", sent)
    assert "No content is kept under this name" in answer.content.decode()


def test_a_correction_is_proposed_on_the_record_and_carried_out_by_two(
    people: dict[str, Person], at: dt.datetime
) -> None:
    make.assess(people["analyst-one"], make.TRIANGLE, at=at - dt.timedelta(hours=1))
    outcome = Outcome.objects.get()
    address = f"/investigations/HL-1/records/{outcome.audit_id.hex}"
    senior = make.client_of(people["senior"])
    assert 'id="fact-largest_colour"' in senior.get(address).content.decode()
    assert 'id="fact-largest_colour"' not in make.client_of(people["lead"]).get(address).content.decode()
    typed = {f"fact.{question}": answer for question, answer in make.TRIANGLE.items()}
    same = senior.post(f"{address}/correct", typed | {"reason": "reviewed"})
    assert "there is nothing to correct" in same.content.decode()
    wrong = senior.post(f"{address}/correct", typed | {"fact.shapes": "", "reason": "Not a code"})
    assert wrong.status_code == 422
    assert 'id="problem-shapes"' in wrong.content.decode()
    assert 'value="Not a code" aria-invalid="true"' in wrong.content.decode()
    assert not Proposal.objects.exists()
    blue = typed | {"fact.largest_colour": "blue", "reason": "reviewed"}
    assert senior.post(f"{address}/correct", blue).status_code == 302
    proposal = Proposal.objects.get()
    assert json.loads(what_of(proposal)["facts"])["largest_colour"] == "blue"
    approve(proposal, person=people["adjudicator"], digest=proposal.digest, at=timezone.now())
    carry_out(proposal, person=people["senior"], at=timezone.now())
    assert Outcome.objects.get(correction=None).facts["largest_colour"] == "blue"
    assert make.client_of(people["analyst-one"]).post(f"{address}/correct", blue).status_code == 403
