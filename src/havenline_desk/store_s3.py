"""Sealed objects in an S3-compatible store, behind `havenline_guard.vault_store.Store`; obstore speaks to it.

Bucket and prefix belong to one installation: what it does not know of there, it takes away (`evidence.sweep`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import re
import threading
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from havenline_guard.vault_store import NAME, PIECE, Absent, StoreError, Unreachable

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Store

OWNER = "owner"
"""The object that says whose bucket and prefix it is; no kept object has such a name."""
PATIENCE = dt.timedelta(seconds=60)
"""How long one request may take, its content included, before the store counts as unreachable."""
_RETRIES = 3
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_STATUS = re.compile(r"status code: ([0-9]{3})")
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@lru_cache(maxsize=4)
def s3_store(place: str, endpoint: str, owner: str) -> S3ContentStore:
    """The store at `place`, one for a process. Raises StoreError; see S3ContentStore."""
    return S3ContentStore(place, endpoint=endpoint, owner=owner)


class S3ContentStore:
    """Objects under `s3://bucket/prefix`, as Store asks.

    Credentials and region are the environment's (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, or the identity
    of the machine). Raises StoreError for a place or an endpoint that cannot be, and where obstore is not installed.
    Before the first request it is made sure that the store never replaces an object and that the place is `owner`'s.
    Not checked: versions and locks of the bucket, which may keep the sealed bytes of a deleted object.
    """

    def __init__(self, place: str, *, endpoint: str = "", owner: str, patience: dt.timedelta = PATIENCE) -> None:
        at, to = urlsplit(place), urlsplit(endpoint)
        if at.scheme != "s3" or not at.netloc or at.query or at.fragment or "@" in at.netloc or ":" in at.netloc:
            raise StoreError("HAVENLINE_CONTENT_STORE is s3://bucket/prefix")
        if endpoint and to.scheme != "https" and not (to.scheme == "http" and to.hostname in _LOOPBACK):
            raise StoreError("HAVENLINE_S3_ENDPOINT must begin with https://")
        if "@" in to.netloc:
            raise StoreError("HAVENLINE_S3_ENDPOINT bears no password: credentials go into the environment")
        self._owner, self._ours, self._asking = owner.encode(), False, threading.Lock()
        self._remote = _opened(at.netloc, at.path.strip("/"), endpoint, plain=to.scheme == "http", patience=patience)

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """See Store.put: created only where there is none, read back, and its digest compared.

        Held in memory whole. One that is there already with the very same bytes is our own, of an answer that got lost.
        """
        _check(name)
        self._make_sure()
        body = b"".join(pieces)
        created = self._create(name, body)
        found = hashlib.sha256()
        for piece in self._read(name):
            found.update(piece)
        if found.digest() == hashlib.sha256(body).digest():
            return
        if not created:
            raise StoreError("an object of this name is kept already; it was left as it is")
        raise StoreError("the object store gave back other bytes than it was given; the object is not kept")

    def get(self, name: str) -> Iterator[bytes]:
        """See Store.get. Bytes that are fewer than the store announced are a StoreError; altered ones pass here."""
        _check(name)
        self._make_sure()
        yield from self._read(name)

    def delete(self, name: str) -> None:
        """See Store.delete."""
        _check(name)
        self._make_sure()
        with _told("deleted"), contextlib.suppress(FileNotFoundError):
            self._remote.delete(name)

    def names(self) -> Iterator[str]:
        """See Store.names: asked for a thousand at a time."""
        self._make_sure()
        with _told("listed"):
            for page in self._remote.list():
                for found in page:
                    if NAME.fullmatch(found["path"]):
                        yield found["path"]

    def _create(self, name: str, body: bytes) -> bool:
        from obstore.exceptions import AlreadyExistsError

        with _told("kept"):
            try:
                self._remote.put(name, body, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
            return True

    def _read(self, name: str) -> Iterator[bytes]:
        with _told("read"):
            answer = self._remote.get(name)
            size = answer.meta["size"]
            for piece in answer.stream(min_chunk_size=PIECE):
                size -= len(piece)
                yield bytes(piece)
        if size:
            raise Unreachable("the object could not be read: the answer of the object store broke off")

    def _make_sure(self) -> None:
        """Once: a second creation must be refused, or a store that ignores the condition would replace content."""
        with self._asking:
            if self._ours:
                return
            if self._create(OWNER, self._owner) and self._create(OWNER, self._owner):
                raise StoreError(
                    "this object store replaces objects that should only be created; nothing is kept in it"
                )
            if b"".join(self._read(OWNER)) != self._owner:
                raise StoreError("bucket and prefix belong to another installation; give this one a prefix of its own")
            self._ours = True


def _opened(bucket: str, prefix: str, endpoint: str, *, plain: bool, patience: dt.timedelta) -> S3Store:
    try:
        from obstore.exceptions import BaseError
        from obstore.store import S3Store
    except ImportError:
        raise StoreError("an object store needs the extra `s3`: pip install 'havenline[s3]'") from None
    named: S3Config = {"disable_bulk_delete": True}
    if endpoint:
        named["endpoint"] = endpoint
    try:
        return S3Store(
            bucket,
            prefix=prefix or None,
            client_options={
                "allow_http": plain,
                "connect_timeout": "5s",
                "read_timeout": patience,
                "timeout": patience,
            },
            retry_config={"max_retries": _RETRIES, "retry_timeout": patience / 2},
            config=named,
        )
    except (BaseError, ValueError):
        raise StoreError("the object store cannot be used as the environment (AWS_…) describes it") from None


def _check(name: str) -> None:
    if not NAME.fullmatch(name):
        raise StoreError("the name of an object is 32 hex digits")


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Errors of the library as StoreErrors; of their text, which names places, only the store's own code is told."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        code, status = _CODE.search(str(error)), _STATUS.search(str(error))
        said = code[1] if code else f"status {status[1]}" if status else ""
        if said == "NoSuchKey" or (isinstance(error, FileNotFoundError) and not code):
            raise Absent(f"the object could not be {what}: there is none of this name") from None
        if said and not (status and status[1].startswith("5")):
            raise StoreError(f"the object could not be {what}: the object store refused ({said})") from None
        answered = f"fails ({said})" if said else "does not answer"
        raise Unreachable(f"the object could not be {what}: the object store {answered}") from None
