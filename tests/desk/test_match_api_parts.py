"""The parts of the match service that need no server: the grid, the ledger, the reading of questions."""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from havenline.vocabulary import HashKind
from havenline_desk.api import openapi
from havenline_desk.api.grid import STEP_NS, released_at
from havenline_desk.api.ledger import Ledger, LedgerUnusable
from havenline_desk.api.questions import MOST_ITEMS, Refused, of_hashes

AT = dt.datetime(2026, 11, 28, 12, 0, tzinfo=dt.UTC)
SECRET = b"of this installation"
SHA256, PDQ = "a1" * 32, "0f" * 32
DOCUMENT = Path(__file__).parents[2] / "docs/formats/match-api.json"


@pytest.mark.parametrize(
    ("took", "out"),
    [(0, 1), (1, 1), (STEP_NS - 1, 1), (STEP_NS, 1), (STEP_NS + 1, 2), (7 * STEP_NS, 7), (7 * STEP_NS + 5, 8)],
)
def test_an_answer_goes_out_at_a_step_of_the_grid_and_never_before_it_is_ready(took: int, out: int) -> None:
    for asked in (0, 12_345_678_901):
        assert released_at(asked, asked + took) == asked + out * STEP_NS
        assert released_at(asked, asked + took, step=0) == asked + took


