"""Codes of natural pictures: PDQ hashes of crops of the reference pictures and of drawn ones, and their turned forms.

The reference pictures of things stand beside the repository (`shared/data/pdq`); without them all pictures are drawn.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from havenline.fingerprints.pdq import hash_picture
from havenline.testing.drawing import choose_subject, draw_subject

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "data" / "pdq"
SMALLEST = 48
LARGEST = 200
GOOD = 50

Codes = NDArray[np.uint8]


def natural_codes(count: int, *, drawn: int = 120, seed: int = 60) -> tuple[Codes, int]:
    """At most `count` distinct codes in no order, uint8 (n, 32), and how many pictures they come from.

    Square crops of 48 to 200 pixels at any place, those of quality 50 and more; each code in the eight forms that
    turning and mirroring give.
    """
    draw = np.random.default_rng(seed)
    photographs = [
        np.asarray(Image.open(path).convert("RGB"))
        for path in sorted(REFERENCE.glob("*/*.jpg"))
        if path.parent.name != "bridge-mods" or path.stem == "aaa-orig"
    ]
    photographs = [picture for picture in photographs if min(picture.shape[:2]) >= SMALLEST]
    pictures = [draw_subject(choose_subject(seed, each), seed=seed, number=each, attempt=0) for each in range(drawn)]
    made: list[str] = []
    while len(made) < -(-count // 8):
        # Every other crop is of a photograph, of which there are few.
        among = photographs if photographs and len(made) % 2 else pictures
        picture = among[int(draw.integers(len(among)))]
        height, width = picture.shape[:2]
        side = int(draw.integers(SMALLEST, min(height, width, LARGEST) + 1))
        top, left = draw.integers(0, [height - side + 1, width - side + 1]).tolist()
        value, quality = hash_picture(np.ascontiguousarray(picture[top : top + side, left : left + side]))
        if quality >= GOOD:
            made.append(value)
    codes = np.frombuffer(bytes.fromhex("".join(made)), np.uint8).reshape(-1, 32)
    codes = np.unique(_turned(codes), axis=0)
    return codes[draw.permutation(len(codes))[:count]], len(photographs) + len(pictures)


def _turned(codes: Codes) -> Codes:
    """The eight forms of each code: the 16 x 16 signs of its waves transposed, odd rows or odd columns turned.

    As PDQ makes the hashes of turned and mirrored pictures, but that the median is not taken anew.
    """
    signs = np.unpackbits(codes[:, ::-1], axis=1, bitorder="little").reshape(-1, 16, 16)
    # Waves are counted from one: the first row holds the odd waves.
    odd = (np.arange(16) + 1) % 2 == 1
    forms = []
    for one in (signs, signs.transpose(0, 2, 1)):
        for rows in (0, 1):
            for columns in (0, 1):
                forms.append(one ^ ((rows & odd)[:, None] ^ (columns & odd)[None, :]).astype(np.uint8))
    whole = np.concatenate(forms).reshape(-1, 256)
    return np.ascontiguousarray(np.packbits(whole, axis=1, bitorder="little")[:, ::-1])
