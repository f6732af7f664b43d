"""Films and animated pictures to frame hashes, with their digests, however they are read."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from havenline.fingerprints import Effort, FilmMode, fingerprint_bytes, fingerprint_file
from havenline.fingerprints import fingerprint as module
from havenline.fingerprints.digests import DigestingStream, digest
from havenline.fingerprints.pdq import hash_picture
from havenline.media.decode import Limits
from havenline.media.films import FilmLimits
from havenline.media.orientation import upright
from havenline.testing.films import film, still
from havenline.vocabulary import PDQ_FULL, Refusal


def bits(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def test_a_film_is_hashed_once_a_second() -> None:
    content = film(seconds=4)
    found = fingerprint_bytes(content)
    assert (found.pdq, found.refusal, found.pipeline) == (None, None, PDQ_FULL)
    assert (found.media_type, found.width, found.height) == ("video/mp4", 192, 144)
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert [frame.second for frame in found.frames] == [0.0, 1.0, 2.0, 3.0]
    for frame in found.frames:
        expected, quality = hash_picture(still(round(frame.second * 10)))
        assert bits(frame.pdq, expected) <= 10
        assert abs(frame.quality - quality) <= 2
    assert found.comparable
    assert list(found.pdq_values) == list(dict.fromkeys(frame.pdq for frame in found.frames))


def test_how_films_are_sampled_is_a_choice() -> None:
    content = film(seconds=4)
    twice = fingerprint_bytes(content, effort=Effort(seconds_a_frame=0.5))
    assert len(twice.frames) == 8
    some = fingerprint_bytes(content, effort=Effort(films=FilmMode.KEYFRAMES))
    assert 1 <= len(some.frames) < 4
    assert set(some.frames) <= set(fingerprint_bytes(content, effort=Effort(seconds_a_frame=0.1)).frames)
    none = fingerprint_bytes(content, effort=Effort(films=FilmMode.NONE))
    assert none.refusal is not None
    assert none.refusal.reason is Refusal.UNSUPPORTED_KIND
    with pytest.raises(ValueError, match="above 0"):
        Effort(seconds_a_frame=0)


@pytest.mark.parametrize(("form", "codec"), [("mp4", "libx264"), ("mpegts", "libx264"), ("matroska", "libx264")])
def test_a_large_film_is_digested_while_it_is_decoded(
    tmp_path: Path, form: str, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = film(form, codec, seconds=3)
    path = tmp_path / "film"
    path.write_bytes(content)
    found = fingerprint_file(path, limits=Limits(max_bytes=1000))
    assert found == fingerprint_bytes(content)
    monkeypatch.setattr(module, "DEFAULT_FILM_LIMITS", FilmLimits(max_bytes=2000))
    refused = fingerprint_file(path, limits=Limits(max_bytes=1000))
    assert refused.refusal is not None
    assert refused.refusal.reason is Refusal.TOO_LARGE
    assert refused.md5 == found.md5


class Counting(io.BytesIO):
    taken = 0

    def read(self, count: int | None = -1) -> bytes:
        piece = super().read(count)
        self.taken += len(piece)
        return piece


def test_bytes_that_pass_by_in_order_are_read_once() -> None:
    content = np.random.default_rng(5).bytes(3_000_000)
    source = Counting(content)
    stream = DigestingStream(source)
    assert stream.read(1_000_000) == content[:1_000_000]
    stream.seek(2_500_000)
    assert stream.read(1000) == content[2_500_000:2_501_000]
    stream.seek(999_000)
    assert stream.read(2000) == content[999_000:1_001_000]
    assert stream.finish() == digest(content)
    assert source.taken == len(content) + 1000 + 1000


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF"])
def test_an_animated_picture_is_sampled_from_first_to_last(form: str) -> None:
    pictures = [Image.fromarray(still(number * 10)) for number in range(40)]
    out = io.BytesIO()
    pictures[0].save(out, form, save_all=True, append_images=pictures[1:], duration=500)
    found = fingerprint_bytes(out.getvalue())
    seconds = [frame.second for frame in found.frames]
    assert len(seconds) == 16
    assert seconds == sorted(seconds)
    assert (seconds[0], seconds[-1]) == (0.0, pytest.approx(19.5, abs=0.1))
    assert found.pdq is not None
    assert bits(found.frames[0].pdq, found.pdq) == 0
    for frame in found.frames:
        assert bits(frame.pdq, hash_picture(still(round(frame.second * 20)))[0]) <= (24 if form == "GIF" else 10)


# A display matrix's a, b, c, d (ISO/IEC 14496-12, 8.3.2: x' = ax + cy, y' = bx + dy) beside the picture's mark.
MATRICES = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}


@pytest.mark.parametrize("mark", MATRICES)
def test_a_film_is_found_whether_its_turning_mark_was_applied_or_not(mark: int) -> None:
    a, b, c, d = (each << 16 for each in MATRICES[mark])
    turned = fingerprint_bytes(film(seconds=3, matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30)))
    assert (turned.orientation, turned.width, turned.height) == (mark, 192, 144)
    assert len(turned.frames_upright) == (0 if mark == 1 else 3)
    for frames, turn in ((turned.frames, 1), (turned.frames_upright, mark)):
        for frame in frames:
            expected, quality = hash_picture(np.ascontiguousarray(upright(still(round(frame.second * 10)), turn)))
            assert bits(frame.pdq, expected) <= 10
            assert abs(frame.quality - quality) <= 2
    assert turned.pdq_values.keys() == {each.pdq for each in (*turned.frames, *turned.frames_upright)}


def test_the_marks_of_films_are_those_that_ffmpeg_writes() -> None:
    """A phone held upright: FFmpeg calls a quarter to the right minus ninety degrees."""
    found = fingerprint_bytes(film(seconds=1, degrees=-90))
    assert found.orientation == 6


def test_a_film_turned_by_an_angle_that_is_no_right_one_is_hashed_as_stored() -> None:
    found = fingerprint_bytes(film(seconds=1, degrees=30))
    assert (found.orientation, len(found.frames), found.frames_upright) == (1, 1, ())


def test_an_animated_picture_with_a_mark_has_its_frames_turned_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    shown = [Image.fromarray(still(number)) for number in (0, 10)]
    out = io.BytesIO()
    shown[0].save(out, "WEBP", save_all=True, append_images=shown[1:], duration=500, lossless=True, exif=exif)
    found = fingerprint_bytes(out.getvalue())
    assert [frame.second for frame in found.frames_upright] == [0.0, 0.5]
    assert found.frames_upright[0].pdq == found.pdq_upright
    for frame, each in zip(found.frames_upright, shown, strict=True):
        turned = np.ascontiguousarray(upright(np.asarray(each), 6))
        assert bits(frame.pdq, hash_picture(turned)[0]) <= 2


def test_upright_frames_stand_beside_the_others() -> None:
    found = fingerprint_bytes(film(seconds=2, degrees=90))
    with pytest.raises(ValueError, match="one beside each"):
        dataclasses.replace(found, frames_upright=found.frames_upright[:1])


def uneven(number: int) -> NDArray[np.uint8]:
    return still(number)[:143, :191]


MILLISECONDS = [0, 100, 7300, 7400, 20_000]
ODD = {
    "one-frame": (lambda: film(seconds=0.1), [0.0]),
    "one-frame-webm": (lambda: film("webm", "libvpx-vp9", seconds=0.1), [0.0]),
    "uneven-times": (lambda: film(milliseconds=MILLISECONDS), [0.0, 7.3, 20.0]),
    "late-beginning": (lambda: film(milliseconds=range(5000, 8000, 100)), [0.0, 1.0, 2.0]),
    "odd-sides": (lambda: film(draw=uneven, pixels="yuv444p"), [0.0, 1.0, 2.0, 3.0]),
    "odd-sides-webm": (lambda: film("webm", "libvpx-vp9", draw=uneven), [0.0, 1.0, 2.0, 3.0]),
    "ten-bits": (lambda: film(pixels="yuv420p10le"), [0.0, 1.0, 2.0, 3.0]),
    "grey": (lambda: film(pixels="gray"), [0.0, 1.0, 2.0, 3.0]),
}


@pytest.mark.parametrize("form", ODD)
def test_odd_films_are_hashed_at_the_seconds_they_are_shown(form: str) -> None:
    make, seconds = ODD[form]
    found = fingerprint_bytes(make())
    assert [frame.second for frame in found.frames] == seconds
    assert (found.refusal, found.cut_short) == (None, False)
    for number, frame in enumerate(found.frames):
        drawn = MILLISECONDS.index(round(frame.second * 1000)) if form == "uneven-times" else number * 10
        picture = np.ascontiguousarray(still(drawn)[: found.height, : found.width])
        assert bits(frame.pdq, hash_picture(picture)[0]) <= 10
