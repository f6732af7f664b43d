"""Run one import as a process that a test can kill: FOLDER SOURCE REFERENCE. The database is in the environment."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import django


def main(source: Path, reference: str) -> None:
    django.setup()
    from havenline.formats.manifest import read_manifest
    from havenline.matching import Lists
    from havenline_desk.actions.create_investigation import create_investigation
    from havenline_desk.actions.declare_policy import declare_policy
    from havenline_desk.actions.enrol_person import enrol_person
    from havenline_desk.actions.import_collection import import_collection
    from havenline_desk.models import (
        InstallationKind,
        Investigation,
        Person,
        Plan,
        Policy,
        Role,
        SamplingRule,
        SourceKind,
    )
    from havenline_desk.sites.schema import bring_up_to_date

    at = dt.datetime.now(dt.UTC)
    bring_up_to_date()
    if not Policy.objects.exists():
        declare_policy(InstallationKind.DEMO, content_legal_basis="drawn pictures of a test", at=at)
    if not Investigation.objects.exists():
        lead = enrol_person("lead", password=None, roles=(Role.LEAD,), at=at)
        enrol_person("senior", password=None, roles=(Role.SENIOR,), at=at)
        create_investigation(
            reference,
            source_kind=SourceKind.FORUM,
            period=(None, None),
            posted_total=1000,
            sampling_rule=SamplingRule.EVERYTHING,
            authorised_by=lead,
            legal_basis="drawn pictures of a test",
            expires_on=at.date(),
            framework="demo.shapes",
            framework_version=None,
            plan=Plan.DOUBLE,
            at=at,
        )
    print("ready", flush=True)
    import_collection(
        Investigation.objects.get(reference=reference),
        source=source / "collection",
        collection="drawn",
        manifest=read_manifest(source / "manifest.csv"),
        lists=Lists([]),
        imported_by=Person.objects.get(name="lead"),
        approved_by=Person.objects.get(name="senior"),
        workers=2,
        at=at,
    )
    print("done", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
