"""What a bad publisher, a bad mirror or a bad clock can try. Nothing of it is taken, the list stays, an alarm stands.

Each attack gets a fresh copy of the recipient: what one leaves behind must neither help nor hinder the next.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner
from tests.core.connectors.publisher_rig import LIST, START, House, Partner, rewritten
from tuf.api.metadata import Metadata, TargetFile, Targets

from havenline.connectors.alarms import Distrust, Distrusted
from havenline.connectors.exchange import Exchange
from havenline.connectors.frame import PartnerError
from havenline.formats.exchange import piece_of
from havenline.repository.publishing import Repository

NOW = START + dt.timedelta(hours=1)
GOOD = set(range(6))
SOAK = os.environ.get("HAVENLINE_SOAK") == "1"


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A house that has published edition 2, a partner that holds it, and what the house's server served before."""
    folder = tmp_path_factory.mktemp("exchange")
    house, partner = House(folder / "house"), Partner(folder / "partner")
    partner.greet(house)
    house.edition(range(5))
    house.publish(START)
    partner.add(house)
    partner.fetch(START)
    shutil.copytree(house.public, folder / "earlier")
    house.edition(range(6))
    house.publish(START + dt.timedelta(minutes=30))
    partner.fetch(START + dt.timedelta(minutes=30))
    assert partner.found(range(9), at=NOW) == GOOD
    PEOPLE[folder] = house
    return folder, house.public, folder / "earlier"


PEOPLE: dict[Path, House] = {}


@pytest.fixture
def stage_set(before: tuple[Path, Path, Path], tmp_path: Path) -> tuple[House, Partner, Path]:
    """Copies of both, for one attack; the partner follows the copy of the house's folder."""
    original = PEOPLE[before[0]]
    shutil.copytree(before[0] / "house", tmp_path / "house")
    house = House.__new__(House)
    house.__dict__.update(original.__dict__)
    house.folder = tmp_path / "house"
    house.repository = type(original.repository)(house.folder / "repository")
    house.public = house.folder / "repository" / "public"
    partner = Partner(before[0] / "partner").copied(tmp_path / "partner")
    return house, partner, before[2]


def refused(partner: Partner, house: House, *, at: dt.datetime = NOW, reason: Distrust | set[Distrust]) -> None:
    """The fetch is refused for that reason, and everything is as it was, but for the alarm."""
    checkpoint = partner.checkpoint()
    with pytest.raises(Distrusted) as caught:
        partner.fetch(at, from_folder=house.public)
    assert caught.value.reason in (reason if isinstance(reason, set) else {reason}), caught.value
    assert partner.found(range(9), at=at) == GOOD
    assert partner.checkpoint() == checkpoint
    alarm = partner.alarm()
    assert alarm is not None
    assert alarm.reason is caught.value.reason


def newest(metadata: Path, role: str) -> Path:
    return max(metadata.glob(f"*.{role}.json"), key=lambda path: int(path.name.split(".")[0]))


def altered(path: Path, alter: Callable[[dict[str, Any]], None]) -> None:
    said = json.loads(path.read_bytes())
    alter(said)
    rewritten(path, json.dumps(said).encode())


def test_rollback_to_what_was_served_before_is_refused(stage_set: tuple[House, Partner, Path]) -> None:
    house, partner, earlier = stage_set
    shutil.rmtree(house.public)
    shutil.copytree(earlier, house.public)
    refused(partner, house, reason=Distrust.ROLLBACK)


def test_an_earlier_edition_under_a_new_signature_is_refused(stage_set: tuple[House, Partner, Path]) -> None:
    house, partner, _ = stage_set
    feeds = [feed.__class__(feed.partner, feed.key, LIST, feed.editions, 1, feed.canaries) for feed in house.feeds()]
    house.publish(NOW, feeds)
    refused(partner, house, reason=Distrust.ROLLBACK)


def test_a_mirror_that_serves_the_same_for_ever_is_refused(stage_set: tuple[House, Partner, Path]) -> None:
    house, partner, _ = stage_set
    refused(partner, house, at=NOW + dt.timedelta(hours=49), reason=Distrust.FROZEN)


def test_a_publisher_that_is_kept_away_for_two_days_is_an_alarm_and_before_that_is_none(
    stage_set: tuple[House, Partner, Path],
) -> None:
    house, partner, _ = stage_set
    shutil.rmtree(house.public)
    with pytest.raises(PartnerError) as caught:
        partner.fetch(NOW, from_folder=house.public)
    assert not isinstance(caught.value, Distrusted)
    assert partner.alarm() is None
    refused(partner, house, at=NOW + dt.timedelta(hours=49), reason=Distrust.FROZEN)


