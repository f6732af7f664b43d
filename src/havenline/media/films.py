"""Sampled frames of a film, by FFmpeg through PyAV (extra `video`), on one thread.

Containers are opened by the one demuxer that the first bytes name, never by FFmpeg's guess, so that playlists,
which name other files and addresses, are never followed; nothing but the stream at hand can be opened. Codecs
outside a list are refused. Frames stand in stored order, their turning mark beside them; sound and subtitles are
not looked at. No clock is read: what a film may cost is counted in decoded pixels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from havenline.media import kinds
from havenline.vocabulary import Refusal, Refused

Pixels = NDArray[np.uint8]
Found = TypeVar("Found")

DEMUXERS = {
    **dict.fromkeys((kinds.MP4, kinds.QUICKTIME, kinds.THREE_GPP, kinds.M4V), "mov"),
    **dict.fromkeys((kinds.WEBM, kinds.MATROSKA), "matroska"),
    kinds.AVI: "avi",
    kinds.MPEG: "mpeg",
    kinds.TRANSPORT: "mpegts",
    kinds.FLASH: "flv",
    kinds.WINDOWS_MEDIA: "asf",
}
CODECS = (
    *("h264", "hevc", "vvc", "av1", "libdav1d", "vp8", "vp9", "libvpx", "libvpx-vp9", "vp6", "vp6f"),
    *("mpeg4", "mpeg2video", "mpeg1video", "h263", "h263p", "flv", "mjpeg", "theora", "dvvideo", "prores"),
    *("msmpeg4", "msmpeg4v2", "msmpeg4v1", "wmv1", "wmv2", "wmv3", "vc1", "rv30", "rv40", "svq3", "cinepak"),
)
"""The decoders that are run, by FFmpeg's names."""

BROKEN = Refused(Refusal.BROKEN, "the film is damaged or cut short, and no frame of it could be read")
_ERRORS_IN_A_ROW = 200
_MPEG_ELEMENTARY = b"\0\0\1\xb3"
"""How a bare stream of MPEG-1 or MPEG-2 pictures begins (ISO/IEC 13818-2, 6.2.2.1)."""
_MARKS = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}
"""The signs of a display matrix (ISO/IEC 14496-12, 8.3.2: x' = ax + cy, y' = bx + dy) as the marks of pictures."""


@dataclass(frozen=True, slots=True)
class FilmLimits:
    """What one film may cost.

    A film that states more than `max_seconds` or a larger frame is refused. Beyond `max_decoded_pixels`, some
    minutes of one core, the rest is sampled at its keyframes alone; beyond `max_frames` sampled frames it is cut
    short.
    """

    max_bytes: int = 8 * 1024**3
    max_pixels: int = 64_000_000
    max_seconds: int = 12 * 3600
    max_frames: int = 20_000
    max_decoded_pixels: int = 60_000_000_000


DEFAULT_FILM_LIMITS = FilmLimits()


@dataclass(frozen=True, slots=True)
class Film:
    """What was read: the size and turning mark (1..8) of its first frame as stored, how many were sampled, and whether
    it ended early.
    """

    width: int
    height: int
    sampled: int
    cut_short: bool
    orientation: int = 1


def read_film(
    source: BinaryIO,
    kind: str,
    take: Callable[[float, Pixels, int], None],
    *,
    every: float = 1.0,
    keyframes: bool = False,
    limits: FilmLimits = DEFAULT_FILM_LIMITS,
) -> Film | Refused:
    """Give `take` the first frame at or after each `every` seconds, as its second, (h, w, 3) uint8 RGB
    as stored, and the mark 1..8 (as EXIF has it) that says how it is turned to be shown.

    `source` is seekable and `kind` one of `kinds.FILMS`. With `keyframes` only frames that are coded without
    others are decoded, at most one in each interval: many times faster, and other frames where keyframes are
    rare. Raises nothing of the decoder's. Not checked: sound, further picture streams, what a frame shows.
    """

    def read(container: Any, stream: Any) -> _Reading:
        reading = _Reading(stream, take, Fraction(every).limit_denominator(100_000), limits, keyframes=keyframes)
        reading.run(container)
        return reading

    reading = within_film(source, kind, read, limits=limits)
    if isinstance(reading, Refused):
        return reading
    return reading.film() if reading.sampled else BROKEN


