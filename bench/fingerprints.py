"""PDQ against the peers `pdqhash` and Pillow on the same drawn pictures, in the same process, on one thread.

Run it with `./dev bench fingerprints`. For 0.3, 2, 12 and 24 megapixels it times, in turn, so that a busy machine
hurts all alike, in CPU time of the thread, medians of the rounds:

- the kernels alone, pixels in, hash out: the bit-exact one and the one that is used (fast, with the bit-exact one
  where rounding could decide), against `pdqhash.compute`;
- the lanes, JPEG bytes in, hash out: the exact lane and the screening lane, against Pillow and `pdqhash` (the
  incumbent's way) and against their own decoding;
- what the second pipeline (512 x 512 first) adds.

Then the screening lane's distances from the exact lane, the eight positions against `pdqhash.compute_dihedral`,
the memory of one worker, and how long stored kernels take to load. Every hash is compared before anything is
timed: the peer computes brightness in double precision, so a bit or two may differ where the kernel follows Meta's
C++. Each bar counts as met at nine tenths of its figure.
"""

from __future__ import annotations

import io
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

from havenline.fingerprints.pdq import dihedral, hash_512_first, hash_picture
from havenline.fingerprints.pdq_fast_kernel import fast_hash
from havenline.fingerprints.pdq_kernel import pdq_bits
from havenline.fingerprints.pdq_screening import screen_jpeg
from havenline.fingerprints.pdq_twin import dct_matrix
from havenline.media.decode import Picture, decode_picture
from havenline.media.grey_jpeg import decode_grey_jpeg
from havenline.vocabulary import Refused

try:
    import pdqhash
except ImportError:
    print("bench/fingerprints: pdqhash is missing; install g++, then run ./dev bench fingerprints")
    sys.exit(1)

SIZES = {"0.3 MP": (480, 640, 8), "2 MP": (1224, 1632, 8), "12 MP": (3000, 4000, 4), "24 MP": (4000, 6000, 3)}
"""Height, width and how many pictures."""
SECONDS = 12.0
ROUNDS = 3
MET = 0.9
QUALITY = 75
"""1.6 to 1.8 bits a pixel, as the JPEGs that the bars were set with (1.1 to 1.9); unpacking more is decoding alone."""
RICH_QUALITY = 90
EXACT_LANE = {"0.3 MP": 6.0, "2 MP": 6.5, "12 MP": 11.5, "24 MP": 14.0}
SCREENING_LANE = {"0.3 MP": 8.5, "2 MP": 10.0, "12 MP": 25.0, "24 MP": 29.0}
EXACT_KERNEL, FAST_KERNEL = 8.0, 55.0
EXACT_OVER_DECODING, SCREENING_OVER_DECODING = 1.2, 1.1
SCREENED = 200
MEMORY_MIB = 100

Way = Callable[[Any], Any]


def drawn(height: int, width: int, seed: int) -> np.ndarray:
    """Coloured noise with a natural spectrum, enlarged from half size: compresses as photographs do."""
    random = np.random.default_rng(seed)
    rows, columns = height // 2, width // 2
    pitch = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :])
    planes = []
    for _ in range(3):
        soft = np.fft.irfft2(
            np.fft.rfft2(random.normal(size=(rows, columns))) / (0.002 + pitch) ** 1.2, (rows, columns)
        )
        planes.append(np.clip(soft / soft.std() * 50 + 128, 0, 255).astype(np.uint8))
    small = Image.fromarray(np.stack(planes, axis=2))
    return np.array(small.resize((width, height), Image.Resampling.BICUBIC))


