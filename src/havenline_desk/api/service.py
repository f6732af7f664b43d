"""What a server process of the match service holds: keys, lists through `matchd`, canaries; and how a question goes.

No question waits for the database but the first of a window: its entry stands in the audit log before an answer goes
out. Keys, subscriptions and canaries are read anew every few seconds; where that fails for long, nothing is answered.
"""

from __future__ import annotations

import datetime as dt
import logging
import queue
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from django.utils import timezone
from numpy.typing import NDArray

from havenline.matching.asked import Asked, Leads
from havenline.matching.probes import Codes, close_to
from havenline.matching.snapshot import EditionHead
from havenline.vocabulary import NEAR_DISTANCE, HavenlineError
from havenline_guard.client import MatchClient

from ..actions.count_lookups import begin_lookups, close_forgotten, count_lookups
from ..actions.keep_api_keys import digest_of, freeze_api_key, raise_leak
from ..actions.keep_match_alarms import note_quota_near
from ..models import HouseList, KeyScope, Partner
from ..queries.api_keys import keys_in_force, planted_values
from .background import Background
from .held_key import LONGEST, HeldKey, Tally
from .ledger import Ledger, LedgerUnusable
from .questions import Question, Refused

REFRESHED_EVERY = 15.0
"""Seconds between two readings of keys: a key that ended is refused within 60."""
TOO_OLD = 45.0
"""Seconds after which what was read last is not believed any more."""
FORGOTTEN = dt.timedelta(seconds=LONGEST * 4)
"""A window that nobody counted for so long is one of a process that was killed."""
_CLIENTS = 8
_LOG = logging.getLogger(__name__)

Say = Callable[[Question, Leads, NDArray[np.bool_]], bytes]
"""The answer to a question, of its leads and which of them are in the lists of the key and count."""


