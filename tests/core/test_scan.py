"""A scan goes through every posting of a source, whatever the files do to the processes that open them."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from hostile_postings import Barred, Changed, Held, digested, digested_falsely, held, quits_at_once, sha
from PIL import Image

from havenline import scan_workers
from havenline.entries import Entries
from havenline.matching import Edition, Lists
from havenline.scan import Scanned, Triage, findings, fingerprint_postings, fingerprint_source, scan_one
from havenline.scan_workers import WorkersFailedError
from havenline.vocabulary import (
    PDQ_FULL,
    SCREENING_LEEWAY,
    EditionRef,
    Finding,
    Fingerprint,
    HashKind,
    ListEntry,
    Match,
    Refusal,
    Refused,
)


def scanned(*contents: bytes, workers: int = 2, seconds: int = 60) -> list[Scanned]:
    return list(fingerprint_postings(held(*contents), workers=workers, fingerprint=digested, seconds_per_file=seconds))


def outcome(each: Scanned) -> str:
    return each.refused.reason.value if each.refused else "done"


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_posting_comes_once_in_the_order_of_the_source(workers: int) -> None:
    contents = [b"slow" if number % 7 == 0 else str(number).encode() for number in range(60)]
    results = scanned(*contents, workers=workers)
    assert [each.path for each in results] == [f"{number}.bin" for number in range(60)]
    assert [each.fingerprint.sha256 for each in results if each.fingerprint] == [sha(each) for each in contents]
    assert all(each.content is None for each in results)


def test_an_empty_source_needs_no_worker() -> None:
    assert scanned() == []


def test_postings_refused_by_the_source_keep_their_place() -> None:
    link = Refused(Refusal.LINK, "a link")
    postings = [Barred("a", link), *held(b"x"), Barred("b", link)]
    results = list(fingerprint_postings(postings, workers=1, fingerprint=digested))
    assert [each.path for each in results] == ["a", "0.bin", "b"]
    assert [each.refused for each in results] == [link, None, link]


@pytest.mark.parametrize("guilty", [b"crash", b"killed", b"quits"])
def test_a_file_that_kills_its_worker_is_refused_and_costs_no_other(guilty: bytes) -> None:
    results = scanned(b"a", b"slow", guilty, b"b", guilty + b" again", *(b"slow %d" % n for n in range(12)))
    assert [outcome(each) for each in results] == [
        "done", "done", "decoder_failed", "done", "decoder_failed", *["done"] * 12,
    ]  # fmt: skip
    assert results[2].refused is not None
    assert "ended the process" in results[2].refused.detail


def test_a_file_whose_worker_dies_for_another_reason_is_tried_again(tmp_path: Path) -> None:
    contents = [b"once %s/%d" % (os.fsencode(tmp_path), number) for number in range(3)]
    assert [outcome(each) for each in scanned(*contents, b"x")] == ["done"] * 4


def test_a_file_that_never_ends_is_refused_and_the_rest_goes_on() -> None:
    results = scanned(b"a", b"stuck", b"b", b"c", seconds=1)
    assert [outcome(each) for each in results] == ["done", "decoder_failed", "done", "done"]
    assert results[1].refused is not None
    assert "1 seconds" in results[1].refused.detail


def test_errors_of_a_decoder_are_refusals_that_quote_nothing() -> None:
    results = scanned(b"raises", b"hungry", b"unreadable", b"a")
    assert [outcome(each) for each in results] == [
        "decoder_failed", "decoder_failed", "unreadable", "done",
    ]  # fmt: skip
    details = [each.refused.detail for each in results if each.refused]
    assert "RuntimeError" in details[0]
    assert "secret" not in details[0]
    assert "memory" in details[1]
    assert "check that it is still there" in details[2]


def test_known_files_are_only_digested() -> None:
    results = list(
        fingerprint_postings(
            held(b"a", b"crash", b"b"), workers=1, known={sha(b"a"), sha(b"crash")}, fingerprint=digested
        )
    )
    assert [each.known_sha256 for each in results] == [sha(b"a"), sha(b"crash"), None]
    assert [each.fingerprint is None for each in results] == [True, True, False]


def test_the_bytes_come_along_when_asked_for() -> None:
    large = os.urandom(3_000_000)
    results = list(
        fingerprint_postings(
            held(b"a", large, large, large, b"unreadable", b""),
            workers=2,
            keep_content=True,
            known={sha(b"a")},
            fingerprint=digested,
        )
    )
    assert [each.content for each in results] == [b"a", large, large, large, None, b""]


@pytest.mark.parametrize(
    ("name", "false"), [("md5", "0" * 32), ("sha1", "0" * 40), ("sha256", "0" * 64), ("size", 7), ("", "")]
)
def test_nothing_is_kept_under_digests_that_a_worker_alone_gives(name: str, false: str | int) -> None:
    work = partial(digested_falsely, name, false) if name else digested
    (kept,) = fingerprint_postings(held(b"a"), workers=1, keep_content=True, fingerprint=work)
    assert (kept.content, kept.fingerprint is None) == ((None, True) if name else (b"a", False))
    assert (kept.refused is not None and "took that worker over" in kept.refused.detail) is bool(name)


def test_what_changes_after_a_worker_read_it_is_not_kept_and_taken_for_no_known_file() -> None:
    changed = [Changed("0", b"a", here=b"b"), Changed("1", b"k", here=b"b"), Changed("2", b"k", here=b"unreadable")]
    results = list(fingerprint_postings(changed, workers=1, keep_content=True, known={sha(b"k")}, fingerprint=digested))
    assert [outcome(each) for each in results] == ["decoder_failed", "decoder_failed", "unreadable"]
    assert {(each.content, each.fingerprint, each.known_sha256) for each in results} == {(None, None, None)}


def test_only_a_few_postings_are_held_at_a_time() -> None:
    taken = 0

    def endless() -> Iterator[Held]:
        nonlocal taken
        while True:
            taken += 1
            yield Held(str(taken), b"x")

    results = fingerprint_postings(endless(), workers=1, fingerprint=digested)
    for _ in range(100):
        next(results)
    results.close()
    assert taken <= 100 + scan_workers._HELD


def test_a_worker_ends_after_its_share_of_files() -> None:
    count = 3 * scan_workers.FILES_A_WORKER + 5
    seen: set[int] = set()
    results = fingerprint_postings(held(*[b"x"] * count), workers=2, fingerprint=digested)
    for number, _ in enumerate(results):
        if number % 8 == 0:
            seen |= workers_alive()
    assert number == count - 1
    assert len(seen) >= 4
    assert not workers_alive()


def workers_alive() -> set[int]:
    """The processes that serve tasks: the children of this process's own fork server."""
    servers = [child for child in psutil.Process().children() if "forkserver" in " ".join(child.cmdline())]
    return {child.pid for server in servers for child in server.children()}