def within_film(
    source: BinaryIO, kind: str, read: Callable[[Any, Any], Found], *, limits: FilmLimits = DEFAULT_FILM_LIMITS
) -> Found | Refused:
    """What `read` makes of the open container and its first stream of moving pictures, or why there is none.

    Raises nothing of the decoder's, nor what `read` does: then the film is refused as broken.
    """
    try:
        import av
    except ImportError:
        return Refused(Refusal.UNSUPPORTED_KIND, "films need the extra 'video': install havenline[video]")
    try:
        with av.open(
            source,
            format=_demuxer(source, kind),
            container_options={"codec_whitelist": ",".join(CODECS), "protocol_whitelist": "none"},
            io_open=_open_nothing,
        ) as container:
            found = _picture_stream(container, limits)
            return found if isinstance(found, Refused) else read(container, found)
    except MemoryError:
        return Refused(Refusal.DECODER_FAILED, "there was not enough memory to open this film")
    except Exception:  # FFmpeg's errors are of many kinds, and may quote the content
        return BROKEN


def _demuxer(source: BinaryIO, kind: str) -> str:
    if kind == kinds.MPEG:
        source.seek(0)
        opening = source.read(len(_MPEG_ELEMENTARY))
        source.seek(0)
        if opening == _MPEG_ELEMENTARY:
            return "mpegvideo"
    return DEMUXERS[kind]


