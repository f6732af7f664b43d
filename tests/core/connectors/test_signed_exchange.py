"""A signed list from one installation to another: what is published arrives, what is withdrawn goes, by every way."""

from __future__ import annotations

import datetime as dt
import shutil
import ssl
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Thread

import pyrage
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.core.connectors.publisher_rig import LIST, START, THEIRS, House, Partner, canaries, value_of
from tuf.api.metadata import Metadata, Root

from havenline.connectors.alarms import Distrust, Distrusted
from havenline.connectors.frame import PartnerError
from havenline.connectors.havenline.pinned import fingerprint_of, hear
from havenline.connectors.publishers import NewPublisher, add_publisher, compare_gossip, gossip, make_identity
from havenline.connectors.sealed import identity_in
from havenline.formats.edition import ListKind
from havenline.formats.exchange import ExchangeRefused
from havenline.repository import staging

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[House, Partner]:
    """A house that gave out edition 1, entries 0 to 4, and a partner that added it and fetched nothing yet."""
    house, partner = House(tmp_path / "a"), Partner(tmp_path / "b")
    partner.greet(house)
    house.edition(range(5))
    house.publish(START)
    partner.add(house)
    return house, partner


def test_what_is_published_arrives_with_the_canaries_of_this_recipient_and_withdrawals_follow(
    pair: tuple[House, Partner],
) -> None:
    house, partner = pair
    partner.fetch(START)
    assert partner.found(range(8), at=START) == {0, 1, 2, 3, 4}
    assert partner.checkpoint()["entries"] == 5 + len(canaries(partner.name))

    house.edition([0, 1, 3, 4, 5])
    house.publish(START + HOUR)
    done = partner.fetch(START + HOUR)

    assert done.records == 2  # by changes, not the whole list anew
    assert partner.found(range(8), at=START) == {0, 1, 3, 4, 5}
    assert partner.alarm() is None
    assert partner.fetch(START + 2 * HOUR).records == 0


def test_who_was_away_for_several_editions_catches_up_by_changes_and_who_was_away_too_long_by_the_whole_list(
    pair: tuple[House, Partner], monkeypatch: pytest.MonkeyPatch
) -> None:
    house, partner = pair
    partner.fetch(START)
    for last in (6, 7):
        house.edition(range(1, last))
        house.publish(START + HOUR)
    assert partner.fetch(START + HOUR).records == 3
    assert partner.found(range(9), at=START) == {1, 2, 3, 4, 5, 6}

    monkeypatch.setattr(staging, "CHANGES_KEPT", 2)
    for last in (8, 9, 10, 11):
        house.edition(range(2, last))
        house.publish(START + 2 * HOUR)
    names = {path.name.split(".", 1)[1] for path in (house.public / "targets").rglob("*.age")}
    assert names == {"7.whole.0.age", "7.changes.0.age", "6.changes.0.age"}
    partner.fetch(START + 2 * HOUR)
    assert partner.found(range(12), at=START) == set(range(2, 11))


def test_everything_anew_gives_the_same_list(pair: tuple[House, Partner]) -> None:
    house, partner = pair
    partner.fetch(START)
    house.edition(range(1, 7))
    house.publish(START + HOUR)
    assert partner.fetch(START + HOUR, resync=True).resynced
    assert partner.found(range(9), at=START) == set(range(1, 7))
    assert partner.fetch(START + HOUR).applied == 0


def test_a_lost_copy_of_the_list_is_told_and_everything_anew_mends_it(pair: tuple[House, Partner]) -> None:
    _, partner = pair
    partner.fetch(START)
    for path in (partner.exchange / "publisher" / "held").iterdir():
        path.unlink()
    with pytest.raises(PartnerError, match="resync"):
        partner.fetch(START + HOUR)
    partner.fetch(START + HOUR, resync=True)
    assert partner.found(range(9), at=START) == set(range(5))


