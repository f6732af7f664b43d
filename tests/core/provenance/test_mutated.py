"""Marked files damaged in thousands of ways, through every reader: no crash, no hang, no more memory than is allowed.

The short form has 900 files; HAVENLINE_SOAK has 20,000. They are read in a process of their own, to measure its memory.
"""

from __future__ import annotations

import io
import os
import pickle
import re
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from gguf import GGUFWriter
from PIL import Image
from tests.core.provenance import drawn_marks as marks
from tests.core.provenance.invisible_marks import package_made
from tests.core.provenance.signed import signed
from tests.core.provenance.test_models import HEADER, TENSORS, onnx_file, torch_zip
from tests.core.provenance.test_pixel_marks import filtered, marked

from havenline.provenance import read_picture, read_sidecar
from havenline.provenance.models import read_model
from havenline.testing.mutations import mutated

SOAK = bool(os.environ.get("HAVENLINE_SOAK"))
COUNT = 20_000 if SOAK else 900
SEED = int(os.environ.get("HAVENLINE_MUTATION_SEED", "7"))
LONGEST_SECONDS = 2.0
MOST_MEMORY = 256 << 20


def _gguf() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.gguf"
        writer = GGUFWriter(path, "llama")
        writer.add_name(marks.MODEL)
        writer.add_array("general.tags", [marks.CANARY, marks.MODEL])
        writer.add_array("tokenizer.ggml.tokens", ["a", "b"])
        writer.add_tensor("one", np.arange(64, dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


def originals() -> list[tuple[str, bytes]]:
    """(name, content): every form that is read, small, so that most changes fall on what is parsed."""
    packet = marks.xmp(
        "<xmp:CreatorTool>Midjourney</xmp:CreatorTool>", f"<dc:description>{marks.MIDJOURNEY}</dc:description>"
    )
    made = [(f"texts {how}", marks.png(text, how=how)) for how in ("tEXt", "zTXt", "iTXt") for text in _TEXTS]
    made += [
        (f"exif {form}", marks.drawn(form, exif=marks.exif_comment(marks.A1111))) for form in ("JPEG", "WEBP", "PNG")
    ]
    made += [(f"xmp {form}", marks.drawn(form, xmp=packet)) for form in ("JPEG", "WEBP")]
    # The check sums of a PNG keep most damage from the texts in it, so these are read as sidecars, too.
    made += [(f"sidecar {name}", text.encode()) for texts in _TEXTS for name, text in texts.items()]
    made += [("sidecar xmp", packet), ("sidecar settings", marks.SWARM.encode())]
    boxed = {"exif": marks.exif_comment(marks.A1111), "xmp": packet}
    made += [(f"items {form}", marks.drawn(form, **boxed)) for form in ("AVIF", "HEIF")]
    made.append(("boxes JXL", marks.drawn("JXL") + marks.box(b"xml ", packet) + marks.brotli_box(b"xml ", packet)))
    made.append(("pixels", filtered(marked("pngcomp", marks.A1111.encode(), size=(130, 64)), 0)))
    stealth = io.BytesIO()
    Image.fromarray(marked("pngcomp", marks.A1111.encode(), size=(130, 64))).save(stealth, "WEBP", lossless=True)
    made.append(("pixels of WebP", stealth.getvalue()))
    invisible = io.BytesIO()
    Image.fromarray(package_made("sdxl")).save(invisible, "JPEG", quality=90, subsampling=0)
    made.append(("invisible mark", invisible.getvalue()))
    made.append(("gif", marks.drawn("GIF", comment=marks.A1111.encode())))
    forms = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "TIFF": "image/tiff", "AVIF": "image/avif"}
    forms |= {"JXL": "image/jxl"}
    made += [(f"c2pa {form}", signed(marks.drawn(form), kind)[0]) for form, kind in forms.items()]
    small = {name: each[:200] for name, each in TENSORS.items()}
    raw = [each.tobytes() for each in small.values()]
    checkpoint = pickle.dumps({"a": np.arange(3), "b": Path("/x")}, protocol=4)
    made += [
        ("safetensors", bytes(safetensors.numpy.save(small, metadata=HEADER))),
        ("gguf", _gguf()),
        ("onnx", onnx_file()[:4096]),
        ("torch", torch_zip(raw, checkpoint)),
        ("pickle", checkpoint),
    ]
    return made


_TEXTS = (
    {"parameters": marks.A1111},
    {"prompt": marks.COMFY_PROMPT, "workflow": marks.COMFY_WORKFLOW},
    {"invokeai_metadata": marks.INVOKE},
    marks.NOVELAI,
)


def read_all(content: bytes) -> int:
    """How many signals all readers find; nothing of the file's words is among them."""
    key = marks.KEY
    model = read_model(io.BytesIO(content), key=key)
    found = [*read_picture(content, key=key, pixels=True), *(model.signals if model else ())]
    found += read_sidecar(content, key=key)
    said = repr(found).lower()
    assert not [word for word in marks.SECRETS if word in said]
    return len(found)


def run(count: int, seed: int) -> None:
    """Read `count` mutated files and print the slowest, the memory above that of the first files, and the signals."""
    chance, files = np.random.default_rng(seed), originals()
    for _, content in files:
        read_all(content)
    peak = _peak()
    slowest, signals = (0.0, ""), 0
    for number in range(count):
        name, content = files[number % len(files)]
        changed = mutated(content, chance)
        begun = time.perf_counter()
        signals += read_all(changed)
        slowest = max(slowest, (time.perf_counter() - begun, f"{name} {number}"))
    print(f"{slowest[0]:.3f}|{slowest[1]}|{_peak() - peak}|{signals}")


def _peak() -> int:
    """Bytes; not by `ru_maxrss`, which a process inherits from the one it was forked from."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def hard_files() -> dict[str, bytes]:
    """Files of many megabytes that make a careless reader slow, all legal beginnings of their kind."""
    many = 1 << 20
    xmp_many = marks.xmp("<a/>" * 800_000)
    fields = b",".join(b'"%d":"x"' % number for number in range(900_000))
    header = b'{"__metadata__":{' + fields + b"}}"
    directory = b"\xff\xff" + (b"\x86\x92\x07\0" + struct.pack("<II", 4 * many, 0)) * 600
    return {
        "settings": b"\nSteps: 1, Seed: 1" + b", Model: a" * (700 * 1024),
        "braces": b'{"a":[' * many,
        "lists": b'{"prompt":{},"workflow":[' + b"[]," * many + b"[]]}",
        "elements": xmp_many,
        "chunks": b"\x89PNG\r\n\x1a\n" + (bytes(4) + b"aaaa" + bytes(4)) * (8 * many),
        "fill": b"\xff\xd8\xff\xe0\0\4aa" + b"\xff" * (100 * many),
        "blocks": marks.drawn("GIF")[:-1] + b"\x21\xfe" + b"\1a" * (50 * many),
        "overlapping fields": b"II*\0\x08\0\0\0" + directory + bytes(8 * many),
        "boxes": b"\0\0\0\x10ftypmp42\0\0\0\0" + b"\0\0\0\x08free" * (12 * many),
        "opcodes": b"\x80\x02" + b"N0" * (30 * many),
        "names": b"\x80\x02" + b"ca\nb\n0" * (4 * many),
        "header fields": struct.pack("<Q", len(header)) + header,
    }


@pytest.mark.skipif(not SOAK, reason="the long form: ./dev soak")
@pytest.mark.parametrize("name", hard_files() if SOAK else [""])
def test_no_large_file_keeps_a_reader_for_long(name: str) -> None:
    content = hard_files()[name]
    begun = time.process_time()
    read_all(content)
    assert time.process_time() - begun < 4 * LONGEST_SECONDS  # four readers in turn


def test_no_mutated_file_stops_a_reader() -> None:
    print(f"seed {SEED}, {COUNT} files")
    code = f"from tests.core.provenance.test_mutated import run; run({COUNT}, {SEED})"
    root = Path(__file__).parents[3]
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=3000)
    assert ran.returncode == 0, ran.stderr[-2000:]
    seconds, name, memory, signals = ran.stdout.strip().split("|")
    print(f"slowest {seconds} s ({name}), memory {int(memory) / 2**20:.0f} MiB, signals {signals}")
    assert not SOAK or float(seconds) < LONGEST_SECONDS, name
    assert int(memory) <= MOST_MEMORY
    assert int(signals) > COUNT
