"""Signals of a 12-megapixel JPEG beyond reading it, and the digests of a large safetensors file against `openssl dgst`.

Run it with `./dev bench provenance`. The JPEG is drawn, with EXIF, XMP and an A1111 comment; a second one has a C2PA
manifest signed with a certificate of the tests, whose check needs the digest of the whole file: SHA-256 of it is told
beside it, and the least of the rounds, for other programs on the machine lengthen the rest. What `--pixels` adds, which
decodes the picture, is told with the time of decoding alone. The model file has
`HAVENLINE_BENCH_BYTES` bytes of tensors (default 2,000,000,000). Its definitions need three passes of SHA-256: the
whole, the body, each tensor. Asked: 5 ms; 1.15 times openssl times the passes, in CPU time; 100 MiB over base.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = int(os.environ.get("HAVENLINE_BENCH_BYTES", "2000000000"))
SEED = 12
TENSORS = 400
ROUNDS = 5
PASSES = 3
KEY = b"a key of the benchmark"
MOST_MS, MOST_RATIO, MOST_MEMORY = 5.0, 1.15, 100 << 20


def drawn_jpeg() -> bytes:
    """4,000 x 3,000 pixels of ramps and noise, with the marks that are read without a library."""
    from tests.core.provenance import drawn_marks as marks

    chance = np.random.default_rng(SEED)
    coarse = chance.integers(0, 255, (300, 400, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((4000, 3000), Image.Resampling.BICUBIC)
    written = io.BytesIO()
    packet = marks.xmp("<xmp:CreatorTool>Midjourney</xmp:CreatorTool>")
    picture.save(written, "JPEG", quality=90, exif=marks.exif_comment(marks.A1111), xmp=packet)
    return written.getvalue()


def picture_rows() -> bool:
    """Print the milliseconds of both pictures, and of looking into their pixels; whether both medians suffice."""
    from tests.core.provenance.signed import signed

    from havenline.media.decode import decode_picture
    from havenline.provenance import read_picture

    content = drawn_jpeg()
    with_manifest, _ = signed(content, "image/jpeg")
    passed = True
    for name, each in (("marks", content), ("C2PA", with_manifest)):
        took, digest = [], []
        for _ in range(61):
            begun = time.perf_counter()
            found = read_picture(each, key=KEY)
            read = time.perf_counter()
            hashlib.sha256(each).digest()
            took.append(1000 * (read - begun))
            digest.append(1000 * (time.perf_counter() - read))
        ms, least = statistics.median(took), min(took)
        print(
            f"  12-megapixel JPEG, {name}: {len(each):,} bytes, {len(found)} signals, {ms:.2f} ms, least {least:.2f}, "
            f"asked {MOST_MS:.0f}; SHA-256 of it alone {min(digest):.2f}"
        )
        passed = passed and ms <= MOST_MS
    looked, decoding = [], []
    for _ in range(5):
        begun = time.perf_counter()
        read_picture(content, key=KEY, pixels=True)
        read = time.perf_counter()
        decode_picture(content)
        looked.append(1000 * (read - begun))
        decoding.append(1000 * (time.perf_counter() - read))
    ms, alone = statistics.median(looked), statistics.median(decoding)
    print(f"  12-megapixel JPEG, marks in pixels too: {ms:.0f} ms, of which decoding {alone:.0f}; off by default")
    return passed


def write_model(path: Path) -> None:
    """A safetensors file of random tensors of one size."""
    each = SIZE // TENSORS
    header = {
        f"t{place}": {"dtype": "U8", "shape": [each], "data_offsets": [place * each, (place + 1) * each]}
        for place in range(TENSORS)
    }
    text = json.dumps(header).encode()
    chance = np.random.default_rng(SEED)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _ in range(TENSORS):
            file.write(chance.bytes(each))


CHILD = """
import re, sys, time
from havenline.provenance.models import read_model
# Not ru_maxrss: a process inherits that of the one it was forked from.
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
base = peak()
begun = time.process_time()
with open(sys.argv[1], "rb") as stream:
    found = read_model(stream, key=b"a key of the benchmark")
used = time.process_time() - begun
print(used, (peak() - base) * 1024, found.digests.sha256)
"""


def model_rows(folder: Path) -> bool:
    """Print the ratio and the memory; whether both meet what is asked."""
    path = folder / "drawn.safetensors"
    write_model(path)
    ours, theirs, memory = [], [], 0
    for _ in range(ROUNDS):
        before = _of_children()
        said = subprocess.run(
            ["openssl", "dgst", "-sha256", "-r", str(path)], capture_output=True, text=True, check=True
        ).stdout
        theirs.append(_of_children() - before)
        ran = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True)
        seconds, peak, sha256 = ran.stdout.split()
        if said.split()[0] != sha256:
            raise SystemExit("the digests differ")
        ours.append(float(seconds))
        memory = max(memory, int(peak))
    one, peer = statistics.median(ours), statistics.median(theirs)
    ratio = one / (peer * PASSES)
    print(
        f"  safetensors of {SIZE:,} bytes: {one:.2f} s, openssl {peer:.2f} s a pass, {PASSES} passes: "
        f"ratio {ratio:.2f}, asked {MOST_RATIO}; {memory / 2**20:.0f} MiB over base, asked {MOST_MEMORY / 2**20:.0f}"
    )
    return ratio <= MOST_RATIO and memory <= MOST_MEMORY


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    if shutil.which("openssl") is None:
        print("bench/provenance: openssl is missing (Debian: apt-get install openssl)")
        sys.exit(1)
    sys.path.insert(0, str(Path(__file__).parents[1]))
    peer = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.strip()
    print(
        f"provenance: {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {peer}, seed {SEED}"
    )
    passed = picture_rows()
    with tempfile.TemporaryDirectory() as folder:
        passed = model_rows(Path(folder)) and passed
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
