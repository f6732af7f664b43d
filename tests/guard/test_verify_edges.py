"""`havenline verify` at the edges of its form: the longest, the most, the first and the last."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import random
import subprocess
import sys
from pathlib import Path

import pytest

from havenline.formats.audit_log import VerifierKey, header, proof_text
from havenline.formats.merkle_tree import inclusion_proof
from havenline_guard import verify as checker

from . import logs

SEED = 20_261_128
SIGNER = logs.Signer()
KEYS = (SIGNER.key(),)
KEY_TEXT = VerifierKey(SIGNER.name, SIGNER.algorithm, SIGNER.public_key).text()


@pytest.fixture(scope="module")
def clean() -> logs.Log:
    return logs.made(40, every=16, seed=SEED)


def read(log: logs.Log, *, announced: int | None = None, notes: int = 99, journal: bool = False) -> checker.Report:
    """The log read with its first so many checkpoints, under a header that announces so many entries."""
    report = checker.Report()
    written = checker.Journal(log.journal, report) if journal else None
    checkpoints = checker.read_notes(b"".join(note + b"\n" for note in log.notes[:notes]), KEYS, report)
    entries = len(log.lines) if announced is None else announced
    stream = io.BytesIO(header(origin=logs.ORIGIN, entries=entries) + b"".join(log.lines))
    return checker.check_log(stream, checkpoints, report, written)


def test_a_log_without_entries_holds_and_every_one_it_announces_is_missed() -> None:
    empty = logs.Log([])
    assert read(empty).exit_code == checker.HOLDS
    report = read(empty, announced=2)
    assert report.bad == [checker.Bad(1, 1, "the export announces 2 entries and holds 0")]


def test_what_does_not_begin_as_an_export_is_none(clean: logs.Log) -> None:
    report = checker.check_log(io.BytesIO(b"".join(clean.lines)), [], checker.Report())
    assert report.bad == [checker.Bad(0, 0, "the export does not begin with the header of an audit log")]
    assert report.exit_code == checker.ALTERED


def test_a_checkpoint_over_nothing_has_the_root_of_an_empty_tree() -> None:
    for root, bad in ((hashlib.sha256(b"").digest(), 0), (bytes(32), 1)):
        checkpoint = checker.Checkpoint(logs.ORIGIN.encode(), 0, root)
        stream = io.BytesIO(header(origin=logs.ORIGIN, entries=0))
        assert len(checker.check_log(stream, [checkpoint], checker.Report()).bad) == bad


def test_an_announced_count_is_one_too_many_or_too_few(clean: logs.Log) -> None:
    assert read(clean, announced=41).bad == [checker.Bad(41, 41, "the export announces 41 entries and holds 40")]
    assert read(clean, announced=39).bad == [checker.Bad(40, 40, "the export announces 39 entries and holds 40")]


def test_what_was_cut_off_is_placed_by_what_vouches_for_the_rest(clean: logs.Log) -> None:
    short = clean.copy()
    del short.lines[35:]
    assert [(bad.first, bad.last) for bad in read(short).bad] == [(33, 36)]
    assert [(bad.first, bad.last) for bad in read(short, journal=True).bad] == [(36, 36)]
    short.journal[37] = b"nothing\n"
    assert "line 38 of the journal" in str(read(short, journal=True).bad[0])
    no_notes = read(short, announced=35, notes=0)
    assert (no_notes.bad, no_notes.covered, no_notes.exit_code) == ([], 0, checker.NOT_COVERED)


def test_notes_say_where_a_journal_goes_on_behind_the_export_and_only_there(clean: logs.Log) -> None:
    assert read(clean, journal=True).notes == []
    longer = clean.copy()
    longer.journal.append(b"41 " + b"0" * 63 + b"1\n")
    assert "entries up to 41" in read(longer, journal=True).notes[0]
    assert read(longer, journal=True).exit_code == checker.HOLDS


def test_the_journal_and_the_entries_decide_together_where_two_entries_do_not_fit(clean: logs.Log) -> None:
    bent = clean.copy()
    bent.lines[19] = dataclasses.replace(
        bent.entries[19], actor="0" * 32
    ).line()  # its own hash fits, the next is cut off
    alone = read(bent, notes=1)
    assert (alone.bad[-1].first, alone.bad[-1].last) == (20, 21)
    assert read(bent, notes=1, journal=True).first_bad == checker.Bad(20, 20, "the journal names another hash for it")
    first_after = clean.copy()
    first_after.lines[16] = dataclasses.replace(first_after.entries[16], prev_hash="1" * 64).line()
    assert (read(first_after, notes=1).bad[0].first, read(first_after, notes=1).bad[0].last) == (17, 17)


def test_numbers_that_are_missing_in_a_journal_may_be_so_many_in_a_row() -> None:
    digest = b"ab" * 32
    for seq, holds in ((65_537, True), (65_538, False)):
        report = checker.Report()
        journal = checker.Journal([b"1 %b\n" % digest, b"%d %b\n" % (seq, digest)], report)
        assert (report.bad == [], journal.last == seq, journal.names(seq)) == (holds, holds, holds)
        assert (journal.names(1), journal.names(2), journal.names(seq - 1)) == (True, False, False)
        if not holds:
            assert report.bad == [checker.Bad(2, 2, "line 2 of the journal names 65538 after 1")]


def test_a_journal_knows_every_hash_that_stood_under_a_number() -> None:
    first, second, third = (bytes([each]) * 32 for each in (1, 2, 3))
    lines = [b"%d %b\n" % (seq, digest.hex().encode()) for seq, digest in ((1, first), (1, second), (3, third))]
    journal = checker.Journal(lines, checker.Report())
    assert [journal.disagrees(1, each) for each in (first, second, third)] == [False, False, True]
    assert [journal.disagrees(seq, first) for seq in (2, 3, 4)] == [False, True, False]
    late = checker.Journal([lines[2], b"2 %b\n" % (b"01" * 32)], checker.Report())
    assert (late.names(2), late.names(1), late.disagrees(2, first), late.disagrees(2, second)) == (
        True,
        False,
        False,
        True,
    )


def test_a_line_has_at_most_2048_bytes() -> None:
    """No more than that is read at once of a longer one, and it ends the journal."""
    assert next(checker._lines(io.BytesIO(b"1" * 2049 + b"\n2\n"))) == b"1" * 2048
    report = checker.Report()
    checker.Journal(checker._lines(io.BytesIO(b"1" * 2049 + b"\n2\n")), report)
    assert report.bad == [checker.Bad(1, 1, "line 1 of the journal is damaged")]
    assert list(checker._lines(io.BytesIO(b"1\n2"))) == [b"1\n"]
    assert list(checker._lines(io.BytesIO(b"1\n2\n"))) == [b"1\n", b"2\n"]


def test_a_note_has_at_most_64_signatures_of_at_least_5_bytes(clean: logs.Log) -> None:
    body, _, signatures = clean.notes[-1].partition(b"\n\n")
    body += b"\n"
    other = "\u2014 another.invalid/x ".encode() + base64.b64encode(b"12345") + b"\n"
    short = "\u2014 another.invalid/x ".encode() + base64.b64encode(b"1234") + b"\n"
    assert isinstance(checker.read_note(body, signatures + other * 63, KEYS), checker.Checkpoint)
    for wrong in (signatures + other * 64, signatures + short, signatures + b"?\n", b""):
        assert checker.read_note(body, wrong, KEYS) == "it has not the form of a checkpoint"
    assert "no key that was given" in str(checker.read_note(body, other, KEYS))
    assert "no key that was given" in str(checker.read_note(body, signatures, ()))


def test_two_checkpoints_of_one_size_are_a_fork_only_with_two_roots(clean: logs.Log) -> None:
    again = clean.copy()
    again.notes.append(again.notes[-1])
    report = read(again)
    assert (report.exit_code, report.checkpoints) == (checker.HOLDS, len(clean.notes) + 1)
    back = clean.copy()
    back.notes.append(back.notes[0])
    assert str(read(back).first_bad) == "rollback: a checkpoint over 16 entries follows one over 40"


def test_a_damaged_checkpoint_is_placed_behind_the_whole_one_before_it(clean: logs.Log) -> None:
    for place, after in ((0, 0), (1, 16), (2, 32)):
        bent = clean.copy()
        bent.notes[place] = bent.notes[place].replace(b"\n\n", b"x\n\n", 1)
        assert f"checkpoint {place + 1} (after the one over {after} entries)" in str(read(bent).bad[0])


def test_files_beside_an_older_export_may_go_on_behind_it(clean: logs.Log, tmp_path: Path) -> None:
    log = clean.copy()
    del log.lines[32:]
    export, checkpoints, journal = log.write(tmp_path)
    given = {"checkpoints": checkpoints, "keys": KEYS, "journal": journal}
    older = checker.verify(export, **given, older=True)  # type: ignore[arg-type]
    assert (older.bad, older.covered, older.exit_code) == ([], 32, checker.HOLDS)
    assert checker.verify(export, **given).exit_code == checker.ALTERED  # type: ignore[arg-type]
    command = [str(export), "--checkpoints", str(checkpoints), "--key", KEY_TEXT]
    assert (checker.main(command), checker.main([*command, "--older"])) == (checker.ALTERED, checker.HOLDS)


def test_a_view_needs_its_grant_and_its_object() -> None:
    for without in ({"grant": None}, {"object": None}):
        used = dataclasses.replace(logs.entry(1, "0" * 64, random.Random(SEED), act="reveal_used"), grant="1" * 32)
        report = read(logs.Log([], [dataclasses.replace(used, **without).line()]))  # type: ignore[arg-type]
        assert (report.bad[0].first, "without its grant and object" in report.bad[0].why) == (1, True)


def test_the_entries_of_the_key_process_that_are_not_proved_are_counted(clean: logs.Log, tmp_path: Path) -> None:
    export, checkpoints, _ = clean.write(tmp_path)
    theirs = tmp_path / "keyd"
    theirs.mkdir()
    keyd, keyd_checkpoints, _ = dataclasses.replace(clean, notes=clean.notes[:1]).write(theirs)
    report = checker.verify(export, checkpoints=checkpoints, keys=KEYS, keyd=keyd, keyd_checkpoints=keyd_checkpoints)
    assert report.notes == ["24 entries of the key process are under no checkpoint"]
    report = checker.verify(export, checkpoints=checkpoints, keys=KEYS, keyd=keyd)
    assert report.notes == ["40 entries of the key process are under no checkpoint"]
    _, whole, _ = clean.write(theirs)
    report = checker.verify(export, checkpoints=checkpoints, keys=KEYS, keyd=keyd, keyd_checkpoints=whole)
    assert (report.notes, report.exit_code) == ([], checker.HOLDS)


def test_what_is_told_names_the_first_bad_entry_and_at_most_twenty(capsys: pytest.CaptureFixture[str]) -> None:
    report = checker.Report(origin="x", entries=1_234, checkpoints=2, covered=1_234)
    told = list(checker.tell(report, reconciled=True))
    assert told == [
        "log x: 1,234 entries read, 2 signed checkpoints",
        "HOLDS: form, sequence, chain, roots and signatures of all 1,234 entries",
    ]
    assert list(checker.tell(report, reconciled=False)) == [
        *told,
        "not checked: the log of the key process was not given",
    ]
    report.covered = 1_233
    assert "NOT COVERED: entries 1234 to 1234 are under no signed checkpoint" in checker.tell(report, reconciled=True)
    report.wrong(0, "nowhere")
    assert list(checker.tell(report, reconciled=False))[1:] == ["ALTERED: nowhere", "first bad: nowhere"]
    for number in range(30, 0, -1):
        report.wrong(number, "there", number + 2)
    said = list(checker.tell(report, reconciled=False))
    assert sum(line.startswith("ALTERED: ") for line in said) == 20
    assert said[-1] == "first bad: one of entries 1 to 3: there"


def test_each_end_of_the_command_has_its_code_and_says_why(
    clean: logs.Log, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export, _, _ = clean.write(tmp_path)
    missing = tmp_path / "missing"
    assert checker.main([str(missing), "--key", KEY_TEXT], name="check") == checker.WRONG_USAGE == 2
    assert capsys.readouterr().err == f"check: {missing}: No such file or directory\n"
    leaves = [each.leaf() for each in clean.entries]
    proof = tmp_path / "proof"
    whole = proof_text(entry=clean.entries[4], proof=inclusion_proof(leaves, 4), note=clean.notes[-1])
    proof.write_bytes(whole)
    assert checker.main([str(proof), "--proof", "--key", KEY_TEXT]) == checker.HOLDS == 0
    assert capsys.readouterr().out.startswith('HOLDS under a checkpoint over 40 entries: {"act":')
    proof.write_bytes(whole.replace(b"index 4", b"index 5"))
    assert checker.main([str(proof), "--proof", "--key", KEY_TEXT]) == checker.ALTERED == 1
    assert capsys.readouterr().out == "ALTERED: its entry has not the form of an entry, or stands at another place\n"
    with pytest.raises(SystemExit) as ended:
        checker.main([str(export)])
    assert (ended.value.code, "with --key" in capsys.readouterr().err) == (2, True)
    assert checker.main([str(export), "--key", KEY_TEXT]) == checker.NOT_COVERED == 3
    assert "not checked: the log of the key process" not in capsys.readouterr().out.splitlines()[0]
    with pytest.raises(SystemExit):
        checker.main([str(export), "--key", "n" * 200])
    assert f"'{'n' * 60}' is no Ed25519 key" in capsys.readouterr().err


def test_as_a_program_of_its_own_it_ends_with_the_same_codes(clean: logs.Log, tmp_path: Path) -> None:
    export, _, _ = clean.write(tmp_path)
    program = [sys.executable, "-m", "havenline_guard.verify", str(export), "--key", KEY_TEXT]
    assert subprocess.run(program, capture_output=True, check=False).returncode == checker.NOT_COVERED
    assert subprocess.run([*program, "--no"], capture_output=True, check=False).returncode == checker.WRONG_USAGE


def test_a_proof_that_is_cut_off_anywhere_is_refused_by_a_sentence(clean: logs.Log) -> None:
    leaves = [each.leaf() for each in clean.entries]
    proof = proof_text(entry=clean.entries[39], proof=inclusion_proof(leaves, 39), note=clean.notes[-1])
    assert isinstance(checker.check_proof(proof, KEYS), tuple)
    for end in range(len(proof)):
        assert isinstance(checker.check_proof(proof[:end], KEYS), str), end
    lines = proof.split(b"\n")
    assert "form of a proof" in str(checker.check_proof(b"\n".join(lines[:1]), KEYS))
    assert "form of a proof" in str(checker.check_proof(b"\n".join(lines[:2]), KEYS))
    assert "no signed checkpoint" in str(checker.check_proof(proof.partition(b"\n\n")[0], KEYS))


def test_every_audit_path_leads_to_its_root_and_no_other_does() -> None:
    """All places in all trees of up to 33 entries."""
    leaves = [checker._sha(b"\x00%d" % number) for number in range(33)]
    tree, roots = checker.Tree(), list[bytes]()
    for number in range(33):
        tree.append(b"%d" % number)
        roots.append(tree.root())
    for size in range(1, 34):
        for index in range(size):
            path = inclusion_proof(leaves[:size], index)
            assert checker._root_by(path, index, size, leaves[index]) == roots[size - 1]
            assert checker._root_by(path, size, size, leaves[index]) is None
            assert checker._root_by([*path, bytes(32)], index, size, leaves[index]) is None
            if path:
                assert checker._root_by(path[:-1], index, size, leaves[index]) is None
                assert checker._root_by([None, *path[1:]], index, size, leaves[index]) is None
                assert checker._root_by([path[0][:31], *path[1:]], index, size, leaves[index]) is None


def test_a_key_is_33_bytes_of_which_the_first_says_ed25519() -> None:
    name, key_id, encoded = KEY_TEXT.split("+", 2)
    assert checker.Key.parse(f" {KEY_TEXT}\n").public == SIGNER.public_key
    raw = base64.b64decode(encoded)
    for wrong in (raw[:-1], raw + b"0", b"\x02" + raw[1:], b""):
        typed = base64.b64encode(wrong).decode()
        its_id = checker._sha(name.encode() + b"\n" + wrong)[:4].hex()
        with pytest.raises(checker.Unusable, match="is no Ed25519 key"):
            checker.Key.parse(f"{name}+{its_id}+{typed}")
    with pytest.raises(checker.Unusable, match="is no Ed25519 key"):
        checker.Key.parse(f"+{key_id}+{encoded}")
    with pytest.raises(checker.Unusable, match="the id in the key"):
        checker.Key.parse(f"{name}+{int(key_id, 16) ^ 1:08x}+{encoded}")
