"""The folder outside the database by itself: its files only grow, by whole records, and say when they cannot."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from unittest import mock

import pytest

from havenline_desk.audit.outside import _TAIL, AuditUnavailable, Sink, note_id
from tests.guard import logs

LOG = logs.made(60, every=3, seed=7)
NOTES = LOG.notes


@pytest.fixture
def sink(tmp_path: Path) -> Sink:
    return Sink(tmp_path / "outside" / "audit")


def modes(*paths: Path) -> list[int]:
    return [stat.S_IMODE(path.stat().st_mode) for path in paths]


def test_folder_and_files_are_their_owners_alone(sink: Sink) -> None:
    before = os.umask(0)
    try:
        sink.write_ahead(1, "a" * 64)
        with sink.alone():
            sink.add_checkpoint(NOTES[0])
    finally:
        os.umask(before)
    assert modes(sink.folder) == [0o700]
    assert modes(sink.journal, sink.checkpoints, sink.folder / "lock") == [0o600] * 3


def test_the_lock_makes_the_folder_and_can_be_taken_again(sink: Sink) -> None:
    for _ in range(2):
        with sink.alone():
            assert modes(sink.folder) == [0o700]


def test_lines_and_notes_stand_one_behind_another(sink: Sink) -> None:
    assert sink.last_note() is None
    assert sink.last_checkpoint() is None
    for seq in range(1, 200):  # longer than the tail that is looked at
        sink.write_ahead(seq, f"{seq:064x}")
    assert sink.journal.read_text() == "".join(f"{seq} {seq:064x}\n" for seq in range(1, 200))
    assert sink.journal.stat().st_size > 3 * _TAIL
    for number, note in enumerate(NOTES, start=1):
        sink.add_checkpoint(note)
        last = sink.last_note()
        assert last is not None
        assert (last[0].size, last[1]) == (3 * number, note)
        assert sink.last_checkpoint() == last[0]
    assert sink.checkpoints.read_bytes() == b"".join(note + b"\n" for note in NOTES)


@pytest.mark.parametrize("torn", [b"9", b"9 ab", b"9 " + b"a" * 64, b"9" * 300])
@pytest.mark.parametrize("before", [0, 1, 100])
def test_a_torn_line_is_cut_off_and_no_whole_one(sink: Sink, torn: bytes, before: int) -> None:
    for seq in range(1, before + 1):
        sink.write_ahead(seq, "a" * 64)
    whole = sink.journal.read_bytes() if before else b""
    sink.folder.mkdir(parents=True, exist_ok=True)
    sink.journal.write_bytes(whole + torn)
    sink.write_ahead(before + 1, "b" * 64)
    assert sink.journal.read_bytes() == whole + f"{before + 1} {'b' * 64}\n".encode()


@pytest.mark.parametrize("notes", [0, 1, 2, 20])
def test_a_torn_note_is_cut_off_wherever_it_ends(sink: Sink, notes: int) -> None:
    whole = b"".join(note + b"\n" for note in NOTES[:notes])
    sink.folder.mkdir(parents=True)
    torn = NOTES[-1] + b"\n"
    for length in range(len(torn)):
        sink.checkpoints.write_bytes(whole + torn[:length])
        last = sink.last_note()
        assert (last[1] if last else None) == (NOTES[notes - 1] if notes else None), length
        sink.add_checkpoint(NOTES[-1])
        assert sink.checkpoints.read_bytes() == whole + torn, length


def test_a_file_whose_end_is_no_checkpoint_is_said_to_be_damaged(sink: Sink) -> None:
    sink.folder.mkdir(parents=True)
    sink.checkpoints.write_bytes(b"nothing\n\nof this kind\n\nat all\n\n")
    with pytest.raises(AuditUnavailable, match="is damaged"):
        sink.last_note()
    sink.checkpoints.write_bytes(b"nothing\n\n")
    assert sink.last_note() is None


def test_a_record_that_does_not_fit_leaves_the_file_as_it_was(sink: Sink) -> None:
    sink.write_ahead(1, "a" * 64)
    whole = sink.journal.read_bytes()
    real = os.pwrite
    with (
        mock.patch("havenline_desk.audit.outside.os.pwrite", lambda file, data, at: real(file, data[:10], at)),
        pytest.raises(AuditUnavailable, match="the disk is full"),
    ):
        sink.write_ahead(2, "b" * 64)
    assert sink.journal.read_bytes() == whole
    with (
        mock.patch("havenline_desk.audit.outside.os.pwrite", side_effect=OSError(28, "No space left on device")),
        pytest.raises(AuditUnavailable, match=r"No space left on device"),
    ):
        sink.write_ahead(2, "b" * 64)
    assert sink.journal.read_bytes() == whole


def test_a_signed_note_is_on_the_disk_when_it_is_acknowledged_and_a_line_need_not_be(sink: Sink) -> None:
    flushed: list[str] = []

    def note_flush(descriptor: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    with mock.patch("havenline_desk.audit.outside.os.fsync", note_flush):
        sink.write_ahead(1, "a" * 64)
        assert flushed == []
        sink.add_checkpoint(NOTES[0])
        assert flushed == ["checkpoints", "audit"]
        sink.add_checkpoint(NOTES[1])
    assert flushed == ["checkpoints", "audit", "checkpoints"]


def test_a_link_in_the_place_of_a_file_is_not_followed(sink: Sink, tmp_path: Path) -> None:
    sink.folder.mkdir(parents=True)
    sink.journal.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AuditUnavailable, match="cannot be written"):
        sink.write_ahead(1, "a" * 64)
    assert not (tmp_path / "elsewhere").exists()


def test_of_a_long_file_its_end_is_read(sink: Sink) -> None:
    many = logs.made(120, every=1, seed=8).notes
    for number, note in enumerate(many, start=1):
        sink.add_checkpoint(note)
        last = sink.last_note()
        assert last is not None
        assert (last[0].size, last[1]) == (number, note)
    assert sink.checkpoints.stat().st_size > 4 * _TAIL


def test_what_a_new_log_took_away_is_gone_from_the_disk_too(sink: Sink) -> None:
    sink.add_checkpoint(NOTES[0])
    with mock.patch("havenline_desk.audit.outside._flush") as flush:
        sink.start_anew([])
    flush.assert_called_once_with(sink.folder)


def test_the_refusal_is_one_sentence_that_names_the_folder_and_the_fault(sink: Sink) -> None:
    for fault, said in ((OSError(28, "No space left on device"), "No space left on device"), (OSError("odd"), "odd")):
        with (
            mock.patch("havenline_desk.audit.outside.os.pwrite", side_effect=fault),
            pytest.raises(AuditUnavailable) as told,
        ):
            sink.write_ahead(1, "a" * 64)
        assert str(told.value) == f"the audit log cannot be written to {sink.folder} ({said})"


def test_a_log_that_begins_anew_has_its_journal_and_no_checkpoint(sink: Sink) -> None:
    sink.write_ahead(1, "a" * 64)
    sink.add_checkpoint(NOTES[0])
    sink.start_anew([b"1 one\n", b"2 two\n"])
    assert (sink.journal.read_bytes(), sink.last_note()) == (b"1 one\n2 two\n", None)
    sink.start_anew([])
    assert (sink.journal.read_bytes(), sink.checkpoints.exists()) == (b"", False)


def test_a_note_is_named_by_the_first_half_of_its_digest() -> None:

    assert note_id(NOTES[0]).hex == hashlib.sha256(NOTES[0]).hexdigest()[:32]


def test_no_descriptor_is_left_open(sink: Sink) -> None:
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    sink.write_ahead(1, "a" * 64)
    before = opened()
    for note in NOTES:
        with sink.alone():
            sink.add_checkpoint(note)
        sink.write_ahead(2, "b" * 64)
        sink.last_note()
    sink.checkpoints.unlink()
    sink.add_checkpoint(NOTES[0])
    assert opened() == before
