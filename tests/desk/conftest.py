from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings

from havenline_desk.keys import keyd
from tests.guard.conftest import Running
from tests.guard.decoder_rig import OPENING, Rig
from tests.guard.keyd_rig import Process


@pytest.fixture(scope="session")
def decoderd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The process that opens kept content, as the desk's server has it."""
    rig = Rig(tmp_path_factory.mktemp("d"), OPENING)
    yield rig.path
    assert rig.stop() == 0


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: Settings, decoderd: Path) -> Path:
    """A data folder of the test's own, so that kept content never leaks between tests."""
    settings.HOME = tmp_path
    settings.DECODERD = str(decoderd)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # Argon2id costs 0.2 s a person
    return tmp_path


@pytest.fixture
def demo_home(home: Path) -> Path:
    """The data folder of a demonstration, where a password signs in by itself."""
    (home / "kind").write_text("demo\n")
    return home


@pytest.fixture
def key_process(tmp_path: Path, settings: Settings) -> Iterator[Process]:
    """A `keyd` of the test's own, which the desk asks."""
    made = Process(tmp_path / "keyd")
    made.start()
    settings.KEYD = str(made.socket)
    yield made
    client = keyd()
    assert client is not None
    client.close()
    made.stop()


@pytest.fixture
def signed_log(transactional_db: None, home: Path) -> Path:
    """An audit log of two entries, each signed at once; the folder outside the database."""
    from havenline_desk import audit
    from havenline_desk.actions.declare_policy import declare_policy
    from havenline_desk.models import InstallationKind

    for size in (1, 2):
        declare_policy(InstallationKind.DEMO, at=dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC))
        last = audit.sink().last_checkpoint()
        assert last is not None
        assert last.size == size
    return home / "audit"


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


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The `matchd` that tests of the match service ask; `match_rig` says what it holds."""
    from .match_rig import matchd

    running = matchd(tmp_path_factory.mktemp("m"))
    yield running
    assert running.stop() == 0
