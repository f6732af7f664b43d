"""The only door to bytes: kept content goes in here, and a rendition for one granted reveal comes out here.

With `keyd`, content is sealed under a key of its own and opened by one grant, for one person, once. A desk keeps it
only where two people declared its legal basis and everything that `storage_missing` names is there.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from havenline.media import kinds
from havenline.media.contact_sheet import FRAMES
from havenline.media.decode import Picture
from havenline.media.renditions import render, room
from havenline.provenance import SignalKind
from havenline.provenance.keypoints import LONGEST, Grey, as_shown
from havenline.provenance.signals import keyed
from havenline.vocabulary import HavenlineError, Refused
from havenline.whole_file import write_whole
from havenline_guard.decoder_client import DecoderClient, DecoderdUnreachable
from havenline_guard.decoder_wire import Decoded
from havenline_guard.keyd_client import KeyClient
from havenline_guard.keyd_wire import Bound, KeydRefused
from havenline_guard.vault import Kept, Scrubbed, Vault, VaultError
from havenline_guard.vault_store import FolderStore, Store, StoreError, Unreachable

from . import gates
from .keys import key_name, keyd, origin_key
from .models import (
    CalibrationPicture,
    CalibrationSession,
    Escalation,
    File,
    FrameHash,
    InstallationKind,
    OriginSignal,
    Person,
    Policy,
    Reveal,
    Role,
    StoredContent,
    TextLook,
)
from .store_s3 import s3_store

KIND = "original"
TEXT = "origin_text"
"""What a look at a text is for, as both logs name it."""
GRANT = dt.timedelta(seconds=120)
_KEEPING = 0x4B454550


class EvidenceError(HavenlineError):
    """Content cannot be kept or opened; the text says why."""


class ContentUnreachable(EvidenceError):
    """The store of kept content does not answer, or fails. Nothing was kept or shown; the same may be asked again."""


class RevealRefused(EvidenceError):
    """The grant is unknown, used, late, over budget, or belongs to somebody else. Nothing was shown."""


def storage_declared(*, at: dt.datetime) -> bool:
    """Whether this installation keeps content at `at`. Off unless a legal basis was declared and nothing is missing."""
    policy = Policy.objects.order_by("-pk").first()
    if policy is None or not policy.content_legal_basis:
        return False
    return policy.kind == InstallationKind.DEMO or (policy.kind == InstallationKind.DESK and not storage_missing(at=at))


def storage_missing(*, at: dt.datetime) -> tuple[str, ...]:
    """What a desk needs before it keeps content and does not have at `at`, a line each.

    Separated people: two who assess, a lead, an auditor, a welfare lead; in a house of two the last two may come from
    outside, and a house of one works with hashes alone. And where keys, decoding and the audit log's checkpoints are.
    """
    held = [(person, gates.roles_of(person, at=at)) for person in Person.objects.filter(is_active=True)]
    assessors = {person.pk for person, roles in held if Role.ANALYST in roles and gates.certified(person, at=at)}
    wanted = [
        (len(assessors) >= 2, "two analysts with a certificate in date"),
        *(
            (any(role in roles for _, roles in held), f"somebody with the role {role.label}")
            for role in (Role.LEAD, Role.AUDITOR, Role.WELFARE)
        ),
        (not gates.PROFILES[gates.house()].hash_only, "a house of more than one person"),
        (bool(settings.KEYD), "a key process (HAVENLINE_KEYD)"),
        (bool(settings.DECODERD), "a process that decodes in a sandbox (HAVENLINE_DECODERD)"),
        (_outside(settings.AUDIT_FOLDER), "a folder for checkpoints outside the data folder (HAVENLINE_AUDIT_FOLDER)"),
    ]
    return tuple(line for there, line in wanted if not there)


def _outside(folder: str) -> bool:
    return bool(folder) and not Path(folder).resolve().is_relative_to(settings.HOME.resolve())


@transaction.atomic
def keep(contents: Mapping[File, bytes], *, at: dt.datetime) -> None:
    """Store the bytes of each file once, durably, under a random name; checks that they are those bytes.

    What was destroyed is not kept again. Raises EvidenceError, before anything is written, when storage is off or the
    bytes are another file's; and where the store or `keyd` would not, KeydUnreachable where `keyd` does not answer:
    then no row names what was written.
    """
    if not storage_declared(at=at):
        raise EvidenceError("content storage is off: no legal basis is declared, so only digests are kept")
    if any(hashlib.sha256(content).hexdigest() != file.sha256 for file, content in contents.items()):
        raise EvidenceError("the bytes are not those of this file; nothing was stored")
    _alone_or_with_others("pg_advisory_xact_lock_shared")
    once = StoredContent.objects.filter(file__in=[file.pk for file in contents])
    already = frozenset(once.values_list("file_id", flat=True))
    rows = [
        StoredContent(file=file, object_name=_kept_as(content), stored_at=at)
        for file, content in contents.items()
        if file.pk not in already
    ]
    StoredContent.objects.bulk_create(rows)


def kept(files: Iterable[File]) -> frozenset[int]:
    """Which of the files have their bytes kept here, by primary key."""
    stored = StoredContent.objects.filter(file_id__in=[file.pk for file in files], tombstone=None)
    return frozenset(stored.values_list("file_id", flat=True))


def grant(reveal: Reveal) -> str:
    """The token that opens the content of `reveal` once, within 120 seconds; the row need not be saved yet.

    An item that its holder has escalated is opened over every budget; a picture drawn for calibration is no kept
    content, so `keyd` is not asked. Raises RevealRefused where `keyd` would not, KeydUnreachable without an answer.
    """
    client = keyd()
    if client is None or _calibration_picture(reveal) is not None:
        return secrets.token_urlsafe(24)
    escalated = Escalation.objects.filter(assignment=reveal.assignment, raised_by=reveal.person).exists()
    try:
        return client.grant(_bound(reveal), seconds=int(GRANT.total_seconds()), escalation=escalated)
    except KeydRefused as refused:
        raise RevealRefused(str(refused)) from None


def grant_text(look: TextLook) -> str:
    """The token that opens the file of `look` once, within 120 seconds, inside the person's budget.

    Raises RevealRefused where the content is not kept or `keyd` would not, KeydUnreachable.
    """
    client, bound = keyd(), _text_bound(look)
    if client is None:
        return secrets.token_urlsafe(24)
    try:
        return client.grant(bound, seconds=int(GRANT.total_seconds()), escalation=False)
    except KeydRefused as refused:
        raise RevealRefused(str(refused)) from None


def text(look: TextLook, *, token: str) -> str:
    """The text of a look that was just marked as used, read again from the original in the sandbox; kept nowhere.

    It is the one that was recorded: of the same keyed digest, or of the same length where the house's key has changed
    since. Raises EvidenceError, and gives nothing, where it is not; KeydUnreachable.
    """
    if look.used_at is None:
        raise RevealRefused("this look has not been recorded as used")
    if not settings.DECODERD:
        raise EvidenceError("no decoderd is running (HAVENLINE_DECODERD), so no content is opened")
    signal = OriginSignal.objects.select_related("reading").get(reading__file=look.file_id, place=look.place)
    content = _opened(look.file, token, lambda: _text_bound(look))
    try:
        found = DecoderClient(settings.DECODERD).text(content, place=look.place)
    except DecoderdUnreachable as error:
        raise EvidenceError(str(error)) from error
    if isinstance(found, Refused):
        raise EvidenceError(found.detail)
    key = origin_key()
    same = len(found) == signal.length
    if signal.reading.keyed_by == key_name(key):
        same = keyed(key, SignalKind(signal.kind), found) == signal.digest
    if not same:
        raise EvidenceError("the file does not give the text that was recorded; nothing was shown")
    return found.decode("utf-8", "replace")


def rendition(reveal: Reveal, *, token: str) -> bytes:
    """WebP bytes for a reveal that `actions.use_reveal` has just marked as used; re-checks the digest of what was kept.

    A picture of calibration is drawn again; not checked there: that the drawing is the same to the bit.

    Raises EvidenceError, and gives nothing, where anything is not as it should be; KeydUnreachable.
    """
    if reveal.used_at is None or not reveal.ladder_step:
        raise RevealRefused("this reveal has not been recorded as used, or shows nothing")
    drawn = _calibration_picture(reveal)
    if drawn is not None:
        picture = _drawn_again(drawn)
    else:
        content = _opened(reveal.file, token, lambda: _bound(reveal))
        picture = _pixels(content, room(reveal.ladder_step), frames=frames_on_sheet(reveal.file))
    # The grant by the random id that the log has: a number that counts up would tell how much others view.
    mark = f"{reveal.person.name} · {reveal.used_at:%Y-%m-%d %H:%M} UTC · {reveal.audit_id.hex[:12]}"
    return render(picture, reveal.ladder_step, mark=mark)


def _calibration_picture(reveal: Reveal) -> CalibrationPicture | None:
    of = CalibrationPicture.objects.filter(
        revision=reveal.assignment.revision_id, revision__members__file=reveal.file_id
    )
    return of.select_related("session").first()


def is_drawn_otherwise(session: CalibrationSession) -> bool:
    """Whether this version draws other pictures for the session than it was begun with, by what they show."""
    from havenline.testing.drawing import choose_subject

    return any(choose_subject(session.seed, one.number).facts() != one.facts for one in session.drawn.all())


def _drawn_again(drawn: CalibrationPicture) -> Picture:
    """What was drawn for a calibration session, from its seed by our own code: nothing is kept and nothing decoded."""
    # Only here: drawing loads what nothing else of this module needs.
    from havenline.testing.drawing import choose_subject, draw_subject

    seed, number = drawn.session.seed, drawn.number
    subject = choose_subject(seed, number)
    if subject.facts() != drawn.facts:
        raise EvidenceError(
            "this version draws another picture for this session, and nothing was shown: begin anew under “Calibration”"
        )
    rgb = draw_subject(subject, seed=seed, number=number, attempt=0)
    return Picture(rgb, rgb.shape[1], rgb.shape[0], "image/png", orientation=1)


def frames_on_sheet(file: File) -> int:
    """How many frames of a film its sheet has at the most; 0 for what is no film and is shown as a picture."""
    if file.media_type not in kinds.FILMS:
        return 0
    return min(FRAMES, max(1, FrameHash.objects.filter(file=file).count()))


def shows_films() -> bool:
    """Whether the `decoderd` here can open films; true where it does not answer, which a view then says."""
    if not settings.DECODERD:
        return True
    try:
        return bool(DecoderClient(settings.DECODERD).state().get("films"))
    except DecoderdUnreachable:
        return True


def grey(reveal: Reveal, *, token: str) -> Grey:
    """What a comparison looks at, of a reveal of step 0 that was just marked as used: grey, as it is shown, small.

    Nobody is shown it. Raises EvidenceError where anything is not as it should be; KeydUnreachable.
    """
    if reveal.used_at is None or reveal.ladder_step:
        raise RevealRefused("this was not opened for a comparison")
    picture = _pixels(_opened(reveal.file, token, lambda: _bound(reveal)), (LONGEST, LONGEST))
    return as_shown(picture.rgb, picture.orientation)


def _pixels(content: bytes, size: tuple[int, int], *, frames: int = 0) -> Picture:
    """At most so many pixels wide and high, from the sandbox: this process never runs a decoder on what was posted.

    `frames` of a film on one sheet, or a picture where that is 0.
    """
    if not settings.DECODERD:
        raise EvidenceError("no decoderd is running (HAVENLINE_DECODERD), so no content is opened; hashes stay usable")
    width, height = size
    client = DecoderClient(settings.DECODERD)
    try:
        found = (
            client.sheet(content, width=width, height=height, frames=frames)
            if frames
            else client.decode(content, width=width, height=height)
        )
    except DecoderdUnreachable as error:
        raise EvidenceError(str(error)) from error
    if isinstance(found, Refused):
        raise EvidenceError(found.detail)
    rgb = np.frombuffer(found.rgb, np.uint8).reshape(found.shown_height, found.shown_width, 3)
    mark = found.orientation if isinstance(found, Decoded) else 1  # the frames of a sheet are turned already
    return Picture(rgb, found.shown_width, found.shown_height, found.media_type, orientation=mark)


def object_of(file_id: int) -> uuid.UUID | None:
    """The random name of a file's kept content, which is all that a key process and the log know it by."""
    stored = StoredContent.objects.filter(file_id=file_id).first()
    return uuid.UUID(stored.object_name) if stored else None


