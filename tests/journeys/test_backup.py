"""Promise 19: a backup restores, is held against checkpoints from outside, and brings nothing destroyed back."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest

from havenline.formats.backup import BackupError, BackupManifest
from havenline_desk.sites.cluster import Cluster, throwaway_folder
from havenline_desk.sites.home import Home
from havenline_desk.sites.restore import put_back, verified
from tests.desk.s3_server import BUCKET, S3Server
from tests.guard.keyd_rig import AMPLE, OBJECTS, Process, Rig, refused, told
from tests.guard.keyd_rig import opened as opens

HAVENLINE = Path(sys.executable).with_name("havenline")
ROOT = Path(__file__).parents[2]
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(("HAVENLINE_", "DJANGO_"))}


def run(home: Path | None, *arguments: str | Path, code: int = 0) -> str:
    command = [HAVENLINE, *arguments, *(("--home", home) if home is not None else ())]
    done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def drive(home: Path, what: str) -> None:
    environ = ENVIRON | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    subprocess.run([sys.executable, "-m", "tests.journeys.backup_driver", home, what], env=environ, check=True)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder with a worked-in data folder `old`, a backup `one` of it, and some later acts in `old`."""
    folder = throwaway_folder()
    drive(folder / "old", "begin")
    (folder / "old" / "keyd").mkdir(mode=0o700)
    rig = Rig(folder / "old" / "keyd")
    for name in OBJECTS[:3]:
        rig.keys.mint(name, kind="original", size=1)
    rig.state.close()
    said = run(folder / "old", "backup", folder / "one")
    assert "It is not sealed" in said
    drive(folder / "old", "go on")
    rig.start()
    rig.keys.shred(OBJECTS[1], rule="cleared", by="retention")
    rig.state.close()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def new(place: Path) -> Iterator[Path]:
    folder = place / "new"
    yield folder
    if folder.exists():
        Cluster(folder / "postgresql").stop()
        shutil.rmtree(folder)


def test_a_backup_restores_with_every_row_object_and_entry(place: Path, new: Path, tmp_path: Path) -> None:
    assert "every part has its digest" in run(None, "restore", "--check", place / "one")
    said = run(new, "restore", place / "one")
    assert "is restored" in said
    manifest = BackupManifest.parse((place / "one" / "manifest.json").read_bytes())
    editions = [folder / "editions" / "house-csam" / "1" for folder in (place / "old", new)]
    held = [{path.name: path.read_bytes() for path in each.iterdir()} for each in editions]
    assert held[0] == held[1]
    assert set(held[1]) == {"edition.json", "entries.ndjson", "changes.ndjson"}
    assert manifest.counts["desk_assessment"] == 1
    assert manifest.counts["desk_storedcontent"] == len(list((new / "content").iterdir())) == 4
    for path in (new / "content").iterdir():
        assert path.read_bytes() == (place / "old" / "content" / path.name).read_bytes()
    assert "as its entry vouches for" in run(new, "audit", "check")
    run(new, "audit", "export", tmp_path / "export", "--by", "auditor")
    lines = (tmp_path / "export").read_text().splitlines()
    acts = [json.loads(line)["entry"]["act"] for line in lines[1:]]
    assert acts[manifest.entries - 1 :] == ["backup_taken", "backup_restored", "log_exported"]
    given = ("--checkpoints", new / "audit/checkpoints", "--journal", new / "audit/journal")
    assert "HOLDS" in run(None, "verify", tmp_path / "export", *given, "--key", run(new, "audit", "key").strip())
    assert "is not empty" in run(new, "restore", place / "one", code=1)


def test_a_damaged_backup_is_refused_before_anything_is_touched(place: Path, new: Path) -> None:
    shutil.copytree(place / "one", place / "damaged")
    try:
        for path in [each for each in sorted((place / "damaged").rglob("*")) if each.is_file()]:
            whole = path.read_bytes()
            damaged = whole[:-1] + bytes([whole[-1] ^ 1]) if whole else b"x"
            path.write_bytes(damaged if path.name != "manifest.json" else whole[:-3])
            assert "damaged" in run(new, "restore", place / "damaged", code=1)
            assert not new.exists()
            path.write_bytes(whole)
        (place / "damaged" / "database").unlink()
        assert "cannot be read" in run(new, "restore", "--check", place / "damaged", code=1)
    finally:
        shutil.rmtree(place / "damaged")


