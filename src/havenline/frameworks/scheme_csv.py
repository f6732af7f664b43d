"""A classification scheme from CSV: a line for each option of each question; every faulty line is named."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from havenline.frameworks.model import CANNOT_DETERMINE, FrameworkKind, QuestionKind, Section
from havenline.frameworks.reading import FrameworkError

COLUMNS = ("section", "question", "text", "kind", "code", "label")
"""`section` may be left out; `text` and `kind` need to stand in the first line of a question alone."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*\Z")
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")


@dataclass(frozen=True, slots=True)
class LineProblem:
    """A line of the file, counted from 1, and what is wrong with it."""

    line: int
    reason: str


class SchemeError(FrameworkError):
    """The file is no scheme; `problems` names every faulty line."""

    def __init__(self, origin: str, problems: tuple[LineProblem, ...]) -> None:
        more = f"; and {len(problems) - 1} lines more" if len(problems) > 1 else ""
        super().__init__(f"{origin}: line {problems[0].line}: {problems[0].reason}{more}")
        self.problems = problems


@dataclass(frozen=True, slots=True)
class SchemeHead:
    """What a CSV cannot say of its scheme; `sections` are those its lines may name, none: any."""

    id: str
    version: str
    title: str
    jurisdiction: str
    effective_from: date
    sections: tuple[Section, ...] = ()


@dataclass(slots=True)
class _Rows:
    head: SchemeHead
    questions: dict[str, dict[str, Any]] = field(default_factory=dict)

    def take(self, row: Mapping[str, str]) -> str | None:
        """Add one line; what is wrong with it, or None."""
        name, section = row["question"], row["section"]
        if not _NAME.match(name):
            return "question is made of lower-case letters, digits, dot, dash and underline"
        if section and self.head.sections and section not in {one.id for one in self.head.sections}:
            return f"there is no section “{section}”: {', '.join(one.id for one in self.head.sections)}"
        if section and not _NAME.match(section):
            return "section is made of lower-case letters, digits, dot, dash and underline"
        return self._add(name, section, row)

    def _add(self, name: str, section: str, row: Mapping[str, str]) -> str | None:
        known = self.questions.get(name)
        if known is None:
            if not row["text"]:
                return f"the first line of “{name}” needs a text"
            if row["kind"] not in set(QuestionKind):
                return f"kind of “{name}” is one of {', '.join(QuestionKind)}"
            known = {"id": name, "text": row["text"], "kind": row["kind"], "options": {}}
            if section:
                known["section"] = section
        elif any(row[key] and row[key] != known.get(key) for key in ("text", "kind", "section")):
            return f"text, kind or section of “{name}” differ from its first line"
        code, label = row["code"], row["label"]
        if not code and known["kind"] == QuestionKind.FLAG and not known["options"] and name not in self.questions:
            self.questions[name] = known  # a flag has yes and no by itself
            return None
        if code == CANNOT_DETERMINE:
            return f"{CANNOT_DETERMINE} is added by itself, leave it out"
        if not _CODE.match(code) or not label:
            return f"an option of “{name}” needs a code of letters, digits, dot, dash and underline, and a label"
        if code in known["options"]:
            return f"the code {code} of “{name}” is there twice"
        known["options"][code] = label
        self.questions[name] = known
        return None


def scheme_document(text: str, *, head: SchemeHead, origin: str = "scheme") -> dict[str, Any]:
    """Return the scheme as data for `read_document`. A scheme in CSV has no rules, so nothing follows from it in law.

    Raises SchemeError with every faulty line. Lines without any value are passed over.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    try:
        titles = [title.strip().lower() for title in next(reader, [])]
    except csv.Error as fault:
        raise SchemeError(origin, (LineProblem(1, f"not CSV: {fault}"),)) from None
    missing = [column for column in COLUMNS[1:] if column not in titles]
    unknown = [title for title in titles if title not in COLUMNS]
    if missing or unknown or len(set(titles)) != len(titles):
        said = f"no column {', '.join(missing)}" if missing else f"unknown or doubled columns {', '.join(unknown)}"
        raise SchemeError(origin, (LineProblem(1, f"{said}; the columns are {', '.join(COLUMNS)}"),))
    rows, problems = _Rows(head), list[LineProblem]()
    try:
        for values in reader:
            line = reader.line_num
            if not any(value.strip() for value in values):
                continue
            if len(values) != len(titles):
                problems.append(LineProblem(line, f"{len(values)} values where {len(titles)} columns are"))
                continue
            row = dict.fromkeys(COLUMNS, "") | dict(zip(titles, (value.strip() for value in values), strict=True))
            if reason := rows.take(row):
                problems.append(LineProblem(line, reason))
    except csv.Error as fault:
        problems.append(LineProblem(reader.line_num, f"not CSV: {fault}"))
    if not rows.questions and not problems:
        problems.append(LineProblem(1, "there is no question in it"))
    if problems:
        raise SchemeError(origin, tuple(problems))
    return _document(rows)


def _document(rows: _Rows) -> dict[str, Any]:
    head = rows.head
    named = {one["section"] for one in rows.questions.values() if "section" in one}
    sections = head.sections or tuple(Section(name, name) for name in sorted(named))
    questions = [
        {key: value for key, value in one.items() if key != "options" or value} for one in rows.questions.values()
    ]
    return {
        "id": head.id,
        "version": head.version,
        "title": head.title,
        "jurisdiction": head.jurisdiction,
        "effective_from": head.effective_from.isoformat(),
        "kind": FrameworkKind.SCHEME.value,
        "section": [{"id": one.id, "title": one.title} for one in sections],
        "question": questions,
    }
