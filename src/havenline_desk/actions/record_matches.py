"""Look the files of an investigation up in editions of hash lists and record the leads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django.db import transaction

from havenline.matching.lists import Edition, ListIndex
from havenline.vocabulary import EditionRef, Fingerprint, Refusal, Refused

from .. import models
from ..models import File, Investigation, Match


@transaction.atomic
def record_matches(investigation: Investigation, editions: Sequence[Edition], *, at: dt.datetime) -> int:
    """Match every file of the investigation against `editions`; returns how many files have at least one match."""
    if not editions:
        return 0
    rows = {edition.ref: _edition(edition, at=at) for edition in editions}
    files = list(
        File.objects.filter(items__investigation=investigation)
        .distinct()
        .prefetch_related("perceptual_hashes")
        .order_by("pk")
    )
    found = ListIndex.build(editions).lookup([_fingerprint(file) for file in files])
    Match.objects.bulk_create(
        (
            Match(
                file=file,
                edition=rows[match.edition],
                entry=match.entry,
                kind=match.kind.value,
                distance=match.distance,
                found_at=at,
            )
            for file, matches in zip(files, found, strict=True)
            for match in matches
        ),
        ignore_conflicts=True,
    )
    return sum(bool(matches) for matches in found)


def _edition(edition: Edition, *, at: dt.datetime) -> models.Edition:
    ref: EditionRef = edition.ref
    row, _ = models.Edition.objects.get_or_create(
        list_name=ref.list_name,
        number=ref.number,
        digest=ref.digest,
        defaults={"entries": len(edition.entries), "first_read_at": at},
    )
    return row


def _fingerprint(file: File) -> Fingerprint:
    hashed = file.perceptual_hash
    return Fingerprint(
        md5=file.md5,
        sha1=file.sha1,
        sha256=file.sha256,
        size=file.size,
        pdq=hashed.pdq if hashed else None,
        pdq_quality=hashed.quality if hashed else None,
        pipeline=hashed.pipeline if hashed else None,
        refusal=None if hashed else Refused(Refusal(file.refusal), file.refusal_detail),
    )
