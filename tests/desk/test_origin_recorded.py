"""What an import records of origin: keyed digests and closed words for every file, and no text of one."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from django.db import connection, transaction
from PIL import Image
from pytest_django import Settings

from havenline.entries import Entries
from havenline.matching import Lists
from havenline.matching.snapshot import Edition
from havenline.provenance import SignalKind, read_picture
from havenline.provenance.model_fingerprint import fingerprint_model
from havenline.provenance.read_back import read_back
from havenline.provenance.signers import SignersError
from havenline.vocabulary import EditionRef, ListEntry
from havenline_desk.actions.import_collection import Imported, import_collection
from havenline_desk.actions.record_origin import record_origin
from havenline_desk.actions.run_sealer import bury
from havenline_desk.keys import key_name, origin_key
from havenline_desk.models import File, Investigation, OriginReading, OriginSignal, StoredContent
from tests.core.provenance import drawn_marks as marks
from tests.core.provenance.invisible_marks import package_made
from tests.core.provenance.signed import signed, signing_chain

from . import factories as make

pytestmark = pytest.mark.django_db(transaction=True)
NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)


def take_in(folder: Path, lists: Lists | None = None, collection: str = "marked") -> Imported:
    people = {name: make.Person.objects.get(name=name) for name in ("lead", "senior")}
    return import_collection(
        Investigation.objects.get(reference="HL-1"),
        source=folder,
        collection=collection,
        manifest=None,
        lists=lists or Lists([]),
        imported_by=people["lead"],
        approved_by=people["senior"],
        workers=1,
        at=NOON,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    (made / "a1111.png").write_bytes(marks.png({"parameters": marks.A1111}))
    (made / "plain.gif").write_bytes(marks.drawn("GIF"))
    (made / "words.txt").write_text(f"{marks.CANARY} and more")
    return made


def of(content: bytes) -> File:
    return File.objects.get(sha256=hashlib.sha256(content).hexdigest())


def test_every_file_is_read_and_its_texts_are_digests_under_the_key_of_the_house(folder: Path) -> None:
    make.world(at=NOON, stacks=0)
    take_in(folder)
    content = (folder / "a1111.png").read_bytes()
    expected = read_picture(content, key=origin_key())
    recorded = list(of(content).origin.signals.order_by("place"))
    assert [(each.kind, each.value or None, each.digest or None, each.length, each.location) for each in recorded] == [
        (each.kind, each.value, each.digest, each.length, each.location) for each in expected
    ]
    assert {each.kind for each in recorded} >= {"generator", "text", "model_name", "model_hash", "adapter_name"}
    plain, words = of((folder / "plain.gif").read_bytes()), of((folder / "words.txt").read_bytes())
    assert (plain.origin.could_be_read, plain.origin.signals.count()) == (True, 0)
    assert (words.origin.could_be_read, words.origin.signals.count()) == (False, 0)
    assert plain.origin.keyed_by == key_name(origin_key())


@pytest.mark.parametrize("asked", [False, True])
def test_marks_in_pixels_are_recorded_where_the_house_asks_for_them(
    folder: Path, settings: Settings, asked: bool
) -> None:
    settings.ORIGIN_PIXELS = asked
    make.world(at=NOON, stacks=0)
    Image.fromarray(package_made("flux")).save(folder / "flux.png")
    content = (folder / "flux.png").read_bytes()
    take_in(folder)
    found = of(content).origin.signals.values_list("kind", "value", "strength")
    assert list(found) == ([("generator", "flux", "hint")] if asked else [])


def test_no_text_of_a_file_and_no_digest_without_the_key_is_in_the_database(folder: Path) -> None:
    make.world(at=NOON, stacks=0)
    take_in(folder)
    texts = [*marks.SECRETS, marks.A1111]
    forbidden = [*texts, *(hashlib.sha256(text.encode()).hexdigest() for text in texts)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(s)::text FROM desk_originsignal s UNION SELECT to_jsonb(r)::text "
                       "FROM desk_originreading r UNION SELECT to_jsonb(f)::text FROM desk_file f")  # fmt: skip
        rows = " ".join(row for (row,) in cursor.fetchall())
    assert OriginSignal.objects.count() > 4
    assert [text for text in forbidden if text in rows] == []


def test_a_second_import_changes_nothing_and_files_from_before_are_read_then(folder: Path) -> None:
    make.world(at=NOON, stacks=0)
    take_in(folder)
    before = list(OriginSignal.objects.values_list())
    take_in(folder, collection="again")
    assert list(OriginSignal.objects.values_list()) == before
    content = (folder / "a1111.png").read_bytes()
    OriginSignal.objects.all().delete()
    OriginReading.objects.all().delete()
    take_in(folder, collection="later")
    assert of(content).origin.signals.count() > 4
    record_origin({of(content): ()}, "another", at=NOON)
    assert of(content).origin.keyed_by == key_name(origin_key()), "a file is read once"


def test_a_signer_on_the_list_of_the_house_is_trusted_and_a_broken_list_takes_nothing_in(
    folder: Path, settings: Any
) -> None:
    make.world(at=NOON, stacks=0)
    content, _ = signed(marks.drawn("JPEG"), "image/jpeg")
    (folder / "signed.jpg").write_bytes(content)
    listed = folder.parent / "signers.pem"
    listed.write_bytes(b"broken")
    settings.C2PA_SIGNERS = str(listed)
    with pytest.raises(SignersError):
        take_in(folder)
    assert not File.objects.exists()
    listed.write_bytes(b"-----BEGIN" + signing_chain()[0].split(b"-----BEGIN")[2])
    take_in(folder)
    read = of(content)
    assert read.origin.signals.get(kind="c2pa_state", location="C2PA manifest").value == "Trusted"
    named = read.origin.signals.get(location="C2PA manifest, list of signers")
    assert named.value == hashlib.sha256(listed.read_bytes()).hexdigest()


def test_an_import_matches_listed_models_by_their_parts(folder: Path) -> None:
    make.world(at=NOON, stacks=0)
    tensors = {"one": np.arange(5000, dtype=np.float32), "two": np.arange(3000, dtype=np.float32)}
    listed = safetensors.numpy.save(tensors, metadata={"title": "one"})
    rewritten = safetensors.numpy.save(tensors, metadata={"title": marks.MODEL})
    renamed = safetensors.numpy.save({"b": tensors["one"], "a": tensors["two"]})
    other = safetensors.numpy.save({"one": np.arange(5001, dtype=np.float32)})
    known = fingerprint_model(BytesIO(listed))
    assert known is not None
    assert known.model_body is not None
    assert known.model_tensors is not None
    entries = Entries.of(
        [ListEntry("e1-body", sha256=known.model_body), ListEntry("e1-tensors", sha256=known.model_tensors)]
    )
    for name, content in (("rewritten", rewritten), ("renamed", renamed), ("other", other)):
        (folder / f"{name}.safetensors").write_bytes(content)
    take_in(folder, Lists.build([Edition(EditionRef("drawn-models", 1, entries.digest()), entries)]))
    found = {name: set(of(content).matches.values_list("entry", flat=True))
             for name, content in (("rewritten", rewritten), ("renamed", renamed), ("other", other))}  # fmt: skip
    assert found == {"rewritten": {"e1-body", "e1-tensors"}, "renamed": {"e1-tensors"}, "other": set()}
    assert of(rewritten).origin.signals.filter(kind=SignalKind.MODEL_DIGEST).count() >= 3


def test_what_is_cleared_loses_its_signals_with_its_hashes(folder: Path) -> None:
    make.world(at=NOON, stacks=0)
    take_in(folder)
    content = (folder / "a1111.png").read_bytes()
    with transaction.atomic():
        bury(StoredContent.objects.get(file=of(content)), rule="cleared", cleared=True, actor=None, at=NOON)
    assert of(content).origin.signals.count() == 0
    take_in(folder, collection="again")
    assert of(content).origin.signals.count() == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "verdict"),
        ("strength", "certain"),
        ("value", marks.CANARY),
        ("digest", "ab"),
        ("length", -1),
        ("location", "x" * 201),
        ("location", "a\nb"),
        ("reader", marks.CANARY),
        ("inferred", 1),
        ("more", "than it has"),
    ],
)
def test_what_no_reader_says_is_not_taken_from_a_worker(field: str, value: object) -> None:
    rows = [asdict(each) for each in read_picture(marks.png({"parameters": marks.A1111}), key=marks.KEY)]
    rows = json.loads(json.dumps(rows))
    assert read_back(rows)
    rows[0][field] = value
    with pytest.raises(ValueError, match=r"^(a |signals )|is not a valid"):
        read_back(rows)
