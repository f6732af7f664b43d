"""Every bomb ends within ten seconds and one gibibyte, with a picture or a named reason; the server goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from havenline.media.postings import Posting
from havenline.scan import fingerprint_postings
from havenline.testing.films import still
from havenline.vocabulary import Refused
from havenline_guard.decoder_wire import Decoded
from havenline_guard.sandbox import close_worker
from tests.guard import bombs
from tests.guard.decoder_rig import OPENING, Rig

OPENED = {
    *("png text that unpacks to 600 MiB", "png profile that unpacks to 600 MiB", "png with 20,000 texts"),
    *("png with international text of 600 MiB", "png of 63 megapixels of nothing", "gif of 300 large frames"),
    *("webp of large frames", "jpeg with a document behind it", "jpeg with a zip behind it"),
    *("tiff whose pages never end",),
}
"""Bombs whose fuse is beside the picture: it is opened, and they do nothing."""
HASHED_BY_SCAN = OPENED | {
    *("film", "film that declares 65535 x 65535", "film whose head states 68 years", "film that refers to a file"),
}


@pytest.fixture(scope="module")
def opening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("d"), OPENING)
    yield rig
    state = rig.client.state()
    print(f"most resident memory of a child: {state['most_kib'] / 1024:.0f} MiB")
    assert state["restarts"] == 0
    assert state["most_kib"] < 1 << 20
    assert rig.stop() == 0


@pytest.mark.parametrize("name", bombs.PICTURES)
def test_a_bomb_ends_in_time_with_a_named_reason(opening: Rig, name: str) -> None:
    content = bombs.PICTURES[name]()
    begun = time.monotonic()
    found = opening.client.decode(content, width=64, height=64)
    took = time.monotonic() - begun
    print(f"{name}: {len(content):,} bytes, {took:.2f} s, {found if isinstance(found, Refused) else 'opened'}")
    assert isinstance(found, Decoded) == (name in OPENED), found
    assert took < 12
    assert isinstance(opening.client.decode(bombs.saved("PNG"), width=192, height=144), Decoded)


def test_bombs_among_the_files_of_a_scan_cost_themselves_alone() -> None:
    made = {name: make() for name, make in (bombs.PICTURES | bombs.FILMS).items()}
    innocent = bombs.saved("PNG")
    postings = []
    for name, content in made.items():
        postings += [Posting(name, len(content), content=content), Posting("innocent", len(innocent), content=innocent)]
    begun = time.monotonic()
    results = list(fingerprint_postings(postings, workers=2, close_off=close_worker, seconds_per_file=20))
    print(f"{len(made)} bombs in {time.monotonic() - begun:.1f} s")
    expected = results[1].fingerprint
    assert expected is not None
    assert expected.width == still(0).shape[1]
    assert all(each.fingerprint == expected for each in results[1::2])
    for bomb in results[::2]:
        refused = bomb.refused or (bomb.fingerprint and bomb.fingerprint.refusal)
        print(f"{bomb.path}: {refused or 'hashed'}")
        assert (refused is None) == (bomb.path in HASHED_BY_SCAN), bomb.path