def test_metadata_of_two_states_mixed_is_refused(stage_set: tuple[House, Partner, Path]) -> None:
    house, partner, _ = stage_set
    house.edition(range(7))
    house.publish(NOW)
    metadata = house.public / "metadata"
    shutil.copy(metadata / "2.targets.json", newest(metadata, "targets"))
    refused(partner, house, reason={Distrust.ROLLBACK, Distrust.MIXED})


def test_a_file_that_was_signed_for_and_is_kept_back_is_refused(stage_set: tuple[House, Partner, Path]) -> None:
    house, partner, _ = stage_set
    house.edition(range(7))
    house.publish(NOW)
    for path in house.public.glob("targets/*/*/*.3.changes.*.age"):
        path.unlink()
    refused(partner, house, reason=Distrust.MIXED)


def test_forged_metadata_is_refused(stage_set: tuple[House, Partner, Path]) -> None:
    house, partner, _ = stage_set
    house.edition(range(7))
    house.publish(NOW)
    stranger = CryptoSigner.generate_ed25519()
    path = newest(house.public / "metadata", "targets")
    metadata: Metadata[Targets] = Metadata.from_file(str(path))
    metadata.sign(stranger)
    rewritten(path, metadata.to_bytes())
    refused(partner, house, reason=Distrust.FORGED)


def test_what_one_person_alone_signed_is_refused_by_the_house_and_by_the_recipient(
    stage_set: tuple[House, Partner, Path],
) -> None:
    house, partner, _ = stage_set
    house.edition(range(7))
    house.publish(NOW)

    def drop_one(said: dict[str, Any]) -> None:
        said["signatures"] = [each for each in said["signatures"] if each["keyid"] == house.people[0].public_key.keyid]

    altered(newest(house.public / "metadata", "targets"), drop_one)
    refused(partner, house, reason=Distrust.FORGED)


def test_one_key_that_signs_twice_is_one_person(stage_set: tuple[House, Partner, Path]) -> None:
    house, partner, _ = stage_set
    house.edition(range(7))
    house.publish(NOW)

    def twice(said: dict[str, Any]) -> None:
        one = next(each for each in said["signatures"] if each["keyid"] == house.people[0].public_key.keyid)
        said["signatures"] = [one, {**one, "keyid": house.people[1].public_key.keyid}]

    altered(newest(house.public / "metadata", "targets"), twice)
    refused(partner, house, reason=Distrust.FORGED)


