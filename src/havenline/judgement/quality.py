"""Calibration and quality samples: the numbers as data, what counts as right, and which decisions are drawn. Pure."""

from __future__ import annotations

import hashlib
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files

from havenline.frameworks import Framework

from .agreement import differences


@dataclass(frozen=True, slots=True)
class QualityRules:
    """What `calibration.toml` says: pictures of a session, share of right answers, days, most decisions in a day."""

    pictures: int
    pass_mark: Decimal
    valid_days: int
    most_sampled_a_day: int
    recent_days: int


@cache
def quality_rules() -> QualityRules:
    """The rules that are shipped."""
    text = files("havenline.judgement").joinpath("calibration.toml").read_text(encoding="utf-8")
    said = tomllib.loads(text)
    return QualityRules(**{**said, "pass_mark": Decimal(said["pass_mark"])})


@dataclass(frozen=True, slots=True)
class Score:
    """How many compared answers a session asked for, and how many were right."""

    compared: int
    right: int

    def passes(self, mark: Decimal) -> bool:
        """Whether the share of right answers reaches `mark`; nothing compared passes nothing."""
        return self.compared > 0 and self.right >= mark * self.compared


def score(framework: Framework, answered: Iterable[tuple[Mapping[str, str], Mapping[str, str]]]) -> Score:
    """Compare what was drawn with what was answered, picture by picture.

    Compared are the questions whose differences would be a dispute and that either set of answers calls for: a wrong
    answer that makes other questions arise or not is wrong in each of them. "Cannot determine" is not right where the
    picture shows the answer.
    """
    found = score_by_question(framework, answered).values()
    return Score(sum(one.compared for one in found), sum(one.right for one in found))


def score_by_question(
    framework: Framework, answered: Iterable[tuple[Mapping[str, str], Mapping[str, str]]]
) -> dict[str, Score]:
    """The same as `score`, by id of each question that was compared at all, in the order of the form."""
    compared, wrong = Counter[str](), Counter[str]()
    for truth, answers in answered:
        compared.update({one.id for facts in (truth, answers) for one in framework.asked(facts) if one.compared})
        wrong.update(one.question for one in differences(framework, truth, answers))
    asked = [one.id for one in framework.questions if compared[one.id]]
    return {name: Score(compared[name], compared[name] - wrong[name]) for name in asked}


def stratified(strata: Mapping[str, str], *, wanted: int, seed: int) -> tuple[str, ...]:
    """Return `wanted` of the names (all, where there are fewer), by strata in proportion, each stratum at least once.

    `strata`: name -> stratum. Who has the same names, strata, number and seed draws the same sample, whatever the
    order, machine or version of Python. Where fewer are wanted than there are strata, the largest come first. Raises
    ValueError for a negative number.
    """
    if wanted < 0:
        raise ValueError("a sample has no negative size")
    members = defaultdict[str, list[str]](list)
    for name, stratum in strata.items():
        members[stratum].append(name)
    sizes = {stratum: len(names) for stratum, names in members.items()}
    shares = _shares(sizes, min(wanted, len(strata)))
    drawn = [
        name
        for stratum in sorted(members)
        for name in sorted(members[stratum], key=lambda name: _rank(seed, name))[: shares[stratum]]
    ]
    return tuple(drawn)


def _shares(sizes: Mapping[str, int], wanted: int) -> Counter[str]:
    """One each, the largest first, then by largest remainders of what is left over in proportion."""
    order = sorted(sizes, key=lambda stratum: (-sizes[stratum], stratum))
    shares = Counter(dict.fromkeys(order[:wanted], 1))
    left = wanted - shares.total()
    rest = {stratum: sizes[stratum] - shares[stratum] for stratum in order}
    whole = sum(rest.values())
    if not left or not whole:
        return shares
    free = left
    for stratum in order:
        part = free * rest[stratum] // whole
        shares[stratum] += part
        left -= part
    by_remainder = sorted(order, key=lambda stratum: (-(free * rest[stratum] % whole), stratum))
    for stratum in by_remainder[:left]:
        shares[stratum] += 1
    return shares


def _rank(seed: int, name: str) -> str:
    return hashlib.sha256(f"havenline quality sample|{seed}|{name}".encode()).hexdigest()
