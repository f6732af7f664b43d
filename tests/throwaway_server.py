"""A throw-away PostgreSQL of the embedded kind, whose owner role may create databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from havenline_desk.sites.cluster import Cluster, throwaway_folder


@contextmanager
def throwaway_server() -> Iterator[Cluster]:
    """Started, with the roles and an empty database; gone at the end, its folder too."""
    folder = throwaway_folder()
    embedded = Cluster(folder / "postgresql", throwaway=True)
    try:
        embedded.start()
        embedded.ensure_roles_and_database()
        yield embedded
    finally:
        embedded.discard()
        folder.rmdir()
