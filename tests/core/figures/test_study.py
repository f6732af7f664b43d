"""The figures published in October 2023, recomputed from synthetic records by the general rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from havenline.figures import Records, funnel, to_json, to_text
from havenline.figures.study import LEAST_SECONDS, StudyPlan, october_2023, study_records
from havenline.frameworks import CANNOT_DETERMINE, load


@pytest.fixture(scope="module")
def plan() -> StudyPlan:
    return october_2023()


@pytest.fixture(scope="module")
def records(plan: StudyPlan) -> Records:
    return study_records(plan)


def test_the_published_figures_come_out(records: Records) -> None:
    told = to_json(funnel(records))
    published = {
        "posted": 20_254,
        "not_selected": 9_146,
        "assessed": 11_108,
        "confirmed": 2_978,
        "realistic": 2_562,
        "prohibited": 416,
        "analysts": 12,
        "hours": 87.5,
        "seconds_per_item": 28.4,
    }
    assert {key: told[key] for key in published} == published
    assert (told["waiting"], told["undetermined"], told["not_criminal"]) == (0, 0, 8_130)
    assert told["shares"]["selected_of_posted"] == 54.8
    assert told["shares"]["confirmed_of_assessed"] == 26.8
    assert told["shares"]["realistic_of_confirmed"] == 86.0
    assert told["shares"]["prohibited_of_confirmed"] == 14.0
    laws = {one["class"]: one["count"] for one in told["by_law"]}
    assert laws == {"photograph": 0, "pseudo_photograph": 2_562, "derived_image": 0, "prohibited_image": 416}


def test_the_text_reads_as_published(records: Records) -> None:
    text = to_text(funnel(records))
    for figure in ("20,254", "9,146", "11,108", "2,978", "2,562", "86.0 %", "416", "14.0 %", "87.5 hours"):
        assert figure in text


@pytest.mark.parametrize("seed", [1, 77])
def test_the_figures_do_not_depend_on_the_seed(seed: int, records: Records) -> None:
    other = study_records(october_2023(seed=seed))
    assert not other.selections.equals(records.selections)
    assert funnel(other) == funnel(records)


def test_the_figures_follow_the_records_not_the_constants(plan: StudyPlan) -> None:
    """Take one confirmed look away and clear another: every figure moves as the rules say."""
    confirmed = [place for place, look in enumerate(plan.looks) if look.facts.get("indecent") == "yes"]
    looks = list(plan.looks)
    cleared = {**looks[confirmed[1]].facts, "indecent": "no"}
    del cleared["severity"]
    looks[confirmed[1]] = replace(looks[confirmed[1]], facts=cleared)
    del looks[confirmed[0]]
    figures = funnel(study_records(replace(plan, looks=tuple(looks))))
    assert (figures.not_selected, figures.assessed) == (9_147, 11_107)
    assert (figures.confirmed, figures.realistic, figures.not_criminal) == (2_976, 2_560, 8_131)


def test_equal_seeds_give_equal_plans(plan: StudyPlan) -> None:
    assert october_2023() == plan
    # Pinned: a change of the draw would silently change every later study made from the same seed.
    assert plan.postings[0].sha256 == "eb82bf55ad357e5af4cad87e2be8c514e78abe3877dc1d7b36756cf4a1d5363f"
    assert [(look.posting, look.analyst, look.active_seconds) for look in plan.looks[:3]] == [
        (1, "study-analyst-08", 16),
        (2, "study-analyst-12", 5),
        (3, "study-analyst-02", 14),
    ]


def test_the_framework_accepts_every_answer_and_the_unpublished_splits_stay_open(plan: StudyPlan) -> None:
    framework = load(plan.framework, plan.framework_version)
    for facts in {tuple(look.facts.items()) for look in plan.looks}:
        answers = dict(facts)
        assert framework.check(answers) == {}
        for question in ("severity", "youngest_band", "perceived_sex"):
            assert answers.get(question, CANNOT_DETERMINE) == CANNOT_DETERMINE


def test_seconds_are_whole_spread_and_sum_to_the_published_hours(plan: StudyPlan) -> None:
    seconds = sorted(look.active_seconds for look in plan.looks)
    assert sum(seconds) == 315_000
    assert seconds[0] >= LEAST_SECONDS
    assert seconds[len(seconds) // 10] < 10 < 20 < seconds[len(seconds) // 2] < 30 < 60 < seconds[-100]


def test_postings_are_distinct_and_each_is_looked_at_once(plan: StudyPlan) -> None:
    assert len({posting.path for posting in plan.postings}) == len(plan.postings) == 20_254
    assert len({posting.sha256 for posting in plan.postings}) == 20_254
    assert len({look.posting for look in plan.looks}) == len(plan.looks) == 11_108
    assert {look.analyst for look in plan.looks} == set(plan.analysts)
