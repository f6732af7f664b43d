"""The glossary and the code use the same words: every name in the table exists, every word of the code is in it."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from havenline import figures, frameworks, judgement, vocabulary
from havenline_desk import models

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
HEADER = ["word", "meaning", "not to be confused with", "in code"]

BANNED = {
    *("data", "info", "infos", "common", "hit", "hits"),
    *("manager", "managers", "handle", "handles", "handler", "handlers", "process", "processes"),
    *("helper", "helpers", "util", "utils", "utility", "utilities"),
}
BANNED_ALONE = {"content"}
BANNED_ANYWHERE = {"abuse_score"}
FORCED: dict[str, str] = {}
"""Names that Django or another library demands, each with the reason in one line."""


class Entry(NamedTuple):
    word: str
    meaning: str
    not_this: str
    names: tuple[str, ...]


def entries() -> list[Entry]:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "docs/glossary.md").read_text().splitlines()
        if line.startswith("|")
    ]
    assert rows[0] == HEADER
    assert all(len(row) == len(HEADER) for row in rows)
    return [
        Entry(word, meaning, other, tuple(re.findall(r"`([^`]+)`", names))) for word, meaning, other, names in rows[2:]
    ]


def found(dotted: str) -> object:
    """The object of that dotted name; raises ImportError or AttributeError where there is none."""
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


def public_classes(module: ModuleType) -> Iterator[str]:
    """Classes that the module offers: by its `__all__`, or, without one, those it defines itself."""
    for name in getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")]):
        value = getattr(module, name)
        if isinstance(value, type) and (hasattr(module, "__all__") or value.__module__ == module.__name__):
            yield f"{module.__name__}.{name}"


def public_names() -> Iterator[tuple[str, str]]:
    """(where, name) of every module and package, and of every class, function, method and property without `_`."""
    for path in sorted(SOURCE.rglob("*.py")):
        where = str(path.relative_to(SOURCE))
        for part in path.relative_to(SOURCE).with_suffix("").parts:
            yield where, part
        for node in ast.walk(ast.parse(path.read_text())):
            named = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            if named and not node.name.startswith("_"):
                yield f"{where}:{node.lineno}", node.name


def banned(name: str) -> bool:
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    whole = "_".join(words)
    return bool(BANNED & set(words)) or whole in BANNED_ALONE or any(word in whole for word in BANNED_ANYWHERE)


@pytest.mark.parametrize("name", sorted({name for entry in entries() for name in entry.names}))
def test_every_name_in_the_glossary_exists(name: str) -> None:
    assert isinstance(found(name), type)


@pytest.mark.parametrize("module", [vocabulary, models, frameworks, judgement, figures], ids=lambda one: one.__name__)
def test_every_word_of_the_code_is_in_the_glossary(module: ModuleType) -> None:
    words = set(public_classes(module))
    assert len(words) > 4
    assert words - {name for entry in entries() for name in entry.names} == set()


def test_every_table_of_the_desk_is_a_word_of_its_models() -> None:
    from django.apps import apps

    tables = {model.__name__ for model in apps.get_app_config("desk").get_models()}
    assert tables <= set(models.__all__)


def test_each_word_stands_once_in_order_with_a_meaning_and_its_name_in_code() -> None:
    words = [entry.word for entry in entries()]
    assert words == sorted(set(words), key=str.lower)
    assert [entry.word for entry in entries() if not (entry.meaning and entry.not_this and entry.names)] == []


def test_each_class_has_one_word() -> None:
    names = [name for entry in entries() for name in entry.names]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("UserData", True),
        ("hits", True),
        ("process_queue", True),
        ("processes", True),
        ("FileHandler", True),
        ("utilities", True),
        ("Content", True),
        ("has_abuse_score", True),
        ("metadata", False),
        ("content_type", False),
        ("StoredContent", False),
        ("white_space", False),
        ("processor", False),
    ],
)
def test_banned_words_are_told_from_words_that_hold_them(name: str, expected: bool) -> None:
    assert banned(name) is expected


def test_no_module_class_or_function_has_a_banned_word() -> None:
    assert [f"{where} {name}" for where, name in public_names() if banned(name) and name not in FORCED] == []
