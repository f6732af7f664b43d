"""Schemes from CSV and JSON, facts that frameworks share, one form for several frameworks."""

from __future__ import annotations

from datetime import date

import pytest

from havenline.frameworks import (
    FrameworkError,
    FrameworkKind,
    LegalStatus,
    SchemeError,
    SchemeHead,
    Section,
    available,
    facts,
    load,
    read_document,
    scheme_document,
    sheet,
)

HEAD = SchemeHead("ucs.v3", "3-house", "Scheme", "international", date(2024, 1, 1), load("ucs.v3", "3").sections)
SOUND = """section,question,text,kind,code,label
categorisation,c1,First?,fact,1,One
categorisation,c1,,,2,Two
demographic,d1,Second?,flag,,
"""


def test_a_scheme_in_csv_is_read_by_lines_and_gets_its_sections() -> None:
    scheme = read_document(scheme_document(SOUND, head=HEAD))
    assert scheme.kind is FrameworkKind.SCHEME
    assert [one.id for one in scheme.sections] == ["categorisation", "investigative", "demographic"]
    assert scheme.question("c1").codes == ("1", "2", "cannot_determine")
    assert scheme.question("c1").section == "categorisation"
    assert scheme.question("d1").codes == ("yes", "no", "cannot_determine")
    # Nothing follows from a scheme in law, whatever is approved.
    assert scheme.derive({"c1": "1", "d1": "yes"}, approved=True).status is LegalStatus.UNDETERMINED


def test_the_same_scheme_comes_out_of_json_and_csv() -> None:
    document = scheme_document(SOUND, head=HEAD)
    assert document["effective_from"] == "2024-01-01"
    assert read_document(document) == read_document({**document, "effective_from": date(2024, 1, 1)})


def test_every_faulty_line_is_named_by_its_number() -> None:
    text = SOUND + "nowhere,c2,Third?,fact,1,One\n,C 3,Third?,fact,1,One\n,c4,,fact,1,One\n,c5,Fifth?,hunch,1,One\n"
    text += ",c1,,,2,Two again\n,c1,Other text,,3,Three\n,c6,Sixth?,fact,cannot_determine,?\n"
    text += "short,line\n,c7,Seventh?,fact,,\n"
    with pytest.raises(SchemeError) as caught:
        scheme_document(text, head=HEAD, origin="list.csv")
    assert [problem.line for problem in caught.value.problems] == [5, 6, 7, 8, 9, 10, 11, 12, 13]
    assert str(caught.value).startswith("list.csv: line 5: there is no section “nowhere”")
    assert str(caught.value).endswith("and 8 lines more")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no column question"),
        ("question,text,kind,code\n", "no column label"),
        ("question,text,kind,code,label,colour\n", "unknown or doubled columns colour"),
        ("question,text,kind,code,label\n", "no question in it"),
        ("question,text,kind,code,label\na,b\n", "2 values where 5 columns"),
    ],
)
def test_a_file_that_is_no_scheme_is_refused_clearly(text: str, message: str) -> None:
    with pytest.raises(SchemeError, match=message):
        scheme_document(text, head=HEAD)


def test_sections_of_a_scheme_that_nobody_knows_come_from_its_lines() -> None:
    head = SchemeHead("house.list", "1", "House", "none", date(2024, 1, 1))
    scheme = read_document(
        scheme_document("section,question,text,kind,code,label\nb,q,Q?,flag,,\na,r,R?,flag,,\n", head=head)
    )
    assert scheme.sections == (Section("a", "a"), Section("b", "b"))


def test_ucs_is_shipped_with_its_sections_and_without_a_label() -> None:
    scheme = load("ucs.v3")
    assert [one.title for one in scheme.sections] == [
        "Categorisation Elements",
        "Investigative Elements",
        "Demographic Elements",
    ]
    assert (scheme.questions, scheme.rules) == ((), ())


ORIGIN = (
    "ai_generated_wholly",
    "ai_generated_partly",
    "realistic",
    "identified_victim_likeness",
    "deaged_public_figure",
    "altered_from_lawful",
    "commercial",
)


@pytest.mark.parametrize("name", ORIGIN)
def test_facts_of_origin_are_yes_no_or_cannot_determine_and_no_rule_reads_them(name: str) -> None:
    framework = load("gb-eaw")
    assert framework.question(name).codes == ("yes", "no", "cannot_determine")
    read_by_rules = {question for rule in framework.rules for question, _ in rule.when.tests}
    assert name not in read_by_rules


