"""Mutated files by the thousand: each ends in time with a picture or a named reason, and the service never falls."""

from __future__ import annotations

import io
import os
import tarfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from havenline.media import archives
from havenline.media.containers import open_source
from havenline.media.postings import Posting, RefusedPosting
from havenline.scan import fingerprint_postings
from havenline.testing.mutations import mutated, whole_films, whole_pictures
from havenline.unpacking import unpacked_by
from havenline.vocabulary import Refused
from havenline_guard.sandbox import close_worker
from tests.guard.decoder_rig import OPENING, Rig

SOAK = bool(os.environ.get("HAVENLINE_SOAK"))
PICTURES, FILMS, ARCHIVES = (10_000, 1_000, 500) if SOAK else (300, 60, 20)
SEED = 22


def made(originals: list[bytes], count: int) -> list[bytes]:
    chance = np.random.default_rng(SEED)
    return [mutated(originals[number % len(originals)], chance) for number in range(count)]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    started = Rig(tmp_path, OPENING)
    yield started
    assert started.stop() == 0


@pytest.mark.timeout(3000)
def test_decoderd_outlives_mutated_pictures(rig: Rig) -> None:
    server = Path(f"/proc/{rig.process.pid}/status")
    before, zygote = _resident(server), rig.zygote()

    def opened(content: bytes) -> tuple[str, float]:
        begun = time.monotonic()
        found = rig.client.decode(content, width=1024, height=1024)
        return found.reason.value if isinstance(found, Refused) else "picture", time.monotonic() - begun

    begun = time.monotonic()
    with ThreadPoolExecutor(2) as two:
        told = list(two.map(opened, made(whole_pictures(), PICTURES)))
    ends, state = Counter(end for end, _ in told), rig.client.state()
    grown = _resident(server) / before - 1
    print(
        f"seed {SEED}: {PICTURES:,} pictures in {time.monotonic() - begun:.0f} s, "
        f"longest {max(seconds for _, seconds in told):.2f} s, {dict(ends)}, {state}, supervisor grew by {grown:.1%}"
    )
    assert rig.zygote() == zygote
    assert (state["restarts"], state["late"], state["running"]) == (0, 0, 0)
    assert max(seconds for _, seconds in told) < 12
    assert ends["picture"] > PICTURES // 20
    assert grown < 0.05 or not SOAK


@pytest.mark.timeout(3000)
def test_closed_workers_outlive_mutated_films() -> None:
    postings = [Posting(str(n), len(film), content=film) for n, film in enumerate(made(whole_films(), FILMS))]
    ends = Counter(
        str(refused.reason) if refused else "hashed"
        for each in fingerprint_postings(postings, workers=2, close_off=close_worker, seconds_per_file=10)
        for refused in [each.refused or (each.fingerprint and each.fingerprint.refusal)]
    )
    print(f"seed {SEED}: {FILMS:,} films: {dict(ends)}")
    assert ends.total() == FILMS
    assert ends["hashed"] > FILMS // 20
    assert ends["decoder_failed"] <= FILMS // 100


@pytest.mark.timeout(3000)
def test_archives_are_unpacked_to_the_same_members_or_refusals(tmp_path: Path) -> None:
    ends: Counter[str] = Counter()
    for number, content in enumerate(made(_archives(), ARCHIVES)):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(content)
        begun = time.monotonic()
        found = list(open_source(path, unpacking=unpacked_by(close_worker, seconds=10)))
        assert time.monotonic() - begun < 12
        assert found == list(open_source(path, unpacking=archives.members))
        ends.update(each.refused.reason.value if isinstance(each, RefusedPosting) else "member" for each in found)
        path.unlink()
    print(f"seed {SEED}: {ARCHIVES:,} archives: {dict(ends)}")
    assert ends["member"] > ARCHIVES // 20


def _archives() -> list[bytes]:
    pictures = whole_pictures()[:6]
    zipped, plain, packed = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, content in enumerate(pictures):
            archive.writestr(f"{number}", content)
    for out, mode in ((plain, "w"), (packed, "w:gz")):
        with tarfile.open(fileobj=out, mode=mode) as tar:  # type: ignore[call-overload]
            for number, content in enumerate(pictures):
                member = tarfile.TarInfo(f"{number}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return [zipped.getvalue(), plain.getvalue(), packed.getvalue()]


def _resident(status: Path) -> int:
    return int(status.read_text().split("VmRSS:")[1].split()[0])