def test_nothing_is_taken_before_two_people_heard_the_fingerprint_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    house, partner = House(tmp_path / "a"), Partner(tmp_path / "b")
    partner.greet(house)
    house.edition(range(5))
    house.publish(START)
    new = NewPublisher(house.public.as_uri(), house.root, house.recipient(partner.name), LIST, ListKind.CSAM, THEIRS)
    added = add_publisher(partner.exchange, new, identity=partner.identity, key=partner.key)
    assert added.recipient_key == house.keys[partner.name]
    with pytest.raises(PartnerError, match="not that of the root"):
        hear(partner.exchange, person="first", fingerprint="0" * 64, at=START)
    for _ in range(2):
        assert hear(partner.exchange, person="first", fingerprint=added.fingerprint.upper(), at=START) == 1
        with pytest.raises(PartnerError, match="two people"):
            partner.fetch(START)
    assert hear(partner.exchange, person="second", fingerprint=added.fingerprint, at=START) == 2
    partner.fetch(START)
    assert partner.found(range(9), at=START) == set(), "a new publisher's list is in shadow"
    partner.activate()
    partner.fetch(START)
    assert partner.found(range(9), at=START) == set(range(5))


def test_a_root_by_which_one_person_publishes_is_not_pinned(tmp_path: Path) -> None:
    house = House(tmp_path / "a")
    metadata: Metadata[Root] = Metadata.from_bytes(house.root)
    metadata.signed.roles["targets"].threshold = 1
    for person in house.people:
        metadata.sign(person, append=True)
    with pytest.raises(PartnerError, match="one person alone"):
        fingerprint_of(metadata.to_bytes())
    for nothing in (b"", b"{}", house.root[:-5], (house.public / "metadata" / "1.root.json").read_bytes() + b"x"):
        with pytest.raises(PartnerError, match="no signed root"):
            fingerprint_of(nothing)


def test_recipients_who_compare_notes_see_whom_a_publisher_shows_another_list(pair: tuple[House, Partner]) -> None:
    house, partner = pair
    other = Partner(partner.folder.parent / "c", "partner-c")
    other.greet(house)
    house.publish(START)
    other.add(house)
    for each in (partner, other):
        each.fetch(START)
    lines = gossip(other.exchange)
    assert compare_gossip(partner.exchange, lines, at=START) == 1
    assert {e.entry for e in canaries(partner.name)}.isdisjoint(e.entry for e in canaries(other.name))

    name, number, root = lines[0].split()
    false = f"{name} {number} {root[::-1]}"
    with pytest.raises(Distrusted, match="another edition 1"):
        compare_gossip(partner.exchange, ["other-list 1 " + root, "", false], at=START)
    alarm = partner.alarm()
    assert alarm is not None
    assert alarm.reason is Distrust.EQUIVOCATION
    for nonsense in ("house-list 1", "house-list x " + root, "House 1 " + root):
        with pytest.raises(ExchangeRefused):
            compare_gossip(partner.exchange, [nonsense], at=START)


def test_a_partner_whose_subscription_ended_is_named_no_more_and_keeps_what_it_had(
    pair: tuple[House, Partner],
) -> None:
    house, partner = pair
    partner.fetch(START)
    house.publish(START + HOUR, feeds=[])
    assert list((house.public / "targets").rglob("*.age")) == []
    with pytest.raises(Distrusted) as caught:
        partner.fetch(START + HOUR)
    assert caught.value.reason is Distrust.NOT_FOR_US
    assert partner.found(range(9), at=START) == set(range(5))


def test_a_new_key_of_a_partner_gets_everything_sealed_to_it_and_the_old_one_opens_nothing_new(
    pair: tuple[House, Partner],
) -> None:
    house, partner = pair
    partner.fetch(START)
    house.keys[partner.name] = make_identity(partner.folder / "new.key")
    house.publish(START + HOUR)
    sealed = list((house.public / "targets").rglob("*.age"))
    assert [path.name.split(".", 1)[1] for path in sealed] == ["1.whole.0.age"]
    for identity, opens in ((partner.folder / "new.key", True), (partner.identity, False)):
        key = pyrage.x25519.Identity.from_str(identity_in(identity))
        if opens:
            assert pyrage.decrypt(sealed[0].read_bytes(), [key]).count(b"\n") == 5 + len(canaries(partner.name))
        else:
            with pytest.raises(pyrage.DecryptError):
                pyrage.decrypt(sealed[0].read_bytes(), [key])


