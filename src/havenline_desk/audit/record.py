"""The bytes of a row that an entry of the audit log vouches for: every final column that says something of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import Model, QuerySet

from ..models.changeable import CHANGEABLE, DERIVED


def record_bytes(row: Model) -> bytes:
    """Table and final columns of `row` as the database holds them now, in one canonical form."""
    model = type(row)
    return _canonical(model, model._default_manager.filter(pk=row.pk).values(*_columns(model)).get())


def records(rows: QuerySet[Any]) -> Iterator[tuple[object, bytes]]:
    """As `record_bytes`, each with its primary key, for very many rows."""
    for held in rows.values("pk", *_columns(rows.model)).iterator(chunk_size=2048):
        yield held.pop("pk"), _canonical(rows.model, held)


def _columns(model: type[Model]) -> list[str]:
    left_out = {"id", *CHANGEABLE.get(model, ()), *DERIVED.get(model, ())}
    return [field.attname for field in model._meta.concrete_fields if field.attname not in left_out]


def _canonical(model: type[Model], held: Mapping[str, object]) -> bytes:
    said = {"table": model._meta.db_table, **{name: _plain(value) for name, value in held.items()}}
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _plain(value: object) -> object:
    """Numbers of the database's decimals, times and ids as text; answers, lists and plain values as they are."""
    return value if value is None or isinstance(value, bool | int | str | list | dict) else str(value)
