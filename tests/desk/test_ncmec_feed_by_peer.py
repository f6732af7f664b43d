"""Meta's `threatexchange`, unmodified, fetches our feed over TLS and finds the reference pictures by it."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from psycopg.conninfo import make_conninfo

from havenline.fingerprints import fingerprint_file
from havenline_desk.actions.keep_feed_credentials import make_feed_credential
from havenline_desk.sites import server

from . import factories as make
from . import feeds
from .peer_client import PeerClient, certificates, namespaces_allowed

PICTURES = Path(__file__).resolve().parents[3] / "shared" / "data" / "pdq"
LISTED = ("bridge-mods/aaa-orig.jpg", "labelme-subset/q0122.jpg", "labelme-subset/q0746.jpg")
FOUND = ("bridge-mods/shrink-a-little.jpg", "bridge-mods/aaa-orig.jpg", *LISTED[1:])
NOT_FOUND = "labelme-subset/q0291.jpg"


@contextlib.contextmanager
def served(place: Path) -> Iterator[int]:
    """The feed in a process of its own, on this test's database; gives its port."""
    said = connection.settings_dict
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    parts = {ours: str(said[theirs]) for ours, theirs in names.items() if said[theirs]}
    environ = {
        **os.environ,
        "HAVENLINE_DATABASE_URL": make_conninfo(**parts, **said["OPTIONS"]),
        "HAVENLINE_HOME": str(settings.HOME),
        "HAVENLINE_AUDIT_FOLDER": str(settings.AUDIT_FOLDER),
        "HAVENLINE_SECRET_KEY": settings.SECRET_KEY,
        "DJANGO_SETTINGS_MODULE": "havenline_desk.sites.settings",
    }
    port = server.free_port(0)
    command = server.feed_command("127.0.0.1", port, certificate=place / "host.pem", private_key=place / "host.key")
    process = subprocess.Popen(command, env=environ)
    try:
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None, "the feed ended"
            assert time.monotonic() < deadline, "the feed does not answer"
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(600)
@pytest.mark.skipif(not PICTURES.is_dir(), reason="the reference data is not beside this checkout (../shared/data/pdq)")
def test_the_unmodified_client_of_others_fetches_our_feed_and_finds_the_reference_pictures() -> None:
    assert namespaces_allowed(), "this machine allows no user, mount and network namespaces, which the test needs"
    at = timezone.now() - dt.timedelta(minutes=10)
    people = make.world(at=at - dt.timedelta(days=1))
    make.assess(people["analyst-one"], make.TRIANGLE, at=at)
    make.assess(people["analyst-two"], make.TRIANGLE, at=at)
    listed = feeds.house_list("hashsharing", made_by=people["liaison"], at=at)
    for number, picture in enumerate(LISTED):
        feeds.release(listed, [number], at=at, pdq=fingerprint_file(PICTURES / picture).pdq)
    partner = feeds.partner("north", at=at)
    feeds.subscribe(partner, listed, at=at)
    secret = make_feed_credential(partner, made_by=people["liaison"], at=at)
    feeds.publish(listed, at=at)
    with tempfile.TemporaryDirectory(prefix="peer-") as folder:
        place = Path(folder)
        certificates(place)
        with served(place) as port, contextlib.closing(PeerClient(place, port)) as peer:
            credentials = f"north:{secret}"
            peer.run(
                *("config", "collab", "edit", "ncmec", "--create", "house", "--environment", "test_Industry"),
                credentials=credentials,
            )
            # It tells local time as if it were UTC: where that lies ahead it is refused, and skips nothing unseen.
            with pytest.raises(AssertionError, match="failed to fetch"):
                peer.run("fetch", credentials=credentials, zone="Asia/Tokyo")
            peer.run("fetch", credentials=credentials)
            found = [peer.run("match", "photo", str(PICTURES / each), credentials=credentials) for each in FOUND]
            assert all("pdq" in each and "house" in each for each in found), found
            assert "pdq" not in peer.run("match", "photo", str(PICTURES / NOT_FOUND), credentials=credentials)
