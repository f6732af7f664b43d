"""Every way into the desk that is no route, with its act; and the system checks that refuse a way in without one.

The command line and the two services are not imported here: they stand above the desk, or beside it. Each table is
compared with what is really there by the check that can see it.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from django.core import checks
from django.core.management import find_commands
from django.urls import URLPattern, URLResolver, get_resolver

from .gates import ENFORCED_BY, PROFILES, RULES, About, Act, Reach

SERVICES = ("havenline_desk.sites.match_api_urls", "havenline_desk.sites.hma_urls")
"""The routes of programs, which no person's session opens."""

JOBS: Mapping[str, Act] = {"imports": Act.RUN_JOBS, "webhooks": Act.SEND_WEBHOOKS}
"""Each module of `jobs/`. A job acts for nobody, so its act is one of the host."""

COMMANDS: Mapping[str, Act] = {
    "demo": Act.INSTALL,
    "up": Act.INSTALL,
    "status": Act.SEE_STATUS,
    "sealer": Act.SIGN_LOG,
    "jobs": Act.RUN_JOBS,
    "doctor": Act.SEE_STATUS,
    "scan": Act.HASH_FILES,
    "film compare": Act.HASH_FILES,
    "picture compare": Act.HASH_FILES,
    "provenance": Act.HASH_FILES,
    "list make": Act.KEEP_LISTS,
    "list import": Act.KEEP_LISTS,
    "list vics": Act.KEEP_LISTS,
    "list mapping save": Act.KEEP_LISTS,
    "list mapping list": Act.KEEP_LISTS,
    "list mapping show": Act.KEEP_LISTS,
    "list mapping remove": Act.KEEP_LISTS,
    "list show": Act.KEEP_LISTS,
    "list live create": Act.KEEP_LISTS,
    "list live publish": Act.KEEP_LISTS,
    "list live add": Act.KEEP_LISTS,
    "list live withdraw": Act.KEEP_LISTS,
    "list live terms": Act.KEEP_LISTS,
    "list live fold": Act.KEEP_LISTS,
    "list live show": Act.KEEP_LISTS,
    "exchange set-up": Act.KEEP_LISTS,
    "exchange fetch": Act.KEEP_LISTS,
    "exchange resync": Act.KEEP_LISTS,
    "exchange keep": Act.KEEP_LISTS,
    "exchange status": Act.SEE_STATUS,
    "exchange quarantine": Act.KEEP_LISTS,
    "exchange ask": Act.KEEP_LISTS,
    "exchange identity": Act.KEEP_LISTS,
    "exchange add-publisher": Act.KEEP_LISTS,
    "exchange confirm-publisher": Act.ENROL_PARTNER_KEY,
    "exchange revoke-publisher": Act.KEEP_LISTS,
    "exchange gossip": Act.KEEP_LISTS,
    "repository key": Act.KEEP_LISTS,
    "repository init": Act.KEEP_LISTS,
    "repository stage": Act.KEEP_LISTS,
    "repository sign": Act.KEEP_LISTS,
    "repository publish": Act.KEEP_LISTS,
    "repository renew": Act.KEEP_LISTS,
    "repository rotate-root": Act.KEEP_LISTS,
    "repository status": Act.SEE_STATUS,
    "feed serve": Act.LOOK_UP,
    "feed credential": Act.KEEP_FEEDS,
    "feed end-credential": Act.KEEP_FEEDS,
    "feed export": Act.KEEP_FEEDS,
    "feed votes": Act.SEE_STATUS,
    "exchange suspend": Act.SUSPEND_PUBLISHER,
    "exchange resume": Act.SUSPEND_PUBLISHER,
    "exchange let-through": Act.LET_THROUGH,
    "exchange feedback list": Act.SEE_STATUS,
    "exchange feedback on": Act.SEND_FEEDBACK,
    "exchange feedback off": Act.STOP_FEEDBACK,
    "exchange feedback send": Act.SEND_FEEDBACK,
    "exchange feedback retry": Act.SEND_FEEDBACK,
    "exchange feedback reasons": Act.KEEP_LISTS,
    "matchd": Act.KEEP_LISTS,
    "match-api": Act.USE_MATCH_API,
    "api-key make": Act.MAKE_API_KEY,
    "api-key end": Act.END_API_KEY,
    "api-key list": Act.SEE_STATUS,
    "api-key alarms": Act.SEE_STATUS,
    "webhook make": Act.KEEP_WEBHOOKS,
    "webhook list": Act.SEE_STATUS,
    "webhook log": Act.SEE_STATUS,
    "webhook try": Act.KEEP_WEBHOOKS,
    "webhook secret": Act.KEEP_WEBHOOKS,
    "webhook on": Act.KEEP_WEBHOOKS,
    "webhook replay": Act.KEEP_WEBHOOKS,
    "webhook end": Act.KEEP_WEBHOOKS,
    "webhook send": Act.SEND_WEBHOOKS,
    "matchd-status": Act.SEE_STATUS,
    "investigation create": Act.CREATE_INVESTIGATION,
    "investigation import": Act.IMPORT_COLLECTION,
    "investigation status": Act.SEE_STATUS,
    "investigation origin": Act.SEE_STATUS,
    "figures": Act.SEE_STATUS,
    "publish": Act.PUBLISH_FIGURES,
    "person add": Act.ENROL_PERSON,
    "person certify": Act.CERTIFY_PERSON,
    "person renew": Act.ENROL_PERSON,
    "person budget": Act.LOWER_BUDGET,
    "person close": Act.CLOSE_PERSON,
    "person take-role": Act.REVOKE_ROLE,
    "person link": Act.ENROL_PERSON,
    "person unlink": Act.ENROL_PERSON,
    "person list": Act.SEE_STATUS,
    "framework list": Act.SEE_STATUS,
    "framework show": Act.SEE_STATUS,
    "framework import": Act.IMPORT_FRAMEWORK,
    "framework approve": Act.APPROVE_FRAMEWORK,
    "framework configure": Act.CONFIGURE_FRAMEWORKS,
    "framework derived": Act.SEE_STATUS,
    "calibration set-up": Act.CREATE_INVESTIGATION,
    "quality sample": Act.DRAW_QUALITY_SAMPLE,
    "queue urgency": Act.SET_URGENCY,
    "queue pool": Act.KEEP_POOLS,
    "queue join": Act.KEEP_POOLS,
    "queue leave": Act.KEEP_POOLS,
    "escalation contact": Act.DECLARE_CONTACT,
    "proposal list": Act.SEE_PROPOSALS,
    "proposal approve": Act.APPROVE_PROPOSAL,
    "proposal cancel": Act.CANCEL_PROPOSAL,
    "proposal carry-out": Act.CARRY_OUT_PROPOSAL,
    "proposal activate-list": Act.ACTIVATE_LIST,
    "proposal accept-loss": Act.ACCEPT_LOSS,
    "proposal withhold": Act.WITHHOLD_ENTRY,
    "proposal role": Act.GRANT_ROLE,
    "proposal reset-factors": Act.RESET_FACTORS,
    "proposal framework": Act.APPROVE_FRAMEWORK,
    "proposal import": Act.IMPORT_COLLECTION,
    "proposal storage": Act.DECLARE_STORAGE,
    "proposal correct": Act.CORRECT_OUTCOME,
    "proposal apart": Act.SHOW_APART,
    "release open": Act.OPEN_HOUSE_LIST,
    "release status": Act.SEE_STATUS,
    "release police": Act.RECORD_DECONFLICTION,
    "release term": Act.DECLARE_DECONFLICTION,
    "release confirm": Act.ASK_FOR_PAIR,
    "release propose": Act.RELEASE_HASH,
    "release publish": Act.PUBLISH_EDITION,
    "release withdraw": Act.WITHDRAW_HASH,
    "release follow": Act.KEEP_LISTS,
    "partner enrol": Act.ENROL_PARTNER_KEY,
    "partner list": Act.SEE_STATUS,
    "partner open": Act.SUBSCRIBE_PARTNER,
    "partner close": Act.SUSPEND_PARTNER,
    "partner suspend": Act.SUSPEND_PARTNER,
    "storage status": Act.SEE_STATUS,
    "storage stop": Act.STOP_STORAGE,
    "proposal house": Act.CHANGE_HOUSE,
    "proposal budget": Act.RAISE_BUDGET,
    "proposal release-hold": Act.RELEASE_HOLD,
    "proposal destroy": Act.DESTROY_EARLY,
    "retention run": Act.DESTROY_IN_TIME,
    "retention status": Act.SEE_STATUS,
    "hold place": Act.PLACE_HOLD,
    "hold list": Act.SEE_STATUS,
    "scrub": Act.KEEP_CONTENT,
    "backup": Act.KEEP_CONTENT,
    "restore": Act.INSTALL,
    "audit reopen": Act.EXPORT_LOG,
    "decoderd": Act.KEEP_CONTENT,
    "audit export": Act.EXPORT_LOG,
    "audit proof": Act.CHECK_LOG,
    "audit key": Act.CHECK_LOG,
    "audit check": Act.CHECK_LOG,
    "verify": Act.CHECK_LOG,
}
"""Each command of `havenline`, and of `manage.py` where the desk brings one."""

