"""Files that are small and ask for much, or are several kinds at once. All drawn or made of nothing; none is stored."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image, PngImagePlugin

from havenline.testing.films import film, still
from havenline.testing.variants import png_file


def saved(form: str, picture: Image.Image | None = None, **options: object) -> bytes:
    out = io.BytesIO()
    (picture or Image.fromarray(still(3))).save(out, form, **options)  # type: ignore[arg-type]
    return out.getvalue()


def png(width: int, height: int, rows: int) -> bytes:
    """The header declares more than the rows hold."""
    return png_file(width, height, bits=1, colour=0, compressed=zlib.compress(bytes((width // 8 + 1) * rows), 9))


def png_with(*chunks: tuple[bytes, bytes]) -> bytes:
    content = saved("PNG")
    made = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    return content[:33] + made + content[33:]


def packed_nothing(mebibytes: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(mebibytes)) + packer.flush()


def gif_frames() -> bytes:
    frames = [Image.new("P", (1500, 1500), number % 256) for number in range(300)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], optimize=False)
    return out.getvalue()


def webp_frames() -> bytes:
    frames = [Image.new("RGB", (3000, 3000), (number, 0, 0)) for number in range(12)]
    out = io.BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:], method=0, lossless=True)
    return out.getvalue()


def jpeg_declares(width: int, height: int) -> bytes:
    content = bytearray(saved("JPEG"))
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def progressive_scans() -> bytes:
    """A picture of 60 megapixels, the same scan many times over."""
    content = bytearray(saved("JPEG", Image.new("L", (64, 64), 9), progressive=True))
    at = content.index(b"\xff\xc2")
    content[at + 5 : at + 9] = struct.pack(">HH", 7000, 8500)
    start = content.rindex(b"\xff\xda")
    scan = content[start:-2]
    return bytes(content[:-2] + scan * 3000 + content[-2:])


def tiff(tags: list[tuple[int, int, int, int]], body: bytes = b"") -> bytes:
    """Little-endian: (tag, type, count, value) each."""
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    return head + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4) + body


def tiff_huge_tiles() -> bytes:
    return tiff(
        [(256, 4, 1, 60_000), (257, 4, 1, 1000), (258, 3, 1, 8), (259, 3, 1, 5), (262, 3, 1, 1), (277, 3, 1, 1),
         (322, 4, 1, 0x7FFFFFF0), (323, 4, 1, 0x7FFFFFF0), (324, 4, 1, 200), (325, 4, 1, 100)],
        bytes(200),
    )  # fmt: skip


def tiff_many_pages() -> bytes:
    """A directory that names itself as the next, for ever."""
    content = bytearray(saved("TIFF"))
    at = struct.unpack_from("<I", content, 4)[0]
    count = struct.unpack_from("<H", content, at)[0]
    struct.pack_into("<I", content, at + 2 + 12 * count, at)
    return bytes(content)


def zipped(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def ico() -> bytes:
    return struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, 0x7FFFFFFF, 22)


def bmp_declares(width: int, height: int) -> bytes:
    content = bytearray(saved("BMP"))
    struct.pack_into("<ii", content, 18, width, height)
    return bytes(content)


def text_chunk() -> bytes:
    return png_with((b"zTXt", b"Comment\0\0" + packed_nothing(600)))


def many_texts() -> bytes:
    made = PngImagePlugin.PngInfo()
    for number in range(20_000):
        made.add_text(f"k{number}", "x" * 20)
    return saved("PNG", pnginfo=made)


def avif_declares() -> bytes:
    content = bytearray(saved("AVIF", speed=10))
    at = content.index(b"ispe") + 8
    struct.pack_into(">II", content, at, 60_000, 60_000)
    return bytes(content)


def quine_gzip() -> bytes:
    """A header whose packed part starts with stored blocks of the header itself, over and over."""
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\0"
    return (head + b"\0" + struct.pack("<HH", 10, 0xFFFF ^ 10) + head) * 500


HLS = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"

PICTURES: dict[str, Callable[[], bytes]] = {
    "png of 900 megapixels": lambda: png(30_000, 30_000, 30_000),
    "png of 2^31 a side": lambda: png_file(0x7FFFFFF8, 0x7FFFFFF8, bits=1, colour=0, compressed=zlib.compress(b"")),
    "png text that unpacks to 600 MiB": text_chunk,
    "png profile that unpacks to 600 MiB": lambda: png_with((b"iCCP", b"p\0\0" + packed_nothing(600))),
    "png with international text of 600 MiB": lambda: png_with((b"iTXt", b"k\0\1\0\0\0" + packed_nothing(600))),
    "png with 20,000 texts": many_texts,
    "png of 63 megapixels of nothing": lambda: png(7936, 7936, 7936),
    "gif of 300 large frames": gif_frames,
    "gif that declares 65535 x 65535": lambda: b"GIF89a" + struct.pack("<HH", 65535, 65535) + saved("GIF")[10:],
    "webp of large frames": webp_frames,
    "jpeg of 65535 x 65535": lambda: jpeg_declares(65535, 65535),
    "jpeg of 8500 x 7000 with 3000 scans": progressive_scans,
    "jpeg with a document behind it": lambda: saved("JPEG") + b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF",
    "jpeg with a zip behind it": lambda: saved("JPEG") + zipped(("a.txt", b"x")),
    "tiff with tiles of 2^31": tiff_huge_tiles,
    "tiff whose pages never end": tiff_many_pages,
    "tiff with 2^32 values": lambda: tiff([(256, 4, 0xFFFFFFFF, 8), (257, 4, 0xFFFFFFFF, 8), (273, 4, 0xFFFFFFFF, 8)]),
    "bmp of 2^31": lambda: bmp_declares(0x7FFFFFFF, 0x7FFFFFFF),
    "bmp of 8000 x -8000": lambda: bmp_declares(8000, -8000),
    "avif that declares 60,000 x 60,000": avif_declares,
    "avif cut short": lambda: saved("AVIF", speed=10)[:-400],
    "heif of nothing": lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + struct.pack(">I4s", 0xFFFFFFFF, b"meta") * 50,
    "jpeg xl that declares much": lambda: b"\xff\x0a" + b"\xff" * 60,
    "ico": ico,
    "icns": lambda: b"icns" + struct.pack(">I", 0x7FFFFFFF) + b"ic10" + struct.pack(">I", 0x7FFFFFF0),
    "gd": lambda: b"\xff\xfe" + struct.pack(">HH", 65535, 65535) + bytes(800),
    "fits": lambda: (
        b"SIMPLE  =                    T".ljust(80) + b"NAXIS1  =           2147483647".ljust(80) + bytes(2000)
    ),
    "eps": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file run\n",
    "svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "pdf": lambda: b"%PDF-1.7\n1 0 obj\n<< /Length 99999999999 >>\nstream\n",
    "playlist": lambda: HLS,
    "concat list": lambda: b"ffconcat version 1.0\nfile 'file:///etc/passwd'\n",
    "pickle": lambda: b"\x80\x04\x95\x1e\0\0\0\0\0\0\0\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.",
    "torch model": lambda: zipped(("archive/data.pkl", b"\x80\x02cos\nsystem\nX\x02\0\0\0id\x85R.")),
    "gzip of itself": quine_gzip,
    "gzip of 600 MiB": lambda: b"\x1f\x8b\x08\0\0\0\0\0\0\0" + packed_nothing(600)[2:-4] + bytes(8),
    "zip of 600 MiB": lambda: zipped(("a", bytes(600 << 20))),
    "zip in a zip": lambda: zipped(("a.zip", zipped(("b.zip", zipped(("c", bytes(1 << 20))))))),
    "film": lambda: film("mp4", seconds=1),
}
"""What is given to `decoderd`, by what it is."""


def film_declares() -> bytes:
    content = bytearray(film("mp4", seconds=1))
    at = content.index(b"avc1") + 28
    struct.pack_into(">HH", content, at, 65535, 65535)
    return bytes(content)


def film_of_days() -> bytes:
    content = bytearray(film("mp4", seconds=1))
    at = content.index(b"mvhd") + 16
    struct.pack_into(">II", content, at, 1, 0x7FFFFFFF)
    return bytes(content)


FILMS: dict[str, Callable[[], bytes]] = {
    "film that declares 65535 x 65535": film_declares,
    "film whose head states 68 years": film_of_days,
    "film that refers to a file": lambda: film("mp4", seconds=1).replace(b"url \0\0\0\1", b"url \0\0\0\0", 1),
    "playlist named as a film": lambda: HLS,
    "film of noise": lambda: film("mp4", seconds=1)[:800] + np.random.default_rng(1).bytes(200_000),
    "mkv cut short": lambda: film("matroska", seconds=1)[:2000],
}
"""What is given to the workers of a scan besides."""
