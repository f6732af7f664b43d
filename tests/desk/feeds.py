"""A partner, a list with editions of it, a subscription and canaries: rows and files as acts of release make them."""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from havenline.formats.edition import Entry, ListKind, write_edition
from havenline.vocabulary import PDQ_FULL
from havenline_desk import editions
from havenline_desk.actions.export_list_file import export_list_file
from havenline_desk.actions.keep_feed_credentials import end_feed_credential, make_feed_credential
from havenline_desk.actions.record_feed_vote import record_feed_vote
from havenline_desk.actions.review_entries import record_entry_finding
from havenline_desk.actions.take_feed_step import take_feed_step
from havenline_desk.models import (
    Canary,
    Door,
    EntryReview,
    EntryVerdict,
    File,
    HouseList,
    Outcome,
    Partner,
    PerceptualHash,
    Person,
    PublishedEdition,
    ReleasedEntry,
    Subscription,
    VoteReason,
    Withdrawal,
)

from . import factories as make


def value(kind: str, number: int) -> str:
    """A value of that kind that belongs to the number alone."""
    length = {"md5": 32, "sha1": 40, "sha256": 64, "pdq": 64}[kind]
    return hashlib.sha256(f"feed {kind} {number}".encode()).hexdigest()[:length]


def name_of(number: int) -> str:
    """The id of an entry: in no order that the number tells."""
    return hashlib.sha256(f"entry {number}".encode()).hexdigest()[:32]


def partner(slug: str, *, at: dt.datetime) -> Partner:
    return Partner.objects.create(slug=slug, name=slug.title(), purpose="agreement 4", enrolled_at=at)


def house_list(name: str, *, made_by: Person, at: dt.datetime) -> HouseList:
    return HouseList.objects.create(name=name, kind=ListKind.CSAM, made_by=made_by, made_at=at)


def release(
    listed: HouseList,
    numbers: Sequence[int],
    *,
    at: dt.datetime,
    algorithms: Sequence[str] = ("sha256", "sha1", "md5", "pdq"),
    pdq: str | None = None,
    framework: str = "demo.shapes",
    code: str = "A",
) -> list[ReleasedEntry]:
    """Released entries of as many files, which no edition has yet."""
    outcome, proposal = Outcome.objects.order_by("pk")[0], make.proposal_of(listed.made_by, at=at)
    made = []
    for number in numbers:
        file = File.objects.create(**{kind: value(kind, number) for kind in ("sha256", "sha1", "md5")}, size=1)
        if "pdq" in algorithms:
            PerceptualHash.objects.create(file=file, pipeline=PDQ_FULL, pdq=pdq or value("pdq", number), quality=90)
        made.append(
            ReleasedEntry.objects.create(
                list=listed,
                entry=name_of(number),
                file=file,
                outcome=outcome,
                algorithms=list(algorithms),
                framework=framework,
                framework_version="1",
                code=code,
                assessments=2,
                proposal=proposal,
                released_at=at,
            )
        )
    return made


def withdraw(entry: ReleasedEntry, *, at: dt.datetime) -> Withdrawal:
    return Withdrawal.objects.create(entry=entry, reason="error", person=entry.list.made_by, withdrawn_at=at)


def publish(listed: HouseList, *, at: dt.datetime) -> PublishedEdition:
    """The next edition: what is released and not withdrawn."""
    folder, last = editions.folder_of_list(listed), listed.editions.order_by("-number").first()
    made = write_edition(
        folder,
        list_name=listed.name,
        kind=ListKind(listed.kind),
        entries=editions.entries_in_force(listed),
        previous=None if last is None else editions.folder_of(last),
        made_at=at,
    )
    listed.released.filter(first_number=None, withdrawal=None).update(first_number=made.number)
    Withdrawal.objects.filter(entry__list=listed, first_number=None).update(first_number=made.number)
    return PublishedEdition.objects.create(
        list=listed,
        number=made.number,
        digest=made.digest,
        root=made.root,
        entries=made.entries,
        added=made.added,
        withdrawn=made.withdrawn,
        published_by=listed.made_by,
        made_at=at,
    )


def subscribe(
    who: Partner, listed: HouseList, *, at: dt.datetime, door: Door = Door.NCMEC, canaries: int = 2
) -> Subscription:
    """A subscription, and the canaries of that partner in that list where it has none yet."""
    if not Canary.objects.filter(partner=who, list=listed).exists():
        for number in range(canaries):
            digest = hashlib.sha256(f"canary {who.slug} {listed.name} {number}".encode()).hexdigest()
            Canary.objects.create(
                partner=who,
                list=listed,
                entry=digest[:32],
                values={"pdq": digest},
                quality=88,
                framework="demo.shapes",
                framework_version="1",
                code="A",
                assessments=2,
                released_at=at,
                made_at=at,
            )
    return Subscription.objects.create(partner=who, list=listed, door=door, opened_by=listed.made_by, opened_at=at)


def held(listed: HouseList) -> dict[str, Entry]:
    """What stands in the newest edition, by id."""
    from havenline.formats.edition import read_edition

    newest = listed.editions.order_by("-number")[0]
    return {each.entry: each for each in read_edition(editions.folder_of(newest))[1]}


def feeding(home: Path, *, at: dt.datetime) -> Iterator[Callable[[], object]]:
    """Steps of a run of work: a partner gets its password and an edition, votes, and is cut off."""

    def who() -> Person:
        return Person.objects.get(name="liaison")

    def reviewer() -> Person:
        return Person.objects.get(name="senior")

    def there(door: Door = Door.NCMEC) -> Subscription:
        found = Subscription.objects.filter(partner__slug="feed-north", door=door).first()
        if found is not None:
            return found
        if door is Door.FILE:
            first = there()
            return subscribe(first.partner, first.list, at=at, door=door)
        listed = house_list("feed-list", made_by=who(), at=at)
        release(listed, [1], at=at)
        subscription = subscribe(partner("feed-north", at=at), listed, at=at)
        publish(listed, at=at)
        return subscription

    yield lambda: make_feed_credential(there().partner, made_by=who(), at=at)
    yield lambda: take_feed_step(there(), at=at)
    yield lambda: record_feed_vote(there(), name_of(1), fingerprint="pdq", against=VoteReason.ADULT, at=at)
    yield lambda: export_list_file(
        there(Door.FILE).partner,
        "feed-list",
        home / f"feed-{time.monotonic_ns()}",
        version="2.0",
        model="US",
        categories={},
        by=who(),
        at=at,
    )
    yield lambda: record_entry_finding(EntryReview.objects.get(), EntryVerdict.STANDS, person=reviewer(), at=at)
    yield lambda: end_feed_credential(there().partner, ended_by=who(), at=at)
