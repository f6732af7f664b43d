"""`havenline exchange` as a person runs it: set up, fetch, look up, withdraw, kill, fetch anew."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from havenline.connectors.exchange import Exchange
from havenline.connectors.ncmec.simulator import NcmecSimulator, Shared
from havenline.connectors.simulator import Given
from havenline.connectors.stages import Stage
from havenline_cli import main

SECRETS = "user=member-one\npassword=not-a-secret\n"


class Commands:
    """Runs commands in this process, in an empty data folder."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def __call__(self, *arguments: object, stdin: str = "") -> tuple[int, str]:
        self._monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = main.run([str(argument) for argument in arguments])
        captured = self._capsys.readouterr()
        assert "not-a-secret" not in captured.out + captured.err
        return code, captured.out + captured.err

    def told(self, *arguments: object) -> dict[str, Any]:
        code, text = self(*arguments, "--json")
        assert code in (0, 3), text
        # What is said on standard error stands behind it.
        read: dict[str, Any]
        read, _ = json.JSONDecoder().raw_decode(text)
        return read


@pytest.fixture
def havenline(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Commands:
    monkeypatch.setenv("HAVENLINE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return Commands(capsys, monkeypatch)


@pytest.fixture
def ncmec() -> Iterator[tuple[NcmecSimulator, str]]:
    simulator = NcmecSimulator(clock=lambda: dt.datetime.now(dt.UTC))
    with simulator.serving() as base:
        yield simulator, base


def drawn(folder: Path) -> str:
    """A folder with one drawn picture; its MD5."""
    folder.mkdir()
    noise = np.random.default_rng(1).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    path = folder / "drawn.png"
    Image.fromarray(noise).resize((480, 360), Image.Resampling.BICUBIC).save(path)
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_a_partners_list_is_fetched_scanned_with_withdrawn_and_withheld(
    havenline: Commands, ncmec: tuple[NcmecSimulator, str], tmp_path: Path
) -> None:
    simulator, base = ncmec
    md5, ago = drawn(tmp_path / "pictures"), int(time.time()) - 100
    simulator.put(Shared("9", "e1", ago, {"md5": md5}))
    simulator.put(Shared("9", "e2", ago, {"md5": md5}, classification="B2"))
    simulator.put(Shared("9", "e3", ago, {"md5": md5}, classification="new"))
    code, text = havenline("exchange", "set-up", "ncmec", "--connector", "ncmec", "--base-url", base, stdin=SECRETS)
    assert code == 0, text
    code, text = havenline("exchange", "fetch", "ncmec")
    assert code == 3, text
    assert "2 entries, 1 in quarantine" in text
    status = havenline.told("exchange", "status")["exchanges"][0]
    live = status["live_lists"]
    assert status["stage"] == "shadow"

    def found() -> set[str]:
        table = tmp_path / "table.jsonl"
        table.unlink(missing_ok=True)
        havenline.told("scan", "pictures", "--list", live, "-o", table, "--workers", 1, "--sandbox", "off")
        (row,) = [json.loads(line) for line in table.read_text().splitlines()]
        return {match["entry"] for match in row["matches"]}

    assert found() == set()
    exchange = Exchange(tmp_path / "home" / "exchanges" / "ncmec")
    exchange.set_stage(Stage.ACTIVE, at=dt.datetime.now(dt.UTC) + dt.timedelta(days=7))
    exchange.close()
    assert found() == {"9/e1", "9/e2"}
    simulator.put(Shared("9", "e1", int(time.time()) - 10, deleted=True))
    assert havenline.told("exchange", "resync", "ncmec")["entries"] == 1
    assert found() == {"9/e2"}
    exchange = Exchange(tmp_path / "home" / "exchanges" / "ncmec")
    assert exchange.withhold(["9/e2"], at=dt.datetime.now(dt.UTC)) == 1
    exchange.close()
    assert found() == set()
    quarantined = havenline.told("exchange", "quarantine", "ncmec", "--retry")
    assert (quarantined["quarantined"], quarantined["understood_now"]) == (1, 0)
    assert md5 not in json.dumps(quarantined)


def test_credentials_are_sealed_bound_to_their_address_and_their_owners_alone(
    havenline: Commands, ncmec: tuple[NcmecSimulator, str], tmp_path: Path
) -> None:
    base = ncmec[1]
    code, text = havenline("exchange", "set-up", "n", "--connector", "ncmec", "--base-url", base, stdin=SECRETS)
    assert code == 0, text
    place = tmp_path / "home" / "exchanges" / "n"
    for path in [*place.rglob("*"), tmp_path / "home" / "exchange.key"]:
        assert path.stat().st_mode & 0o077 == 0, path
        assert path.is_dir() or b"not-a-secret" not in path.read_bytes()
    said = json.loads((place / "exchange.json").read_text())
    (place / "exchange.json").write_text(json.dumps({**said, "base_url": "http://127.0.0.1:9/elsewhere"}))
    code, text = havenline("exchange", "fetch", "n")
    assert code == 1
    assert "sealed for another base URL" in text
    assert ncmec[0].asked == []


@pytest.mark.parametrize(
    ("base", "why"),
    [
        ("http://partner.example/x", "https://"),
        ("https://user:pass@partner.example/x", "no user"),
        ("https://partner.example/x?url=https://elsewhere.example", "query"),
        ("file:///etc/passwd", "https://"),
    ],
)
def test_a_base_url_is_an_https_address_and_nothing_more(havenline: Commands, base: str, why: str) -> None:
    code, text = havenline("exchange", "set-up", "n", "--connector", "ncmec", "--base-url", base, stdin=SECRETS)
    assert code == 1
    assert why in text


def test_killed_in_the_middle_of_a_fetch_it_goes_on_and_loses_nothing(
    havenline: Commands, ncmec: tuple[NcmecSimulator, str], tmp_path: Path
) -> None:
    simulator, base = ncmec
    simulator.page_size = 10
    ago = int(time.time()) - 100
    for number in range(60):
        simulator.put(Shared("9", f"e{number}", ago, {"md5": hashlib.md5(b"%d" % number).hexdigest()}))
    havenline("exchange", "set-up", "n", "--connector", "ncmec", "--base-url", base, stdin=SECRETS)
    # The fourth page is never answered: the client waits, and is killed where it waits.
    simulator.faults.instead.extend([*[None] * 4, *[Given(status=429, headers={"Retry-After": "120"})] * 2])
    command = [sys.executable, "-c", "from havenline_cli.main import main; main()", "exchange", "fetch", "n"]
    running = subprocess.Popen(command, env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(simulator.faults.instead) > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(simulator.faults.instead) == 1, "the fetch never came to the fourth page"
    running.send_signal(signal.SIGKILL)
    running.wait(timeout=30)
    simulator.faults.instead.clear()
    simulator.asked.clear()
    summary = havenline.told("exchange", "fetch", "n")
    assert summary["entries"] == 60
    first = next(asked for asked in simulator.asked if asked.path == "/v2/entries")
    assert first.query["start"] == "31", "it began the window again"
