"""Fingerprints against the peer `pdqhash` on the same drawn pictures, in the same process, on one thread.

Run it with `./dev bench fingerprints`. Prints, for 0.3, 2 and 12 megapixels, the time of the kernel alone
(pixels in, hash out) and of the whole way (JPEG bytes in, hash out; the peer's way is Pillow and `pdqhash`,
as the incumbent does it), and the ratio. The two are timed in turn and the best of several rounds counts, so
that a busy machine hurts both alike. Before timing, every hash is compared: the peer computes brightness in
double precision, so a bit or two may differ where the kernel follows Meta's C++.
"""

from __future__ import annotations

import io
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from havenline.fingerprints.pdq import pdq
from havenline.media.decode import Picture, decode_picture

try:
    import pdqhash
except ImportError:
    print("bench/fingerprints: pdqhash is missing; install g++, then run ./dev bench fingerprints")
    sys.exit(1)

SIZES = {"0.3 MP": (480, 640), "2 MP": (1224, 1632), "12 MP": (3000, 4000)}
PICTURES = 3
SECONDS = 2.5

Way = Callable[[Any], tuple[str, int]]


def drawn(height: int, width: int, seed: int) -> np.ndarray:
    """Coloured noise with a natural spectrum, enlarged from half size: compresses as photographs do."""
    random = np.random.default_rng(seed)
    rows, columns = height // 2, width // 2
    pitch = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :])
    planes = []
    for _ in range(3):
        soft = np.fft.irfft2(np.fft.rfft2(random.normal(size=(rows, columns))) / (0.002 + pitch) ** 1.2)
        planes.append(np.clip(soft / soft.std() * 50 + 128, 0, 255).astype(np.uint8))
    small = Image.fromarray(np.stack(planes, axis=2))
    return np.array(small.resize((width, height), Image.Resampling.BICUBIC))


def jpeg(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=88)
    return out.getvalue()


def peer_hash(pixels: np.ndarray) -> tuple[str, int]:
    bits, quality = pdqhash.compute(pixels)
    return np.packbits(np.asarray(bits, dtype=np.uint8)).tobytes().hex(), int(quality)


def peer_whole(content: bytes) -> tuple[str, int]:
    with Image.open(io.BytesIO(content)) as image:
        return peer_hash(np.asarray(image.convert("RGB")))


def our_whole(content: bytes) -> tuple[str, int]:
    picture = decode_picture(content)
    assert isinstance(picture, Picture), picture
    return pdq(picture.rgb)


def apart(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def best_of(ours: Way, peers: Way, inputs: list[Any]) -> tuple[float, float]:
    """Milliseconds per input of both, timed in turn; the best round of each counts."""
    best = [float("inf"), float("inf")]
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        for which, way in enumerate((ours, peers)):
            began = time.perf_counter()
            for each in inputs:
                way(each)
            best[which] = min(best[which], (time.perf_counter() - began) / len(inputs))
    return best[0] * 1000, best[1] * 1000


def machine() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    versions = ", ".join(f"{name} {version(name)}" for name in ("numba", "numpy", "pillow", "simplejpeg", "pdqhash"))
    return f"machine: {model}; Python {platform.python_version()}; {versions}; one thread"


def main() -> int:
    print(machine())
    print(f"{'size':<8}{'what':<22}{'havenline ms':>14}{'pdqhash ms':>13}{'ratio':>9}")
    worst = 0
    for name, (height, width) in SIZES.items():
        pixels = [drawn(height, width, seed) for seed in range(PICTURES)]
        contents = [jpeg(each) for each in pixels]
        for each, content in zip(pixels, contents, strict=True):
            for ours, peers in ((pdq(each), peer_hash(each)), (our_whole(content), peer_whole(content))):
                worst = max(worst, apart(ours[0], peers[0]))
                if abs(ours[1] - peers[1]) > 1 or worst > 2:
                    print(f"bench/fingerprints: the hashes of a {name} picture differ; no times given")
                    return 1
        for what, (ours_ms, peers_ms) in {
            "kernel (pixels)": best_of(pdq, peer_hash, pixels),
            "whole (JPEG bytes)": best_of(our_whole, peer_whole, contents),
        }.items():
            print(f"{name:<8}{what:<22}{ours_ms:>14.2f}{peers_ms:>13.2f}{peers_ms / ours_ms:>8.1f}x")
    print(f"hashes compared: greatest distance {worst} bits")
    return 0


if __name__ == "__main__":
    sys.exit(main())
