from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: Settings) -> Path:
    """A data folder of the test's own, so that kept content never leaks between tests."""
    settings.HOME = tmp_path
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # Argon2id costs 0.2 s a person
    return tmp_path


@pytest.fixture
def desk_role(transactional_db: None) -> Iterator[None]:
    """Sign in to the database as the running desk does; the tables belong to another role."""
    from havenline_desk.sites.cluster import DESK_ROLE
    from havenline_desk.sites.schema import grant_rights

    owner = connection.settings_dict["USER"]
    with connection.cursor() as cursor:
        grant_rights(cursor, DESK_ROLE)
    connection.close()
    connection.settings_dict["USER"] = DESK_ROLE
    yield
    connection.close()
    connection.settings_dict["USER"] = owner