def digest_of(secret: str) -> str:
    """What is kept of the token of a grant, and of the session it is bound to."""
    return hashlib.sha256(secret.encode()).hexdigest()


@transaction.atomic
def sweep() -> int:
    """Remove objects that no row names: what a killed import wrote, and sealed bytes whose key was destroyed.

    Waits until everybody who is writing objects has recorded them.
    """
    _alone_or_with_others("pg_advisory_xact_lock")
    named, store = _named(), sealed_objects()
    unnamed = [name for name in store.names() if name not in named]
    for name in unnamed:
        store.delete(name)
    return len(unnamed)


def scrub() -> Scrubbed:
    """Read every kept object and compare it with its digest; no key is needed and nothing is changed.

    What is kept or destroyed meanwhile counts as neither missing nor damaged; what an import is just writing may stand
    among the unnamed. Raises EvidenceError where content is not sealed. Not checked: that the keys are there.
    """
    found = _vault(_keyd_here()).scrub(_named())
    named = _named()
    return replace(
        found,
        damaged=tuple(name for name in found.damaged if name in named),
        missing=tuple(name for name in found.missing if name in named),
        unnamed=tuple(name for name in found.unnamed if name not in named),
    )


def destroy(name: str, *, rule: str, by: str) -> None:
    """Destroy the key of one kept object for good, then its sealed bytes; the caller has recorded it.

    Raises KeydRefused while a hold stands, KeydUnreachable, EvidenceError where content is not sealed.
    """
    _vault(_keyd_here()).destroy(name, rule=rule, by=by)


