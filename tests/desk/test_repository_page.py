"""This house as a publisher: the timestamp is renewed by itself, and what ends or differs is told before it harms."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.utils import timezone

from havenline.repository.publishing import RepositoryRefused
from havenline_cli import sealer
from havenline_desk.actions.keep_partners import subscribe_partner
from havenline_desk.actions.publish_edition import publish_edition
from havenline_desk.actions.take_trust_step import Said, renew_due, take_trust_step
from havenline_desk.models import AuditEntry, Door, HouseList, Person, PublishedEdition, TrustChange, TrustStep
from havenline_desk.queries.exchange_feeds import exchange_feeds
from havenline_desk.queries.repository import repository_page, roles_ending
from tests.core.connectors.publisher_rig import House
from tests.core.connectors.publisher_rig import Partner as Installation

from . import factories as make

pytestmark = pytest.mark.django_db
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def at() -> dt.datetime:
    return timezone.now()


@pytest.fixture
def people(at: dt.datetime) -> dict[str, Person]:
    made = make.world(at=at - HOUR, stacks=1)
    make.settle(made, make.TEXTURED, at=at - HOUR)
    make.hash_all()
    make.clear_all(made["lead"], at=at)
    return made


@pytest.fixture
def csam(people: dict[str, Person], at: dt.datetime) -> HouseList:
    return make.house_list(people, at=at)


@pytest.fixture
def house(people: dict[str, Person], csam: HouseList, at: dt.datetime, tmp_path: Path, settings: LazySettings) -> House:
    """A house whose edition 1 is published to one partner at `at`."""
    made, there = House(tmp_path / "house"), Installation(tmp_path / "there", "elsewhere")
    settings.REPOSITORY = str(made.repository.folder)
    there.greet(made)
    partner = make.enrol_partner(people, slug="elsewhere", key=made.keys["elsewhere"], at=at)
    make.release(csam, people, at=at)
    subscribe_partner(partner, csam, Door.EXCHANGE, by=people["liaison"], at=at)
    publish_edition(csam, person=people["liaison"], at=at)
    made.publish(at, exchange_feeds())
    return made


def test_the_timestamp_is_renewed_where_it_ends_soon_and_each_time_is_written_down(
    house: House, at: dt.datetime
) -> None:
    first = house.repository.timestamp()
    assert first is not None
    assert not renew_due(house.repository, at=at + 11 * HOUR)
    assert renew_due(house.repository, at=at + 13 * HOUR)
    assert not renew_due(house.repository, at=at + 13 * HOUR)
    again = house.repository.timestamp()
    assert again is not None
    assert (again[0], again[1] > first[1]) == (first[0] + 1, True)
    step = TrustStep.objects.get()
    assert (step.change, step.name, step.version) == (TrustChange.RENEWED, "timestamp", again[0])
    entry = AuditEntry.objects.get(act="trust_changed")
    assert (entry.purpose, entry.object) == ("renewed", step.audit_id)


def test_the_sealer_renews_in_the_minute_in_which_it_is_due(
    house: House, at: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealer._renew_repository()
    assert not TrustStep.objects.exists()  # it was signed a moment ago
    monkeypatch.setattr(sealer, "now", lambda: at + 13 * HOUR)
    sealer._renew_repository()
    assert TrustStep.objects.get().change == TrustChange.RENEWED


def test_a_step_that_the_files_refuse_is_not_recorded(house: House, at: dt.datetime) -> None:
    with pytest.raises(RepositoryRefused, match="nothing waits"):
        take_trust_step(TrustChange.PUBLISHED, Said("targets"), do=lambda: house.repository.publish(at=at), at=at)
    assert not TrustStep.objects.exists()
    assert not AuditEntry.objects.filter(act="trust_changed").exists()


def test_before_partners_refuse_what_is_published_the_first_page_says_so(
    house: House, people: dict[str, Person], at: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert roles_ending(at=at) == ()
    (soon,) = roles_ending(at=at + 30 * HOUR)
    assert (soon.role, soon.ended) == ("timestamp", False)
    assert {line.role for line in roles_ending(at=at + 8 * 24 * HOUR) if line.ended} == {"timestamp", "snapshot"}
    liaison, analyst = make.client_of(people["liaison"]), make.client_of(people["analyst-one"])
    assert "will soon refuse" not in liaison.get("/").content.decode()
    monkeypatch.setattr("havenline_desk.queries.home.roles_ending", lambda *, at: (soon,))
    assert "Partners will soon refuse what this house publishes" in liaison.get("/").content.decode()
    assert "will soon refuse" not in analyst.get("/").content.decode()
    next(house.repository.metadata.glob("*.snapshot.json")).write_text("{")
    (lost,) = roles_ending(at=at)
    assert (lost.role, lost.ended) == ("timestamp", True)


def test_signers_see_the_root_of_the_edition_that_was_released_and_one_that_differs(
    house: House, csam: HouseList, people: dict[str, Person], at: dt.datetime
) -> None:
    edition = PublishedEdition.objects.get()
    page = repository_page(at=at)
    assert page is not None
    (line,) = page.lists
    assert line.released == line.published == (1, edition.root)
    assert (line.waiting, line.differs, dict(page.recipients).keys()) == (None, False, {"elsewhere"})
    html = make.client_of(people["auditor"]).get("/repository").content.decode()
    assert edition.root in html
    assert "do not sign" not in html
    PublishedEdition.objects.update(root="f" * 64)
    html = make.client_of(people["senior"]).get("/repository").content.decode()
    assert "another root under the same number: do not sign" in html


def test_without_a_repository_the_page_says_how_one_is_made(people: dict[str, Person], home: Path) -> None:
    page = make.client_of(people["liaison"]).get("/repository")
    assert (page.status_code, "havenline repository init" in page.content.decode()) == (200, True)
