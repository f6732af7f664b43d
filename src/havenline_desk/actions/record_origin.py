"""Record what files say of their own origin: keyed digests and closed words, never a text of a file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from havenline.provenance import Signal

from ..models import File, OriginReading, OriginSignal


def record_origin(said: Mapping[File, tuple[Signal, ...] | None], keyed_by: str, *, at: dt.datetime) -> None:
    """Append the readings of files that have none yet, inside the caller's transaction; None: no reader could.

    `keyed_by` names the key of the digests. Nothing that orders or assigns work reads what is recorded here.
    """
    files = {file.pk: file for file in said}
    known = set(OriginReading.objects.filter(file__in=files).values_list("file_id", flat=True))
    OriginReading.objects.bulk_create(
        (
            OriginReading(file=file, could_be_read=signals is not None, keyed_by=keyed_by, read_at=at)
            for file, signals in said.items()
            if file.pk not in known
        ),
        ignore_conflicts=True,
    )
    readings = OriginReading.objects.filter(file__in=files.keys() - known)
    OriginSignal.objects.bulk_create(
        (
            OriginSignal(
                reading=reading,
                place=place,
                kind=each.kind.value,
                location=each.location,
                strength=each.strength.value,
                reader=each.reader,
                length=each.length,
                digest=each.digest or "",
                value=each.value or "",
                inferred=each.inferred,
            )
            for reading in readings
            for place, each in enumerate(said[files[reading.file_id]] or ())
        ),
        ignore_conflicts=True,
        batch_size=1000,
    )
