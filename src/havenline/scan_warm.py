"""Imported once, in the process that workers are forked from: each starts ready to fingerprint.

Importing this is the effect: decoders are imported and the compiled loops are loaded, or compiled the first
time.
"""

from __future__ import annotations

import gc
from importlib import import_module
from io import BytesIO

import numpy as np
from PIL import Image

from havenline.fingerprints import fingerprint_bytes
from havenline.fingerprints.pdq import load_kernels


def _warm() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    for form in ("JPEG", "PNG"):
        written = BytesIO()
        Image.fromarray(np.stack([ramp, ramp.T, ramp], axis=2)).save(written, form)
        fingerprint_bytes(written.getvalue())


import_module("havenline.media.containers")
_warm()
load_kernels()
# Or every worker would copy the pages of all these objects as soon as its collector looks at them.
gc.freeze()
