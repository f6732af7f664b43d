"""A film's sheet: its frames in order of time, upright, within the room and the work that were allowed."""

from __future__ import annotations

import io
import sys
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from havenline.media import kinds
from havenline.media.contact_sheet import FRAMES, SHEET_LIMITS, Sheet, contact_sheet
from havenline.media.films import FilmLimits
from havenline.testing.films import RATE, film, sound_alone, still
from havenline.vocabulary import Refusal, Refused

FORMS = {
    "mp4-h264": ("mp4", "libx264", kinds.MP4),
    "mkv-hevc": ("matroska", "libx265", kinds.MATROSKA),
    "webm-vp9": ("webm", "libvpx-vp9", kinds.WEBM),
    "avi-mpeg4": ("avi", "mpeg4", kinds.AVI),
    "bare-mpeg2": ("mpeg2video", "mpeg2video", kinds.MPEG),
    "mpeg-mpeg2": ("mpeg", "mpeg2video", kinds.MPEG),
    "ts-h264": ("mpegts", "libx264", kinds.TRANSPORT),
    "flv-h264": ("flv", "libx264", kinds.FLASH),
    "wmv": ("asf", "wmv2", kinds.WINDOWS_MEDIA),
}
WIDE, HIGH = 192, 144
LONG = 24
"""Seconds: more than a sheet has frames."""
GAP = 2


@cache
def drawn(form: str, seconds: float = 4) -> bytes:
    container, codec, _ = FORMS[form]
    return film(container, codec, seconds=seconds)


def sheet(content: bytes, kind: str, *, room: tuple[int, int] = (4096, 4096), **options: Any) -> Sheet:
    found = contact_sheet(io.BytesIO(content), kind, width=room[0], height=room[1], **options)
    assert isinstance(found, Sheet), found
    assert found.rgb.shape[1] <= room[0]
    assert found.rgb.shape[0] <= room[1]
    return found


