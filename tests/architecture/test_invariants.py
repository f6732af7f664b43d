"""What the software never contains. Each test fails when somebody adds the missing thing.

The numbers are those of the threat model's invariants. Those about routes and grants stand in `tests/desk`.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))

FETCHERS = {"urllib.request", "http.client", "ftplib", "requests", "httpx", "aiohttp", "urllib3", "pycurl", "scrapy"}
LOADERS = {"pickle", "dill", "joblib", "cloudpickle", "marshal", "shelve", "torch", "tensorflow", "onnxruntime"}
PEOPLE_FINDERS = re.compile(r"(?m)^(\S*(?:face|facial|nudenet|nsfw|deepface|dlib|mediapipe|opencv|gender)\S*)==")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(names: set[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in SOURCES:
        for name in imports(path):
            if name in names or name.split(".")[0] in names:
                found.setdefault(str(path.relative_to(ROOT / "src")), set()).add(name)
    return found


def test_i8_nothing_fetches_a_url() -> None:
    # One client asks the desk's own loopback port whether it is ready; the other asks a partner's base URL, follows
    # nothing and asks no address that an answer names (docs/decisions/0019-connectors.md, tests/core/connectors).
    assert importers(FETCHERS) == {
        "havenline_desk/sites/server.py": {"http.client"},
        "havenline/connectors/one_host.py": {"requests"},
        "havenline_desk/webhook_post.py": {"http.client"},  # posts to what a person configured, reads a status
        "havenline_client/client.py": {"http.client"},  # asks the one match service that it is told of
    }


def test_only_simulators_listen_and_nothing_but_tests_starts_them() -> None:
    simulators = {path for path in importers({"http.server"}) if not path.endswith("connectors/simulator.py")}
    assert simulators == set()
    users = importers({"havenline.connectors.simulator", "havenline.connectors.ncmec.simulator"})
    assert {path for path in users if not path.endswith("/simulator.py")} == set()


def test_no_model_file_is_ever_loaded_and_nothing_is_unpickled() -> None:
    assert importers(LOADERS) == {}


@pytest.mark.parametrize("lock", sorted(ROOT.glob("requirements*.lock")), ids=lambda path: path.name)
def test_no_library_that_finds_faces_ages_or_nudity_is_installed(lock: Path) -> None:
    assert PEOPLE_FINDERS.findall(lock.read_text()) == []


def test_i7_pages_read_no_query_parameter_but_where_to_go_after_sign_in_and_the_auditors_own() -> None:
    """Nothing sorts, filters or searches by what an item shows; entries of the log are narrowed and name none of it."""
    from havenline_desk.pages import audit

    reading = {
        str(path.relative_to(ROOT / "src"))
        for path in SOURCES
        if re.search(r"request\.GET|query_params|request\.META\[.QUERY", path.read_text())
    }
    # HMA's own interface asks by hash in the address; it shows no item, and only on loopback or a socket.
    assert reading == {
        "havenline_desk/pages/session.py",
        "havenline_desk/pages/audit.py",
        "havenline_desk/api/hma.py",
    }
    text = (ROOT / "src/havenline_desk/pages/audit.py").read_text()
    assert (audit.FIELDS, re.findall(r'GET\.get\((\w+|"\w+")', text)) == (
        ("act", "person", "day"),
        ["name", '"before"'],
    )


def test_i13_no_item_can_be_kept_as_an_example() -> None:
    from havenline_desk import models

    words = re.compile(r"example|gallery|favourite|favorite|bookmark|album|showcase")
    fields = [
        f"{name}.{field.name}"
        for name in models.__all__
        if hasattr(getattr(models, name), "_meta")
        for field in getattr(models, name)._meta.get_fields()
    ]
    assert fields
    assert [field for field in fields if words.search(field.lower())] == []


def test_ethnicity_is_not_a_question_of_any_framework() -> None:
    from havenline import frameworks

    questions = [
        question.id for ref in frameworks.available() for question in frameworks.load(ref.id, ref.version).questions
    ]
    assert questions
    assert [question for question in questions if re.search(r"ethnic|race|skin", question)] == []


def test_the_repository_holds_no_picture() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    pictures = re.compile(r"\.(jpe?g|png|gif|webp|avif|tiff?|bmp|heic|mp4|webm)$", re.IGNORECASE)
    assert [name for name in listed.split("\0") if pictures.search(name)] == []


def test_words_follow_the_terminology_guidelines() -> None:
    avoided = re.compile(r"child porn|kiddie|known victim|the guilty go free", re.IGNORECASE)
    texts = [*SOURCES, *(ROOT / "src").rglob("*.html"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    assert [str(path) for path in texts if avoided.search(path.read_text())] == []
