"""The rules of the shipped frameworks as tables: answers in, legality out, with the way there."""

import itertools
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havenline.frameworks import CANNOT_DETERMINE, Framework, LegalStatus, available, load
from havenline.frameworks.model import DISAGREEMENT, NOT_APPROVED

EAW = load("gb-eaw", "2023-09")
SHAPES = load("demo.shapes", "1")
FRAMEWORKS = [EAW, SHAPES]
CRIMINAL, NOT_CRIMINAL, OPEN = LegalStatus.CRIMINAL, LegalStatus.NOT_CRIMINAL, LegalStatus.UNDETERMINED


def told(text: str) -> dict[str, str]:
    """Answers from a line such as "child=yes indecent=?"; the question mark stands for cannot determine."""
    pairs = (pair.split("=") for pair in text.split())
    return {question: CANNOT_DETERMINE if code == "?" else code for question, code in pairs}


@pytest.mark.parametrize(
    ("answers", "status", "class_id", "severity"),
    [
        ("child=yes image_kind=photograph indecent=yes severity=A", CRIMINAL, "photograph", "A"),
        (
            "child=yes image_kind=pseudo_photograph indecent=yes severity=C",
            CRIMINAL,
            "pseudo_photograph",
            "C",
        ),
        (
            "child=yes image_kind=pseudo_photograph indecent=yes severity=?",
            CRIMINAL,
            "pseudo_photograph",
            None,
        ),
        ("child=yes image_kind=pseudo_photograph indecent=yes", CRIMINAL, "pseudo_photograph", None),
        ("child=yes image_kind=derived_image indecent=yes severity=B", CRIMINAL, "derived_image", "B"),
        ("child=yes image_kind=other_image prohibited=yes", CRIMINAL, "prohibited_image", None),
        # An answer to a question that is not asked has no effect.
        ("child=yes image_kind=other_image prohibited=yes severity=A", CRIMINAL, "prohibited_image", None),
        ("child=yes image_kind=other_image indecent=yes", OPEN, None, None),
        ("child=no image_kind=photograph indecent=yes", NOT_CRIMINAL, None, None),
        ("child=no", NOT_CRIMINAL, None, None),
        ("child=no image_kind=?", NOT_CRIMINAL, None, None),
        ("child=yes image_kind=photograph indecent=no", NOT_CRIMINAL, None, None),
        ("child=yes image_kind=pseudo_photograph indecent=no", NOT_CRIMINAL, None, None),
        ("child=yes image_kind=derived_image indecent=no", NOT_CRIMINAL, None, None),
        ("child=yes image_kind=other_image prohibited=no", NOT_CRIMINAL, None, None),
        ("child=yes image_kind=photograph indecent=?", OPEN, None, None),
        ("child=yes image_kind=other_image prohibited=?", OPEN, None, None),
        ("child=yes image_kind=?", OPEN, None, None),
        ("child=yes", OPEN, None, None),
        ("image_kind=photograph indecent=yes", OPEN, None, None),
        ("", OPEN, None, None),
        # An undeterminable age leaves everything open; an undeterminable band does not undo "under 18".
        ("child=? image_kind=photograph indecent=yes", OPEN, None, None),
        ("child=yes image_kind=photograph indecent=yes youngest_band=?", CRIMINAL, "photograph", None),
        # Codes of some other version count as missing.
        ("child=yes image_kind=hologram indecent=yes", OPEN, None, None),
    ],
)
def test_england_and_wales(answers: str, status: LegalStatus, class_id: str | None, severity: str | None) -> None:
    legality = EAW.derive(told(answers), approved=True)
    assert (legality.status, legality.class_id, legality.severity) == (status, class_id, severity)
    assert (legality.law is not None) == (status is CRIMINAL)
    assert (legality.framework, legality.version) == ("gb-eaw", "2023-09")


