"""Which publisher is trusted: its first root, whose fingerprint two people heard over the telephone."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root
from tuf.api.serialization import DeserializationError

from havenline.connectors.frame import PartnerError
from havenline.connectors.havenline.client import Following
from havenline.formats.edition import ListKind, check_list_name
from havenline.formats.exchange import check_recipient
from havenline.whole_file import write_whole

_LONGEST_ROOT = 512_000
_ROOT, _HEARD, _REVOKED = "root.json", "heard.json", "revoked.json"


def fingerprint_of(root: bytes) -> str:
    """What is read over the telephone: SHA-256 of the first root's bytes, hex. Raises PartnerError for no root.

    Of a root that two of its own keys signed, and that has thresholds of two for root and targets.
    """
    try:
        metadata: Metadata[Root] = Metadata.from_bytes(root)
        signed = metadata.signed
        if len(root) > _LONGEST_ROOT or not isinstance(signed, Root):
            raise ValueError
        signed.verify_delegate(Root.type, metadata.signed_bytes, metadata.signatures)
        if min(signed.roles[role].threshold for role in ("root", "targets")) < 2:
            raise PartnerError("one person alone could publish by this root; it is not trusted")
    except (DeserializationError, RepositoryError, ValueError):
        raise PartnerError("this is no signed root of a publisher") from None
    return hashlib.sha256(root).hexdigest()


def pin(folder: Path, root: bytes) -> None:
    """Put a root down in an exchange's folder. Nothing is taken from its publisher before two people confirmed it."""
    place = _place(folder)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (place / _ROOT).exists():
        with write_whole(place / _ROOT, replace=False) as file:
            file.write(root)
    elif (place / _ROOT).read_bytes() != root:
        raise PartnerError(f"{folder}: another root is pinned here; add the publisher under another name")


def hear(folder: Path, *, person: str, fingerprint: str, at: dt.datetime) -> int:
    """Note that a person heard this fingerprint from the publisher, and return how many have.

    `person`: by the name of their account. Raises PartnerError where it is another than that of the pinned root.
    """
    place = _place(folder)
    pinned = hashlib.sha256((place / _ROOT).read_bytes()).hexdigest()
    said = "".join(fingerprint.lower().split()).replace(":", "").replace("-", "")
    if not hmac.compare_digest(said.encode(), pinned.encode()):
        raise PartnerError(
            "the fingerprint that was read is not that of the root here: do not trust this file, and ask the publisher "
            "for theirs again over a number that you knew before"
        )
    heard = {**_heard(place), person: at.astimezone(dt.UTC).isoformat()}
    with write_whole(place / _HEARD, replace=True) as file:
        file.write(json.dumps(heard, indent=2, sort_keys=True).encode() + b"\n")
    return len(heard)


def heard_by(folder: Path) -> tuple[str, ...]:
    """Who confirmed the pinned root."""
    return tuple(sorted(_heard(_place(folder))))


def revoke_here(folder: Path, *, at: dt.datetime) -> None:
    """The publisher of this exchange is trusted no more."""
    with write_whole(_place(folder) / _REVOKED, replace=True) as file:
        file.write(json.dumps({"at": at.astimezone(dt.UTC).isoformat()}).encode() + b"\n")


def is_revoked(folder: Path) -> bool:
    """Whether the publisher of this exchange was revoked here."""
    return (_place(folder) / _REVOKED).exists()


def following_of(folder: Path, settings: Mapping[str, str], identity: str) -> Following:
    """By what the list of this exchange is followed. Raises PartnerError where it may not be (yet, or any more)."""
    place = _place(folder)
    if is_revoked(folder):
        raise PartnerError(f"{folder}: this publisher was revoked; nothing is asked")
    if len(_heard(place)) < 2:
        raise PartnerError(
            f"{folder}: two people must hear the publisher's fingerprint before anything is taken; "
            "see `havenline exchange confirm-publisher`"
        )
    root = (place / _ROOT).read_bytes()
    if hashlib.sha256(root).hexdigest() != settings["root_sha256"]:
        raise PartnerError(f"{place / _ROOT}: is not the root that was pinned; restore it from a backup")
    try:
        kind = ListKind(settings["kind"])
        return Following(
            place,
            root,
            check_list_name(settings["publishers_list"]),
            kind,
            check_recipient(settings["recipient"]),
            identity,
        )
    except ValueError as error:
        raise PartnerError(f"{folder}: {error}") from None


def _place(folder: Path) -> Path:
    return folder / "publisher"


def _heard(place: Path) -> dict[str, str]:
    path = place / _HEARD
    return dict(json.loads(path.read_bytes())) if path.exists() else {}
