"""Signals of origin are evidence for those who may know: after both blind assessments, and never before; no order."""

from __future__ import annotations

import datetime as dt
import hashlib
import random

import pytest
from django.utils import timezone
from django.utils.html import escape

from havenline.provenance import NOT_SHOWN, STATE_MEANS, Signal, SignalKind, Strength, read_picture
from havenline_desk.actions.record_origin import record_origin
from havenline_desk.actions.take_next import take_next
from havenline_desk.models import (
    Assignment,
    File,
    Import,
    Investigation,
    Item,
    OriginReading,
    OriginSignal,
    Outcome,
    Person,
    Role,
)
from havenline_desk.models.investigations import ItemKind, ItemState
from havenline_desk.queries.origin import house_trends, origin_panel, origin_trends
from tests.core.provenance import drawn_marks as marks

from . import factories as make

pytestmark = pytest.mark.django_db
CIRCLE = make.TRIANGLE | {"largest_shape": "circle"}
MARKED = read_picture(marks.png({"parameters": marks.A1111}), key=marks.KEY)
TRUSTED = Signal(SignalKind.C2PA_STATE, "C2PA manifest", Strength.SIGNED, "c2pa/1", value="Trusted")
INFERRED = Signal(SignalKind.AI_LABEL, "XMP", Strength.HINT, "pictures/1", value="says so", inferred=True)


@pytest.fixture
def at() -> dt.datetime:
    return timezone.now() - dt.timedelta(minutes=20)


def mark(*, at: dt.datetime, only: int | None = None) -> None:
    files = list(File.objects.order_by("pk"))
    record_origin(dict.fromkeys(files[:only], (*MARKED, INFERRED)), "key", at=at)


def unmark() -> None:
    OriginSignal.objects.all().delete()
    OriginReading.objects.all().delete()


def disputed(people: dict[str, Person], *, at: dt.datetime) -> None:
    make.assess(people["analyst-one"], make.TRIANGLE, at=at)
    make.assess(people["analyst-two"], CIRCLE, at=at + dt.timedelta(minutes=3))


def pages_of_the_blind(people: dict[str, Person]) -> list[tuple[int, bytes]]:
    """Everything that somebody can open who has an assessment before them."""
    seen = []
    for name in ("analyst-one", "analyst-two"):
        client = make.client_of(people[name])
        client.post("/work/start")
        for page in ("/work", "/", "/exposure", "/escalations", "/frameworks", "/calibration"):
            seen.append(make.seen(client.get(page)))
        for page in (
            "/investigations/HL-1/records",
            "/investigations/HL-1/origin",
            "/investigations/HL-1/records/unknown",
        ):
            assert client.get(page).status_code == 403
    return seen


def test_before_both_assessments_are_in_every_page_is_byte_for_byte_the_same_with_and_without_signals(
    at: dt.datetime,
) -> None:
    people = make.world(at=at, near=2)
    without = pages_of_the_blind(people)
    mark(at=at)
    assert OriginSignal.objects.count() > 9
    assert pages_of_the_blind(people) == without
    assert b"Hidden until both assessments are in" in without[0][1]


def test_the_third_person_sees_the_signals_with_their_limits_observed_apart_from_inferred(at: dt.datetime) -> None:
    people = make.world(at=at)
    record_origin({File.objects.get(): (*MARKED, TRUSTED, INFERRED)}, "key", at=at)
    disputed(people, at=at)
    client = make.client_of(people["adjudicator"])
    client.post("/work/start")
    page = client.get("/work").content.decode()
    observed, inferred = page.split("Inferred by rule from these")
    assert "Observed" in observed
    for signal in MARKED:
        assert f"Does not show {NOT_SHOWN[signal.kind]}." in observed
        assert signal.location in observed
        assert signal.digest is None or signal.digest[:12] in observed
    assert escape(STATE_MEANS["Trusted"]) in observed
    assert "key of digests changed" not in page
    OriginReading.objects.update(read_at=at)
    other = OriginReading(file=a_file("a later one"), could_be_read=True, keyed_by="newer", read_at=timezone.now())
    other.save()
    assert "key of digests changed" in client.get("/work").content.decode()
    assert "says so" in inferred
    assert "says so" not in observed
    assert "Absence means nothing" in page
    assert [text for text in marks.SECRETS if text in page] == []


def test_the_third_person_is_told_that_nothing_was_read(at: dt.datetime) -> None:
    people = make.world(at=at)
    disputed(people, at=at)
    client = make.client_of(people["adjudicator"])
    client.post("/work/start")
    assert "was not read" in client.get("/work").content.decode()
    record_origin({File.objects.get(): None}, "key", at=at)
    assert "No reader could read" in client.get("/work").content.decode()


def test_the_record_shows_them_once_settled_and_hides_them_while_the_file_is_assessed_elsewhere(
    at: dt.datetime,
) -> None:
    people = make.world(at=at)
    mark(at=at)
    client = make.client_of(people["lead"])
    assert "Nothing is settled yet" in client.get("/investigations/HL-1/records").content.decode()
    assert origin_panel(File.objects.get().pk) is None
    disputed(people, at=at)
    make.assess(people["adjudicator"], CIRCLE, at=at + dt.timedelta(minutes=6))
    settled = Outcome.objects.get()
    address = f"/investigations/HL-1/records/{settled.audit_id.hex}"
    assert address in client.get("/investigations/HL-1/records").content.decode()
    page = client.get(address).content.decode()
    assert "Observed" in page
    assert "<img" not in page
    assert [text for text in (*marks.SECRETS, settled.file.sha256) if text in page] == []
    elsewhere = Assignment.objects.filter(step="first").get()
    Assignment.objects.filter(pk=elsewhere.pk).update(done_at=None)
    page = client.get(address).content.decode()
    assert "Observed" not in page
    assert "Hidden while somebody still assesses" in page
    for unknown in ("HL-1/records/1", f"HL-1/records/{people['lead'].audit_id.hex}", "HL-9/records"):
        assert client.get(f"/investigations/{unknown}").status_code == 404


