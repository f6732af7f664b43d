"""Where editions of this house's lists lie, what stands in them, and the live lists that are made of them.

Nothing is written to the database here.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.models import Prefetch, Q

from havenline.entries import Entries
from havenline.formats.edition import ALGORITHMS, Entry, ListKind, place_edition, read_lines
from havenline.matching import Edition
from havenline.matching.live import CURRENT, ChangeRefused, LiveLists
from havenline.vocabulary import PDQ_FULL, EditionRef

from .models import Canary, File, HouseList, PerceptualHash, PublishedEdition, ReleasedEntry, Withdrawal

_LOCK_SPACE = 0x484C


def folder_of_list(house_list: HouseList) -> Path:
    return Path(settings.HOME) / "editions" / house_list.name


def folder_of(edition: PublishedEdition) -> Path:
    """The folder of a published edition, for `havenline.formats.edition`. Not checked: that it is there."""
    return folder_of_list(edition.list) / str(edition.number)


def values_of(file: File, algorithms: Sequence[str], whole: PerceptualHash | None) -> tuple[dict[str, str], int | None]:
    """Those values of a file, and the quality of its PDQ, `whole`, where that is among them and still kept."""
    known = {"sha256": file.sha256, "sha1": file.sha1, "md5": file.md5}
    values = {name: known[name] for name in ALGORITHMS if name in algorithms and known.get(name)}
    if "pdq" not in algorithms or whole is None:
        return values, None
    return {**values, "pdq": whole.pdq}, whole.quality


def entries_in_force(house_list: HouseList) -> Iterator[Entry]:
    """What the next edition of the list would hold, in no order: released and not withdrawn."""
    whole = PerceptualHash.objects.filter(pipeline=PDQ_FULL)
    rows = ReleasedEntry.objects.filter(list=house_list, withdrawal=None).select_related("file")
    rows = rows.prefetch_related(Prefetch("file__perceptual_hashes", queryset=whole))
    for row in rows.order_by("pk").iterator(chunk_size=2000):
        values, quality = values_of(row.file, row.algorithms, row.file.perceptual_hash)
        yield _entry_of(row, house_list, values, quality)


def withdrawn_since(edition: PublishedEdition) -> frozenset[str]:
    """Ids of entries of the list that are withdrawn and stand in the edition all the same, or in none."""
    rows = Withdrawal.objects.filter(
        Q(first_number=None) | Q(first_number__gt=edition.number), entry__list=edition.list
    )
    return frozenset(rows.values_list("entry__entry", flat=True))


def entry_of_canary(canary: Canary) -> Entry:
    return _entry_of(canary, canary.list, dict(canary.values), canary.quality)


def _entry_of(
    row: ReleasedEntry | Canary, house_list: HouseList, values: Mapping[str, str], quality: int | None
) -> Entry:
    """A canary says of itself what a released entry does, so that nobody tells them apart."""
    return Entry(
        entry=row.entry,
        values=values,
        quality=quality,
        kind=ListKind(house_list.kind),
        framework=row.framework,
        version=row.framework_version,
        code=row.code,
        assessments=row.assessments,
        mark=row.mark,
        released=whole_seconds(row.released_at),
    )


def whole_seconds(at: dt.datetime) -> dt.datetime:
    """`at` in UTC, without parts of a second, as an edition tells times."""
    return at.astimezone(dt.UTC).replace(microsecond=0)


def live_folder() -> Path:
    """Where this house's own lists are looked up in: live lists, for `matchd` and for imports."""
    return Path(settings.HOUSE_LISTS or Path(settings.HOME) / "house-lists")


def made_live_folder() -> Path:
    """As `live_folder`, with live lists in it that may be empty, so that a `matchd` can hold them from the start."""
    folder = live_folder()
    if not (folder / CURRENT).exists():
        with contextlib.suppress(ChangeRefused):  # another process has just made it
            LiveLists.create(folder)
    return folder


def looked_up_in() -> list[str]:
    """What an import is looked up in beside a `matchd`: the lists that are set up, and this house's own."""
    own = os.fspath(live_folder())
    has_some = (live_folder() / CURRENT).exists() and own not in settings.LISTS
    return [*settings.LISTS, *([own] if has_some else [])]


def place(edition: PublishedEdition) -> Path:
    """Give a recorded edition its place where it is staged still; raises EditionRefused where it is gone."""
    return place_edition(folder_of_list(edition.list), edition.number, edition.digest)


def bring_up(house_list: HouseList, *, at: dt.datetime, number: int | None = None) -> bool:
    """Let the live list be what is recorded: withdrawals first, then the newest edition, or edition `number`.

    Returns whether anything had to be changed. Withdrawn is withdrawn, whichever edition is read after it. Safe to
    call again and at any time. Raises EditionRefused, ChangeRefused, LiveListsDamaged, OSError; what was done holds.
    """
    live = LiveLists.open(made_live_folder())
    gone = Withdrawal.objects.filter(entry__list=house_list).values_list("entry__entry", flat=True)
    missing = sorted(set(gone) - live.withdrawn(house_list.name))
    if missing:
        live.change(withdraw={house_list.name: missing}, at=at)
    rows = PublishedEdition.objects.filter(list=house_list).select_related("list").order_by("-number")
    wanted = (rows if number is None else rows.filter(number=number)).first()
    held = [head.ref.number for head in live.current().heads if head.ref.list_name == house_list.name]
    if wanted is None or (number is None and held and max(held) >= wanted.number):
        return bool(missing)
    _, entries = read_lines(place(wanted))
    columns = Entries.of(each.listed() for each, _ in entries)
    live.publish(Edition(EditionRef(house_list.name, wanted.number, columns.digest()), columns))
    return True


def alone(house_list: HouseList) -> None:
    """Wait until no other transaction changes that list, until this one ends. Taken before the first audit entry."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK_SPACE, house_list.pk])
