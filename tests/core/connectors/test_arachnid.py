"""Arachnid Shield by PDQ against its simulator. Each test names what it checks."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from havenline.connectors import sealed
from havenline.connectors.arachnid.client import ArachnidShield, Classification, Lead, MatchType
from havenline.connectors.arachnid.simulator import ArachnidSimulator
from havenline.connectors.exchange import Configured, Exchange, ExchangeError, set_up
from havenline.connectors.frame import PartnerError
from havenline.connectors.one_host import Credentials, OneHost
from havenline.connectors.simulator import Given
from havenline_cli import main

from .rig import digest

NOTHING = Lead(Classification.NO_KNOWN_MATCH, None)


@pytest.fixture
def simulator() -> ArachnidSimulator:
    return ArachnidSimulator(known={digest("pdq", 1): "csam", digest("pdq", 2): "harmful-abusive-material"})


@pytest.fixture
def shield(simulator: ArachnidSimulator) -> Iterator[ArachnidShield]:
    with simulator.serving() as base:
        yield ArachnidShield(OneHost(base, Credentials(base, basic=("house", "not-a-secret"))))


def near(value: str) -> str:
    """The same value with two bits changed."""
    return f"{int(value, 16) ^ 3:064x}"


@pytest.mark.parametrize("zone", ["Europe/London", "Asia/Tokyo"])
def test_each_value_gets_its_own_answer_in_order(
    shield: ArachnidShield, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        asked = [digest("pdq", 9), near(digest("pdq", 2)), digest("pdq", 1), digest("pdq", 9)]
        assert shield.leads(asked) == [
            NOTHING,
            Lead(Classification.HARMFUL, MatchType.NEAR),
            Lead(Classification.CSAM, MatchType.EXACT),
            NOTHING,
        ]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_hundred_values_are_asked_at_once_and_only_by_pdq(
    shield: ArachnidShield, simulator: ArachnidSimulator
) -> None:
    assert shield.leads([digest("pdq", 100 + number) for number in range(250)]) == [NOTHING] * 250
    assert [len(json.loads(each.body)["hashes"]) for each in simulator.asked] == [100, 100, 50]
    assert {(each.method, each.path) for each in simulator.asked} == {("POST", "/v1/pdq/")}
    assert not any(each.query for each in simulator.asked)


def test_what_is_no_pdq_value_is_refused_before_anything_is_sent(
    shield: ArachnidShield, simulator: ArachnidSimulator
) -> None:
    with pytest.raises(ValueError, match="pdq"):
        shield.leads([digest("pdq", 1), digest("md5", 1)])
    assert simulator.asked == []


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{",
        b'{"scanned_hashes": []}',
        b'{"scanned_hashes": {"?": {"classification": "csam", "match_type": null}}}',
        b'{"scanned_hashes": {"AAAA": {"classification": "fine", "match_type": null}}}',
        b'{"scanned_hashes": {"AAAA": {"classification": "csam", "match_type": "maybe"}}}',
        b'{"scanned_hashes": {}}',
    ],
)
def test_an_answer_that_is_unknown_or_lacks_a_value_is_no_answer(
    shield: ArachnidShield, simulator: ArachnidSimulator, body: bytes
) -> None:
    simulator.faults.instead.append(Given(body))
    with pytest.raises(PartnerError) as caught:
        shield.leads([digest("pdq", 1)])
    assert digest("pdq", 1) not in str(caught.value)


def test_credentials_are_sealed_and_the_command_asks_and_fetches_no_list(
    tmp_path: Path, simulator: ArachnidSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    folder, key = tmp_path / "exchanges", tmp_path / "key"
    sealed.make_key(key)
    (tmp_path / "values").write_text(f"{digest('pdq', 1)}\n\n{digest('pdq', 9).upper()}\n")
    with simulator.serving() as base, caplog.at_level(logging.DEBUG):
        secrets = {"user": "house", "password": "not-a-secret"}
        set_up(folder / "shield", Configured("arachnid", base, "shield"), secrets, key=key)
        assert not any(b"not-a-secret" in path.read_bytes() for path in (folder / "shield").iterdir())
        where = ["--folder", str(folder), "--key", str(key)]
        asked = CliRunner().invoke(main.app, ["exchange", "ask", "shield", str(tmp_path / "values"), *where, "--json"])
        assert asked.exit_code == 0, asked.output
        assert json.loads(asked.stdout)["leads"] == [
            {"line": 1, "classification": "csam", "match": "exact"},
            {"line": 2, "classification": "no-known-match", "match": None},
        ]
        fetched = CliRunner().invoke(main.app, ["exchange", "fetch", "shield", *where])
        assert isinstance(fetched.exception, ExchangeError)
        assert "serves no list" in str(fetched.exception)
        (tmp_path / "values").write_text("no value\n")
        refused = CliRunner().invoke(main.app, ["exchange", "ask", "shield", str(tmp_path / "values"), *where])
        assert "nothing was asked" in str(refused.exception)
    assert digest("pdq", 1) not in caplog.text + asked.output
    set_up(folder / "list", Configured("ncmec", "https://a.invalid", "list"), secrets, key=key)
    opened = Exchange(folder / "list")
    with pytest.raises(ExchangeError, match="serves a list"):
        opened.shield(key)
    opened.close()