def test_the_order_of_the_queue_is_the_same_whatever_files_say_of_their_origin(at: dt.datetime) -> None:
    """Drawn: which files are marked, and with what; handed out is always the same."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    drawn = random.Random(seed)
    people = make.world(at=at, stacks=6)

    def order() -> list[tuple[int, str, dt.datetime]]:
        rows = Assignment.objects.order_by("waits_as_if_since", "pk")
        return list(rows.values_list("revision", "step", "waits_as_if_since"))

    def handed_out() -> list[int]:
        taken = []
        for name in ("analyst-one", "analyst-two"):
            assignment = take_next(people[name], at=at)
            assert assignment is not None
            taken.append(assignment.pk)
            Assignment.objects.filter(pk=assignment.pk).update(person=None, leased_at=None, expires_at=None)
        return taken

    first, taken = order(), handed_out()
    for _ in range(8):
        files = drawn.sample(list(File.objects.all()), drawn.randint(1, 6))
        record_origin({file: tuple(drawn.sample(MARKED, 2)) for file in files}, "key", at=at)
        assert (order(), handed_out()) == (first, taken)
        unmark()


def test_trends_count_items_that_nobody_has_yet_to_assess_by_month(at: dt.datetime) -> None:
    people = make.world(at=at, stacks=3)
    mark(at=at, only=2)
    record_origin({File.objects.order_by("pk").last(): ()}, "key", at=at)  # type: ignore[dict-item]
    waiting = origin_trends("HL-1")
    assert waiting is not None
    assert (waiting.items, waiting.marked, waiting.families) == (0, 0, ())
    for minute in range(3):
        for name in ("analyst-one", "analyst-two"):
            make.assess(people[name], make.TRIANGLE, at=at + dt.timedelta(minutes=3 * minute))
    trends = origin_trends("HL-1")
    assert trends is not None
    assert (trends.items, trends.marked, len(trends.months)) == (3, 2, 1)
    assert [(row.name, row.total, row.by_month) for row in trends.families] == [("a1111", 2, (2,))]
    assert {row.name: row.total for row in trends.kinds}["model name"] == 2
    page = make.client_of(people["senior"]).get("/investigations/HL-1/origin").content.decode()
    assert "do not publish" in page
    assert "a1111" in page
    assert origin_trends("HL-9") is None
    assert Investigation.objects.count() == 1
    assert people["senior"].role_grants.get().role == Role.SENIOR


def settled_items(*, families: dict[str, int], at: dt.datetime) -> None:
    """So many items of each family, taken in in the month of `at` and never to be looked at; one has no signal."""
    taken_in = Import.objects.get()
    told = [name for name, count in families.items() for _ in range(count)]
    for number, name in enumerate([*told, ""]):
        file = a_file(f"{at} {name} {number}")
        Item.objects.create(
            investigation=taken_in.investigation,
            taken_in=taken_in,
            collection="drawn",
            path=file.sha256,
            file=file,
            kind=ItemKind.PICTURE,
            state=ItemState.NOT_VIEWABLE,
            imported_at=at,
        )
        signals = (Signal(SignalKind.GENERATOR, "PNG", Strength.CLAIMED, "pictures/1", value=name),) if name else ()
        record_origin({file: signals}, "key", at=at)


def a_file(name: str) -> File:
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    return File.objects.create(sha256=sha256, sha1=sha256[:40], md5=sha256[:32], size=1, media_type="image/png")


def test_counts_of_all_investigations_hide_small_ones_and_what_would_tell_them() -> None:
    march, may = (dt.datetime(2026, month, 10, tzinfo=dt.UTC) for month in (3, 5))
    people = make.world(at=march, stacks=0)
    settled_items(families={"a1111": 12, "flux": 14, "grok": 3}, at=march)
    settled_items(families={"a1111": 11, "flux": 4}, at=may)
    trends = house_trends(at=dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC))
    assert [month.month for month in trends.months] == [3, 5]
    assert (trends.items, trends.marked) == (46, 44)
    rows = {row.name: (*row.by_month, row.total) for row in trends.families}
    assert rows["a1111"] == (12, 11, 23)
    assert rows["grok"][:2] == (None, 0)
    assert rows["grok"][2] is None
    assert rows["flux"][1] is None
    assert list(rows["flux"]).count(None) == 2, "one hidden count alone would follow from the two others"
    running = house_trends(at=may)
    assert [month.month for month in running.months] == [3], "the month that is not over is left out"
    page = make.client_of(people["lead"]).get("/origin").content.decode()
    assert "do not publish" in page
    assert "does not say how many pictures a machine made" in page
    assert "grok" in page
    none = house_trends(at=dt.datetime(2026, 3, 1, tzinfo=dt.UTC))
    assert (none.months, none.items, none.families) == ((), 0, ())
