"""A film's frames: the first at or after each second in every container; never more than allowed, never a crash."""

from __future__ import annotations

import io
import sys
from fractions import Fraction
from functools import cache

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from havenline.media import kinds
from havenline.media.films import Film, FilmLimits, read_film
from havenline.testing.films import film, sound_alone
from havenline.vocabulary import Refusal, Refused

FORMS = {
    "mp4-h264": ("mp4", "libx264", kinds.MP4),
    "mov-mpeg4": ("mov", "mpeg4", kinds.QUICKTIME),
    "mkv-h264": ("matroska", "libx264", kinds.MATROSKA),
    "mkv-hevc": ("matroska", "libx265", kinds.MATROSKA),
    "webm-vp9": ("webm", "libvpx-vp9", kinds.WEBM),
    "webm-vp8": ("webm", "libvpx", kinds.WEBM),
    "avi-mpeg4": ("avi", "mpeg4", kinds.AVI),
    "bare-mpeg2": ("mpeg2video", "mpeg2video", kinds.MPEG),
    "mpeg-mpeg2": ("mpeg", "mpeg2video", kinds.MPEG),
    "ts-h264": ("mpegts", "libx264", kinds.TRANSPORT),
    "flv-h264": ("flv", "libx264", kinds.FLASH),
    "wmv": ("asf", "wmv2", kinds.WINDOWS_MEDIA),
    "3gp": ("3gp", "mpeg4", kinds.THREE_GPP),
    "mjpeg": ("avi", "mjpeg", kinds.AVI),
}
Taken = list[tuple[float, NDArray[np.uint8]]]


@cache
def drawn(form: str, seconds: float = 4) -> bytes:
    container, codec, _ = FORMS[form]
    return film(container, codec, seconds=seconds, pixels="yuvj420p" if codec == "mjpeg" else "yuv420p")


def read(content: bytes, kind: str, **options: object) -> tuple[Film | Refused, Taken]:
    taken: Taken = []
    found = read_film(io.BytesIO(content), kind, lambda second, rgb, _: taken.append((second, rgb)), **options)  # type: ignore[arg-type]
    return found, taken


def plainly(content: bytes, every: Fraction) -> Taken:
    """The slow way: decode every frame, keep the first at or after each multiple of `every`."""
    taken, due, begin = [], Fraction(0), None
    with av.open(io.BytesIO(content)) as container:
        for frame in container.decode(video=0):
            assert frame.pts is not None
            moment = Fraction(frame.pts * frame.time_base)
            begin = moment if begin is None else begin
            if moment - begin >= due:
                taken.append((round(float(moment - begin), 3), frame.to_ndarray(format="rgb24")))
                due = ((moment - begin) // every + 1) * every
    return taken


@pytest.mark.parametrize("form", FORMS)
def test_the_kind_of_a_film_is_seen_from_its_first_bytes(form: str) -> None:
    assert kinds.recognise(drawn(form)[: kinds.HEAD_BYTES]) == FORMS[form][2]


@pytest.mark.parametrize("every", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("form", FORMS)
def test_leaving_frames_undecoded_changes_no_sampled_frame(form: str, every: float) -> None:
    found, taken = read(drawn(form), FORMS[form][2], every=every)
    assert isinstance(found, Film), found
    assert (found.width, found.height, found.cut_short) == (192, 144, False)
    expected = plainly(drawn(form), Fraction(every).limit_denominator(100))
    assert [second for second, _ in taken] == [second for second, _ in expected]
    for (_, one), (_, other) in zip(taken, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_triage_takes_keyframes_alone() -> None:
    _, exact = read(drawn("mp4-h264"), kinds.MP4)
    found, taken = read(drawn("mp4-h264"), kinds.MP4, keyframes=True)
    assert isinstance(found, Film)
    assert 1 <= len(taken) < len(exact)
    assert taken[0][0] == 0.0
    np.testing.assert_array_equal(taken[0][1], exact[0][1])


def test_limits_have_names() -> None:
    content = drawn("mp4-h264")
    for limits, reason in (
        (FilmLimits(max_pixels=192 * 144 - 1), Refusal.TOO_MANY_PIXELS),
        (FilmLimits(max_seconds=3), Refusal.TOO_LONG),
    ):
        found, taken = read(content, kinds.MP4, limits=limits)
        assert isinstance(found, Refused)
        assert (found.reason, taken) == (reason, [])
    found, taken = read(content, kinds.MP4, limits=FilmLimits(max_frames=2))
    assert isinstance(found, Film)
    assert (len(taken), found.cut_short) == (2, True)


def test_beyond_its_allowance_a_film_is_sampled_at_keyframes() -> None:
    content = drawn("mp4-h264", seconds=12)
    found, taken = read(content, kinds.MP4, limits=FilmLimits(max_decoded_pixels=192 * 144 * 12))
    assert isinstance(found, Film)
    exact = len(read(content, kinds.MP4)[1])
    triage = len(read(content, kinds.MP4, keyframes=True)[1])
    assert triage <= len(taken) < exact


def test_what_has_no_picture_or_an_odd_one_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [(sound_alone(), kinds.MP4), (film("mov", "png", seconds=1, pixels="rgb24"), kinds.QUICKTIME)]
    for content, kind in cases:
        found, _ = read(content, kind)
        assert isinstance(found, Refused)
        assert found.reason is Refusal.UNSUPPORTED_KIND
    monkeypatch.setitem(sys.modules, "av", None)
    found, _ = read(drawn("mp4-h264"), kinds.MP4)
    assert isinstance(found, Refused)
    assert "havenline[video]" in found.detail


def test_a_playlist_is_no_film_and_a_film_opens_nothing_else() -> None:
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"
    assert kinds.recognise(playlist) is None
    for kind in kinds.FILMS:
        found, taken = read(playlist + bytes(4000), kind)
        assert isinstance(found, Refused)
        assert (found.reason, taken) == (Refusal.BROKEN, [])


@pytest.mark.parametrize("form", FORMS)
def test_a_film_that_ends_early_says_so_or_is_broken(form: str) -> None:
    content = drawn(form)
    found, taken = read(content[: len(content) * 6 // 10], FORMS[form][2])
    if isinstance(found, Refused):
        assert found.reason is Refusal.BROKEN
    else:
        assert len(taken) < 4 or found.cut_short


@settings(deadline=None, max_examples=60)
@given(form=st.sampled_from(sorted(FORMS)), seed=st.integers(0, 2**32 - 1))
def test_no_changed_bytes_make_it_raise(form: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    content = bytearray(drawn(form))
    for at in random.integers(0, len(content), random.integers(1, 30)):
        content[at] = random.integers(256)
    found, _ = read(bytes(content), FORMS[form][2])
    assert isinstance(found, Film | Refused)
