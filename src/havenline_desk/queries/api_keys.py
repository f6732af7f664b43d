"""The keys of the match service as its servers hold them, and what a person is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..models import ApiKey, Canary, Door, HouseList, Partner, Subscription


@dataclass(frozen=True, slots=True)
class Planted:
    """PDQ values, in hexadecimal, that one recipient alone was given in one list."""

    recipient: Partner
    house_list: HouseList
    values: tuple[str, ...]


def keys_in_force() -> dict[str, tuple[ApiKey, frozenset[str]]]:
    """By the digest of the secret: each key that has not ended and whose partner is not suspended, with its lists."""
    subscribed: dict[int, set[str]] = {}
    rows = Subscription.objects.filter(door=Door.MATCH, ended_at=None, partner__suspended_at=None)
    for partner, name in rows.values_list("partner_id", "list__name"):
        subscribed.setdefault(partner, set()).add(name)
    found = {}
    for key in ApiKey.objects.filter(ended_at=None).select_related("partner"):
        if key.partner is None:
            found[key.digest] = key, frozenset(key.lists)
        elif key.partner.suspended_at is None:
            found[key.digest] = key, frozenset(subscribed.get(key.partner.pk, ()))
    return found


def planted_values() -> tuple[Planted, ...]:
    """The canaries of every recipient and list that are PDQ values."""
    values: dict[tuple[int, int], list[str]] = {}
    whose: Mapping[tuple[int, int], Canary]
    whose = {}
    for canary in Canary.objects.select_related("partner", "list").order_by("pk"):
        at = canary.partner_id, canary.list_id
        whose.setdefault(at, canary)
        if pdq := canary.values.get("pdq"):
            values.setdefault(at, []).append(pdq)
    return tuple(Planted(whose[at].partner, whose[at].list, tuple(held)) for at, held in values.items())


def key_named(name: str) -> ApiKey | None:
    return ApiKey.objects.filter(name=name).select_related("partner").first()


def every_key() -> tuple[ApiKey, ...]:
    """By name, those that have ended too."""
    return tuple(ApiKey.objects.select_related("partner").order_by("name"))
