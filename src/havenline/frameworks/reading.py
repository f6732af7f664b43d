"""From the TOML file of a framework to its value; every reference inside the file is checked here, once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal, cast

from havenline.frameworks.conditions import Condition
from havenline.frameworks.model import (
    CANNOT_DETERMINE,
    Framework,
    FrameworkKind,
    FrameworkRef,
    LegalClass,
    LegalStatus,
    Option,
    Question,
    QuestionKind,
    Rule,
    Section,
    StatusLabels,
)
from havenline.vocabulary import HavenlineError

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*\Z")
_YES_NO = {"yes": "Yes", "no": "No"}
_CANNOT_DETERMINE_LABEL = "Cannot determine"
_SCHEME_LABELS = {"criminal": "classified", "not_criminal": "not classified", "undetermined": "undetermined"}


class FrameworkError(HavenlineError):
    """A framework is not there, or its file breaks the format; the text says which and where."""


def available() -> tuple[FrameworkRef, ...]:
    """Return every version of every framework shipped with the package, by id, oldest version first."""
    return tuple(framework.ref for framework in _shipped())


def load(framework_id: str, version: str | None = None) -> Framework:
    """Return a shipped framework; without `version` the one that came into effect last.

    Raises FrameworkError when there is no such framework or version.
    """
    versions = [framework for framework in _shipped() if framework.id == framework_id]
    if not versions:
        known = ", ".join(sorted({framework.id for framework in _shipped()}))
        raise FrameworkError(f"there is no framework “{framework_id}”; known are {known}")
    if version is None:
        return versions[-1]
    for framework in versions:
        if framework.version == version:
            return framework
    known = ", ".join(framework.version for framework in versions)
    raise FrameworkError(f"framework {framework_id} has no version “{version}”; known are {known}")


def read(text: str, *, origin: str = "framework") -> Framework:
    """Read a framework from the text of its TOML file (`docs/formats/framework.md`).

    `origin` names the file in messages. Raises FrameworkError naming the first fault. Not checked: whether
    the rules say what the law says.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise FrameworkError(f"{origin}: not a TOML file ({fault})") from None
    return read_document(document, origin=origin)


def read_document(document: Mapping[str, Any], *, origin: str = "framework") -> Framework:
    """Read a framework from the same keys as data, as JSON carries them; `effective_from` may be an ISO date in text.

    Raises FrameworkError naming the first fault.
    """
    return _Reader(origin).framework(document)


