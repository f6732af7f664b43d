"""Partners' lists for those who may see them: stage, freshness, counts. No value of any entry."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db.models import Max, Sum

from havenline.connectors.stages import FROM, Stage
from havenline.vocabulary import HavenlineError

from .. import gates, incoming
from ..gates import Act
from ..models import ListDecision, Person, ShadowCount


@dataclass(frozen=True, slots=True)
class ShadowResult:
    """Of `files` that were looked up while the list was in shadow, it would have matched `matched`."""

    files: int
    matched: int
    until: dt.datetime


@dataclass(frozen=True, slots=True)
class IncomingLine:
    """One list. `fault` says why it cannot be read, and then nothing else is told."""

    name: str
    fault: str = ""
    connector: str = ""
    list_name: str = ""
    address: str = ""
    stage: str = ""
    since: dt.datetime | None = None
    shadow_until: dt.datetime | None = None
    fresh: bool = False
    complete_at: dt.datetime | None = None
    fetched_at: dt.datetime | None = None
    entries: int = 0
    withheld: int = 0
    let_through: int = 0
    kept_out: tuple[tuple[str, int], ...] = ()
    kept_out_ids: tuple[tuple[str, str], ...] = ()
    not_understood: tuple[tuple[str, int], ...] = ()
    shadow: ShadowResult | None = None
    may_activate: bool = False
    may_suspend: bool = False
    may_resume: bool = False
    may_let_through: bool = False
    may_withhold: bool = False
    may_accept_loss: bool = False


def incoming_lines(person: Person, *, at: dt.datetime) -> tuple[IncomingLine, ...]:
    """Every list, by name, with what `person` may do about it now."""
    acts = gates.acts_of(person, at=at)
    return tuple(_line(name, acts, at=at) for name in incoming.names())


def newest_decisions(most: int = 20) -> tuple[ListDecision, ...]:
    """What single people decided about lists, the newest first."""
    return tuple(ListDecision.objects.select_related("person").order_by("-pk")[:most])


def stale_lists(*, at: dt.datetime) -> tuple[tuple[str, int | None], ...]:
    """Lists that are no longer fresh, and whole days since each was here whole, None where it never was.

    A list that is suspended need not be fresh. One that cannot be read counts as never here.
    """
    stale: list[tuple[str, int | None]] = []
    for name in incoming.names():
        try:
            found = incoming.look(name)
        except (HavenlineError, OSError):
            stale.append((name, None))
            continue
        if found.staged.stage is not Stage.SUSPENDED and not found.fresh(at):
            whole = found.standing.complete_at
            stale.append((name, None if whole is None else (at - whole).days))
    return tuple(stale)


def _line(name: str, acts: frozenset[Act], *, at: dt.datetime) -> IncomingLine:
    try:
        found = incoming.look(name)
    except (HavenlineError, OSError) as error:
        return IncomingLine(name, fault=str(error))
    stage, until = found.staged.stage, found.shadow_until
    ripe = stage is Stage.SHADOW and until is not None and at >= until
    return IncomingLine(
        name,
        connector=found.configured.connector,
        list_name=found.configured.list_name,
        address=found.configured.base_url,
        stage=stage.value,
        since=found.staged.since,
        shadow_until=until,
        fresh=found.fresh(at),
        complete_at=found.standing.complete_at,
        fetched_at=found.standing.fetched_at,
        entries=found.standing.live - found.standing.screened - found.standing.withheld,
        withheld=found.standing.withheld,
        let_through=found.standing.let_through,
        kept_out=tuple(found.screened.items()),
        kept_out_ids=found.kept_out,
        not_understood=tuple(sorted(found.unread.items())),
        shadow=_shadow(found.configured.list_name),
        may_activate=ripe and Act.ACTIVATE_LIST in acts,
        may_suspend=stage in FROM[Stage.SUSPENDED] and Act.SUSPEND_PUBLISHER in acts,
        may_resume=stage is Stage.SUSPENDED and Act.SUSPEND_PUBLISHER in acts,
        may_let_through=bool(found.kept_out) and Act.LET_THROUGH in acts,
        may_withhold=Act.WITHHOLD_ENTRY in acts,
        may_accept_loss=stage is not Stage.SUSPENDED and Act.ACCEPT_LOSS in acts,
    )


def _shadow(list_name: str) -> ShadowResult | None:
    told = ShadowCount.objects.filter(list_name=list_name).aggregate(
        files=Sum("files"), matched=Sum("matched"), until=Max("counted_at")
    )
    return None if told["files"] is None else ShadowResult(**told)
