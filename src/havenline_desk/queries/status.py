"""How far an investigation is: what was taken in, what could not be, what waits."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count

from ..models import Assignment, File, ImportProblem, Investigation, Item, Match, Stack
from .quorums import SettledLine, settled_lines


@dataclass(frozen=True, slots=True)
class Status:
    reference: str
    posted: int
    items: int
    files: int
    selected: int
    stacks: int
    matched_files: int
    waiting: dict[str, int]
    outcomes: int
    settled: tuple[SettledLine, ...]
    problems: dict[str, int]
    refused_files: dict[str, int]
    imports_running: int


def status_of(investigation: Investigation) -> Status:
    items = Item.objects.filter(investigation=investigation)
    files = File.objects.filter(items__investigation=investigation).distinct()
    waiting = Assignment.objects.filter(revision__stack__investigation=investigation, done_at=None)
    problems = ImportProblem.objects.filter(import_of__investigation=investigation)
    return Status(
        reference=investigation.reference,
        posted=investigation.posted_total,
        items=items.count(),
        files=files.count(),
        selected=items.filter(selection__isnull=False).count(),
        stacks=Stack.objects.filter(investigation=investigation).count(),
        matched_files=Match.objects.filter(file__in=files).values("file").distinct().count(),
        waiting=dict(waiting.values_list("step").annotate(Count("pk")).order_by("step")),
        outcomes=investigation.outcomes.filter(correction=None).count(),
        settled=settled_lines(investigation),
        problems=dict(problems.values_list("reason").annotate(Count("pk")).order_by("reason")),
        refused_files=dict(
            files.exclude(refusal="").order_by("refusal").values_list("refusal").annotate(Count("pk", distinct=True))
        ),
        imports_running=investigation.imports.filter(finished_at=None).count(),
    )
