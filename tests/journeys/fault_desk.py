"""A desk under faults, as programs of its own: `python -m tests.journeys.fault_desk set-up|write|check …`.

`write` does acts of the desk until its standard input ends, and writes each acknowledgement down, in a file that no
fault reaches. `check` says what of the database, the audit log and its folder is not what was acknowledged.
"""

from __future__ import annotations

import collections
import datetime as dt
import hashlib
import json
import os
import random
import select
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

WRITERS = 4


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def set_up() -> None:
    from havenline_desk.models import InstallationKind, Policy, Role
    from havenline_desk.sites.schema import bring_up_to_date
    from tests.desk import factories as make

    bring_up_to_date()
    at = now() - dt.timedelta(days=2)
    make.world(at=at, stacks=4)
    for number in range(WRITERS):
        make.make_person(f"writer-{number}", Role.ANALYST, at=at)
    make.give_budgets(at=at)
    assert Policy.objects.get().kind == InstallationKind.DEMO


class Writer:
    """One of several who work at once."""

    def __init__(self, number: int, seed: int, told: int) -> None:
        from havenline_desk.models import Person

        self.me = Person.objects.get(name=f"writer-{number}")
        self._number, self._chance, self._told, self._turn = number, random.Random(seed * 100 + number), told, 0

    def turn(self) -> None:
        """One act or a few that belong together; each is told when, and only when, it was acknowledged."""
        self._turn += 1
        self._chance.choice([self.enrol, self.look, self.look])()

    def told(self, act: str, **said: Any) -> None:
        os.write(self._told, json.dumps({"act": act, **said}).encode() + b"\n")

    def enrol(self) -> None:
        from havenline_desk.actions.enrol_person import enrol_person
        from havenline_desk.models import Role

        name = f"p{self._number}-{os.getpid()}-{self._turn}"
        person = enrol_person(name, password=None, roles=(Role.LIAISON,), at=now())
        self.told("person_enrolled", id=person.audit_id.hex)

    def look(self) -> None:
        from havenline_desk.actions.grant_reveal import grant_reveal, use_reveal
        from havenline_desk.actions.take_next import take_next
        from havenline_desk.models import Reveal

        assignment = take_next(self.me, at=now())
        assert assignment is not None
        member = assignment.revision.members.get()
        token = grant_reveal(
            assignment.pk, person=self.me, session_key="s", file_id=member.file_id, ladder_step=1, at=now()
        )
        granted = Reveal.objects.get(token_digest=hashlib.sha256(token.encode()).hexdigest())
        self.told("reveal_granted", id=granted.audit_id.hex)
        use_reveal(token, person=self.me, session_key="s", at=now())
        self.told("reveal_used", id=granted.audit_id.hex)


def take_in(source: Path, reference: str, word: str) -> None:
    """Import a folder with its manifest, with a word of its own wherever a person types something."""
    from havenline.formats.manifest import read_manifest
    from havenline.matching import Lists
    from havenline_desk.actions.create_investigation import create_investigation
    from havenline_desk.actions.import_collection import import_collection
    from havenline_desk.models import Person, Plan, SamplingRule, SourceKind

    lead, senior = Person.objects.get(name="lead"), Person.objects.get(name="senior")
    investigation = create_investigation(
        reference,
        source_kind=SourceKind.FORUM,
        period=(None, None),
        posted_total=9,
        sampling_rule=SamplingRule.EVERYTHING,
        authorised_by=lead,
        legal_basis=f"{word}-basis",
        expires_on=now().date() + dt.timedelta(days=9),
        framework="demo.shapes",
        framework_version=None,
        plan=Plan.DOUBLE,
        at=now(),
    )
    import_collection(
        investigation,
        source=source / "collection",
        collection=f"{word}-collection",
        manifest=read_manifest(source / "manifest.csv"),
        lists=Lists([]),
        imported_by=lead,
        approved_by=senior,
        workers=1,
        at=now(),
    )


def collide() -> None:
    """Have the database refuse a row that is there already, and say so in its own log and in the desk's."""
    import logging

    from django.db import IntegrityError

    from havenline_desk.models import File

    file = File.objects.latest("pk")
    try:
        File.objects.create(sha256=file.sha256, sha1=file.sha1, md5=file.md5, size=1)
    except IntegrityError:
        logging.getLogger("havenline.test").exception("collided")


def write(number: int, seed: int, told: Path) -> None:
    from django.db import Error, connection

    from havenline.vocabulary import HavenlineError
    from havenline_desk.audit import AuditDamaged

    descriptor = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    writer: Writer | None = None
    while not select.select([sys.stdin], [], [], 0)[0]:
        try:
            writer = writer or Writer(number, seed, descriptor)
            writer.turn()
        except AuditDamaged as error:
            os.write(descriptor, json.dumps({"act": "alarm", "text": str(error)}).encode() + b"\n")
            connection.close()
            time.sleep(0.2)
        except (Error, HavenlineError) as error:
            line = {"act": "refused", "text": type(error).__name__, "at": time.time()}
            os.write(descriptor, json.dumps(line).encode() + b"\n")
            connection.close()
            time.sleep(0.02)


