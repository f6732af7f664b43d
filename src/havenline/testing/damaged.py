"""Files that must end with a named refusal: empty, cut off, flipped, no picture at all, or far too large."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from PIL import Image

from havenline.testing.drawing import RGB
from havenline.testing.variants import encode_original, png_file
from havenline.vocabulary import Refusal


@dataclass(frozen=True, slots=True)
class Damage:
    """A way in which a posted file is unfit, the ending of its name, and the refusal it must meet."""

    kind: str
    ending: str
    refusal: Refusal


DAMAGES: tuple[Damage, ...] = (
    Damage("empty", "jpg", Refusal.EMPTY),
    Damage("jpeg cut off", "jpg", Refusal.BROKEN),
    Damage("png with flipped bytes", "png", Refusal.BROKEN),
    Damage("text named jpg", "jpg", Refusal.UNKNOWN_KIND),
    Damage("zip among pictures", "zip", Refusal.ARCHIVE_NESTED),
    Damage("png of 50,000 by 50,000", "png", Refusal.TOO_MANY_PIXELS),
    Damage("pdf header", "pdf", Refusal.UNSUPPORTED_KIND),
)


def make_damaged(damage: Damage, *, picture: RGB, number: int) -> bytes:
    """Bytes of an unfit file; `picture` is what could have been seen, and another `number` gives other bytes.

    Pure in its arguments. An empty file has no other bytes to give.
    """
    return _MAKERS[damage.kind](picture, number)


def _cut_off(picture: RGB, number: int) -> bytes:
    whole = encode_original(picture)
    return whole[: len(whole) // 2]


def _flipped(picture: RGB, number: int) -> bytes:
    """All bits of a run among the compressed pixels are flipped; checksums are left as they were."""
    target = io.BytesIO()
    Image.fromarray(picture).save(target, "PNG", compress_level=6)
    whole = bytearray(target.getvalue())
    start = whole.index(b"IDAT") + 200
    whole[start : start + 400] = bytes(byte ^ 0xFF for byte in whole[start : start + 400])
    return bytes(whole)


def _text(picture: RGB, number: int) -> bytes:
    return f"BENIGN SAMPLE {number}\nA line of text; only its name says that it is a picture.\n".encode()


def _zip(picture: RGB, number: int) -> bytes:
    target = io.BytesIO()
    member = zipfile.ZipInfo("inside.jpg", date_time=(2023, 9, 1, 0, 0, 0))
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(member, encode_original(picture))
    return target.getvalue()


def _huge(picture: RGB, number: int) -> bytes:
    """The header declares 50,000 by 50,000 pixels of one bit; only the first rows are there."""
    return png_file(50_000, 50_000, bits=1, colour=0, compressed=zlib.compress(bytes(6_251 * (16 + number))))


def _pdf(picture: RGB, number: int) -> bytes:
    """The first line of a document and nothing on its pages (ISO 32000-1, 7.5.2)."""
    return f"%PDF-1.7\n% BENIGN SAMPLE {number}\n%%EOF\n".encode()


_MAKERS: Mapping[str, Callable[[RGB, int], bytes]] = MappingProxyType(
    {
        "empty": lambda picture, number: b"",
        "jpeg cut off": _cut_off,
        "png with flipped bytes": _flipped,
        "text named jpg": _text,
        "zip among pictures": _zip,
        "png of 50,000 by 50,000": _huge,
        "pdf header": _pdf,
    }
)