@pytest.mark.parametrize(
    ("answers", "status", "class_id"),
    [
        ("shapes=one largest_shape=triangle photographic=yes", CRIMINAL, "textured_triangle"),
        ("shapes=three largest_shape=triangle photographic=no", CRIMINAL, "plain_triangle"),
        ("shapes=two largest_shape=circle photographic=yes", NOT_CRIMINAL, None),
        ("shapes=two largest_shape=square photographic=?", NOT_CRIMINAL, None),
        ("shapes=none photographic=yes", NOT_CRIMINAL, None),
        ("shapes=none photographic=yes largest_shape=triangle", NOT_CRIMINAL, None),
        ("shapes=one largest_shape=triangle photographic=?", OPEN, None),
        ("shapes=one largest_shape=? photographic=yes", OPEN, None),
        ("shapes=? photographic=yes", OPEN, None),
        ("", OPEN, None),
    ],
)
def test_training_rules(answers: str, status: LegalStatus, class_id: str | None) -> None:
    legality = SHAPES.derive(told(answers), approved=False)
    assert (legality.status, legality.class_id) == (status, class_id)


def test_without_approval_every_answer_stays_undetermined() -> None:
    for child, kind, indecent in itertools.product(("yes", "no"), ("photograph", "other_image"), ("yes", "no")):
        legality = EAW.derive({"child": child, "image_kind": kind, "indecent": indecent}, approved=False)
        assert legality.status is OPEN
        assert legality.rule_path == ("not approved by local counsel",)


def test_only_training_frameworks_are_free_of_approval() -> None:
    assert [ref.id for ref in available() if ref.demo] == ["demo.colours", "demo.shapes"]


def test_the_rule_path_tells_every_rule_tried_and_why() -> None:
    legality = EAW.derive(told("child=yes image_kind=pseudo_photograph indecent=yes"), approved=True)
    assert legality.rule_path == (
        "rule 1 (no_child) does not apply: child is yes",
        "rule 2 (photograph) does not apply: image_kind is pseudo_photograph",
        "rule 3 (pseudo_photograph) applies: child is yes, image_kind is pseudo_photograph, indecent is yes",
    )


@pytest.mark.parametrize(
    ("answers", "last_line"),
    [
        ("child=?", "rule 1 (no_child) cannot be decided: child is cannot_determine"),
        ("", "rule 1 (no_child) cannot be decided: child is not answered"),
        (
            "child=yes image_kind=photograph",
            "rule 2 (photograph) cannot be decided: indecent is not answered",
        ),
        (
            "child=yes image_kind=hologram",
            (
                "rule 2 (photograph) cannot be decided: image_kind has an answer this version does not know, "
                "indecent is not answered"
            ),
        ),
    ],
)
def test_an_open_rule_says_what_is_missing(answers: str, last_line: str) -> None:
    assert EAW.derive(told(answers), approved=True).rule_path[-1] == last_line


def test_statuses_are_called_by_the_framework() -> None:
    assert [SHAPES.labels.of(status) for status in LegalStatus] == ["counted", "not counted", "undetermined"]
    assert EAW.labels.of(NOT_CRIMINAL) == "not criminal under the law of England and Wales"


def test_groups_and_severities_follow_the_statutes() -> None:
    assert {one.id: (one.group, one.severities) for one in EAW.classes} == {
        "photograph": (None, ("A", "B", "C")),
        "pseudo_photograph": ("realistic", ("A", "B", "C")),
        "derived_image": (None, ("A", "B", "C")),
        "prohibited_image": ("prohibited", ()),
    }


def test_ethnicity_is_no_question() -> None:
    assert [question.id for question in EAW.questions] == [
        "child",
        "image_kind",
        "indecent",
        "severity",
        "prohibited",
        "youngest_band",
        "perceived_sex",
        "machine_made",
        "altered",
        "offered_for_sale",
    ]


