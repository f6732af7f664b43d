"""Draw the demo collection: a folder of pictures as a forum might have posted them, and their truth.

1. Plan from the seed: which originals, which further forms of each, which unfit files, where each is posted.
2. Draw: one family (an original and its forms) at a time, in as many processes as asked for.
3. Measure: originals need a PDQ quality of 50 and lie more than 62 bits apart; others are drawn again.
4. Write the manifest and the truth beside the collection, and let the whole appear at once.

Nothing of a file's name, place or order tells which files belong together, but that an original is posted
before its further forms, as it is in life.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from havenline.fingerprints import fingerprint_bytes
from havenline.testing.damaged import DAMAGES, Damage, make_damaged
from havenline.testing.drawing import HARD_KINDS, choose_subject, draw_hard, draw_subject, hard_facts
from havenline.testing.truth import Truth, TruthFile
from havenline.testing.variants import (
    GREY_RECIPES,
    ORIGINAL,
    RECIPES,
    Recipe,
    encode_original,
    make_variant,
)
from havenline.vocabulary import NEAR_DISTANCE, QUALITY_FLOOR, HavenlineError

APART = 2 * NEAR_DISTANCE
"""Originals lie more than this many bits apart, so that no file can be near two of them."""

COLLECTION, MANIFEST, TRUTH = "collection", "manifest.csv", "truth.json"
MANIFEST_COLUMNS = ("path", "url", "service", "host", "country", "posted_at", "kind", "selected")

_UNFINISHED = ".unfinished"
_POSTS_IN_A_THREAD = 36
_FORMS = (0, 2, 3, 3, 4, 4, 5)
"""How many further forms a picture has; one is chosen for each original."""
# Reserved names (RFC 2606) and country codes that ISO 3166-1 leaves to users: no real place is meant.
_PLACES = (
    ("forum.example", "host-one.example", "XA"),
    ("board.example", "host-two.example", "XB"),
    ("pictures.example", "host-two.example", "XB"),
    ("archive.example", "host-three.example", "XC"),
)
_FIRST_POST = datetime(2023, 9, 1, tzinfo=UTC)
_SECONDS = 30 * 24 * 3600

Progress = Callable[[int, int], None]


class CollectionExistsError(HavenlineError):
    """The folder already holds a drawn collection, or something of its name."""


@dataclass(frozen=True, slots=True)
class _Posting:
    """A file to be written. `recipe` is None for unfit files and for pictures of the hard kinds."""

    truth: TruthFile
    ending: str
    recipe: Recipe | None = None


@dataclass(frozen=True, slots=True)
class _Family:
    """What one process draws at a time. `kind` is empty for an original, else a hard kind or a damage."""

    seed: int
    number: int
    postings: tuple[_Posting, ...]
    kind: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class _Measured:
    """The attempt that was kept, and the PDQ (32 bytes) of the original and of its rotated form, if any."""

    attempt: int
    original: bytes
    rotated: bytes | None
    rotated_quality: int


def draw_collection(
    folder: Path,
    *,
    seed: int = 2023,
    originals: int = 240,
    workers: int = 1,
    progress: Progress | None = None,
) -> Truth:
    """Write `collection/`, `manifest.csv` and `truth.json` below `folder`, and return the truth.

    The same seed and number of originals give the same bytes, whatever the number of `workers`: processes
    that are started afresh, so a script that calls this needs its `__main__` guard. `progress` is told how
    many files are written, of how many. Raises CollectionExistsError when the folder holds one of the three,
    ValueError for impossible numbers, OSError from the disk. An interrupted drawing leaves `.unfinished`,
    which the next one clears. Not checked: that bytes agree between machines, whose arithmetic and encoders
    may differ by a level.
    """
    if originals < 1 or workers < 1 or seed < 0:
        raise ValueError("a collection needs at least one original, one worker and a seed that is not negative")
    for name in (COLLECTION, MANIFEST, TRUTH):
        if (folder / name).exists():
            raise CollectionExistsError(f"{folder / name} is there already; remove it or choose another folder")
    unfinished = folder / _UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    families = _place(_plan(seed, originals), seed)
    for posting in _postings(families):
        (unfinished / COLLECTION / posting.truth.path).parent.mkdir(parents=True, exist_ok=True)
    measured = _draw_all(families, unfinished / COLLECTION, workers, progress)
    truth = Truth(tuple(_settle_rotated(families, measured)))
    _write_manifest(unfinished / MANIFEST, truth, seed)
    truth.save(unfinished / TRUTH)
    for name in (COLLECTION, MANIFEST, TRUTH):
        (unfinished / name).rename(folder / name)
    unfinished.rmdir()
    return truth


def _postings(families: Iterable[_Family]) -> Iterator[_Posting]:
    return (posting for family in families for posting in family.postings)


# --- 1. plan


def _plan(seed: int, originals: int) -> list[_Family]:
    stream = np.random.default_rng([seed, originals])
    coloured, plain = _Deck(stream, RECIPES), _Deck(stream, RECIPES + GREY_RECIPES * 2)
    families = []
    for number in range(originals):
        subject = choose_subject(seed, number)
        recipes = (plain if not subject.shapes else coloured).deal(int(stream.choice(_FORMS)))
        postings = tuple(
            _picture(f"original-{number + 1:03}", recipe, subject.facts()) for recipe in (ORIGINAL, *recipes)
        )
        families.append(_Family(seed, number, postings))
    for place in range(max(3, originals // 30)):
        families += [_hard_family(seed, kind, place) for kind in HARD_KINDS]
    for place in range(1 if originals < 100 else 2):
        # All empty files are the same file, so there is one.
        families += [_damaged_family(seed, damage, place) for damage in DAMAGES[1 if place else 0 :]]
    return families


class _Deck:
    """Recipes dealt like cards: all come equally often, and no family gets one twice."""

    def __init__(self, stream: np.random.Generator, recipes: Sequence[Recipe]) -> None:
        self._stream, self._recipes, self._cards = stream, recipes, list[Recipe]()

    def deal(self, count: int) -> list[Recipe]:
        dealt: list[Recipe] = []
        while len(dealt) < count:
            fresh = [card for card in self._cards if card not in dealt]
            if not fresh:
                order = self._stream.permutation(len(self._recipes))
                self._cards += [self._recipes[int(place)] for place in order]
                continue
            dealt.append(fresh[0])
            self._cards.remove(fresh[0])
        return dealt


def _picture(original: str, recipe: Recipe, facts: dict[str, str]) -> _Posting:
    seen = facts | {"altered": "yes" if recipe.altered else "no"}
    return _Posting(TruthFile("", original, recipe.variant, recipe.group, None, seen), recipe.ending, recipe)


def _hard_family(seed: int, kind: str, place: int) -> _Family:
    """A picture of a hard kind; every third has an exact copy, which SHA-256 finds."""
    facts = hard_facts(kind, seed=seed, number=place)
    name = f"{kind.replace(' ', '-')}-{place + 1:02}"
    postings = [_Posting(TruthFile("", name, kind, "hard", None, facts), "jpg")]
    if place % 3 == 0:
        postings.append(_Posting(TruthFile("", name, "exact copy", "exact", None, facts), "jpg"))
    return _Family(seed, place, tuple(postings), kind)


def _damaged_family(seed: int, damage: Damage, place: int) -> _Family:
    name = f"damaged-{DAMAGES.index(damage) + 1}-{place + 1}"
    truth = TruthFile("", name, damage.kind, "refused", damage.refusal.value, {})
    return _Family(seed, place, (_Posting(truth, damage.ending),), damage.kind)


def _place(families: list[_Family], seed: int) -> list[_Family]:
    """Post everything in a random order, except that each original comes before its further forms."""
    count = sum(len(family.postings) for family in families)
    slots = iter(np.random.default_rng([seed, count, 1]).permutation(count).tolist())
    placed = []
    for family in families:
        own = [next(slots) for _ in family.postings]
        own.insert(0, own.pop(own.index(min(own))))
        postings = tuple(
            replace(posting, truth=replace(posting.truth, path=_path(slot, count, posting.ending)))
            for slot, posting in zip(own, family.postings, strict=True)
        )
        placed.append(replace(family, postings=postings))
    return placed


def _path(slot: int, count: int, ending: str) -> str:
    thread, post = divmod(slot, _POSTS_IN_A_THREAD)
    digits = max(2, len(str(count // _POSTS_IN_A_THREAD + 1)))
    return f"thread-{thread + 1:0{digits}}/post-{post + 1:03}.{ending}"


# --- 2. and 3. draw and measure


def _draw_all(families: list[_Family], folder: Path, workers: int, progress: Progress | None) -> dict[int, _Measured]:
    """Draw every family; an original too near to an earlier one is drawn again until none is."""
    total = sum(len(family.postings) for family in families)
    done = 0
    measured: dict[int, _Measured] = {}
    with _mapping(workers) as run:
        for family, result in zip(families, run(_draw_family, families, [folder] * len(families)), strict=True):
            done += len(family.postings)
            if progress is not None:
                progress(done, total)
            if result is not None:
                measured[family.number] = result
        drawn = {family.number: family for family in families if not family.kind}
        while close := _too_close(measured):
            again = [replace(drawn[number], attempt=measured[number].attempt + 1) for number in close]
            for family, result in zip(again, run(_draw_family, again, [folder] * len(again)), strict=True):
                assert result is not None
                measured[family.number] = result
    return measured


_Run = Callable[[Callable[[_Family, Path], _Measured | None], list[_Family], list[Path]], Iterable[_Measured | None]]


@contextmanager
def _mapping(workers: int) -> Iterator[_Run]:
    if workers == 1:
        yield map
        return
    # Fresh processes: a forked one could inherit locks of threads that its parent runs.
    method = "forkserver" if "forkserver" in get_all_start_methods() else "spawn"
    with ProcessPoolExecutor(workers, mp_context=get_context(method)) as pool:
        yield pool.map


def _too_close(measured: dict[int, _Measured]) -> list[int]:
    """Numbers of originals within 62 bits of an earlier original that stays."""
    kept: list[bytes] = []
    close = []
    for number in sorted(measured):
        own = measured[number].original
        if kept and int(_distances(own, kept).min()) <= APART:
            close.append(number)
        else:
            kept.append(own)
    return close


def _distances(one: bytes, others: Sequence[bytes]) -> NDArray[np.int64]:
    table = np.frombuffer(b"".join(others), dtype=np.uint8).reshape(len(others), -1)
    bits: NDArray[np.int64] = np.bitwise_count(table ^ np.frombuffer(one, dtype=np.uint8)).sum(axis=1, dtype=np.int64)
    return bits


def _draw_family(family: _Family, folder: Path) -> _Measured | None:
    """Write all files of a family. Runs in a worker: what it needs comes in, what it found goes out."""
    if family.kind:
        _write_single(family, folder)
        return None
    attempt, original, hash_, _ = _draw_original(family)
    rotated, rotated_quality = None, 0
    for place, posting in enumerate(family.postings):
        content = original
        if place > 0:
            assert posting.recipe is not None
            stream = np.random.default_rng([family.seed, family.number, attempt, place, 3])
            content = make_variant(posting.recipe, original=original, stream=stream)
        if posting.truth.variant == "rotated":
            rotated, rotated_quality = _measure(content)
        (folder / posting.truth.path).write_bytes(content)
    return _Measured(attempt, hash_, rotated, rotated_quality)


def _draw_original(family: _Family) -> tuple[int, bytes, bytes, int]:
    """Attempt, file, PDQ and quality of the first attempt that is varied enough to be compared."""
    subject = choose_subject(family.seed, family.number)
    for attempt in range(family.attempt, family.attempt + 50):
        picture = draw_subject(subject, seed=family.seed, number=family.number, attempt=attempt)
        content = encode_original(picture)
        hash_, quality = _measure(content)
        if quality >= QUALITY_FLOOR:
            return attempt, content, hash_, quality
    raise RuntimeError(f"fifty drawings in the style {subject.style.name} were all too flat to be compared")


def _measure(content: bytes) -> tuple[bytes, int]:
    fingerprint = fingerprint_bytes(content)
    assert fingerprint.pdq is not None
    assert fingerprint.pdq_quality is not None
    return bytes.fromhex(fingerprint.pdq), fingerprint.pdq_quality


def _write_single(family: _Family, folder: Path) -> None:
    if family.kind in HARD_KINDS:
        picture = draw_hard(family.kind, seed=family.seed, number=family.number)
        content = encode_original(picture)
    else:
        damage = next(damage for damage in DAMAGES if damage.kind == family.kind)
        # Beyond the numbers of the hard set, so that no unfit file shows one of its pictures.
        picture = draw_hard("single shape", seed=family.seed, number=1000 + DAMAGES.index(damage) + family.number)
        content = make_damaged(damage, picture=picture, number=family.number)
    for posting in family.postings:
        (folder / posting.truth.path).write_bytes(content)


def _settle_rotated(families: list[_Family], measured: dict[int, _Measured]) -> Iterator[TruthFile]:
    """All truths in the order of their paths. A rotated form is promised to stand apart only if it does."""
    known = {number: result.original for number, result in measured.items()}
    turned = {number: result.rotated for number, result in measured.items() if result.rotated is not None}
    truths = []
    for family in families:
        for posting in family.postings:
            truth = posting.truth
            if truth.group == "separate":
                own, result = turned[family.number], measured[family.number]
                others = [
                    *known.values(),
                    *(hash_ for number, hash_ in turned.items() if number != family.number),
                ]
                apart = int(_distances(own, others).min()) > APART
                if not apart or result.rotated_quality < QUALITY_FLOOR:
                    truth = replace(truth, group="hard")
            truths.append(truth)
    return iter(sorted(truths, key=lambda truth: truth.path))


# --- 4. the manifest


def _write_manifest(path: Path, truth: Truth, seed: int) -> None:
    """One line for each file, in the order of posting. Two in three are selected, chosen without looking."""
    stream = np.random.default_rng([seed, len(truth.files), 2])
    moments = np.sort(stream.integers(0, _SECONDS, len(truth.files)))
    with path.open("w", encoding="utf-8", newline="") as target:
        table = csv.writer(target, lineterminator="\n")
        table.writerow(MANIFEST_COLUMNS)
        for file, moment in zip(truth.files, moments.tolist(), strict=True):
            thread, post = file.path.split("/")
            number = int(thread.removeprefix("thread-"))
            service, host, country = _PLACES[number % len(_PLACES)]
            url = f"https://{service}/{thread}#{post.partition('.')[0]}"
            posted_at = (_FIRST_POST + timedelta(seconds=moment)).isoformat()
            kind = {"zip": "", "mp4": "video"}.get(post.rpartition(".")[2], "picture")
            selected = "yes" if stream.random() < 2 / 3 else "no"
            table.writerow((file.path, url, service, host, country, posted_at, kind, selected))
