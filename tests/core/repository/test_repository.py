"""The publisher's side: who must sign, what a signer is shown, and that a crash or a theft publishes nothing."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyrage
import pytest
from securesystemslib.signer import CryptoSigner
from tests.core.connectors.publisher_rig import LIST, START, House, Partner, canaries, entry
from tuf.api.metadata import Metadata, Targets

from havenline.connectors import publishers
from havenline.connectors.sealed import identity_in
from havenline.formats import exchange
from havenline.formats.edition import EditionRefused, ListKind
from havenline.formats.exchange import ExchangeRefused, Piece, opened_lines, piece_of, sealed_pieces
from havenline.repository.keys import KeyRefused, make_key, opened_key, public_path, read_public
from havenline.repository.publishing import Repository, RepositoryRefused
from havenline.repository.signing import shown, sign
from havenline.repository.staging import Feed

PASSPHRASE = "correct horse battery"  # of drawn keys in a temporary folder


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A house whose edition 1, entries 0 to 4, is published for one partner."""
    made = House(tmp_path / "house")
    Partner(tmp_path / "partner").greet(made)
    made.edition(range(5))
    made.publish(START)
    return made


def test_a_key_is_sealed_with_a_passphrase_and_its_public_half_tells_its_own_id(tmp_path: Path) -> None:
    path = tmp_path / "approver.key"
    with pytest.raises(KeyRefused, match="fewer than 12"):
        make_key(path, passphrase="too short")
    public = make_key(path, passphrase=PASSPHRASE)
    assert path.read_bytes().startswith(b"age-encryption.org/v1\n-> scrypt ")
    assert read_public(public_path(path)) == public
    assert opened_key(path, passphrase=PASSPHRASE).public_key == public
    with pytest.raises(KeyRefused, match="does not open"):
        opened_key(path, passphrase=PASSPHRASE + "!")
    with pytest.raises(KeyRefused, match="a key already"):
        make_key(path, passphrase=PASSPHRASE)
    other = json.loads(public_path(path).read_text())
    other["keyid"] = "0" * 64
    public_path(path).write_text(json.dumps(other))
    with pytest.raises(KeyRefused, match="no public"):
        read_public(public_path(path))


@pytest.mark.parametrize(
    ("house_of", "keys", "made"),
    [
        ("six_or_more", 3, True),
        ("six_or_more", 2, False),
        ("three_to_five", 2, True),
        ("two", 2, True),
        ("two", 1, False),
        ("one", 3, False),
    ],
)
def test_as_many_keys_as_fit_the_house_and_never_one(tmp_path: Path, house_of: str, keys: int, made: bool) -> None:
    publics = [CryptoSigner.generate_ed25519().public_key for _ in range(keys)]
    repository = Repository(tmp_path / "repository")
    if made:
        repository.init("A house", house_of, root=publics, targets=publics, at=START)
        roles = json.loads((repository.staged / "root.json").read_text())["signed"]["roles"]
        assert {name: role["threshold"] for name, role in roles.items()} == {
            "root": 2, "targets": 2, "snapshot": 1, "timestamp": 1,
        }  # fmt: skip
    else:
        with pytest.raises(RepositoryRefused):
            repository.init("A house", house_of, root=publics, targets=publics, at=START)
        assert not (tmp_path / "repository").exists()


def test_one_key_given_twice_is_one(tmp_path: Path) -> None:
    one = CryptoSigner.generate_ed25519().public_key
    with pytest.raises(RepositoryRefused, match="different"):
        Repository(tmp_path / "r").init("A house", "two", root=[one, one], targets=[one, one], at=START)


def test_nothing_is_published_below_two_signatures(house: House) -> None:
    before = {path: path.read_bytes() for path in house.public.rglob("*.json")}
    house.edition(range(6))
    house.stage(START)
    stranger = CryptoSigner.generate_ed25519()
    for signers in ([], house.people[:1], [house.people[0], stranger]):
        house.sign("targets", signers)
        with pytest.raises(RepositoryRefused, match="more of the targets keys"):
            house.repository.publish(at=START)
        assert {path: path.read_bytes() for path in house.public.rglob("*.json")} == before
    assert house.repository.standing().signatures == 1
    house.sign("targets", house.people[2:])
    assert house.repository.publish(at=START) == "targets"


def test_staging_anew_drops_signatures_over_what_was_staged_before(house: House) -> None:
    house.edition(range(6))
    house.stage(START)
    house.sign("targets", house.people[:2])
    house.edition(range(7))
    house.stage(START)
    with pytest.raises(RepositoryRefused, match="2 more"):
        house.repository.publish(at=START)