def turning_mark(frame: Any) -> int:
    """How the frame is turned to be shown; 1 where the film does not say, or says another angle than a right one."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return 1
    a, b, _, c, d = np.sign(np.frombuffer(matrix, dtype="=i4")[:5]).tolist()
    return _MARKS.get((a, b, c, d), 1)


def _open_nothing(*_: Any) -> Any:
    raise PermissionError("a film opens nothing beside itself")


def _picture_stream(container: Any, limits: FilmLimits) -> Any:
    """The first stream of moving pictures, ready to be decoded by one thread, or why there is none."""
    from av.stream import Disposition

    streams = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]
    if not streams:
        return Refused(Refusal.UNSUPPORTED_KIND, "the film has no moving picture, or of a kind that is unknown here")
    stream = streams[0]
    context = stream.codec_context
    if context is None or context.codec.name not in CODECS:
        return Refused(Refusal.UNSUPPORTED_KIND, "the film's pictures are coded in a way that is not opened here")
    if context.width * context.height > limits.max_pixels:
        detail = f"the film declares frames of {context.width:,} x {context.height:,} pixels"
        return Refused(Refusal.TOO_MANY_PIXELS, f"{detail}; up to {limits.max_pixels:,} are opened")
    seconds = (container.duration or 0) / 1_000_000
    if seconds > limits.max_seconds:
        detail = f"the film states {seconds / 3600:,.1f} hours; up to {limits.max_seconds / 3600:,.0f} are opened"
        return Refused(Refusal.TOO_LONG, detail)
    context.thread_count = 1
    context.thread_type = "NONE"
    return stream


class _Reading:
    """One film on its way through the decoder."""

    def __init__(
        self,
        stream: Any,
        take: Callable[[float, Pixels, int], None],
        every: Fraction,
        limits: FilmLimits,
        *,
        keyframes: bool,
    ) -> None:
        self._stream, self._take, self._every, self._limits = stream, take, every, limits
        self._context = stream.codec_context
        self._keyframes = keyframes
        self._begin: Fraction | None = None
        self._due = Fraction(0)
        self._decoded = self._errors = self._pixels = 0
        self._size = 0, 0
        self._orientation = 1
        self.sampled = 0
        self._cut_short = False

    def film(self) -> Film:
        return Film(*self._size, sampled=self.sampled, cut_short=self._cut_short, orientation=self._orientation)

    def run(self, container: Any) -> None:
        if self._keyframes:
            self._context.skip_frame = "NONKEY"
        packets = container.demux(self._stream)
        for packet, needed in _looked_ahead(_readable(packets, self._stop), self._every):
            if not self._keyframes and self._pixels > self._limits.max_decoded_pixels:
                self._keyframes, self._context.skip_frame = True, "NONKEY"
            if self._keyframes:
                # Not left to the demuxer: where it leaves packets out, it states wrong times for the others.
                if packet.size and not packet.is_keyframe:
                    continue
            else:
                # A frame that no other is built on may be left out without a trace in the others.
                self._context.skip_frame = "DEFAULT" if needed else "NONREF"
            for frame in self._frames(packet):
                self._look_at(frame)
                if self.sampled >= self._limits.max_frames or self._errors > _ERRORS_IN_A_ROW:
                    self._cut_short = True
                    return

    def _stop(self) -> None:
        self._cut_short = True

    def _frames(self, packet: Any) -> list[Any]:
        try:
            return list(packet.decode())
        except Exception:  # a damaged packet; the next keyframe mends it
            self._errors += 1
            self._cut_short = True
            if self._errors > _ERRORS_IN_A_ROW:
                raise
            return []

    def _look_at(self, frame: Any) -> None:
        number, self._decoded = self._decoded, self._decoded + 1
        self._pixels += frame.width * frame.height
        if frame.is_corrupt:
            self._cut_short = True
            return
        self._errors = 0
        moment = self._moment(frame, number)
        if self._begin is None:
            self._begin = moment
        second = moment - self._begin
        if second < self._due:
            return
        if frame.width * frame.height > self._limits.max_pixels:  # a stream may change its size on the way
            self._cut_short = True
            return
        mark = turning_mark(frame)
        if not self.sampled:
            self._size, self._orientation = (frame.width, frame.height), mark
        self._take(round(float(second), 3), frame.to_ndarray(format="rgb24"), mark)
        self.sampled += 1
        self._due = (second // self._every + 1) * self._every

    def _moment(self, frame: Any, number: int) -> Fraction:
        """When the frame is shown, in seconds; by its number where the film does not say."""
        if frame.pts is not None and frame.time_base is not None:
            return Fraction(frame.pts * frame.time_base)
        rate = self._stream.average_rate or self._stream.guessed_rate or Fraction(25)
        return Fraction(number) / Fraction(rate) + (self._begin or 0)


def _readable(packets: Iterator[Any], stop: Callable[[], None]) -> Iterator[Any]:
    """The packets as far as the container can be read; what was held back in the decoder still comes out."""
    try:
        yield from packets
    except Exception:
        stop()


def _looked_ahead(packets: Iterator[Any], every: Fraction) -> Iterator[tuple[Any, bool]]:
    """Each packet, and whether its frame may be the first at or after a multiple of `every` seconds.

    Frames are shown in another order than they are coded in, but none is shown before it is decoded: once a
    packet is to be decoded at a time, no later packet is shown before that time. A packet is held until that
    settles whether it is wanted. Where packets do not state their times, every one is.
    """
    held: deque[Any] = deque()
    begin = due = None
    wanted: set[int] = set()
    orderly = True
    for packet in packets:
        held.append(packet)
        if packet.pts is None or packet.dts is None:
            # The packet that ends the stream has no time either.
            orderly = False
        if not orderly:
            while held:
                yield held.popleft(), True
            continue
        if begin is None or due is None:
            begin = due = packet.pts * packet.time_base
        while True:
            coming = min((each.pts for each in held if each.pts * each.time_base >= due), default=None)
            if coming is None or packet.dts < coming:
                break
            wanted.add(coming)
            due = begin + ((coming * packet.time_base - begin) // every + 1) * every
        while held and held[0].pts * held[0].time_base < due:
            packet_out = held.popleft()
            needed = packet_out.pts in wanted
            wanted.discard(packet_out.pts)
            yield packet_out, needed
    while held:
        yield held.popleft(), True
