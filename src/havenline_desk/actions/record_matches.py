"""Look the files of an investigation up in hash lists and record the leads."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from havenline.matching.lists import ListLookup
from havenline.vocabulary import EditionRef, Fingerprint, Refusal, Refused

from .. import audit, models
from ..models import AuditAct, File, Investigation, Match


@transaction.atomic
def record_matches(investigation: Investigation, lists: ListLookup, *, at: dt.datetime) -> int:
    """Look every file of the investigation up in `lists`; returns how many files have at least one match.

    A match that an allow-list marks as mistaken is no lead, and is not recorded.
    """
    files = list(
        File.objects.filter(items__investigation=investigation)
        .distinct()
        .prefetch_related("perceptual_hashes")
        .order_by("pk")
    )
    found = [
        [match for match in matches if not match.allowed]
        for matches in lists.lookup([_fingerprint(file) for file in files], at=at)
    ]
    counts = {head.ref: head.count for head in lists.heads}
    rows = {ref: _edition(ref, entries=count, at=at) for ref, count in counts.items()}
    for ref in {match.edition for matches in found for match in matches} - counts.keys():
        rows[ref] = _edition(ref, entries=0, at=at)
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
    audit.append(AuditAct.MATCHES_RECORDED, at=at, actor=None, investigation=investigation)
    return sum(bool(matches) for matches in found)


def _edition(ref: EditionRef, *, entries: int, at: dt.datetime) -> models.Edition:
    row, _ = models.Edition.objects.get_or_create(
        list_name=ref.list_name,
        number=ref.number,
        digest=ref.digest,
        defaults={"entries": entries, "first_read_at": at},
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
