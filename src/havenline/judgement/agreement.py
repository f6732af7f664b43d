"""Where two people's answers differ, and what stands of those that agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from havenline.frameworks import CANNOT_DETERMINE, Framework, QuestionKind


@dataclass(frozen=True, slots=True)
class Difference:
    """One question that two people answered differently; None where one of them was not asked it."""

    question: str
    first: str | None
    second: str | None


def differences(framework: Framework, first: Mapping[str, str], second: Mapping[str, str]) -> tuple[Difference, ...]:
    """Return the compared questions with different answers, in the order of the form.

    Only answers to questions that are asked count; "cannot determine" is an answer like any other, so it
    differs from yes and from no. Not checked: whether the answers are complete (`Framework.check`).
    """
    one, other = framework.answers(first), framework.answers(second)
    return tuple(
        Difference(question.id, one.get(question.id), other.get(question.id))
        for question in framework.questions
        if question.compared and one.get(question.id) != other.get(question.id)
    )


def agreed(framework: Framework, first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, str]:
    """Return the one set of answers that stands when two people differ in no compared question.

    Where they differ in a question that is not compared: a flag that either raised is raised, since a flag
    asks for more care; any other answer becomes "cannot determine", as does a compared one.
    """
    one, other = framework.answers(first), framework.answers(second)
    stands: dict[str, str] = {}
    for question in framework.questions:
        answers = {found[question.id] for found in (one, other) if question.id in found}
        if len(answers) == 1:
            stands[question.id] = answers.pop()
        elif answers:
            raised = question.kind is QuestionKind.FLAG and "yes" in answers
            stands[question.id] = "yes" if raised else CANNOT_DETERMINE
    # A question that hangs on one that is now undetermined is no longer asked.
    return framework.answers(stands)
