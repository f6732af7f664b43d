"""One form for several frameworks: a fact that they share is asked once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from havenline.frameworks.model import Framework, Question
from havenline.frameworks.reading import FrameworkError


def sheet(first: Framework, others: Iterable[Framework]) -> Framework:
    """Return `first` with the questions of the `others` that it does not ask, after its own, in their order.

    Classes and rules stay those of `first`; the others derive from the same answers. Raises FrameworkError where two
    frameworks ask the same question by other codes or under another condition, for then an answer to the one is no
    answer to the other. Not checked: whether a question means the same where its codes and condition are the same.
    """
    asked = {question.id: (question, first) for question in first.questions}
    for other in others:
        for question in other.questions:
            if question.id not in asked:
                asked[question.id] = (replace(question, section=None), other)
                continue
            known, whose = asked[question.id]
            if set(known.codes) != set(question.codes) or known.asked_when.as_mapping() != _condition(question):
                raise FrameworkError(
                    f"{whose.id} {whose.version} and {other.id} {other.version} ask “{question.id}” differently; "
                    "choose versions that share their facts"
                )
    return replace(first, questions=tuple(question for question, _ in asked.values()))


def _condition(question: Question) -> dict[str, list[str]]:
    return question.asked_when.as_mapping()
