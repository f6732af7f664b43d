from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django.fixtures import SettingsWrapper


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: SettingsWrapper) -> Path:
    """A data folder of the test's own, so that kept content never leaks between tests."""
    settings.HOME = tmp_path
    return tmp_path