def test_no_hash_value_and_no_name_of_a_partner_is_in_what_anybody_can_fetch(pair: tuple[House, Partner]) -> None:
    house, partner = pair
    served = b"".join(path.read_bytes() for path in house.public.rglob("*") if path.is_file())
    names = " ".join(str(path) for path in house.public.rglob("*"))
    for number in range(5):
        assert value_of(number).encode() not in served
    assert partner.name.encode() not in served
    assert partner.name not in names


def test_a_usb_stick_that_can_only_be_read_is_enough(pair: tuple[House, Partner], tmp_path: Path) -> None:
    house, partner = pair
    stick = tmp_path / "stick"
    shutil.copytree(house.public, stick)
    for path in (stick, *stick.rglob("*")):
        path.chmod(0o500 if path.is_dir() else 0o400)
    before = {path: path.stat().st_mtime_ns for path in stick.rglob("*")}
    partner.fetch(START, from_folder=stick)
    assert partner.found(range(9), at=START) == set(range(5))
    assert {path: path.stat().st_mtime_ns for path in stick.rglob("*")} == before
    for path in (stick, *stick.rglob("*")):
        path.chmod(0o700)


def test_a_link_out_of_the_folder_is_not_followed(pair: tuple[House, Partner], tmp_path: Path) -> None:
    house, partner = pair
    stick = tmp_path / "stick"
    shutil.copytree(house.public, stick)
    (stick / "metadata" / "timestamp.json").unlink()
    (stick / "metadata" / "timestamp.json").symlink_to(house.public / "metadata" / "timestamp.json")
    with pytest.raises(PartnerError, match="cannot be read"):
        partner.fetch(START, from_folder=stick)


@pytest.fixture
def https(tmp_path: Path) -> Iterator[tuple[str, Path, Path]]:
    """A server on loopback with a certificate of an authority of its own: address, authority, what it serves."""
    authority, certificate = made_certificates(tmp_path)
    served = tmp_path / "served"
    served.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}/lists", authority, served / "lists"
    server.shutdown()
    thread.join()
    server.server_close()


def test_over_https_from_a_server_that_only_serves_files(tmp_path: Path, https: tuple[str, Path, Path]) -> None:
    address, authority, served = https
    house, partner, trusting = House(tmp_path / "a"), Partner(tmp_path / "b"), Partner(tmp_path / "c", "partner-c")
    for each in (partner, trusting):
        each.greet(house)
    house.edition(range(5))
    house.publish(START)
    served.symlink_to(house.public)
    partner.add(house, address)  # knows the usual authorities alone
    with pytest.raises(PartnerError, match="SSLError"):
        partner.fetch(START)
    trusting.add(house, address, ca_file=str(authority))
    trusting.fetch(START)
    house.edition(range(1, 6))
    house.publish(START + HOUR)
    assert trusting.fetch(START + HOUR).records == 2
    assert trusting.found(range(9), at=START) == {1, 2, 3, 4, 5}


def made_certificates(folder: Path) -> tuple[Path, Path]:
    """An authority, and a certificate of it for 127.0.0.1 with its key in one file."""
    key, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of the tests")])
    now = dt.datetime.now(dt.UTC)

    def signed(subject: x509.Name, public: ec.EllipticCurvePublicKey, *, authority: bool) -> x509.Certificate:
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False
        ) | {"encipher_only": False, "decipher_only": False}
        made = (
            x509.CertificateBuilder(name, subject, public, x509.random_serial_number(), now - HOUR, now + 9 * HOUR)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
            .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=authority, **usage), critical=True)
        )
        if not authority:
            address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
            made = made.add_extension(address, critical=False)
        return made.sign(key, hashes.SHA256())

    root, leaf = folder / "authority.pem", folder / "server.pem"
    root.write_bytes(signed(name, key.public_key(), authority=True).public_bytes(Encoding.PEM))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    leaf.write_bytes(
        signed(subject, own.public_key(), authority=False).public_bytes(Encoding.PEM)
        + own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return root, leaf
