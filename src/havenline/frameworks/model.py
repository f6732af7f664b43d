"""The values of a framework: what is asked, what the law distinguishes, and the rules between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Literal, TypedDict

from havenline.frameworks.conditions import Condition, Truth, all_of

CANNOT_DETERMINE = "cannot_determine"
"""The code that every question accepts; rules treat it like an answer that is missing."""

NOT_APPROVED = "not approved by local counsel"
"""The only line of the rule path of a framework that nobody has approved for use here (practice 12)."""

DISAGREEMENT = "two people differ, and no third is asked in a house of two"
"""The only line of the rule path where nothing counts as determined because of it (practice 7)."""


class QuestionKind(StrEnum):
    """Facts are what is seen, judgements are made under a law, flags are side marks (practice 12)."""

    FACT = "fact"
    JUDGEMENT = "judgement"
    FLAG = "flag"


class FrameworkKind(StrEnum):
    """A law says what is criminal; a scheme says only how something is classified."""

    LAW = "law"
    SCHEME = "scheme"


class LegalStatus(StrEnum):
    """What the answers mean under the framework's law. Undetermined is never the same as not criminal."""

    CRIMINAL = "criminal"
    NOT_CRIMINAL = "not_criminal"
    UNDETERMINED = "undetermined"


@dataclass(frozen=True, slots=True)
class Option:
    """One possible answer: the code that is stored and the label that is shown."""

    code: str
    label: str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading under which a scheme groups its questions."""

    id: str
    title: str


@dataclass(frozen=True, slots=True)
class Question:
    """One question to the assessor; the last option is always `CANNOT_DETERMINE`.

    `compared` says whether different answers of two assessors are a dispute that a third person settles.
    `ordinal` says that the options before the last stand in an order that has a meaning.
    """

    id: str
    text: str
    kind: QuestionKind
    options: tuple[Option, ...]
    asked_when: Condition = field(default_factory=Condition)
    compared: bool = True
    ordinal: bool = False
    section: str | None = None

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes this question accepts."""
        return tuple(option.code for option in self.options)


@dataclass(frozen=True, slots=True)
class LegalClass:
    """One class that the law distinguishes; `severities` are the codes of the scale that applies to it."""

    id: str
    label: str
    law: str
    group: Literal["realistic", "prohibited", "national"] | None = None
    severities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """When the condition holds, the status (and for a criminal status the class) follows."""

    id: str
    when: Condition
    then: LegalStatus
    class_id: str | None = None


@dataclass(frozen=True, slots=True)
class StatusLabels:
    """What the three statuses are called under this framework."""

    criminal: str
    not_criminal: str
    undetermined: str

    def of(self, status: LegalStatus) -> str:
        """Return the label of `status`."""
        return {
            LegalStatus.CRIMINAL: self.criminal,
            LegalStatus.NOT_CRIMINAL: self.not_criminal,
            LegalStatus.UNDETERMINED: self.undetermined,
        }[status]


@dataclass(frozen=True, slots=True)
class FrameworkRef:
    """Names one version of one framework without its questions and rules."""

    id: str
    version: str
    title: str
    jurisdiction: str
    effective_from: date
    demo: bool
    kind: FrameworkKind = FrameworkKind.LAW


@dataclass(frozen=True, slots=True)
class Legality:
    """What a framework's rules say of one set of answers, and by which way they got there.

    `class_id` and `law` are set exactly when the status is criminal. `severity` is a code of the class's
    scale, or None where the class has none or the assessor could not tell. `rule_path` has one line per
    rule tried, in order.
    """

    status: LegalStatus
    class_id: str | None
    law: str | None
    severity: str | None
    rule_path: tuple[str, ...]
    framework: str
    version: str


class FormOption(TypedDict):
    """An option as the browser gets it."""

    code: str
    label: str


class FormQuestion(TypedDict):
    """A question as the browser gets it; it is shown when `asked_when` is empty or holds."""

    id: str
    text: str
    kind: str
    options: list[FormOption]
    asked_when: dict[str, list[str]]


class Form(TypedDict):
    """A framework's questions as JSON-able data."""

    framework: str
    version: str
    title: str
    demo: bool
    cannot_determine: str
    questions: list[FormQuestion]


