"""Partners: propose a key, open and close lists by door, suspend with one press."""

from __future__ import annotations

import datetime as dt

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from .. import gates
from ..actions.keep_partners import check_partner, end_subscription, subscribe_partner, suspend_partner
from ..actions.propose import propose
from ..actions.release_entries import ReleaseRefused
from ..gates import Act, gate
from ..models import Door, HouseList, Partner, Person, Subscription
from ..queries.release_lines import partner_lines
from ..queries.releases import list_named, partner_named
from .layout import Notice, person_of
from .releases import Verb, done_or_told


@gate(Act.SEE_PARTNERS)
def partners(request: HttpRequest) -> HttpResponse:
    return _page(request)


@gate(Act.ENROL_PARTNER_KEY)
def enrol(request: HttpRequest) -> HttpResponse:
    """Propose a key; another person compares it with what the partner reads out, and agrees."""

    def do(person: Person, at: dt.datetime) -> None:
        what: dict[str, str | int] = {
            name: request.POST.get(name, "").strip() for name in ("partner", "name", "purpose", "recipient")
        }
        check_partner(str(what["partner"]), str(what["recipient"]))
        propose(Act.ENROL_PARTNER_KEY, what, person=person, at=at)

    return _verb(request, do, Notice.PROPOSED)


@gate(Act.SUBSCRIBE_PARTNER)
def open_door(request: HttpRequest) -> HttpResponse:
    def do(person: Person, at: dt.datetime) -> None:
        partner, house_list, door = _named(request)
        named = request.POST.get("opted_in", "") == house_list.name
        subscribe_partner(partner, house_list, door, opted_in_by_name=named, by=person, at=at)

    return _verb(request, do, Notice.DONE)


@gate(Act.SUSPEND_PARTNER)
def close_door(request: HttpRequest) -> HttpResponse:
    def do(person: Person, at: dt.datetime) -> None:
        partner, house_list, door = _named(request)
        found = Subscription.objects.filter(partner=partner, list=house_list, door=door, ended_at=None).first()
        if found is None:
            raise ReleaseRefused("this is closed already")
        end_subscription(found, by=person, at=at)

    return _verb(request, do, Notice.DONE)


@gate(Act.SUSPEND_PARTNER)
def suspend(request: HttpRequest) -> HttpResponse:
    def do(person: Person, at: dt.datetime) -> None:
        suspend_partner(_partner(request), by=person, at=at)

    return _verb(request, do, Notice.SUSPENDED)


def _verb(request: HttpRequest, verb: Verb, notice: Notice) -> HttpResponse:
    return done_or_told(request, verb, notice, onward="partners", page=_page)


def _page(request: HttpRequest, refused: str = "") -> HttpResponse:
    acts = gates.acts_of(person_of(request), at=timezone.now())
    page = {
        "lines": partner_lines(),
        "lists": HouseList.objects.order_by("name"),
        "doors": Door.choices,
        "refused": refused,
        "may_enrol": Act.ENROL_PARTNER_KEY in acts,
        "may_open": Act.SUBSCRIBE_PARTNER in acts,
        "may_suspend": Act.SUSPEND_PARTNER in acts,
    }
    return render(request, "havenline/partners.html", page, status=422 if refused else 200)


def _partner(request: HttpRequest) -> Partner:
    found = partner_named(request.POST.get("partner", ""))
    if found is None:
        raise ReleaseRefused("no such partner is enrolled; nothing was done")
    return found


def _named(request: HttpRequest) -> tuple[Partner, HouseList, Door]:
    house_list, door = list_named(request.POST.get("list", "")), request.POST.get("door", "")
    if house_list is None or door not in Door.values:
        raise ReleaseRefused("choose one of those shown; nothing was done")
    return _partner(request), house_list, Door(door)
