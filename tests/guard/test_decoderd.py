"""`decoderd`: pixels or a named reason for every file, nothing reached, and nobody else's file touched."""

from __future__ import annotations

import io
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from havenline.fingerprints import fingerprint_bytes
from havenline.media import kinds
from havenline.media.contact_sheet import Sheet, contact_sheet
from havenline.provenance import SignalKind, read_picture
from havenline.provenance.signals import keyed
from havenline.testing.films import film, still
from havenline.vocabulary import Refusal, Refused
from havenline_guard import decoder_wire as wire
from havenline_guard.decoder_client import DecoderClient, DecoderdUnreachable, _sealed
from havenline_guard.decoder_wire import Decoded, DecodedSheet, Wanted
from havenline_guard.decoderd import DecoderdError, Settings, serve
from tests.core.provenance import drawn_marks as marks
from tests.guard.closed_probes import ESCAPED, PROBES
from tests.guard.decoder_rig import OPENING, PROBING, WITHOUT_FILMS, Rig


@pytest.fixture(scope="module")
def opening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("d"), OPENING)
    yield rig
    assert rig.stop() == 0


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("d"), PROBING, "3")
    yield rig
    assert rig.stop() == 0


def saved(form: str, picture: Image.Image | None = None) -> bytes:
    out = io.BytesIO()
    (picture or Image.fromarray(still(3))).save(out, form)
    return out.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP"])
def test_pixels_and_hashes_are_those_of_decoding_in_process(opening: Rig, form: str) -> None:
    content = saved(form)
    found = opening.client.decode(content, width=1024, height=1024)
    expected = fingerprint_bytes(content)
    assert isinstance(found, Decoded)
    assert (found.width, found.height, found.media_type) == (192, 144, expected.media_type)
    assert (found.pdq, found.pdq_quality) == (expected.pdq, expected.pdq_quality)
    assert (found.pdq_512, found.pdq_512_quality) == (expected.pdq_512, expected.pdq_512_quality)
    pixels = np.frombuffer(found.rgb, np.uint8).reshape(found.shown_height, found.shown_width, 3)
    if form in ("PNG", "TIFF", "BMP"):
        assert np.array_equal(pixels, still(3))
    assert abs(pixels.astype(int) - still(3).astype(int)).mean() < 12


def test_no_more_pixels_come_out_than_were_asked_for(opening: Rig) -> None:
    found = opening.client.decode(saved("PNG", Image.new("RGB", (2000, 900), "red")), width=320, height=300)
    assert isinstance(found, Decoded)
    assert (found.shown_width, found.shown_height) == (320, 144)
    assert len(found.rgb) == 3 * 320 * 144


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", Refusal.EMPTY),
        (b"words", Refusal.UNKNOWN_KIND),
        (b"%PDF-1.7\n", Refusal.UNSUPPORTED_KIND),
        (saved("PNG")[:400], Refusal.BROKEN),
    ],
)
def test_what_is_no_picture_has_a_named_reason(opening: Rig, content: bytes, reason: Refusal) -> None:
    found = opening.client.decode(content, width=64, height=64)
    assert isinstance(found, Refused)
    assert found.reason is reason


def test_one_text_of_a_file_is_given_as_it_stands_or_refused(opening: Rig, probed: Rig) -> None:
    content = marks.png({"parameters": marks.A1111})
    signals = read_picture(content, key=marks.KEY)
    place = next(place for place, each in enumerate(signals) if each.kind is SignalKind.TEXT)
    found = opening.client.text(content, place=place)
    assert isinstance(found, bytes)
    assert keyed(marks.KEY, SignalKind.TEXT, found) == signals[place].digest
    for other, at in ((content, 511), (b"words", 0), (b"", 0)):
        refused = opening.client.text(other, place=at)
        assert isinstance(refused, Refused)
        assert refused.reason is Refusal.UNREADABLE
    long = opening.client.text(marks.png({"Comment": "x" * (wire.LARGEST_TEXT + 1)}), place=0)
    assert isinstance(long, Refused)
    assert long.reason is Refusal.TOO_LARGE
    assert opening.client.state()["texts"] >= 1
    with pytest.raises(ValueError, match="from 0 to 511"):
        opening.client.text(content, place=512)
    assert isinstance(probed.client.text(content, place=place), bytes)


