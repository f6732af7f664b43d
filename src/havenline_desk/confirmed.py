"""Which settled files may go onto a list of this house, with which values, and what the others wait for."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from django.db.models import Q, QuerySet
from django.db.models.expressions import RawSQL

from havenline.formats.edition import ListKind
from havenline.frameworks.model import NOT_APPROVED, LegalStatus
from havenline.vocabulary import PDQ_FULL, QUALITY_FLOOR

from . import gates, law
from .models import (
    AlterationApart,
    Assessment,
    ConfirmingPair,
    Deconfliction,
    DeconflictionAnswer,
    DeconflictionTerm,
    Derivation,
    HouseList,
    InstallationKind,
    MemberPlace,
    Outcome,
    PairResult,
    PairVerdict,
    PerceptualHash,
    Policy,
    ReleasedEntry,
    SettledBy,
    SourceKind,
    StackMember,
)


class ReleaseState(StrEnum):
    """Where a confirmed outcome stands on its way to a list; only `ready` goes on."""

    READY = "ready"
    POLICE = "police"
    """Waits for the police's answer, or for the declared days without one."""
    HOLD = "hold"
    CONTRADICTED = "contradicted"
    """Another standing outcome of the same file does not confirm it."""
    NOT_AGREED = "not_agreed"
    """Not two blind assessments in agreement."""
    NEAR = "near"
    """A near member of a stack, which needs its own look as the file that is shown."""
    PAIR = "pair"
    """Two others were asked to assess it, and have not both done so."""
    NOT_CONFIRMED = "not_confirmed"
    """Two others assessed it and do not agree with what stands, or with each other."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What stands of one outcome under its own framework, in the version in which it is in force."""

    status: LegalStatus
    class_id: str
    severity: str
    version: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One confirmed outcome: what would go out of it, and whether it may. `assessments`: how many people assessed."""

    outcome: Outcome
    kind: ListKind
    state: ReleaseState
    algorithms: tuple[str, ...]
    framework: str
    version: str
    code: str
    assessments: int


_WHOLE = ("sha256", "sha1", "md5")
_ALTERED = ("altered", "altered_from_lawful", "deaged_public_figure", "ai_generated_partly")
_KINDS = {"prohibited": ListKind.PROHIBITED, "national": ListKind.NATIONALLY_ILLEGAL}


def candidates(
    *, at: dt.datetime, house_list: HouseList | None = None, outcomes: Collection[int] | None = None
) -> list[Candidate]:
    """The confirmed outcomes in the order in which they were settled, those that wait among them.

    Left out: what is training, adults' intimate images, criminal under no framework in force here, of another kind than
    `house_list`, or on it already. `outcomes`: only those, by primary key.
    """
    rows = list(_standing(house_list, outcomes))
    decided = _decided(rows)
    pairs = _pairs(rows)
    revisions = {_original(row).revision_id for row in rows} | {pair.revision_id for pair in pairs.values()}
    facts, shown, hashed, apart = _assessed(revisions), _shown(revisions), _hashed(rows), _apart(rows)
    doubtful, police = _doubtful(rows), Police(rows, at=at)
    wanted = gates.PROFILES[gates.house()].assessors
    kinds = _Kinds()
    found = []
    for row in rows:
        stands = decided[row.pk]
        kind = kinds[row.framework, stands.version, stands.class_id]
        if stands.status is not LegalStatus.CRIMINAL or kind is None or (house_list and house_list.kind != kind.value):
            continue
        original = _original(row)
        pair = pairs.get(original.pk)
        before = facts.get(original.revision_id or 0, {})
        people = facts.get(pair.revision_id, {}) if pair is not None else before
        agreed = pair is not None or original.settled_by == SettledBy.AGREEMENT
        state = police.state_of(row)
        if row.file_id in doubtful:
            state = ReleaseState.CONTRADICTED
        elif pair is not None and _verdict(pair) != PairVerdict.AGREES:
            state = ReleaseState.PAIR if _verdict(pair) is None else ReleaseState.NOT_CONFIRMED
        elif not agreed or len(people) < wanted:
            state = ReleaseState.NOT_AGREED
        elif pair is None and (original.revision_id, original.file_id) not in shown:
            state = ReleaseState.NEAR
        found.append(
            Candidate(
                outcome=row,
                kind=kind,
                state=state,
                algorithms=_algorithms(
                    [original.facts, *before.values(), *people.values()],
                    pdq=row.file_id in hashed,
                    apart=original.pk in apart,
                ),
                framework=row.framework,
                version=stands.version,
                code=":".join(filter(None, (stands.class_id, stands.severity))),
                assessments=len(people),
            )
        )
    return found


def counted(found: Iterable[Candidate]) -> Mapping[ReleaseState, int]:
    return Counter(each.state for each in found)


def not_confirmed(files: Collection[int] | QuerySet[ReleasedEntry, int]) -> frozenset[int]:
    """Those files of which a standing outcome, under its own framework, is not criminal or undetermined."""
    among = files if isinstance(files, QuerySet) else _among(files)
    rows = Outcome.objects.filter(correction=None, file__in=among).exclude(
        investigation__source_kind=SourceKind.TRAINING
    )
    # Where its own rules found it criminal, nothing else can say otherwise: of very many files hardly any is left.
    standing = list(rows.filter(~Q(status=LegalStatus.CRIMINAL.value) | Q(rule_path=[NOT_APPROVED])))
    decided = _decided(standing)
    return frozenset(
        row.file_id
        for row in standing
        if decided[row.pk].status is not LegalStatus.CRIMINAL and not _waits(row, decided)
    )


def _waits(row: Outcome, decided: Mapping[int, Decided]) -> bool:
    """Undetermined only because its framework is not in force here: that contradicts nobody."""
    return row.rule_path == [NOT_APPROVED] and decided[row.pk].status is LegalStatus.UNDETERMINED


class Judged(StrEnum):
    """What the standing outcomes of one file say together."""

    CONFIRMED = "confirmed"
    CLEARED = "cleared"
    OPEN = "open"
    """They differ, none is certain, or nobody looked at this very file."""


def judged(files: Collection[int], *, ncii: bool) -> dict[int, Judged]:
    """What was settled of each file; those without an outcome are missing.

    `ncii`: by outcomes of frameworks for adults' intimate images, and otherwise by all but those: neither ever counts
    for the other. Confirmed is what could go onto a list of kind csam here. Left out: training, and frameworks that
    are not in force or made for training.
    """
    rows = [
        row
        for row in Outcome.objects.filter(correction=None, file__in=_among(files))
        .exclude(investigation__source_kind=SourceKind.TRAINING)
        .select_related("copy_of")
        if row.framework.startswith("ncii") is ncii
    ]
    decided, shown, kinds = _decided(rows), _shown({_original(row).revision_id for row in rows}), _Kinds()
    said: dict[int, set[Judged]] = defaultdict(set)
    for row in rows:
        stands, original = decided[row.pk], _original(row)
        kind = kinds[row.framework, stands.version, stands.class_id]
        looked_at = (original.revision_id, original.file_id) in shown
        if kind is None or _waits(row, decided):
            continue
        if looked_at and stands.status is LegalStatus.CRIMINAL and (ncii or kind is ListKind.CSAM):
            said[row.file_id].add(Judged.CONFIRMED)
        elif looked_at and stands.status is LegalStatus.NOT_CRIMINAL:
            said[row.file_id].add(Judged.CLEARED)
        else:
            said[row.file_id].add(Judged.OPEN)
    return {file: next(iter(found)) if len(found) == 1 else Judged.OPEN for file, found in said.items()}


class Police:
    """What the police have said of some outcomes, and whether the declared days are over."""

    def __init__(self, rows: Iterable[Outcome], *, at: dt.datetime) -> None:
        rows = list(rows)
        said = Deconfliction.objects.filter(
            Q(outcome__in=_among(row.pk for row in rows))
            | Q(outcome=None, investigation__in={row.investigation_id for row in rows})
        )
        self._outcomes: dict[int, Deconfliction] = {}
        self._investigations: dict[int, Deconfliction] = {}
        for each in said.filter(answered_at__lte=at).order_by("pk"):
            if each.outcome_id is None:
                self._investigations[each.investigation_id] = each
            else:
                self._outcomes[each.outcome_id] = each
        term = DeconflictionTerm.objects.filter(declared_at__lte=at).order_by("-pk").first()
        self._settled_before = None if term is None else at - dt.timedelta(days=term.days)

    def state_of(self, row: Outcome) -> ReleaseState:
        of_both = (self._outcomes.get(row.pk), self._investigations.get(row.investigation_id))
        newest = max((each for each in of_both if each is not None), key=lambda each: each.pk, default=None)
        if newest is not None:
            return ReleaseState.HOLD if newest.answer == DeconflictionAnswer.HOLD else ReleaseState.READY
        over = self._settled_before is not None and row.settled_at <= self._settled_before
        return ReleaseState.READY if over else ReleaseState.POLICE


def _standing(house_list: HouseList | None, outcomes: Collection[int] | None) -> QuerySet[Outcome]:
    rows = Outcome.objects.filter(correction=None).filter(
        Q(status=LegalStatus.CRIMINAL.value) | Q(rule_path=[NOT_APPROVED])
    )
    rows = rows.exclude(investigation__source_kind=SourceKind.TRAINING).exclude(framework__startswith="ncii")
    if outcomes is not None:
        rows = rows.filter(pk__in=_among(outcomes)).select_related("file")
    if house_list is not None:
        on_it = ReleasedEntry.objects.filter(list=house_list, withdrawal=None)
        rows = rows.exclude(file__in=on_it.values("file"))
    # Of very many outcomes the investigations are few: each is made once.
    return rows.select_related("copy_of").prefetch_related("investigation").order_by("settled_at", "pk")


def _among(ids: Iterable[int | None]) -> RawSQL:
    """For `__in`, as one array: of very many ids, each as a parameter of its own, reading the question took longest."""
    return RawSQL("SELECT unnest(%s::bigint[])", [list(ids)])


def _original(row: Outcome) -> Outcome:
    return row.copy_of if row.copy_of is not None else row


def _decided(rows: Iterable[Outcome]) -> dict[int, Decided]:
    rows = list(rows)
    own = {row.pk: row.framework for row in rows if row.rule_path == [NOT_APPROVED]}
    later = {
        one.outcome_id: one
        for one in Derivation.objects.filter(outcome__in=_among(own), replaced_by=None).select_related("run")
        if one.run.framework == own[one.outcome_id]
    }
    made = {}
    for row in rows:
        one = later.get(row.pk)
        if one is None:
            made[row.pk] = Decided(LegalStatus(row.status), row.class_id, row.severity, row.framework_version)
        else:
            made[row.pk] = Decided(LegalStatus(one.status), one.class_id, one.severity, one.run.version)
    return made


class _Kinds(dict[tuple[str, str, str], ListKind | None]):
    """The kind of list for framework, version and class; each is asked for once, for very many outcomes."""

    def __missing__(self, asked: tuple[str, str, str]) -> ListKind | None:
        kind = self[asked] = _kind(*asked)
        return kind


def _kind(name: str, version: str, class_id: str) -> ListKind | None:
    """None where the framework does not decide here: not in force, or made for training only."""
    if not law.in_force(name, version):
        return None
    framework = law.load(name, version)
    policy = Policy.objects.order_by("-pk").first()
    if framework.demo and (policy is None or policy.kind == InstallationKind.DESK):
        return None
    group = next((each.group for each in framework.classes if each.id == class_id), None)
    return _KINDS.get(group or "", ListKind.CSAM)


def _pairs(rows: Iterable[Outcome]) -> dict[int, ConfirmingPair]:
    """By outcome, the two others who were asked for it."""
    asked = ConfirmingPair.objects.filter(outcome__in=_among({_original(row).pk for row in rows})).select_related(
        "result"
    )
    return {pair.outcome_id: pair for pair in asked}


def _verdict(pair: ConfirmingPair) -> str | None:
    result: PairResult | None = getattr(pair, "result", None)
    return None if result is None else result.verdict


def _apart(rows: Iterable[Outcome]) -> set[int]:
    """Outcomes whose perceptual hash was shown to lie far from the original's."""
    shown = AlterationApart.objects.filter(outcome__in=_among({_original(row).pk for row in rows}))
    return set(shown.values_list("outcome_id", flat=True))


