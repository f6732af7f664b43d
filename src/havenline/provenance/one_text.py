"""One text of a file again, in the original, for who was granted to read it."""

from __future__ import annotations

from io import BytesIO

from havenline.provenance.models import note_model
from havenline.provenance.pictures import note_picture
from havenline.provenance.signals import Notes, SignalKind

_NO_KEY = bytes(16)


def text_at(content: bytes, place: int) -> tuple[SignalKind, bytes] | None:
    """The kind and the bytes of the text of signal `place`, counted from 0 as the readers tell them; None without one.

    It may name a victim or describe abuse: it is for one person, by a logged grant, and is kept nowhere. Not checked:
    that another version of a reader counted alike; who holds the key compares the keyed digest.
    """
    notes = Notes(_NO_KEY, wanted=place)
    if note_model(notes, BytesIO(content)) is None:
        note_picture(notes, content, webp=True)  # a superset: these texts stand behind all others
    return notes.found
