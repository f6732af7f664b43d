"""Where editions of this house's lists lie, and what stands in them. Nothing is written to the database here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db.models import Prefetch

from havenline.formats.edition import ALGORITHMS, Entry, ListKind
from havenline.vocabulary import PDQ_FULL

from .models import Canary, File, HouseList, PerceptualHash, PublishedEdition, ReleasedEntry


def folder_of_list(house_list: HouseList) -> Path:
    return Path(settings.HOME) / "editions" / house_list.name


def folder_of(edition: PublishedEdition) -> Path:
    """The folder of a published edition, for `havenline.formats.edition`. Not checked: that it is there."""
    return folder_of_list(edition.list) / str(edition.number)


def values_of(file: File, algorithms: list[str]) -> tuple[dict[str, str], int | None]:
    """Those values of a file, and the quality of its PDQ where that is among them and still kept."""
    known = {"sha256": file.sha256, "sha1": file.sha1, "md5": file.md5}
    values = {name: known[name] for name in ALGORITHMS if name in algorithms and known.get(name)}
    whole = file.perceptual_hash
    if "pdq" not in algorithms or whole is None:
        return values, None
    return {**values, "pdq": whole.pdq}, whole.quality


def entries_in_force(house_list: HouseList) -> Iterator[Entry]:
    """What the next edition of the list would hold, in no order: released and not withdrawn."""
    whole = PerceptualHash.objects.filter(pipeline=PDQ_FULL)
    rows = ReleasedEntry.objects.filter(list=house_list, withdrawal=None).select_related("file")
    rows = rows.prefetch_related(Prefetch("file__perceptual_hashes", queryset=whole))
    for row in rows.order_by("pk").iterator(chunk_size=2000):
        values, quality = values_of(row.file, row.algorithms)
        yield Entry(
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


def entry_of_canary(canary: Canary) -> Entry:
    return Entry(
        entry=canary.entry,
        values=dict(canary.values),
        quality=canary.quality,
        kind=ListKind(canary.list.kind),
        framework=canary.framework,
        version=canary.framework_version,
        code=canary.code,
        assessments=canary.assessments,
        mark=canary.mark,
        released=whole_seconds(canary.released_at),
    )


def whole_seconds(at: dt.datetime) -> dt.datetime:
    """`at` in UTC, without parts of a second, as an edition tells times."""
    return at.astimezone(dt.UTC).replace(microsecond=0)
