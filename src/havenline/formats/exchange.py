"""What one recipient is given of a list in the signed exchange: `docs/formats/exchange.md`, whose sections are named.

A piece is one sealed file. What a publisher signs of it stands beside its path in the signed metadata.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyrage

from havenline.formats.edition import LONGEST_LINE, ListKind, check_list_name
from havenline.vocabulary import HavenlineError

FORM = "havenline-exchange/1"
PART_LINES = 50_000
"""At most so many lines are in one piece."""
MOST_PARTS = 400
LONGEST_PIECE = PART_LINES * (LONGEST_LINE + 1) // 2
"""Bytes of a piece in the clear. An entry has about 500; a piece that would be longer is refused, not split."""
LONGEST_SEALED = LONGEST_PIECE + LONGEST_PIECE // 1000 + 4096
"""Bytes of a piece as it is sealed: age adds 16 to each 64 KiB, and a head."""
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_RECIPIENT = re.compile(r"[0-9a-f]{32}\Z")
_NUMBERS = ("seq", "entries", "added", "withdrawn", "part", "parts", "lines", "plain_bytes")
_MOST = 1 << 53


class ExchangeRefused(HavenlineError):
    """A piece, or what is signed of it, is not what the form allows; the text names it and tells no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What is signed of one sealed file (2.).

    `seq`: number of the edition, from 1. `whole`: the piece is of all entries, else of what changed since `seq` - 1.
    `canonical_root`: of the edition, hex, the same for every recipient; `prev`: that of the edition before.
    `own_root`: the same over what this recipient holds at `seq`, canaries included; `entries`: how many those are.
    `added`, `withdrawn`: in this edition. `part` of `parts` counts from 0. `lines`, `plain_bytes`, `plain_sha256`: of
    the piece in the clear.
    """

    recipient: str
    list_name: str
    kind: ListKind
    seq: int
    prev: str | None
    canonical_root: str
    own_root: str
    entries: int
    added: int
    withdrawn: int
    whole: bool
    part: int
    parts: int
    lines: int
    plain_bytes: int
    plain_sha256: str

    def __post_init__(self) -> None:
        check_recipient(self.recipient)
        check_list_name(self.list_name)
        digests = (self.canonical_root, self.own_root, self.plain_sha256, *(() if self.prev is None else (self.prev,)))
        fits = (
            all(type(getattr(self, name)) is int and 0 <= getattr(self, name) < _MOST for name in _NUMBERS)
            and all(isinstance(each, str) and _DIGEST.match(each) for each in digests)
            and type(self.whole) is bool
            and self.seq >= 1
            and (self.prev is None) == (self.seq == 1)
            and self.part < self.parts <= MOST_PARTS
            and self.lines <= PART_LINES
            and self.plain_bytes <= LONGEST_PIECE
            and self.entries <= PART_LINES * MOST_PARTS
        )
        if not fits:
            raise ValueError("a number or a digest is none, or beyond what the form allows")

    @property
    def path(self) -> str:
        """Where it lies below the publisher's folder of targets (1.)."""
        sort = "whole" if self.whole else "changes"
        return f"{self.recipient}/{self.list_name}/{self.seq}.{sort}.{self.part}.age"

    def custom(self) -> dict[str, Any]:
        """What is signed beside length and SHA-256 of the sealed file."""
        said = {name: getattr(self, name) for name in _NUMBERS}
        return {
            **said,
            "form": FORM,
            "list": self.list_name,
            "kind": self.kind.value,
            "prev": self.prev,
            "canonical_root": self.canonical_root,
            "own_root": self.own_root,
            "whole": self.whole,
            "plain_sha256": self.plain_sha256,
        }


def check_recipient(name: str) -> str:
    """Return `name` where it is a recipient's opaque id: 32 hex digits that are drawn; else ValueError."""
    if not _RECIPIENT.match(name):
        raise ValueError("a recipient's id is 32 lower-case hex digits")
    return name


