"""`havenline verify`: a clean log holds, every alteration is found and the first bad entry named. Promise 7."""

from __future__ import annotations

import dataclasses
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from havenline.formats.audit_log import (
    AuditLogError,
    LogEntry,
    VerifierKey,
    proof_text,
)
from havenline.formats.merkle_tree import inclusion_proof
from havenline_guard import verify as checker

from . import logs

SEED = 20_261_124
SOAK = os.environ.get("HAVENLINE_SOAK") == "1"
TAMPERINGS = 2_000
CLEAN = 1_000_000 if SOAK else 20_000
KEYS = (logs.Signer().key(), logs.Signer(2, "havenline.invalid/x").key())


@pytest.fixture(scope="module")
def clean() -> logs.Log:
    return logs.made(90, every=32, seed=SEED)


def checked(log: logs.Log, folder: Path, *, journal: bool) -> checker.Report:
    export, checkpoints, written = log.write(folder)
    return checker.verify(export, checkpoints=checkpoints, keys=KEYS, journal=written if journal else None)


@pytest.mark.parametrize("journal", [False, True], ids=["checkpoints alone", "with the journal"])
def test_2000_random_tamperings_are_all_detected_and_the_first_bad_entry_is_named(
    clean: logs.Log, tmp_path: Path, journal: bool
) -> None:
    print(f"seed {SEED}")
    assert checked(clean, tmp_path, journal=journal).exit_code == checker.HOLDS
    ways = (*logs.ENTRIES, *logs.CHECKPOINTS)
    exact = entries = 0
    for number in range(TAMPERINGS):
        draw = random.Random(f"{SEED}/{number}")
        way = ways[number % len(ways)]
        log = clean.copy()
        first = way(log, draw)
        told = f"seed {SEED}, tampering {number}, {way.__name__}"
        report = checked(log, tmp_path, journal=journal)
        assert report.exit_code != checker.HOLDS, told
        if first is None:
            assert report.bad or report.covered < report.entries, told
            continue
        entries += 1
        if not report.bad:  # well-formed entries behind the last checkpoint: they are not proved, and said not to be
            assert way in {logs.insert, logs.inserted_and_rechained}, told
            assert report.covered + 1 == first, told
            exact += 1
            continue
        named = report.first_bad
        assert named is not None, told
        assert named.first <= first <= named.last, f"{told}: {first} is bad, named is {named}"
        assert named.last - named.first < 32, told
        exact += named.first == named.last
    print(f"{exact} of {entries} altered entries were named exactly, the others within one checkpoint's reach")
    if journal:
        assert exact == entries


def test_every_way_of_altering_is_tried(clean: logs.Log) -> None:
    for way in (*logs.ENTRIES, *logs.CHECKPOINTS):
        log = clean.copy()
        way(log, random.Random(SEED))
        assert (log.lines, log.notes) != (clean.lines, clean.notes), way.__name__


def test_a_clean_log_holds_without_a_false_alarm_and_quickly(tmp_path: Path) -> None:
    """A million entries in at most 30 s of processor time in the long form; the short form asks for the same rate."""
    log = logs.made(CLEAN, every=256, seed=SEED)
    export, checkpoints, journal = log.write(tmp_path)
    del log
    began = time.thread_time()
    report = checker.verify(export, checkpoints=checkpoints, keys=KEYS, journal=journal)
    spent = time.thread_time() - began
    print(f"{CLEAN:,} entries in {spent:.2f} s, {spent / CLEAN * 1e6:.1f} s a million")
    assert (report.bad, report.notes, report.covered, report.exit_code) == ([], [], CLEAN, checker.HOLDS)
    if SOAK:
        assert spent <= 30


