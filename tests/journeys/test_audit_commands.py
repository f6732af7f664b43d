"""An auditor takes the log out by the command line, and somebody else checks it without Havenline's database."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HAVENLINE = Path(sys.executable).with_name("havenline")


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    from havenline_desk.sites.cluster import throwaway_folder

    folder = throwaway_folder()
    run(folder / "desk", "up", "--no-serve")
    yield folder / "desk"
    shutil.rmtree(folder)


def run(home: Path | None, *arguments: str | Path, code: int = 0) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("HAVENLINE_", "DJANGO_"))}
    command = [HAVENLINE, *arguments, *(("--home", home) if home is not None else ())]
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_an_export_is_checked_offline_and_one_entry_is_proved_alone(home: Path, tmp_path: Path) -> None:
    run(home, "person", "add", "somebody", "--role", "auditor")
    run(home, "person", "add", "leading", "--role", "investigation_lead")
    export = tmp_path / "export.ndjson"
    assert "the role auditor is needed" in run(home, "audit", "export", export, "--by", "leading", code=1)
    told = run(home, "audit", "export", export, "--by", "somebody")
    assert "exists already" in run(home, "audit", "export", export, "--by", "somebody", code=1)
    key = run(home, "audit", "key").strip()
    assert key in told
    outside = home / "audit"
    given = ("--checkpoints", outside / "checkpoints", "--journal", outside / "journal", "--key", key)
    assert "HOLDS: form, sequence, chain, roots and signatures of all 9 entries" in run(None, "verify", export, *given)
    run(home, "person", "add", "later", "--role", "partner_liaison")
    assert "a checkpoint was signed over 12 entries, the export holds 9" in run(None, "verify", export, *given, code=1)
    assert "HOLDS" in run(None, "verify", export, *given, "--older")
    assert "as its entry vouches for" in run(home, "audit", "check")
    proof = tmp_path / "5.tlog-proof"
    proof.write_text(run(home, "audit", "proof", "5"))
    assert '"act":"role_granted"' in run(None, "verify", proof, "--proof", "--key", key)
    assert "no signed checkpoint covers" in run(home, "audit", "proof", "99", code=1)
    later, agreements = tmp_path / "later.ndjson", tmp_path / "agreements.ndjson"
    run(home, "person", "add", "running", "--role", "admin")
    told = run(home, "audit", "export", later, "--by", "somebody", "--agreements", agreements)
    assert f"--agreements {agreements}" in told
    assert "agreements: 0 proposals, 0 carried out" in run(None, "verify", later, *given, "--agreements", agreements)
    agreements.write_text("{}\n")
    altered = run(None, "verify", later, *given, "--agreements", agreements, code=1)
    assert "ALTERED: line 1 of the agreements: it has not the form of an agreement" in altered
    assert "exists already" in run(
        home, "audit", "export", tmp_path / "x", "--by", "somebody", "--agreements", agreements, code=1
    )
    export.write_text(export.read_text().replace('"purpose":"auditor"', '"purpose":"admin"'))
    assert "first bad: entry 5: its hash is not that of its bytes" in run(None, "verify", export, *given, code=1)