def jpeg(pixels: np.ndarray, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", **({"quality": QUALITY} | options))
    return out.getvalue()


def hexed(bits: Any) -> str:
    return np.packbits(np.asarray(bits, dtype=np.uint8)).tobytes().hex()


def peer_hash(pixels: np.ndarray) -> tuple[str, int]:
    bits, quality = pdqhash.compute(pixels)
    return hexed(bits), int(quality)


def peer_lane(content: bytes) -> tuple[str, int]:
    with Image.open(io.BytesIO(content)) as image:
        return peer_hash(np.asarray(image.convert("RGB")))


def exact_kernel(pixels: np.ndarray) -> tuple[str, int]:
    bits, quality = pdq_bits(pixels)
    return hexed(bits[::-1]), quality


def exact_lane(content: bytes) -> tuple[str, int]:
    picture = decode_picture(content)
    assert isinstance(picture, Picture), picture
    return hash_picture(picture.rgb)


def in_doubt(pixels: np.ndarray) -> bool:
    return not fast_hash(pixels, pixels.shape[0], pixels.shape[1], 1, dct_matrix())[2]


def both_pipelines(content: bytes) -> tuple[str, int]:
    picture = decode_picture(content)
    assert isinstance(picture, Picture), picture
    hash_512_first(picture.rgb)
    return hash_picture(picture.rgb)


def screening_lane(content: bytes) -> tuple[str, int]:
    found = screen_jpeg(content)
    assert not isinstance(found, Refused), found
    return found[:2]


def decode_rgb(content: bytes) -> Any:
    return simplejpeg.decode_jpeg(content, colorspace="RGB")


def decode_grey(content: bytes) -> Any:
    return simplejpeg.decode_jpeg(content, colorspace="GRAY", **grey_size(content))


def grey_size(content: bytes) -> dict[str, int]:
    height, width, _, _ = simplejpeg.decode_jpeg_header(content)
    scale = next((each for each in (8, 4, 2) if min(height, width) >= 256 * each), 1)
    return {"min_height": -(-height // scale), "min_width": -(-width // scale), "min_factor": scale}


def apart(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def timed(ways: dict[str, Way], inputs: list[Any], *, touched: bool = False) -> dict[str, float]:
    """Milliseconds per input of each way, in CPU time of the thread: medians of rounds in which all take turns.

    With `touched` each input is read through just before, as a decoder leaves a picture: as far as it fits, it
    lies in the cache for every way alike.
    """
    for way in ways.values():
        way(inputs[0])
    rounds: dict[str, list[float]] = {name: [] for name in ways}
    until = time.perf_counter() + SECONDS
    while len(next(iter(rounds.values()))) < ROUNDS or time.perf_counter() < until:
        for name, way in ways.items():
            spent = 0.0
            for each in inputs:
                if touched:
                    each.max()
                began = time.thread_time()
                way(each)
                spent += time.thread_time() - began
            rounds[name].append(spent / len(inputs))
    return {name: statistics.median(each) * 1000 for name, each in rounds.items()}


class Report:
    """Prints each figure beside its bar, and remembers whether one was missed."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def line(self, what: str, figure: float, unit: str, bar: float | None = None, *, most: bool = False) -> None:
        verdict = ""
        if bar is not None:
            met = figure <= bar / MET if most else figure >= bar * MET
            verdict = f"   bar {'at most' if most else 'at least'} {bar:g}: {'met' if met else 'MISSED'}"
            if not met:
                self.missed.append(what)
        print(f"{what:<52}{figure:>9.2f} {unit:<5}{verdict}", flush=True)


def kernels(name: str, pixels: list[np.ndarray], report: Report) -> None:
    matrix = dct_matrix()
    ms = timed(
        {
            "peer": peer_hash,
            "exact": exact_kernel,
            "fast": lambda each: fast_hash(each, each.shape[0], each.shape[1], 1, matrix),
            "used": hash_picture,
            "512": hash_512_first,
        },
        pixels,
        touched=True,
    )
    report.line(f"{name} pdqhash.compute", ms["peer"], "ms")
    report.line(f"{name} bit-exact kernel", ms["peer"] / ms["exact"], "x", EXACT_KERNEL)
    report.line(f"{name} fast kernel", ms["peer"] / ms["fast"], "x", FAST_KERNEL)
    report.line(f"{name} fast, bit-exact where in doubt", ms["peer"] / ms["used"], "x")
    report.line(f"{name} second pipeline (512 first)", ms["512"], "ms")


def lanes(name: str, contents: list[bytes], pixels: int, report: Report, *, bars: bool = True) -> None:
    ms = timed(
        {
            "peer": peer_lane,
            "exact": exact_lane,
            "both": both_pipelines,
            "decode": decode_rgb,
            "screening": screening_lane,
            "decode grey": decode_grey,
        },
        contents,
    )
    size = name if bars else ""
    large = bars and size != "0.3 MP"
    report.line(f"{name} bits a pixel", sum(map(len, contents)) * 8 / len(contents) / pixels, "")
    doubtful = sum(in_doubt(decode_rgb(each)) for each in contents)
    print(f"{name} pictures that the bit-exact kernel decided: {doubtful} of {len(contents)}")
    report.line(f"{name} Pillow RGB + pdqhash", ms["peer"], "ms")
    report.line(f"{name} exact lane", ms["exact"], "ms")
    report.line(f"{name} exact lane against it", ms["peer"] / ms["exact"], "x", EXACT_LANE.get(size))
    over = ms["exact"] / ms["decode"]
    report.line(f"{name} exact lane over its decoding", over, "x", EXACT_OVER_DECODING if large else None, most=True)
    report.line(f"{name} with the second pipeline, over the lane", ms["both"] / ms["exact"], "x")
    report.line(f"{name} screening lane", ms["screening"], "ms")
    report.line(f"{name} screening lane against it", ms["peer"] / ms["screening"], "x", SCREENING_LANE.get(size))
    over, bar = ms["screening"] / ms["decode grey"], SCREENING_OVER_DECODING if large else None
    report.line(f"{name} screening lane over its decoding", over, "x", bar, most=True)


def same_hashes(pixels: np.ndarray, content: bytes) -> bool:
    """At most two bits and a quality of one from the peer, both ways; the eight positions likewise."""
    for ours, peers in ((hash_picture(pixels), peer_hash(pixels)), (exact_lane(content), peer_lane(content))):
        if apart(ours[0], peers[0]) > 2 or abs(ours[1] - peers[1]) > 1:
            return False
    eight, quality = dihedral(pixels)
    peers_eight, peers_quality = pdqhash.compute_dihedral(pixels)
    near = all(apart(ours, hexed(peers)) <= 2 for ours, peers in zip(eight, peers_eight, strict=True))
    return near and abs(quality - int(peers_quality)) <= 1


def screening_error(report: Report) -> None:
    random = np.random.default_rng(5)
    distances: dict[int, list[int]] = {}
    for seed in range(SCREENED):
        height, width = (int(each) for each in random.integers(260, 2200, 2) // 2 * 2)
        options = {"quality": int(random.integers(60, 96)), "subsampling": seed % 3, "progressive": seed % 5 == 0}
        content = jpeg(drawn(height, width, seed), **options)
        value, quality = exact_lane(content)
        grey = decode_grey_jpeg(content)
        assert not isinstance(grey, Refused)
        if quality >= 50:
            distances.setdefault(grey.scale, []).append(apart(value, screening_lane(content)[0]))
    every = [each for some in distances.values() for each in some]
    for scale, some in sorted(distances.items()):
        print(f"screening at 1/{scale}: {len(some)} pictures, mean {np.mean(some):.2f}, greatest {max(some)} bits")
    report.line("screening lane, bits from the exact lane, p99", float(np.percentile(every, 99)), "bits", 6, most=True)
    report.line("the same, greatest", max(every), "bits", 12, most=True)


_WORKER = """
import sys, time
def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
began = time.perf_counter()
from havenline.fingerprints.pdq import hash_512_first, hash_picture
from havenline.fingerprints.pdq_screening import screen_jpeg
from havenline.media.decode import decode_picture
imported = time.perf_counter()
import numpy as np
some = np.random.default_rng(1).integers(0, 256, (600, 600, 3)).astype(np.uint8)
hash_picture(some)
fast = time.perf_counter()
hash_picture(np.zeros((600, 600, 3), np.uint8))
exact = time.perf_counter()
hash_512_first(some)
before = peak()
content = open(sys.argv[1], "rb").read()
picture = decode_picture(content)
hash_picture(picture.rgb), hash_512_first(picture.rgb)
print(peak() - before, (fast - imported) * 1000, (exact - fast) * 1000)
"""


def worker(content: bytes, report: Report) -> None:
    """Memory of one worker over its base, and the time to load stored kernels."""
    folder = Path(os.environ.get("TMPDIR", "/tmp"))
    path = folder / f"havenline-bench-{os.getpid()}.jpg"
    path.write_bytes(content)
    try:
        answers = []
        for _ in range(3):
            made = subprocess.run(
                [sys.executable, "-c", _WORKER, str(path)], capture_output=True, text=True, check=True
            )
            answers.append([float(each) for each in made.stdout.split()])
    finally:
        path.unlink()
    memory, fast, exact = (statistics.median(each) for each in zip(*answers, strict=True))
    report.line("24 MP JPEG, both pipelines: memory over the base", memory, "MiB", MEMORY_MIB, most=True)
    report.line("first hash, fast kernel loaded from its store", fast, "ms")
    report.line("first hash that needs the bit-exact kernel too", exact, "ms")


def machine() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    versions = ", ".join(f"{name} {version(name)}" for name in ("numba", "numpy", "pillow", "simplejpeg", "pdqhash"))
    return f"machine: {model}; Python {platform.python_version()}; {versions}; one thread, CPU time"


def main() -> int:
    print(machine())
    report = Report()
    content = b""
    for name, (height, width, count) in SIZES.items():
        pixels = [drawn(height, width, seed) for seed in range(count)]
        contents = [jpeg(each) for each in pixels]
        if not all(same_hashes(each, content) for each, content in zip(pixels, contents, strict=True)):
            print(f"bench/fingerprints: the hashes of a {name} picture differ; no times given")
            return 1
        kernels(name, pixels, report)
        lanes(name, contents, height * width, report)
        if name == "12 MP":
            rich = [jpeg(each, quality=RICH_QUALITY) for each in pixels]
            lanes(f"{name}, quality {RICH_QUALITY}", rich, height * width, report, bars=False)
        content = contents[0]
    worker(content, report)
    screening_error(report)
    print("bars missed: " + (", ".join(report.missed) or "none"))
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
