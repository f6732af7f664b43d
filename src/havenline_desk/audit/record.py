"""The bytes of a row that an entry of the audit log vouches for: every final column that says something of its own."""

from __future__ import annotations

import json

from django.db.models import Model

from ..models.changeable import CHANGEABLE, DERIVED


def record_bytes(row: Model) -> bytes:
    """Table and final columns of `row` as the database holds them now, in one canonical form."""
    left_out = {"id", *CHANGEABLE.get(type(row), ()), *DERIVED.get(type(row), ())}
    columns = [field.attname for field in type(row)._meta.concrete_fields if field.attname not in left_out]
    held = type(row)._default_manager.filter(pk=row.pk).values(*columns).get()
    said = {"table": type(row)._meta.db_table, **{name: _plain(value) for name, value in held.items()}}
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _plain(value: object) -> object:
    """Numbers of the database's decimals, times and ids as text; answers, lists and plain values as they are."""
    return value if value is None or isinstance(value, bool | int | str | list | dict) else str(value)
