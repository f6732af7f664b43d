"""How the work stands now: what is counted comes from the records, and each chart says what it counts."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from havenline_desk.models import Edition
from havenline_desk.queries.dashboard import DashboardChart, dashboard_of

from . import factories as make

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


def counts(chart: DashboardChart) -> dict[str, int]:
    return {row.label: row.count for row in chart.rows if row.count}


def test_every_chart_counts_the_records_of_its_investigation() -> None:
    at = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
    people = make.world(at=at, stacks=12)
    for _ in range(11):
        make.assess(people["analyst-one"], make.TRIANGLE, at=at)
    for number in range(11):
        facts = make.TRIANGLE if number else {**make.TRIANGLE, "largest_colour": "blue"}
        make.assess(people["analyst-two"], facts, at=at + 2 * dt.timedelta(hours=1))
    other = make.make_investigation(people["lead"], at=at, reference="HL-2")
    make.add_file(other, make.draw(900), at=at)
    for number in (3, 4):
        Edition.objects.create(list_name="partner", number=number, digest=f"{number}", entries=1, first_read_at=at)
    later = at + 3 * DAY
    charts = {
        one.id: one for one in dashboard_of(make.investigation(), seen_by=people["lead"], exposure=True, at=later)
    }
    assert counts(charts["inflow"]) == {"2026-03-02": 12}
    assert counts(charts["backlog"]) == {"Up to a week": 3}, "one stack wants both people, one a third"
    assert counts(charts["progress"])["Items settled"] == 10
    assert counts(charts["progress"])["Items taken in"] == 12
    assert counts(charts["agreement"]) == {"In agreement": 10, "To a third person": 1}
    assert counts(charts["time_to_outcome"]) == {"Within a day": 10}
    assert [(row.label, row.count, row.note) for row in charts["lists"].rows] == [("partner", 3, "edition 4")]
    assert charts["exposure"].withheld == "no whole week of at least five people yet"
    assert all(one.counts and all(0 <= row.width <= 100 for row in one.rows) for one in charts.values())


def test_agreement_of_few_stacks_is_not_told() -> None:
    at = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
    people = make.world(at=at)
    for name in ("analyst-one", "analyst-two"):
        make.assess(people[name], make.TRIANGLE, at=at)
    charts = {
        one.id: one for one in dashboard_of(make.investigation(), seen_by=people["lead"], exposure=False, at=at + DAY)
    }
    assert charts["agreement"].rows == ()
    assert "fewer than 10" in charts["agreement"].withheld
    assert "exposure" not in charts


def test_each_chart_links_to_what_it_counts_and_only_who_may_sees_exposure() -> None:
    people = make.world(at=timezone.now())
    lead = make.client_of(people["lead"])
    page = lead.get("/figures/HL-1/now").content.decode()
    for name in ("inflow", "backlog", "progress", "agreement", "time_to_outcome", "lists", "exposure"):
        assert f'href="#counts-{name}"' in page
        assert f'id="counts-{name}"' in page
    part = lead.get("/figures/HL-1/now/part").content.decode()
    assert "<html" not in part
    assert 'id="chart-backlog"' in part
    assert lead.get("/figures/nothing/now").status_code == 404
    senior = make.client_of(people["senior"]).get("/figures/HL-1/now").content.decode()
    assert "counts-backlog" in senior
    assert "counts-exposure" not in senior
