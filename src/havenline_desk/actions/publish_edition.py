"""Publish the next edition of a list of this house: what is in force, written down for good."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from havenline.formats.edition import ListKind, stage_edition

from .. import audit, gates
from ..editions import alone, bring_up, entries_in_force, folder_of_list, place
from ..models import AuditAct, HouseList, Person, PublishedEdition, ReleasedEntry, Withdrawal
from .announce import tell_lists_changed
from .keep_partners import make_missing_canaries
from .release_entries import ReleaseRefused


def publish_edition(house_list: HouseList, *, person: Person, at: dt.datetime) -> PublishedEdition:
    """Write the next edition, record it, give it its place, load it into the live list; in this order.

    Killed at any moment, what was recorded is finished by the next call or by `follow_lists`, and what was not is
    written anew. Raises ReleaseRefused where nothing is new, Denied, EditionRefused, OSError.
    """
    gates.require(person, gates.Act.PUBLISH_EDITION, at=at)
    with transaction.atomic():
        alone(house_list)
        newest = PublishedEdition.objects.filter(list=house_list).select_related("list").order_by("-number").first()
        previous = None if newest is None else place(newest)
        number = 1 if newest is None else newest.number + 1
        fresh = ReleasedEntry.objects.filter(list=house_list, withdrawal=None, first_number=None)
        gone = Withdrawal.objects.filter(entry__list=house_list, first_number=None).exclude(entry__first_number=None)
        if newest is not None and not fresh.exists() and not gone.exists():
            raise ReleaseRefused(f"nothing of {house_list.name} is new since edition {newest.number}")
        made = stage_edition(
            folder_of_list(house_list),
            list_name=house_list.name,
            kind=ListKind(house_list.kind),
            entries=entries_in_force(house_list),
            previous=previous,
            made_at=at,
        )
        edition = PublishedEdition.objects.create(
            list=house_list,
            number=number,
            digest=made.digest,
            root=made.root,
            entries=made.entries,
            added=made.added,
            withdrawn=made.withdrawn,
            published_by=person,
            made_at=at,
        )
        fresh.update(first_number=number)
        gone.update(first_number=number)
        make_missing_canaries(house_list, at=at)
        tell_lists_changed(house_list, at=at)
        audit.append(
            AuditAct.EDITION_PUBLISHED, at=at, actor=person, about=edition, purpose=house_list.kind, record=edition
        )
    place(edition)
    bring_up(house_list, at=at)
    return edition