@dataclass(frozen=True, slots=True)
class Framework:
    """One version of one framework. Frozen: a change of law or wording is a new version, old results stay.

    `severity_question` names the question whose answer is the severity, where the law has such a scale.
    Made by `read` or `load`, which check that every reference inside it resolves; the constructor does not.
    """

    id: str
    version: str
    title: str
    jurisdiction: str
    effective_from: date
    demo: bool
    questions: tuple[Question, ...]
    classes: tuple[LegalClass, ...]
    rules: tuple[Rule, ...]
    labels: StatusLabels
    severity_question: str | None = None
    kind: FrameworkKind = FrameworkKind.LAW
    sections: tuple[Section, ...] = ()
    _by_id: Mapping[str, Question] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_id", {question.id: question for question in self.questions})

    @property
    def ref(self) -> FrameworkRef:
        """The name of this version."""
        return FrameworkRef(
            self.id, self.version, self.title, self.jurisdiction, self.effective_from, self.demo, self.kind
        )

    def question(self, question_id: str) -> Question:
        """Return the question of that id. Raises KeyError when the framework does not ask it."""
        return self._by_id[question_id]

    def legal_class(self, class_id: str) -> LegalClass:
        """Return the class of that id. Raises KeyError when the framework does not know it."""
        return {entry.id: entry for entry in self.classes}[class_id]

    def asked(self, facts: Mapping[str, str]) -> tuple[Question, ...]:
        """Return the questions that these answers call for, in the order of the form.

        A question whose condition is open (an earlier answer is missing or "cannot determine") is not asked.
        """
        return tuple(question for question in self.questions if self._is_asked(question, facts) is Truth.TRUE)

    def answers(self, facts: Mapping[str, str]) -> dict[str, str]:
        """Return the answers that count: those to questions that are asked, in the order of the form."""
        return {question.id: facts[question.id] for question in self.asked(facts) if question.id in facts}

    def check(self, facts: Mapping[str, str]) -> dict[str, str]:
        """Return a message for each answer that is missing, unknown or not asked for; empty when sound."""
        problems: dict[str, str] = {}
        asked = {question.id for question in self.asked(facts)}
        for question in self.questions:
            answer = facts.get(question.id)
            if question.id not in asked:
                if answer:
                    problems[question.id] = "This question does not apply to the other answers; clear it."
            elif answer is None or answer == "":
                problems[question.id] = "This question needs an answer; “Cannot determine” is one."
            elif answer not in question.codes:
                problems[question.id] = "This is not one of the answers; choose one of those shown."
        for stranger in sorted(facts.keys() - self._by_id.keys()):
            problems[stranger] = f"The framework {self.id} {self.version} has no such question."
        return problems

    def form(self) -> Form:
        """Return the questions as JSON-able data, for a browser to show and hide by the same conditions.

        A question is shown when each question named in its `asked_when` is shown and has one of the listed
        codes.
        """
        return Form(
            framework=self.id,
            version=self.version,
            title=self.title,
            demo=self.demo,
            cannot_determine=CANNOT_DETERMINE,
            questions=[
                FormQuestion(
                    id=question.id,
                    text=question.text,
                    kind=question.kind.value,
                    options=[FormOption(code=option.code, label=option.label) for option in question.options],
                    asked_when=question.asked_when.as_mapping(),
                )
                for question in self.questions
            ],
        )

    def derive(self, facts: Mapping[str, str], *, approved: bool, disputed: bool = False) -> Legality:
        """Apply the rules in order; the first that holds decides, one that stays open ends undetermined.

        `approved`: whether a named person has recorded that local counsel approved this version, or the
        records are synthetic ones of a study; the caller decides and answers for it. A demo framework needs
        no approval. `disputed`: two people differ and nobody else is asked, so that nothing is determined.

        Answers to questions that are not asked, and codes that this version does not know, count as
        missing, so that answers given under another version can be derived again. Not checked: whether the
        answers are complete.
        """
        if not (approved or self.demo):
            return self._legality(LegalStatus.UNDETERMINED, (NOT_APPROVED,))
        if disputed:
            return self._legality(LegalStatus.UNDETERMINED, (DISAGREEMENT,))
        path: list[str] = []
        for number, rule in enumerate(self.rules, start=1):
            holds = all_of(self._test(question, codes, facts) for question, codes in rule.when.tests)
            path.append(f"rule {number} ({rule.id}) " + self._reason(rule, holds, facts))
            if holds is Truth.TRUE:
                return self._legality(rule.then, tuple(path), class_id=rule.class_id, facts=facts)
            if holds is Truth.UNKNOWN:
                return self._legality(LegalStatus.UNDETERMINED, tuple(path))
        return self._legality(LegalStatus.UNDETERMINED, (*path, "no rule applies"))

    def _legality(
        self,
        status: LegalStatus,
        path: tuple[str, ...],
        *,
        class_id: str | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> Legality:
        law = severity = None
        if class_id is not None:
            legal_class = self.legal_class(class_id)
            law = legal_class.law
            given = self.answers(facts or {}).get(self.severity_question or "")
            severity = given if given in legal_class.severities else None
        return Legality(status, class_id, law, severity, path, self.id, self.version)

    def _is_asked(self, question: Question, facts: Mapping[str, str]) -> Truth:
        return all_of(self._test(earlier, codes, facts) for earlier, codes in question.asked_when.tests)

    def _test(self, question_id: str, codes: tuple[str, ...], facts: Mapping[str, str]) -> Truth:
        """Whether the answer is one of the codes; false where the question does not arise."""
        question = self._by_id[question_id]
        asked = self._is_asked(question, facts)
        if asked is not Truth.TRUE:
            return asked
        answer = facts.get(question_id)
        if answer in codes:
            return Truth.TRUE
        if answer is None or answer == CANNOT_DETERMINE or answer not in question.codes:
            return Truth.UNKNOWN
        return Truth.FALSE

    def _reason(self, rule: Rule, holds: Truth, facts: Mapping[str, str]) -> str:
        verb = {
            Truth.TRUE: "applies",
            Truth.FALSE: "does not apply",
            Truth.UNKNOWN: "cannot be decided",
        }[holds]
        deciding = [
            f"{question} {self._told(question, facts)}"
            for question, codes in rule.when.tests
            if self._test(question, codes, facts) is holds
        ]
        return f"{verb}: {', '.join(deciding)}" if deciding else verb

    def _told(self, question_id: str, facts: Mapping[str, str]) -> str:
        question = self._by_id[question_id]
        asked = self._is_asked(question, facts)
        if asked is Truth.FALSE:
            return "does not arise"
        answer = facts.get(question_id) if asked is Truth.TRUE else None
        if answer is None:
            return "is not answered"
        if answer not in question.codes:
            return "has an answer this version does not know"
        return f"is {answer}"