class Service:
    """One for each server process. Safe to use from several threads."""

    def __init__(self, *, home: Path, matchd: str, secret: str, step: int) -> None:
        """`step`: nanoseconds of the grid on which answers go out, 0 for none."""
        self.step = step
        self._home, self._secret = home, secret.encode()
        self._clients: queue.LifoQueue[MatchClient] = queue.LifoQueue()
        for _ in range(_CLIENTS):
            self._clients.put(MatchClient(matchd, timeout=10.0))
        self._keys: dict[str, HeldKey] = {}
        self._canaries: Codes = np.empty((0, 4), np.uint64)
        self._planted: list[tuple[Partner, HouseList]] = []
        self._told: set[tuple[int, int, int]] = set()
        self._read_at: float | None = None
        self._background = Background(self._by_itself)

    def start(self) -> None:
        """Do what concerns the database in a thread of its own from now on; returns when the keys were read once."""
        self._background.start()
        try:
            self._background.do(self.refresh)
        except Exception:
            _LOG.exception("the keys of the match service could not be read; it is tried again")

    def stop(self) -> None:
        """Count what was answered since it was last counted, and end."""
        self._background.stop(lambda: self._count(older_than=0.0))

    def refresh(self) -> None:
        """Read keys and canaries anew. Raises what the database raises; what was read before then holds for a while."""
        found = keys_in_force()
        held = {}
        for digest, (row, lists) in found.items():
            before = self._keys.get(digest)
            if before is not None:
                before.row, before.lists = row, lists
                held[digest] = before
                continue
            try:
                held[digest] = HeldKey(row, lists, Ledger(self._home, row.audit_id.hex, secret=self._secret))
            except LedgerUnusable:
                _LOG.exception("a key of the match service is not answered")
        gone = [key for digest, key in self._keys.items() if digest not in held]
        self._keys = held
        for key in gone:
            self._count_of(key, older_than=0.0)
        for key in held.values():
            if key.ledger.frozen:
                freeze_api_key(key.row, at=timezone.now())
        planted = planted_values()
        values = [(each.recipient, each.house_list, value) for each in planted for value in each.values]
        whole = np.frombuffer(bytes.fromhex("".join(value for _, _, value in values)), np.uint64)
        self._planted, self._canaries = [(whose, of) for whose, of, _ in values], whole.reshape(-1, 4)
        self._told.clear()  # an alarm that was closed may be raised again
        self._read_at = time.monotonic()

    def key_of(self, authorization: str, scopes: Collection[KeyScope]) -> HeldKey:
        """The key that `Authorization: Bearer …` names. Raises Refused."""
        if self._read_at is None or time.monotonic() - self._read_at > TOO_OLD:
            raise Refused("unavailable", 503, retry_after=15)
        word, _, secret = authorization.partition(" ")
        held = self._keys.get(digest_of(secret.strip())) if word.lower() == "bearer" else None
        if held is None:
            raise Refused("no_key", 401)
        if held.row.scope not in scopes:
            raise Refused("not_with_this_key", 403)
        if held.ledger.frozen:
            raise Refused("frozen", 403)
        return held

    def look_up(self, held: HeldKey, question: Question, *, body: bytes, say: Say) -> bytes:
        """Answer a question; `body` is what stands for it under the root of the window.

        Raises Refused, and what `matchd` raises. Every question goes the same way, whatever is found.
        """
        at = timezone.now()
        row = held.row
        admitted = held.ledger.admit(question.count, per_minute=row.per_minute, per_day=row.per_day, at=at)
        if admitted.near:
            self._background.do_later(lambda: note_quota_near(row, at=at))
        if not admitted.admitted:
            raise Refused("quota", 429, retry_after=admitted.retry_after)
        if held.ledger.probing(question.codes, limit=row.probe_limit, at=at):
            self._background.do_later(lambda: freeze_api_key(row, at=at))
            raise Refused("frozen", 403)
        self._note_canaries(held, question.codes, at=at)
        self._begin(held, at=at)
        leads = self.leads(question.asked)
        counts = np.array([ref.list_name in held.lists for ref in leads.editions] or [False], np.bool_)
        said = counts[leads.edition] & ~leads.allowed
        answer = say(question, leads, said)
        found = len(np.unique(leads.asked[said]))
        while not held.counted(body, answer, items=question.count, leads=found):
            self._begin(held, at=at)  # the window was closed meanwhile
        return answer

    def leads(self, asked: Asked) -> Leads:
        """From `matchd`. Raises MatchdUnreachable, MatchdRefused."""
        with self._client() as client:
            return client.look_up(asked)

    @property
    def heads(self) -> tuple[EditionHead, ...]:
        """The editions that `matchd` looks up in. Raises MatchdUnreachable, MatchdRefused."""
        with self._client() as client:
            return client.heads

    @contextmanager
    def _client(self) -> Iterator[MatchClient]:
        client = self._clients.get()
        try:
            yield client
        finally:
            self._clients.put(client)

    def note_refused(self, held: HeldKey) -> None:
        """Count a request that nothing was looked up for, against the quotas too."""
        held.ledger.admit(1, per_minute=held.row.per_minute, per_day=held.row.per_day, at=timezone.now())
        with held.lock:
            held.refused += 1

    def _begin(self, held: HeldKey, *, at: dt.datetime) -> None:
        """No answer goes out before its window stands in the audit log."""
        if held.tally is not None:
            return
        try:
            self._background.do(lambda: self._open(held, at=at))
        except (HavenlineError, TimeoutError):
            raise Refused("unavailable", 503, retry_after=15) from None

    @staticmethod
    def _open(held: HeldKey, *, at: dt.datetime) -> None:
        if held.tally is None:
            held.tally = Tally(begin_lookups(held.row, at=at))

    def _note_canaries(self, held: HeldKey, codes: Codes, *, at: dt.datetime) -> None:
        for code in codes:
            for place in close_to(code, self._canaries, radius=NEAR_DISTANCE)[0].tolist():
                recipient, house_list = self._planted[place]
                told = (held.row.pk, recipient.pk, house_list.pk)
                if told not in self._told:
                    self._told.add(told)
                    leak = partial(raise_leak, held.row, recipient=recipient, house_list=house_list, at=at)
                    self._background.do_later(leak)

    def _by_itself(self) -> None:
        if self._read_at is None or time.monotonic() - self._read_at > REFRESHED_EVERY:
            self.refresh()
            close_forgotten(before=timezone.now() - FORGOTTEN, at=timezone.now())
        self._count(older_than=LONGEST)

    def _count(self, *, older_than: float) -> None:
        for held in list(self._keys.values()):
            self._count_of(held, older_than=older_than)

    @staticmethod
    def _count_of(held: HeldKey, *, older_than: float) -> None:
        taken = held.taken(older_than=older_than)
        if taken is not None:
            window, answered = taken
            count_lookups(window, answered, at=timezone.now())
