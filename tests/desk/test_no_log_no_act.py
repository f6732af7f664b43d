"""Promise 8: every audited act × every way in which its record can fail: refused or logged, never neither.

The rows are the acts themselves: whatever `AuditAct` names must occur in a scenario, or the test fails. The signer is a
real `keyd`; what is looked at is what another connection sees, so nothing that was undone counts.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django import Settings

from havenline.vocabulary import HavenlineError
from havenline_desk import audit
from havenline_desk.actions.reopen_log import reopen_log
from havenline_desk.models import AuditAct, AuditEntry
from havenline_desk.queries.audit import export_lines, log_key
from havenline_guard import verify as checker
from havenline_guard.keyd_client import CheckpointKey, KeyClient
from tests.guard.keyd_rig import Process

from . import scenario
from .scenario import AT, Step, who

Unavailable = (audit.AuditUnavailable, audit.AuditDamaged)


@dataclass
class Stage:
    """Where a scenario runs: `arm` makes the record of acts fail in one way until `disarm`."""

    home: Path
    settings: Settings
    keyd: Process
    _pwrite: Callable[..., int] = os.pwrite
    armed: bool = False
    cells: dict[AuditAct, str] = field(default_factory=dict)
    clients: list[KeyClient] = field(default_factory=list)

    def sign_by_keyd(self) -> None:
        def leaves(after: int, until: int) -> list[bytes]:
            rows = AuditEntry.objects.filter(seq__gt=after, seq__lte=until).order_by("seq")
            return [audit.entry_of(row).leaf() for row in rows]

        self.clients.append(KeyClient(self.keyd.socket, timeout=5))
        self.settings.AUDIT_SIGNER = CheckpointKey(self.clients[-1], leaves)

    # Ways to fail.

    @contextlib.contextmanager
    def folder_gone(self) -> Iterator[None]:
        (self.home / "audit").rename(self.home / "audit-away")
        (self.home / "audit").write_text("a file, where a folder is expected")
        yield
        (self.home / "audit").unlink()
        (self.home / "audit-away").rename(self.home / "audit")

    @contextlib.contextmanager
    def disk_full(self) -> Iterator[None]:
        # A full disk takes a part of what is written, and says how much.
        os.pwrite = lambda to, content, at: self._pwrite(to, content[: len(content) // 2], at)
        yield
        os.pwrite = self._pwrite

    @contextlib.contextmanager
    def signer_down(self) -> Iterator[None]:
        self.keyd.kill()
        yield
        self.keyd.start()

    @contextlib.contextmanager
    def slow(self) -> Iterator[None]:
        running = self.keyd.running
        assert running is not None
        os.pwrite = lambda to, content, at: time.sleep(0.1) or self._pwrite(to, content, at)  # type: ignore[func-returns-value]
        os.kill(running.pid, 19)
        later = Timer(0.3, os.kill, (running.pid, 18))
        later.start()
        yield
        later.join()
        os.pwrite = self._pwrite


FAILURES = ("folder_gone", "disk_full", "signer_down", "slow")


def committed() -> tuple[dict[str, str], int]:
    """What another connection sees: a digest of each table, but for what only saves work, and the end of the log."""
    said = connection.settings_dict
    where = {"host": said["HOST"], "port": said["PORT"], "user": said["USER"], "dbname": said["NAME"]}
    with psycopg.connect(**where) as other:
        tables = other.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
        digests = {}
        for (table,) in tables:
            query = f"SELECT md5(coalesce(string_agg(t::text, ',' ORDER BY t::text), '')) FROM {table} t"
            row = other.execute(query).fetchone()  # type: ignore[call-overload]
            assert row is not None
            digests[table] = row[0]
        row = other.execute("SELECT coalesce(max(seq), 0) FROM desk_auditentry").fetchone()
        assert row is not None
    digests.pop("desk_auditcheckpoint")
    digests.pop("desk_throttle")  # attempts are counted before anything is checked
    return digests, row[0]


@contextlib.contextmanager
def failing(stage: Stage, failure: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Step], None]]:
    """Gives what runs one step: the first entry of each act meets the failure, and the step is then run again."""
    append, under_way = audit.append, contextlib.ExitStack()
    tried: list[tuple[AuditAct, tuple[dict[str, str], int]]] = []

    def appending(act: AuditAct, **said: Any) -> AuditEntry:
        if act not in stage.cells:
            disarm()  # of an act of the same step, which went through
            tried.append((act, committed()))
            stage.cells[act] = "under way"
            stage.armed = True
            under_way.enter_context(getattr(stage, failure)())
        return append(act, **said)

    def disarm() -> None:
        under_way.close()
        stage.armed = False

    def run(step: Step) -> None:
        logged = False
        while True:
            try:
                step()
            except Unavailable:
                disarm()
                logged = False not in [told(stage, *each) for each in tried]
                tried.clear()
            except HavenlineError:
                assert logged, "what was refused for another reason had been done before"
                return
            else:
                disarm()
                for act, (_, end) in tried:
                    assert AuditEntry.objects.filter(seq__gt=end, act=act).exists(), f"{act} was done without an entry"
                    stage.cells[act] = "done and logged"
                tried.clear()
                return

    monkeypatch.setattr(audit, "append", appending)
    try:
        yield run
    finally:
        disarm()
        monkeypatch.setattr(audit, "append", append)


def told(stage: Stage, act: AuditAct, before: tuple[dict[str, str], int]) -> bool:
    """After a refusal: nothing changed at all, or the act is in the log; which of them it was."""
    after = committed()
    logged = AuditEntry.objects.filter(seq__gt=before[1], act=act).exists()
    if not logged:
        assert after == before, f"{act} was refused, and yet something changed"
    stage.cells[act] = "logged, not sealed" if logged else "refused"
    return logged


def verified(stage: Stage) -> None:
    audit.seal()
    export = stage.home / "export"
    export.write_bytes(b"".join(export_lines()))
    sink = audit.sink()
    report = checker.verify(
        export, checkpoints=sink.checkpoints, keys=[checker.Key.parse(log_key())], journal=sink.journal
    )
    assert (report.bad, report.exit_code) == ([], checker.HOLDS)


def older_copy(home: Path) -> Iterator[Step]:
    """A desk whose database comes from an older copy; two auditors go on with a new log."""
    from .test_audit_log import by_the_owner

    for step in scenario.day_of_work(home):
        step()
        if AuditEntry.objects.count() > 6:
            break
    scenario.enrol_person("auditor", password=None, roles=(scenario.Role.AUDITOR,), at=AT)
    scenario.enrol_person("second-auditor", password=None, roles=(scenario.Role.AUDITOR,), at=AT)
    scenario.note_backup(at=AT)
    by_the_owner("DELETE FROM desk_auditentry WHERE act = 'backup_taken'")
    by_the_owner("DELETE FROM desk_auditcheckpoint")
    yield lambda: reopen_log(by=who("auditor"), second=who("second-auditor"), at=AT)


SCENARIOS = (scenario.day_of_work, scenario.study, older_copy)


@pytest.fixture
def stage(tmp_path: Path, settings: Settings) -> Iterator[Stage]:
    made = Stage(tmp_path, settings, Process(tmp_path / "keyd"))
    made.keyd.start()
    yield made
    os.pwrite = made._pwrite
    made.settings.AUDIT_SIGNER = None
    for client in made.clients:
        client.close()
    if made.keyd.running is not None:
        made.keyd.stop()


def begun(stage: Stage, number: int) -> None:
    """An empty database and a data folder of its own for the next scenario, with a `keyd` that has signed nothing."""
    call_command("flush", interactive=False, verbosity=0)
    stage.keyd.stop()
    stage.home = stage.home.parent / str(number)
    (stage.home / "audit").mkdir(mode=0o700, parents=True)
    stage.settings.HOME = stage.home
    stage.keyd = Process(stage.home / "keyd")
    stage.keyd.start()
    stage.sign_by_keyd()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.timeout(600)
def test_every_act_is_refused_or_logged_and_never_neither(
    failure: str, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s").mkdir()
    stage.home = tmp_path / "s" / "none"
    for number, steps in enumerate(SCENARIOS):
        begun(stage, number)
        with failing(stage, failure, monkeypatch) as run:
            running = steps(stage.home)
            for step in running:
                run(step)
        verified(stage)
    missing = set(AuditAct) - stage.cells.keys()
    assert missing == set(), f"no scenario has these acts, so nobody knows what they do without a log: {missing}"
    counted = {said: list(stage.cells.values()).count(said) for said in sorted(set(stage.cells.values()))}
    print(f"{failure}: {len(stage.cells)} acts: {counted}")
    assert "under way" not in counted
    if failure in {"folder_gone", "disk_full"}:
        assert counted == {"refused": len(AuditAct)}
    if failure == "slow":
        assert counted == {"done and logged": len(AuditAct)}