SOCKET_OPERATIONS: Mapping[str, Act] = {
    "keyd mint": Act.KEEP_CONTENT,
    "keyd grant": Act.WORK,
    "keyd open": Act.WORK,
    "keyd origin_key": Act.KEEP_CONTENT,
    "keyd exposed": Act.SEE_OWN_EXPOSURE,
    "keyd set_budget": Act.RAISE_BUDGET,
    "keyd place_hold": Act.PLACE_HOLD,
    "keyd release_hold": Act.RELEASE_HOLD,
    "keyd shred": Act.DESTROY_IN_TIME,
    "keyd sign_checkpoint": Act.SIGN_LOG,
    "keyd sign_own": Act.EXPORT_LOG,
    "keyd sign_publication": Act.PUBLISH_FIGURES,
    "keyd rotate": Act.ROTATE_KEYS,
    "keyd copy": Act.KEEP_CONTENT,
    "keyd new_log": Act.EXPORT_LOG,
    "keyd status": Act.SEE_STATUS,
    "keyd log": Act.EXPORT_LOG,
    "matchd hello": Act.LOOK_UP,
    "matchd lookup": Act.LOOK_UP,
    "matchd heads": Act.LOOK_UP,
    "matchd health": Act.SEE_STATUS,
    "matchd metrics": Act.SEE_STATUS,
    "matchd change": Act.KEEP_LISTS,
}


