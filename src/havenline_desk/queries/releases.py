"""What is published of this house's lists, and what each partner gets of it."""

from __future__ import annotations

from havenline.formats.edition import Entry

from ..editions import entry_of_canary
from ..models import Canary, Door, HouseList, Partner, PublishedEdition, Subscription


def list_named(name: str) -> HouseList | None:
    return HouseList.objects.filter(name=name).first()


def partner_named(slug: str) -> Partner | None:
    return Partner.objects.filter(slug=slug).first()


def newest_edition(house_list: HouseList) -> PublishedEdition | None:
    """The edition that counts; its folder: `editions.folder_of`. None where nothing was published yet."""
    return PublishedEdition.objects.filter(list=house_list).select_related("list").order_by("-number").first()


def feeds_of(partner: Partner, door: Door) -> tuple[HouseList, ...]:
    """The lists that the partner gets by that door now, by name; none while it is suspended."""
    if Partner.objects.filter(pk=partner.pk).exclude(suspended_at=None).exists():
        return ()
    rows = Subscription.objects.filter(partner=partner, door=door, ended_at=None).select_related("list")
    return tuple(row.list for row in rows.order_by("list__name"))


def subscribers_of(house_list: HouseList, door: Door) -> tuple[Partner, ...]:
    """The partners that get the list by that door now and are not suspended, by slug."""
    rows = Subscription.objects.filter(list=house_list, door=door, ended_at=None, partner__suspended_at=None)
    return tuple(row.partner for row in rows.select_related("partner").order_by("partner__slug"))


def recipient_of(partner: Partner) -> str | None:
    """The age recipient that counts: the one enrolled last."""
    newest = partner.keys.order_by("-pk").first()
    return None if newest is None else newest.recipient


def canaries_of(partner: Partner, house_list: HouseList) -> tuple[Entry, ...]:
    """The canaries of the partner in the list, as entries sorted by id: to be put among those of an edition.

    Empty until something of the list was released, since they look like what was.
    """
    rows = Canary.objects.filter(partner=partner, list=house_list).select_related("list").order_by("entry")
    return tuple(entry_of_canary(row) for row in rows)
