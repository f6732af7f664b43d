"""A signed list between two installations: write the edition, seal it, follow it to a lookup; then a change.

Run it with `./dev bench signed`. A publisher and a recipient in two folders, over the folder that a stick would carry;
entries are drawn: SHA-256 and PDQ, both random. Timed are the edition, the sealing for one recipient with its canaries,
and from the pinned root on everything that following does: verify, open, check each line, screen, keep, publish, until
the live list opened anew finds the last entry. Then an edition with `--changes` entries fewer and as many more. Asked:
a million entries followed in 60 s, a change in 5 s. No peer signs lists that a recipient verifies, so none stands
beside it. Times are by the clock, one run, with the processor time behind them. Loops are compiled before.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata

from havenline.connectors import publishers
from havenline.connectors.exchange import Exchange
from havenline.connectors.havenline.pinned import hear
from havenline.connectors.publishers import NewPublisher
from havenline.connectors.sealed import make_key
from havenline.connectors.stages import Stage
from havenline.formats.edition import Entry, ListKind, write_edition
from havenline.matching import kernels
from havenline.matching.live import LiveLists
from havenline.repository.publishing import Repository
from havenline.repository.staging import Feed, recipients_of, stage
from havenline.vocabulary import Fingerprint

AT = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
NAME = "house-list"
ASKED, ASKED_OF_CHANGES = 60, 5


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def entry(number: int) -> Entry:
    """An entry that belongs to the number alone."""
    values = {"sha256": digest(f"sha256 {number}"), "pdq": digest(f"pdq {number}")}
    return Entry(digest(f"entry {number}")[:32], values, 90, ListKind.CSAM, "demo", "1", "", 2, "", AT)


class House:
    """A publisher with three people, two of whom sign, and one partner."""

    def __init__(self, folder: Path, key: str) -> None:
        self.editions, self.key, self.number = folder / "editions", key, 0
        self.people = [CryptoSigner.generate_ed25519() for _ in range(3)]
        self.repository = Repository(folder / "repository")
        publics = [each.public_key for each in self.people]
        self.repository.init("A house", "six_or_more", root=publics, targets=publics, at=AT)
        self.release("root")

    def release(self, role: str) -> None:
        """Have two people sign what waits, and publish it."""
        path = self.repository.staged / f"{role}.json"
        for person in self.people[:2]:
            signature = person.sign(Metadata.from_file(os.fspath(path)).signed_bytes)
            path.with_name(f"{role}.{signature.keyid}.sig").write_text(json.dumps(signature.to_dict()))
        self.repository.publish(at=AT)

    def edition(self, numbers: range) -> None:
        previous = self.editions / str(self.number) if self.number else None
        entries: Iterator[Entry] = map(entry, numbers)
        write_edition(self.editions, list_name=NAME, kind=ListKind.CSAM, entries=entries, previous=previous, made_at=AT)
        self.number += 1

    def seal(self) -> None:
        canaries = sorted((entry(-number) for number in range(1, 5)), key=lambda each: each.entry)
        stage(self.repository, [Feed("partner", self.key, NAME, self.editions, self.number, canaries)], at=AT)
        self.release("targets")


def timed(name: str, count: int, act: Callable[[], object]) -> float:
    began, used = time.perf_counter(), time.process_time()
    act()
    taken, used = time.perf_counter() - began, time.process_time() - used
    print(f"{name:<28} {count:>10,} entries: {taken:6.1f} s ({used:.1f} s of a core)", flush=True)
    return taken


def found(live: Path, number: int) -> bool:
    """Whether a lookup by SHA-256 finds the entry, in the live list opened anew."""
    asked = Fingerprint(md5="5e" * 16, sha1="5e" * 20, sha256=digest(f"sha256 {number}"), size=1, width=8, height=8,
                        pdq="c3" * 32, pdq_quality=100, pipeline="pdq-full/1")  # fmt: skip
    (matches,) = LiveLists.open(live).current().lookup([asked], at=AT)
    return bool(matches)


def run(folder: Path, count: int, changes: int) -> bool:
    key, identity, place = folder / "key", folder / "identity", folder / "exchange"
    make_key(key)
    house = House(folder / "house", publishers.make_identity(identity))
    timed("writing the edition", count, lambda: house.edition(range(count)))
    timed("sealing it", count, house.seal)
    recipient = recipients_of(house.repository)["partner"]
    root = (house.repository.metadata / "1.root.json").read_bytes()
    public = (folder / "house" / "repository" / "public").as_uri()
    new = NewPublisher(public, root, recipient, NAME, ListKind.CSAM, "of-partner", None)
    added = publishers.add_publisher(place, new, identity=identity, key=key)
    for person in ("first", "second"):
        hear(place, person=person, fingerprint=added.fingerprint, at=AT)
    exchange = Exchange(place)
    exchange.store.set_stage(Stage.ACTIVE, at=AT)  # a new list would be in shadow

    def follow() -> None:
        exchange.fetch(exchange.connector(key), at=AT, threads=2)
        assert found(place / "live", count - 1 if house.number == 1 else count + changes - 1), "the last is not found"

    whole = timed("following it to a lookup", count, follow)
    timed("writing the next edition", count, lambda: house.edition(range(changes, count + changes)))
    timed("sealing it", count, house.seal)
    changed = timed("following the change", 2 * changes, follow)
    assert not found(place / "live", 0), "a withdrawn entry is found"
    exchange.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"at most {peak:,.0f} MiB held, by publisher and recipient in one process")
    met = whole <= ASKED and changed <= ASKED_OF_CHANGES
    print(f"asked: {ASKED} s for a list, {ASKED_OF_CHANGES} s for a change; {'met' if met else 'MISSED'}")
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--changes", type=int, default=500)
    options = parser.parse_args()
    kernels.prepare()
    machine = platform.processor() or platform.machine()
    print(f"{machine}, Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        return 0 if run(Path(folder), options.entries, options.changes) else 1


if __name__ == "__main__":
    raise SystemExit(main())
