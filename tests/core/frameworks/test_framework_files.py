"""Framework files: those shipped are there and sound, broken ones are refused by one clear line."""

import tomllib
from importlib.resources import files

import pytest

from havenline.frameworks import CANNOT_DETERMINE, FrameworkError, available, load, read, reading

SMALL = """
id = "small"
version = "1"
title = "Small"
jurisdiction = "none"
effective_from = 2024-01-01
severity_question = "grade"
[labels]
criminal = "in"
not_criminal = "out"
undetermined = "open"
[[question]]
id = "first"
text = "First?"
kind = "fact"
options = { yes = "Yes", no = "No" }
[[question]]
id = "grade"
text = "Grade?"
kind = "judgement"
asked_when = { first = "yes" }
options = { A = "A", B = "B" }
[[question]]
id = "mark"
text = "Mark?"
kind = "flag"
[[class]]
id = "one"
label = "One"
law = "Rule"
severities = ["A"]
[[rule]]
id = "only"
when = { first = "yes" }
then = "criminal"
class = "one"
"""


def test_the_frameworks_of_this_version_are_shipped() -> None:
    assert [(ref.id, ref.version, ref.demo) for ref in available()] == [
        ("demo.colours", "1", True),
        ("demo.shapes", "1", True),
        ("gb-eaw", "2023-09", False),
        ("gb-eaw", "2023-09.2", False),
        ("interpol.baseline", "1", False),
        ("ncmec.industry", "2022-06", False),
        ("ucs.v3", "3", False),
    ]


@pytest.mark.parametrize("ref", available(), ids=lambda ref: f"{ref.id}/{ref.version}")
def test_a_shipped_file_lies_where_its_name_says(ref: object) -> None:
    path = files("havenline.frameworks").joinpath("data", ref.id, f"{ref.version}.toml")  # type: ignore[attr-defined]
    assert tomllib.loads(path.read_text(encoding="utf-8"))["id"] == ref.id  # type: ignore[attr-defined]


@pytest.mark.parametrize("ref", available(), ids=lambda ref: f"{ref.id}/{ref.version}")
def test_every_question_accepts_cannot_determine_last(ref: object) -> None:
    framework = load(ref.id, ref.version)  # type: ignore[attr-defined]
    for question in framework.questions:
        assert question.codes[-1] == CANNOT_DETERMINE
        assert question.codes.count(CANNOT_DETERMINE) == 1


def test_without_a_version_the_latest_in_effect_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    # "10" came later than "9" although it sorts before it as a text.
    older = read(SMALL.replace('version = "1"', 'version = "9"'))
    newer = read(SMALL.replace('version = "1"', 'version = "10"').replace("2024-01-01", "2025-01-01"))
    monkeypatch.setattr(reading, "_shipped", lambda: (older, newer))
    assert load("small").version == "10"
    assert load("small", "9").version == "9"


def test_unknown_names_are_refused_with_what_is_known() -> None:
    with pytest.raises(
        FrameworkError, match=r"no framework “atlantis”; known are demo\.colours, demo\.shapes, gb-eaw, interpol"
    ):
        load("atlantis")
    with pytest.raises(FrameworkError, match=r"gb-eaw has no version “1978”; known are 2023-09"):
        load("gb-eaw", "1978")


def test_flags_get_yes_and_no_by_themselves() -> None:
    assert read(SMALL).question("mark").codes == ("yes", "no", CANNOT_DETERMINE)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "Small"', "title = ", "not a TOML file"),
        ('title = "Small"\n', "", "title is missing"),
        ('title = "Small"', 'title = " "', "title is a text"),
        ('title = "Small"', 'title = "Small"\ncolour = "red"', "colour is not part of the format"),
        ('id = "small"', 'id = "../small"', "lower-case letters"),
        ("2024-01-01", '"2024"', "effective_from is a date"),
        ('undetermined = "open"\n', "", "labels: undetermined is missing"),
        ('kind = "flag"', 'kind = "hunch"', "question “mark”: kind is one of fact, judgement, flag"),
        ('id = "mark"', 'id = "first"', "question “first” is there twice"),
        ('options = { A = "A", B = "B" }', "", "question “grade”: options is a table"),
        ('B = "B"', 'cannot_determine = "?"', "added by itself"),
        (
            'asked_when = { first = "yes" }',
            'asked_when = { mark = "yes" }',
            "which no question above it asks",
        ),
        ('asked_when = { first = "yes" }', 'asked_when = { first = "si" }', "names an unknown code or none"),
        ('asked_when = { first = "yes" }', "asked_when = { first = [] }", "names an unknown code or none"),
        ('asked_when = { first = "yes" }', "asked_when = { first = 1 }", "codes are a list of texts"),
        ('asked_when = { first = "yes" }', 'asked_when = "first"', "a condition is a table"),
        ('severities = ["A"]', 'severities = ["D"]', "severity_question does not offer"),
        ('severity_question = "grade"', 'severity_question = "rank"', "no question “rank”"),
        ('law = "Rule"', 'law = "Rule"\ngroup = "other"', "group is realistic, prohibited or national"),
        ('class = "one"', 'class = "two"', "no class “two”"),
        ('class = "one"', "", "class is named exactly when then is criminal"),
        ('then = "criminal"', 'then = "guilty"', "then is one of criminal, not_criminal, undetermined"),
        ("[[rule]]", "[rule]", r"write \[\[rule\]\]"),
        ('kind = "flag"', 'kind = "flag"\nsection = "none"', "there is no section “none”"),
        ('kind = "flag"', 'kind = "flag"\nordinal = "no"', "ordinal is true or false"),
        ('title = "Small"', 'title = "Small"\nkind = "rumour"', "kind is one of law, scheme"),
        ('title = "Small"', 'title = "Small"\nfacts = "0"', "no version “0” of the shared facts"),
        ('kind = "flag"', 'kind = "flag"\ncompared = "no"', "compared is true or false"),
    ],
)
def test_a_broken_file_is_refused_by_name(old: str, new: str, message: str) -> None:
    assert old in SMALL
    with pytest.raises(FrameworkError, match=message) as caught:
        read(SMALL.replace(old, new), origin="small/1.toml")
    assert str(caught.value).startswith("small/1.toml: ")
    assert "\n" not in str(caught.value)
