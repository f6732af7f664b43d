"""The records of one investigation as a folder of Parquet files, from which its figures can be counted anywhere.

A snapshot is internal: it goes to nobody but a verifier under contract. It names no person, no digest, no address and
no text: items, reports and revisions are numbered within the snapshot alone, and exposure stands in it as totals by
step of the ladder. What a publication says of it in public is a salted commitment (`FiguresSnapshot.commitment`).
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from havenline.figures.records import FiguresError, LawLabel, laws_of
from havenline.frameworks import Framework, Option, Question, QuestionKind, StatusLabels
from havenline.whole_file import write_whole

FORM = 1
HEAD, SALT = "snapshot.json", "salt"
_CODE = pa.dictionary(pa.int32(), pa.string())

REPORTS = pa.schema([pa.field("report", pa.int64(), nullable=False), pa.field("channel", _CODE, nullable=False)])
"""One row per report through which an item of the period came in."""
REPORT_ITEMS = pa.schema([pa.field(name, pa.int64(), nullable=False) for name in ("report", "item")])
EXPOSURE = pa.schema([pa.field(name, pa.int64(), nullable=False) for name in ("ladder_step", "views", "people")])
"""One row per step of the ladder; `people` is how many people had a view of it."""
_ITEM = [
    pa.field("item", pa.int64(), nullable=False),
    pa.field("kind", _CODE, nullable=False),
    pa.field("country", _CODE),
    pa.field("selected", pa.bool_(), nullable=False),
    pa.field("status", _CODE),
    pa.field("class_id", _CODE),
    pa.field("severity", _CODE),
    pa.field("minutes_to_outcome", pa.int64()),
    pa.field("minutes_to_list", pa.int64()),
    pa.field("minutes_to_notice", pa.int64()),
    pa.field("minutes_to_removal", pa.int64()),
]
_ASSESSMENT = [
    pa.field("revision", pa.int64(), nullable=False),
    pa.field("step", _CODE, nullable=False),
    pa.field("active_ms", pa.int64(), nullable=False),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotHead:
    """What the tables of a snapshot cannot say of themselves.

    `posted` is the declared total in items, None where the snapshot covers a part of the investigation alone.
    `period` is words: ISO days, both included. `people` is how many people assessed. `questions` are those of the
    framework, in its order; `severities` its codes, the most severe first.
    """

    investigation: str
    dataset: str
    period: str
    framework: str
    framework_version: str
    framework_title: str
    review_plan: str
    posted: int | None
    people: int
    statuses: StatusLabels
    laws: Mapping[str, LawLabel]
    questions: tuple[Question, ...]
    severity_question: str | None
    severities: tuple[str, ...]

    @classmethod
    def under(
        cls,
        framework: Framework,
        *,
        investigation: str,
        dataset: str,
        period: str,
        review_plan: str,
        posted: int | None,
        people: int,
    ) -> SnapshotHead:
        """Return the head of records that were assessed under `framework`."""
        scale = framework.severity_question
        return cls(
            investigation=investigation,
            dataset=dataset,
            period=period,
            framework=framework.id,
            framework_version=framework.version,
            framework_title=framework.title,
            review_plan=review_plan,
            posted=posted,
            people=people,
            statuses=framework.labels,
            laws=laws_of(framework),
            questions=framework.questions,
            severity_question=scale,
            severities=framework.question(scale).codes[:-1] if scale else (),
        )

    def question(self, question_id: str) -> Question | None:
        """The question of that id, None where the framework does not ask it."""
        return next((one for one in self.questions if one.id == question_id), None)

    @property
    def answer_columns(self) -> tuple[str, ...]:
        """The columns of answers, one per question, in the order of the form."""
        return tuple(column_of(one.id) for one in self.questions)

    def schema(self, table: str) -> pa.Schema:
        """The columns of the table of that name."""
        answers = [pa.field(name, _CODE) for name in self.answer_columns]
        return {
            "items": pa.schema([*_ITEM, *answers]),
            "assessments": pa.schema([*_ASSESSMENT, *answers]),
            "reports": REPORTS,
            "report_items": REPORT_ITEMS,
            "exposure": EXPOSURE,
        }[table]


TABLES = ("items", "assessments", "reports", "report_items", "exposure")


def column_of(question_id: str) -> str:
    """The name of the column that holds the answers to a question."""
    return f"q_{question_id}"


@dataclass(frozen=True, slots=True)
class FiguresSnapshot:
    """A snapshot in a folder, as `read_snapshot` found it."""

    folder: Path
    head: SnapshotHead
    salt: str

    def file(self, table: str) -> Path:
        """Where the table of that name lies."""
        return self.folder / f"{table}.parquet"

    def commitment(self) -> str:
        """SHA-256, hexadecimal, over the salt and the SHA-256 of each file: whoever lacks the salt learns nothing."""
        lines = [f"havenline snapshot {FORM}", self.salt]
        for name in [HEAD, *(f"{table}.parquet" for table in TABLES)]:
            with (self.folder / name).open("rb") as file:
                lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}")
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class SnapshotWriter:
    """Takes rows table by table, in batches of any size; they lie in memory one batch at a time."""

    def __init__(self, folder: Path, head: SnapshotHead, writers: Mapping[str, pq.ParquetWriter]) -> None:
        self._folder, self._head, self._writers = folder, head, writers

    def add(self, table: str, batch: pa.Table) -> None:
        """Append rows. Raises FiguresError where they break the table's schema."""
        schema = self._head.schema(table)
        try:
            self._writers[table].write_table(batch.select(schema.names).cast(schema))
        except (KeyError, pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as fault:
            raise FiguresError(f"the table of {table} breaks its schema: {str(fault).splitlines()[0]}") from None


@contextmanager
def new_snapshot(folder: Path, head: SnapshotHead, *, salt: str = "") -> Iterator[SnapshotWriter]:
    """Make a snapshot in a new or empty folder; it is whole, and can be read, once the block ends.

    `salt`: 64 hexadecimal digits; drawn anew where none is given. Raises FiguresError where the folder holds something.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FiguresError(f"{folder} holds something already; name an empty folder for the snapshot")
    with ExitStack() as open_files:
        writers = {
            table: open_files.enter_context(
                pq.ParquetWriter(folder / f"{table}.parquet", head.schema(table), compression="zstd")
            )
            for table in TABLES
        }
        yield SnapshotWriter(folder, head, writers)
    with write_whole(folder / SALT, replace=False) as file:
        file.write(f"{salt or secrets.token_hex(32)}\n".encode())
    with write_whole(folder / HEAD, replace=False) as file:  # last: a folder without a head is no snapshot
        file.write(json.dumps(head_to_json(head), ensure_ascii=False, sort_keys=True, indent=1).encode())


def read_snapshot(folder: Path) -> FiguresSnapshot:
    """Open a snapshot. Raises FiguresError where the folder holds none, or one of another form.

    Not checked: that the tables keep their schemas and agree with each other; counting them does.
    """
    try:
        head = head_from_json(json.loads((folder / HEAD).read_text()))
        salt = (folder / SALT).read_text().strip()
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise FiguresError(f"{folder} holds no snapshot that can be read: {fault}") from None
    missing = [table for table in TABLES if not (folder / f"{table}.parquet").is_file()]
    if missing:
        raise FiguresError(f"the snapshot in {folder} lacks its table of {missing[0]}")
    return FiguresSnapshot(folder, head, salt)


_PLAIN = (
    "investigation", "dataset", "period", "framework", "framework_version", "framework_title",
    "review_plan", "posted", "people", "severity_question",
)  # fmt: skip


def head_to_json(head: SnapshotHead) -> dict[str, Any]:
    """Return a head as JSON-able members, for `head_from_json`."""
    words = head.statuses
    return {name: getattr(head, name) for name in _PLAIN} | {
        "form": FORM,
        "severities": list(head.severities),
        "statuses": [words.criminal, words.not_criminal, words.undetermined],
        "laws": [[code, one.label, one.law, one.group] for code, one in head.laws.items()],
        "questions": [
            {
                "id": one.id,
                "text": one.text,
                "kind": one.kind.value,
                "compared": one.compared,
                "options": [[option.code, option.label] for option in one.options],
            }
            for one in head.questions
        ],
    }


def head_from_json(told: Mapping[str, Any]) -> SnapshotHead:
    """Return the head again. Raises ValueError, KeyError or TypeError where these are not its members."""
    if told["form"] != FORM:
        raise ValueError(f"it has form {told['form']}, and this version reads form {FORM}")
    return SnapshotHead(
        **{name: told[name] for name in _PLAIN},
        severities=tuple(told["severities"]),
        statuses=StatusLabels(*told["statuses"]),
        laws={code: LawLabel(label, law, group) for code, label, law, group in told["laws"]},
        questions=tuple(
            Question(
                id=one["id"],
                text=one["text"],
                kind=QuestionKind(one["kind"]),
                options=tuple(Option(code, label) for code, label in one["options"]),
                compared=one["compared"],
            )
            for one in told["questions"]
        ),
    )