def _named() -> frozenset[str]:
    return frozenset(StoredContent.objects.filter(tombstone=None).values_list(F("object_name"), flat=True))


def _keyd_here() -> KeyClient:
    client = keyd()
    if client is None:
        raise EvidenceError("no key process runs here, so what is kept is not sealed; nothing was done")
    return client


def _alone_or_with_others(lock: str) -> None:
    """Until this transaction ends: who writes objects shares the lock, who sweeps has it alone."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {lock}(%s)", [_KEEPING])


def _kept_as(content: bytes) -> str:
    """Keep the bytes; the random name they were given."""
    client = keyd()
    if client is None:
        if settings.CONTENT_STORE:
            raise EvidenceError("an object store is given sealed content only: HAVENLINE_KEYD is not set")
        name = secrets.token_hex(16)
        with write_whole(_folder() / name, replace=False) as stream:
            stream.write(content)
        return name
    try:
        return _vault(client).keep(content, kind=KIND).name
    except Unreachable as error:
        raise ContentUnreachable(f"{error}; nothing was kept") from None
    except (KeydRefused, StoreError) as refused:
        raise EvidenceError(f"{refused}; nothing was kept") from None


def _opened(file: File, token: str, bound: Callable[[], Bound]) -> bytes:
    stored = StoredContent.objects.select_related("file").get(file=file)
    client = keyd()
    if client is None:
        content = (_folder() / stored.object_name).read_bytes()
        if hashlib.sha256(content).hexdigest() != stored.file.sha256:
            raise EvidenceError(
                "the stored bytes no longer have their digest; nothing was shown, tell the administrator"
            )
        return content
    kept_object = Kept(stored.object_name, KIND, stored.file.size, stored.file.sha256)
    try:
        return _vault(client).open(kept_object, token, bound())
    except KeydRefused as refused:
        raise RevealRefused(str(refused)) from None
    except VaultError as error:
        kind = ContentUnreachable if isinstance(error.__cause__, Unreachable) else EvidenceError
        raise kind(str(error)) from None
    except StoreError as error:
        raise EvidenceError(f"{error}; nothing was shown") from None


def _bound(reveal: Reveal) -> Bound:
    """What the grant is bound to: random ids, which the audit log names too, and the session by its digest."""
    assignment = reveal.assignment
    return Bound(
        person=reveal.person.audit_id.hex,
        session=reveal.session_digest,
        item=str(reveal.file_id),
        assignment=assignment.audit_id.hex,
        purpose=purpose_of(reveal),
        object=_kept_name(reveal.file_id),
        grant=reveal.audit_id.hex,
    )


def _text_bound(look: TextLook) -> Bound:
    """Alike; a look at a text belongs to an investigation in place of an assignment."""
    return Bound(
        person=look.person.audit_id.hex,
        session=look.session_digest,
        item=str(look.file_id),
        assignment=look.investigation.audit_id.hex,
        purpose=TEXT,
        object=_kept_name(look.file_id),
        grant=look.audit_id.hex,
    )


def _kept_name(file_id: int) -> str:
    stored = StoredContent.objects.filter(file_id=file_id, tombstone=None).first()
    if stored is None:
        raise RevealRefused("the content of this file is not kept here; nothing was shown")
    return stored.object_name


def purpose_of(reveal: Reveal) -> str:
    """What a view is for, as both logs name it: the step of the review plan, and that of the ladder."""
    return f"{reveal.assignment.step}_assessment.{reveal.ladder_step}"


def _vault(client: KeyClient) -> Vault:
    return Vault(sealed_objects(), client)


def sealed_objects() -> Store:
    """Where kept content lies, as it lies there. Raises StoreError where HAVENLINE_CONTENT_STORE cannot be used.

    KeydUnreachable where the keys whose prefix it is are not there to be asked.
    """
    client = keyd()
    if not settings.CONTENT_STORE or client is None:
        return FolderStore(_folder())
    return s3_store(settings.CONTENT_STORE, settings.S3_ENDPOINT, str(client.status()["public_key"]))


def _folder() -> Path:
    folder: Path = settings.HOME / "content"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