def test_a_root_is_signed_by_two_of_the_last_root_and_two_of_the_new_one(house: House) -> None:
    old, new = house.people, [CryptoSigner.generate_ed25519() for _ in range(3)]
    publics = [each.public_key for each in new]
    house.repository.rotate_root("six_or_more", root=publics, targets=publics, new_online=False, at=START)
    for signers in (new, old[:1]):
        house.sign("root", signers)
        with pytest.raises(RepositoryRefused):
            house.repository.publish(at=START)
    house.sign("root", old[1:2])
    assert house.repository.publish(at=START) == "root"
    assert house.repository.root().signed.version == 2


def test_a_timestamp_is_renewed_every_day_and_a_snapshot_before_it_ends(house: House) -> None:
    versions = []
    for day in range(1, 9):
        at = START + dt.timedelta(days=day)
        assert house.repository.renew(at=at)
        standing = house.repository.standing()
        assert standing.versions["timestamp"][1] == at + dt.timedelta(hours=48)
        assert standing.versions["snapshot"][1] >= at + dt.timedelta(days=3)
        versions.append((standing.versions["timestamp"][0], standing.versions["snapshot"][0]))
    assert versions[0] == (2, 1)
    assert versions[-1][0] == 9
    assert versions[-1][1] == 2


def test_what_is_sealed_stays_as_it_is_until_there_is_something_new(house: House) -> None:
    before = set(house.public.rglob("*.age"))
    house.publish(START)
    assert set(house.public.rglob("*.age")) == before


@pytest.mark.parametrize("step", ["place", "targets", "snapshot", "timestamp"])
def test_a_crash_while_publishing_shows_partners_the_last_state_or_the_new_one(
    house: House, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    partner = Partner(tmp_path / "partner")
    partner.add(house)
    partner.fetch(START)
    house.edition(range(1, 7))
    house.stage(START)
    house.sign("targets", house.people[:2])

    class Killed(BaseException):
        pass

    written = Repository._write
    placed = Repository._place_pieces

    def write(self: Repository, name: str, metadata: Metadata[Any]) -> None:
        if name.endswith(f"{step}.json"):
            raise Killed
        written(self, name, metadata)

    def place(self: Repository, targets: Targets) -> None:
        placed(self, targets)
        if step == "place":
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Repository, "_write", write)
        patched.setattr(Repository, "_place_pieces", place)
        with pytest.raises(Killed):
            house.repository.publish(at=START)
    partner.fetch(START)
    assert partner.found(range(9), at=START) == set(range(5))
    house.repository.publish(at=START)
    partner.fetch(START)
    assert partner.found(range(9), at=START) == set(range(1, 7))


def test_a_signer_sees_numbers_and_digests_and_what_this_key_signed_before(house: House, tmp_path: Path) -> None:
    path = tmp_path / "approver.key"
    make_key(path, passphrase=PASSPHRASE)
    signer = opened_key(path, passphrase=PASSPHRASE)
    house.edition([1, 2, 3, 4, 5, 6])
    house.stage(START)
    staged = house.repository.staged / "targets.json"
    what = shown(staged, key=path)
    (only,) = what.lists
    assert (only.name, only.seq, only.added, only.withdrawn, only.recipients) == (LIST, 2, 2, 1, 1)
    assert only.entries == (6 + 4, 6 + 4)
    assert only.before is None
    with pytest.raises(RepositoryRefused, match="not what was shown"):
        sign(staged, key=path, signer=signer, digest="0" * 64)
    sign(staged, key=path, signer=signer, digest=what.digest)
    again = shown(staged, key=path)
    assert again.lists[0].before == (2, only.canonical_root)
    sign(staged, key=path, signer=signer, digest=again.digest)  # the same again is no harm

    def other_root(said: dict[str, Any]) -> None:
        for target in said["signed"]["targets"].values():
            target["custom"]["canonical_root"] = "ef" * 32

    said = json.loads(staged.read_text())
    other_root(said)
    staged.write_text(json.dumps(said))
    with pytest.raises(RepositoryRefused, match="signed edition 2 already"):
        sign(staged, key=path, signer=signer, digest=shown(staged, key=path).digest)


def test_a_signer_is_not_shown_lists_that_differ_from_partner_to_partner(house: House, tmp_path: Path) -> None:
    Partner(tmp_path / "other", "partner-c").greet(house)
    house.edition(range(6))
    house.stage(START)
    staged = house.repository.staged / "targets.json"
    said = json.loads(staged.read_text())
    for path, target in said["signed"]["targets"].items():
        if not path.startswith(house.recipient("partner-c")):
            target["custom"]["canonical_root"] = "ef" * 32
    staged.write_text(json.dumps(said))
    with pytest.raises(RepositoryRefused, match="not every recipient"):
        shown(staged, key=tmp_path / "key")


