"""Fills a data folder with drawn work, as a program of its own: `python -m tests.journeys.backup_driver HOME WHAT`."""

from __future__ import annotations

import datetime as dt
import os
import secrets
import sys
from pathlib import Path

from havenline_desk.sites.home import Home
from havenline_desk.sites.wiring import wire


def main() -> None:
    home = Home(Path(sys.argv[1]), os.geteuid())
    home.create("demo")
    # The key process that the tests look into is one of their own, so the log goes on signing by a file.
    signing = home.path / "audit_signing_key"
    if not signing.exists() and sys.argv[2] != "with its keyd":
        signing.write_text(f"havenline.test/backup\n{secrets.token_hex(32)}\n")
        signing.chmod(0o600)
    wired = wire(home, plain_loopback=True)
    try:
        from havenline_desk.sites.schema import bring_up_to_date

        bring_up_to_date()
        work(sys.argv[2])
    finally:
        from django.db import connections

        connections.close_all()
        wired.release()


def work(what: str) -> None:
    from havenline_desk import audit
    from havenline_desk.actions.enrol_person import certify_person, enrol_person
    from havenline_desk.actions.publish_edition import publish_edition
    from havenline_desk.models import Person, Role
    from tests.desk import factories as make

    at = dt.datetime.now(dt.UTC)
    if what != "go on":
        people = make.world(at=at, stacks=2, near=1)
        enrol_person("second-auditor", password=None, roles=(Role.AUDITOR,), at=at)
        make.assess(people["analyst-one"], make.TRIANGLE, at=at)
        publish_edition(make.house_list(people, at=at), person=people["liaison"], at=at)
    else:
        people = {person.name: person for person in Person.objects.all()}
        certify_person(people["analyst-two"], until=at + make.DAY, issued_by=None, at=at)
        make.assess(people["analyst-two"], make.TRIANGLE, at=at)
    audit.seal()


if __name__ == "__main__":
    main()
