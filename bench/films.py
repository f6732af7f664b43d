"""Films looked up in a list of films, against the incumbent's own index of vPDQ, in one process, on the same frames.

Run it with `./dev bench films`; it takes some minutes. Peer: `VPDQIndex.query` of the package `threatexchange`, which
asks faiss `IndexBinaryFlat` and counts the shares in Python. Its hasher, the package `vpdq`, is compiled from source
and makes no difference to matching, so a name without content stands in its place where it is not installed.

Frames are random codes. Half of the films asked about are cuts of listed ones, a third as long, each frame with 0 to 20
bits turned; half are in no list. Both sides are asked film by film with what programs keep: the peer with its JSON
text, Havenline with fingerprints. One thread each. Times are processor time, medians of interleaved rounds. The films
found and both their shares must be the same: no difference, no times.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import platform
import statistics
import sys
import time
import types
import warnings
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from havenline.entries import Entries
from havenline.matching import Edition, Lists
from havenline.vocabulary import EditionRef, Fingerprint, FrameHash, ListEntry, listed_frames

warnings.simplefilter("ignore")
if find_spec("vpdq") is None:
    hasher: Any = types.ModuleType("vpdq")
    hasher.VpdqFeature = object
    sys.modules["vpdq"] = hasher
from threatexchange.extensions.vpdq.vpdq_index import VPDQIndex  # noqa: E402

Codes = NDArray[np.uint8]
Found = list[set[tuple[str, float, float]]]
NOW = dt.datetime.now(dt.UTC)


def frames_of(codes: Codes) -> tuple[FrameHash, ...]:
    """One frame a second."""
    return tuple(FrameHash(float(second), code.tobytes().hex(), 100) for second, code in enumerate(codes))


def as_text(frames: tuple[FrameHash, ...]) -> str:
    """As the peer keeps them."""
    return json.dumps([f"{each.pdq},{each.quality},{each.second:.3f}" for each in frames])


def as_fingerprint(number: int, frames: tuple[FrameHash, ...]) -> Fingerprint:
    """A film whose bytes are in no list."""
    name = f"{number:064x}"
    return Fingerprint(name[:32], name[:40], name, 1, pipeline="pdq-full/1", frames=frames)


def questions(listed: Codes, count: int, chance: np.random.Generator) -> list[tuple[FrameHash, ...]]:
    """Cuts of listed films and films of none, in turns."""
    length, made = listed.shape[1], []
    for number in range(count):
        codes = chance.integers(0, 256, (length, 32), dtype=np.uint8)
        if number % 2:
            start = int(chance.integers(0, length - length // 3))
            codes = listed[chance.integers(len(listed)), start : start + length // 3].copy()
            bits = np.unpackbits(codes, axis=1)
            for row in bits:
                row[chance.choice(256, int(chance.integers(0, 21)), replace=False)] ^= 1
            codes = np.packbits(bits, axis=1)
        made.append(frames_of(codes))
    return made


def main() -> None:
    """Build, ask, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=10_000)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--asked", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    faiss.omp_set_num_threads(1)
    chance = np.random.default_rng(chosen.seed)
    listed = chance.integers(0, 256, (chosen.films, chosen.frames, 32), dtype=np.uint8)
    asked = questions(listed, chosen.asked, chance)
    films = [frames_of(codes) for codes in listed]
    texts, fingerprints = [as_text(each) for each in asked], [as_fingerprint(*each) for each in enumerate(asked)]

    begun = time.process_time()
    entries = Entries.of(ListEntry(str(n), frames=listed_frames(each)) for n, each in enumerate(films))
    lists = Lists.build([Edition(EditionRef("films", 1, entries.digest()), entries)])
    built = {"Havenline": time.process_time() - begun}
    begun = time.process_time()
    peer = VPDQIndex.build((as_text(each), str(n)) for n, each in enumerate(films))
    built["peer"] = time.process_time() - begun

    def one_by_one() -> Found:
        return [_told(lists.lookup([each], at=NOW)[0]) for each in fingerprints]

    def together() -> Found:
        return [_told(each) for each in lists.lookup(fingerprints, at=NOW)]

    def by_peer() -> Found:
        return [
            {
                (match.metadata, info.query_match_percent / 100, info.compared_match_percent / 100)
                for match in peer.query(text)
                for info in (match.similarity_info,)
            }
            for text in texts
        ]

    contenders: dict[str, Callable[[], Found]] = {
        f"peer: VPDQIndex.query (threatexchange {version('threatexchange')})": by_peer,
        "one film a call": one_by_one,
        f"{chosen.asked} films a call": together,
    }
    expected = by_peer()
    for name, run in contenders.items():
        if _rounded(run()) != _rounded(expected):
            sys.exit(f"{name}: found other films, or other shares")
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(chosen.rounds):
        for name, run in contenders.items():
            begun = time.process_time()
            run()
            times[name].append(time.process_time() - begun)
    print(f"machine: {platform.machine()}, Python {platform.python_version()}, seed {chosen.seed}")
    print(
        f"{chosen.films:,} listed films of {chosen.frames} frames; {chosen.asked} asked about, "
        f"{sum(map(bool, expected))} of them found by all alike"
    )
    print(", ".join(f"built by {name} in {seconds:.1f} s" for name, seconds in built.items()))
    first = next(iter(times.values()))
    for name, each in times.items():
        ratio = statistics.median(one / other for one, other in zip(first, each, strict=True))
        print(f"{name:<52} {chosen.asked / statistics.median(each):10,.1f} films/s {ratio:8.1f}x")


def _told(matches: tuple[Any, ...]) -> set[tuple[str, float, float]]:
    return {(each.entry, each.film.asked_share, each.film.listed_share) for each in matches}


def _rounded(found: Found) -> Found:
    return [{(name, round(one, 9), round(other, 9)) for name, one, other in each} for each in found]


if __name__ == "__main__":
    main()
