"""A desk with all its processes: `python -m tests.journeys.supervised_desk fill|up|seal|check HOME …`.

`fill` makes a data folder with drawn work and with content whose time has come, and prints keys of sessions. `up` runs
the processes of `havenline up`, with a sealer that never rests, and starts each again at once. `check` says, when all
have ended, what of database, audit log and key process is not what was acknowledged.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from havenline_desk.sites.home import Home
from havenline_desk.sites.wiring import wire

from . import fault_desk

if TYPE_CHECKING:
    from havenline_desk.sites.supervisor import Part
    from havenline_desk.sites.wiring import Wired
    from havenline_guard.keyd_client import KeyClient

_FASTER = 1_000
"""The supervisor's clock against the machine's: what fell is started again at once, however often it fell."""


def fill(due: int) -> None:
    """People, work to do, and `due` kept objects that were settled long ago."""
    from django.db import transaction

    from havenline_desk import audit
    from havenline_desk.models import AuditAct, Import, Outcome, Stack, StackRevision
    from tests.desk import factories as make

    fault_desk.set_up()
    at = fault_desk.now() - dt.timedelta(days=500)
    taken_in, picture = Import.objects.get(), make.draw(50_000, size=(48, 36))
    for number in range(due):
        with transaction.atomic():
            file = make.add_file(taken_in, picture + str(number).encode(), at=at)
            stack = Stack.objects.create(investigation=taken_in.investigation, representative=file, formed_at=at)
            revision = StackRevision.objects.create(stack=stack, number=1, opened_at=at)
            settled = Outcome.objects.create(
                investigation=taken_in.investigation,
                file=file,
                revision=revision,
                framework="demo.shapes",
                framework_version="1",
                facts={},
                status="not_criminal",
                rule_path=[],
                settled_by="agreement",
                viewed_by_person=True,
                settled_at=at,
            )
            audit.append(
                AuditAct.OUTCOME_SETTLED,
                at=fault_desk.now(),
                actor=None,
                about=settled,
                investigation=taken_in.investigation,
                record=settled,
            )
    fault_desk.sessions()


def ample_budgets() -> None:
    """So much that no budget ends the looking of the browsers."""
    from dataclasses import replace

    from havenline_desk.actions.set_budget import USUAL, set_budget
    from havenline_desk.models import Person

    ample = replace(
        USUAL, per_hour=1_000_000, per_day=1_000_000, minutes=1_000_000, bytes_per_day=1 << 50, per_week=1_000_000
    )
    welfare, lead = (Person.objects.get(name=name) for name in ("welfare", "lead"))
    for number in range(fault_desk.WRITERS):
        who = Person.objects.get(name=f"writer-{number}")
        set_budget(who, ample, set_by=welfare, second=lead, at=fault_desk.now())


def up(wired: Wired, port: int, told: str) -> None:
    """All processes until standard input ends; a line `ready` when they answer."""
    import tempfile

    from havenline_cli.supervised import _parts
    from havenline_desk.sites import server
    from havenline_desk.sites.supervisor import STATUS_FILE, Program, Supervisor

    command = [sys.executable, "-m", "tests.journeys.supervised_desk", "seal", str(wired.home.path), told]
    with tempfile.TemporaryDirectory(prefix="havenline-") as folder:
        parts: list[Part] = [
            Program("sealer", command, environ=server.environ) if part.name == "sealer" else part
            for part in _parts(wired, port, Path(folder))
        ]
        supervisor = Supervisor(
            parts, record=wired.home.path / STATUS_FILE, say=lambda line: print(line, file=sys.stderr, flush=True)
        )
        try:
            supervisor.start()
            print("ready", flush=True)
            while not select.select([sys.stdin], [], [], 0.05)[0]:
                supervisor.look(at=time.monotonic() * _FASTER)
        finally:
            supervisor.stop()


def seal(told: Path) -> None:
    """The sealer's work without its pauses; each destruction is told when, and only when, it was acknowledged."""
    from havenline_cli.sealer import keep_house
    from havenline_desk.actions.run_sealer import run_sealer
    from havenline_desk.models import Tombstone
    from havenline_desk.queries.retention import kept_facts

    descriptor = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        keep_house(2)
        for name in _destroyed_of(1, run_sealer, kept_facts):
            row = Tombstone.objects.get(stored__object_name=name)
            os.write(descriptor, json.dumps({"act": "content_destroyed", "id": row.audit_id.hex}).encode() + b"\n")
        time.sleep(0.1)


