"""Where editions of this house's lists lie, what stands in them, and the live lists that are made of them.

Nothing is written to the database here.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import FilteredRelation, Q

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
    pdq, quality = (None, None) if whole is None else (whole.pdq, whole.quality)
    return _values(known, algorithms, pdq, quality)


def _values(
    known: Mapping[str, str], algorithms: Sequence[str], pdq: str | None, quality: int | None
) -> tuple[dict[str, str], int | None]:
    values = {name: known[name] for name in ALGORITHMS if name in algorithms and known.get(name)}
    if "pdq" not in algorithms or pdq is None:
        return values, None
    return {**values, "pdq": pdq}, quality


def entries_in_force(house_list: HouseList) -> Iterator[Entry]:
    """What the next edition of the list would hold, in no order: released and not withdrawn."""
    rows = ReleasedEntry.objects.filter(list=house_list, withdrawal=None).annotate(
        whole=FilteredRelation("file__perceptual_hashes", condition=Q(file__perceptual_hashes__pipeline=PDQ_FULL))
    )
    fields = ("algorithms", *_SAID, "file__sha256", "file__sha1", "file__md5", "whole__pdq", "whole__quality")
    # Columns in place of objects: a list may have a million entries.
    for algorithms, *row in rows.order_by("pk").values_list(*fields).iterator(chunk_size=2000):
        *said, sha256, sha1, md5, pdq, told = row
        values, quality = _values({"sha256": sha256, "sha1": sha1, "md5": md5}, algorithms, pdq, told)
        yield _entry_of(said, house_list, values, quality)


def withdrawn_since(edition: PublishedEdition) -> frozenset[str]:
    """Ids of entries of the list that are withdrawn and stand in the edition all the same, or in none."""
    rows = Withdrawal.objects.filter(
        Q(first_number=None) | Q(first_number__gt=edition.number), entry__list=edition.list
    )
    return frozenset(rows.values_list("entry__entry", flat=True))


def entry_of_canary(canary: Canary) -> Entry:
    said = [getattr(canary, name) for name in _SAID]
    return _entry_of(said, canary.list, dict(canary.values), canary.quality)


_SAID = ("entry", "framework", "framework_version", "code", "assessments", "mark", "released_at")
"""What released entries and canaries say of themselves alike, so that nobody tells them apart."""


def _entry_of(said: Sequence[Any], house_list: HouseList, values: Mapping[str, str], quality: int | None) -> Entry:
    entry, framework, version, code, assessments, mark, released_at = said
    return Entry(
        entry=entry,
        values=values,
        quality=quality,
        kind=ListKind(house_list.kind),
        framework=framework,
        version=version,
        code=code,
        assessments=assessments,
        mark=mark,
        released=whole_seconds(released_at),
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
