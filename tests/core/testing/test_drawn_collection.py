"""The demo collection keeps what it promises: same bytes for a seed, near what is near, apart what is apart."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from havenline.fingerprints import fingerprint_file
from havenline.formats.manifest import read_manifest
from havenline.frameworks import load
from havenline.testing import CollectionExistsError, Truth, TruthFile, TruthUnreadableError, draw_collection
from havenline.testing.damaged import DAMAGES
from havenline.testing.drawing import HARD_KINDS, choose_subject, draw_hard, draw_subject, mark
from havenline.vocabulary import NEAR_DISTANCE, QUALITY_FLOOR, Fingerprint, Refusal

Drawn = tuple[Path, Truth]
Prints = dict[str, Fingerprint]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    folder = tmp_path_factory.mktemp("drawn")
    return folder, draw_collection(folder, originals=60, workers=2)


@pytest.fixture(scope="module")
def prints(drawn: Drawn) -> Prints:
    folder, truth = drawn
    return {file.path: fingerprint_file(folder / "collection" / file.path) for file in truth.files}


def bits(fingerprint: Fingerprint) -> NDArray[np.uint8]:
    assert fingerprint.pdq is not None
    return np.frombuffer(bytes.fromhex(fingerprint.pdq), dtype=np.uint8)


def distance(one: Fingerprint, other: Fingerprint) -> int:
    return int(np.bitwise_count(bits(one) ^ bits(other)).sum())


def tree(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_seed_gives_the_same_bytes_in_one_process_and_in_two(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    one = draw_collection(
        tmp_path / "one", seed=7, originals=12, progress=lambda done, total: calls.append((done, total))
    )
    two = draw_collection(tmp_path / "two", seed=7, originals=12, workers=2)
    assert one == two
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert set(tree(tmp_path / "one")) == {f"collection/{file.path}" for file in one.files} | {
        "manifest.csv",
        "truth.json",
    }
    assert calls[-1] == (len(one.files), len(one.files))
    assert calls == sorted(calls)


def test_another_seed_gives_other_pictures(tmp_path: Path) -> None:
    originals: list[set[bytes]] = []
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        truth = draw_collection(folder, seed=seed, originals=2)
        paths = [file.path for file in truth.files if file.variant == "original"]
        originals.append({(folder / "collection" / path).read_bytes() for path in paths})
    assert len(originals[0] | originals[1]) == 4


def test_what_was_drawn_is_not_drawn_over(tmp_path: Path) -> None:
    draw_collection(tmp_path, originals=1)
    before = tree(tmp_path)
    with pytest.raises(CollectionExistsError, match="remove it or choose another folder"):
        draw_collection(tmp_path, originals=1)
    assert tree(tmp_path) == before


def test_an_interrupted_drawing_leaves_no_collection_and_the_next_one_starts_afresh(tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        draw_collection(tmp_path / "one", originals=3, progress=interrupt)
    assert [path.name for path in (tmp_path / "one").iterdir()] == [".unfinished"]
    draw_collection(tmp_path / "one", originals=3)
    draw_collection(tmp_path / "two", originals=3)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


@pytest.mark.parametrize("wrong", [{"originals": 0}, {"workers": 0}, {"seed": -1}])
def test_impossible_numbers_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        draw_collection(tmp_path, **wrong)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_the_truth_can_be_read_back(drawn: Drawn) -> None:
    folder, truth = drawn
    assert Truth.load(folder / "truth.json") == truth


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "another", "files": []}'])
def test_a_file_that_is_no_truth_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "truth.json"
    path.write_text(content)
    with pytest.raises(TruthUnreadableError, match=r"truth\.json"):
        Truth.load(path)


def test_all_groups_and_forms_are_there(drawn: Drawn) -> None:
    _, truth = drawn
    groups = Counter(file.group for file in truth.files)
    assert set(groups) == {"near", "exact", "separate", "hard", "refused"}
    variants = {file.variant for file in truth.files}
    assert variants >= {"original", "re-encoded", "resized", "exact copy", "png", "png 16-bit", "tiff", "bmp"}
    assert variants >= {"webp lossless", "mislabelled", "webp", "avif", "gif", "gif animated", "png palette"}
    assert variants >= {"jpeg cmyk", "cropped", "recoloured", "framed", "rotated", "png grey", "png 1-bit"}
    assert variants >= set(HARD_KINDS) | {damage.kind for damage in DAMAGES}


def test_every_promised_form_is_near_its_original(drawn: Drawn, prints: Prints) -> None:
    _, truth = drawn
    originals = truth.originals()
    drawn_names = {file.original for file in truth.files if file.variant == "original"}
    promised = [f for f in truth.files if f.group in ("near", "exact") and f.original in drawn_names]
    far = [
        (file.path, file.variant)
        for file in promised
        if distance(prints[file.path], prints[originals[file.original]]) > NEAR_DISTANCE
    ]
    assert len(promised) > 150
    assert far == []


def test_originals_are_far_apart_and_varied_enough(drawn: Drawn, prints: Prints) -> None:
    _, truth = drawn
    paths = [file.path for file in truth.files if file.variant == "original"]
    assert len(paths) == 60
    assert min(prints[path].pdq_quality or 0 for path in paths) >= QUALITY_FLOOR
    codes = np.stack([bits(prints[path]) for path in paths])
    distances = np.bitwise_count(codes[:, None] ^ codes[None]).sum(axis=2)
    assert distances[np.triu_indices(len(paths), 1)].min() > 2 * NEAR_DISTANCE


def test_files_promised_to_stand_apart_are_near_nothing(drawn: Drawn, prints: Prints) -> None:
    _, truth = drawn
    apart = [file for file in truth.files if file.group == "separate"]
    others = [file for file in truth.files if prints[file.path].pdq is not None]
    assert apart
    for file in apart:
        nearest = min(distance(prints[file.path], prints[o.path]) for o in others if o.path != file.path)
        assert nearest > NEAR_DISTANCE, file.path


def test_exact_copies_are_the_same_bytes_and_nothing_else_is(drawn: Drawn, prints: Prints) -> None:
    _, truth = drawn
    same = defaultdict(set)
    for file in truth.files:
        same[prints[file.path].sha256].add(file.original)
    assert all(len(originals) == 1 for originals in same.values())
    originals = truth.originals()
    for file in truth.files:
        if file.group == "exact":
            assert prints[file.path].sha256 == prints[originals[file.original]].sha256


@pytest.mark.parametrize("kind", ["gradient", "single shape"])
def test_flat_pictures_of_the_hard_set_are_too_flat_to_compare(drawn: Drawn, prints: Prints, kind: str) -> None:
    _, truth = drawn
    qualities = [prints[file.path].pdq_quality for file in truth.files if file.variant == kind]
    assert qualities
    assert all(quality is not None and quality < QUALITY_FLOOR for quality in qualities)


def test_text_cards_lie_near_each_other_although_unrelated(drawn: Drawn, prints: Prints) -> None:
    _, truth = drawn
    cards = [prints[file.path] for file in truth.files if file.variant == "text card"]
    assert len({card.sha256 for card in cards}) == len(cards) > 1
    assert all(distance(cards[0], card) <= NEAR_DISTANCE and card.comparable for card in cards)


def test_every_damaged_file_meets_its_refusal_and_no_other_file_is_refused(drawn: Drawn, prints: Prints) -> None:
    _, truth = drawn
    met = {(file.refusal, refused.reason) for file in truth.files if (refused := prints[file.path].refusal)}
    due = {(file.refusal, Refusal(file.refusal)) for file in truth.files if file.refusal}
    # Whoever walks the folder sees that an archive lies in it; whoever is given its bytes alone cannot.
    nested = Refusal.ARCHIVE_NESTED
    assert met == due - {(nested, nested)} | {(nested, Refusal.UNSUPPORTED_KIND)}
    assert {reason for _, reason in due} == {damage.refusal for damage in DAMAGES}


def test_a_mislabelled_jpeg_is_a_jpeg_all_the_same(drawn: Drawn, prints: Prints) -> None:
    _, truth = drawn
    paths = [file.path for file in truth.files if file.variant == "mislabelled"]
    assert paths
    assert all(path.endswith(".png") and prints[path].media_type == "image/jpeg" for path in paths)


def test_names_and_places_tell_nothing_but_that_originals_come_first(drawn: Drawn) -> None:
    _, truth = drawn
    assert [file.path for file in truth.files] == sorted(file.path for file in truth.files)
    families = defaultdict(list)
    for place, file in enumerate(truth.files):
        families[file.original].append((place, file.variant))
    neighbours = sum(b[0] - a[0] == 1 for f in families.values() for a, b in pairwise(f))
    assert neighbours < 0.05 * len(truth.files)
    assert all(family[0][1] == "original" for name, family in families.items() if name.startswith("original"))


def test_the_manifest_names_every_file_once_and_has_no_bad_line(drawn: Drawn) -> None:
    folder, truth = drawn
    manifest = read_manifest(folder / "manifest.csv")
    assert manifest.problems == ()
    assert [row.path for row in manifest.rows] == [file.path for file in truth.files]
    times = [row.posted_at for row in manifest.rows]
    assert all(time is not None and time.year == 2023 and time.month == 9 and time.tzinfo is UTC for time in times)
    assert times == sorted(time for time in times if isinstance(time, datetime))
    assert all((row.service or "").endswith(".example") for row in manifest.rows)
    assert all((row.host or "").endswith(".example") for row in manifest.rows)
    chosen = sum(bool(row.selected) for row in manifest.rows) / len(manifest.rows)
    assert 0.5 < chosen < 0.85


def asked(file: TruthFile) -> set[str]:
    shaped = {"largest_shape", "largest_colour"} if file.facts["shapes"] != "none" else set()
    return {"picture_kind", "shapes", "photographic", "altered"} | shaped


def test_facts_answer_every_question_of_the_training_framework(drawn: Drawn) -> None:
    _, truth = drawn
    questions = {question.id: question for question in load("demo.shapes").questions}
    for file in truth.files:
        if file.group == "refused":
            assert dict(file.facts) == {}
            continue
        assert set(file.facts) == asked(file) <= set(questions), file.path
        for name, answer in file.facts.items():
            assert answer in questions[name].codes, (file.path, name)


def test_facts_are_those_of_the_original_but_for_the_alteration(drawn: Drawn) -> None:
    _, truth = drawn
    first = {file.path: file for file in truth.files}
    originals = truth.originals()
    altered = {"cropped", "recoloured", "framed", "rotated", "png grey", "png grey 16-bit", "png 1-bit"}
    for file in truth.files:
        if file.group == "refused":
            continue
        expected = dict(first[originals[file.original]].facts) | {"altered": "yes" if file.variant in altered else "no"}
        assert dict(file.facts) == expected, file.path
        if "grey" in file.variant or "1-bit" in file.variant:
            assert file.facts["shapes"] == "none"


def shows_mark(picture: NDArray[np.uint8]) -> bool:
    """Whether the words stand where `mark` puts them, read by comparing with the label on an empty picture."""
    grey = np.full_like(picture, 128)
    label = mark(grey)
    there = (label != grey).any(axis=2)
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    seen, due = (a[box].mean(axis=2).ravel() for a in (picture, label))
    return float(np.corrcoef(seen, due)[0, 1]) > 0.9


def test_every_picture_carries_the_words(drawn: Drawn) -> None:
    folder, truth = drawn
    whole = [
        file
        for file in truth.files
        if file.variant in ("original", "re-encoded", "png", "gif", "avif", "recoloured", *HARD_KINDS)
    ]
    for file in whole:
        with Image.open(folder / "collection" / file.path) as image:
            assert shows_mark(np.asarray(image.convert("RGB"))), file.path


def test_the_words_would_be_missed() -> None:
    subject = choose_subject(2023, 0)
    picture = draw_subject(subject, seed=2023, number=0, attempt=0)
    assert shows_mark(picture)
    assert not shows_mark(np.ascontiguousarray(picture[::-1]))
    assert shows_mark(draw_hard("gradient", seed=2023, number=0))


@pytest.mark.parametrize("number", range(0, 60, 7))
def test_the_largest_shape_is_there_in_its_colour(number: int) -> None:
    """Counts pixels near each named colour: the largest shape's colour leads, or no shape is there at all."""
    from havenline.testing.drawing import COLOURS

    subject = choose_subject(2023, number)
    picture = draw_subject(subject, seed=2023, number=number, attempt=0).astype(float)
    hue = picture - picture.mean(axis=2, keepdims=True)
    areas = Counter[str]()
    for name, colour in COLOURS.items():
        ideal = np.array(colour) - np.mean(colour)
        alike = (hue @ ideal) / (np.linalg.norm(hue, axis=2) * np.linalg.norm(ideal) + 1e-9)
        areas[name] = int(((alike > 0.97) & (np.linalg.norm(hue, axis=2) > 60)).sum())
    share = {name: area / picture.shape[0] / picture.shape[1] for name, area in areas.items()}
    if subject.shapes:
        assert share[subject.shapes[0][1]] == max(share.values()) > 0.03
    else:
        assert max(share.values()) < 0.02
