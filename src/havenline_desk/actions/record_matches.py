"""Look the files of an investigation up in hash lists and record the leads."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from django.db import transaction

from havenline import vocabulary
from havenline.matching.lists import ListLookup, count_in_shadow
from havenline.vocabulary import PDQ_512, UPRIGHT, EditionRef, Fingerprint, FrameHash, Refusal, Refused

from .. import audit, models
from ..models import AuditAct, File, Investigation, Match, ModelPart, ShadowCount
from .keep_feedback import propose_feedback

AT_ONCE = 1_000
"""Files that are looked up between two notes of how far it is."""


def record_matches(
    investigation: Investigation,
    lists: ListLookup,
    *,
    at: dt.datetime,
    between: Callable[[int, int], None] = lambda done, of: None,
) -> int:
    """Look every file of the investigation up in `lists`; returns how many files have at least one match.

    `between` is called with how many files were looked up, and of how many; what it raises leaves nothing recorded.

    A match that an allow-list marks as mistaken is no lead, and is not recorded. Of lists in shadow the number of files
    that they would match is recorded, and which files is not.
    """
    files = list(
        File.objects.filter(items__investigation=investigation)
        .distinct()
        .prefetch_related("perceptual_hashes", "frame_hashes", "model_digests")
        .order_by("pk")
    )
    asked = [_fingerprint(file) for file in files]
    found: list[list[vocabulary.Match]] = []
    for start in range(0, len(asked), AT_ONCE):
        between(start, len(asked))
        some = lists.lookup(asked[start : start + AT_ONCE], at=at)
        found += [[match for match in matches if not match.allowed] for matches in some]
    _record(investigation, lists, files, asked, found, at=at)
    return sum(bool(matches) for matches in found)


@transaction.atomic
def _record(
    investigation: Investigation,
    lists: ListLookup,
    files: list[File],
    asked: list[Fingerprint],
    found: list[list[vocabulary.Match]],
    *,
    at: dt.datetime,
) -> None:
    ShadowCount.objects.bulk_create(
        ShadowCount(list_name=name, investigation=investigation, files=len(files), matched=matched, counted_at=at)
        for name, matched in count_in_shadow(lists, asked, at=at).items()
    )
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
    # Of bytes that were settled before, in this investigation or another.
    propose_feedback([file.pk for file in files], at=at)


def _edition(ref: EditionRef, *, entries: int, at: dt.datetime) -> models.Edition:
    row, _ = models.Edition.objects.get_or_create(
        list_name=ref.list_name,
        number=ref.number,
        digest=ref.digest,
        defaults={"entries": entries, "first_read_at": at},
    )
    return row


def _fingerprint(file: File) -> Fingerprint:
    """What was recorded of the file, as far as lists can be asked with it."""
    hashes = {each.pipeline: each for each in file.perceptual_hashes.all()}
    stored = next((name for name in hashes if name != PDQ_512 and not name.endswith(UPRIGHT)), "")
    full, reduced = hashes.get(stored), hashes.get(PDQ_512)
    upright = {name: each.pdq for name, each in hashes.items() if name.endswith(UPRIGHT)}
    frames: dict[bool, list[FrameHash]] = {False: [], True: []}
    for each in file.frame_hashes.all():
        frames[each.upright].append(FrameHash(each.second, each.pdq, each.quality))
    parts = {each.part: each.sha256 for each in file.model_digests.all()}
    return Fingerprint(
        md5=file.md5,
        sha1=file.sha1,
        sha256=file.sha256,
        size=file.size,
        pdq=full.pdq if full else None,
        pdq_quality=full.quality if full else None,
        pipeline=full.pipeline if full else None,
        pdq_512=reduced.pdq if reduced else None,
        pdq_512_quality=reduced.quality if reduced else None,
        pdq_upright=upright.get(stored + UPRIGHT),
        pdq_512_upright=upright.get(PDQ_512 + UPRIGHT),
        frames=tuple(sorted(frames[False])),
        frames_upright=tuple(sorted(frames[True])),
        model_body=parts.get(ModelPart.BODY),
        model_tensors=parts.get(ModelPart.TENSORS),
        refusal=None if full or frames[False] else _why_none(file),
    )


def _why_none(file: File) -> Refused:
    """Why a file has no perceptual hash: it was refused, or its hashes went when it was cleared of suspicion."""
    if file.refusal:
        return Refused(Refusal(file.refusal), file.refusal_detail)
    return Refused(Refusal.UNREADABLE, "its perceptual hashes were removed when it was cleared")
