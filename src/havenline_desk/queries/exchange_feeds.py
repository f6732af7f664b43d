"""What partners get by the signed exchange: one feed for each open subscription of a partner that has a key."""

from __future__ import annotations

from havenline.repository.staging import Feed

from ..editions import folder_of_list
from ..models import Door, Partner
from .releases import canaries_of, feeds_of, newest_edition, recipient_of


def exchange_feeds() -> tuple[Feed, ...]:
    """The feeds, by partner and list. A list without an edition and a partner without a key, or suspended, give none.

    Not checked: that the folders of the editions are there; staging does.
    """
    found = []
    for partner in Partner.objects.order_by("slug"):
        key = recipient_of(partner)
        for house_list in feeds_of(partner, Door.EXCHANGE):
            edition = newest_edition(house_list)
            if key is None or edition is None:
                continue
            found.append(
                Feed(
                    partner=partner.slug,
                    key=key,
                    list_name=house_list.name,
                    editions=folder_of_list(house_list),
                    newest=edition.number,
                    canaries=canaries_of(partner, house_list),
                )
            )
    return tuple(found)