def test_a_sealed_backup_holds_nothing_that_can_be_read_and_opens_with_its_identity_alone(
    place: Path, new: Path, tmp_path: Path
) -> None:
    identity, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    (tmp_path / "identity").write_text(f"# kept offline\n{identity}\n")
    (tmp_path / "other").write_text(f"{other}\n")
    assert "age public key" in run(place / "old", "backup", place / "sealed", "--recipient", "age1no", code=1)
    try:
        run(place / "old", "backup", place / "sealed", "--recipient", str(identity.to_public()))
        parts = [path for path in (place / "sealed").rglob("*") if path.is_file() and path.name != "manifest.json"]
        assert all(path.read_bytes().startswith(b"age-encryption.org/v1\n") for path in parts)
        assert "every part" in run(None, "restore", "--check", place / "sealed")
        assert "every part" in run(None, "restore", "--check", place / "sealed", "--identity", tmp_path / "identity")
        assert "--identity" in run(new, "restore", place / "sealed", code=1)
        said = run(new, "restore", place / "sealed", "--identity", tmp_path / "other", code=1)
        assert "does not open" in said
        assert not new.exists()
        assert "is restored" in run(new, "restore", place / "sealed", "--identity", tmp_path / "identity")
        assert (new / "secret_key").read_bytes() == (place / "old" / "secret_key").read_bytes()
    finally:
        shutil.rmtree(place / "sealed", ignore_errors=True)


def test_an_older_copy_is_told_by_checkpoints_from_outside_and_two_auditors_go_on_with_a_new_log(
    place: Path, new: Path, tmp_path: Path
) -> None:
    old_key = run(place / "old", "audit", "key").strip()
    said = run(new, "restore", place / "one", "--outside", place / "old" / "audit", code=3)
    assert "The log is an older copy" in said
    assert "not the one that was signed" in run(new, "person", "add", "later", "--role", "auditor", code=1)
    reopen = ("audit", "reopen", "--by", "auditor")
    assert "this is one" in run(new, *reopen, "--second", "auditor", code=1)
    assert "the role auditor is needed" in run(new, *reopen, "--second", "lead", code=1)
    said = run(new, *reopen, "--second", "second-auditor")
    key = run(new, "audit", "key").strip()
    assert key in said
    assert key != old_key
    assert "whole and can be signed" in run(new, *reopen, "--second", "second-auditor", code=1)
    run(new, "person", "add", "later", "--role", "auditor")
    run(new, "audit", "export", tmp_path / "export", "--by", "auditor")
    given = ("--checkpoints", new / "audit/checkpoints", "--journal", new / "audit/journal")
    assert "HOLDS" in run(None, "verify", tmp_path / "export", *given, "--key", key)
    (closed,) = (new / "audit").glob("closed-*")
    first = [json.loads(line)["entry"] for line in (tmp_path / "export").read_text().splitlines()[1:]]
    (reopened,) = [entry for entry in first if entry["act"] == "log_reopened"]
    assert f"closed-{reopened['object']}" == closed.name
    signed = len((place / "old/audit/journal").read_text().split("\n")) - 1
    assert reopened["purpose"].startswith("older_copy:")
    assert int(reopened["purpose"].partition(":")[2]) <= signed
    assert (closed / "checkpoints").read_bytes() == (place / "old/audit/checkpoints").read_bytes()
    before = ("--checkpoints", closed / "checkpoints", "--journal", closed / "journal", "--key", old_key)
    assert "a checkpoint was signed over" in run(None, "verify", closed / "export", *before, code=1)
    run(None, "verify", closed / "export", *before, "--older", code=0)
    assert (closed / "key").read_text().strip() == old_key


def keyd_of(folder: Path) -> Iterator[Rig]:
    rig = Rig(folder / "keyd")
    rig.keys.set_budget("p1", AMPLE, by="lead", second="welfare")
    yield rig
    rig.state.close()


