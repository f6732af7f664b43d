"""The only door to bytes: kept content goes in here, and a rendition for one granted reveal comes out here.

Until sealed evidence exists, content is kept by a demonstration of drawn pictures alone (`require_storage`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from django.conf import settings
from django.db.models import F

from havenline.media.decode import Picture
from havenline.media.renditions import render, room
from havenline.vocabulary import HavenlineError, Refused
from havenline.whole_file import write_whole
from havenline_guard.decoder_client import DecoderClient, DecoderdUnreachable

from .models import File, InstallationKind, Policy, Reveal, StoredContent


class EvidenceError(HavenlineError):
    """Content cannot be kept or opened; the text says why."""


class RevealRefused(EvidenceError):
    """The grant is unknown, used, late, or belongs to somebody else. Nothing was shown."""


def storage_declared() -> bool:
    """Whether this installation keeps content. Off unless a legal basis has been declared."""
    policy = Policy.objects.order_by("-pk").first()
    return policy is not None and policy.kind == InstallationKind.DEMO and bool(policy.content_legal_basis)


def keep(contents: Mapping[File, bytes], *, at: dt.datetime) -> None:
    """Store the bytes of each file once, durably, under a random name; checks that they are those bytes.

    Raises EvidenceError, before anything is written, when storage is off or the bytes are another file's.
    """
    if not storage_declared():
        raise EvidenceError("content storage is off: no legal basis is declared, so only digests are kept")
    if any(hashlib.sha256(content).hexdigest() != file.sha256 for file, content in contents.items()):
        raise EvidenceError("the bytes are not those of this file; nothing was stored")
    already = kept(contents)
    rows = []
    for file, content in contents.items():
        if file.pk not in already:
            rows.append(StoredContent(file=file, object_name=secrets.token_hex(16), stored_at=at))
            with write_whole(_folder() / rows[-1].object_name, replace=False) as stream:
                stream.write(content)
    StoredContent.objects.bulk_create(rows)


def kept(files: Iterable[File]) -> frozenset[int]:
    """Which of the files have their bytes kept here, by primary key."""
    wanted = [file.pk for file in files]
    return frozenset(StoredContent.objects.filter(file_id__in=wanted).values_list("file_id", flat=True))


def rendition(reveal: Reveal) -> bytes:
    """WebP bytes for a reveal that `actions.use_reveal` has just marked as used; re-checks the digest."""
    if reveal.used_at is None:
        raise RevealRefused("this reveal has not been recorded as used")
    stored = StoredContent.objects.select_related("file").get(file=reveal.file)
    content = (_folder() / stored.object_name).read_bytes()
    if hashlib.sha256(content).hexdigest() != stored.file.sha256:
        raise EvidenceError("the stored bytes no longer have their digest; nothing was shown, tell the administrator")
    picture = _opened(content, reveal.ladder_step)
    mark = f"{reveal.person.name} · {reveal.used_at:%Y-%m-%d %H:%M} UTC · {reveal.pk}"
    return render(picture, reveal.ladder_step, mark=mark)


def _opened(content: bytes, step: int) -> Picture:
    """The pixels that a step needs, from the sandbox: this process never runs a decoder on what was posted."""
    if not settings.DECODERD:
        raise EvidenceError("no decoderd is running (HAVENLINE_DECODERD), so no content is opened; hashes stay usable")
    width, height = room(step)
    try:
        found = DecoderClient(settings.DECODERD).decode(content, width=width, height=height)
    except DecoderdUnreachable as error:
        raise EvidenceError(str(error)) from error
    if isinstance(found, Refused):
        raise EvidenceError(found.detail)
    rgb = np.frombuffer(found.rgb, np.uint8).reshape(found.shown_height, found.shown_width, 3)
    return Picture(rgb, found.shown_width, found.shown_height, found.media_type, orientation=found.orientation)


def sweep() -> int:
    """Remove objects that no row names: what a killed import wrote and never acknowledged."""
    folder = _folder()
    named = set(StoredContent.objects.values_list(F("object_name"), flat=True))
    unnamed = [path for path in folder.iterdir() if path.name not in named]
    for path in unnamed:
        path.unlink()
    return len(unnamed)


def _folder() -> Path:
    folder: Path = settings.HOME / "content"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
