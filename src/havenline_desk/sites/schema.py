"""Bring the tables up to date and give the desk's database role exactly the rights it needs."""

from __future__ import annotations

from django.apps import apps
from django.core.management import call_command
from django.db import connections
from django.db.backends.utils import CursorWrapper
from django.db.migrations.executor import MigrationExecutor

from ..models.changeable import CHANGEABLE, PERISHABLE
from .cluster import DESK_ROLE

__all__ = ["CHANGEABLE", "bring_up_to_date", "grant_rights"]


def bring_up_to_date() -> bool:
    """Migrate as the owner and grant rights; True when something had to be migrated."""
    alias = "owner" if "owner" in connections else "default"
    executor = MigrationExecutor(connections[alias])
    outdated = bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if outdated:
        call_command("migrate", database=alias, verbosity=0, interactive=False)
        with connections[alias].cursor() as cursor:
            grant_rights(cursor, DESK_ROLE)
    connections[alias].close()
    return outdated


def grant_rights(cursor: CursorWrapper, role: str) -> None:
    """Grant `role` reading and adding everywhere, and updating and deleting only where the models say so."""
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
    if cursor.fetchone() is None:
        return  # a server of the operator's own, with roles of its own
    cursor.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
    cursor.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    for model in apps.get_models(include_auto_created=True):
        table = model._meta.db_table
        if model._meta.app_label == "sessions":
            cursor.execute(f"GRANT INSERT, UPDATE, DELETE ON {table} TO {role}")
        if model._meta.app_label == "desk":
            cursor.execute(f"GRANT INSERT ON {table} TO {role}")
        if model in PERISHABLE:
            cursor.execute(f"GRANT DELETE ON {table} TO {role}")
        if columns := CHANGEABLE.get(model):
            cursor.execute(f"GRANT UPDATE ({', '.join(columns)}) ON {table} TO {role}")
