"""Which frameworks are known here, shipped or imported, which an investigation derives under, and what is approved."""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from typing import Any

from havenline import frameworks
from havenline.frameworks import Framework, FrameworkError, FrameworkRef, SchemeHead, scheme_document

from .models import ConfiguredFramework, FrameworkApproval, ImportedFramework, InstallationKind, Investigation, Policy


def available() -> tuple[FrameworkRef, ...]:
    """Every version known here, by id, oldest first."""
    imported = [_read(row).ref for row in ImportedFramework.objects.all()]
    known = [*frameworks.available(), *imported]
    return tuple(sorted(known, key=lambda ref: (ref.id, ref.effective_from, ref.version)))


def load(framework: str, version: str | None = None) -> Framework:
    """The version of that name, shipped or imported; without a version the one that came into effect last.

    Raises FrameworkError when there is none.
    """
    shipped = [ref for ref in frameworks.available() if ref.id == framework]
    if version is not None and any(ref.version == version for ref in shipped):
        return frameworks.load(framework, version)  # shipped files are read once a process
    versions = [ref for ref in available() if ref.id == framework]
    if not versions:
        known = ", ".join(sorted({ref.id for ref in available()}))
        raise FrameworkError(f"there is no framework “{framework}”; known are {known}")
    wanted = versions[-1].version if version is None else version
    if any(ref.version == wanted for ref in shipped):
        return frameworks.load(framework, wanted)
    row = ImportedFramework.objects.filter(framework=framework, version=wanted).first()
    if row is None:
        known = ", ".join(ref.version for ref in versions)
        raise FrameworkError(f"framework {framework} has no version “{wanted}”; known are {known}")
    return _read(row)


def own(investigation: Investigation) -> Framework:
    """The framework under which the investigation was opened, and settles."""
    return load(investigation.framework, investigation.framework_version)


def configured(investigation: Investigation, *, at: dt.datetime) -> tuple[Framework, ...]:
    """The further frameworks that the investigation derives under at that moment, in the order they were added."""
    rows = ConfiguredFramework.objects.filter(investigation=investigation, configured_at__lte=at).order_by("pk")
    newest = dict(rows.values_list("framework", "version"))
    return tuple(load(name, version) for name, version in newest.items())


def sheet(investigation: Investigation, *, at: dt.datetime) -> Framework:
    """The form of the investigation at that moment: its own framework's questions, then what the others need beside.

    `at` is when the assignment was leased, so that what is configured meanwhile changes no form that somebody fills in.
    """
    return frameworks.sheet(own(investigation), configured(investigation, at=at))


def in_force(framework: str, version: str) -> bool:
    """Whether its rules may yield more than `undetermined`: demonstration, study, or recorded local approval."""
    policy = Policy.objects.order_by("-pk").first()
    if policy is not None and policy.kind in {InstallationKind.DEMO, InstallationKind.STUDY}:
        return True
    return FrameworkApproval.objects.filter(framework=framework, version=version).exists()


def _read(row: ImportedFramework) -> Framework:
    return frameworks.read_document(row.document, origin=f"{row.framework} {row.version}, imported")


def scheme_of(
    text: str,
    *,
    name: str,
    version: str,
    title: str = "",
    jurisdiction: str = "",
    effective_from: dt.date,
    origin: str,
) -> dict[str, Any]:
    """A scheme from CSV, as data. What is left empty is as in the one of that name which is known here.

    Raises SchemeError with every faulty line.
    """
    like = next((load(ref.id, ref.version) for ref in available() if ref.id == name), None)
    head = SchemeHead(
        id=name,
        version=version,
        title=title or (like.title if like else name),
        jurisdiction=jurisdiction or (like.jurisdiction if like else "international"),
        effective_from=effective_from,
        sections=like.sections if like else (),
    )
    return scheme_document(text, head=head, origin=origin)


def document_of(text: str, *, toml: bool, origin: str) -> dict[str, Any]:
    """A framework from JSON or TOML, as data. Raises FrameworkError, with the line where the file tells one."""
    try:
        document = tomllib.loads(text) if toml else json.loads(text)
    except json.JSONDecodeError as fault:
        raise FrameworkError(f"{origin}: line {fault.lineno}: not JSON: {fault.msg}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as fault:
        raise FrameworkError(f"{origin}: not {'TOML' if toml else 'JSON'}: {fault}") from None
    if not isinstance(document, dict):
        raise FrameworkError(f"{origin}: a framework is one object with id, version, question, rule …")
    return document
