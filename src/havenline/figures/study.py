"""Synthetic records of a published study, without any content, to show that the general rules give its
figures.

Only the published totals stand here, in one table of constants. Which item was selected, who assessed it, in
how many seconds and with which answers is drawn from a seed; the law is applied by `Framework.derive` and the
figures are computed by `funnel`, as for any investigation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType

import pyarrow as pa

from havenline.figures.records import ASSESSMENTS, OUTCOMES, SELECTIONS, FiguresError, Labels, Records
from havenline.frameworks import CANNOT_DETERMINE, Framework, load


@dataclass(frozen=True, slots=True)
class PublishedTotals:
    """What a study published: items posted, selected, and confirmed by law; people and active seconds."""

    posted: int
    selected: int
    pseudo_photographs: int
    prohibited_images: int
    analysts: int
    active_seconds: int


OCTOBER_2023 = PublishedTotals(
    posted=20_254,
    selected=11_108,
    pseudo_photographs=2_562,
    prohibited_images=416,
    analysts=12,
    active_seconds=315_000,  # 87.5 hours
)
"""Source: Internet Watch Foundation, "How AI is being abused to create child sexual abuse imagery", October
2023.

The published split by severity and age is not used: those answers are "cannot determine" in the synthetic
records.
"""

LEAST_SECONDS = 3
"""No synthetic assessment is shorter: the time to look and to press the keys."""


@dataclass(frozen=True, slots=True)
class Posting:
    """One synthetic posting: a name and a digest of nothing but the seed and its number."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Look:
    """The one assessment of a selected posting; `posting` is its place in `StudyPlan.postings`."""

    posting: int
    analyst: str
    facts: Mapping[str, str]
    active_seconds: int


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """Everything needed to seed a study: postings, and a look for each selected one, under a single review.

    The selected postings are exactly those with a look. `dataset` is the name that tables carry.
    """

    seed: int
    reference: str
    dataset: str
    framework: str
    framework_version: str
    review_plan: str
    analysts: tuple[str, ...]
    postings: tuple[Posting, ...]
    looks: tuple[Look, ...]


def october_2023(*, seed: int = 2023) -> StudyPlan:
    """Return the plan of the October 2023 study: 20,254 postings, 11,108 looks by twelve synthetic analysts.

    Equal seeds give equal plans on every machine and Python version: everything is drawn by SHA-256 and
    integers.
    """
    totals = OCTOBER_2023
    draw = _Draw(f"havenline study 2023-10|{seed}")
    postings = tuple(Posting(f"{number:05d}", draw.digest("posting", number)) for number in range(totals.posted))
    analysts = tuple(f"study-analyst-{number:02d}" for number in range(1, totals.analysts + 1))
    selected = sorted(draw.shuffled("selected", totals.posted)[: totals.selected])
    answers = _answers(draw, totals)
    weights = [draw.skewed("seconds", number) for number in range(totals.selected)]
    seconds = _spread(weights, total=totals.active_seconds, least=LEAST_SECONDS)
    looks = []
    for number, posting in enumerate(selected):
        analyst = analysts[draw.below("analyst", number, len(analysts))]
        looks.append(Look(posting, analyst, answers[number], seconds[number]))
    return StudyPlan(
        seed=seed,
        reference="study-2023-10",
        dataset="Published study of October 2023: one forum, one month; synthetic, without content",
        framework="gb-eaw",
        framework_version="2023-09",
        review_plan="single",
        analysts=analysts,
        postings=postings,
        looks=tuple(looks),
    )


def study_labels(plan: StudyPlan, framework: Framework) -> Labels:
    """Return what the tables of a study say of themselves; the days of its month are not stated."""
    return Labels.under(framework, investigation=plan.reference, dataset=plan.dataset, review_plan=plan.review_plan)


