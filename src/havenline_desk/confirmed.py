"""Which settled files may go onto a list of this house, with which values, and what the others wait for."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from operator import or_
from typing import NamedTuple

from django.db.models import BooleanField, Count, ExpressionWrapper, Q, QuerySet
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
class Confirmed:
    """One confirmed outcome by numbers alone, and where it stands. `assessments`: how many people assessed.

    `decided_by`: the outcome that it is a copy of, or itself. `seen_in`: the revisions whose assessments count for it.
    """

    outcome: int
    file: int
    decided_by: int
    seen_in: tuple[int | None, ...]
    kind: ListKind
    state: ReleaseState
    framework: str
    version: str
    code: str
    assessments: int


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


def confirmed(
    *, at: dt.datetime, house_list: HouseList | None = None, outcomes: Collection[int] | None = None
) -> list[Confirmed]:
    """The confirmed outcomes in the order in which they were settled, those that wait among them.

    Left out: what is training, adults' intimate images, criminal under no framework in force here, of another kind than
    `house_list`, or on it already. `outcomes`: only those, by primary key.
    """
    rows = _standing(house_list, outcomes)
    decided = _decided(rows)
    pairs = _pairs(rows)
    revisions = {row.decided_in for row in rows}
    assessors = _assessors(revisions | {pair.revision_id for pair in pairs.values()})
    shown, doubtful, police = _shown(revisions), not_confirmed({row.file_id for row in rows}), Police(rows, at=at)
    wanted = gates.PROFILES[gates.house()].assessors
    kinds = _Kinds()
    found = []
    for row in rows:
        stands = decided[row.pk]
        kind = kinds[row.framework, stands.version, stands.class_id]
        if stands.status is not LegalStatus.CRIMINAL or kind is None or (house_list and house_list.kind != kind.value):
            continue
        pair = pairs.get(row.decided_by)
        people = assessors.get(row.decided_in if pair is None else pair.revision_id, 0)
        state = police.state_of(row)
        if row.file_id in doubtful:
            state = ReleaseState.CONTRADICTED
        elif pair is not None and _verdict(pair) != PairVerdict.AGREES:
            state = ReleaseState.PAIR if _verdict(pair) is None else ReleaseState.NOT_CONFIRMED
        elif (pair is None and row.decided_how != SettledBy.AGREEMENT) or people < wanted:
            state = ReleaseState.NOT_AGREED
        elif pair is None and (row.decided_in, row.decided_file) not in shown:
            state = ReleaseState.NEAR
        found.append(
            Confirmed(
                outcome=row.pk,
                file=row.file_id,
                decided_by=row.decided_by,
                seen_in=(row.decided_in,) if pair is None else (row.decided_in, pair.revision_id),
                kind=kind,
                state=state,
                framework=row.framework,
                version=stands.version,
                code=":".join(filter(None, (stands.class_id, stands.severity))),
                assessments=people,
            )
        )
    return found


def candidates(
    *, at: dt.datetime, house_list: HouseList | None = None, outcomes: Collection[int] | None = None
) -> list[Candidate]:
    """As `confirmed`, each with its outcome and what would go out of it; of very many, several times the work."""
    found = confirmed(at=at, house_list=house_list, outcomes=outcomes)
    rows = Outcome.objects.filter(pk__in=_among(each.outcome for each in found)).select_related("file", "copy_of")
    # Of very many outcomes the investigations are few: each is made once.
    whole = {row.pk: row for row in rows.prefetch_related("investigation")}
    said = _assessed({revision for each in found for revision in each.seen_in})
    hashed, apart = _hashed({each.file for each in found}), _apart({each.decided_by for each in found})
    return [
        Candidate(
            outcome=row,
            kind=each.kind,
            state=each.state,
            algorithms=_algorithms(
                [(row.copy_of or row).facts, *(one for revision in each.seen_in for one in said[revision])],
                pdq=each.file in hashed,
                apart=each.decided_by in apart,
            ),
            framework=each.framework,
            version=each.version,
            code=each.code,
            assessments=each.assessments,
        )
        for each, row in ((each, whole[each.outcome]) for each in found)
    ]


def counted(found: Iterable[Confirmed | Candidate]) -> Mapping[ReleaseState, int]:
    return Counter(each.state for each in found)


def not_confirmed(files: Collection[int] | QuerySet[ReleasedEntry, int]) -> frozenset[int]:
    """Those files of which a standing outcome, under its own framework, is not criminal or undetermined."""
    among = files if isinstance(files, QuerySet) else _among(files)
    rows = Outcome.objects.filter(correction=None, file__in=among).exclude(
        investigation__source_kind=SourceKind.TRAINING
    )
    # Where its own rules found it criminal, nothing else can say otherwise: of very many files hardly any is left.
    standing = _rows(rows.filter(~Q(status=LegalStatus.CRIMINAL.value) | Q(rule_path=[NOT_APPROVED])))
    decided = _decided(standing)
    return frozenset(
        row.file_id
        for row in standing
        if decided[row.pk].status is not LegalStatus.CRIMINAL and not _waits(row, decided)
    )


def _waits(row: _Row, decided: Mapping[int, Decided]) -> bool:
    """Undetermined only because its framework is not in force here: that contradicts nobody."""
    return row.not_approved and decided[row.pk].status is LegalStatus.UNDETERMINED


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
        for row in _rows(
            Outcome.objects.filter(correction=None, file__in=_among(files)).exclude(
                investigation__source_kind=SourceKind.TRAINING
            )
        )
        if row.framework.startswith("ncii") is ncii
    ]
    decided, shown, kinds = _decided(rows), _shown({row.decided_in for row in rows}), _Kinds()
    said: dict[int, set[Judged]] = defaultdict(set)
    for row in rows:
        stands = decided[row.pk]
        kind = kinds[row.framework, stands.version, stands.class_id]
        looked_at = (row.decided_in, row.decided_file) in shown
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

    def __init__(self, rows: Iterable[Outcome | _Row], *, at: dt.datetime) -> None:
        rows = list(rows)
        heard = Deconfliction.objects.filter(answered_at__lte=at).order_by("pk")
        of_outcomes = heard.filter(outcome__in=_among(row.pk for row in rows))
        of_all = heard.filter(outcome=None, investigation__in={row.investigation_id for row in rows})
        self._outcomes = {
            outcome: (number, answer)
            for outcome, number, answer in of_outcomes.values_list("outcome_id", "pk", "answer")
        }
        self._investigations = {
            investigation: (number, answer)
            for investigation, number, answer in of_all.values_list("investigation_id", "pk", "answer")
        }
        term = DeconflictionTerm.objects.filter(declared_at__lte=at).order_by("-pk").first()
        self._settled_before = None if term is None else at - dt.timedelta(days=term.days)

    def state_of(self, row: Outcome | _Row) -> ReleaseState:
        of_both = (self._outcomes.get(row.pk), self._investigations.get(row.investigation_id))
        newest = max((each for each in of_both if each is not None), default=None)
        if newest is not None:
            return ReleaseState.HOLD if newest[1] == DeconflictionAnswer.HOLD else ReleaseState.READY
        over = self._settled_before is not None and row.settled_at <= self._settled_before
        return ReleaseState.READY if over else ReleaseState.POLICE


class _Row(NamedTuple):
    """What is asked of an outcome: of very many, making each of them whole took longest."""

    pk: int
    file_id: int
    investigation_id: int
    settled_at: dt.datetime
    settled_by: str
    status: str
    class_id: str
    severity: str
    framework: str
    framework_version: str
    not_approved: bool
    revision_id: int | None
    copy_of_id: int | None
    copy_of__file_id: int | None
    copy_of__revision_id: int | None
    copy_of__settled_by: str | None

    @property
    def decided_by(self) -> int:
        return self.pk if self.copy_of_id is None else self.copy_of_id

    @property
    def decided_in(self) -> int | None:
        return self.revision_id if self.copy_of_id is None else self.copy_of__revision_id

    @property
    def decided_file(self) -> int | None:
        return self.file_id if self.copy_of_id is None else self.copy_of__file_id

    @property
    def decided_how(self) -> str | None:
        return self.settled_by if self.copy_of_id is None else self.copy_of__settled_by


def _rows(of: QuerySet[Outcome]) -> list[_Row]:
    said = of.annotate(not_approved=ExpressionWrapper(Q(rule_path=[NOT_APPROVED]), BooleanField()))
    return [_Row._make(row) for row in said.values_list(*_Row._fields)]


def _standing(house_list: HouseList | None, outcomes: Collection[int] | None) -> list[_Row]:
    rows = Outcome.objects.filter(correction=None).filter(
        Q(status=LegalStatus.CRIMINAL.value) | Q(rule_path=[NOT_APPROVED])
    )
    rows = rows.exclude(investigation__source_kind=SourceKind.TRAINING).exclude(framework__startswith="ncii")
    if outcomes is not None:
        rows = rows.filter(pk__in=_among(outcomes))
    if house_list is not None:
        on_it = ReleasedEntry.objects.filter(list=house_list, withdrawal=None)
        rows = rows.exclude(file__in=on_it.values("file")).filter(_of_kind(rows, ListKind(house_list.kind)))
    return _rows(rows.order_by("settled_at", "pk"))


def _of_kind(rows: QuerySet[Outcome], kind: ListKind) -> Q:
    """What may be of the kind: by its class, or because its framework was not in force when it was settled."""
    kinds, waits = _Kinds(), Q(rule_path=[NOT_APPROVED])
    classes = rows.exclude(waits).values_list("framework", "framework_version", "class_id").distinct()
    of_classes = (
        Q(framework=name, framework_version=version, class_id=each)
        for name, version, each in classes
        if kinds[name, version, each] is kind
    )
    return reduce(or_, of_classes, waits)


def _among(ids: Iterable[int | None]) -> RawSQL:
    """For `__in`, as one array: of very many ids, each as a parameter of its own, reading the question took longest."""
    return RawSQL("SELECT unnest(%s::bigint[])", [list(ids)])


def _decided(rows: Collection[_Row]) -> dict[int, Decided]:
    own = {row.pk: row.framework for row in rows if row.not_approved}
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


def _pairs(rows: Iterable[_Row]) -> dict[int, ConfirmingPair]:
    """By outcome, the two others who were asked for it."""
    asked = ConfirmingPair.objects.filter(outcome__in=_among({row.decided_by for row in rows}))
    return {pair.outcome_id: pair for pair in asked.select_related("result")}


def _verdict(pair: ConfirmingPair) -> str | None:
    result: PairResult | None = getattr(pair, "result", None)
    return None if result is None else result.verdict


def _apart(outcomes: Iterable[int]) -> set[int]:
    """Outcomes whose perceptual hash was shown to lie far from the original's."""
    shown = AlterationApart.objects.filter(outcome__in=_among(outcomes))
    return set(shown.values_list("outcome_id", flat=True))


def _assessors(revisions: Iterable[int | None]) -> dict[int | None, int]:
    """By revision, how many people assessed it."""
    among = Assessment.objects.filter(revision__in=_among(revisions))
    return dict(among.values_list("revision_id").annotate(Count("person", distinct=True)))


def _assessed(revisions: Iterable[int | None]) -> dict[int | None, list[Mapping[str, str]]]:
    """By revision, what those who assessed it said."""
    made: dict[int | None, list[Mapping[str, str]]] = defaultdict(list)
    for revision, said in Assessment.objects.filter(revision__in=_among(revisions)).values_list("revision_id", "facts"):
        made[revision].append(said)
    return made


def _shown(revisions: Collection[int | None]) -> set[tuple[int | None, int]]:
    members = StackMember.objects.filter(revision__in=_among(revisions), place=MemberPlace.SHOWN)
    return set(members.values_list("revision_id", "file_id"))


def _hashed(files: Iterable[int]) -> set[int]:
    good = PerceptualHash.objects.filter(file__in=_among(files), pipeline=PDQ_FULL, quality__gte=QUALITY_FLOOR)
    return set(good.values_list("file_id", flat=True))


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