def test_a_timestamp_is_nothing_that_a_person_signs(house: House, tmp_path: Path) -> None:
    with pytest.raises(RepositoryRefused, match="nothing else"):
        shown(house.public / "metadata" / "timestamp.json", key=tmp_path / "key")


def test_a_damaged_edition_is_not_sealed(house: House) -> None:
    house.edition(range(6))
    path = house.folder / "editions" / LIST / "2" / "entries.ndjson"
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    with pytest.raises(EditionRefused, match=r"entries\.ndjson"):
        house.stage(START)


def test_canaries_that_are_others_than_before_are_sent_with_the_whole_list(house: House) -> None:
    house.edition(range(6))
    feeds = [
        Feed(each.partner, each.key, LIST, each.editions, each.newest, canaries("others")) for each in house.feeds()
    ]
    house.publish(START, feeds)
    assert {path.name.split(".", 1)[1] for path in house.public.rglob("*.age")} == {"2.whole.0.age"}


def test_what_was_staged_for_a_new_key_and_never_published_is_sealed_to_it_again(house: House, tmp_path: Path) -> None:
    partner = Partner(tmp_path / "partner")
    new = publishers.make_identity(tmp_path / "new.key")
    house.keys[partner.name] = new
    for _ in range(2):
        house.stage(START)
    house.sign("targets", house.people[:2])
    house.repository.publish(at=START)
    identity = pyrage.x25519.Identity.from_str(identity_in(tmp_path / "new.key"))
    (sealed,) = house.public.rglob("*.age")
    assert pyrage.decrypt(sealed.read_bytes(), [identity]).count(b"\n") == 5 + 4


def test_a_long_list_is_sealed_in_parts_and_put_together_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "PART_LINES", 4)
    house, partner = House(tmp_path / "house"), Partner(tmp_path / "partner")
    partner.greet(house)
    house.edition(range(11))
    house.publish(START)
    parts = sorted(path.name.split(".", 1)[1] for path in house.public.rglob("*.age"))
    assert parts == [f"1.whole.{part}.age" for part in range(4)]
    partner.add(house)
    partner.fetch(START)
    assert partner.found(range(12), at=START) == set(range(11))


def piece(**said: Any) -> Piece:
    given = {
        "recipient": "a" * 32,
        "list_name": LIST,
        "kind": ListKind.CSAM,
        "seq": 2,
        "prev": "0" * 64,
        "canonical_root": "1" * 64,
        "own_root": "2" * 64,
        "entries": 3,
        "added": 1,
        "withdrawn": 0,
        "whole": False,
        "part": 0,
        "parts": 1,
        "lines": 0,
        "plain_bytes": 0,
        "plain_sha256": "3" * 64,
    }
    return Piece(**{**given, **said})


@pytest.mark.parametrize(
    "said",
    [
        {"recipient": "A" * 32},
        {"list_name": "../x"},
        {"seq": 0},
        {"seq": True},
        {"seq": 2.0},
        {"prev": None},
        {"seq": 1},
        {"canonical_root": "1" * 63},
        {"own_root": 5},
        {"part": 1},
        {"parts": 10**9},
        {"lines": 50_001},
        {"plain_bytes": 1 << 40},
        {"whole": 1},
        {"added": -1},
    ],
)
def test_a_piece_with_what_the_form_has_no_room_for_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        piece(**said)


def test_what_is_signed_of_a_piece_reads_back_and_nothing_else_does() -> None:
    made = piece()
    assert piece_of(made.path, made.custom()) == made
    for path, custom in (
        (made.path.replace("/2.", "/3."), made.custom()),
        (made.path, {**made.custom(), "also": 1}),
        (made.path, {name: value for name, value in made.custom().items() if name != "seq"}),
        (made.path, {**made.custom(), "form": "havenline-exchange/2"}),
        (made.path, {**made.custom(), "kind": "ncii"}),
    ):
        with pytest.raises(ExchangeRefused):
            piece_of(path, custom)


def test_a_piece_opens_for_its_recipient_alone_and_only_as_it_was_signed(tmp_path: Path) -> None:
    mine, other = (pyrage.x25519.Identity.generate() for _ in range(2))
    lines = [entry(number).line() for number in range(3)]
    ((made, sealed),) = sealed_pieces(piece(), lines, to=str(mine.to_public()))
    assert [line for _, line in opened_lines(made, sealed, identity=str(mine))] == lines
    with pytest.raises(ExchangeRefused, match="not sealed to"):
        list(opened_lines(made, sealed, identity=str(other)))
    ((_, different),) = sealed_pieces(piece(), lines[:2], to=str(mine.to_public()))
    with pytest.raises(ExchangeRefused, match="something else"):
        list(opened_lines(made, different, identity=str(mine)))
    with pytest.raises(ExchangeRefused, match="no key that can be sealed to"):
        list(sealed_pieces(piece(), lines, to="age1nonsense"))
