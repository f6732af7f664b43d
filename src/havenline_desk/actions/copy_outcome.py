"""Take over an outcome for byte-identical files; part of the acts that do so, which log it."""

from __future__ import annotations

import datetime as dt

from ..models import File, Investigation, Outcome, SettledBy


def copy_outcome(
    original: Outcome, file: File, investigation: Investigation, *, corrects: Outcome | None = None, at: dt.datetime
) -> Outcome:
    """Record the same answer for the same bytes; nobody viewed them for it. Not checked: that they are the same."""
    return Outcome.objects.create(
        investigation=investigation,
        file=file,
        copy_of=original,
        corrects=corrects,
        framework=original.framework,
        framework_version=original.framework_version,
        facts=original.facts,
        status=original.status,
        class_id=original.class_id,
        severity=original.severity,
        rule_path=original.rule_path,
        settled_by=SettledBy.COPY,
        viewed_by_person=False,
        settled_at=at,
    )


def correct_copies(old: Outcome, new: Outcome, *, at: dt.datetime) -> list[Outcome]:
    """Files that took their answer over from `old` take it over from `new`, in whichever investigation."""
    copies = old.copies.filter(correction=None).select_related("investigation", "file").order_by("pk")
    return [copy_outcome(new, copy.file, copy.investigation, corrects=copy, at=at) for copy in copies]
