"""`havenline exchange feedback`, and the process that fetches, which sends: as the liaison and `up` run them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from havenline.connectors.simulator import Given
from havenline.connectors.threatexchange.simulator import ThreatExchangeSimulator
from havenline_cli import desk as opening
from havenline_cli import main
from havenline_desk.actions.send_feedback import MOST_TRIES
from havenline_desk.models import FeedbackTry, File

from . import factories as make
from .feedback_rig import AT, MINUTE, Partner, steps

pytestmark = pytest.mark.django_db


@contextmanager
def _this_database(*_args: object, **_named: object) -> Iterator[None]:
    yield


def test_on_list_send_retry_and_off_and_the_process_that_fetches_sends_too(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "desk", _this_database)
    monkeypatch.setattr(opening, "existing_home", lambda path: path)
    monkeypatch.setattr("django.db.close_old_connections", lambda: None)  # the test's transaction is one of them
    key, folder = ["--key", str(home / "exchange.key")], ["--folder", str(home / "exchanges")]

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(main.app, ["exchange", *arguments])
        assert result.exception is None, result.output
        assert "not-a-secret" not in result.output
        return result.output

    make.settle(make.world(at=AT), make.NO_SHAPES, at=AT + MINUTE)
    simulator = ThreatExchangeSimulator(seconds=lambda: int(AT.timestamp()))
    with simulator.serving() as base:
        simulator.put("1", File.objects.get().md5, kind="HASH_MD5")
        secrets, settings = {"access_token": simulator.token}, {"privacy_group": simulator.group}
        partner = Partner(home, base, connector="threatexchange", secrets=secrets, settings=settings)
        partner.fetch(at=AT)
        partner.match(at=AT + 10 * MINUTE)
        assert "threatexchange: off, 0 wait" in run("feedback", "list")
        assert "NON_MALICIOUS" in run("feedback", "reasons", "threatexchange", *folder, *key)
        keep = ["keep", "--once", "--home", str(home), *folder, *key]
        run(*keep)
        assert steps() == []
        run("feedback", "on", "threatexchange", "--against", "NON_MALICIOUS", "--by", "liaison")
        assert "threatexchange: on, 1 wait" in run("feedback", "list")
        simulator.faults.instead.append(Given(status=500))
        run(*keep)
        assert steps() == ["begun", "failed"]
        FeedbackTry.objects.bulk_create(
            FeedbackTry(opinion=row.opinion, step="failed", at=AT)
            for row in [FeedbackTry.objects.order_by("-pk")[0]]
            for _ in range(MOST_TRIES - 2)
        )
        simulator.faults.instead.append(Given(status=500))
        run(*keep)
        (letter,) = json.loads(run("feedback", "list", "--json"))["given_up"]
        assert letter["why"] == "POST /d1: answered with status 500"
        run("feedback", "retry", letter["opinion"], "--by", "liaison")
        assert "threatexchange: 1 sent" in run("feedback", "send", "--by", "liaison", *key)
        assert "nothing is due" in run("feedback", "send", "--by", "liaison", *key)
        assert simulator.reactions == [("d1", "NON_MALICIOUS")]
        run("feedback", "off", "threatexchange", "--by", "lead")
        assert "threatexchange: off" in run("feedback", "list")
