"""What a row says to the audit log, and the key of its digest."""

from __future__ import annotations

import datetime as dt
import hmac
import json
import re
from pathlib import Path

import pytest

from havenline_desk import audit
from havenline_desk.audit.record import record_bytes
from havenline_desk.models import (
    ApiKey,
    Person,
    Role,
    RoleGrant,
)
from havenline_desk.models.api_keys import KeyScope

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)


@pytest.mark.django_db
def test_a_row_says_its_table_and_its_final_columns_in_one_form() -> None:
    person = Person.objects.create(name="p1", enrolled_at=AT, is_active=True, password="x")
    row = RoleGrant.objects.create(person=person, role=Role.LEAD, granted_at=AT, effective_from=AT)
    said = record_bytes(row)
    held = {
        "audit_id": str(row.audit_id),
        "effective_from": str(AT),
        "granted_at": str(AT),
        "person_id": person.pk,
        "role": "investigation_lead",
        "table": "desk_rolegrant",
    }
    assert said == json.dumps(held, sort_keys=True, separators=(",", ":")).encode()
    RoleGrant.objects.update(revoked_at=AT)
    assert record_bytes(row) == said, "what may change is no part of it"


@pytest.mark.django_db
def test_nothing_lists_and_plain_values_are_said_as_they_are() -> None:
    admin = Person.objects.create(name="p1", enrolled_at=AT, is_active=True, password="x")
    numbers = {"per_minute": 1, "per_day": 2, "probe_limit": 3}
    row = ApiKey.objects.create(
        name="Zoë", scope=KeyScope.values[0], lists=["a", {"b": 1}], **numbers, digest="0", made_by=admin, made_at=AT
    )
    said = record_bytes(row)
    assert said.isascii()
    held = json.loads(said)
    assert held.items() >= numbers.items()
    assert (held["name"], held["lists"], held["partner_id"]) == ("Zoë", ["a", {"b": 1}], None)


@pytest.mark.django_db
def test_a_record_key_is_made_once_and_each_house_has_its_own(home: Path) -> None:
    row = Person.objects.create(name="p1", enrolled_at=AT, is_active=True, password="x")
    first = audit.record_digest(row)
    key = (home / "audit_record_key").read_text()
    assert re.fullmatch("[0-9a-f]{64}", key)
    assert (home / "audit_record_key").stat().st_mode & 0o777 == 0o600
    assert audit.record_digest(row) == first == hmac.new(bytes.fromhex(key), record_bytes(row), "sha256").hexdigest()
    (home / "audit_record_key").unlink()
    assert audit.record_digest(row) != first
