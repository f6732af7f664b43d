"""What an import records of a file is enough to ask lists with: every pipeline, turned pictures, frames of films."""

from __future__ import annotations

import datetime as dt
import io

import numpy as np
import pytest
from PIL import Image

from havenline.entries import Entries
from havenline.fingerprints import fingerprint_bytes
from havenline.matching import Edition, Lists
from havenline.scan import Scanned
from havenline.testing.films import film, still
from havenline.vocabulary import EditionRef, ListEntry
from havenline_desk.actions.record_matches import _fingerprint, record_matches
from havenline_desk.actions.record_postings import record_postings
from havenline_desk.models import File, Item, ItemKind, ItemState, Match, Role

from . import factories

pytestmark = pytest.mark.django_db
NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)


def turned_jpeg() -> bytes:
    exif, out = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.open(io.BytesIO(factories.draw(1))).convert("RGB").save(out, "JPEG", exif=exif)
    return out.getvalue()


def test_a_turned_picture_and_a_film_come_back_with_all_their_values() -> None:
    lead = factories.make_person("lead", Role.LEAD, at=NOON)
    taken_in = factories.make_investigation(lead, at=NOON)
    contents = {
        "turned.jpg": turned_jpeg(),
        "film.mp4": film(seconds=2),
        "turned.mp4": film(seconds=2, degrees=90),
        "words.txt": b"only words",
    }
    made = {path: fingerprint_bytes(content) for path, content in contents.items()}
    scanned = [Scanned(path, len(contents[path]), fingerprint=each) for path, each in made.items()]
    assert made["turned.mp4"].frames_upright
    for _ in range(2):  # a second time changes nothing
        record_postings(taken_in, scanned, rows={}, at=NOON)
    for path, each in made.items():
        file = File.objects.get(sha256=each.sha256)
        recorded = _fingerprint(file)
        assert recorded.pdq_values == each.pdq_values
        assert recorded.hashes == each.hashes
        assert (recorded.frames, recorded.frames_upright) == (each.frames, each.frames_upright), path
        assert (file.perceptual_hash is None) == (each.pdq is None)
    states = {item.path: (item.kind, item.state) for item in Item.objects.filter(path__in=contents)}
    assert states["turned.jpg"] == (ItemKind.PICTURE, ItemState.HASH_ONLY)
    assert states["film.mp4"] == (ItemKind.VIDEO, ItemState.HASH_ONLY)
    assert states["words.txt"][1] == ItemState.NOT_VIEWABLE


def test_a_listed_film_is_found_from_the_records_as_it_is_stored_and_as_it_is_shown() -> None:
    lead = factories.make_person("lead", Role.LEAD, at=NOON)
    taken_in = factories.make_investigation(lead, at=NOON)
    made = fingerprint_bytes(film(seconds=2, degrees=-90))
    record_postings(taken_in, [Scanned("turned.mp4", 1, fingerprint=made)], rows={}, at=NOON)
    copies = {
        "without the mark": film(seconds=3),
        "turned": film(seconds=3, draw=lambda number: np.rot90(still(number), -1)),
        "another": film(seconds=3, draw=lambda number: still(number + 500)),
    }
    entries = Entries.of(
        ListEntry(name, frames=fingerprint_bytes(content).listed_films[0]) for name, content in copies.items()
    )
    lists = Lists.build([Edition(EditionRef("films", 1, entries.digest()), entries)])
    assert record_matches(taken_in.investigation, lists, at=NOON) == 1
    rows = {match.entry: match.kind for match in Match.objects.filter(file__sha256=made.sha256)}
    assert rows == {"without the mark": "film", "turned": "film"}
