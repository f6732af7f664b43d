"""Films of moving shapes over drawn noise, encoded here; no camera film anywhere. Needs the extra `video`."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

RATE = 10
"""Frames a second."""
SIZE = 192, 144
"""Width and height of `still`."""


def still(number: int) -> NDArray[np.uint8]:
    """Frame `number` of every film, (144, 192, 3): another texture each second, and a shape on its way."""
    noise = np.random.default_rng(number // RATE).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC)
    left = number * 5 % SIZE[0]
    ImageDraw.Draw(picture).ellipse((left, 30, left + 40, 70), fill=(230, 60, 40))
    return np.asarray(picture)


def film(
    form: str = "mp4",
    codec: str = "libx264",
    *,
    seconds: float = 4,
    every_key: int = 25,
    pixels: str = "yuv420p",
    draw: Callable[[int], NDArray[np.uint8]] = still,
    milliseconds: Sequence[int] = (),
    matrix: Sequence[int] = (),
    degrees: float = 0,
) -> bytes:
    """A film of `RATE` frames a second, drawn by number; `form`, `codec` and `pixels` by FFmpeg's names.

    `milliseconds` are the times of the frames where they are not even; `matrix`
    (nine numbers, as FFmpeg has them) or `degrees` to the left say how the film is turned to be shown.
    """
    import av

    options = {"g": str(every_key)}
    if codec.startswith("libx26"):
        options |= {"preset": "veryfast", "bf": "3"} | ({"sc_threshold": "0"} if codec == "libx264" else {})
    out = io.BytesIO()
    with av.open(out, "w", format=form) as container:
        stream: Any = container.add_stream(codec, rate=RATE, options=options)
        stream.height, stream.width = draw(0).shape[:2]
        stream.pix_fmt = pixels
        if milliseconds:
            stream.codec_context.time_base = Fraction(1, 1000)
        if matrix:
            stream.set_display_matrix(matrix)
        elif degrees:
            stream.set_display_rotation(degrees)
        if not codec.startswith("libx26"):
            stream.bit_rate = 900_000
        for number in range(len(milliseconds) or int(seconds * RATE)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(draw(number)), format="rgb24")
            if milliseconds:
                frame.pts, frame.time_base = milliseconds[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return out.getvalue()


def sound_alone() -> bytes:
    """An MPEG-4 file with a tone and no picture."""
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream: Any = container.add_stream("aac", rate=44_100)
        for number in range(20):
            wave = np.sin((np.arange(1024) + number * 1024) * 0.05).astype(np.float32)[None, :]
            frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            frame.rate, frame.pts = 44_100, number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return out.getvalue()
