"""Files damaged in thousands of ways go through a scan: each ends with a hash or a named reason, none ends the scan."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from hostile_postings import Held

from havenline.scan import fingerprint_postings
from havenline.testing.mutations import mutated, whole_files
from havenline.vocabulary import Refusal

SOAK = bool(os.environ.get("HAVENLINE_SOAK"))
COUNT = 10_000 if SOAK else 600


def mutated_files(seed: int) -> Iterator[Held]:
    chance = np.random.default_rng(seed)
    originals = whole_files()
    for number in range(COUNT):
        yield Held(f"{number}.bin", mutated(originals[number % len(originals)], chance))


def test_every_mutated_file_ends_with_a_hash_or_a_reason() -> None:
    hashed, refused, lost = 0, 0, 0
    for each in fingerprint_postings(mutated_files(seed=21), workers=2, seconds_per_file=60):
        if each.refused is not None:
            assert each.refused.reason is Refusal.DECODER_FAILED, each
            lost += 1
        else:
            assert each.fingerprint is not None
            hashed += each.fingerprint.refusal is None
            refused += each.fingerprint.refusal is not None
    assert hashed + refused + lost == COUNT
    assert min(hashed, refused) > COUNT // 20
    assert lost <= COUNT // 100