def _assessed(revisions: Collection[int | None]) -> dict[int, dict[int, Mapping[str, str]]]:
    """By revision, what each person who assessed it said."""
    made: dict[int, dict[int, Mapping[str, str]]] = defaultdict(dict)
    for revision, person, said in Assessment.objects.filter(revision__in=_among(revisions)).values_list(
        "revision_id", "person_id", "facts"
    ):
        made[revision][person] = said
    return made


def _shown(revisions: Collection[int | None]) -> set[tuple[int | None, int]]:
    members = StackMember.objects.filter(revision__in=_among(revisions), place=MemberPlace.SHOWN)
    return set(members.values_list("revision_id", "file_id"))


def _hashed(rows: Iterable[Outcome]) -> set[int]:
    files = {row.file_id for row in rows}
    good = PerceptualHash.objects.filter(file__in=_among(files), pipeline=PDQ_FULL, quality__gte=QUALITY_FLOOR)
    return set(good.values_list("file_id", flat=True))


def _doubtful(rows: Iterable[Outcome]) -> frozenset[int]:
    return not_confirmed({row.file_id for row in rows})


def _algorithms(said: Iterable[Mapping[str, str]], *, pdq: bool, apart: bool) -> tuple[str, ...]:
    """SHA-256 alone unless everybody said that it is no alteration, or two showed that it cannot hit the original.

    What stands counts beside what each person said: a correction may know of an alteration that nobody saw.
    """
    whole = apart or all(
        one.get("altered") == "no" and all(one.get(fact, "no") == "no" for fact in _ALTERED) for one in said
    )
    if not whole:
        return ("sha256",)
    return (*_WHOLE, "pdq") if pdq else _WHOLE
