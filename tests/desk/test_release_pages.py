"""The pages of lists and partners: what they show, what they do, and what they never show."""

from __future__ import annotations

import datetime as dt

import pytest
from django.http import HttpResponse
from django.utils import timezone

from havenline_desk.actions.propose import propose
from havenline_desk.gates import Act
from havenline_desk.models import (
    Door,
    File,
    HouseList,
    Partner,
    PerceptualHash,
    Person,
    Proposal,
    PublishedEdition,
    ReleasedEntry,
    Subscription,
    Withdrawal,
)

from . import factories as make

pytestmark = pytest.mark.django_db


@pytest.fixture
def at() -> dt.datetime:
    return timezone.now()


@pytest.fixture
def people(at: dt.datetime) -> dict[str, Person]:
    made = make.world(at=at - 2 * make.DAY)
    make.settle(made, make.TEXTURED, at=at - make.DAY)
    make.hash_all()
    return made


def sent(person: Person, path: str, **form: str) -> HttpResponse:
    return make.client_of(person).post(path, form, follow=True)


def text(answer: HttpResponse) -> str:
    return answer.content.decode()


def test_a_file_goes_from_confirmed_to_published_to_withdrawn_on_pages(
    people: dict[str, Person], at: dt.datetime
) -> None:
    liaison, lead, senior = people["liaison"], people["lead"], people["senior"]
    assert "No list is open" in text(make.client_of(liaison).get("/releases"))
    sent(liaison, "/releases/open", name="house-csam", kind="csam")
    assert HouseList.objects.get().name == "house-csam"
    page = text(sent(lead, "/releases/police", investigation="HL-1", answer="hold", reference="police 1"))
    assert "Done, and written in the audit log." in page
    assert "Propose to release them" not in text(make.client_of(senior).get("/releases"))
    sent(lead, "/releases/police", investigation="HL-1", answer="clear", reference="police 2")
    sent(senior, "/releases/propose", list="house-csam", most="5")
    proposal = Proposal.objects.get(act=Act.RELEASE_HASH)
    page = text(make.client_of(people["adjudicator"]).get("/releases"))
    assert "1 entries onto house-csam" in page
    assert "waits for somebody like you" in page
    batch = text(make.client_of(people["auditor"]).get(f"/releases/{make.batch_of(proposal).audit_id.hex}"))
    assert "textured_triangle" in batch
    assert "sha256, sha1, md5, pdq" in batch
    sent(people["adjudicator"], "/proposals/approve", proposal=proposal.audit_id.hex, digest=proposal.digest)
    sent(senior, "/proposals/carry-out", proposal=proposal.audit_id.hex)
    released = ReleasedEntry.objects.get()
    sent(liaison, "/releases/publish", list="house-csam")
    assert PublishedEdition.objects.get().entries == 1
    page = text(make.client_of(lead).get("/releases"))
    assert released.entry in page
    values = {getattr(each, name) for each in File.objects.all() for name in ("sha256", "sha1", "md5")}
    values |= set(PerceptualHash.objects.values_list("pdq", flat=True))
    assert not [value for value in values if value in page + batch]
    assert "<img" not in page + batch
    sent(lead, "/releases/withdraw", entry=released.entry, reason="authority")
    assert Withdrawal.objects.get().reason == "authority"
    assert "an authority or a court asks for it" in text(make.client_of(lead).get("/releases"))


def test_what_cannot_be_is_said_and_nothing_is_done(people: dict[str, Person], at: dt.datetime) -> None:
    liaison, lead, senior = people["liaison"], people["lead"], people["senior"]
    make.house_list(people, at=at)
    for person, path, form, said in (
        (liaison, "open", {"name": "../x", "kind": "csam"}, "A list&#x27;s name is 1 to 64"),
        (liaison, "open", {"name": "new", "kind": "ncii"}, "Choose one of those shown"),
        (senior, "propose", {"list": "house-csam", "most": "many"}, "Say how many"),
        (senior, "propose", {"list": "house-csam", "most": "5"}, "A batch is of 1 to 1,000"),
        (senior, "propose", {"list": "none", "most": "5"}, "There is no such list"),
        (lead, "withdraw", {"entry": "0" * 32, "reason": "error"}, "There is no such entry"),
        (lead, "police", {"investigation": "HL-9", "answer": "clear"}, "There is no such investigation"),
        (lead, "term", {"days": "-1"}, "1 to 365 days"),
    ):
        answer = make.client_of(person).post(f"/releases/{path}", form)
        assert (answer.status_code, said in text(answer)) == (422, True), (path, form)
    assert make.client_of(senior).get("/releases/propose").status_code == 302
    assert make.client_of(senior).get("/releases/unknown").status_code == 404
    assert not Proposal.objects.exists()


def test_a_partner_is_enrolled_opened_closed_and_suspended_on_pages(people: dict[str, Person], at: dt.datetime) -> None:
    liaison, lead = people["liaison"], people["lead"]
    make.house_list(people, at=at)
    make.house_list(people, kind=make.ListKind.PROHIBITED, at=at)
    what = {"partner": "north", "name": "North", "purpose": "agreement 4", "recipient": make.AGE_KEYS[0]}
    assert "no public key of age" in text(sent(liaison, "/partners/enrol", **(what | {"recipient": "age1"})))
    sent(liaison, "/partners/enrol", **what)
    proposal = Proposal.objects.get()
    sent(lead, "/proposals/approve", proposal=proposal.audit_id.hex, digest=proposal.digest)
    sent(liaison, "/proposals/carry-out", proposal=proposal.audit_id.hex)
    assert "Nothing is open to it." in text(make.client_of(liaison).get("/partners"))
    door = {"partner": "north", "list": "house-prohibited", "door": "match"}
    assert "opted into it by name" in text(sent(liaison, "/partners/open", **door))
    sent(liaison, "/partners/open", **door, opted_in="house-prohibited")
    assert Subscription.objects.get(ended_at=None).door == Door.MATCH
    sent(lead, "/partners/close", **door)
    assert "This is closed already" in text(sent(lead, "/partners/close", **door))
    assert "No such partner is enrolled" in text(sent(lead, "/partners/suspend", partner="south"))
    page = text(sent(lead, "/partners/suspend", partner="north"))
    assert Partner.objects.get().suspended_at is not None
    assert "Suspended: nothing goes to this partner" in page
    assert make.client_of(liaison).get("/partners/open").status_code == 302


def test_what_a_release_would_do_is_told_in_words(people: dict[str, Person], at: dt.datetime) -> None:
    make.house_list(people, at=at)
    make.clear_all(people["lead"], at=at)
    sent(people["senior"], "/releases/propose", list="house-csam", most="5")
    outcome = make.Outcome.objects.get()
    what: dict[str, str | int] = {"outcome": outcome.audit_id.hex, "facts": "{}", "reason": "reviewed"}
    propose(Act.CORRECT_OUTCOME, what, person=people["senior"], at=at)
    page = text(make.client_of(people["adjudicator"]).get("/proposals"))
    assert "Release 1 entries onto the list house-csam (csam)" in page
    assert "Correct the outcome" in page
