"""The roles and databases inside the embedded PostgreSQL, made by its bootstrap superuser.

None of the three roles that Havenline works with is a superuser; nobody else may sign in to its databases.
What the desk and intake roles may do with a table is granted by the migration that makes the table.
"""

from __future__ import annotations

import re

import psycopg
from psycopg import sql

from havenline.vocabulary import HavenlineError

CLUSTER_ROLE = "havenline_cluster"
"""The bootstrap superuser: makes roles and databases, keeps no record, is reachable by `peer` only."""
OWNER_ROLE = "havenline_owner"
DESK_ROLE = "havenline_desk"
INTAKE_ROLE = "havenline_intake"
ROLES = (OWNER_ROLE, DESK_ROLE, INTAKE_ROLE)
DATABASE = "havenline"

_DATABASE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")

Admin = psycopg.Connection[tuple[object, ...]]


class DatabaseError(HavenlineError):
    """A database could not be made, copied or dropped; says why."""


def ensure_roles(admin: Admin, *, throwaway: bool) -> None:
    """Create missing roles and set what each may do; the owner makes databases in tests alone."""
    admin.execute("SELECT pg_advisory_lock(hashtext('havenline roles'))")
    for role in ROLES:
        if not admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).rowcount:
            admin.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        may = sql.SQL("CREATEDB" if throwaway and role == OWNER_ROLE else "NOCREATEDB")
        admin.execute(
            sql.SQL("ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEROLE NOREPLICATION NOBYPASSRLS {}").format(
                sql.Identifier(role), may
            )
        )
    for database in ("postgres", "template1"):
        admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))
    if throwaway:  # a test runner signs in there to make its databases
        admin.execute(sql.SQL("GRANT CONNECT ON DATABASE postgres TO {}").format(sql.Identifier(OWNER_ROLE)))
    if not admin.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).rowcount:
        create_database(admin, DATABASE, template=None)
    admin.execute("SELECT pg_advisory_unlock(hashtext('havenline roles'))")


def create_database(admin: Admin, name: str, *, template: str | None) -> None:
    """Create database `name` for the owner role, empty or a copy of `template`, which nobody may be using."""
    identifiers = [_identifier(name), sql.Identifier(OWNER_ROLE), _identifier(template or "template0")]
    try:
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(*identifiers))
    except psycopg.errors.DuplicateDatabase:
        raise DatabaseError(f"the database {name} exists already: drop it or choose another name") from None
    except psycopg.errors.InvalidCatalogName:
        raise DatabaseError(f"the database {template} to copy does not exist: create it first") from None
    except psycopg.errors.ObjectInUse:
        raise DatabaseError(f"the database {template} to copy is in use: close its connections first") from None


def close_to_the_public(admin: Admin, name: str) -> None:
    """Take every right on database `name`, to which `admin` is connected, and on its schema from PUBLIC."""
    database, schema_owner = sql.Identifier(name), sql.Identifier(OWNER_ROLE)
    desk_and_intake = sql.SQL(", ").join(map(sql.Identifier, (DESK_ROLE, INTAKE_ROLE)))
    with admin.transaction():
        admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, desk_and_intake))
        admin.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(schema_owner))
        admin.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        admin.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(desk_and_intake))


def drop_database(admin: Admin, name: str) -> None:
    """Drop database `name`, ending its connections; nothing happens when there is none."""
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(_identifier(name)))


def _identifier(name: str) -> sql.Identifier:
    if not _DATABASE_NAME.match(name):
        raise DatabaseError(f"{name!r} cannot name a database: lower-case letters, digits and _ are expected")
    return sql.Identifier(name)
