"""No log, no act: every action that writes appends an entry to the audit log in its own transaction."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ACTIONS = Path(__file__).parents[2] / "src/havenline_desk/actions"
FILES = sorted(path for path in ACTIONS.glob("*.py") if path.name != "__init__.py")
WRITES = {"create", "bulk_create", "get_or_create", "update_or_create", "update", "bulk_update", "save", "delete"}
PART_OF_ANOTHER_ACT = {
    "copy_outcome": {"form_stacks"},
    "correct_copies": {"correct_outcome", "settle_stack"},
    "forgive_try": {"prove_person"},
    "open_assignments": {"assess_anew", "form_stacks", "settle_stack"},
    "record_origin": {"record_postings"},
    "record_quorum": {
        "approve_framework",
        "correct_outcome",
        "declare_policy",
        "enrol_person",
        "import_collection",
        "keep_partners",
        "release_entries",
        "show_apart",
        "reset_factors",
        "settle_stack",
    },
}
"""Files whose writes are logged by the acts that they are a part of, and by nothing else that calls them."""

SAID_BY_NO_PERSON = {"run_import", "clear_sessions", "announce", "deliver_webhooks"}
"""Files in which a process notes how far it is with what a logged act asked for or brought about (webhooks have a log
of their own), or clears what counts no more."""

SAID_TO_NOBODY = {"keep_shift"}
"""What somebody does not want to be handed today: nobody may read in a log who did not want what."""


def functions(path: Path) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def called(function: ast.FunctionDef) -> set[str]:
    """Names that are called: `x` of `x(…)` and `….x(…)`, with `audit.append` in full."""
    names = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                whole = isinstance(node.func.value, ast.Name) and node.func.value.id == "audit"
                names.add(f"audit.{node.func.attr}" if whole else node.func.attr)
            elif isinstance(node.func, ast.Name):
                names.add(node.func.id)
    return names


def reached(name: str, own: dict[str, ast.FunctionDef]) -> set[str]:
    """What a function calls, itself and through the other functions of its file."""
    seen: set[str] = set()
    waiting = [name]
    calls: set[str] = set()
    while waiting:
        at = waiting.pop()
        if at in own and at not in seen:
            seen.add(at)
            calls |= called(own[at])
            waiting.extend(called(own[at]))
    return calls


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_action_that_writes_appends_an_entry(path: Path) -> None:
    own = functions(path)
    silent = [
        name
        for name in own
        if not name.startswith("_")
        and reached(name, own) & WRITES
        and "audit.append" not in reached(name, own)
        and path.stem not in PART_OF_ANOTHER_ACT
        and path.stem not in SAID_BY_NO_PERSON | SAID_TO_NOBODY
    ]
    assert silent == [], f"{path.name} writes without an entry in the audit log: {silent}"
    logged = any("audit.append" in called(function) for function in own.values())
    assert logged or path.stem in PART_OF_ANOTHER_ACT or path.stem in SAID_BY_NO_PERSON | SAID_TO_NOBODY


def test_what_is_part_of_another_act_is_called_by_acts_that_are_logged() -> None:
    for part, acts in PART_OF_ANOTHER_ACT.items():
        callers = {path.stem for path in FILES if any(part in called(each) for each in functions(path).values())}
        assert callers - {part} == acts
        for path in FILES:
            if path.stem in acts:
                assert any("audit.append" in called(each) for each in functions(path).values())


def test_every_act_of_the_log_is_appended_somewhere_and_told_in_the_format() -> None:
    from havenline_desk.models import AuditAct

    source = "".join(path.read_text() for path in FILES)
    page = (ACTIONS.parents[2] / "docs/formats/audit-log.md").read_text()
    assert [act.name for act in AuditAct if f"AuditAct.{act.name}" not in source] == []
    assert [act.value for act in AuditAct if f"`{act.value}`" not in page] == []
