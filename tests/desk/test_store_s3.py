"""Sealed objects in an S3-compatible store: a real server in a process of its own, stopped and tampered with."""

from __future__ import annotations

import datetime as dt
import hashlib
import http.server
import os
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pytest_django import Settings

from havenline_desk import evidence
from havenline_desk.actions.grant_reveal import grant_reveal, use_reveal
from havenline_desk.actions.take_next import take_next
from havenline_desk.evidence import ContentUnreachable, EvidenceError
from havenline_desk.keys import keyd
from havenline_desk.models import File, Reveal, StoredContent
from havenline_desk.store_s3 import S3ContentStore
from havenline_guard.vault_store import Absent, StoreError, Unreachable
from tests.guard.keyd_rig import Process

from . import factories as make
from .s3_server import BUCKET, S3Server

NAMES = [f"{number:032x}" for number in range(16)]
SOON = dt.timedelta(seconds=2)
SECRET = "kept-from-every-message"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-access-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    made = S3Server(tmp_path_factory.mktemp("s3"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    """One that a test stops."""
    made = S3Server(tmp_path)
    made.start()
    yield made
    made.stop()


def store_in(server: S3Server, prefix: str, *, owner: str = "this house") -> S3ContentStore:
    return S3ContentStore(f"s3://{BUCKET}/{prefix}", endpoint=server.endpoint, owner=owner, patience=SOON)


def test_the_whole_round_trip_in_pieces(lasting: S3Server) -> None:
    store, large = store_in(lasting, "round/trip"), os.urandom(5 << 20)
    store.put(NAMES[0], [large[:100], large[100:]])
    store.put(NAMES[1], [])
    pieces = list(store.get(NAMES[0]))
    assert (b"".join(pieces), len(pieces) > 1) == (large, True)
    assert list(store.get(NAMES[1])) == []
    assert lasting.ask("GET", f"/{BUCKET}/round/trip/{NAMES[0]}") == large
    assert sorted(store.names()) == NAMES[:2]
    for _ in range(2):
        store.delete(NAMES[0])
    assert list(store.names()) == NAMES[1:2]
    with pytest.raises(Absent):
        list(store.get(NAMES[0]))
    for does in (lambda: store.put("../x", []), lambda: list(store.get("x")), lambda: store.delete("owner")):
        with pytest.raises(StoreError, match="32 hex"):
            does()


def test_an_object_is_never_replaced_and_the_same_bytes_are_the_same_object(lasting: S3Server) -> None:
    store = store_in(lasting, "once")
    store.put(NAMES[0], [b"first"])
    with pytest.raises(StoreError, match="kept already"):
        store.put(NAMES[0], [b"other"])
    store.put(NAMES[0], [b"fi", b"rst"])
    assert list(store.get(NAMES[0])) == [b"first"]
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda number: _was_put(store, NAMES[1], number), range(8)))
    assert won.count(True) == 1
    assert b"".join(store.get(NAMES[1])) == b"%d" % won.index(True)


def _was_put(store: S3ContentStore, name: str, number: int) -> bool:
    try:
        store.put(name, [b"%d" % number])
    except StoreError:
        return False
    return True


def test_a_prefix_of_another_installation_is_neither_read_nor_swept(lasting: S3Server) -> None:
    ours = store_in(lasting, "shared")
    ours.put(NAMES[0], [b"ours"])
    theirs = store_in(lasting, "shared", owner="another house")
    asked: list[Callable[[], object]] = [
        lambda: theirs.put(NAMES[1], [b"theirs"]),
        lambda: list(theirs.get(NAMES[0])),
        lambda: theirs.delete(NAMES[0]),
        lambda: list(theirs.names()),
    ]
    for does in asked:
        with pytest.raises(StoreError, match="another installation"):
            does()
    assert list(store_in(lasting, "shared").names()) == NAMES[:1]
    assert list(store_in(lasting, "shar").names()) == []