def undeclared_ways_in(app_configs: object = None, **kwargs: object) -> list[checks.CheckMessage]:
    """System check: every route, job, command of `manage.py` and socket operation has an act of the table."""
    here = Path(__file__).parent
    jobs = here / "jobs"
    return [
        *(
            checks.Error(f"the route {route!r} declares no act; decorate its view with @gate(...)", id="desk.E001")
            for route, view in every_route()
            if not isinstance(getattr(view, "act", None), Act)
        ),
        *compared("job", {each.name for each in pkgutil.iter_modules([str(jobs)])}, set(JOBS), number=2),
        *undeclared_commands(find_commands(str(here / "management")), whole=False),
        *compared("socket operation", socket_operations(), set(SOCKET_OPERATIONS), number=4),
        *unsound_rules(),
    ]


def every_route() -> Iterator[tuple[str, Any]]:
    """Those of the staff desk and of the match service, which are served by processes of their own."""
    yield from routes(get_resolver().url_patterns, "")
    for name in SERVICES:
        yield from ((f"{name}: {route}", view) for route, view in routes(get_resolver(name).url_patterns, ""))


def undeclared_commands(found: Iterable[str], *, whole: bool = True) -> list[checks.CheckMessage]:
    """System check: each of these commands has an act; with `whole`, and each that has one is there."""
    commands = set(found)
    return compared("command", commands, set(COMMANDS) if whole else set(COMMANDS) & commands, number=3)


def socket_operations() -> set[str]:
    """Everything that can be asked of `keyd` and `matchd`, as their own tables say."""
    from havenline_guard import client, keyd_wire  # only the check needs what they bring along

    return {f"keyd {name}" for name in keyd_wire.QUESTIONS} | {f"matchd {name}" for name in client.OPERATIONS}


def unsound_rules() -> list[checks.CheckMessage]:
    """System check: every act has a row, two-person rows name a second, and each predicate is really there."""
    missing = [f"the act {act.value!r} has no row" for act in Act if act not in RULES]
    rows = [*RULES.items(), *(each for profile in PROFILES.values() for each in profile.instead.items())]
    alone = [
        f"the act {act.value!r} takes {rule.people} people, and nobody may be the second"
        for act, rule in rows
        if rule.people > 1 and rule.reach is Reach.ROLES and not rule.second
    ]
    absent = [f"{about.value!r} is decided nowhere" for about in About if not _is_there(ENFORCED_BY.get(about, ""))]
    return [checks.Error(f"in the table of acts: {fault}", id="desk.E005") for fault in (*missing, *alone, *absent)]


def compared(kind: str, found: set[str], declared: set[str], *, number: int) -> list[checks.CheckMessage]:
    """An error for each that is there without an act, and for each act of something that is not there."""
    without = [f"the {kind} {name!r} declares no act" for name in sorted(found - declared)]
    gone = [f"the {kind} {name!r} has an act, and is not there" for name in sorted(declared - found)]
    return [checks.Error(f"{fault}; see ways_in.py", id=f"desk.E{number:03}") for fault in (*without, *gone)]


def routes(patterns: Iterable[URLPattern | URLResolver], prefix: str) -> Iterator[tuple[str, Any]]:
    """Every route under `patterns` with its view."""
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        else:
            yield route, pattern.callback


def _is_there(dotted: str) -> bool:
    module, _, name = dotted.rpartition(".")
    return bool(module) and callable(getattr(import_module(module), name, None))