def test_the_file_runs_alone_and_its_exit_codes_say_what_was_found(clean: logs.Log, tmp_path: Path) -> None:
    """As an expert witness would run it: a copy of the one file, isolated from Havenline."""
    program = tmp_path / "verify.py"
    program.write_bytes(Path(checker.__file__).read_bytes())
    export, checkpoints, journal = clean.write(tmp_path)
    signer = logs.Signer()
    key = VerifierKey(signer.name, signer.algorithm, signer.public_key).text()
    key_file = tmp_path / "key"
    key_file.write_text(f"{key}\n")

    def run(*arguments: str | Path) -> tuple[int, str]:
        command = [sys.executable, "-I", program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    code, said = run(export, "--checkpoints", checkpoints, "--key", key_file, "--journal", journal)
    assert code == 0, said
    assert "HOLDS: form, sequence, chain, roots and signatures of all 90 entries" in said
    code, said = run(export, "--key", key)
    assert (code, "NOT COVERED: entries 1 to 90" in said) == (3, True)
    assert run(export, "--checkpoints", checkpoints)[0] == 2
    assert run(export, "--checkpoints", checkpoints, "--key", "nonsense")[0] == 2
    assert run(tmp_path / "absent", "--checkpoints", checkpoints, "--key", key)[0] == 2
    altered = clean.copy()
    altered.lines[68] = altered.lines[68].replace(b'"act":"', b'"act":"x', 1)
    code, said = run(*altered.write(tmp_path)[:1], "--checkpoints", checkpoints, "--key", key)
    assert (code, "first bad: entry 69: its hash is not that of its bytes" in said) == (1, True)


def test_the_proof_of_one_entry_holds_alone_and_for_that_entry_only(clean: logs.Log, tmp_path: Path) -> None:
    leaves = [each.leaf() for each in clean.entries]
    for seq in (1, 77, 90):
        entry = clean.entries[seq - 1]
        proof = proof_text(entry=entry, proof=inclusion_proof(leaves, seq - 1), note=clean.notes[-1])
        proved = checker.check_proof(proof, KEYS)
        assert not isinstance(proved, str)
        assert (proved[0], proved[1].size) == (entry.canonical(), 90)
        other = proof_text(entry=clean.entries[seq % 90], proof=inclusion_proof(leaves, seq - 1), note=clean.notes[-1])
        assert isinstance(checker.check_proof(other, KEYS), str)
        assert isinstance(checker.check_proof(proof, [logs.Signer(9).key()]), str)
        draw = random.Random(SEED + seq)
        for _ in range(200):
            bent = bytearray(proof)
            bent[draw.randrange(len(bent))] ^= 1 << draw.randrange(8)
            assert isinstance(checker.check_proof(bytes(bent), KEYS), str), f"seed {SEED + seq}"


def test_a_journal_that_was_altered_is_told_from_a_log_that_was(clean: logs.Log, tmp_path: Path) -> None:
    log = clean.copy()
    log.journal[41] = log.journal[40].replace(b"41 ", b"42 ", 1)
    report = checked(log, tmp_path, journal=True)
    assert "the journal names another hash than the signed checkpoint proves" in str(report.first_bad)
    log.journal.insert(41, clean.journal[41])  # both stand there: an act was rolled back, and its number used again
    assert checked(log, tmp_path, journal=True).exit_code == checker.HOLDS
    del log.journal[10:20]  # a loss of power took them; the checkpoints prove the entries all the same
    assert checked(log, tmp_path, journal=True).exit_code == checker.HOLDS
    log.journal[5] = b"6 nothing\n"
    assert "line 6 of the journal is damaged" in str(checked(log, tmp_path, journal=True).first_bad)


def test_what_a_loss_of_power_leaves_at_the_end_is_no_alarm(clean: logs.Log, tmp_path: Path) -> None:
    export, checkpoints, journal = clean.write(tmp_path)
    checkpoints.write_bytes(checkpoints.read_bytes() + clean.notes[-1][:50])
    journal.write_bytes(journal.read_bytes() + b"91 0123")
    report = checker.verify(export, checkpoints=checkpoints, keys=KEYS, journal=journal)
    assert report.exit_code == checker.HOLDS
    assert "ends in the middle of a note" in report.notes[0]


def with_views(draw: random.Random, *, views: int, failed: frozenset[int] = frozenset()) -> tuple[logs.Log, logs.Log]:
    """A log with that many views, and the key process's own log of the same form with an unwrapping for each."""
    entries: list[LogEntry] = []
    unwraps: list[LogEntry] = []

    def add(to: list[LogEntry], act: str, like: LogEntry | None = None) -> LogEntry:
        drawn = logs.entry(len(to) + 1, to[-1].entry_hash() if to else logs.BEFORE_THE_FIRST, draw, act=act)
        grant = like.grant if like else f"{draw.getrandbits(128):032x}"
        to.append(dataclasses.replace(drawn, grant=grant, object=like.object if like else drawn.object))
        return to[-1]

    for number in range(views):
        used = add(entries, "reveal_used")
        if number in failed:
            add(entries, "reveal_failed", used)
        else:
            add(unwraps, "unwrap", used)
    return again(entries), again(unwraps)


def again(entries: list[LogEntry]) -> logs.Log:
    """Chained and signed anew, as by somebody who can sign."""
    fresh = logs.rechained(entries, 0)
    return logs.Log(fresh, [each.line() for each in fresh], [logs.note_over(fresh, len(fresh), logs.Signer())])


def reconciled(log: logs.Log, keyd: logs.Log, folder: Path) -> checker.Report:
    (folder / "keyd").mkdir(exist_ok=True)
    export, checkpoints, _ = log.write(folder)
    theirs, their_checkpoints, _ = keyd.write(folder / "keyd")
    return checker.verify(export, checkpoints=checkpoints, keys=KEYS, keyd=theirs, keyd_checkpoints=their_checkpoints)


def test_every_unwrapping_belongs_to_one_view_and_every_view_to_one_unwrapping(tmp_path: Path) -> None:
    log, keyd = with_views(random.Random(SEED), views=20, failed=frozenset({3, 11}))
    assert reconciled(log, keyd, tmp_path).exit_code == checker.HOLDS

    unlogged = reconciled(again([each for each in log.entries if each.seq != 9]), keyd, tmp_path)
    assert "for which the log has no view" in str(unlogged.first_bad)
    missing = reconciled(log, again(keyd.entries[:-1]), tmp_path)
    assert "the key process has no entry for this view" in str(missing.first_bad)
    other = dataclasses.replace(keyd.entries[5], object="0" * 32)
    assert "unwrapped another object" in str(
        reconciled(log, again([*keyd.entries[:5], other, *keyd.entries[6:]]), tmp_path).first_bad
    )
    twice = reconciled(log, again([*keyd.entries, keyd.entries[0]]), tmp_path)
    assert "a second one under the same grant" in str(twice.first_bad)
    broken = keyd.copy()
    del broken.lines[4]
    assert "the log of the key process: entry 5" in str(reconciled(log, broken, tmp_path).first_bad)


def test_an_entry_has_no_room_for_content_names_addresses_or_hash_values() -> None:
    entry = logs.chained(1, random.Random(SEED))[0]
    for change in (
        {"purpose": "d41d8cd98f00b204e9800998ecf8427e"},
        {"purpose": "0cc175b9c0f1b6a831c399e269772661:x"},
        {"purpose": "https://example.org/a/long/address/that/goes/on"},
        {"purpose": "A Name"},
        {"object": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"actor": "analyst-one"},
        {"act": "Reveal"},
        {"seq": 0},
        {"at": entry.at.replace(tzinfo=None)},
    ):
        with pytest.raises(AuditLogError, match="no room"):
            dataclasses.replace(entry, **change)  # type: ignore[arg-type]


def test_keys_of_unknown_algorithms_and_with_foreign_ids_are_refused() -> None:
    signer = logs.Signer()
    text = VerifierKey(signer.name, signer.algorithm, signer.public_key).text()
    assert VerifierKey.parse(text).text() == text
    name, key_id, encoded = text.split("+", 2)
    for wrong in (
        f"{name}+00000000+{encoded}",
        f"{name}+{key_id}+B{encoded[1:]}",
        "nonsense",
        f"a b+{key_id}+{encoded}",
    ):
        with pytest.raises(AuditLogError):
            VerifierKey.parse(wrong)
        with pytest.raises(checker.Unusable):
            checker.Key.parse(wrong)
