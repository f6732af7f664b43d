"""Record what an import read: files, fingerprints, items, where they were seen, and what could not be read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from havenline.formats.manifest import Manifest, ManifestRow, PostingKind
from havenline.media import kinds
from havenline.scan import Scanned
from havenline.vocabulary import PDQ_FULL

from .. import audit, evidence
from ..models import (
    AuditAct,
    File,
    FrameHash,
    Import,
    ImportProblem,
    Item,
    ItemKind,
    ItemState,
    Location,
    ModelDigest,
    ModelPart,
    PerceptualHash,
    Report,
    Tombstone,
)
from .record_origin import record_origin


@dataclass(frozen=True, slots=True)
class _Problem:
    path: str
    reason: str
    detail: str


def record_postings(
    taken_in: Import,
    scanned: Sequence[Scanned],
    *,
    rows: Mapping[str, ManifestRow],
    keyed_by: str = "",
    at: dt.datetime,
) -> None:
    """Append one batch inside the caller's transaction; what is there already stays as it is.

    `keyed_by`: the name of the key that texts of origin were digested under; none are recorded without one.
    """
    problems = [
        _Problem(post.path, post.refused.reason.value, f"{post.path}: {post.refused.detail}")
        for post in scanned
        if post.refused
    ]
    read = [post for post in scanned if not post.refused]
    files = _files(read)
    lookable = _lookable(files.values())
    if keyed_by:
        record_origin({files[_sha256(post)]: post.signals for post in read if post.fingerprint}, keyed_by, at=at)
    if evidence.storage_declared(at=at):
        kept = {files[_sha256(post)]: post.content for post in read if post.content}
        evidence.keep({file: content for file, content in kept.items() if file.pk in lookable}, at=at)
    named = []
    for post in read:
        row, file = rows.get(post.path), files[_sha256(post)]
        named.append((post.path, file, row))
        if row is not None and row.sha256 not in {None, file.sha256}:
            detail = f"{post.path}: the manifest names another SHA-256; the file was taken in with its own"
            problems.append(_Problem(post.path, "manifest_digest", detail))
    _add_items(taken_in, named, at=at)
    _add_problems(taken_in, problems)
    _log(taken_in, "files", at=at)


def record_named_without_file(taken_in: Import, manifest: Manifest | None, *, at: dt.datetime) -> None:
    """Items for what the manifest names without a file (links, text), and a problem where a file was expected."""
    if manifest is None:
        return
    present = set(taken_in.items.exclude(file=None).values_list("path", flat=True))
    present |= set(taken_in.problems.values_list("path", flat=True))
    absent = [row for row in manifest.rows if row.path not in present]
    fileless = {PostingKind.LINK, PostingKind.TEXT, PostingKind.AUDIO}
    _add_items(taken_in, [(row.path, None, row) for row in absent if row.kind in fileless], at=at)
    problems = [
        _Problem(
            row.path,
            "manifest_no_file",
            f"{row.path}: named in the manifest, but not in the collection; add the file and import again",
        )
        for row in absent
        if row.kind not in fileless
    ]
    problems += [
        _Problem(
            f"manifest line {each.line}", "manifest_line", f"manifest line {each.line}: {each.reason}; passed over"
        )
        for each in manifest.problems
    ]
    _add_problems(taken_in, problems)
    _log(taken_in, "manifest", at=at)


def _log(taken_in: Import, purpose: str, *, at: dt.datetime) -> None:
    audit.append(
        AuditAct.POSTINGS_RECORDED,
        at=at,
        actor=taken_in.imported_by,
        about=taken_in,
        investigation=taken_in.investigation,
        purpose=purpose,
    )


def _sha256(post: Scanned) -> str:
    sha256 = post.fingerprint.sha256 if post.fingerprint is not None else post.known_sha256
    assert sha256 is not None, "a posting that was read has its digest"
    return sha256


def _files(read: Sequence[Scanned]) -> dict[str, File]:
    """The rows of what was read, by SHA-256, with their perceptual hashes; known ones are only looked up."""
    fingerprints = [post.fingerprint for post in read if post.fingerprint is not None]
    File.objects.bulk_create(
        (
            File(
                sha256=each.sha256,
                sha1=each.sha1,
                md5=each.md5,
                size=each.size,
                media_type=each.media_type or "",
                width=each.width,
                height=each.height,
                refusal=each.refusal.reason.value if each.refusal else "",
                refusal_detail=each.refusal.detail if each.refusal else "",
            )
            for each in fingerprints
        ),
        ignore_conflicts=True,
    )
    wanted = {_sha256(post) for post in read}
    files = {file.sha256: file for file in File.objects.filter(sha256__in=wanted)}
    PerceptualHash.objects.bulk_create(
        (
            PerceptualHash(file=files[each.sha256], pipeline=made.pipeline, pdq=made.pdq, quality=made.quality)
            for each in fingerprints
            for made in each.hashes
        ),
        ignore_conflicts=True,
    )
    FrameHash.objects.bulk_create(
        (
            FrameHash(
                file=files[each.sha256], second=frame.second, pdq=frame.pdq, quality=frame.quality, upright=upright
            )
            for each in fingerprints
            for upright, frames in ((False, each.frames), (True, each.frames_upright))
            for frame in frames
        ),
        ignore_conflicts=True,
        batch_size=1000,
    )
    ModelDigest.objects.bulk_create(
        (
            ModelDigest(file=files[each.sha256], part=part, sha256=digest)
            for each in fingerprints
            for part, digest in ((ModelPart.BODY, each.model_body), (ModelPart.TENSORS, each.model_tensors))
            if digest is not None
        ),
        ignore_conflicts=True,
    )
    return files


def _add_items(
    taken_in: Import, named: Sequence[tuple[str, File | None, ManifestRow | None]], *, at: dt.datetime
) -> None:
    if not named:
        return
    files = [file for _, file, _ in named if file is not None]
    kept, lookable = evidence.kept(files), _lookable(files)
    Item.objects.bulk_create(
        (
            Item(
                investigation=taken_in.investigation,
                taken_in=taken_in,
                collection=taken_in.collection,
                path=path,
                file=file,
                kind=_kind(file, row),
                state=_state(file, kept, lookable),
                posted_at=row.posted_at if row is not None else None,
                imported_at=at,
            )
            for path, file, row in named
        ),
        ignore_conflicts=True,
    )
    items = Item.objects.filter(
        investigation=taken_in.investigation,
        collection=taken_in.collection,
        path__in=[path for path, _, _ in named],
    )
    _add_places(taken_in, list(items), {path: row for path, _, row in named if row is not None}, at=at)


def _add_places(taken_in: Import, items: Sequence[Item], rows: Mapping[str, ManifestRow], *, at: dt.datetime) -> None:
    """Tie items to the report that brought them and to the locations the manifest names."""
    report, _ = Report.objects.get_or_create(
        reference=f"{taken_in.investigation.reference}/{taken_in.collection}",
        defaults={"channel": "collection", "received_at": at},
    )
    by_url = {row.url: row for row in rows.values() if row.url is not None}
    Location.objects.bulk_create(
        (
            Location(url=url, service=row.service or "", host=row.host or "", country=row.country or "")
            for url, row in by_url.items()
        ),
        ignore_conflicts=True,
    )
    locations = {location.url: location for location in Location.objects.filter(url__in=by_url)}
    Item.reports.through._default_manager.bulk_create(
        [Item.reports.through(item_id=item.pk, report_id=report.pk) for item in items], ignore_conflicts=True
    )
    placed = [(item, locations[row.url]) for item in items if (row := rows.get(item.path)) and row.url is not None]
    Item.locations.through._default_manager.bulk_create(
        [Item.locations.through(item_id=item.pk, location_id=location.pk) for item, location in placed],
        ignore_conflicts=True,
    )
    Report.locations.through._default_manager.bulk_create(
        [Report.locations.through(report_id=report.pk, location_id=location.pk) for _, location in placed],
        ignore_conflicts=True,
    )


def _add_problems(taken_in: Import, problems: Sequence[_Problem]) -> None:
    ImportProblem.objects.bulk_create(
        (
            ImportProblem(import_of=taken_in, path=each.path, reason=each.reason, detail=each.detail)
            for each in problems
        ),
        ignore_conflicts=True,
    )


def _kind(file: File | None, row: ManifestRow | None) -> ItemKind:
    family = file.media_type.split("/")[0] if file is not None else ""
    if family == "image":
        return ItemKind.PICTURE
    if family in {"video", "audio", "text"}:
        return ItemKind(family)
    return ItemKind(row.kind.value) if row is not None and row.kind else ItemKind.UNKNOWN


def _lookable(files: Iterable[File]) -> frozenset[int]:
    """Which of the files were decoded whole as pictures, or as films frame by frame, by primary key: nothing else can
    be looked at."""
    files = list(files)
    wanted, films = [file.pk for file in files], [file.pk for file in files if file.media_type in kinds.FILMS]
    hashed = [
        *PerceptualHash.objects.filter(file__in=wanted, pipeline=PDQ_FULL).values_list("file_id", flat=True),
        *FrameHash.objects.filter(file__in=films).values_list("file_id", flat=True).distinct(),
    ]
    cleared = Tombstone.objects.filter(stored__file__in=wanted, hashes_removed=True)
    return frozenset((*hashed, *cleared.values_list("stored__file_id", flat=True)))


def _state(file: File | None, kept: Collection[int], lookable: Collection[int]) -> ItemState:
    if file is None:
        return ItemState.NO_FILE
    if file.pk not in lookable:
        return ItemState.NOT_VIEWABLE
    return ItemState.VIEWABLE if file.pk in kept else ItemState.HASH_ONLY
