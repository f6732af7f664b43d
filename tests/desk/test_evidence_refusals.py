"""What is kept and opened when something is not as it should be: nothing, and a sentence that says why."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path
from unittest import mock

import pytest
from django.utils import timezone
from pytest_django import Settings

from havenline_desk import evidence
from havenline_desk.actions.declare_policy import declare_policy
from havenline_desk.actions.grant_reveal import grant_reveal, use_reveal
from havenline_desk.actions.take_next import take_next
from havenline_desk.evidence import EvidenceError, RevealRefused
from havenline_desk.models import File, InstallationKind, Person, Reveal, StoredContent
from havenline_guard.keyd_wire import KeydRefused
from havenline_guard.vault import VaultError
from havenline_guard.vault_store import StoreError

from . import factories as make

pytestmark = pytest.mark.django_db


@pytest.fixture
def at() -> dt.datetime:
    return timezone.now()


@pytest.fixture
def people(at: dt.datetime) -> dict[str, Person]:
    return make.world(at=at)


def used(people: dict[str, Person], *, at: dt.datetime, step: int = 3) -> tuple[Reveal, str]:
    assignment = take_next(people["analyst-one"], at=at)
    assert assignment is not None
    file_id = assignment.revision.members.get().file_id
    by = {"person": people["analyst-one"], "session_key": "s", "at": at}
    token = grant_reveal(assignment.pk, file_id=file_id, ladder_step=step, **by)  # type: ignore[arg-type]
    return use_reveal(token, **by), token  # type: ignore[arg-type]


def another_file() -> File:
    content = make.draw(77)
    digests = {name: hashlib.new(name, content).hexdigest() for name in ("sha256", "sha1", "md5")}
    return File.objects.create(**digests, size=len(content), media_type="image/png", width=960, height=720)


def objects(home: Path) -> set[str]:
    return {path.name for path in (home / "content").iterdir()}


def test_bytes_of_another_file_are_not_kept_and_none_beside_them(
    people: dict[str, Person], home: Path, at: dt.datetime
) -> None:
    before, fresh = objects(home), another_file()
    with pytest.raises(EvidenceError, match="not those of this file; nothing was stored"):
        evidence.keep({File.objects.first(): make.draw(1000), fresh: make.draw(78)}, at=at)  # type: ignore[dict-item]
    assert (objects(home), StoredContent.objects.count()) == (before, 1)


def test_a_file_is_kept_once_and_only_where_a_basis_is_declared(
    people: dict[str, Person], home: Path, at: dt.datetime
) -> None:
    first, fresh = File.objects.get(), another_file()
    evidence.keep({first: make.draw(1000)}, at=at)
    assert StoredContent.objects.count() == len(objects(home)) == 1
    assert evidence.kept([first, fresh]) == {first.pk}
    declare_policy(InstallationKind.DEMO, at=at)
    with pytest.raises(EvidenceError, match="content storage is off"):
        evidence.keep({fresh: make.draw(77)}, at=at)
    assert StoredContent.objects.count() == len(objects(home)) == 1


def test_what_no_row_names_is_swept_and_what_one_names_is_not(people: dict[str, Person], home: Path) -> None:
    named = objects(home)
    (home / "content" / ("ab" * 16)).write_bytes(b"never acknowledged")
    (home / "content" / f".{'cd' * 16}.x1.part").write_bytes(b"half wri")
    assert evidence.sweep() == 2
    assert objects(home) == named
    assert evidence.sweep() == 0


def test_a_view_that_was_not_recorded_shows_nothing(people: dict[str, Person], at: dt.datetime) -> None:
    reveal, token = used(people, at=at)
    reveal.used_at = None
    with pytest.raises(RevealRefused, match="not been recorded as used"):
        evidence.rendition(reveal, token=token)


def test_bytes_that_changed_on_the_disk_are_not_shown(people: dict[str, Person], home: Path, at: dt.datetime) -> None:
    reveal, token = used(people, at=at)
    assert evidence.rendition(reveal, token=token)[:4] == b"RIFF"
    kept = home / "content" / StoredContent.objects.get().object_name
    kept.write_bytes(make.draw(1001))
    with pytest.raises(EvidenceError, match="no longer have their digest"):
        evidence.rendition(reveal, token=token)


@pytest.mark.parametrize(("named", "word"), [("", "no decoderd is running"), ("gone", "decoderd")])
def test_without_the_sandbox_nothing_is_decoded(
    people: dict[str, Person], settings: Settings, tmp_path: Path, at: dt.datetime, named: str, word: str
) -> None:
    reveal, token = used(people, at=at)
    settings.DECODERD = str(tmp_path / named) if named else ""
    with pytest.raises(EvidenceError, match=word):
        evidence.rendition(reveal, token=token)


def test_a_comparison_opens_nothing_for_a_view_that_was_recorded_for_somebody_to_see(
    people: dict[str, Person], at: dt.datetime
) -> None:
    reveal, token = used(people, at=at, step=1)
    with pytest.raises(RevealRefused, match="not opened for a comparison"):
        evidence.grey(reveal, token=token)


def test_whether_films_can_be_shown_is_left_to_the_view_where_nobody_says(settings: Settings, tmp_path: Path) -> None:
    assert evidence.shows_films(), "the tests install what opens films"
    with mock.patch.object(evidence.DecoderClient, "state", return_value={"films": 0}):
        assert not evidence.shows_films()
    for nobody in ("", str(tmp_path / "gone")):
        settings.DECODERD = nobody
        assert evidence.shows_films()


def test_what_the_sandbox_refuses_is_said() -> None:
    with pytest.raises(EvidenceError) as told:
        evidence._pixels(b"no picture at all", (64, 64))
    assert str(told.value)


def test_a_vault_that_will_not_keep_or_open_is_told_from_a_grant_that_is_refused(
    people: dict[str, Person], home: Path, at: dt.datetime
) -> None:
    reveal, token = used(people, at=at)
    fresh = another_file()
    with mock.patch.object(evidence, "keyd", return_value=object()), mock.patch.object(evidence, "_vault") as vault:
        for fault in (KeydRefused("exists", "a key is there already"), StoreError("No space left on device")):
            vault.return_value.keep.side_effect = fault
            with pytest.raises(EvidenceError, match=f"{fault}; nothing was kept"):
                evidence.keep({fresh: make.draw(77)}, at=at)
        vault.return_value.open.side_effect = KeydRefused("late", "the grant has run out")
        with pytest.raises(RevealRefused, match="the grant has run out"):
            evidence.rendition(reveal, token=token)
        vault.return_value.open.side_effect = VaultError("the object was changed")
        with pytest.raises(EvidenceError, match="the object was changed") as told:
            evidence.rendition(reveal, token=token)
        vault.return_value.open.side_effect = StoreError("the object could not be read")
        with pytest.raises(EvidenceError, match="the object could not be read; nothing was shown"):
            evidence.rendition(reveal, token=token)
    assert not isinstance(told.value, RevealRefused)
    assert evidence.kept([fresh]) == frozenset()


def test_a_grant_names_all_that_it_is_bound_to_and_needs_kept_content(
    people: dict[str, Person], at: dt.datetime
) -> None:
    reveal, _ = used(people, at=at)
    client = mock.Mock()
    client.grant.return_value = "token"
    with mock.patch.object(evidence, "keyd", return_value=client):
        assert evidence.grant(reveal) == "token"
        bound = client.grant.call_args.args[0]
        assert client.grant.call_args.kwargs == {"seconds": 120, "escalation": False}
        assert (bound.person, bound.session) == (people["analyst-one"].audit_id.hex, reveal.session_digest)
        assert (bound.item, bound.purpose) == (str(reveal.file_id), "first_assessment.3")
        assert (bound.assignment, bound.grant) == (reveal.assignment.audit_id.hex, reveal.audit_id.hex)
        assert bound.object == StoredContent.objects.get().object_name
        client.grant.side_effect = KeydRefused("budget", "over the budget of this hour")
        with pytest.raises(RevealRefused, match="over the budget"):
            evidence.grant(reveal)
        reveal.file = another_file()
        with pytest.raises(RevealRefused, match="is not kept here"):
            evidence.grant(reveal)