def study_records(plan: StudyPlan) -> Records:
    """Return the records that a desk would hold after every look of the plan was submitted.

    A study is a purpose that needs no approval of the framework, for nothing leaves the house (practice 12).
    Raises FiguresError when an answer of the plan does not pass the framework's check.
    """
    framework = load(plan.framework, plan.framework_version)
    assessments, outcomes = [], []
    for look in plan.looks:
        if framework.check(look.facts):
            raise FiguresError("the study's answers do not fit its framework")
        item = plan.postings[look.posting].path
        legality = framework.derive(look.facts, approved=True)
        assessments.append(
            {"revision": item, "person": look.analyst, "step": "first", "active_seconds": look.active_seconds}
        )
        outcomes.append(
            {
                "item": item,
                "status": legality.status.value,
                "class_id": legality.class_id,
                "settled_by": plan.review_plan,
                "viewed_by_person": True,
            }
        )
    return Records(
        posted=len(plan.postings),
        selections=pa.Table.from_pylist([{"item": row["item"]} for row in outcomes], schema=SELECTIONS),
        assessments=pa.Table.from_pylist(assessments, schema=ASSESSMENTS),
        outcomes=pa.Table.from_pylist(outcomes, schema=OUTCOMES),
        labels=study_labels(plan, framework),
    )


def _facts(**given: str) -> Mapping[str, str]:
    """Answers with the marks that every look has: the study counted pictures posted as machine-made."""
    facts = dict(given)
    if given["child"] == "yes":
        facts |= {"youngest_band": CANNOT_DETERMINE, "perceived_sex": CANNOT_DETERMINE}
    facts |= {"machine_made": "yes", "altered": CANNOT_DETERMINE, "offered_for_sale": CANNOT_DETERMINE}
    return MappingProxyType(facts)


_PSEUDO_PHOTOGRAPH = _facts(child="yes", image_kind="pseudo_photograph", indecent="yes", severity=CANNOT_DETERMINE)
_PROHIBITED_IMAGE = _facts(child="yes", image_kind="other_image", prohibited="yes")
# How the pictures that were not criminal divide is not published; the mix is made up and changes no figure.
_NOT_CRIMINAL = (
    _facts(child="no", image_kind="pseudo_photograph"),
    _facts(child="no", image_kind="other_image"),
    _facts(child="yes", image_kind="pseudo_photograph", indecent="no"),
    _facts(child="yes", image_kind="other_image", prohibited="no"),
)


class _Draw:
    """Numbers from a seed by SHA-256: no generator of the standard library promises equal draws for ever."""

    def __init__(self, seed: str) -> None:
        self._seed = seed

    def digest(self, purpose: str, number: int) -> str:
        return sha256(f"{self._seed}|{purpose}|{number}".encode()).hexdigest()

    def below(self, purpose: str, number: int, limit: int) -> int:
        return int(self.digest(purpose, number), 16) % limit

    def shuffled(self, purpose: str, count: int) -> list[int]:
        return sorted(range(count), key=lambda number: self.digest(purpose, number))

    def skewed(self, purpose: str, number: int) -> int:
        """A weight of at least 1 with a long right tail, as working times have."""
        return (1 + self.below(purpose, number, 1 << 16)) * (1 + self.below(f"{purpose}'", number, 1 << 16))


def _answers(draw: _Draw, totals: PublishedTotals) -> list[Mapping[str, str]]:
    """The answers of each look, in the numbers that were published and in an order drawn from the seed."""
    others = totals.selected - totals.pseudo_photographs - totals.prohibited_images
    answers = [_PSEUDO_PHOTOGRAPH] * totals.pseudo_photographs
    answers += [_PROHIBITED_IMAGE] * totals.prohibited_images
    answers += [_NOT_CRIMINAL[draw.below("kind", number, len(_NOT_CRIMINAL))] for number in range(others)]
    return [answers[place] for place in draw.shuffled("answers", totals.selected)]


def _spread(weights: list[int], *, total: int, least: int) -> list[int]:
    """Divide `total` by the weights, by largest remainders: each part at least `least`, the sum exact."""
    free, whole = total - least * len(weights), sum(weights)
    parts = [least + free * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda place: (-(free * weights[place] % whole), place))
    for place in order[: total - sum(parts)]:
        parts[place] += 1
    return parts