@pytest.mark.parametrize("what", ["metadata/timestamp.json", "targets"])
def test_endless_data_is_not_read_to_its_end(stage_set: tuple[House, Partner, Path], what: str) -> None:
    house, partner, _ = stage_set
    house.edition(range(7))
    house.publish(NOW)
    paths = [house.public / what] if what.endswith(".json") else list(house.public.glob("targets/*/*/*.3.*.age"))
    for path in paths:
        with path.open("r+b") as file:
            # Sparse: read to its end it would be 64 GB.
            os.truncate(file.fileno(), 64 << 30)
    refused(partner, house, reason=Distrust.ENDLESS)


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "piece"])
def test_truncated_files_are_refused(stage_set: tuple[House, Partner, Path], role: str) -> None:
    house, partner, _ = stage_set
    house.edition(range(7))
    house.publish(NOW)
    metadata = house.public / "metadata"
    paths = {
        "timestamp": lambda: [metadata / "timestamp.json"],
        "snapshot": lambda: [newest(metadata, "snapshot")],
        "targets": lambda: [newest(metadata, "targets")],
        "piece": lambda: list(house.public.glob("targets/*/*/*.3.changes.*.age")),
    }[role]()
    assert paths
    for path in paths:
        os.truncate(path, path.stat().st_size // 2)
    refused(partner, house, reason={Distrust.TRUNCATED, Distrust.UNREADABLE})


def test_a_publisher_that_shows_another_edition_under_the_same_number_is_refused(
    stage_set: tuple[House, Partner, Path],
) -> None:
    house, partner, _ = stage_set

    def other_root(targets: Targets) -> None:
        for target in targets.targets.values():
            target.unrecognized_fields["custom"]["canonical_root"] = "ab" * 32

    house.publish_altered(NOW, other_root)
    refused(partner, house, reason=Distrust.EQUIVOCATION)


def taking_the_place(targets: Targets, *, seq: int, of: int) -> None:
    """The sealed changes of edition `of`, signed as those of `seq`."""
    for path in [path for path in targets.targets if f"/{seq}.changes." in path]:
        mine = targets.targets[path]
        theirs = targets.targets[path.replace(f"/{seq}.", f"/{of}.")]
        piece, old = (piece_of(each.path, each.unrecognized_fields["custom"]) for each in (mine, theirs))
        said = {**piece.custom(), "plain_sha256": old.plain_sha256, "plain_bytes": old.plain_bytes, "lines": old.lines}
        targets.targets[path] = TargetFile(theirs.length, dict(theirs.hashes), path, {"custom": said})


def test_changes_that_are_played_again_as_those_of_a_later_edition_are_refused(
    stage_set: tuple[House, Partner, Path],
) -> None:
    house, partner, _ = stage_set
    house.edition(range(7))
    (old,) = (house.public / "targets").rglob("*.2.changes.*.age")

    def again(targets: Targets) -> None:
        taking_the_place(targets, seq=3, of=2)
        place = old.with_name(old.name.replace(".2.changes.", ".3.changes."))
        rewritten(place, old.read_bytes())

    house.publish_altered(NOW, again)
    refused(partner, house, reason=Distrust.REPLAYED)


@pytest.mark.parametrize("whole", [True, False], ids=["whole list there", "whole list missing"])
def test_a_gap_in_the_changes_is_bridged_by_the_whole_list_or_refused(
    stage_set: tuple[House, Partner, Path], whole: bool
) -> None:
    house, partner, _ = stage_set
    house.edition(range(7))
    house.edition(range(8))

    def without_three(targets: Targets) -> None:
        for path in list(targets.targets):
            if "/3.changes." in path or ("/4.whole." in path and not whole):
                del targets.targets[path]

    house.publish_altered(NOW, without_three)
    if whole:
        partner.fetch(NOW, from_folder=house.public)
        assert partner.found(range(9), at=NOW) == set(range(8))
    else:
        refused(partner, house, reason=Distrust.NOT_FOR_US)


def test_changes_that_do_not_follow_on_what_is_held_are_refused(stage_set: tuple[House, Partner, Path]) -> None:
    house, partner, _ = stage_set
    house.edition(range(7))

    def other_before(targets: Targets) -> None:
        for path, target in targets.targets.items():
            if "/3." in path:
                target.unrecognized_fields["custom"]["prev"] = "cd" * 32

    house.publish_altered(NOW, other_before)
    refused(partner, house, reason={Distrust.GAP, Distrust.EQUIVOCATION})


def test_a_publisher_that_was_revoked_is_asked_no_more_and_its_list_is_gone_at_once(
    stage_set: tuple[House, Partner, Path],
) -> None:
    house, partner, _ = stage_set
    assert partner.revoke(NOW) > 0
    assert partner.found(range(9), at=NOW) == set()
    house.edition(range(7))
    house.publish(NOW)
    with pytest.raises(PartnerError, match="revoked"):
        partner.fetch(NOW, from_folder=house.public)
    assert partner.found(range(9), at=NOW) == set()


def test_a_list_that_jumps_to_more_than_ten_times_its_length_waits_for_a_person(
    stage_set: tuple[House, Partner, Path],
) -> None:
    house, partner, _ = stage_set
    house.edition(range(1_200))
    house.publish(NOW)
    refused(partner, house, reason=Distrust.GROWTH)
    refused(partner, house, reason=Distrust.GROWTH)
    partner.fetch(NOW, from_folder=house.public, accept_growth=True)
    assert partner.found([1_100], at=NOW) == {1_100}
    assert partner.alarm() is None


def test_a_clock_that_was_set_back_lets_nothing_old_pass(stage_set: tuple[House, Partner, Path]) -> None:
    house, partner, _ = stage_set
    refused(partner, house, at=START + dt.timedelta(minutes=24), reason=Distrust.CLOCK)
    partner.fetch(START + dt.timedelta(minutes=26), from_folder=house.public)
    # Within the slack the later of both times counts: what ended at the later one has ended.
    partner.fetch(NOW + dt.timedelta(hours=47), from_folder=house.public)
    house.repository.renew(at=START - dt.timedelta(hours=1, minutes=3))
    refused(partner, house, at=NOW + dt.timedelta(hours=46, minutes=57), reason=Distrust.FROZEN)


@pytest.mark.parametrize("damage", ["unknown_member", "value_of_no_picture", "not_sealed_to_us", "wrong_kind"])
def test_poisoned_or_unreadable_entries_are_refused_whole_or_set_aside(
    stage_set: tuple[House, Partner, Path], damage: str
) -> None:
    house, partner, _ = stage_set
    if damage == "wrong_kind":

        def other_kind(targets: Targets) -> None:
            for target in targets.targets.values():
                target.unrecognized_fields["custom"]["kind"] = "prohibited"

        house.publish_altered(NOW, other_kind)
        refused(partner, house, reason=Distrust.UNREADABLE)
    elif damage == "unknown_member":

        def more(targets: Targets) -> None:
            for target in targets.targets.values():
                target.unrecognized_fields["custom"]["also"] = 1

        house.publish_altered(NOW, more)
        refused(partner, house, reason=Distrust.UNREADABLE)
    elif damage == "not_sealed_to_us":
        stranger = Partner(partner.folder / "stranger", "stranger")
        stranger.greet(house)
        house.edition(range(7))
        house.publish(
            NOW,
            [
                feed.__class__(feed.partner, house.keys["stranger"], LIST, feed.editions, 3, feed.canaries)
                for feed in house.feeds()
                if feed.partner == partner.name
            ],
        )
        refused(partner, house, reason=Distrust.UNREADABLE)
    else:
        house.edition(range(7), empty_file=True)
        house.publish(NOW)
        done = partner.fetch(NOW, from_folder=house.public)
        assert done.unread == 1
        assert partner.found(range(9), at=NOW) == set(range(7))
        opened = Exchange(partner.exchange)
        ((unread, _),) = opened.store.quarantine()
        opened.close()
        assert unread.reason == "a sha256 value that no picture has"


def test_a_stolen_server_key_can_stop_the_exchange_and_a_new_root_starts_it_again(
    stage_set: tuple[House, Partner, Path], tmp_path: Path
) -> None:
    house, partner, _ = stage_set
    shutil.copytree(house.repository.folder, tmp_path / "thief")
    thief = Repository(tmp_path / "thief")
    snapshot: Metadata[Any] = Metadata.from_file(str(newest(thief.metadata, "snapshot")))
    snapshot.signed.version = 1_000_000
    thief._sign_snapshot(snapshot.signed, at=NOW)
    thief._sign_timestamp(snapshot.signed, 1_000_000, at=NOW)
    partner.fetch(NOW, from_folder=tmp_path / "thief" / "public")
    assert partner.found(range(9), at=NOW) == GOOD  # forwards, not forged: the list is as it was

    house.edition(range(7))
    house.publish(NOW)
    refused(partner, house, reason=Distrust.ROLLBACK)

    house.repository.rotate_root("six_or_more", root=house.publics(), targets=house.publics(), new_online=True, at=NOW)
    house.repository.renew(at=NOW)  # until it is published, the keys before serve on
    house.sign("root", house.people[1:])
    house.repository.publish(at=NOW)
    partner.fetch(NOW, from_folder=house.public)
    assert partner.found(range(9), at=NOW) == set(range(7))
    assert partner.alarm() is None
    thief._sign_timestamp(snapshot.signed, 2_000_000, at=NOW)
    with pytest.raises(Distrusted):
        partner.fetch(NOW, from_folder=tmp_path / "thief" / "public")


def killed_at(step: int, partner: Partner, public: Path) -> bool:
    """Fetch in a process that is killed before its `step`th change of the disk; whether it came that far."""
    child = os.fork()
    if child == 0:
        count = 0

        def counted(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal count
            changes = event in ("os.rename", "os.mkdir", "os.remove", "os.symlink", "sqlite3.connect") or (
                event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            )
            if changes:
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(counted)
        try:
            partner.fetch(NOW, from_folder=public)
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_a_crash_at_any_step_of_an_import_leaves_the_earlier_list_or_the_new_one(
    stage_set: tuple[House, Partner, Path], tmp_path: Path
) -> None:
    house, partner, _ = stage_set
    after = {0, 1, 2, 4, 5, 6}
    house.edition(after)
    house.publish(NOW)
    step, seen = 1, set[frozenset[int]]()  # a long form that never saw both would prove little
    while True:
        copy = partner.copied(tmp_path / "copy")
        if not killed_at(step, copy, house.public):
            break
        # Every step in the long form; each waits for the disk many times.
        step += 1 if SOAK else 9
        found = copy.found(range(9), at=NOW)
        assert found in (GOOD, after)
        seen.add(frozenset(found))
        copy.fetch(NOW, from_folder=house.public)
        assert copy.found(range(9), at=NOW) == after
        left = {path.name for path in (copy.exchange / "publisher").rglob("*") if path.name.startswith((".", "tmp"))}
        assert left == set(), f"step {step}"
        shutil.rmtree(copy.folder)
    assert step > 40
    assert not SOAK or len(seen) == 2, f"{step} steps"