def test_forty_days_later_what_was_destroyed_since_stays_dead_or_no_key_is_restored(place: Path, new: Path) -> None:
    opened = verified(place / "one")
    later = opened.manifest.made_at + dt.timedelta(days=40)
    home = Home(new, os.geteuid())
    with pytest.raises(BackupError, match="older than 35 days"):
        put_back(opened, home, at=later)
    assert not new.exists()
    put_back(opened, home, at=later, ledgers=[place / "old" / "keyd" / "erasures"])
    for rig in keyd_of(new):
        assert refused("destroyed", opens, rig.keys, OBJECTS[1])
        assert refused("exists", rig.keys.mint, OBJECTS[1], kind="original", size=1)
        assert len(opens(rig.keys, OBJECTS[0])) == 32
    put_back(opened, home, at=later, keys=False)
    assert not (new / "keyd").exists()
    assert list((new / "content").iterdir()) == []


def test_within_the_days_of_grace_the_ledger_of_a_later_backup_is_enough(place: Path, new: Path) -> None:
    opened = verified(place / "one")
    home = Home(new, os.geteuid())
    put_back(opened, home, at=opened.manifest.made_at + dt.timedelta(days=20))
    for rig in keyd_of(new):
        assert len(opens(rig.keys, OBJECTS[1])) == 32, "a backup alone cannot know what was destroyed after it"
    put_back(opened, home, at=opened.manifest.made_at, ledgers=[place / "old" / "keyd" / "erasures"])
    for rig in keyd_of(new):
        refused("destroyed", opens, rig.keys, OBJECTS[1])


def test_a_running_keyd_gives_a_copy_of_itself_and_keeps_none(place: Path) -> None:
    keyd = Process(place / "old" / "keyd")
    keyd.start()
    try:
        run(place / "old", "backup", place / "three")
        assert not (place / "old" / "keyd" / "copy.sqlite").exists()
        with keyd.client() as client:
            assert told(client.log(client.status()["log"] - 1)[-1])[0] == "copy"
    finally:
        keyd.stop()
    with contextlib.closing(sqlite3.connect(place / "three" / "keyd" / "keyd.sqlite")) as copy:
        rows = copy.execute("SELECT object, wrapped IS NULL FROM object_key ORDER BY object").fetchall()
    assert rows == [(OBJECTS[0], 0), (OBJECTS[1], 1), (OBJECTS[2], 0)]
    assert OBJECTS[1] in (place / "three" / "keyd" / "erasures").read_text()
    run(None, "restore", "--check", place / "three")
    shutil.rmtree(place / "three")


def test_a_restore_that_was_killed_leaves_no_desk_and_is_run_again(place: Path, new: Path) -> None:
    command = [HAVENLINE, "restore", place / "one", "--home", new]
    killed = subprocess.Popen(command, env=ENVIRON, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (new / "postgresql").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert "restore" in run(new, "audit", "key", code=1)
    assert "is restored" in run(new, "restore", place / "one")
    run(new, "audit", "check")


def test_a_backup_is_there_whole_or_not_at_all(place: Path) -> None:
    command = [HAVENLINE, "backup", place / "two", "--home", place / "old"]
    killed = subprocess.Popen(command, env=ENVIRON, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (place / ".two.plain.part" / "database").exists() and killed.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.001)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    if not (place / "two").exists():
        run(place / "old", "backup", place / "two")
    run(None, "restore", "--check", place / "two")
    assert not (place / ".two.plain.part").exists()
    assert "exists already" in run(place / "old", "backup", place / "two", code=1)
    shutil.rmtree(place / "two")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "damaged"),
        (b'{"format": "other", "form": 1}', "form that is known"),
        (b"[]", "damaged"),
    ],
)
def test_what_is_no_manifest_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(BackupError, match=why):
        BackupManifest.parse(content)


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/b/c", "content/../x", ".hidden", "content/"])
def test_a_manifest_names_no_path_outside_its_folder(path: str) -> None:
    part = {"path": path, "size": 1, "digest": "0" * 64}
    said = {"format": "havenline-backup", "form": 1, "made_at": dt.datetime.now(dt.UTC).isoformat(), "kind": "desk"}
    said |= {"sealed": False, "salt": "0" * 32, "entries": 0, "counts": {}, "missing": [], "parts": [part]}
    with pytest.raises(BackupError, match="no backup has"):
        BackupManifest.parse(json.dumps(said).encode())