def test_leaving_early_leaves_no_worker_behind() -> None:
    results = fingerprint_postings(held(b"a", *[b"stuck"] * 5), workers=2, fingerprint=digested)
    assert next(results).path == "0.bin"
    assert workers_alive()
    results.close()
    assert not workers_alive()


def test_an_error_of_the_source_ends_the_scan_and_its_workers() -> None:
    def broken() -> Iterator[Held]:
        yield from held(b"a", b"b")
        raise RuntimeError("the source went away")

    with pytest.raises(RuntimeError, match="went away"):
        list(fingerprint_postings(broken(), workers=1, fingerprint=digested))
    assert not workers_alive()


ORPHANS = """
import sys
import signal
from hostile_postings import digested, held
from havenline.scan import fingerprint_postings
if __name__ == "__main__":
    # A test run in the background hands its children an interrupt that is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    postings = held(b"a", b"stuck", b"stuck")
    for each in fingerprint_postings(postings, workers=2, fingerprint=digested):
        print("started", flush=True)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_process_that_asked(end: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    ) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == b"started\n"
        below = psutil.Process(caller.pid).children(recursive=True)
        assert below
        caller.send_signal(end)
        try:
            caller.wait(timeout=30)
        finally:
            caller.kill()
    _, alive = psutil.wait_procs(below, timeout=30)
    assert alive == []


def test_a_script_without_the_usual_guard_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text(ORPHANS.replace('if __name__ == "__main__"', "if True"))
    ended = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        check=False,
    )
    assert ended.returncode == 1
    assert "__main__" in ended.stderr.splitlines()[-1]


def test_workers_that_cannot_start_are_not_blamed_on_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("havenline.scan_workers._serve", quits_at_once)
    with pytest.raises(WorkersFailedError, match="exit status 7"):
        scanned(b"a")


def test_no_worker_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        scanned(b"a", workers=0)


def picture(form: str, colour: int = 0) -> bytes:
    written = BytesIO()
    ramp = Image.linear_gradient("L").resize((300, 200))
    Image.merge("RGB", (ramp, ramp.rotate(180), Image.new("L", ramp.size, colour))).save(written, form)
    return written.getvalue()


def test_a_folder_is_fingerprinted_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "drawn.png").write_bytes(picture("PNG"))
    (tmp_path / "a.jpg").write_bytes(picture("JPEG"))
    (tmp_path / "note.txt").write_text("text")
    (tmp_path / "empty.jpg").touch()
    found = {each.path: each for each in fingerprint_source(tmp_path, workers=1)}
    assert sorted(found) == ["a.jpg", "b/drawn.png", "empty.jpg", "note.txt"]
    made = {path: each.fingerprint for path, each in found.items()}
    assert made["b/drawn.png"] is not None
    assert made["b/drawn.png"].media_type == "image/png"
    assert made["b/drawn.png"].pdq is not None
    assert [each.refusal.reason for path, each in sorted(made.items()) if each is not None and each.refusal] == [
        Refusal.EMPTY,
        Refusal.UNKNOWN_KIND,
    ]


def matches_even_sizes(fingerprints: object) -> list[tuple[Match, ...]]:
    assert isinstance(fingerprints, list)
    match = Match(EditionRef("x", 1, "0" * 64), "e1", HashKind.MD5, 0)
    return [(match,) if each.size % 2 == 0 else () for each in fingerprints]


def test_findings_keep_matches_with_their_file() -> None:
    each = [Scanned(str(n), n, fingerprint=replace(digested(b"x"), size=n)) for n in range(200)]
    each[7] = Scanned("7", None, refused=Refused(Refusal.LINK, "a link"))
    found = list(findings(iter(each), lookup=matches_even_sizes))
    assert [(finding.path, bool(finding.matches)) for finding, _ in found] == [(str(n), n % 2 == 0) for n in range(200)]
    assert found[7] == (Finding("7", None, refused=Refused(Refusal.LINK, "a link")), None)


def test_one_file_goes_all_the_way() -> None:
    finding = scan_one(b"even", path="a", fingerprint=digested, lookup=lambda each: matches_even_sizes(list(each)))
    assert (finding.path, finding.fingerprint, len(finding.matches)) == ("a", digested(b"even"), 1)


def test_triage_asks_wide_and_tells_only_what_the_exact_lane_confirms() -> None:
    """One find at the very edge is confirmed, one beyond it is not, and what was never near is not opened again."""

    def hashed(name: str, bits: int, pipeline: str) -> Fingerprint:
        made = digested(name.encode())
        return replace(made, pdq=f"{(1 << bits) - 1:064x}", pdq_quality=100, pipeline=pipeline, refusal=None)

    exact, screened = {"edge": 31, "beyond": 32}, {"edge": 43, "beyond": 30, "away": 44}
    entry = ListEntry("e1", sha256=digested(b"listed").sha256, pdq="0" * 64, pdq_quality=100)
    lists = Lists.build([Edition(EditionRef("x", 1, "0" * 64), Entries.of([entry]))])
    opened: list[str] = []

    def confirm(postings: list[str]) -> Iterator[Scanned]:
        opened.extend(postings)
        yield from (Scanned(each, 1, fingerprint=hashed(each, exact[each], PDQ_FULL)) for each in postings)

    lookup = partial(lists.lookup, at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    wide = Triage(partial(lookup, leeway=SCREENING_LEEWAY), confirm)
    asked = [
        Scanned(name, 1, fingerprint=hashed(name, bits, "pdq-screen/1"), posting=name)
        for name, bits in screened.items()
    ]
    found = {finding.path: finding.matches for finding, _ in findings(iter(asked), lookup=lookup, triage=wide)}
    assert opened == ["edge", "beyond"]
    assert [match.distance for match in found["edge"]] == [31]
    assert found["beyond"] == found["away"] == ()
