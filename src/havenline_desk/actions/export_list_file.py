"""Write a published list as a file in the form of Project VIC, for one partner that subscribed to it by that door."""

from __future__ import annotations

import datetime as dt
import hashlib
import heapq
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, cast

from django.db import transaction

from havenline.formats.edition import Entry, read_edition
from havenline.formats.vics import write_vics
from havenline.vocabulary import HavenlineError
from havenline.whole_file import write_whole

from .. import audit, gates
from ..editions import entry_of_canary, folder_of, withdrawn_since
from ..models import AuditAct, Canary, Door, ExportedFile, Partner, Person, PublishedEdition, Subscription


class ExportRefused(HavenlineError):
    """No file was written; the text says why."""


def export_list_file(
    partner: Partner,
    list_name: str,
    path: Path,
    *,
    version: str,
    model: str,
    categories: Mapping[str, int],
    by: Person,
    at: dt.datetime,
) -> ExportedFile:
    """Write what is in force of the newest edition, and the partner's canaries, to `path`, which must be free.

    `categories`: by code of a class, the number that it is under the partner's `model`; of other classes none is told.
    The record is kept before the file has its name. Raises Denied without the role, ExportRefused, EditionRefused,
    ValueError for a version or model that is not written, OSError.
    """
    gates.require(by, gates.Act.KEEP_FEEDS, at=at)
    rows = Subscription.objects.filter(partner=partner, list__name=list_name, door=Door.FILE, ended_at=None)
    subscription = rows.filter(partner__suspended_at=None).select_related("partner", "list").first()
    if subscription is None:
        raise ExportRefused(f"{list_name} is not open to {partner.slug} by the door 'file', or it is suspended")
    edition = PublishedEdition.objects.filter(list=subscription.list).order_by("-number").first()
    canaries = Canary.objects.filter(partner=partner, list=subscription.list).select_related("list")
    if edition is None or not canaries:
        raise ExportRefused(f"nothing of {list_name} was published yet")
    out = ((each.listed(), categories.get(each.code)) for each in _given(edition, list(canaries)))
    with write_whole(path, replace=False) as file:
        digested = _Digested(file)
        entries = write_vics(cast(IO[bytes], digested), out, version=version, model=model)
        with transaction.atomic():
            made = ExportedFile.objects.create(
                subscription=subscription,
                edition=edition,
                form=f"vics-{version}",
                digest=digested.digest.hexdigest(),
                entries=entries,
                made_by=by,
                made_at=at,
            )
            audit.append(AuditAct.LIST_FILE_EXPORTED, at=at, actor=by, about=made, purpose=made.form, record=made)
    return made


def _given(edition: PublishedEdition, canaries: list[Canary]) -> Iterator[Entry]:
    """Entries and canaries in the order of their ids, without what was withdrawn since."""
    withdrawn = withdrawn_since(edition)
    _, held = read_edition(folder_of(edition))
    mixed = heapq.merge(
        (each for each in held if each.entry not in withdrawn),
        sorted(map(entry_of_canary, canaries), key=lambda each: each.entry),
        key=lambda each: each.entry,
    )
    yield from mixed


class _Digested:
    """A file whose bytes are digested as they are written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def write(self, piece: bytes) -> int:
        self.digest.update(piece)
        return self._file.write(piece)
