"""Films in lists that `matchd` holds: its answers are those of the lists themselves, from `scan` too."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from havenline.entries import Entries
from havenline.fingerprints import fingerprint_bytes
from havenline.matching import Edition, Lists, Snapshot
from havenline.matching.live import LiveLists
from havenline.testing import films
from havenline.vocabulary import EditionRef, Fingerprint, FrameHash, HashKind, ListEntry, ListTerms, listed_frames
from havenline_cli import main
from havenline_guard.client import MatchClient
from tests.guard.conftest import Running
from tests.guard.drawn import edition, fingerprint
from tests.guard.test_matchd import NOON

Start = Callable[..., Running]


def frames(chance: np.random.Generator, count: int, *, near: np.ndarray) -> tuple[FrameHash, ...]:
    codes = near[chance.integers(0, len(near), count)] ^ (chance.random((count, 256)) < 0.03)
    values = np.packbits(codes.astype(bool), axis=1)
    return tuple(
        FrameHash(float(second), row.tobytes().hex(), int(chance.integers(40, 101)))
        for second, row in enumerate(values)
    )


def test_answers_about_films_are_those_of_the_lists(matchd: Start, tmp_path: Path) -> None:
    seed = int(np.random.default_rng().integers(1 << 32))
    print("seed", seed)
    chance = np.random.default_rng(seed)
    near = chance.integers(0, 2, (60, 256))
    entries = Entries.of(
        ListEntry(f"film {n}", frames=listed_frames(frames(chance, 40, near=near[n : n + 8]))) for n in range(50)
    )
    listed = [
        Edition(EditionRef("films", 1, entries.digest()), entries, ListTerms(asked_share=0.3, listed_share=0.05)),
        edition("a", "b", "c"),
    ]
    LiveLists.create(tmp_path / "lists", listed)
    # More values than are looked up at once, so that the answer is put together from parts.
    asked: list[Fingerprint] = [fingerprint("a")]
    for n in range(60):
        shown = frames(chance, 50, near=near[n % 50 : n % 50 + 5])
        asked.append(
            replace(
                fingerprint(f"film {n}", near=True),
                pdq=None,
                pdq_quality=None,
                orientation=6,
                frames=frames(chance, 50, near=near[(n + 9) % 50 :]),
                frames_upright=shown,
            )
        )
    expected = Lists.build(listed).lookup(asked, at=NOON)
    told = [match.film for each in expected for match in each if match.film is not None]
    assert len(told) >= 50
    assert {each.upright for each in told} == {False, True}
    with MatchClient(matchd(lists=tmp_path / "lists").socket) as client:
        assert client.lookup(asked, at=NOON) == expected
        client.change(withdraw={"films": [f"film {n}" for n in range(50)]})
        assert not any(match.kind is HashKind.FILM for each in client.lookup(asked, at=NOON) for match in each)
        client.change(add={"films": [ListEntry("again", frames=listed_frames(asked[7].frames_upright))]})
        (match,) = client.lookup([asked[7]], at=NOON)[0]
        assert (match.entry, match.film is not None and match.film.asked_share) == ("again", 1.0)


def test_scan_finds_a_cut_of_a_listed_film_through_it(
    matchd: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (listed,) = fingerprint_bytes(films.film(seconds=4)).listed_films
    entries = Entries.of([ListEntry("film", frames=listed)])
    Snapshot.build([Edition(EditionRef("films", 1, entries.digest()), entries)]).save(tmp_path / "films")
    cut = films.film("webm", "libvpx", seconds=2, draw=lambda number: films.still(number + 10))
    (tmp_path / "in/cut.webm").write_bytes(cut)

    def scan(*arguments: object) -> dict[str, Any]:
        assert main.run(["scan", "in", *map(str, arguments), "--workers", "1", "--sandbox", "off", "--json"]) == 0
        return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]

    by_itself = scan("--list", "films")
    (match,) = by_itself["matches"]
    assert [(each["asked_second"], each["listed_second"]) for each in match["moments"]] == [(0, 1), (1, 2)]
    served = scan("--matchd", matchd(lists=tmp_path / "films").socket)
    assert served["matches"] == by_itself["matches"]