class _Answering(http.server.BaseHTTPRequestHandler):
    """Stands between: hands each request on, and spoils what the test says."""

    server: _Between
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        dropped = {"host", "connection", *self.server.dropped}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
        headers.setdefault("Content-Type", "application/octet-stream")  # else urllib calls it a form
        request = urllib.request.Request(self.server.to + self.path, body or None, headers, method=self.command)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                status, said, content = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            status, said, content = error.code, error.headers, error.read()
        if self.server.lost and self.command == "PUT" and NAMES[0] in self.path:
            self.server.lost -= 1
            self.close_connection = True
            return
        spoilt = self.server.spoil(content) if self.command == "GET" and NAMES[0] in self.path else content
        self.send_response(status)
        for name in ("ETag", "Last-Modified", "Content-Type"):
            if said.get(name):
                self.send_header(name, said[name])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(spoilt)
        self.close_connection = len(spoilt) != len(content)

    do_GET = do_PUT = do_DELETE = do_POST = do_HEAD = _any  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        pass


class _Between(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, to: str) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.to, self.dropped, self.lost = to, frozenset[str](), 0
        self.spoil: Callable[[bytes], bytes] = bytes

    def store(self, prefix: str) -> S3ContentStore:
        endpoint = f"http://127.0.0.1:{self.server_address[1]}"
        return S3ContentStore(f"s3://{BUCKET}/{prefix}", endpoint=endpoint, owner="this house", patience=SOON)


@pytest.fixture
def between(lasting: S3Server) -> Iterator[_Between]:
    with _Between(lasting.endpoint) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_a_store_that_would_replace_objects_is_refused(between: _Between) -> None:
    between.dropped = frozenset({"if-none-match"})
    with pytest.raises(StoreError, match="replaces objects"):
        between.store("replacing").put(NAMES[0], [b"x"])


def test_bytes_that_come_back_altered_or_short_are_not_acknowledged(between: _Between) -> None:
    between.spoil = lambda content: bytes([content[0] ^ 1]) + content[1:]
    with pytest.raises(StoreError, match="other bytes"):
        between.store("altered").put(NAMES[0], [b"some bytes"])
    between.spoil = lambda content: content[:-1]
    with pytest.raises(Unreachable):
        between.store("short").put(NAMES[0], [b"some bytes"])
    with pytest.raises(Unreachable):
        list(between.store("short").get(NAMES[0]))


def test_an_answer_that_was_lost_is_asked_for_again(between: _Between) -> None:
    store = between.store("lost")
    list(store.names())
    between.lost = 1
    try:
        store.put(NAMES[0], [b"kept once"])
    except Unreachable:
        assert between.lost == 0
        store.put(NAMES[0], [b"kept once"])
    assert between.lost == 0
    assert list(store.get(NAMES[0])) == [b"kept once"]


def test_ten_thousand_names_or_a_few_pages_of_them(lasting: S3Server) -> None:
    """The short form has three pages; the long one (HAVENLINE_SOAK) ten and one more."""
    count = 10_001 if "HAVENLINE_SOAK" in os.environ else 2_001
    store = store_in(lasting, "many")
    wanted = {f"{number:032x}" for number in range(count)}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: lasting.ask("PUT", f"/{BUCKET}/many/{name}", b"x"), wanted))
    lasting.ask("PUT", f"/{BUCKET}/many/not-a-name", b"x")
    assert sorted(store.names()) == sorted(wanted)


def test_a_stopped_or_silent_store_is_said_within_its_time_and_nothing_secret_is(server: S3Server) -> None:
    store = store_in(server, "outage")
    store.put(NAMES[0], [b"x"])
    server.stop()
    asked: list[Callable[[], object]] = [
        lambda: store.put(NAMES[1], [b"y"]),
        lambda: list(store.get(NAMES[0])),
        lambda: store.delete(NAMES[0]),
        lambda: list(store.names()),
    ]
    for does in asked:
        _says(does, "does not answer")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        deaf = S3ContentStore(f"s3://{BUCKET}/x", endpoint=endpoint, owner="this house", patience=SOON)
        began = time.monotonic()
        _says(lambda: list(deaf.names()), "does not answer")
        assert time.monotonic() - began < 60


def _says(does: Callable[[], object], words: str) -> None:
    with pytest.raises(Unreachable, match=words) as said:
        does()
    assert said.value.__suppress_context__
    assert not any(word in str(said.value) for word in (SECRET, "an-access-key", "127.0.0.1", BUCKET, NAMES[0]))


def test_a_bucket_that_is_not_there_is_a_refusal(lasting: S3Server) -> None:
    store = S3ContentStore("s3://no-such-bucket/x", endpoint=lasting.endpoint, owner="this house", patience=SOON)
    with pytest.raises(StoreError, match="NoSuchBucket") as said:
        list(store.names())
    assert not isinstance(said.value, Unreachable)


