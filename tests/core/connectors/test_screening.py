"""Promise 18: poisoning is contained. Near a harmless picture, of low quality, of few bits: not in the list."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from havenline.connectors.ncmec.simulator import NcmecSimulator, Shared
from havenline.connectors.screening import REASONS, Screen, ScreenRefused, shipped_screen
from havenline.connectors.store import StateRefused
from havenline.entries import UNKNOWN_QUALITY
from havenline.fingerprints.fingerprint import fingerprint_bytes
from havenline.testing.harmless import LAYOUTS, codes_of, draw_harmless, shipped_pictures
from havenline.vocabulary import ListEntry

from .rig import Clock, Rig, digest

SECRETS = {"user": "member-one", "password": "not-a-secret"}
NEAR = REASONS[4]
SEED = 4711


def test_there_are_more_than_five_thousand_and_the_files_are_those_of_their_recipe() -> None:
    screen = shipped_screen()
    assert len(screen) >= 5_000
    drawn = [code for layout in LAYOUTS for number in (0, 499) for code in codes_of(draw_harmless(layout, number))]
    drawn += [code for package, content in shipped_pictures() if package == "scipy" for code in codes_of(content)]
    codes = np.frombuffer(b"".join(drawn), np.uint8).reshape(-1, 32)
    assert len(codes) >= 26
    assert (screen.judge(codes, np.full(len(codes), 100, np.uint8)) != 0).all()


def _balanced(chance: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """Values of which half the bits are set, as PDQ has them."""
    bits = np.tile(np.arange(256) % 2, (count, 1)).astype(np.uint8)
    return np.packbits(chance.permuted(bits, axis=1), axis=1)


def test_every_value_within_the_radius_of_a_harmless_one_is_refused_and_beyond_it_none() -> None:
    chance = np.random.default_rng(SEED)
    harmless = _balanced(chance, 6_000)
    screen = Screen(harmless, version=1)
    for flips, refused in ((0, True), (1, True), (31, True), (32, False)):
        bits = np.unpackbits(harmless, axis=1)
        for row in range(len(bits)):
            bits[row, chance.choice(256, flips, replace=False)] ^= 1
        judged = screen.judge(np.packbits(bits, axis=1), np.full(len(bits), UNKNOWN_QUALITY, np.uint8))
        assert {REASONS[place] == NEAR for place in judged.tolist()} == {refused}, f"seed {SEED}, {flips} bits"


def test_low_quality_and_low_entropy_are_refused_whole() -> None:
    screen, chance = shipped_screen(), np.random.default_rng(SEED)
    values = _balanced(chance, 500)
    assert not screen.judge(values, np.full(500, 50, np.uint8)).any(), f"seed {SEED}"
    assert (screen.judge(values, chance.integers(0, 50, 500).astype(np.uint8)) == 1).all()
    few = np.packbits(chance.random((500, 256)) < 0.2, axis=1)
    many = np.packbits(chance.random((500, 256)) < 0.8, axis=1)
    # Half of the bits set, in five rows that repeat.
    rows = np.tile(chance.permuted(np.tile([0, 1], (500, 5, 8)), axis=2).astype(np.uint8), (1, 4, 1))[:, :16]
    repeated = np.packbits(rows.reshape(500, 256), axis=1)
    for bad, reason in ((few, 2), (many, 2), (repeated, 3)):
        assert (screen.judge(bad, np.full(500, 100, np.uint8)) == reason).all(), f"seed {SEED}"


def test_a_textured_picture_that_is_in_no_recipe_passes() -> None:
    chance = np.random.default_rng(SEED)
    passed = []
    for _ in range(20):
        rough = Image.fromarray(chance.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((640, 480), 3)
        file = BytesIO()
        rough.save(file, "PNG")
        made = fingerprint_bytes(file.getvalue())
        passed.append(shipped_screen().reasons([ListEntry("1", pdq=made.pdq, pdq_quality=made.pdq_quality)]) == [""])
    assert all(passed), f"seed {SEED}"


def test_damaged_files_of_harmless_fingerprints_stop_everything(tmp_path: Path) -> None:
    with pytest.raises(ScreenRefused, match="cannot be read"):
        shipped_screen(tmp_path)
    (tmp_path / "harmless.json").write_text('{"form": 1, "version": 1, "sha256": "00"}')
    (tmp_path / "harmless.bin").write_bytes(bytes(32))
    with pytest.raises(ScreenRefused, match="not the file"):
        shipped_screen(tmp_path)


@pytest.fixture
def simulator() -> Iterator[tuple[NcmecSimulator, str, Clock]]:
    clock = Clock()
    simulator = NcmecSimulator(clock=clock)
    with simulator.serving() as base:
        yield simulator, base, clock


def _harmless(number: int) -> str:
    return codes_of(draw_harmless("document", number))[0].hex()


def test_what_the_screen_refuses_is_kept_and_counted_and_never_matches(
    simulator: tuple[NcmecSimulator, str, Clock], tmp_path: Path
) -> None:
    partner, base, clock = simulator
    rig = Rig(tmp_path, base, connector="ncmec", secrets=SECRETS)
    partner.put(Shared("9", "good", clock.seconds - 100, {"pdq": digest("pdq", 1)}))
    partner.put(Shared("9", "bad", clock.seconds - 100, {"pdq": _harmless(3), "md5": digest("md5", 2)}))
    rig.fetch(clock.now)
    assert rig.listed() == {"9/good"}
    assert rig.found(clock.now, pdq=_harmless(3)) == rig.found(clock.now, md5=digest("md5", 2)) == []
    assert rig.exchange.store.screened() == {NEAR: 1}
    assert rig.exchange.store.standing().screened == 1
    assert _harmless(3).encode() in (rig.exchange.store.raw("9/bad") or b"")
    # A better version of the record comes in, and a worse one goes out again.
    clock.go_on()
    partner.put(Shared("9", "bad", clock.seconds - 10, {"pdq": digest("pdq", 5)}))
    rig.fetch(clock.go_on())
    assert {match.entry for match in rig.found(clock.now, pdq=digest("pdq", 5))} == {"9/bad~2"}
    clock.go_on()
    partner.put(Shared("9", "good", clock.seconds - 10, {"pdq": _harmless(4)}))
    rig.fetch(clock.go_on())
    assert rig.found(clock.now, pdq=digest("pdq", 1)) == rig.found(clock.now, pdq=_harmless(4)) == []


def test_a_person_lets_one_version_through_and_a_later_one_is_screened_again(
    simulator: tuple[NcmecSimulator, str, Clock], tmp_path: Path
) -> None:
    partner, base, clock = simulator
    rig = Rig(tmp_path, base, connector="ncmec", secrets=SECRETS)
    partner.put(Shared("9", "e", clock.seconds - 100, {"pdq": _harmless(3)}))
    rig.fetch(clock.now)
    rig.exchange.let_through("9/e", at=clock.now, agreed="somebody")
    assert [match.entry for match in rig.found(clock.now, pdq=_harmless(3))] == ["9/e~2"]
    rig.fetch(clock.go_on(), resync=True)
    assert len(rig.found(clock.now, pdq=_harmless(3))) == 1
    clock.go_on()
    partner.put(Shared("9", "e", clock.seconds - 10, {"pdq": _harmless(6)}))
    rig.fetch(clock.go_on())
    assert rig.found(clock.now, pdq=_harmless(6)) == rig.found(clock.now, pdq=_harmless(3)) == []


def test_a_newer_screen_looks_at_what_was_there_before(
    simulator: tuple[NcmecSimulator, str, Clock], tmp_path: Path
) -> None:
    partner, base, clock = simulator
    rig = Rig(tmp_path, base, connector="ncmec", secrets=SECRETS)
    partner.put(Shared("9", "e", clock.seconds - 100, {"pdq": digest("pdq", 1)}))
    rig.fetch(clock.now)
    newer = Screen(np.frombuffer(bytes.fromhex(digest("pdq", 1)), np.uint8).reshape(1, 32), version=2)
    rig.exchange.screen = newer
    rig.fetch(clock.go_on())
    assert rig.found(clock.now, pdq=digest("pdq", 1)) == []
    rig.exchange.let_through("9/e", at=clock.now, agreed="somebody")
    assert len(rig.found(clock.now, pdq=digest("pdq", 1))) == 1


def test_a_state_of_a_later_form_is_refused(tmp_path: Path, simulator: tuple[NcmecSimulator, str, Clock]) -> None:
    rig = Rig(tmp_path, simulator[1], connector="ncmec", secrets=SECRETS)
    rig.exchange.store._base.execute("PRAGMA user_version=99")
    with pytest.raises(StateRefused, match="has form 99"):
        rig.reopen()