def test_a_file_that_took_its_child_over_reaches_nothing_and_the_next_one_is_whole(probed: Rig) -> None:
    zygote, told = probed.zygote(), {}
    for name in PROBES:
        found = probed.client.decode(name.encode(), width=64, height=64)
        assert isinstance(found, Refused)
        told[name] = found.detail if found.reason is Refusal.UNKNOWN_KIND else "ended"
        after = probed.client.decode(saved("PNG"), width=1024, height=1024)
        assert isinstance(after, Decoded)
        assert after.rgb == still(3).tobytes()
    assert {name: how for name, how in told.items() if how not in ("ended", "refused")} == {}
    for name in ("fork", "kill parent", "ptrace", "unshare user", "segfault", "process_vm_readv", "io_uring", "keyctl"):
        assert told[name] == "ended", name
    assert probed.zygote() == zygote
    assert not ESCAPED.exists()


@pytest.mark.parametrize("name", ["spin", "sleep"])
def test_a_file_that_takes_too_long_is_ended(probed: Rig, name: str) -> None:
    begun = time.monotonic()
    found = probed.client.decode(name.encode(), width=64, height=64)
    assert isinstance(found, Refused)
    assert found.reason is Refusal.DECODER_FAILED
    assert "longer than 3 seconds" in found.detail
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("name", ["says too much", "says half", "says other pixels"])
def test_an_answer_that_is_none_is_a_refusal(probed: Rig, name: str) -> None:
    found = probed.client.decode(name.encode(), width=64, height=64)
    assert isinstance(found, Refused)
    assert found.reason is Refusal.DECODER_FAILED
    assert isinstance(probed.client.decode(saved("PNG"), width=64, height=64), Decoded)


def test_who_goes_away_leaves_nothing_running(probed: Rig) -> None:
    descriptor = _sealed(b"sleep")
    with socket.socket(socket.AF_UNIX) as made:
        made.connect(os.fspath(probed.path))
        socket.send_fds(made, [wire.question(wanted=Wanted.PICTURE, width=8, height=8, length=5)], [descriptor])
        while not probed.client.state()["running"]:
            time.sleep(0.01)
    os.close(descriptor)
    for _ in range(500):
        if not probed.client.state()["running"]:
            return
        time.sleep(0.01)
    pytest.fail("its file is still being opened")


def test_many_at_once_each_get_their_own(opening: Rig) -> None:
    wrong: list[int] = []

    def ask(number: int) -> None:
        for _ in range(5):
            found = opening.client.decode(saved("PNG", Image.fromarray(still(number))), width=1024, height=1024)
            if not isinstance(found, Decoded) or found.rgb != still(number).tobytes():
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert wrong == []


def test_a_zygote_that_fell_is_started_again(probed: Rig) -> None:
    before = probed.zygote()
    os.kill(before, signal.SIGKILL)
    for _ in range(1000):
        try:
            if isinstance(probed.client.decode(saved("PNG"), width=64, height=64), Decoded):
                break
        except DecoderdUnreachable:
            time.sleep(0.02)
    else:
        pytest.fail("no new one answers")
    assert probed.zygote() != before
    assert probed.client.state()["restarts"] == 1


def test_only_named_users_are_answered(tmp_path: Path) -> None:
    rig = Rig(tmp_path, OPENING, "--allow", str(os.geteuid() + 1))
    try:
        with pytest.raises(DecoderdUnreachable, match="may not ask"):
            rig.client.decode(b"x", width=8, height=8)
    finally:
        assert rig.stop() == 0