def cells(found: Sheet, *, size: tuple[int, int] = (WIDE, HIGH)) -> list[NDArray[np.uint8]]:
    """The frames of a sheet on which none was shrunk."""
    wide, high = size
    columns = (found.rgb.shape[1] + GAP) // (wide + GAP)
    places = [(place // columns * (high + GAP), place % columns * (wide + GAP)) for place in range(found.frames)]
    return [found.rgb[top : top + high, left : left + wide] for top, left in places]


@cache
def stills() -> NDArray[np.int16]:
    return np.stack([still(number)[::4, ::4].astype(np.int16) for number in range(LONG * RATE)])


def numbers_of(found: Sheet) -> list[int]:
    """Which frame of the film each frame of a sheet is."""
    numbers = []
    for cell in cells(found):
        apart = np.abs(stills() - cell[::4, ::4].astype(np.int16)).mean(axis=(1, 2, 3))
        assert apart.min() < 20, "a frame is none of the film"
        numbers.append(int(apart.argmin()))
    return numbers


@cache
def long_film(container: str = "mp4", codec: str = "libx264", every_key: int = 10) -> bytes:
    return film(container, codec, seconds=LONG, every_key=every_key)


@pytest.mark.parametrize("form", FORMS)
def test_a_short_film_shows_a_frame_of_each_second_in_order(form: str) -> None:
    found = sheet(drawn(form), FORMS[form][2], most=4)
    assert (found.width, found.height, found.cut_short) == (WIDE, HIGH, False)
    assert found.frames == 4
    assert found.seconds == pytest.approx(4, abs=1)
    numbers = numbers_of(found)
    # The stated length of some is a little off, and the frames are spread over that.
    assert max(abs(number - place * RATE) for place, number in enumerate(numbers)) <= RATE // 2


def test_a_long_film_shows_sixteen_frames_spread_evenly() -> None:
    found = sheet(long_film(), kinds.MP4)
    assert found.frames == FRAMES
    numbers = numbers_of(found)
    assert max(abs(number - place * LONG * RATE / FRAMES) for place, number in enumerate(numbers)) <= 1


def test_frames_of_a_film_that_does_not_say_its_length_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("havenline.media.contact_sheet.FRAMES", 4)  # so that a film of few seconds is thinned
    found = sheet(long_film("mpeg2video", "mpeg2video"), kinds.MPEG, most=4)
    assert found.frames == 4
    numbers = numbers_of(found)
    assert numbers == sorted(set(numbers))
    assert numbers[0] < RATE
    assert numbers[-1] > LONG * RATE // 2


@pytest.mark.parametrize("form", ["mp4-h264", "avi-mpeg4", "ts-h264"])
def test_in_a_film_that_costs_too_much_each_moment_is_sought(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    container, codec, kind = FORMS[form]
    affordable = FilmLimits(max_decoded_pixels=WIDE * HIGH * FRAMES * 6)  # of 240 frames some 100
    monkeypatch.setattr("havenline.media.contact_sheet.read_film", None)  # which would go through all
    found = sheet(long_film(container, codec), kind, limits=affordable)
    numbers = numbers_of(found)
    assert numbers == sorted(set(numbers))
    assert found.frames >= FRAMES - 2
    assert numbers[-1] > 20 * RATE


def test_where_key_frames_are_rare_a_film_that_costs_too_much_has_fewer_frames() -> None:
    found = sheet(long_film(every_key=400), kinds.MP4, limits=FilmLimits(max_decoded_pixels=WIDE * HIGH * 64))
    assert 1 <= found.frames < FRAMES
    assert found.cut_short


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_frames_lie_as_the_film_says_to_show_them(degrees: int) -> None:
    found = sheet(film(seconds=2, degrees=degrees), kinds.MP4)
    size = (HIGH, WIDE) if degrees in (90, 270) else (WIDE, HIGH)
    shown = Image.fromarray(cells(found, size=size)[0]).rotate(-degrees, expand=True)
    assert (found.width, found.height) == (WIDE, HIGH)
    assert np.abs(np.asarray(shown).astype(int) - still(0)).mean() < 20


@pytest.mark.parametrize("room", [(512, 496), (1024, 1002), (320, 304), (1, 1), (40, 1000)])
def test_no_sheet_is_larger_than_its_room(room: tuple[int, int]) -> None:
    for seconds in (1, 5, LONG):
        content = long_film() if seconds == LONG else film(seconds=seconds)
        found = sheet(content, kinds.MP4, room=room)
        assert found.frames == (1 if room == (1, 1) else min(FRAMES, seconds))


def test_what_is_no_film_or_too_large_a_one_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    content = drawn("mp4-h264")
    cases = [
        (content, FilmLimits(max_pixels=WIDE * HIGH - 1), Refusal.TOO_MANY_PIXELS),
        (content, FilmLimits(max_seconds=3), Refusal.TOO_LONG),
        (sound_alone(), SHEET_LIMITS, Refusal.UNSUPPORTED_KIND),
        (content[:600] + bytes(len(content) - 600), SHEET_LIMITS, Refusal.BROKEN),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n", SHEET_LIMITS, Refusal.BROKEN),
    ]
    for given, limits, reason in cases:
        found = contact_sheet(io.BytesIO(given), kinds.MP4, width=64, height=64, limits=limits)
        assert isinstance(found, Refused)
        assert found.reason is reason
    monkeypatch.setitem(sys.modules, "av", None)
    found = contact_sheet(io.BytesIO(content), kinds.MP4, width=64, height=64)
    assert isinstance(found, Refused)
    assert "havenline[video]" in found.detail


@pytest.mark.parametrize("form", ["ts-h264", "mkv-hevc", "avi-mpeg4"])
def test_of_a_film_that_ends_early_what_is_there_is_shown_or_it_is_refused(form: str) -> None:
    content = drawn(form, seconds=12)
    for part in (0.9, 0.5, 0.2):
        found = contact_sheet(io.BytesIO(content[: int(len(content) * part)]), FORMS[form][2], width=512, height=512)
        if isinstance(found, Sheet):
            assert 1 <= found.frames <= 12
        else:
            assert found.reason is Refusal.BROKEN