def test_what_took_less_than_a_step_goes_out_at_one_moment_whatever_it_took() -> None:
    chance = np.random.default_rng(1)
    hits, misses = chance.integers(0, STEP_NS, 1000), chance.integers(0, STEP_NS // 50, 1000)
    moments = {released_at(0, int(took)) for took in (*hits, *misses)}
    assert moments == {STEP_NS}


def test_quotas_hold_to_the_item_and_a_batch_counts_as_its_items(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "a" * 32, secret=SECRET)
    some = {"per_minute": 10, "per_day": 15}
    assert ledger.admit(9, at=AT, **some).admitted
    refused = ledger.admit(2, at=AT + dt.timedelta(seconds=20), **some)
    assert (refused.admitted, refused.retry_after) == (False, 40)
    assert ledger.admit(1, at=AT, **some).admitted
    assert not ledger.admit(1, at=AT, **some).admitted
    minute = AT + dt.timedelta(minutes=1)
    assert ledger.admit(5, at=minute, **some).admitted
    whole = ledger.admit(1, at=minute, **some)
    assert (whole.admitted, whole.retry_after) == (False, 12 * 3600 - 60)
    assert not ledger.admit(1, at=AT, **some).admitted  # a clock that was set back gives nothing anew
    assert ledger.admit(10, at=AT + dt.timedelta(days=1), **some).admitted


def _ask(folder: Path, counted: Any) -> None:
    ledger = Ledger(folder, "a" * 32, secret=SECRET)
    for _ in range(40):
        if ledger.admit(1, at=AT, per_minute=50, per_day=1000).admitted:
            with counted.get_lock():
                counted.value += 1


def test_two_processes_share_one_quota_and_a_restart_gives_nothing_anew(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    counted = context.Value("i", 0)
    both = [context.Process(target=_ask, args=(tmp_path, counted)) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join(120)
    assert [each.exitcode for each in both] == [0, 0]
    assert counted.value == 50
    assert not Ledger(tmp_path, "a" * 32, secret=SECRET).admit(1, at=AT, per_minute=50, per_day=1000).admitted


def test_probing_is_remembered_across_a_restart_and_no_value_lies_open_in_the_file(tmp_path: Path) -> None:
    chance = np.random.default_rng(4)
    base = chance.integers(0, 1 << 64, 4, np.uint64)
    asked = [base ^ np.array([1 << turn, 0, 0, 0], np.uint64) for turn in range(20)]
    assert not Ledger(tmp_path, "b" * 32, secret=SECRET).probing(asked[:19], limit=20, at=AT)
    again = Ledger(tmp_path, "b" * 32, secret=SECRET)
    assert not again.frozen
    assert again.probing(asked[19:], limit=20, at=AT)
    assert Ledger(tmp_path, "b" * 32, secret=SECRET).frozen
    kept = (tmp_path / "match-api" / ("b" * 32)).read_bytes()
    assert [code for code in asked if code.tobytes()[8:] in kept] == []
    assert (tmp_path / "match-api" / ("b" * 32)).stat().st_mode & 0o777 == 0o600


def test_a_file_of_something_else_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "match-api").mkdir()
    (tmp_path / "match-api" / "c").write_bytes(b"something else" * 10)
    with pytest.raises(LedgerUnusable, match="move it away"):
        Ledger(tmp_path, "c", secret=SECRET)


def test_a_question_becomes_columns() -> None:
    items = [{"sha256": SHA256}, {"pdq": PDQ, "quality": 50, "md5": "b2" * 16}, {"sha1": "c3" * 20}]
    question = of_hashes(json.dumps({"items": items}).encode())
    hashes = question.asked.hashes
    assert (question.count, question.codes.tobytes().hex()) == (3, PDQ)
    assert {kind.value: hashes[kind].rows.tolist() for kind in hashes} == {
        "md5": [1],
        "sha1": [2],
        "sha256": [0],
        "pdq": [1],
    }
    assert question.asked.pdq_quality.tolist() == [50]
    assert hashes[HashKind.SHA256].values.tobytes().hex() == SHA256


@pytest.mark.parametrize(
    ("body", "name", "status", "item"),
    [
        ("", "malformed", 400, None),
        ("[" * 100_000, "malformed", 400, None),
        ("[]", "malformed", 400, None),
        ('{"items": {}}', "malformed", 400, None),
        ('{"items": [], "url": "x"}', "malformed", 400, None),
        ('{"items": []}', "no_items", 422, None),
        (json.dumps({"items": [{"md5": "0" * 32}] * (MOST_ITEMS + 1)}), "too_many_items", 422, None),
        ('{"items": [{}]}', "malformed_item", 422, 0),
        ('{"items": ["a"]}', "malformed_item", 422, 0),
        (json.dumps({"items": [{"sha256": SHA256}, {"sha256": SHA256.upper()}]}), "malformed_item", 422, 1),
        ('{"items": [{"sha256": null}]}', "malformed_item", 422, 0),
        ('{"items": [{"sha256": 7}]}', "malformed_item", 422, 0),
        (json.dumps({"items": [{"sha256": SHA256, "url": "x"}]}), "malformed_item", 422, 0),
        (json.dumps({"items": [{"pdq": PDQ}]}), "quality_missing", 422, 0),
        (json.dumps({"items": [{"quality": 90}]}), "quality_missing", 422, 0),
        (json.dumps({"items": [{"pdq": PDQ, "quality": 49}]}), "low_quality", 422, 0),
        (json.dumps({"items": [{"pdq": PDQ, "quality": 101}]}), "malformed_item", 422, 0),
        (json.dumps({"items": [{"pdq": PDQ, "quality": True}]}), "malformed_item", 422, 0),
    ],
)
def test_what_is_no_question_is_refused_by_name(body: str, name: str, status: int, item: int | None) -> None:
    with pytest.raises(Refused) as refused:
        of_hashes(body.encode())
    assert (refused.value.name, refused.value.status, refused.value.item) == (name, status, item)
    assert name in openapi.REFUSALS[status]


def test_the_document_in_docs_is_the_one_that_is_served() -> None:
    assert DOCUMENT.read_text() == openapi.text(), "python -c 'print openapi.text()' into docs/formats/match-api.json"


def test_an_outside_caller_is_told_one_bit_and_the_schema_has_no_other_key() -> None:
    paths = openapi.document()["paths"]

    def properties(path: str) -> dict[str, Any]:
        said = paths[path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert said["additionalProperties"] is False
        return dict(said["properties"])

    assert properties("/v1/match/hashes") == {"leads": {"type": "array", "items": {"type": "integer", "enum": [0, 1]}}}
    assert set(properties("/v1/match/file")) == {"leads", "perceptual"}
    assert {method for each in paths.values() for method in each} == {"post"}