def _destroyed_of(most: int, run_sealer: Any, kept_facts: Any) -> tuple[str, ...]:
    from django.db import Error, connection

    from havenline.vocabulary import HavenlineError

    try:
        facts = {name: each for name, each in kept_facts().items() if each.decided_at is not None}
        done: tuple[str, ...] = run_sealer(dict(itertools.islice(facts.items(), most)), at=fault_desk.now()).destroyed
    except (Error, HavenlineError):
        connection.close()
        return ()
    return done


def check(home: Path) -> None:
    """As `fault_desk.check`, with `opened`, the grants by which `keyd` gave up keys, and where both differ."""
    from havenline_desk.keys import keyd

    client = keyd()
    assert client is not None
    entries = list(_entries(client))
    opened = [body["grant"] for act, body in entries if act == "unwrap"]
    said = fault_desk.found()
    said["wrong"] += list(_unlike_keyd(home, entries, opened))
    print(json.dumps(said | {"opened": opened}))


def _entries(client: KeyClient) -> Iterator[tuple[str, dict[str, Any]]]:
    """Act and particulars of each entry of the key process's log."""
    after = 0
    while entries := client.log(after):
        after += len(entries)
        yield from ((json.loads(entry.line)["act"], json.loads(entry.body)) for entry in entries)


def _unlike_keyd(home: Path, entries: list[tuple[str, dict[str, Any]]], opened: list[str]) -> Iterator[str]:
    from havenline_desk import evidence
    from havenline_desk.actions.run_sealer import run_sealer
    from havenline_desk.models import AuditEntry, StoredContent, Tombstone
    from havenline_desk.queries.retention import kept_facts

    used = {each.hex for each in AuditEntry.objects.filter(act="reveal_used").values_list("grant", flat=True) if each}
    if not set(opened) <= used:
        yield "keyd opened what the desk's log does not know"
    if len(opened) != len(set(opened)):
        yield "a grant was opened twice"
    shredded = {body["object"] for act, body in entries if act == "shred"}
    buried = set(Tombstone.objects.values_list("stored__object_name", flat=True))
    if not buried <= shredded:
        yield "a record of destruction has no destroyed key"
    # What was cut short between key and record is done by the next run.
    run_sealer(kept_facts(), at=fault_desk.now(), looked_at=True)
    buried = set(Tombstone.objects.values_list("stored__object_name", flat=True))
    if not shredded <= buried:
        yield "a destroyed key has no record"
    if AuditEntry.objects.filter(act="content_destroyed").count() != len(buried):
        yield "destroyed content is not logged once each"
    evidence.sweep()
    left = {path.name for path in (home / "content").iterdir()}
    if left != set(StoredContent.objects.filter(tombstone=None).values_list("object_name", flat=True)):
        yield "the folder of content is not what the records say"


def main() -> None:
    verb, home, *words = sys.argv[1:]
    made = Home(Path(home), os.geteuid())
    made.create("desk")
    if verb == "seal":
        import django

        django.setup()
        return seal(Path(words[0]))
    wired = wire(made, plain_loopback=True)
    try:
        if verb == "fill":
            fill(int(words[0]))
            ample_budgets()
        elif verb == "up":
            up(wired, int(words[0]), words[1])
        else:
            check(made.path)
    finally:
        from django.db import connections

        connections.close_all()
        wired.release()


if __name__ == "__main__":
    main()