@pytest.mark.parametrize(
    ("place", "endpoint", "words"),
    [
        ("/a/folder", "", "s3://bucket/prefix"),
        ("s3://", "", "s3://bucket/prefix"),
        (f"s3://key:{SECRET}@bucket/x", "", "s3://bucket/prefix"),
        ("s3://bucket/x", "http://store.example.org", "https"),
        ("s3://bucket/x", f"https://key:{SECRET}@store.example.org", "no password"),
    ],
)
def test_places_that_cannot_be(place: str, endpoint: str, words: str) -> None:
    with pytest.raises(StoreError, match=words) as said:
        S3ContentStore(place, endpoint=endpoint, owner="this house")
    assert SECRET not in str(said.value)


# The desk with `keyd` and the store.


@pytest.fixture
def stored(tmp_path: Path, settings: Settings, server: S3Server) -> Iterator[S3Server]:
    process = Process(tmp_path / "keyd")
    process.start()
    settings.KEYD = str(process.socket)
    settings.CONTENT_STORE, settings.S3_ENDPOINT = f"s3://{BUCKET}/desk", server.endpoint
    yield server
    client = keyd()
    assert client is not None
    client.close()
    process.stop()


def _view(people: dict[str, make.Person], *, token: str | None = None) -> bytes:
    token = token or _token(people)
    reveal = use_reveal(token, person=people["analyst-one"], session_key="s", at=dt.datetime.now(dt.UTC))
    return evidence.rendition(reveal, token=token)


def _token(people: dict[str, make.Person]) -> str:
    now = dt.datetime.now(dt.UTC)
    assignment = take_next(people["analyst-one"], at=now)
    assert assignment is not None
    file_id = assignment.revision.members.get().file_id
    one = people["analyst-one"]
    return grant_reveal(assignment.pk, person=one, session_key="s", file_id=file_id, ladder_step=2, at=now)


@pytest.mark.django_db(transaction=True)
def test_the_desk_keeps_sealed_content_there_shows_it_and_says_when_it_cannot(stored: S3Server, home: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    people = make.world(at=now, stacks=1)
    name = StoredContent.objects.get().object_name
    raw = stored.ask("GET", f"/{BUCKET}/desk/{name}")
    assert make.draw(1000)[:64] not in raw
    assert not any((home / "content").glob("*"))
    assert _view(people)[:4] == b"RIFF"
    stray = "f" * 32
    stored.ask("PUT", f"/{BUCKET}/desk/{stray}", b"left by a killed import")
    assert evidence.sweep() == 1
    assert _view(people)[:4] == b"RIFF"

    for damaged in (raw[:-1], raw[:40] + bytes([raw[40] ^ 1]) + raw[41:]):
        stored.ask("PUT", f"/{BUCKET}/desk/{name}", damaged)
        with pytest.raises(EvidenceError):
            _view(people)
    stored.ask("PUT", f"/{BUCKET}/desk/{name}", raw)

    content = make.draw(7)
    another = File.objects.create(
        sha256=hashlib.sha256(content).hexdigest(), sha1="0" * 40, md5="0" * 32, size=len(content)
    )
    token, client = _token(people), make.client_of(people["analyst-one"])
    stored.stop()
    with pytest.raises(ContentUnreachable, match="does not answer"):
        _view(people, token=token)
    member = people["analyst-one"].assignments.get().revision.members.get()
    asked = client.post("/work/reveal", {"member": member.pk, "step": 2}, content_type="application/json").json()
    shown = client.get(asked["url"])
    assert (shown.status_code, "Retry-After" in shown.headers) == (503, True)
    rows, before = StoredContent.objects.count(), Reveal.objects.count()
    with pytest.raises(ContentUnreachable, match="nothing was kept"):
        evidence.keep({another: content}, at=now)
    assert (StoredContent.objects.count(), Reveal.objects.count()) == (rows, before)


@pytest.mark.django_db(transaction=True)
def test_nothing_unsealed_goes_to_an_object_store(settings: Settings, lasting: S3Server, home: Path) -> None:
    settings.CONTENT_STORE, settings.S3_ENDPOINT = f"s3://{BUCKET}/unsealed", lasting.endpoint
    with pytest.raises(EvidenceError, match="sealed content only"):
        make.world(at=dt.datetime.now(dt.UTC), stacks=1)
    assert not any((home / "content").glob("*"))