def complete_answers(framework: Framework, seed: int) -> dict[str, str]:
    """Fill the form from top to bottom at random, as a person would."""
    draw = random.Random(seed)
    facts: dict[str, str] = {}
    for question in framework.questions:
        if question in framework.asked(facts):
            facts[question.id] = draw.choice(question.codes)
    return facts


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=lambda one: one.id)
@given(seed=st.integers(0, 10**9))
def test_a_form_filled_from_top_to_bottom_is_always_sound(framework: Framework, seed: int) -> None:
    facts = complete_answers(framework, seed)
    assert framework.check(facts) == {}
    legality = framework.derive(facts, approved=True)
    assert legality.rule_path
    if CANNOT_DETERMINE not in facts.values():
        assert legality.status is not OPEN
    assert framework.answers(facts) == facts


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=lambda one: one.id)
@given(seed=st.integers(0, 10**9), victim=st.integers(0, 20))
def test_knowing_less_never_turns_one_verdict_into_another(framework: Framework, seed: int, victim: int) -> None:
    facts = complete_answers(framework, seed)
    before = framework.derive(facts, approved=True)
    lost = sorted(facts)[victim % len(facts)]
    for less in (
        {**facts, lost: CANNOT_DETERMINE},
        {key: code for key, code in facts.items() if key != lost},
    ):
        after = framework.derive(less, approved=True)
        assert after.status in (before.status, OPEN)
        assert after.class_id in (before.class_id, None)


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=lambda one: one.id)
@given(seed=st.integers(0, 10**9))
def test_each_missing_answer_is_named(framework: Framework, seed: int) -> None:
    facts = complete_answers(framework, seed)
    last = framework.asked(facts)[-1].id
    del facts[last]
    assert list(framework.check(facts)) == [last]


def test_check_names_each_kind_of_fault() -> None:
    problems = EAW.check(told("child=no image_kind=hologram indecent=yes machine_made=yes altered=no shape=round"))
    assert {question: text.split(";")[0] for question, text in problems.items()} == {
        "image_kind": "This is not one of the answers",
        "indecent": "This question does not apply to the other answers",
        "offered_for_sale": "This question needs an answer",
        "shape": "The framework gb-eaw 2023-09 has no such question.",
    }


def test_an_empty_answer_is_a_missing_one() -> None:
    assert EAW.check({"child": "", "image_kind": ""}).keys() >= {"child", "image_kind"}


def test_questions_follow_the_answers_above_them() -> None:
    ids = [question.id for question in EAW.asked(told("child=yes image_kind=photograph indecent=no"))]
    assert "indecent" in ids
    assert "severity" not in ids
    assert "prohibited" not in ids
    # The answer to a question that is not asked opens nothing.
    assert "severity" not in [q.id for q in EAW.asked(told("child=no image_kind=photograph indecent=yes"))]


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=lambda one: one.id)
@given(seed=st.integers(0, 10**9))
def test_the_form_alone_shows_the_same_questions(framework: Framework, seed: int) -> None:
    """What the browser does with the JSON form, written out: it must agree with `asked`."""
    facts = complete_answers(framework, seed)
    form = json.loads(json.dumps(framework.form()))
    shown: set[str] = set()
    for question in form["questions"]:
        if all(key in shown and facts.get(key) in codes for key, codes in question["asked_when"].items()):
            shown.add(question["id"])
    assert shown == {question.id for question in framework.asked(facts)}


def test_the_form_does_not_say_what_is_compared() -> None:
    # A person at the form must not be able to tell which answers would raise a dispute.
    assert all("compared" not in question for question in SHAPES.form()["questions"])


def test_what_is_disputed_is_undetermined_whatever_the_rest_says() -> None:
    answers = told("child=yes image_kind=pseudo_photograph indecent=yes")
    assert EAW.derive(answers, approved=True).status is not LegalStatus.UNDETERMINED
    disputed = EAW.derive(answers, approved=True, disputed=True)
    assert (disputed.status, disputed.rule_path) == (LegalStatus.UNDETERMINED, (DISAGREEMENT,))
    assert EAW.derive(answers, approved=False, disputed=True).rule_path == (NOT_APPROVED,)
