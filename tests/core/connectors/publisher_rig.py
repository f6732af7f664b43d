"""A publisher of signed lists and a recipient of one, in two folders, with a clock that the tests turn."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner, SSlibKey
from tests.core.connectors.rig import digest
from tuf.api.metadata import Metadata, Targets

from havenline.connectors import publishers
from havenline.connectors.alarms import Alarm, standing_alarm
from havenline.connectors.exchange import Exchange, Fetched
from havenline.connectors.havenline.pinned import hear
from havenline.connectors.publishers import NewPublisher
from havenline.connectors.sealed import make_key
from havenline.connectors.stages import Stage
from havenline.formats.edition import Entry, ListKind, write_edition
from havenline.matching.live import LiveLists
from havenline.repository.publishing import Repository
from havenline.repository.staging import Feed, recipients_of, stage
from havenline.vocabulary import Fingerprint
from havenline.whole_file import write_whole

START = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
LIST, THEIRS = "house-list", "of-partner"


def value_of(number: int) -> str:
    return digest("sha256", number)


def entry(number: int) -> Entry:
    """A released entry that belongs to the number alone."""
    return Entry(
        entry=hashlib.sha256(f"entry {number}".encode()).hexdigest()[:32],
        values={"sha256": value_of(number), "pdq": digest("pdq", number)},
        quality=90,
        kind=ListKind.CSAM,
        framework="demo",
        version="1",
        code="",
        assessments=2,
        mark="",
        released=START,
    )


def canaries(name: str) -> list[Entry]:
    made = [entry(int.from_bytes(hashlib.sha256(f"{name} {i}".encode()).digest()[:6], "big")) for i in range(4)]
    return sorted(made, key=lambda each: each.entry)


class House:
    """A publisher with three people, two of whom sign; their keys have no passphrase here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.people = [CryptoSigner.generate_ed25519() for _ in range(3)]
        self.repository = Repository(folder / "repository")
        self.public = folder / "repository" / "public"
        self.keys: dict[str, str] = {}
        self.number = 0
        self.repository.init("A house", "six_or_more", root=self.publics(), targets=self.publics(), at=START)
        self.sign("root", self.people[:2])
        self.repository.publish(at=START)

    def publics(self) -> list[SSlibKey]:
        return [each.public_key for each in self.people]

    @property
    def root(self) -> bytes:
        return (self.public / "metadata" / "1.root.json").read_bytes()

    def edition(self, numbers: Iterable[int], *, empty_file: bool = False) -> None:
        """Write the next edition of the list, with these entries in force, and one of the digest of no bytes."""
        more = [replace(entry(-1), values={"sha256": hashlib.sha256().hexdigest()}, quality=None)] if empty_file else []
        editions = self.folder / "editions" / LIST
        write_edition(
            editions,
            list_name=LIST,
            kind=ListKind.CSAM,
            entries=[*more, *map(entry, numbers)],
            previous=editions / str(self.number) if self.number else None,
            made_at=START,
        )
        self.number += 1

    def feeds(self) -> list[Feed]:
        editions = self.folder / "editions" / LIST
        return [Feed(name, key, LIST, editions, self.number, canaries(name)) for name, key in self.keys.items()]

    def sign(self, role: str, people: Sequence[CryptoSigner]) -> None:
        path = self.repository.staged / f"{role}.json"
        for person in people:
            signature = person.sign(Metadata.from_file(str(path)).signed_bytes)
            path.with_name(f"{role}.{signature.keyid}.sig").write_text(json.dumps(signature.to_dict()))

    def stage(self, at: dt.datetime, feeds: Sequence[Feed] | None = None) -> None:
        stage(self.repository, self.feeds() if feeds is None else feeds, at=at)

    def publish(self, at: dt.datetime, feeds: Sequence[Feed] | None = None) -> None:
        self.stage(at, feeds)
        self.sign("targets", self.people[:2])
        self.repository.publish(at=at)

    def publish_altered(self, at: dt.datetime, alter: Callable[[Targets], None]) -> None:
        """As a publisher would whose people sign whatever stands there."""
        self.stage(at)
        path = self.repository.staged / "targets.json"
        metadata: Metadata[Targets] = Metadata.from_file(str(path))
        alter(metadata.signed)
        path.write_bytes(metadata.to_bytes())
        self.sign("targets", self.people[:2])
        self.repository.publish(at=at)

    def recipient(self, name: str) -> str:
        return recipients_of(self.repository)[name]


@dataclass
class Partner:
    """An installation that follows the list; `folder` can be copied while it is closed."""

    folder: Path
    name: str = "partner-b"

    @property
    def exchange(self) -> Path:
        return self.folder / "exchange"

    @property
    def key(self) -> Path:
        return self.folder / "exchange.key"

    @property
    def identity(self) -> Path:
        return self.folder / "identity.key"

    def greet(self, house: House) -> None:
        """Make keys, and give the public one to the house."""
        self.folder.mkdir(parents=True)
        make_key(self.key)
        house.keys[self.name] = publishers.make_identity(self.identity)

    def add(
        self, house: House, place: str | None = None, *, ca_file: str | None = None, their_list: str = LIST
    ) -> None:
        new = NewPublisher(
            place or house.public.as_uri(),
            house.root,
            house.recipient(self.name),
            their_list,
            ListKind.CSAM,
            THEIRS,
            ca_file,
        )
        added = publishers.add_publisher(self.exchange, new, identity=self.identity, key=self.key)
        for person in ("first", "second"):
            hear(self.exchange, person=person, fingerprint=added.fingerprint, at=START)
        self.activate()

    def activate(self) -> None:
        """End the shadow at once; what it does is tested with every kind of partner."""
        opened = Exchange(self.exchange)
        opened.store.set_stage(Stage.ACTIVE, at=START)
        opened.enforce(at=START)
        opened.close()

    def fetch(
        self,
        at: dt.datetime,
        *,
        from_folder: Path | None = None,
        accept_growth: bool = False,
        resync: bool = False,
    ) -> Fetched:
        opened = Exchange(self.exchange)
        try:
            connector = opened.connector(self.key, from_folder=from_folder, accept_growth=accept_growth)
            return opened.fetch(connector, at=at, resync=resync)
        finally:
            opened.close()

    def revoke(self, at: dt.datetime) -> int:
        opened = Exchange(self.exchange)
        try:
            return opened.revoke(at=at)
        finally:
            opened.close()

    def copied(self, to: Path) -> Partner:
        """Everything that it has, anew: what one attack leaves must not help or hinder the next."""
        shutil.copytree(self.folder, to, symlinks=True)
        return replace(self, folder=to)

    def alarm(self) -> Alarm | None:
        return standing_alarm(self.exchange)

    def checkpoint(self) -> Any:
        opened = Exchange(self.exchange)
        try:
            return opened.store.checkpoint
        finally:
            opened.close()

    def found(self, numbers: Iterable[int], *, at: dt.datetime) -> set[int]:
        """Which of these a lookup finds, as another process would ask the live list."""
        asked = list(numbers)
        prints = [
            Fingerprint(
                md5="5e" * 16,
                sha1="5e" * 20,
                sha256=value_of(number),
                size=1,
                width=8,
                height=8,
                pdq="c3" * 32,
                pdq_quality=100,
                pipeline="pdq-full/1",
            )
            for number in asked
        ]
        matches = LiveLists.open(self.exchange / "live").current().lookup(prints, at=at)
        return {number for number, found in zip(asked, matches, strict=True) if found}


def rewritten(path: Path, content: bytes) -> None:
    with write_whole(path, replace=True) as file:
        file.write(content)
