"""Run as a program, a `decoderd` whose children open nothing, but answer what their content says."""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from havenline.vocabulary import HavenlineError, Refusal, Refused
from havenline_guard import decoder_wire as wire
from havenline_guard.decoder_child import Asked
from havenline_guard.decoder_wire import Decoded, DecodedSheet, Wanted
from havenline_guard.decoderd import Settings, serve
from tests.guard import told

PICTURE = Decoded(8, 8, 1, 1, False, "image/png", "0" * 64, 0, "1" * 64, 100, 2, 2, bytes(12))
LONGEST = replace(PICTURE, width=1024, height=1024, shown_width=1024, shown_height=1024, rgb=bytes(3 << 20))
SHEET = DecodedSheet(8, 8, 1000, 1, False, "video/mp4", 2, 2, bytes(12))


def answering(content: bytes, asked: Asked) -> bytes:
    """As the content says; nothing of it is decoded."""
    match content.rstrip(b"\0"):
        case b"sleep":
            time.sleep(3600)
        case b"spin":
            while True:
                pass
        case b"fall":
            ctypes.string_at(0)
        case b"forbidden":
            os.kill(os.getpid(), 0)
        case b"permission":
            raise PermissionError
        case b"unforeseen":
            raise RuntimeError
        case b"refuse":
            return wire.refusal(Refused(Refusal.BROKEN, "cut"))
        case b"too long":
            return wire.picture(PICTURE) + bytes(wire.LARGEST_ANSWER)
        case b"nothing":
            return b""
        case b"longest":
            return wire.picture(LONGEST)
    if asked.wanted == Wanted.SHEET:
        return wire.sheet(SHEET)
    return wire.one_text(content) if asked.wanted == Wanted.TEXT else wire.picture(PICTURE)


def never() -> None:
    raise RuntimeError("no decoder can be loaded")


def at_once() -> None:
    """Nothing is to be loaded."""


def say(text: str, *, written: str) -> None:
    """Print it; and with a path, also what comes of writing there."""
    if written:
        try:
            Path(written).touch()
            text += ", and may write files"
        except OSError:
            text += ", and may write no file"
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    settings = json.loads(sys.argv[2])
    warm = never if settings.pop("never", False) else at_once
    written = settings.pop("written", "")
    settings["users"] = frozenset(settings.get("users", [os.geteuid()]))
    try:
        serve(
            Settings(Path(sys.argv[1]), **settings),
            say=partial(say, written=written),
            answering=answering,
            warm=warm,
        )
    except HavenlineError as error:
        sys.exit(f"ended: {error}")


if __name__ == "__main__":
    # It would tell of a child that falls, by a call that the child may not make.
    faulthandler.disable()
    if told.MEASURED:
        told.begin()
        told.run(main)
    main()
