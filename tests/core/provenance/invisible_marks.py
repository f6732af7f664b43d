"""Pictures with the invisible marks of invisible-watermark 0.2.0, by its method `dwtDct`, byte for byte as it does.

The method is published (ShieldMnt/invisible-watermark, `maxDct.py`; PyWavelets' `haar`; OpenCV's YUV of 8 bits). It is
written anew, for the package brings PyTorch and OpenCV along; `BY_THE_PACKAGE` are digests of what it made itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
MARKS = {
    "sd1": "".join(format(each, "08b") for each in b"StableDiffusionV1"),
    "sd2": "".join(format(each, "08b") for each in b"SDV2"),
    "sdxl": bin(0b101100111110110010010000011110111011000110011110)[2:],
    "flux": bin(0b001010101111111010000111100111001111010100101110)[2:],
}
"""As the programs that set them write them down."""
BY_THE_PACKAGE = {
    "sd1": "73961e46616ce77ddf11e08a7a731756dcc26e13188753cd766b97bf631e888c",
    "sd2": "27ec9da4d1780bec04011e5ac214907c83a7ab19a5433023007277d91adabd4d",
    "sdxl": "dbd061c7e67a1f116dff5387d9f6a5b06061d0d925bdcdd9b004c241e7b3850b",
    "flux": "70e937f2a1078fe253e4cb8c56e5ec9e69685b81af227d6c7d69937534a35fb4",
}
"""SHA-256 of the rows of `drawn(number)`, number from 40 in the order of `MARKS`, as `WatermarkEncoder` marked it."""
_HALF = 0.7071067811865476


def package_made(name: str) -> Pixels:
    """One of the four pictures of `BY_THE_PACKAGE`."""
    return invisibly_marked(drawn(40 + list(MARKS).index(name)), MARKS[name])


def drawn(number: int) -> Pixels:
    """512 × 512 pixels of ramps that go up and down, with discs, by whole numbers alone."""
    chance = np.random.default_rng(number)
    down, right = np.mgrid[0:512, 0:512]
    along = (right + 11 * number, down, right + down)
    waves = [68 + 120 * abs(each % (2 * long) - long) // long for each, long in zip(along, (116, 91, 167), strict=True)]
    made = np.stack(waves, axis=2)
    grain = chance.integers(0, 8, (256, 256)).repeat(2, axis=0).repeat(2, axis=1)
    made[..., 2] += np.where(grain == 0, 70, 0)
    for _ in range(40):
        colour, (left, top), wide = chance.integers(60, 196, 3), chance.integers(0, 512, 2), chance.integers(6, 40)
        made[(right - left) ** 2 + (down - top) ** 2 < wide**2] = colour
    return np.clip(made, 0, 255).astype(np.uint8)


def invisibly_marked(picture: Pixels, bits: str) -> Pixels:
    """The picture, sides divisible by four, with each 4 × 4 block of its blue difference saying one bit in turn."""
    yuv = _yuv(picture)
    blue = yuv[..., 1].astype(float)
    low = [blue[0::2, at::2] * _HALF + blue[1::2, at::2] * _HALF for at in (0, 1)]
    high = [blue[0::2, at::2] * _HALF - blue[1::2, at::2] * _HALF for at in (0, 1)]
    means, across = low[0] * _HALF + low[1] * _HALF, low[0] * _HALF - low[1] * _HALF
    upright, both = high[0] * _HALF + high[1] * _HALF, high[0] * _HALF - high[1] * _HALF
    _say(means, bits)
    # The package gives the two differences back in each other's place.
    left, right = means * _HALF + upright * _HALF, means * _HALF - upright * _HALF
    left_too, right_too = across * _HALF + both * _HALF, across * _HALF - both * _HALF
    for at, (one, other) in enumerate(((left, left_too), (right, right_too))):
        blue[0::2, at::2], blue[1::2, at::2] = one * _HALF + other * _HALF, one * _HALF - other * _HALF
    yuv[..., 1] = blue.astype(np.int64) % 256
    return _rgb(yuv)


def _say(means: NDArray[np.float64], bits: str) -> None:
    number = 0
    for top in range(0, means.shape[0] - 3, 4):
        for left in range(0, means.shape[1] - 3, 4):
            block = means[top : top + 4, left : left + 4]
            place = divmod(int(np.argmax(np.abs(block.ravel()[1:]))) + 1, 4)
            steps = abs(block[place]) // 36 + 0.25 + 0.5 * int(bits[number % len(bits)])
            block[place] = 36 * steps if block[place] >= 0 else -36 * steps
            number += 1


def _yuv(rgb: Pixels) -> NDArray[np.int64]:
    red, green, blue = (rgb[..., at].astype(np.int64) for at in range(3))
    grey = (red * 4899 + green * 9617 + blue * 1868 + 8192) >> 14
    parts = [grey, *(((each - grey) * by + (128 << 14) + 8192) >> 14 for each, by in ((blue, 8061), (red, 14369)))]
    return np.clip(np.stack(parts, axis=2), 0, 255)


def _rgb(yuv: NDArray[np.int64]) -> Pixels:
    grey, blue, red = (yuv[..., at] - (128 if at else 0) for at in range(3))
    parts = (red * 18678, blue * -6472 + red * -9519, blue * 33292)
    return np.clip(np.stack([grey + ((each + 8192) >> 14) for each in parts], axis=2), 0, 255).astype(np.uint8)