def test_a_folder_with_a_keyd_of_its_own_comes_back_with_its_passphrase_or_is_not_touched(tmp_path: Path) -> None:
    folder = throwaway_folder()
    old, new, plain, sealed = (folder / name for name in ("old", "new", "plain", "sealed"))
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "identity").write_text(str(identity))
    try:
        drive(old, "with its keyd")
        run(old, "backup", plain)
        run(old, "backup", sealed, "--recipient", str(identity.to_public()))
        assert "--passphrase-file" in run(new, "restore", plain, code=1)
        assert not new.exists()
        for given in (
            (plain, "--passphrase-file", old / "keyd/passphrase"),
            (sealed, "--identity", tmp_path / "identity"),
        ):
            assert "is restored" in run(new, "restore", *given)
            assert "as its entry vouches for" in run(new, "audit", "check")
            run(new, "audit", "export", tmp_path / "export", "--by", "auditor")
            outside = ("--checkpoints", new / "audit/checkpoints", "--key", run(new, "audit", "key").strip())
            assert "HOLDS" in run(None, "verify", tmp_path / "export", *outside)
            (tmp_path / "export").unlink()
            Cluster(new / "postgresql").stop()
            shutil.rmtree(new)
        run(old, "person", "add", "later", "--role", "auditor")
        old_copy = ("--passphrase-file", old / "keyd/passphrase", "--outside", old / "audit")
        assert "The log is an older copy" in run(new, "restore", plain, *old_copy, code=3)
        before = run(new, "audit", "key")
        assert "not the one that was signed" in run(new, "person", "add", "later", "--role", "auditor", code=1)
        run(new, "audit", "reopen", "--by", "auditor", "--second", "second-auditor")
        assert run(new, "audit", "key") != before
        run(new, "person", "add", "later", "--role", "auditor")
        assert not (new / "audit_signing_key").exists()
    finally:
        Cluster(new / "postgresql").stop()
        shutil.rmtree(folder)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """An object store in which every command and driver of the test keeps content."""
    server = S3Server(tmp_path)
    server.start()
    monkeypatch.setitem(ENVIRON, "HAVENLINE_CONTENT_STORE", f"s3://{BUCKET}/house")
    monkeypatch.setitem(ENVIRON, "HAVENLINE_S3_ENDPOINT", server.endpoint)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setitem(ENVIRON, name, "drawn")
    monkeypatch.setitem(ENVIRON, "AWS_REGION", "us-east-1")
    yield server
    server.stop()


@pytest.mark.timeout(600)
def test_content_in_an_object_store_is_in_the_backup_and_comes_back_into_an_empty_store(
    store: S3Server, tmp_path: Path
) -> None:
    folder = throwaway_folder()
    old, new, plain, sealed = (folder / name for name in ("old", "new", "plain", "sealed"))
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "identity").write_text(str(identity))
    path = f"/{BUCKET}/house/{{}}".format

    def clear() -> None:
        Cluster(new / "postgresql").stop()
        shutil.rmtree(new)

    try:
        drive(old, "with its keyd")
        run(old, "backup", plain)
        run(old, "backup", sealed, "--recipient", str(identity.to_public()))
        assert list((old / "content").iterdir()) == []
        kept = {part.name: part.read_bytes() for part in (plain / "content").iterdir()}
        assert len(kept) == 4
        assert {name: store.ask("GET", path(name)) for name in kept} == kept
        gone, *others = kept
        store.ask("DELETE", path(gone))
        assert gone in run(old, "backup", folder / "two", code=3)
        assert BackupManifest.parse((folder / "two" / "manifest.json").read_bytes()).missing == (gone,)
        store.stop()
        assert "does not answer" in run(old, "backup", folder / "three", code=1)
        assert not (folder / "three").exists()
        store.start()  # with nothing in it
        assert "is restored" in run(new, "restore", sealed, "--identity", tmp_path / "identity")
        assert list((new / "content").iterdir()) == []
        assert {name: store.ask("GET", path(name)) for name in kept} == kept
        clear()
        store.ask("DELETE", path(others[0]))  # as after a restore that was cut short
        assert "is restored" in run(new, "restore", plain, "--passphrase-file", old / "keyd/passphrase")
        assert {name: store.ask("GET", path(name)) for name in kept} == kept
        clear()
        store.ask("PUT", path(others[0]), b"the bytes of another")
        said = run(new, "restore", plain, "--passphrase-file", old / "keyd/passphrase", code=1)
        assert "kept already" in said
        assert "cut short" in run(new, "audit", "check", code=1)
    finally:
        for home in (old, new):
            Cluster(home / "postgresql").stop()
        shutil.rmtree(folder)
