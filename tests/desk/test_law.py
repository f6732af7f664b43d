"""Facts once, many laws: what is configured is asked and derived; records are added and name the ones they follow."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import pytest
from django.db import connection
from django.utils import timezone

from havenline.frameworks import FrameworkError, load
from havenline_desk import law
from havenline_desk.actions.configure_framework import ConfigurationRefused, configure_framework
from havenline_desk.actions.create_investigation import InvestigationRefused, create_investigation
from havenline_desk.actions.derive_outcomes import derive_outcomes
from havenline_desk.actions.import_framework import FrameworkImportRefused, import_framework
from havenline_desk.gates import Act, Denied
from havenline_desk.models import (
    AuditEntry,
    Derivation,
    DerivationRun,
    ImportedFramework,
    InstallationKind,
    Outcome,
    Person,
    Plan,
    SamplingRule,
    SourceKind,
)
from havenline_desk.queries.law import law_columns
from havenline_desk.queries.workspace import open_workspace

from . import factories as make

pytestmark = pytest.mark.django_db
AT = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
HOUSE = {
    "id": "house.rules",
    "version": "1",
    "title": "House rules",
    "jurisdiction": "XA",
    "effective_from": "2024-01-01",
    "labels": {"criminal": "in", "not_criminal": "out", "undetermined": "open"},
    "question": [
        {
            "id": "shapes",
            "text": "How many?",
            "kind": "fact",
            "options": {"none": "0", "one": "1", "two": "2", "three": "3"},
        },
        {"id": "framed", "text": "Has it a frame?", "kind": "flag"},
    ],
    "class": [{"id": "one", "label": "One", "law": "Rule"}],
    "rule": [
        {"id": "framed", "when": {"framed": "yes"}, "then": "criminal", "class": "one"},
        {"id": "not_framed", "when": {"framed": "no"}, "then": "not_criminal"},
    ],
}


def settled(people: Mapping[str, Person], *, at: dt.datetime, **more: str) -> Outcome:
    for name in ("analyst-one", "analyst-two"):
        make.assess(people[name], make.TRIANGLE | more, at=at)
    return Outcome.objects.latest("pk")


def test_settled_facts_are_derived_under_every_configured_framework_and_from_then_on_at_once() -> None:
    people = make.world(at=AT, stacks=2)
    first = settled(people, at=AT)
    assert configure_framework(make.investigation(), "demo.colours", None, by=people["lead"], at=AT + HOUR) == 1
    second = settled(people, at=AT + 2 * HOUR)
    derived = Derivation.objects.select_related("run").order_by("pk")
    assert [(one.outcome_id, one.run.framework, one.status, one.class_id) for one in derived] == [
        (first.pk, "demo.colours", "criminal", "warm"),
        (second.pk, "demo.colours", "criminal", "warm"),
    ]
    assert derived[0].rule_path == ["rule 1 (warm) applies: largest_colour is red"]
    assert all(one.run.indicative for one in derived)
    # The outcome itself says what the investigation's own framework says.
    assert {first.class_id, second.class_id} == {"plain_triangle"}
    acts = AuditEntry.objects.filter(act="outcomes_derived").values_list("object", "purpose")
    assert list(acts) == [(run.audit_id, "demo.colours:1") for run in DerivationRun.objects.order_by("pk")]


def test_a_copy_is_derived_from_the_facts_it_takes_over() -> None:
    people = make.world(at=AT, stacks=1)
    settled(people, at=AT)
    other = make.make_investigation(people["lead"], reference="HL-2", at=AT + HOUR)
    configure_framework(other.investigation, "demo.colours", "1", by=people["lead"], at=AT + HOUR)
    copied = make.draw(1000)
    existing = Outcome.objects.get().file
    from havenline_desk.actions.form_stacks import form_stacks
    from havenline_desk.models import Item, ItemKind, ItemState, Selection

    assert copied
    item = Item.objects.create(
        investigation=other.investigation,
        taken_in=other,
        collection="drawn",
        path="again.png",
        file=existing,
        kind=ItemKind.PICTURE,
        state=ItemState.VIEWABLE,
        imported_at=AT + HOUR,
    )
    Selection.objects.create(item=item, rule=SamplingRule.EVERYTHING, viewed_by_person=False, selected_at=AT + HOUR)
    form_stacks(other.investigation, at=AT + HOUR)
    derivation = Derivation.objects.get()
    assert derivation.outcome.settled_by == "copy"
    assert derivation.status == "criminal"


def test_another_version_is_derived_anew_and_the_record_names_the_one_it_follows() -> None:
    people = make.world(at=AT)
    settled(people, at=AT)
    lead, investigation = people["lead"], make.investigation()
    import_framework(HOUSE, by=lead, at=AT, origin="test")
    configure_framework(investigation, "house.rules", "1", by=lead, at=AT + HOUR)
    old = Derivation.objects.get()
    assert (old.status, old.rule_path) == (
        "undetermined",
        ["rule 1 (framed) cannot be decided: framed is not answered"],
    )
    changed = HOUSE | {
        "version": "2",
        "rule": [{"id": "one", "when": {"shapes": "one"}, "then": "criminal", "class": "one"}],
    }
    import_framework(changed, by=lead, at=AT + HOUR, origin="test")
    assert configure_framework(investigation, "house.rules", "2", by=lead, at=AT + 2 * HOUR) == 1
    new = Derivation.objects.latest("pk")
    assert (new.replaces_id, new.status, new.run.version) == (old.pk, "criminal", "2")
    assert Derivation.objects.get(pk=old.pk).status == "undetermined"
    assert derive_outcomes(investigation, at=AT + 3 * HOUR) == 0


def test_undetermined_until_counsel_has_approved_and_derived_again_when_that_is_recorded() -> None:
    people = make.world(at=AT)
    settled(people, at=AT)
    lead, investigation = people["lead"], make.investigation()
    import_framework({**HOUSE, "rule": [{"id": "all", "then": "not_criminal"}]}, by=lead, at=AT, origin="test")
    # A desk of its own kind: the approval that a demonstration does without is needed here.
    with connection.cursor() as cursor:
        cursor.execute("UPDATE desk_policy SET kind = %s", [InstallationKind.DESK.value])
    configure_framework(investigation, "house.rules", "1", by=lead, at=AT + HOUR)
    before = Derivation.objects.get()
    assert (before.status, before.rule_path, before.run.approved) == (
        "undetermined",
        ["not approved by local counsel"],
        False,
    )
    what = {"framework": "house.rules", "version": "1", "counsel": "opinion 1 of 2026"}
    make.agree(Act.APPROVE_FRAMEWORK, what, first=lead, second=people["senior"], at=AT + 2 * HOUR)
    after = Derivation.objects.latest("pk")
    assert (after.replaces_id, after.status, after.run.approved) == (before.pk, "not_criminal", True)


def test_not_criminal_and_undetermined_are_cells_of_their_own_and_count_items() -> None:
    people = make.world(at=AT, stacks=2, near=0)
    settled(people, at=AT)
    for name in ("analyst-one", "analyst-two"):
        make.assess(people[name], make.TRIANGLE | {"largest_colour": "cannot_determine"}, at=AT + HOUR)
    configure_framework(make.investigation(), "demo.colours", None, by=people["lead"], at=AT + HOUR)
    own, colours = law_columns(make.investigation(), at=AT + 2 * HOUR)
    assert (own.own, own.indicative, own.criminal, own.not_criminal, own.undetermined) == (True, False, 2, 0, 0)
    assert (colours.own, colours.indicative) == (False, True)
    assert (colours.criminal, colours.not_criminal, colours.undetermined, colours.derived) == (1, 0, 1, 2)


def test_what_is_configured_meanwhile_changes_no_form_that_somebody_fills_in() -> None:
    people = make.world(at=AT)
    lead = people["lead"]
    import_framework(HOUSE, by=lead, at=AT, origin="test")
    from havenline_desk.actions.take_next import take_next

    take_next(people["analyst-one"], at=AT)
    configure_framework(make.investigation(), "house.rules", None, by=lead, at=AT + dt.timedelta(minutes=1))
    held = open_workspace(people["analyst-one"], at=AT + dt.timedelta(minutes=2))
    assert held is not None
    assert "framed" not in [question.id for question in held.questions]
    make.assess(people["analyst-one"], make.TRIANGLE, at=AT + dt.timedelta(minutes=2))
    take_next(people["analyst-two"], at=AT + dt.timedelta(minutes=3))
    later = open_workspace(people["analyst-two"], at=AT + dt.timedelta(minutes=4))
    assert later is not None
    assert "framed" in [question.id for question in later.questions]
    make.assess(people["analyst-two"], make.TRIANGLE | {"framed": "yes"}, at=AT + dt.timedelta(minutes=4))
    # What only the second was asked is no dispute, and is not taken over from one person alone.
    assert Outcome.objects.get().settled_by == "agreement"
    assert Derivation.objects.get().status == "undetermined"


def test_what_does_not_fit_is_refused_and_nothing_is_recorded() -> None:
    people = make.world(at=AT)
    lead, investigation = people["lead"], make.investigation()
    with pytest.raises(Denied):
        configure_framework(investigation, "demo.colours", None, by=people["senior"], at=AT)
    with pytest.raises(ConfigurationRefused, match="asks nothing yet"):
        configure_framework(investigation, "ucs.v3", None, by=lead, at=AT)
    with pytest.raises(ConfigurationRefused, match="was opened under"):
        configure_framework(investigation, "demo.shapes", "1", by=lead, at=AT)
    with pytest.raises(FrameworkError, match="no framework “atlantis”"):
        configure_framework(investigation, "atlantis", None, by=lead, at=AT)
    odd = {**HOUSE, "question": [{"id": "altered", "text": "?", "kind": "fact", "options": {"1": "1"}}], "rule": []}
    import_framework(odd, by=lead, at=AT, origin="test")
    with pytest.raises(FrameworkError, match="ask “altered” differently"):
        configure_framework(investigation, "house.rules", None, by=lead, at=AT)
    assert investigation.configured.count() == 0


def test_an_imported_version_is_never_edited_and_never_needs_no_approval() -> None:
    people = make.world(at=AT)
    lead = people["lead"]
    with pytest.raises(Denied):
        import_framework(HOUSE, by=people["analyst-one"], at=AT, origin="test")
    assert import_framework(HOUSE, by=lead, at=AT, origin="test").id == "house.rules"
    for document, message in (
        (HOUSE, "is there already"),
        (HOUSE | {"id": "gb-eaw", "version": "2023-09"}, "is there already"),
        (HOUSE | {"version": "2", "demo": True}, "needs no approval"),
        (HOUSE | {"version": "2" * 30}, "room for 38 characters"),
    ):
        with pytest.raises(FrameworkImportRefused, match=message):
            import_framework(document, by=lead, at=AT, origin="test")
    broken = HOUSE | {"version": "3", "class": [{"id": "one", "label": "One"}]}
    with pytest.raises(FrameworkError, match="test: class “one”: law is missing"):
        import_framework(broken, by=lead, at=AT, origin="test")
    assert ImportedFramework.objects.count() == 1
    assert law.load("house.rules").title == "House rules"
    assert [ref.version for ref in law.available() if ref.id == "gb-eaw"] == ["2023-09", "2023-09.2"]


def test_nobody_opens_an_investigation_under_a_scheme_that_asks_nothing() -> None:
    people = make.world(at=AT)
    with pytest.raises(InvestigationRefused, match="asks nothing yet"):
        create_investigation(
            "HL-9",
            source_kind=SourceKind.FORUM,
            period=(None, None),
            posted_total=1,
            sampling_rule=SamplingRule.EVERYTHING,
            authorised_by=people["lead"],
            legal_basis="demonstration",
            expires_on=AT.date(),
            framework="ucs.v3",
            framework_version=None,
            plan=Plan.DOUBLE,
            at=AT,
        )


def test_pages_show_a_scheme_its_rules_and_what_each_law_says() -> None:
    at = timezone.now()
    people = make.world(at=at)
    settled(people, at=at)
    configure_framework(make.investigation(), "demo.colours", None, by=people["lead"], at=at)
    browser = make.client_of(people["lead"])
    listed = browser.get("/frameworks").content.decode()
    for ref in law.available():
        assert ref.title in listed
    page = browser.get("/frameworks/gb-eaw/2023-09.2").content.decode()
    assert "Not approved by local counsel." in page
    assert "Does it show, or give the impression of showing, a person under 18? <b>No</b>" in page
    for one in load("gb-eaw").classes:
        assert one.law in page
    empty = browser.get("/frameworks/ucs.v3/3").content.decode()
    assert empty.count("Empty. An investigation lead loads the official list") == 3
    assert browser.get("/frameworks/gb-eaw/1").status_code == 404
    under = browser.get("/investigations/HL-1/law").content.decode()
    assert "indicative: the law of another place" in under
    assert "Counted by colour" in under
    assert "Undetermined" in under
    assert browser.get("/investigations/HL-0/law").status_code == 404
