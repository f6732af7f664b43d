from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: Settings) -> Path:
    """A data folder of the test's own, so that kept content never leaks between tests."""
    settings.HOME = tmp_path
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # Argon2id costs 0.2 s a person
    return tmp_path


@pytest.fixture
def demo_home(home: Path) -> Path:
    """The data folder of a demonstration, where a password signs in by itself."""
    (home / "kind").write_text("demo\n")
    return home
