"""Trusting another installation: pin its root, hear its fingerprint, compare what it shows with others, let it go."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyrage

from havenline.connectors import exchange as exchanges
from havenline.connectors import sealed
from havenline.connectors.alarms import Distrust, Distrusted, raise_alarm
from havenline.connectors.exchange import Configured, ExchangeError
from havenline.connectors.havenline.held import Seen
from havenline.connectors.havenline.pinned import fingerprint_of, pin
from havenline.formats.edition import ListKind
from havenline.formats.exchange import gossip_line, gossip_of


@dataclass(frozen=True, slots=True)
class Added:
    """`recipient_key`: for the publisher to seal to. `fingerprint`: what it must read over the telephone."""

    fingerprint: str
    recipient_key: str


@dataclass(frozen=True, slots=True)
class NewPublisher:
    """What is known of a publisher beforehand. `place`: its https address, or file:/// and a folder.

    `recipient`: the opaque id that it drew for us; `publishers_list`, `kind`: the list that we opt into.
    """

    place: str
    root: bytes
    recipient: str
    publishers_list: str
    kind: ListKind
    list_name: str
    ca_file: str | None = None


def make_identity(path: Path) -> str:
    """Make the key that publishers seal to, once for this installation, or read it; returns its public half.

    Raises CredentialsRefused, OSError.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        sealed.make_key(path)
    return str(pyrage.x25519.Identity.from_str(sealed.identity_in(path)).to_public())


def add_publisher(folder: Path, new: NewPublisher, *, identity: Path, key: Path) -> Added:
    """Set an exchange up that follows one list of a publisher, once two people have heard its fingerprint.

    Raises ExchangeError, PartnerError, CredentialsRefused, OSError.
    """
    fingerprint = fingerprint_of(new.root)
    settings = {
        "kind": new.kind.value,
        "publishers_list": new.publishers_list,
        "recipient": new.recipient,
        "root_sha256": fingerprint,
    }
    configured = Configured("havenline", new.place, new.list_name, settings, new.ca_file)
    secret = sealed.identity_in(identity)
    if (folder / "exchange.json").exists():
        raise ExchangeError(f"{folder}: there is an exchange already; use another name")
    pin(folder, new.root)
    exchanges.set_up(folder, configured, {"identity": secret}, key=key)
    return Added(fingerprint, str(pyrage.x25519.Identity.from_str(secret).to_public()))


def gossip(folder: Path) -> list[str]:
    """Lines to send to other recipients of the same publisher: which root each edition had here."""
    name = _followed(folder)
    seen = Seen.read(folder / "publisher" / "seen.json")
    return [gossip_line(name, seq, root) for seq, root in sorted(seen.roots.items())]


def compare_gossip(folder: Path, lines: Iterable[str], *, at: dt.datetime) -> int:
    """Compare lines of another recipient with what was seen here; returns how many editions both saw.

    Where an edition has two roots the publisher shows different lists to different partners: the alarm is raised, and
    Distrusted. Also raises ExchangeRefused, PartnerError. Not checked: that the other recipient tells the truth; the
    signed metadata that both keep shows it.
    """
    name, seen = _followed(folder), Seen.read(folder / "publisher" / "seen.json")
    both = 0
    for line in lines:
        if not line.strip():
            continue
        other, seq, root = gossip_of(line)
        if other != name or seq not in seen.roots:
            continue
        both += 1
        if seen.roots[seq] != root:
            why = Distrusted(Distrust.EQUIVOCATION, f"{name}: another recipient was shown another edition {seq}")
            raise_alarm(folder, why, at=at)
            raise why
    return both


def _followed(folder: Path) -> str:
    configured = exchanges.configured_in(folder)
    if not exchanges.KINDS[configured.connector].signed:
        raise ExchangeError(f"{folder}: is no publisher of signed lists")
    return configured.settings["publishers_list"]
