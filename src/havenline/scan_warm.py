"""Imported once, in the process that workers are forked from: each starts ready to fingerprint.

Importing this is the effect: decoders are imported and used once on a drawn picture of each form, and the compiled
loops are loaded, or compiled the first time. A worker that is closed off afterwards can load nothing more.
"""

from __future__ import annotations

import gc
import os
from contextlib import suppress
from importlib import import_module
from io import BytesIO

# Threads of a linear algebra that nothing here uses would be there before a worker is closed off.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from havenline.fingerprints import fingerprint_bytes
from havenline.fingerprints.pdq import load_kernels
from havenline.provenance import read_picture
from havenline.provenance.keypoints import as_shown, shrunk
from havenline.provenance.model_fingerprint import fingerprint_model
from havenline.provenance.models import read_model
from havenline.vocabulary import Effort, FilmMode, Lane

_MARKED = b"\xff\xd8\xff\xeb\x00\x14JP\x00\x01\x00\x00\x00\x01\x00\x00\x00\x0cjumb\xff\xd9"
"""A JPEG that begins as one with a manifest does: the library is loaded."""


def _warm() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    picture = Image.fromarray(np.stack([ramp, ramp.T, ramp], axis=2))
    turned = Image.Exif()
    turned[0x0112] = 6
    for form in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", *(["AVIF"] if features.check("avif") else [])):
        _open(picture, form, exif=turned)
        if form in ("GIF", "WEBP", "PNG"):
            _open(picture, form, save_all=True, append_images=[picture.rotate(90)])
    small = picture.resize((48, 48))
    for mode in ("L", "P", "RGBA", "CMYK", "1", "F"):
        _open(small.convert(mode), "TIFF", compression="group4" if mode == "1" else "tiff_lzw")
    _open(small, "TIFF", compression="jpeg")
    _open(picture.convert("CMYK"), "JPEG")
    _open(picture, "JPEG", progressive=True, effort=Effort(lane=Lane.SCREENING))
    read_model(BytesIO(b"\x80\x02N."), key=bytes(16))
    read_picture(_MARKED, key=bytes(16))
    shrunk(as_shown(np.asarray(picture), 6))
    fingerprint_model(BytesIO(b"\x02\0\0\0\0\0\0\0{}"))
    for damaged in (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n" + bytes(64), b"no kind"):
        fingerprint_bytes(damaged)
    _warm_extras(ramp)


def _open(picture: Image.Image, form: str, *, effort: Effort | None = None, **options: object) -> None:
    written = BytesIO()
    picture.save(written, form, **({"speed": 10} | options if form == "AVIF" else options))
    fingerprint_bytes(written.getvalue(), effort=effort or Effort())


def _warm_extras(ramp: NDArray[np.uint8]) -> None:
    with suppress(ImportError):
        import imagecodecs

        fingerprint_bytes(bytes(imagecodecs.jpegxl_encode(np.stack([ramp] * 3, axis=2), effort=1)))
        packed = b"brobxml " + bytes(imagecodecs.brotli_encode(b"<a/>"))
        read_picture(b"\0\0\0\x0cJXL \r\n\x87\n" + (4 + len(packed)).to_bytes(4, "big") + packed, key=bytes(16))
    with suppress(ImportError):
        import av

        written = BytesIO()
        with av.open(written, "w", format="avi") as film:
            stream = film.add_stream("mpeg4", rate=5)
            stream.width = stream.height = 256
            stream.pix_fmt = "yuv420p"
            for _ in range(3):
                film.mux(stream.encode(av.VideoFrame.from_ndarray(np.stack([ramp] * 3, axis=2), format="rgb24")))
            film.mux(stream.encode())
        for mode in (FilmMode.EXACT, FilmMode.KEYFRAMES):
            fingerprint_bytes(written.getvalue(), effort=Effort(films=mode))
    # No HEIF is written here, for its coder takes long: the decoder's library is loaded, and refuses this one.
    fingerprint_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(64))


for _name in ("havenline.unpacking", "encodings.cp437", "encodings.utf_16", "encodings.latin_1", "encodings.ascii"):
    import_module(_name)
_warm()
load_kernels()
# Or every worker would copy the pages of all these objects as soon as its collector looks at them.
gc.freeze()