@cache
def facts(version: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the facts that frameworks share, by id, as their file states them. Raises FrameworkError without such a
    version."""
    path = files("havenline.frameworks").joinpath("facts", f"{version}.toml")
    if not _NAME.match(version) or not path.is_file():
        raise FrameworkError(f"there is no version “{version}” of the shared facts")
    return {entry["id"]: entry for entry in tomllib.loads(path.read_text(encoding="utf-8"))["fact"]}


@cache
def _shipped() -> tuple[Framework, ...]:
    found = []
    for path in _framework_files():
        framework = read(path.read_text(encoding="utf-8"), origin=path.name)
        found.append(framework)
    return tuple(sorted(found, key=lambda one: (one.id, one.effective_from, one.version)))


def _framework_files() -> Iterator[Traversable]:
    for folder in files("havenline.frameworks").joinpath("data").iterdir():
        if folder.is_dir():
            yield from (path for path in folder.iterdir() if path.name.endswith(".toml"))


class _Reader:
    """Reads one document; keeps the name that messages start with and the questions read so far."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._questions: dict[str, Question] = {}
        self._sections: dict[str, Section] = {}
        self._facts: Mapping[str, Mapping[str, Any]] = {}

    def framework(self, document: Mapping[str, Any]) -> Framework:
        self._known(
            "the framework",
            document,
            required=(
                "id",
                "version",
                "title",
                "jurisdiction",
                "effective_from",
                *(() if document.get("kind") == FrameworkKind.SCHEME else ("labels", "question", "rule")),
            ),
            optional=(
                *("demo", "kind", "facts", "section", "labels", "question", "class", "rule", "severity_question"),
            ),
        )
        kind = document.get("kind", FrameworkKind.LAW.value)
        if kind not in set(FrameworkKind):
            raise self._fault(f"the framework: kind is one of {', '.join(FrameworkKind)}")
        if "facts" in document:
            try:
                self._facts = facts(self._name("the framework", document, "facts"))
            except FrameworkError as fault:
                raise self._fault(str(fault).removeprefix(f"{self._origin}: ")) from None
        for entry in self._tables("section", document.get("section", [])):
            name = self._name("a section", entry, "id")
            self._known(f"section “{name}”", entry, required=("id", "title"))
            self._sections[name] = Section(name, self._text(f"section “{name}”", entry, "title"))
        for entry in self._tables("question", document.get("question", [])):
            question = self._question(entry)
            if question.id in self._questions:
                raise self._fault(f"question “{question.id}” is there twice")
            self._questions[question.id] = question
        severity_question = self._optional_text("the framework", document, "severity_question")
        classes = self._classes(document.get("class", []), severity_question)
        return Framework(
            id=self._name("the framework", document, "id"),
            version=self._name("the framework", document, "version"),
            title=self._text("the framework", document, "title"),
            jurisdiction=self._text("the framework", document, "jurisdiction"),
            effective_from=self._date(document["effective_from"]),
            demo=self._truth("the framework", document, "demo", default=False),
            questions=tuple(self._questions.values()),
            classes=classes,
            rules=self._rules(document.get("rule", []), {entry.id for entry in classes}),
            labels=self._labels(document.get("labels", _SCHEME_LABELS)),
            severity_question=severity_question,
            kind=FrameworkKind(kind),
            sections=tuple(self._sections.values()),
        )

    def _question(self, entry: Mapping[str, Any]) -> Question:
        if "fact" in entry:
            entry = self._shared(entry)
        name = self._name("a question", entry, "id")
        where = f"question “{name}”"
        self._known(
            where,
            entry,
            required=("id", "text", "kind"),
            optional=("options", "asked_when", "compared", "ordinal", "section"),
        )
        section = self._optional_text(where, entry, "section")
        if section is not None and section not in self._sections:
            raise self._fault(f"{where}: there is no section “{section}”")
        if entry["kind"] not in set(QuestionKind):
            raise self._fault(f"{where}: kind is one of {', '.join(QuestionKind)}")
        kind = QuestionKind(entry["kind"])
        options = entry.get("options", _YES_NO if kind is QuestionKind.FLAG else {})
        if not isinstance(options, Mapping) or not options:
            raise self._fault(f"{where}: options is a table of code = label")
        if CANNOT_DETERMINE in options:
            raise self._fault(f"{where}: {CANNOT_DETERMINE} is added by itself, leave it out")
        return Question(
            id=name,
            text=self._text(where, entry, "text"),
            kind=kind,
            options=(
                *(Option(code, self._text(where, options, code)) for code in options),
                Option(CANNOT_DETERMINE, _CANNOT_DETERMINE_LABEL),
            ),
            asked_when=self._condition(where, entry.get("asked_when", {})),
            compared=self._truth(where, entry, "compared", default=True),
            ordinal=self._truth(where, entry, "ordinal", default=False),
            section=section,
        )

    def _shared(self, entry: Mapping[str, Any]) -> Mapping[str, Any]:
        """The shared fact that an entry names; only what concerns this framework's own form may be said beside it."""
        name = self._name("a question", entry, "fact")
        where = f"fact “{name}”"
        self._known(where, entry, required=("fact",), optional=("compared", "section"))
        if name not in self._facts:
            raise self._fault(f"{where}: the shared facts have none of that name; is facts set?")
        return {**self._facts[name], **{key: value for key, value in entry.items() if key != "fact"}}

    def _classes(self, entries: object, severity_question: str | None) -> tuple[LegalClass, ...]:
        if severity_question is not None and severity_question not in self._questions:
            raise self._fault(f"severity_question: there is no question “{severity_question}”")
        scale = self._questions[severity_question].codes[:-1] if severity_question else ()
        classes: dict[str, LegalClass] = {}
        for entry in self._tables("class", entries):
            name = self._name("a class", entry, "id")
            where = f"class “{name}”"
            self._known(where, entry, required=("id", "label", "law"), optional=("group", "severities"))
            group = entry.get("group")
            if group not in (None, "realistic", "prohibited", "national"):
                raise self._fault(f"{where}: group is realistic, prohibited or national, or left out")
            severities = self._codes(where, entry.get("severities", []))
            if not set(severities) <= set(scale):
                raise self._fault(f"{where}: severities has a code that severity_question does not offer")
            if name in classes:
                raise self._fault(f"{where} is there twice")
            classes[name] = LegalClass(
                id=name,
                label=self._text(where, entry, "label"),
                law=self._text(where, entry, "law"),
                group=cast(Literal["realistic", "prohibited", "national"] | None, group),
                severities=severities,
            )
        return tuple(classes.values())

    def _rules(self, entries: object, classes: set[str]) -> tuple[Rule, ...]:
        rules: dict[str, Rule] = {}
        for entry in self._tables("rule", entries):
            name = self._name("a rule", entry, "id")
            where = f"rule “{name}”"
            self._known(where, entry, required=("id", "then"), optional=("when", "class"))
            if entry["then"] not in set(LegalStatus):
                raise self._fault(f"{where}: then is one of {', '.join(LegalStatus)}")
            then = LegalStatus(entry["then"])
            class_id = self._optional_text(where, entry, "class")
            if (then is LegalStatus.CRIMINAL) != (class_id is not None):
                raise self._fault(f"{where}: class is named exactly when then is criminal")
            if class_id is not None and class_id not in classes:
                raise self._fault(f"{where}: there is no class “{class_id}”")
            if name in rules:
                raise self._fault(f"{where} is there twice")
            rules[name] = Rule(name, self._condition(where, entry.get("when", {})), then, class_id)
        return tuple(rules.values())

    def _labels(self, entry: object) -> StatusLabels:
        if not isinstance(entry, Mapping):
            raise self._fault("labels is a table")
        self._known("labels", entry, required=("criminal", "not_criminal", "undetermined"))
        return StatusLabels(
            criminal=self._text("labels", entry, "criminal"),
            not_criminal=self._text("labels", entry, "not_criminal"),
            undetermined=self._text("labels", entry, "undetermined"),
        )

    def _condition(self, where: str, entry: object) -> Condition:
        if not isinstance(entry, Mapping):
            raise self._fault(f"{where}: a condition is a table of question = code or codes")
        tests = []
        for question_id, wanted in entry.items():
            # Only questions above it: so conditions cannot run in circles and a form can be read from top
            # to bottom.
            question = self._questions.get(question_id)
            if question is None:
                raise self._fault(f"{where}: its condition names “{question_id}”, which no question above it asks")
            codes = self._codes(where, [wanted] if isinstance(wanted, str) else wanted)
            strangers = set(codes) - set(question.codes)
            if strangers or not codes:
                raise self._fault(f"{where}: its condition on “{question_id}” names an unknown code or none")
            tests.append((question_id, codes))
        return Condition(tuple(tests))

    def _codes(self, where: str, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(code, str) for code in value):
            raise self._fault(f"{where}: codes are a list of texts")
        return tuple(value)

    def _tables(self, name: str, value: object) -> Sequence[Mapping[str, Any]]:
        if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
            raise self._fault(f"{name} is a list of tables: write [[{name}]]")
        return value

    def _known(
        self, where: str, entry: Mapping[str, Any], *, required: Sequence[str], optional: Sequence[str] = ()
    ) -> None:
        for key in required:
            if key not in entry:
                raise self._fault(f"{where}: {key} is missing")
        for key in entry:
            if key not in required and key not in optional:
                raise self._fault(f"{where}: {key} is not part of the format")

    def _text(self, where: str, entry: Mapping[str, Any], key: str) -> str:
        value = entry[key]
        if not isinstance(value, str) or not value.strip():
            raise self._fault(f"{where}: {key} is a text")
        return value

    def _optional_text(self, where: str, entry: Mapping[str, Any], key: str) -> str | None:
        return self._text(where, entry, key) if key in entry else None

    def _name(self, where: str, entry: Mapping[str, Any], key: str) -> str:
        if key not in entry:
            raise self._fault(f"{where}: {key} is missing")
        value = self._text(where, entry, key)
        if not _NAME.match(value):
            raise self._fault(f"{where}: {key} is made of lower-case letters, digits, dot, dash and underline")
        return value

    def _truth(self, where: str, entry: Mapping[str, Any], key: str, *, default: bool) -> bool:
        value = entry.get(key, default)
        if not isinstance(value, bool):
            raise self._fault(f"{where}: {key} is true or false")
        return value

    def _date(self, value: object) -> date:
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            try:
                return date.fromisoformat(value)
            except ValueError:
                pass
        if not isinstance(value, date) or isinstance(value, datetime):
            raise self._fault("the framework: effective_from is a date")
        return value

    def _fault(self, text: str) -> FrameworkError:
        return FrameworkError(f"{self._origin}: {text}")
