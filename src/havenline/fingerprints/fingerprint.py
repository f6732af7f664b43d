"""Bytes to a `Fingerprint`: digests first, then the decoder, then PDQ."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from havenline.fingerprints.digests import Digesting, DigestingStream, Digests, digest
from havenline.fingerprints.pdq import DIHEDRAL, REDUCED_SIDE, dihedral, hash_512_first, hash_picture
from havenline.fingerprints.pdq_screening import screen_jpeg
from havenline.media import kinds
from havenline.media.animation import sampled_frames
from havenline.media.decode import DEFAULT_LIMITS, Limits, Picture, decode_picture
from havenline.media.films import DEFAULT_FILM_LIMITS, Film, read_film
from havenline.media.orientation import FLIPPED_AND_TRANSPOSED, flip, jpeg_mark, upright
from havenline.vocabulary import (
    FULL_EFFORT,
    PDQ_FULL,
    Effort,
    FilmMode,
    Fingerprint,
    FrameHash,
    HavenlineError,
    Lane,
    Refusal,
    Refused,
)

_TRANSPOSED = DIHEDRAL.index("flip plus")


class FileUnreadableError(HavenlineError):
    """A file could not be read at all, so that not even its digests are known."""


def fingerprint_bytes(content: bytes, *, limits: Limits = DEFAULT_LIMITS, effort: Effort = FULL_EFFORT) -> Fingerprint:
    """The fingerprint of one file's bytes: digests always, and perceptual hashes or the reason why there are none.

    1. The digests are taken before any parser sees the bytes.
    2. A still picture is hashed by both of Meta's pipelines, in stored order and, where its orientation mark says
       otherwise, upright too.
    3. Of an animated picture a sample of frames is hashed beside the first, of a film one in each interval
       (`effort`), both full-size.
    4. A plain JPEG of too many pixels is hashed by the screening lane, and its `pipeline` says so.

    Not checked: whether a hash's quality allows comparing; `Fingerprint.comparable` says so.
    """
    digests = digest(content)
    kind = kinds.recognise(content[: kinds.HEAD_BYTES])
    if kind in kinds.FILMS:
        return _film(digests, BytesIO(content), kind, effort)
    if kind == kinds.JPEG and effort.lane is Lane.SCREENING:
        screened = _screened(digests, content, limits)
        if screened is not None:
            return screened
    picture = decode_picture(content, limits=limits)
    if isinstance(picture, Picture):
        return _picture(digests, picture, content)
    if kind == kinds.JPEG and picture.reason is Refusal.TOO_MANY_PIXELS:
        screened = _screened(digests, content, limits)
        if screened is not None:
            return screened
    return _made(digests, media_type=kind, refusal=picture)


def fingerprint_file(path: str | Path, *, limits: Limits = DEFAULT_LIMITS, effort: Effort = FULL_EFFORT) -> Fingerprint:
    """The fingerprint of the file at `path`, as by `fingerprint_bytes`; read once, and only digested when too
    large.

    A large film is digested while it is decoded. Links are followed: the caller named the file. Raises
    FileUnreadableError when its bytes cannot be read.
    """
    try:
        with Path(path).open("rb") as stream:
            return fingerprint_stream(stream, limits=limits, effort=effort)
    except OSError as error:
        raise FileUnreadableError(f"{path} could not be read ({error.strerror or 'input error'})") from error


def fingerprint_stream(
    stream: BinaryIO, *, limits: Limits = DEFAULT_LIMITS, effort: Effort = FULL_EFFORT
) -> Fingerprint:
    """The fingerprint of a seekable stream from its beginning, as `fingerprint_file`. Raises what reading it raises."""
    size = stream.seek(0, 2)
    stream.seek(0)
    if size <= limits.max_bytes:
        return fingerprint_bytes(stream.read(), limits=limits, effort=effort)
    head = stream.read(kinds.HEAD_BYTES)
    kind = kinds.recognise(head)
    if kind in kinds.FILMS and size <= DEFAULT_FILM_LIMITS.max_bytes:
        stream.seek(0)
        return _large_film(stream, kind, effort)
    sums = Digesting()
    sums.update(head)
    while piece := stream.read(1 << 20):
        sums.update(piece)
    if kind in kinds.FILMS:
        detail = f"the file has {size:,} bytes; films up to {DEFAULT_FILM_LIMITS.max_bytes:,} bytes are opened"
    else:
        detail = f"the file has {size:,} bytes; pictures up to {limits.max_bytes:,} bytes are opened"
    return _made(sums.digests(), media_type=kind, refusal=Refused(Refusal.TOO_LARGE, detail))


def _picture(digests: Digests, picture: Picture, content: bytes) -> Fingerprint:
    hashed = _Hashed()
    mark = picture.orientation
    hashed.pdq, hashed.pdq_quality = hash_picture(picture.rgb)
    hashed.pdq_512, hashed.pdq_512_quality = hash_512_first(picture.rgb)
    if mark != 1:
        hashed.pdq_512_upright = _reduced(upright(picture.rgb, mark))
        hashed.pdq_upright = _upright_in_place(picture.rgb, mark)[0]
    for second, rgb in sampled_frames(content, picture):
        hashed.take(second, rgb, mark)
    return _made(
        digests,
        media_type=picture.media_type,
        width=picture.width,
        height=picture.height,
        orientation=mark,
        cut_short=picture.cut_short,
        pipeline=PDQ_FULL,
        pdq=hashed.pdq,
        pdq_quality=hashed.pdq_quality,
        pdq_512=hashed.pdq_512,
        pdq_512_quality=hashed.pdq_512_quality,
        pdq_upright=hashed.pdq_upright,
        pdq_512_upright=hashed.pdq_512_upright,
        frames=tuple(hashed.frames),
        frames_upright=hashed.frames_upright(),
    )


def _reduced(view: NDArray[np.uint8]) -> str:
    """As `hash_512_first`, which would copy the whole of a turned picture; only the pixels it takes are copied."""
    height, width = view.shape[:2]
    if max(height, width) > REDUCED_SIDE:
        steps = np.arange(REDUCED_SIDE)
        view = view[(steps * height // REDUCED_SIDE)[:, None], (steps * width // REDUCED_SIDE)[None, :]]
    return hash_512_first(np.ascontiguousarray(view))[0]


def _upright_in_place(rgb: NDArray[np.uint8], mark: int) -> tuple[str, int]:
    """The full-size hash and quality of the picture as its mark turns it.

    It is turned in place, for nobody needs it any more and a second one may not fit.
    Swapping rows and columns is left to the frequencies, which have the same symmetry; flipping is not, for PDQ
    samples a picture a little off its middle.
    """
    rows, columns, transposed = FLIPPED_AND_TRANSPOSED[mark]
    flip(rgb, rows=rows, columns=columns)
    if not transposed:
        return hash_picture(rgb)
    values, quality = dihedral(rgb)
    return values[_TRANSPOSED], quality


def _screened(digests: Digests, content: bytes, limits: Limits) -> Fingerprint | None:
    """By the screening lane, or None where that does not open it: the exact way then says why."""
    found = screen_jpeg(content, limits=limits)
    if isinstance(found, Refused):
        return None
    value, quality, pipeline = found
    height, width, _, _ = simplejpeg.decode_jpeg_header(content)
    return _made(
        digests,
        media_type=kinds.JPEG,
        width=int(width),
        height=int(height),
        orientation=jpeg_mark(content),
        pdq=value,
        pdq_quality=quality,
        pipeline=pipeline,
    )


def _film(digests: Digests, source: BinaryIO, kind: str, effort: Effort) -> Fingerprint:
    found, hashed = _frames(source, kind, effort)
    return _of_film(digests, kind, found, hashed)


def _large_film(stream: BinaryIO, kind: str, effort: Effort) -> Fingerprint:
    source = DigestingStream(stream)
    found, hashed = _frames(cast(BinaryIO, source), kind, effort)
    return _of_film(source.finish(), kind, found, hashed)


def _frames(source: BinaryIO, kind: str, effort: Effort) -> tuple[Film | Refused, _Hashed]:
    hashed = _Hashed()
    if effort.films is FilmMode.NONE:
        return Refused(Refusal.UNSUPPORTED_KIND, f"the content is {kind}; films were left out by choice"), hashed
    keyframes = effort.films is FilmMode.KEYFRAMES
    found = read_film(source, kind, hashed.take, every=effort.seconds_a_frame, keyframes=keyframes)
    return found, hashed


def _of_film(digests: Digests, kind: str, found: Film | Refused, hashed: _Hashed) -> Fingerprint:
    if isinstance(found, Refused):
        return _made(digests, media_type=kind, refusal=found)
    return _made(
        digests,
        media_type=kind,
        width=found.width,
        height=found.height,
        pipeline=PDQ_FULL,
        orientation=found.orientation,
        frames=tuple(hashed.frames),
        frames_upright=hashed.frames_upright(),
        cut_short=found.cut_short,
    )


@dataclass
class _Hashed:
    """The hashes of one file in the making."""

    pdq: str | None = None
    pdq_quality: int | None = None
    pdq_512: str | None = None
    pdq_512_quality: int | None = None
    pdq_upright: str | None = None
    pdq_512_upright: str | None = None
    frames: list[FrameHash] = field(default_factory=list)
    turned: dict[int, FrameHash] = field(default_factory=dict)

    def take(self, second: float, rgb: NDArray[np.uint8], mark: int) -> None:
        """Hash one frame, and once more as its mark turns it where that is not 1."""
        self.frames.append(FrameHash(second, *hash_picture(rgb)))
        if mark != 1:
            own = rgb if rgb.flags.owndata else rgb.copy()  # what a decoder still builds on is not turned round
            self.turned[len(self.frames) - 1] = FrameHash(second, *_upright_in_place(own, mark))

    def frames_upright(self) -> tuple[FrameHash, ...]:
        """Every frame as its mark turns it; none where no mark does."""
        return tuple(self.turned.get(at, each) for at, each in enumerate(self.frames)) if self.turned else ()


def _made(digests: Digests, **fields: Any) -> Fingerprint:
    return Fingerprint(md5=digests.md5, sha1=digests.sha1, sha256=digests.sha256, size=digests.size, **fields)