def test_it_starts_where_no_loop_was_ever_compiled_and_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor may not write files; what is compiled at the first start must be kept all the same."""
    cache = tmp_path / "kernels"
    cache.mkdir(mode=0o700)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(cache))
    rig = Rig(tmp_path, OPENING)
    try:
        assert isinstance(rig.client.decode(saved("PNG"), width=64, height=64), Decoded)
        assert rig.client.state()["restarts"] == 0
        assert list(cache.rglob("*.nbi"))
        os.kill(rig.zygote(), signal.SIGKILL)
        for _ in range(1000):
            try:
                if isinstance(rig.client.decode(saved("PNG"), width=64, height=64), Decoded):
                    break
            except DecoderdUnreachable:
                time.sleep(0.02)
        assert rig.client.state()["restarts"] == 1
    finally:
        assert rig.stop() == 0


def never_warm() -> None:
    raise RuntimeError("no decoder can be loaded")


def test_a_server_whose_zygote_cannot_start_ends_and_says_so(tmp_path: Path) -> None:
    """In a process of its own: it gives up for good what this one needs."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.dup2(os.open("/dev/null", os.O_WRONLY), 2)
            serve(Settings(tmp_path / "s", users=frozenset({os.geteuid()})), say=lambda _: None, warm=never_warm)
        except DecoderdError as error:
            os.write(theirs, str(error).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(theirs)
    with os.fdopen(ours, "rb") as told:
        assert b"cannot start" in told.read()
    assert os.waitpid(pid, 0)[1] == 0


def test_without_a_server_the_client_says_so(tmp_path: Path) -> None:
    with pytest.raises(DecoderdUnreachable, match="is it started"):
        DecoderClient(tmp_path / "s").decode(b"x", width=8, height=8)


@pytest.mark.parametrize(("container", "codec"), [("mp4", "libx264"), ("avi", "mpeg4")])
def test_a_film_comes_out_as_the_sheet_that_is_made_in_process(opening: Rig, container: str, codec: str) -> None:
    content = film(container, codec, seconds=5, degrees=90 if container == "mp4" else 0)
    found = opening.client.sheet(content, width=640, height=600, frames=16)
    kind = kinds.recognise(content[: kinds.HEAD_BYTES])
    assert kind is not None
    expected = contact_sheet(io.BytesIO(content), kind, width=640, height=600)
    assert isinstance(expected, Sheet)
    assert isinstance(found, DecodedSheet)
    assert (found.width, found.height, found.media_type) == (192, 144, kind)
    assert (found.frames, found.milliseconds) == (expected.frames, round(1000 * expected.seconds))
    pixels = np.frombuffer(found.rgb, np.uint8).reshape(found.shown_height, found.shown_width, 3)
    assert np.array_equal(pixels, expected.rgb)
    fewer = opening.client.sheet(content, width=640, height=600, frames=2)
    assert isinstance(fewer, DecodedSheet)
    assert fewer.frames == 2


@pytest.mark.skipif("HAVENLINE_SOAK" not in os.environ, reason="draws a thousand million pixels; HAVENLINE_SOAK=1")
def test_a_film_that_costs_too_much_is_sought_in_the_sandbox_too(opening: Rig) -> None:
    def large(number: int) -> Any:
        return np.asarray(Image.fromarray(still(number)).resize((1920, 1440)))

    content = film("mp4", "mpeg4", seconds=40, every_key=5, draw=large)  # 1.1 thousand million pixels
    found = opening.client.sheet(content, width=1024, height=1000, frames=16)
    assert isinstance(found, DecodedSheet), found
    assert found.frames >= 12


def test_a_picture_is_no_film_and_a_film_no_picture(opening: Rig) -> None:
    for found in (
        opening.client.sheet(saved("PNG"), width=64, height=64, frames=4),
        opening.client.decode(film(seconds=1), width=64, height=64),
    ):
        assert isinstance(found, Refused)
        assert found.reason is Refusal.UNSUPPORTED_KIND
    with pytest.raises(ValueError, match="1 to 16"):
        opening.client.sheet(b"", width=64, height=64, frames=17)


def test_the_server_says_whether_films_can_be_opened(opening: Rig, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert opening.client.state()["films"] == 1
    rig = Rig(tmp_path_factory.mktemp("d"), WITHOUT_FILMS)
    try:
        assert rig.client.state()["films"] == 0
        found = rig.client.sheet(film(seconds=1), width=64, height=64, frames=4)
        assert isinstance(found, Refused)
        assert "havenline[video]" in found.detail
        assert isinstance(rig.client.decode(saved("PNG"), width=64, height=64), Decoded)
    finally:
        assert rig.stop() == 0
