"""The pages of disputes and of feedback: what stands there for whom, the buttons, refusals, and what waits at home."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.utils import timezone

from havenline.connectors.stages import Stage
from havenline_desk.actions.keep_feedback import switch_feedback
from havenline_desk.actions.record_feed_vote import record_feed_vote
from havenline_desk.models import (
    EntryFinding,
    EntryReview,
    FeedbackOpinion,
    FeedbackSwitch,
    FeedbackTry,
    Partner,
    Person,
    ReleasedEntry,
    Role,
    RoleGrant,
    VoteReason,
    Withdrawal,
)

from . import factories as make
from . import feeds

pytestmark = pytest.mark.django_db


@pytest.fixture
def people() -> dict[str, Person]:
    return make.world(at=timezone.now() - 3 * make.DAY)


@pytest.fixture
def entry(people: dict[str, Person]) -> ReleasedEntry:
    at = timezone.now() - 2 * make.DAY
    make.settle(people, make.TEXTURED, at=at)
    make.clear_all(people["lead"], at=at + make.DAY / 2)
    listed = make.house_list(people, at=at + make.DAY / 2)
    (made,) = make.release(listed, people, at=at + make.DAY / 2)
    return made


@pytest.fixture
def disputed(entry: ReleasedEntry) -> ReleasedEntry:
    at = timezone.now() - make.DAY
    subscription = feeds.subscribe(feeds.partner("north", at=at), entry.list, at=at)
    record_feed_vote(subscription, entry.entry, fingerprint="md5", against=VoteReason.ADULT, at=at)
    return entry


def page(person: Person, path: str) -> str:
    answer = make.client_of(person).get(path)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_a_vote_stands_on_the_page_with_its_partner_and_the_buttons_of_who_may_end_it(
    people: dict[str, Person], disputed: ReleasedEntry
) -> None:
    shown = page(people["lead"], "/disputes")
    assert disputed.entry in shown
    assert "no child is shown" in shown
    assert "open for 1 day" in shown
    assert 'value="withdrawn"' in shown
    assert 'value="withdrawn"' not in page(people["liaison"], "/disputes")
    assert disputed.file.md5 not in shown
    RoleGrant.objects.filter(person=people["analyst-one"]).update(role=Role.SENIOR)
    own = page(people["analyst-one"], "/disputes")
    assert 'value="withdrawn"' not in own
    assert "You assessed this file" in own
    for name in ("liaison", "lead", "senior", "auditor"):
        assert "1 dispute is open" in page(people[name], "/")
    assert "1 dispute is open" not in page(people["analyst-two"], "/")


def test_a_press_ends_the_review_and_a_second_one_is_told_why_not(
    people: dict[str, Person], disputed: ReleasedEntry
) -> None:
    review = EntryReview.objects.get().audit_id.hex
    client = make.client_of(people["senior"])
    assert client.post("/disputes/end", {"review": review, "verdict": "stands"}).status_code == 302
    assert EntryFinding.objects.get().verdict == "stands"
    assert not Withdrawal.objects.exists()
    again = client.post("/disputes/end", {"review": review, "verdict": "withdrawn"})
    assert again.status_code == 422
    assert b"ended this review meanwhile" in again.content
    shown = page(people["senior"], "/disputes")
    assert "No dispute is open" in shown
    assert "the entry stands" in shown
    unknown = client.post("/disputes/end", {"review": "x", "verdict": "stands"})
    assert unknown.status_code == 422


def test_a_dispute_by_letter_is_noted_on_the_page(people: dict[str, Person], entry: ReleasedEntry) -> None:
    Partner.objects.create(slug="south", name="South", purpose="agreement 5", enrolled_at=timezone.now())
    client = make.client_of(people["liaison"])
    said = {"entry": entry.entry, "partner": "south", "reason": "not_illegal"}
    assert client.post("/disputes/note", said | {"entry": "none"}).status_code == 422
    assert client.post("/disputes/note", said).status_code == 302
    assert EntryReview.objects.get().opened_by == people["liaison"]
    assert client.post("/disputes/note", said).status_code == 422


def test_the_liaison_switches_a_source_on_and_the_lead_off(home: Path, people: dict[str, Person]) -> None:
    assert "set up and fetched on the command line" in page(people["liaison"], "/feedback")
    make.make_exchange(home, stage=Stage.ACTIVE, since=timezone.now())
    shown = page(people["liaison"], "/feedback")
    assert "Switch on" in shown
    assert "Switch on" not in page(people["lead"], "/feedback")
    client = make.client_of(people["liaison"])
    refused = client.post("/feedback/on", {"exchange": "north", "against": " , "})
    assert refused.status_code == 422
    assert client.post("/feedback/on", {"exchange": "north", "against": "g-1, g-2"}).status_code == 302
    assert FeedbackSwitch.objects.get().against == ["g-1", "g-2"]
    off = page(people["lead"], "/feedback")
    assert "Switch off at once" in off
    assert make.client_of(people["lead"]).post("/feedback/off", {"exchange": "north"}).status_code == 302
    assert not FeedbackSwitch.objects.order_by("-pk")[0].on


def test_what_was_given_up_waits_at_home_and_is_sent_again_by_a_press(home: Path, people: dict[str, Person]) -> None:
    at = timezone.now()
    make.make_exchange(home, stage=Stage.ACTIVE, since=at)
    switch_feedback("north", against=["g-1"], by=people["liaison"], at=at)
    row = FeedbackOpinion.objects.create(
        list_name="north-list", key="9/e1", kind="md5", value="ab" * 16, view="for", proposed_at=at
    )
    FeedbackTry.objects.create(opinion=row, step="dead", at=at, why="PUT /v2/entries/9/e1: answered with status 500")
    assert "1 opinion could not be sent" in page(people["liaison"], "/")
    shown = page(people["liaison"], "/feedback")
    assert "answered with status 500" in shown
    assert "ab" * 16 not in shown
    client = make.client_of(people["liaison"])
    assert client.post("/feedback/retry", {"opinion": "x"}).status_code == 422
    assert client.post("/feedback/retry", {"opinion": row.audit_id.hex}).status_code == 302
    assert FeedbackTry.objects.order_by("-pk")[0].step == "again"
    assert "could not be sent" not in page(people["liaison"], "/")
