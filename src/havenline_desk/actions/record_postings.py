"""Record what an import read: files, fingerprints, items, where they were seen, and what could not be read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from havenline.scan import Scanned

from havenline.formats.manifest import Manifest, ManifestRow, PostingKind

from .. import evidence
from ..models import (
    File,
    Import,
    ImportProblem,
    Item,
    ItemKind,
    ItemState,
    Location,
    PerceptualHash,
    Report,
)


def record_postings(
    taken_in: Import, scanned: Sequence[Scanned], *, rows: Mapping[str, ManifestRow], at: dt.datetime
) -> None:
    """Append one batch inside the caller's transaction; what is there already stays as it is."""
    for posting in scanned:
        if posting.refused is not None:
            _problem(taken_in, posting.path, posting.refused.reason.value, posting.refused.detail)
            continue
        assert posting.fingerprint is not None or posting.known_sha256 is not None
        file = _file(posting)
        if posting.content is not None and not file.refusal:
            evidence.keep(file, posting.content, at=at)
        row = rows.get(posting.path)
        if row is not None and row.sha256 is not None and row.sha256 != file.sha256:
            _problem(
                taken_in,
                posting.path,
                "manifest_digest",
                f"{posting.path}: the manifest names another SHA-256; the file was taken in with its own",
            )
        _item(taken_in, posting.path, file, row, at=at)


def record_named_without_file(taken_in: Import, manifest: Manifest | None, *, at: dt.datetime) -> None:
    """Items for what the manifest names without a file (links, text), and a problem where a file was expected."""
    if manifest is None:
        return
    present = set(taken_in.items.values_list("path", flat=True)) | set(taken_in.problems.values_list("path", flat=True))
    for row in manifest.rows:
        if row.path in present:
            continue
        if row.kind in {PostingKind.LINK, PostingKind.TEXT, PostingKind.AUDIO}:
            _item(taken_in, row.path, None, row, at=at)
        else:
            _problem(
                taken_in,
                row.path,
                "manifest_no_file",
                f"{row.path}: named in the manifest, but not in the collection; add the file and import again",
            )
    for problem in manifest.problems:
        _problem(taken_in, f"manifest line {problem.line}", "manifest_line", problem.reason)


def _problem(taken_in: Import, path: str, reason: str, detail: str) -> None:
    ImportProblem.objects.get_or_create(import_of=taken_in, path=path, reason=reason, defaults={"detail": detail})


def _file(posting: Scanned) -> File:
    if posting.fingerprint is None:
        return File.objects.get(sha256=posting.known_sha256)
    fingerprint = posting.fingerprint
    file, _ = File.objects.get_or_create(
        sha256=fingerprint.sha256,
        defaults={
            "sha1": fingerprint.sha1,
            "md5": fingerprint.md5,
            "size": fingerprint.size,
            "media_type": fingerprint.media_type or "",
            "width": fingerprint.width,
            "height": fingerprint.height,
            "refusal": fingerprint.refusal.reason.value if fingerprint.refusal else "",
            "refusal_detail": fingerprint.refusal.detail if fingerprint.refusal else "",
        },
    )
    if fingerprint.pdq is not None:
        PerceptualHash.objects.get_or_create(
            file=file,
            pipeline=fingerprint.pipeline,
            defaults={"pdq": fingerprint.pdq, "quality": fingerprint.pdq_quality},
        )
    return file


def _item(taken_in: Import, path: str, file: File | None, row: ManifestRow | None, *, at: dt.datetime) -> None:
    item, made = Item.objects.get_or_create(
        investigation=taken_in.investigation,
        collection=taken_in.collection,
        path=path,
        file=file,
        defaults={
            "taken_in": taken_in,
            "kind": _kind(file, row),
            "state": _state(file),
            "posted_at": row.posted_at if row is not None else None,
            "imported_at": at,
        },
    )
    if not made:
        return
    report, _ = Report.objects.get_or_create(
        reference=f"{taken_in.investigation.reference}/{taken_in.collection}",
        defaults={"channel": "collection", "received_at": at},
    )
    item.reports.add(report)
    if row is not None and row.url is not None:
        location, _ = Location.objects.get_or_create(
            url=row.url,
            defaults={"service": row.service or "", "host": row.host or "", "country": row.country or ""},
        )
        item.locations.add(location)
        report.locations.add(location)


def _kind(file: File | None, row: ManifestRow | None) -> ItemKind:
    family = file.media_type.split("/")[0] if file is not None else ""
    if family == "image":
        return ItemKind.PICTURE
    if family in {"video", "audio", "text"}:
        return ItemKind(family)
    return ItemKind(row.kind.value) if row is not None and row.kind else ItemKind.UNKNOWN


def _state(file: File | None) -> ItemState:
    if file is None:
        return ItemState.NO_FILE
    if file.refusal:
        return ItemState.NOT_VIEWABLE
    return ItemState.VIEWABLE if hasattr(file, "stored") else ItemState.HASH_ONLY
