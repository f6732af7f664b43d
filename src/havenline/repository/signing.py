"""On a signer's own machine: what is to be signed, in counts and digests, and the signature."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets
from tuf.api.serialization import DeserializationError

from havenline.formats.exchange import Piece, piece_of
from havenline.repository.publishing import RepositoryRefused
from havenline.whole_file import write_whole

_LONGEST = 1 << 24


@dataclass(frozen=True, slots=True)
class ListToSign:
    """One list in targets: the edition that recipients get, and what is different since this key signed last.

    `entries`: the smallest and the largest number that one recipient gets, canaries included. `before`: number and
    root that this key signed last of the list, None where it is new to it.
    """

    name: str
    seq: int
    canonical_root: str
    added: int
    withdrawn: int
    entries: tuple[int, int]
    recipients: int
    before: tuple[int, str] | None


@dataclass(frozen=True, slots=True)
class ToSign:
    """What a signer is shown. `digest`: SHA-256 of exactly what is signed, to be read to the other signers.

    `keys`: of a root, by role, how many keys and how many must sign.
    """

    role: str
    version: int
    expires: dt.datetime
    digest: str
    lists: Sequence[ListToSign]
    keys: Sequence[tuple[str, int, int]]


def shown(path: Path, *, key: Path) -> ToSign:
    """What `path` would have a person sign with the key in the file `key`. Raises RepositoryRefused.

    Not checked: that the sealed pieces hold what the digests say; recipients refuse them if not. That a root is of an
    edition which this person released is for the person to compare.
    """
    metadata = _read(path)
    signed = metadata.signed
    lists = _lists(signed, _signed_before(key)) if isinstance(signed, Targets) else ()
    keys = (
        [(name, len(role.keyids), role.threshold) for name, role in sorted(signed.roles.items())]
        if isinstance(signed, Root)
        else ()
    )
    digest = hashlib.sha256(metadata.signed_bytes).hexdigest()
    return ToSign(signed.type, signed.version, signed.expires, digest, lists, keys)


def sign(path: Path, *, key: Path, signer: CryptoSigner, digest: str) -> Path:
    """Sign `path` and write the signature beside it; returns that file.

    `digest`: of what was shown; if it is something else by now, nothing is signed. Raises RepositoryRefused, OSError.
    """
    what = shown(path, key=key)
    if what.digest != digest:
        raise RepositoryRefused(f"{path}: is not what was shown any more; nothing was signed")
    for each in what.lists:
        if each.before is not None and (each.seq, each.canonical_root) != each.before and each.seq <= each.before[0]:
            raise RepositoryRefused(
                f"{each.name}: you signed edition {each.before[0]} already, and this is another edition {each.seq}; "
                "ask how that can be. Nothing was signed"
            )
    signature = signer.sign(_read(path).signed_bytes)
    place = path.with_name(f"{what.role}.{signature.keyid}.sig")
    with write_whole(place, replace=True) as file:
        file.write(json.dumps(signature.to_dict()).encode() + b"\n")
    said = _signed_before(key)
    said.update({each.name: (each.seq, each.canonical_root) for each in what.lists})
    with write_whole(_record(key), replace=True) as file:
        file.write(json.dumps(said, indent=2, sort_keys=True).encode() + b"\n")
    return place


def _lists(signed: Targets, before: dict[str, tuple[int, str]]) -> list[ListToSign]:
    found: dict[str, dict[str, Piece]] = {}
    for path, target in signed.targets.items():
        piece = piece_of(path, target.custom or {})
        if piece.whole:
            found.setdefault(piece.list_name, {})[piece.recipient] = piece
    made = []
    for name, pieces in sorted(found.items()):
        first = next(iter(pieces.values()))
        if any((each.seq, each.canonical_root) != (first.seq, first.canonical_root) for each in pieces.values()):
            raise RepositoryRefused(f"{name}: not every recipient would get the same edition; do not sign this")
        sizes = [each.entries for each in pieces.values()]
        made.append(
            ListToSign(
                name,
                first.seq,
                first.canonical_root,
                first.added,
                first.withdrawn,
                (min(sizes), max(sizes)),
                len(pieces),
                before.get(name),
            )
        )
    return made


def _record(key: Path) -> Path:
    return key.with_name(key.name + ".signed")


def _signed_before(key: Path) -> dict[str, tuple[int, str]]:
    """What was signed with the key last, by list."""
    try:
        said = json.loads(_record(key).read_bytes())
        return {str(name): (int(seq), str(root)) for name, (seq, root) in said.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError):
        raise RepositoryRefused(f"{_record(key)}: cannot be read; it says what you signed before") from None


def _read(path: Path) -> Metadata[Any]:
    try:
        with path.open("rb") as file:
            metadata: Metadata[Any] = Metadata.from_bytes(file.read(_LONGEST))
    except OSError as error:
        raise RepositoryRefused(f"{path}: cannot be read ({error.strerror or error})") from None
    except (DeserializationError, RepositoryError):
        raise RepositoryRefused(f"{path}: is nothing that can be signed") from None
    if not isinstance(metadata.signed, Root | Targets):
        raise RepositoryRefused(f"{path}: a person signs a root or targets, nothing else")
    return metadata
