"""Films and animated pictures to frame hashes, with their digests, however they are read."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from havenline.fingerprints import Effort, FilmMode, fingerprint_bytes, fingerprint_file
from havenline.fingerprints import fingerprint as module
from havenline.fingerprints.digests import DigestingStream, digest
from havenline.fingerprints.pdq import hash_picture
from havenline.media.decode import Limits
from havenline.media.films import FilmLimits
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
