"""Texts in the lowest bits of pixels, written by hand from the published form; every damage is told or passed over."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.core.provenance import drawn_marks as marks
from tests.core.provenance.drawn_marks import KEY

from havenline.provenance import Signal, SignalKind, read_picture
from havenline.provenance.one_text import text_at
from havenline.provenance.signals import keyed

K = SignalKind
Pixels = NDArray[np.uint8]
NOVELAI = json.dumps({**marks.NOVELAI, "Generation time": 2.5}).encode()
FORMS = ("pnginfo", "pngcomp", "rgbinfo", "rgbcomp")
ALPHA = {form: form.startswith("png") for form in FORMS}


def marked(form: str, text: bytes, *, size: tuple[int, int] = (200, 256), bits: int | None = None) -> Pixels:
    """A ramp with the text in its lowest bits, column by column; `bits`: the length that is stated instead."""
    height, width = size
    ramp = np.linspace(0, 255, height * width).reshape(height, width).astype(np.uint8)
    layers = [ramp, ramp[::-1], ramp[:, ::-1], np.full_like(ramp, 255)][: 4 if ALPHA[form] else 3]
    pixels = np.ascontiguousarray(np.stack(layers, axis=2))
    body = gzip.compress(text) if form.endswith("comp") else text
    whole = b"stealth_" + form.encode() + struct.pack(">I", 8 * len(body) if bits is None else bits) + body
    row = np.unpackbits(np.frombuffer(whole, np.uint8))
    down = np.swapaxes(pixels, 0, 1).copy()
    chosen = down[:, :, 3:] if ALPHA[form] else down
    flat = chosen.reshape(-1)
    flat[: len(row)] = flat[: len(row)] & 254 | row
    chosen[...] = flat.reshape(chosen.shape)
    return np.ascontiguousarray(np.swapaxes(down, 0, 1))


def written(pixels: Pixels, **options: object) -> bytes:
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "PNG", **options)
    return made.getvalue()


def filtered(pixels: Pixels, how: int) -> bytes:
    """A PNG whose rows all have one filter, by hand (ISO/IEC 15948, 9.2)."""
    height, width, channels = pixels.shape
    whole = np.zeros((height + 1, width + 1, channels), np.int16)
    whole[1:, 1:] = pixels
    left, up, corner = whole[1:, :-1], whole[:-1, 1:], whole[:-1, :-1]
    guess = left + up - corner
    near = [abs(guess - each) for each in (left, up, corner)]
    paeth = np.where((near[0] <= near[1]) & (near[0] <= near[2]), left, np.where(near[1] <= near[2], up, corner))
    taken = ((pixels - (np.zeros_like(left), left, up, (left + up) // 2, paeth)[how]) & 255).astype(np.uint8)
    rows = np.concatenate([np.full((height, 1), how, np.uint8), taken.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 6 if channels == 4 else 2, 0, 0, 0)
    chunks = marks.chunk(b"IHDR", header) + marks.chunk(b"IDAT", zlib.compress(rows.tobytes()))
    return b"\x89PNG\r\n\x1a\n" + chunks + marks.chunk(b"IEND", b"")


def families(signals: tuple[Signal, ...]) -> set[str | None]:
    return {each.value for each in signals if each.kind is K.GENERATOR}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("text", "family"), [(NOVELAI, "novelai"), (marks.A1111.encode(), "a1111")])
def test_every_form_is_read_and_its_text_keyed(form: str, text: bytes, family: str) -> None:
    content = written(marked(form, text))
    signals = read_picture(content, key=KEY)
    assert families(signals) == {family}
    assert all(each.location.startswith("PNG pixels, lowest bits of ") for each in signals)
    assert not [word for word in marks.SECRETS if word in repr(signals).lower()]
    prompt = marks.NOVELAI["Comment"] if family == "novelai" else marks.A1111
    (place,) = [place for place, each in enumerate(signals) if each.digest == keyed(KEY, K.TEXT, prompt.encode())]
    assert text_at(content, place) == (K.TEXT, prompt.encode())


@pytest.mark.parametrize("how", range(5))
@pytest.mark.parametrize("form", ["pngcomp", "rgbinfo"])
def test_the_signature_is_found_behind_every_filter_of_rows(form: str, how: int) -> None:
    assert families(read_picture(filtered(marked(form, NOVELAI), how), key=KEY)) == {"novelai"}


def test_a_picture_without_a_signature_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> Pixels:
        raise AssertionError

    monkeypatch.setattr("havenline.provenance.pixel_marks._decoded", fail)
    plain = np.zeros((200, 256, 4), np.uint8)
    assert read_picture(written(plain), key=KEY) == ()
    assert read_picture(written(plain[:, :, :3].copy()), key=KEY) == ()
    with pytest.raises(AssertionError):
        read_picture(written(marked("pnginfo", b"x")), key=KEY)


@pytest.mark.parametrize(
    "content",
    [
        written(marked("pnginfo", b"x", bits=1 << 31)),
        written(marked("pnginfo", b"x", bits=0)),
        written(marked("pnginfo", b"xy", bits=9)),
        written(marked("pngcomp", b"x" * 900, bits=40)),
        written(marked("rgbcomp", bytes(9 << 20))),
        (cut := filtered(marked("pnginfo", NOVELAI), 0))[: len(cut) * 9 // 10],
    ],
    ids=["too long", "empty", "half a byte", "cut gzip", "unpacks to too much", "cut file"],
)
def test_a_signature_without_a_whole_text_is_told(content: bytes) -> None:
    found = read_picture(content, key=KEY)
    assert [each.kind for each in found] == [K.UNREAD]
    assert "there is a signature" in str(found[0].value)


@pytest.mark.parametrize("change", ["small", "interlaced", "deep", "grey"])
def test_other_pictures_are_passed_over(change: str) -> None:
    size = (100, 256) if change == "small" else (200, 256)
    content = bytearray(written(marked("pnginfo", NOVELAI, size=size)))
    if change != "small":
        at, value = {"interlaced": (28, 1), "deep": (24, 16), "grey": (25, 0)}[change]
        content[at] = value
    assert read_picture(bytes(content), key=KEY) == ()
