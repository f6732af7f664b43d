"""Frameworks for people to read, and what each says of the settled items of one investigation."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass

from django.db.models import Count

from havenline.frameworks import Framework, FrameworkRef, LegalStatus, Question, Rule

from .. import law
from ..models import ConfiguredFramework, Derivation, FrameworkApproval, ImportedFramework, Investigation, Outcome
from .quorums import QuorumLine, quorums_of


@dataclass(frozen=True, slots=True)
class FrameworkLine:
    """`approved` is None where no approval is needed: a training framework, or a scheme without rules."""

    ref: FrameworkRef
    questions: int
    imported: bool
    approved: bool | None
    quorum: QuorumLine | None


@dataclass(frozen=True, slots=True)
class RuleLine:
    """A rule in words: each condition names the question and the labels of the answers that meet it."""

    rule: Rule
    conditions: tuple[tuple[str, tuple[str, ...]], ...]
    result: str


@dataclass(frozen=True, slots=True)
class QuestionGroup:
    title: str
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class FrameworkPage:
    line: FrameworkLine
    framework: Framework
    groups: tuple[QuestionGroup, ...]
    rules: tuple[RuleLine, ...]
    counsel: str


@dataclass(frozen=True, slots=True)
class LawColumn:
    """Items of an investigation under one version. "Not criminal" and "undetermined" are cells of their own.

    `derived` counts items with a record; `own` is the framework that the investigation settles under.
    """

    framework: Framework
    own: bool
    indicative: bool
    approved: bool
    derived: int
    criminal: int
    not_criminal: int
    undetermined: int
    by_class: tuple[tuple[str, int], ...]


def framework_lines() -> tuple[FrameworkLine, ...]:
    imported = set(ImportedFramework.objects.values_list("framework", "version"))
    approved = {(one.framework, one.version): one.audit_id for one in FrameworkApproval.objects.all()}
    quorums = quorums_of(approved.values())
    lines = []
    for ref in law.available():
        framework = law.load(ref.id, ref.version)
        name = (ref.id, ref.version)
        needs_none = framework.demo or not framework.rules
        lines.append(
            FrameworkLine(
                ref,
                len(framework.questions),
                name in imported,
                None if needs_none else name in approved,
                quorums.get(approved[name]) if name in approved else None,
            )
        )
    return tuple(lines)


def framework_page(framework: str, version: str) -> FrameworkPage | None:
    """One version in full; None when it is not known here."""
    line = next((one for one in framework_lines() if (one.ref.id, one.ref.version) == (framework, version)), None)
    if line is None:
        return None
    found = law.load(framework, version)
    approval = FrameworkApproval.objects.filter(framework=framework, version=version).first()
    return FrameworkPage(
        line=line,
        framework=found,
        groups=_groups(found),
        rules=tuple(_in_words(rule, found) for rule in found.rules),
        counsel=approval.counsel if approval is not None else "",
    )


def law_columns(investigation: Investigation, *, at: dt.datetime) -> tuple[LawColumn, ...]:
    """What every framework of the investigation says of its settled items, its own first."""
    items = _items_by_outcome(investigation)
    own = law.own(investigation)
    columns = [_column(own, items, _own_results(investigation), investigation, own=own)]
    for framework in law.configured(investigation, at=at):
        rows = Derivation.objects.filter(
            outcome__in=items, run__framework=framework.id, run__version=framework.version, replaced_by=None
        )
        results = {pk: (status, class_id) for pk, status, class_id in rows.values_list("outcome", "status", "class_id")}
        columns.append(_column(framework, items, results, investigation, own=own))
    return tuple(columns)


def addable(investigation: Investigation, *, at: dt.datetime) -> tuple[FrameworkRef, ...]:
    """Every version that asks something and that the investigation does not derive under yet."""
    under = {(investigation.framework, investigation.framework_version)}
    under |= {(one.id, one.version) for one in law.configured(investigation, at=at)}
    known = (ref for ref in law.available() if (ref.id, ref.version) not in under)
    return tuple(ref for ref in known if law.load(ref.id, ref.version).questions)


def configured_since(investigation: Investigation) -> tuple[tuple[str, str, dt.datetime], ...]:
    """Framework, version and moment of each configuration, the oldest first."""
    rows = ConfiguredFramework.objects.filter(investigation=investigation).order_by("pk")
    return tuple(rows.values_list("framework", "version", "configured_at"))


def _items_by_outcome(investigation: Investigation) -> dict[int, int]:
    """How many selected items share each standing outcome."""
    rows = Outcome.objects.filter(
        investigation=investigation,
        correction=None,
        file__items__investigation=investigation,
        file__items__selection__isnull=False,
    )
    return dict(rows.order_by().values_list("pk").annotate(Count("file__items", distinct=True)))


def _own_results(investigation: Investigation) -> dict[int, tuple[str, str]]:
    """As settled, or as derived since the approval was recorded."""
    outcomes = Outcome.objects.filter(investigation=investigation, correction=None)
    results = {pk: (status, class_id) for pk, status, class_id in outcomes.values_list("pk", "status", "class_id")}
    since = Derivation.objects.filter(
        outcome__in=results,
        run__framework=investigation.framework,
        run__version=investigation.framework_version,
        replaced_by=None,
    )
    return results | {pk: (status, cls) for pk, status, cls in since.values_list("outcome", "status", "class_id")}


def _column(
    framework: Framework,
    items: dict[int, int],
    results: dict[int, tuple[str, str]],
    investigation: Investigation,
    *,
    own: Framework,
) -> LawColumn:
    statuses: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    for pk, (status, class_id) in results.items():
        statuses[status] += items.get(pk, 0)
        if class_id:
            classes[class_id] += items.get(pk, 0)
    return LawColumn(
        framework=framework,
        own=framework is own,
        indicative=framework.jurisdiction != own.jurisdiction,
        approved=framework.demo or law.in_force(framework.id, framework.version),
        derived=sum(items.get(pk, 0) for pk in results),
        criminal=statuses[LegalStatus.CRIMINAL],
        not_criminal=statuses[LegalStatus.NOT_CRIMINAL],
        undetermined=statuses[LegalStatus.UNDETERMINED],
        by_class=tuple((one.label, classes[one.id]) for one in framework.classes),
    )


def _groups(framework: Framework) -> tuple[QuestionGroup, ...]:
    """Questions by section, in the order of the sections; those of no section first."""
    groups = [("", tuple(one for one in framework.questions if one.section is None))]
    groups += [
        (section.title, tuple(one for one in framework.questions if one.section == section.id))
        for section in framework.sections
    ]
    return tuple(QuestionGroup(title, questions) for title, questions in groups if questions or title)


def _in_words(rule: Rule, framework: Framework) -> RuleLine:
    conditions = []
    for name, codes in rule.when.tests:
        question = framework.question(name)
        labels = {option.code: option.label for option in question.options}
        conditions.append((question.text, tuple(labels[code] for code in codes)))
    result = framework.labels.of(rule.then)
    if rule.class_id is not None:
        legal_class = framework.legal_class(rule.class_id)
        result = f"{result}: {legal_class.label} ({legal_class.law})"
    return RuleLine(rule, tuple(conditions), result)
