"""vPDQ of a film against the peer `vpdq`: exact sampling of one frame a second, and triage by keyframes alone.

The film is drawn: a texture with film grain moves behind moving shapes. All contenders read the same file, in
one process, in interleaved rounds; CPU time of the whole process, since the peer hashes on a thread of its own;
medians. Hashes of the frames that both took are compared in the same run. The peer counts frames (every
thirtieth), Havenline seconds: at 30 frames a second these are the same frames.
"""

from __future__ import annotations

import argparse
import io
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import vpdq
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from havenline.fingerprints import Effort, FilmMode, fingerprint_bytes
from havenline.vocabulary import FrameHash

RATE = 30
SIZE = 1280, 720


def draw(path: Path, seconds: int) -> None:
    """A drawn film, H.264 as x264 codes it by default, with a keyframe every 250 frames or at a cut."""
    chance = np.random.default_rng(11)
    grain = chance.normal(0, 4, (8, SIZE[1], SIZE[0], 1)).astype(np.float32)
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "23", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number in range(seconds * RATE):
            if number % (7 * RATE) == 0:
                ground = texture(chance)
            picture = still(ground, number).astype(np.float32) + grain[number % len(grain)]
            frame = av.VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def texture(chance: np.random.Generator) -> NDArray[np.uint8]:
    """Coloured noise of several sizes, twice as large as the frame."""
    wide, high = SIZE[0] * 2, SIZE[1] * 2
    canvas = np.zeros((high, wide, 3), np.float32)
    for octave in range(2, 9):
        noise = chance.integers(0, 256, (2**octave * 9 // 16 + 1, 2**octave, 3), dtype=np.uint8)
        grown = Image.fromarray(noise).resize((wide, high), Image.Resampling.BICUBIC)
        canvas += (np.asarray(grown, dtype=np.float32) - 128) / octave
    return np.clip(canvas + 128, 0, 255).astype(np.uint8)


def still(ground: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """The frame of that number: a window that drifts over the texture, and three shapes on their ways."""
    x, y = number * 3 % SIZE[0], number * 2 % SIZE[1]
    picture = Image.fromarray(ground[y : y + SIZE[1], x : x + SIZE[0]])
    pen = ImageDraw.Draw(picture)
    for each, colour in enumerate(((220, 60, 40), (40, 90, 220), (240, 210, 60))):
        left, top = (number * (5 + each) + each * 400) % SIZE[0], (number * (3 + each) + each * 200) % SIZE[1]
        (pen.ellipse if each % 2 else pen.rectangle)((left, top, left + 160, top + 120), fill=colour)
    return np.asarray(picture)


def by_peer(path: Path, _: bytes) -> list[FrameHash]:
    """The peer, told to use one thread."""
    made: list[Any] = vpdq.computeHash(str(path), seconds_per_hash=1, thread_count=1)
    return [FrameHash(each.timestamp, each.hex, each.quality) for each in made]


def by_hand(_: Path, content: bytes) -> list[FrameHash]:
    """Decoding alone, every frame, for scale."""
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for _ in container.decode(stream):
            pass
    return []


def by_havenline(mode: FilmMode) -> Callable[[Path, bytes], list[FrameHash]]:
    """Digests included."""
    return lambda _, content: list(fingerprint_bytes(content, effort=Effort(films=mode)).frames)


def main() -> None:
    """Draw, run, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    contenders: dict[str, Callable[[Path, bytes], list[FrameHash]]] = {
        "peer: vpdq, one thread": by_peer,
        "decoding every frame alone (PyAV)": by_hand,
        "exact: one frame a second, with digests": by_havenline(FilmMode.EXACT),
        "triage: keyframes, with digests": by_havenline(FilmMode.KEYFRAMES),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        draw(path, chosen.seconds)
        content = path.read_bytes()
        times: dict[str, list[float]] = {name: [] for name in contenders}
        found: dict[str, list[FrameHash]] = {}
        for _ in range(chosen.rounds):
            for name, run in contenders.items():
                begun = time.process_time()
                found[name] = run(path, content)
                times[name].append(time.process_time() - begun)
    print(f"machine: {platform.machine()}, {_processor()}, Python {platform.python_version()}")
    print(f"drawn film: {chosen.seconds} s, {SIZE[0]} x {SIZE[1]}, {RATE} frames/s, {len(content) / 1e6:.1f} MB")
    peer, exact = next(iter(times)), list(times)[2]
    if not found[exact]:
        sys.exit(f"{exact}: no frame was hashed")
    expected = {round(each.second): each for each in found[peer]}
    for name, each in times.items():
        seconds = statistics.median(each)
        ratio = statistics.median(one / other for one, other in zip(times[peer], each, strict=True))
        print(f"{name:<42} {seconds:7.3f} s {ratio:7.2f}x {_compared(found[name], expected)}")


def _compared(found: list[FrameHash], expected: dict[int, FrameHash]) -> str:
    shared = [(each, expected[round(each.second)]) for each in found if each.second in expected]
    if not shared:
        return ""
    bits = sorted((int(one.pdq, 16) ^ int(other.pdq, 16)).bit_count() for one, other in shared)
    quality = max(abs(one.quality - other.quality) for one, other in shared)
    gaps = f"{bits[len(bits) // 2]} bits at the median, {bits[-1]} at most, quality ±{quality}"
    return f"{len(found)} frames, {len(shared)} shared: {gaps}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    main()