def sessions() -> None:
    """Sign each writer in without the sign-in page, and print the keys of their sessions."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    from havenline_desk.actions.end_session import begin_session
    from havenline_desk.models import Person, Way
    from havenline_desk.queries.sign_in import SESSION_KEY as OWN

    for name in [*(f"writer-{number}" for number in range(WRITERS)), "lead"]:
        person = Person.objects.get(name=name)
        session = SessionStore()
        session[SESSION_KEY] = str(person.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = person.get_session_auth_hash()
        begun = begin_session(person, Way.PASSKEY, address="127.0.0.1", at=now())
        session[OWN] = begun.audit_id.hex
        session.save()
        print(session.session_key)


def serve(port: int) -> None:
    """The desk's web server, started again whenever it falls, as a supervisor would; until standard input ends."""
    from havenline_cli.supervised import decoderd_part, web_part

    def over() -> bool:
        return bool(select.select([sys.stdin], [], [], 0.05)[0])

    with tempfile.TemporaryDirectory(prefix="havenline-") as folder:
        decoder, web = decoderd_part(Path(folder)), web_part(port)
        decoder.launch()
        while not decoder.answers():
            assert decoder.pid() is not None
            time.sleep(0.05)
        while not over():
            web.launch()
            gives_up = time.monotonic() + 20
            while not (ready := web.answers()) and web.pid() is not None and time.monotonic() < gives_up:
                time.sleep(0.05)
            if ready:
                print(web.pid(), flush=True)
                while web.pid() is not None and not over():
                    pass
            web.stop()
        decoder.stop()


def found() -> dict[str, Any]:
    """`entries` (act, object, grant), `views` by the digest of their token, and `wrong`, a line for each fault."""
    from havenline_desk import audit
    from havenline_desk.models import AuditEntry, Reveal

    wrong = []
    try:
        audit.seal()
    except audit.AuditDamaged as error:
        wrong.append(str(error))
    wrong += [*_unlike_the_log(), *_not_verified()]
    rows = AuditEntry.objects.order_by("seq").values_list("act", "object", "grant")
    entries = [(act, thing.hex if thing else None, grant.hex if grant else None) for act, thing, grant in rows]
    views = {digest: audit_id.hex for digest, audit_id in Reveal.objects.values_list("token_digest", "audit_id")}
    return {"entries": entries, "views": views, "wrong": wrong}


def _unlike_the_log() -> Iterator[str]:
    """Where the records are not what the log makes of them: `audit == state`."""
    from havenline_desk.models import Assignment, AuditEntry, Person, Reveal, RoleGrant
    from havenline_desk.queries.audit import rows_that_differ, rows_without_entry

    def logged(act: str, what: str) -> collections.Counter[str]:
        rows = AuditEntry.objects.filter(act=act).values_list(what, flat=True)
        return collections.Counter(row.hex for row in rows)

    def held(rows: Any) -> collections.Counter[str]:
        return collections.Counter(row.hex for row in rows.values_list("audit_id", flat=True))

    compared: dict[str, Callable[[], tuple[object, object]]] = {
        "people": lambda: (held(Person.objects.all()), logged("person_enrolled", "object")),
        "roles": lambda: (RoleGrant.objects.count(), logged("role_granted", "object").total()),
        "views granted": lambda: (held(Reveal.objects.all()), logged("reveal_granted", "grant")),
        "views used": lambda: (held(Reveal.objects.exclude(used_at=None)), logged("reveal_used", "grant")),
        "assignments held": lambda: (
            held(Assignment.objects.exclude(person=None)),
            logged("assignment_taken", "object") - logged("assignment_given_back", "object"),
        ),
    }
    for what, both in compared.items():
        state, said = both()
        if state != said:
            yield f"{what} are not what the log says"
    yield from (f"entry {each.seq} does not fit its row" for each in rows_that_differ())
    yield from (f"{each.table} {each.row} fits no entry" for each in rows_without_entry())


def _not_verified() -> Iterator[str]:
    from havenline_desk import audit
    from havenline_desk.queries.audit import export_lines, log_key
    from havenline_guard import verify

    export = Path(os.environ["HAVENLINE_HOME"]) / "export.ndjson"
    export.write_bytes(b"".join(export_lines()))
    sink = audit.sink()
    report = verify.verify(
        export, checkpoints=sink.checkpoints, keys=[verify.Key.parse(log_key())], journal=sink.journal
    )
    yield from map(str, report.bad)
    if report.exit_code != verify.HOLDS:
        yield f"the verifier says {report.exit_code}: {report.covered} of {report.entries} entries are covered"


def main() -> None:
    import django

    django.setup()
    if sys.argv[1] == "set-up":
        set_up()
    elif sys.argv[1] == "write":
        write(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    elif sys.argv[1] == "take-in":
        take_in(Path(sys.argv[2]), sys.argv[3], sys.argv[4])
    elif sys.argv[1] == "collide":
        collide()
    elif sys.argv[1] == "sessions":
        sessions()
    elif sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        print(json.dumps(found()))


if __name__ == "__main__":
    main()
