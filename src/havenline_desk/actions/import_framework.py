"""Load a framework or a classification scheme into this installation, as data; nothing of it runs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from havenline import frameworks
from havenline.frameworks import Framework
from havenline.vocabulary import HavenlineError

from .. import audit, gates, law
from ..models import AuditAct, ImportedFramework, Person

LONGEST_NAME = 39
"""Characters of id and version together, with a colon between: what the audit log has room for."""


class FrameworkImportRefused(HavenlineError):
    """Nothing was recorded; the text says why."""


@transaction.atomic
def import_framework(document: Mapping[str, Any], *, by: Person, at: dt.datetime, origin: str) -> Framework:
    """Record a new version. Its rules yield `undetermined` until its approval is recorded, whatever it says of itself.

    Raises FrameworkError, which names the fault, for a document that is no framework, FrameworkImportRefused for a
    version that is there already: a version is never edited.
    """
    gates.require(by, gates.Act.IMPORT_FRAMEWORK, at=at)
    framework = frameworks.read_document(document, origin=origin)
    if framework.demo:
        raise FrameworkImportRefused("a training framework needs no approval, so none can be imported; leave demo out")
    if len(framework.id) + len(framework.version) >= LONGEST_NAME:
        raise FrameworkImportRefused(f"id and version have room for {LONGEST_NAME - 1} characters together")
    if any((ref.id, ref.version) == (framework.id, framework.version) for ref in law.available()):
        raise FrameworkImportRefused(
            f"{framework.id} {framework.version} is there already and was not changed; give the new one its own version"
        )
    row = ImportedFramework.objects.create(
        framework=framework.id,
        version=framework.version,
        document=_as_json(document),
        imported_by=by,
        imported_at=at,
    )
    audit.append(
        AuditAct.FRAMEWORK_IMPORTED,
        at=at,
        actor=by,
        about=row,
        purpose=f"{framework.id}:{framework.version}",
        record=row,
    )
    return framework


def _as_json(document: Mapping[str, Any]) -> dict[str, Any]:
    """TOML has dates, JSON has not."""
    return {key: value.isoformat() if isinstance(value, dt.date) else value for key, value in document.items()}