def piece_of(path: str, custom: Mapping[str, Any]) -> Piece:
    """The piece that is signed under `path`. Raises ExchangeRefused for a member more, less or of another type."""
    said = dict(custom)
    try:
        if said.pop("form") != FORM:
            raise ValueError(f"is no {FORM}; a newer program may read it")
        piece = Piece(
            recipient=path.partition("/")[0], list_name=str(said.pop("list")), kind=ListKind(said.pop("kind")), **said
        )
        if piece.path != path:
            raise ValueError("stands under another path than it says")
    except KeyError as missing:
        raise ExchangeRefused(f"{path}: is signed without {missing.args[0]!r}") from None
    except (TypeError, ValueError) as error:
        raise ExchangeRefused(f"{path}: {error}") from None
    return piece


def cut(lines: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """The lines in parts; one empty part where there are none."""
    for first in range(0, len(lines) or 1, PART_LINES):
        yield lines[first : first + PART_LINES]


def sealed_pieces(like: Piece, lines: Sequence[bytes], *, to: str) -> Iterator[tuple[Piece, bytes]]:
    """The pieces of `lines`, each with its sealed bytes, for the age recipient `to`; of `like` what all have alike.

    Raises ExchangeRefused where `to` is no age recipient, or a piece would be too long.
    """
    try:
        recipient = pyrage.x25519.Recipient.from_str(to)
    except pyrage.RecipientError:
        raise ExchangeRefused(f"the recipient {like.recipient} has no key that can be sealed to") from None
    parts = list(cut(lines))
    for number, part in enumerate(parts):
        plain = b"".join(line + b"\n" for line in part)
        try:
            piece = replace(
                like,
                part=number,
                parts=len(parts),
                lines=len(part),
                plain_bytes=len(plain),
                plain_sha256=hashlib.sha256(plain).hexdigest(),
            )
        except ValueError as error:
            raise ExchangeRefused(f"{like.path}: {error}; nothing was made") from None
        yield piece, pyrage.encrypt(plain, [recipient])


def opened_lines(piece: Piece, sealed: bytes, *, identity: str) -> Iterator[tuple[int, bytes]]:
    """The lines of a piece without their ends, numbered from 1.

    Length, SHA-256 and number of lines are checked before the first one is given. Raises ExchangeRefused. Not checked:
    what a line says; see `havenline.formats.edition`.
    """
    try:
        plain = pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(identity)])
    except (pyrage.DecryptError, pyrage.IdentityError):
        raise ExchangeRefused(f"{piece.path}: is not sealed to this installation's key") from None
    lines = plain.split(b"\n")
    if (
        len(plain) != piece.plain_bytes
        or hashlib.sha256(plain).hexdigest() != piece.plain_sha256
        or lines.pop() != b""
        or len(lines) != piece.lines
    ):
        raise ExchangeRefused(f"{piece.path}: holds something else than what was signed")
    if any(len(line) > LONGEST_LINE for line in lines):
        raise ExchangeRefused(f"{piece.path}: has a line of more than {LONGEST_LINE:,} bytes")
    yield from enumerate(lines, start=1)


def where(piece: Piece) -> Path:
    """What a refusal of one of its lines names."""
    return Path(piece.path)


def gossip_line(list_name: str, seq: int, canonical_root: str) -> str:
    """One line to compare with another recipient of the same publisher (4.)."""
    return f"{list_name} {seq} {canonical_root}"


def gossip_of(text: str) -> tuple[str, int, str]:
    """List, number and root of such a line. Raises ExchangeRefused."""
    name, _, rest = text.strip().partition(" ")
    number, _, root = rest.partition(" ")
    try:
        if not _DIGEST.match(root) or not number.isascii() or not number.isdigit() or len(number) > 15:
            raise ValueError
        return check_list_name(name), int(number), root
    except ValueError:
        raise ExchangeRefused("a line is not: list, number, root of 64 hex digits") from None
