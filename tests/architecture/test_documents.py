"""What the documents name exists: tests, files, links; and what the desk may change is told as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
WORDS = {str(path.relative_to(ROOT)): path.read_text() for path in DOCUMENTS}


@pytest.mark.parametrize("document", WORDS)
def test_every_test_that_a_document_names_exists(document: str) -> None:
    named = set(re.findall(r"::(test_\w+)", WORDS[document]))
    if not named:
        return
    defined = {
        name for path in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    assert named - defined == set()


@pytest.mark.parametrize("document", WORDS)
def test_every_file_of_the_tree_that_a_document_names_exists(document: str) -> None:
    named = re.findall(r"`((?:src|tests|docs|havenline|havenline_desk|havenline_cli)/[\w./-]+\.\w+)", WORDS[document])
    assert [name for name in named if not any((root / name).exists() for root in (ROOT, ROOT / "src"))] == []


@pytest.mark.parametrize("document", WORDS)
def test_every_link_inside_the_documents_leads_somewhere(document: str) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", WORDS[document])
    assert [target for target in targets if not (ROOT / document).parent.joinpath(target).exists()] == []


def test_every_decision_has_one_line_in_the_index() -> None:
    folder = ROOT / "docs/decisions"
    pages = {path.name for path in folder.glob("[0-9]*.md")}
    linked = re.findall(r"^- \[[^]]+\]\(([^)]+)\)", WORDS["docs/decisions/README.md"], re.MULTILINE)
    assert sorted(linked) == sorted(pages)


def test_the_columns_that_the_desk_may_change_are_told_as_they_are() -> None:
    from havenline_desk.sites.schema import CHANGEABLE

    rows = re.findall(r"^\| (\w+) \| ((?:`\w+`(?:, )?)+) \|$", WORDS["docs/architecture.md"], re.MULTILINE)
    told = {model: tuple(re.findall(r"`(\w+)`", columns)) for model, columns in rows}
    assert told == {model.__name__: columns for model, columns in CHANGEABLE.items()}
