"""Bytes to a fingerprint: digests always, and one hash whatever the mode, or a reason why there is none."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from havenline.fingerprints import (
    FileUnreadableError,
    fingerprint_bytes,
    fingerprint_file,
    fingerprint_stream,
)
from havenline.fingerprints.digests import digest
from havenline.media.decode import Limits
from havenline.vocabulary import PDQ_FULL, Fingerprint, Refusal


def clouds(height: int = 384, width: int = 512, seed: int = 3) -> Image.Image:
    """Coloured noise with a natural spectrum: rich enough for the best quality."""
    noise = np.random.default_rng(seed).normal(size=(3, height, width))
    pitch = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    soft = np.fft.irfft2(np.fft.rfft2(noise) / (0.01 + pitch) ** 1.3, s=(height, width))
    return Image.fromarray(np.clip(soft / soft.std() * 50 + 128, 0, 255).astype(np.uint8).transpose(1, 2, 0).copy())


RGB = clouds()


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def apart(one: Fingerprint, other: Fingerprint) -> int:
    assert one.pdq is not None, one.refusal
    assert other.pdq is not None, other.refusal
    return (int(one.pdq, 16) ^ int(other.pdq, 16)).bit_count()


def test_another_picture_is_far_away() -> None:
    assert apart(fingerprint_bytes(saved(RGB, "PNG")), fingerprint_bytes(saved(clouds(seed=4), "PNG"))) > 62


@given(st.binary(max_size=3000))
def test_digests_are_those_of_the_bytes(content: bytes) -> None:
    for found in (digest(content), digest(io.BytesIO(content))):
        assert found.md5 == hashlib.md5(content).hexdigest()
        assert found.sha1 == hashlib.sha1(content).hexdigest()
        assert found.sha256 == hashlib.sha256(content).hexdigest()
        assert found.size == len(content)


def test_digests_over_several_pieces_are_those_of_the_whole() -> None:
    content = np.random.default_rng(5).bytes((2 << 20) + 17)
    assert digest(content) == digest(io.BytesIO(content))
    assert digest(content).sha256 == hashlib.sha256(content).hexdigest()


def test_a_fingerprint_says_what_was_seen() -> None:
    content = saved(RGB, "WEBP")
    found = fingerprint_bytes(content)
    assert (found.media_type, found.width, found.height) == ("image/webp", 512, 384)
    assert found.pipeline == PDQ_FULL
    assert found.size == len(content)
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert found.refusal is None


@pytest.mark.parametrize(
    ("content", "reason", "media_type"),
    [
        (b"", Refusal.EMPTY, None),
        (b"some words", Refusal.UNKNOWN_KIND, None),
        (b"%PDF-1.7 ...", Refusal.UNSUPPORTED_KIND, "application/pdf"),
        (saved(RGB, "PNG")[:5000], Refusal.BROKEN, "image/png"),
    ],
)
def test_what_has_no_hash_keeps_its_digests_and_a_reason(
    content: bytes, reason: Refusal, media_type: str | None
) -> None:
    found = fingerprint_bytes(content)
    assert found.refusal is not None
    assert found.refusal.reason is reason
    assert found.media_type == media_type
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert (found.pdq, found.pdq_quality, found.pipeline, found.comparable) == (None, None, None, False)


def test_a_picture_too_small_for_pdq_gets_what_the_reference_gives() -> None:
    found = fingerprint_bytes(saved(clouds(4, 40), "PNG"))
    assert (found.pdq, found.pdq_quality, found.comparable) == ("0" * 64, 0, False)


def test_a_file_a_posting_and_its_bytes_have_one_fingerprint(tmp_path: Path) -> None:
    content = saved(RGB, "JPEG")
    path = tmp_path / "name.txt"
    path.write_bytes(content)
    expected = fingerprint_bytes(content)
    assert fingerprint_file(path) == fingerprint_file(str(path)) == expected
    assert fingerprint_stream(io.BytesIO(content)) == expected


def test_a_file_that_is_too_large_is_still_digested(tmp_path: Path) -> None:
    content = saved(RGB, "PNG")
    (tmp_path / "large").write_bytes(content)
    found = fingerprint_file(tmp_path / "large", limits=Limits(max_bytes=1000))
    assert found.refusal is not None
    assert found.refusal.reason is Refusal.TOO_LARGE
    assert (found.sha256, found.media_type) == (hashlib.sha256(content).hexdigest(), "image/png")
    assert found.refusal == fingerprint_bytes(content, limits=Limits(max_bytes=1000)).refusal


def test_a_file_that_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(FileUnreadableError) as raised:
            fingerprint_file(path)
        assert path.name in str(raised.value)
        assert "\n" not in str(raised.value)
