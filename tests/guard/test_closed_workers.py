"""Workers of a scan that are closed off: nothing is reached, one file's fall is nobody else's, answers are equal."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from havenline.media.postings import Posting
from havenline.scan import Scanned, fingerprint_postings, fingerprint_source
from havenline.testing.films import film
from havenline.vocabulary import Refusal
from havenline_guard import sandbox
from havenline_guard.sandbox import close_worker
from tests.guard.closed_probes import ESCAPED, PROBES, attempt


def held(*contents: bytes) -> list[Posting]:
    return [Posting(f"{number}.bin", len(content), content=content) for number, content in enumerate(contents)]


def run(*contents: bytes, seconds: int = 60) -> list[Scanned]:
    postings = held(*contents)
    return list(
        fingerprint_postings(postings, workers=2, fingerprint=attempt, seconds_per_file=seconds, close_off=close_worker)
    )


def test_this_machine_can_close_a_process_off() -> None:
    assert sandbox.probe() == sandbox.Closed(True)


def test_a_file_that_took_its_worker_over_reaches_nothing_and_the_others_go_on() -> None:
    names = list(PROBES)
    results = run(*[each for name in names for each in (name.encode(), b"innocent")])
    told: dict[str, str] = {}
    for name, result in zip(names, results[::2], strict=True):
        if result.refused is not None:
            assert result.refused.reason is Refusal.DECODER_FAILED
            told[name] = "ended"
        else:
            assert result.fingerprint is not None
            assert result.fingerprint.refusal is not None
            told[name] = result.fingerprint.refusal.detail
    assert {name: how for name, how in told.items() if how not in ("ended", "refused")} == {}
    for name in ("fork", "kill parent", "ptrace", "unshare user", "segfault", "process_vm_readv", "io_uring", "keyctl"):
        assert told[name] == "ended", name
    clean = [each.fingerprint.refusal.detail for each in results[1::2] if each.fingerprint and each.fingerprint.refusal]
    assert clean == ["clean"] * len(names)
    assert not ESCAPED.exists()


def test_a_worker_that_never_ends_is_ended_and_the_others_go_on() -> None:
    spinning, *others = run(b"spin", *[b"innocent"] * 5, seconds=1)
    assert spinning.refused is not None
    assert "took longer" in spinning.refused.detail
    assert all(each.fingerprint is not None for each in others)


def pictures(folder: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(3).integers(0, 256, (90, 120, 3), dtype=np.uint8))
    for form in ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP"):
        out = io.BytesIO()
        picture.save(out, form)
        (folder / f"{form}.bin").write_bytes(out.getvalue())
    (folder / "film.bin").write_bytes(film("mp4", seconds=2))
    (folder / "text.bin").write_bytes(b"words")


def test_the_answers_are_those_of_open_workers_and_files_come_as_descriptors(tmp_path: Path) -> None:
    pictures(tmp_path)
    closed = list(fingerprint_source(tmp_path, workers=1, close_off=close_worker))
    assert closed == list(fingerprint_source(tmp_path, workers=1))
    hashed = [each for each in closed if each.fingerprint is not None and each.fingerprint.refusal is None]
    assert len(hashed) == 8


def test_a_file_that_vanished_is_unreadable(tmp_path: Path) -> None:
    pictures(tmp_path)
    postings = [Posting("gone", 9, file=tmp_path / "gone"), Posting("text", 5, file=tmp_path / "text.bin")]
    gone, text = fingerprint_postings(postings, workers=1, close_off=close_worker)
    assert gone.refused is not None
    assert gone.refused.reason is Refusal.UNREADABLE
    assert text.fingerprint is not None


@dataclass
class Lie:
    """No fingerprint."""

    refusal: None = None
    frames: tuple[()] = ()
    media_type: str = "\x1b[31m"
    pipeline: None = None


def lies(content: bytes) -> Lie:
    """As a worker answers that a file took over."""
    return Lie()


def test_an_answer_that_no_worker_gives_is_a_refusal() -> None:
    (each,) = fingerprint_postings(held(b"x"), workers=1, fingerprint=lies, close_off=close_worker)  # type: ignore[arg-type]
    assert each.refused is not None
    assert each.refused.reason is Refusal.DECODER_FAILED
    assert "none gives" in each.refused.detail