def test_a_version_is_never_edited_so_the_new_one_gives_the_old_ones_results() -> None:
    old, new = load("gb-eaw", "2023-09"), load("gb-eaw")
    assert new.version == "2023-09.2"
    assert (new.rules, new.classes) == (old.rules, old.classes)
    with pytest.raises(FrameworkError, match="no version “0” of the shared facts"):
        facts("0")


BASE = {"child": "yes", "image_kind": "photograph", "indecent": "yes", "severity": "B"}


@pytest.mark.parametrize(
    ("framework", "answers", "status", "class_id"),
    [
        ("interpol.baseline", {"child": "no"}, "not_criminal", None),
        ("interpol.baseline", {"child": "cannot_determine"}, "undetermined", None),
        ("interpol.baseline", {"child": "yes", "development": "pubescent"}, "not_criminal", None),
        ("interpol.baseline", {"child": "yes", "development": "cannot_determine"}, "undetermined", None),
        (
            "interpol.baseline",
            {"child": "yes", "development": "prepubescent", "baseline_criteria": "yes"},
            "criminal",
            "baseline",
        ),
        (
            "interpol.baseline",
            {"child": "yes", "development": "prepubescent", "baseline_criteria": "no"},
            "not_criminal",
            None,
        ),
        ("ncmec.industry", {"child": "no"}, "not_criminal", None),
        ("ncmec.industry", {"child": "yes", "industry_digit": "neither"}, "not_criminal", None),
        ("ncmec.industry", {"child": "yes", "development": "prepubescent", "industry_digit": "1"}, "criminal", "a1"),
        ("ncmec.industry", {"child": "yes", "development": "prepubescent", "industry_digit": "2"}, "criminal", "a2"),
        ("ncmec.industry", {"child": "yes", "development": "pubescent", "industry_digit": "1"}, "criminal", "b1"),
        ("ncmec.industry", {"child": "yes", "development": "pubescent", "industry_digit": "2"}, "criminal", "b2"),
        ("ncmec.industry", {"child": "yes", "development": "pubescent"}, "undetermined", None),
        (
            "ncmec.industry",
            {"child": "yes", "development": "cannot_determine", "industry_digit": "1"},
            "undetermined",
            None,
        ),
    ],
)
def test_shipped_schemes_of_the_field_derive_their_codes(
    framework: str, answers: dict[str, str], status: str, class_id: str | None
) -> None:
    legality = load(framework).derive(answers, approved=True)
    assert (legality.status.value, legality.class_id) == (status, class_id)
    assert load(framework).derive(answers, approved=False).rule_path == ("not approved by local counsel",)


def test_one_form_asks_a_shared_fact_once_and_serves_every_framework() -> None:
    own, others = load("gb-eaw"), (load("interpol.baseline"), load("ncmec.industry"))
    form = sheet(own, others)
    names = [question.id for question in form.questions]
    assert len(names) == len(set(names))
    assert names[: len(own.questions)] == [question.id for question in own.questions]
    assert names[len(own.questions) :] == ["development", "baseline_criteria", "industry_digit"]
    assert (form.id, form.version, form.rules) == (own.id, own.version, own.rules)
    answers = BASE | {"development": "prepubescent", "baseline_criteria": "no", "industry_digit": "2"}
    assert {one.id: one.derive(answers, approved=True).class_id for one in (own, *others)} == {
        "gb-eaw": "photograph",
        "interpol.baseline": None,
        "ncmec.industry": "a2",
    }


def test_the_shared_facts_of_the_old_version_still_fit() -> None:
    sheet(load("gb-eaw", "2023-09"), (load("gb-eaw"), load("interpol.baseline"), load("ncmec.industry")))


def test_frameworks_that_ask_the_same_question_differently_do_not_go_on_one_form() -> None:
    head = SchemeHead("house.list", "1", "House", "none", date(2024, 1, 1))
    other = read_document(scheme_document("question,text,kind,code,label\nchild,Child?,fact,maybe,Maybe\n", head=head))
    with pytest.raises(FrameworkError, match=r"gb-eaw 2023-09\.2 and house\.list 1 ask “child” differently"):
        sheet(load("gb-eaw"), (other,))


@pytest.mark.parametrize("ref", available(), ids=lambda ref: f"{ref.id}/{ref.version}")
def test_shared_facts_have_the_same_codes_in_every_shipped_framework(ref: object) -> None:
    shared = facts("1")
    for question in load(ref.id, ref.version).questions:  # type: ignore[attr-defined]
        if question.id in shared and ref.id != "demo.shapes":  # type: ignore[attr-defined]
            codes = shared[question.id].get("options", {"yes": "", "no": ""})
            assert set(question.codes) == {*codes, "cannot_determine"}
