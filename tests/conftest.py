"""Settings before anything else: kernels are cached outside the tree, Django is configured, no database is touched.

Tests that use the database get a throw-away PostgreSQL of their own, started once a session when first asked for.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from havenline_desk.sites.cluster import Cluster

_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
os.environ.setdefault("NUMBA_CACHE_DIR", str(_cache / "havenline" / "kernels"))
os.environ["DJANGO_SETTINGS_MODULE"] = "havenline_desk.sites.settings"
os.environ["HAVENLINE_PLAIN_LOOPBACK"] = "1"
os.environ["HAVENLINE_SECRET_KEY"] = "only for tests, signs nothing that matters"
os.environ["HAVENLINE_HOME"] = tempfile.mkdtemp(prefix="havenline-tests-")


def pytest_configure() -> None:
    from django.conf import settings

    assert settings.INSTALLED_APPS


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A throw-away PostgreSQL of the embedded kind, whose owner role may create databases; or one that was lent."""
    from havenline_desk.sites.cluster import Cluster
    from tests.throwaway_server import throwaway_server

    if lent := os.environ.get("HAVENLINE_TESTS_CLUSTER"):
        yield Cluster(Path(lent), throwaway=True)
        return
    with throwaway_server() as embedded:
        yield embedded


@pytest.fixture(scope="session")
def django_db_modify_db_settings(cluster: Cluster) -> Iterator[None]:
    """Point Django at the throw-away cluster; it creates its test database there."""
    from django.db import connections

    from havenline_desk.sites.cluster import OWNER_ROLE

    parts = cluster.connection(role=OWNER_ROLE)
    settings = connections["default"].settings_dict
    settings.update(
        NAME=parts["dbname"],
        HOST=parts["host"],
        PORT=parts["port"],
        USER=parts["user"],
        OPTIONS={"requirepeer": parts["requirepeer"]},
    )
    settings["TEST"]["NAME"] = os.environ.get("HAVENLINE_TESTS_DATABASE")
    yield
    connections.close_all()
