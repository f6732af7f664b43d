"""What `keyd` knows and does, without its socket: object keys, grants, budgets, holds, its log, in one SQLite file.

Every act is one transaction that begins with its entry in the log; only when that transaction is on the disk
(`synchronous=FULL`) is a key unwrapped or an answer given. No function takes more than one object.
"""

# long: one class over one SQLite file, so that every act shares the one transaction; each act is short

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, astuple, replace
from pathlib import Path
from typing import Any

from havenline_guard.keyd_clock import Clocks, read_clocks
from havenline_guard.keyd_copy import COPY, copy_database
from havenline_guard.keyd_log import START, UNWRAPPED, GrowingTree, KeyEntry, leaf_of
from havenline_guard.keyd_master import KEY, MasterKeys, MasterKeysError
from havenline_guard.keyd_wire import Bound, Budget, Exposed, KeydRefused

SECOND = 1_000_000
PAUSE = 900 * SECOND
"""Who opens nothing for this long has had a pause, and starts a new run of continuous minutes."""
REWRAPPED_AT_ONCE = 200
PAGE = 100
"""Entries of the log in one answer at most."""
LARGEST_PAGE = 48 << 10
"""Bytes of an answer that entries may fill, each counted twice, since JSON within JSON grows."""
_HOUR, _DAY, _WEEK = 3600 * SECOND, 86400 * SECOND, 7 * 86400 * SECOND
_SCHEMA = """
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS log (seq INTEGER PRIMARY KEY, line TEXT NOT NULL, body TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS object_key (
    object TEXT PRIMARY KEY, kind TEXT NOT NULL, size INTEGER NOT NULL, key_version INTEGER NOT NULL,
    master INTEGER, wrapped BLOB, destroyed_at INTEGER,
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL) AND (wrapped IS NULL) = (master IS NULL))) STRICT;
CREATE INDEX IF NOT EXISTS by_master ON object_key (master);
CREATE TABLE IF NOT EXISTS permit (
    digest TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, bound TEXT NOT NULL, until INTEGER NOT NULL, boot TEXT NOT NULL,
    escalation INTEGER NOT NULL, used_at INTEGER) STRICT;
CREATE TABLE IF NOT EXISTS budget (
    person TEXT PRIMARY KEY, per_hour INTEGER NOT NULL, per_day INTEGER NOT NULL, minutes INTEGER NOT NULL,
    bytes_per_day INTEGER NOT NULL, per_week INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS exposure (
    seq INTEGER PRIMARY KEY, person TEXT NOT NULL, at INTEGER NOT NULL, size INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS by_person ON exposure (person, at);
CREATE TABLE IF NOT EXISTS hold (object TEXT, reference TEXT, PRIMARY KEY (object, reference)) STRICT;
"""


class State:
    """The one writer of `folder`. Not safe to use from several threads: `keyd` has one."""

    def __init__(
        self, folder: Path, master: MasterKeys, *, origin: str, clocks: Callable[[], Clocks] = read_clocks
    ) -> None:
        """`origin`: the name of the audit log whose checkpoints are signed. Carries through what a crash cut short."""
        self._folder, self._master, self._origin, self._clocks = folder, master, origin, clocks
        self._boot, self._offset = "", 0
        self._erased: set[str] = set()
        self._own = GrowingTree()
        self._connection: sqlite3.Connection | None = None
        self._connected()

    def close(self) -> None:
        """Let the file go."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def now(self) -> int:
        """Microseconds UTC by `keyd`'s own clock. A new start of the machine makes it look at the wall again."""
        read = self._clocks()
        if read.boot != self._boot:
            self._boot, self._offset = read.boot, max(read.wall, self._last_at()) - read.since_boot
            self._set("boot", f"{self._boot} {self._offset}")
        return read.since_boot + self._offset

    # -- keys ----------------------------------------------------------------------------------------------------

    def mint(self, name: str, kind: str, size: int) -> tuple[bytes, int]:
        """A new key for a new object of `size` bytes, and its version. A name that was ever used is refused."""
        key, version = os.urandom(KEY), 1
        with self._writing("mint", {"object": name, "kind": kind, "size": size}):
            known = self._one("SELECT destroyed_at FROM object_key WHERE object = ?", name)
            if name in self._erased or (known is not None and known[0] is not None):
                raise KeydRefused("exists", "this object was destroyed: no key is ever made for it again")
            if known is not None:
                raise KeydRefused("exists", "this object has a key already")
            master, wrapped = self._master.wrap(key, bound=_key_bound(name, kind, version))
            self._do(
                "INSERT INTO object_key VALUES (?, ?, ?, ?, ?, ?, NULL)", name, kind, size, version, master, wrapped
            )
        return key, version

    def grant(self, bound: Bound, seconds: int, *, escalation: bool) -> str:
        """A token that opens the object once, within `seconds`, for the same person, session, item and assignment."""
        token, now = secrets.token_urlsafe(24), self.now()
        said = asdict(bound) | {"seconds": seconds, "escalation": escalation}
        with self._writing("grant", said, told=True):
            _, size = self._openable(bound.object)
            if not escalation:
                self._check_budget(bound.person, size, now)
            self._do("DELETE FROM permit WHERE until < ?", now - _DAY)
            self._do("DELETE FROM exposure WHERE at < ?", now - _WEEK - _DAY)
            if self._one("SELECT 1 FROM permit WHERE name = ?", bound.grant) is not None:
                raise KeydRefused("exists", "there is a grant of this name already")
            row = (_digest(token), bound.grant, _said(bound), now + seconds * SECOND, self._boot, int(escalation))
            self._do("INSERT INTO permit VALUES (?, ?, ?, ?, ?, ?, NULL)", *row)
        return token

    def open(self, token: str, bound: Bound) -> tuple[bytes, int]:
        """The key of the object and its version, once; written down, on the disk, before it is unwrapped."""
        now, digest = self.now(), _digest(token)
        with self._writing(UNWRAPPED, asdict(bound), told=True) as seq:
            permit = self._one("SELECT bound, until, boot, escalation, used_at FROM permit WHERE digest = ?", digest)
            if permit is None or permit[0] != _said(bound):
                raise KeydRefused("unknown", "this grant is unknown, or was given to somebody or something else")
            if permit[4] is not None:
                raise KeydRefused("used", "this grant was used already")
            if now >= permit[1] or permit[2] != self._boot:
                raise KeydRefused("late", "this grant has run out")
            row, size = self._openable(bound.object)
            if not permit[3]:
                self._check_budget(bound.person, size, now)
            self._do("UPDATE permit SET used_at = ? WHERE digest = ?", now, digest)
            self._do("INSERT INTO exposure VALUES (?, ?, ?, ?)", seq, bound.person, now, size)
        kind, version, master, wrapped = row
        return self._master.unwrap(master, wrapped, bound=_key_bound(bound.object, kind, version)), version

    def _openable(self, name: str) -> tuple[tuple[str, int, int, bytes], int]:
        row = self._one("SELECT kind, key_version, master, wrapped, size FROM object_key WHERE object = ?", name)
        if row is None:
            raise KeydRefused("unknown", "no key was ever made for this object")
        if row[3] is None:
            raise KeydRefused("destroyed", "this object was destroyed; nothing can open it")
        return row[:4], row[4]

    # -- budgets -------------------------------------------------------------------------------------------------

    def set_budget(self, person: str, budget: Budget, *, by: str, second: str) -> None:
        """Lower it, by one; or give or raise it, by two who are neither each other nor the person."""
        with self._writing("set_budget", {"person": person, **asdict(budget), "by": by, "second": second}):
            if self.raises(person, budget):
                _need_two(by, second, not_these=(person,))
            self._do("INSERT OR REPLACE INTO budget VALUES (?, ?, ?, ?, ?, ?)", person, *astuple(budget))

    def raises(self, person: str, budget: Budget) -> bool:
        """Whether `budget` allows more than the person has now, in any part."""
        before = self._budget(person)
        return before is None or any(new > old for new, old in zip(astuple(budget), astuple(before), strict=True))

    def exposed(self, person: str) -> tuple[Exposed, Budget | None]:
        """What the person has opened, escalations included, and what they may."""
        now, budget = self.now(), self._budget(person)
        so_far = self._exposed(person, now)
        return replace(so_far, frees_in=self._frees_in(person, so_far, budget, now)), budget

    def _budget(self, person: str) -> Budget | None:
        columns = "per_hour, per_day, minutes, bytes_per_day, per_week"
        row = self._one(f"SELECT {columns} FROM budget WHERE person = ?", person)  # noqa: S608 - our own names
        return None if row is None else Budget(*row)

    def _exposed(self, person: str, now: int) -> Exposed:
        rows: list[tuple[int, int]] = self._all(
            "SELECT at, size FROM exposure WHERE person = ? AND at > ? ORDER BY at", person, now - _DAY
        )
        run, before = now, now
        for at, _ in reversed(rows):
            if before - at >= PAUSE:
                break
            run = before = at
        hour = sum(at > now - _HOUR for at, _ in rows)
        minutes = (now - run) // (60 * SECOND)
        (week,) = self._one("SELECT count(*) FROM exposure WHERE person = ? AND at > ?", person, now - _WEEK) or (0,)
        return Exposed(hour, len(rows), minutes, sum(size for _, size in rows), week, frees_in=None)

    def _frees_in(self, person: str, so_far: Exposed, budget: Budget | None, now: int) -> int | None:
        """Seconds, rounded up, until every part of the budget has room again; None where no waiting helps."""
        if budget is None or 0 in astuple(budget):
            return None
        until = [now]
        for used, most, window in (
            (so_far.last_hour, budget.per_hour, _HOUR),
            (so_far.last_day, budget.per_day, _DAY),
            (so_far.last_week, budget.per_week, _WEEK),
        ):
            if used >= most:
                rows = self._all(
                    "SELECT at FROM exposure WHERE person = ? AND at > ? ORDER BY at LIMIT 1 OFFSET ?",
                    *(person, now - window, used - most),
                )
                until.append(rows[0][0] + window)
        if so_far.minutes >= budget.minutes:
            (last,) = self._one("SELECT max(at) FROM exposure WHERE person = ?", person) or (now,)
            until.append(last + PAUSE)
        left = so_far.bytes_last_day
        if left >= budget.bytes_per_day:
            for at, size in self._all(
                "SELECT at, size FROM exposure WHERE person = ? AND at > ? ORDER BY at", person, now - _DAY
            ):
                if left < budget.bytes_per_day:
                    break
                left -= size
                until.append(at + _DAY)
        return -((now - max(until)) // SECOND)

    def _check_budget(self, person: str, size: int, now: int) -> None:
        budget, so_far = self._budget(person), self._exposed(person, now)
        if budget is None:
            raise KeydRefused("budget", "this person has no budget here: it is given by two others")
        over = (
            (so_far.last_hour >= budget.per_hour, "the budget for an hour is used up"),
            (so_far.last_day >= budget.per_day, "the budget for a day is used up"),
            (so_far.last_week >= budget.per_week, "the budget for a week is used up"),
            (so_far.minutes >= budget.minutes, "it is time for a pause of 15 minutes"),
            (so_far.bytes_last_day + size > budget.bytes_per_day, "the budget of bytes for a day is used up"),
        )
        for reached, text in over:
            if reached:
                raise KeydRefused("budget", f"{text}; nothing was opened. An escalation needs no budget")

    # -- keeping and destroying ----------------------------------------------------------------------------------

    def place_hold(self, name: str, reference: str, *, by: str) -> None:
        """Nothing destroys the object until this hold is released. One person places it."""
        with self._writing("place_hold", {"object": name, "reference": reference, "by": by}):
            self._openable(name)
            self._do("INSERT OR IGNORE INTO hold VALUES (?, ?)", name, reference)

    def release_hold(self, name: str, reference: str, *, by: str, second: str) -> None:
        """Two people release it."""
        with self._writing("release_hold", {"object": name, "reference": reference, "by": by, "second": second}):
            _need_two(by, second)
            if not self._do("DELETE FROM hold WHERE object = ? AND reference = ?", name, reference):
                raise KeydRefused("unknown", "there is no such hold")

    def shred(self, name: str, rule: str, *, by: str, second: str) -> None:
        """Destroy the object's key for good, and name it in the erasure ledger. Refused while a hold stands.

        `rule`: the retention class that ran out, or `early`, which two people decide. To shred again changes nothing.
        """
        if self._one("SELECT 1 FROM object_key WHERE object = ? AND wrapped IS NULL", name) is None:
            with self._writing("shred", {"object": name, "rule": rule, "by": by, "second": second}):
                self._openable(name)
                if rule == "early":
                    _need_two(by, second)
                if self._one("SELECT 1 FROM hold WHERE object = ?", name) is not None:
                    raise KeydRefused("held", "a hold stands on this object; it was kept")
                self._bury(name, self.now())
        self._write_ledger(name)

    def _bury(self, name: str, now: int) -> None:
        self._do("UPDATE object_key SET wrapped = NULL, master = NULL, destroyed_at = ? WHERE object = ?", now, name)

    def _write_ledger(self, name: str) -> None:
        """Outside the database, so that a restored database does not bring a destroyed key back."""
        try:
            (self._folder / COPY).unlink(missing_ok=True)
            if name not in self._erased:
                descriptor = os.open(self._folder / "erasures", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                try:
                    # A line that a crash cut short ends here, and is no name.
                    os.write(descriptor, f"\n{name}\n".encode())
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                _flush_folder(self._folder)
                self._erased.add(name)
        except OSError as error:
            raise KeydRefused("unlogged", "destroyed, but the ledger could not be written: ask again") from error
        self._truncate_wal("destroyed")

    def _ledger(self) -> set[str]:
        path = self._folder / "erasures"
        return set(path.read_text(errors="replace").split()) if path.exists() else set()

    # -- signing, rotation, status -------------------------------------------------------------------------------

    def sign_checkpoint(self, after: int, leaves: Sequence[str]) -> tuple[int, bytes, bytes]:
        """Size and root of the audit log's tree with `leaves` added behind entry `after`, and the signature over both.

        What was added once stays: a log that was rewritten, shortened or forked cannot be signed. Refused unless
        `after` is the size that was signed last.
        """
        before = self._signed()
        if before.size != after:
            raise KeydRefused("forked", f"entries are added after number {before.size}, which was signed last")
        tree = before.grown(bytes.fromhex(each) for each in leaves)
        with self._writing("sign_checkpoint", {"after": after, "size": tree.size, "root": tree.root().hex()}):
            self._set("signed", " ".join([str(tree.size), *(peak.hex() for peak in tree.peaks)]))
        return tree.size, tree.root(), self._master.signer.sign(_checkpoint(self._origin, tree))

    def sign_own(self) -> tuple[int, bytes, bytes]:
        """Size and root of the tree over `keyd`'s own log, and the signature over both, for the log `origin`.keyd."""
        # An entry is a leaf only once it is committed, so the tree follows the table.
        rows = self._all("SELECT line FROM log WHERE seq > ? ORDER BY seq", self._own.size)
        self._own = self._own.grown(leaf_of(line) for (line,) in rows)
        text = _checkpoint(self._origin + ".keyd", self._own)
        return self._own.size, self._own.root(), self._master.signer.sign(text)

    def sign_publication(self, digest: str, *, by: str, second: str) -> bytes:
        """The signature over a text that names a manifest of figures, and can be no checkpoint. Two people."""
        with self._writing("sign_publication", {"digest": digest, "by": by, "second": second}):
            _need_two(by, second)
        return self._master.signer.sign(f"{self._origin}.publication\n{digest}\n".encode())

    def _signed(self) -> GrowingTree:
        size, *peaks = self._setting("signed", "0").split()
        return GrowingTree(int(size), tuple(bytes.fromhex(each) for each in peaks))

    def rotate(self, *, by: str, second: str) -> int:
        """A new version of the master key. Two people; the keys follow in the background (`rewrap_some`)."""
        version = self._master.current + 1
        with self._writing("rotate", {"version": version, "by": by, "second": second}):
            _need_two(by, second)
            if len(self._master.versions) > 1:
                raise KeydRefused("busy", "an earlier rotation has not ended yet")
            self._set("master", str(version))
        self._master.add(version)
        return version

    def rewrap_some(self) -> bool:
        """Wrap some keys anew under the current version; when none is left, forget the others. Whether more is left."""
        if len(self._master.versions) == 1:
            return False
        current = self._master.current
        left = self._all(
            "SELECT object, kind, key_version, master, wrapped FROM object_key WHERE master < ? LIMIT ?",
            current,
            REWRAPPED_AT_ONCE,
        )
        with self._writing("rewrap", {"version": current, "keys": len(left)}, log=bool(left)):
            for name, kind, version, master, wrapped in left:
                bound = _key_bound(name, kind, version)
                again = self._master.wrap(self._master.unwrap(master, wrapped, bound=bound), bound=bound)
                self._do("UPDATE object_key SET master = ?, wrapped = ? WHERE object = ?", *again, name)
        if not left:
            self._retire_old(current)
        return len(self._master.versions) > 1

    def _retire_old(self, current: int) -> None:
        with self._writing("retire", {"below": current}):
            self._set("retired", str(current))
        self._truncate_wal("all keys are wrapped anew")
        for version in self._master.versions[:-1]:
            self._master.retire(version)

    def new_log(self, origin: str, *, by: str, second: str) -> None:
        """Sign from now on for the audit log `origin`, of which nothing was signed yet. Two people.

        For a desk whose database was restored from an older copy: its log can no longer grow from what was signed.
        """
        with self._writing("new_log", {"origin": origin, "signed": self._signed().size, "by": by, "second": second}):
            _need_two(by, second)
            if origin == self._origin:
                raise KeydRefused("exists", "a new log has a new name")
            self._set("origin", origin)
            self._set("signed", "0")
        self._origin = origin

    def origin_key(self) -> bytes:
        """What the house's digests of texts of origin are keyed with. It opens nothing; without it they say nothing."""
        with self._writing("origin_key", {}):
            pass
        return self._master.derived("origin")

    def copy(self) -> str:
        """A whole copy of the database beside it, for a backup, and the name of its file. It holds wrapped keys."""
        with self._writing("copy", {}):
            pass
        copy_database(self._connected(), self._folder / COPY)
        return COPY

    def status(self) -> dict[str, object]:
        """Counts and versions; nothing about any object or person."""
        live = self._one("SELECT count(*) FROM object_key WHERE wrapped IS NOT NULL")
        gone = self._one("SELECT count(*) FROM object_key WHERE wrapped IS NULL")
        left = self._one("SELECT count(*) FROM object_key WHERE master < ?", self._master.current)
        day = self.now() - _DAY
        hurried = self._one("SELECT count(*) FROM permit WHERE escalation AND used_at > ?", day)
        seq, head = self._head()
        return {
            "log": seq,
            "head": head,
            "signed": self._signed().size,
            "keys": live[0],
            "destroyed": gone[0],
            "to_rewrap": left[0],
            "versions": list(self._master.versions),
            "escalations_last_day": hurried[0],
            "clock_apart_seconds": (self._clocks().wall - self.now()) // SECOND,
            "origin": self._origin,
            "public_key": self._master.signer.public_key().public_bytes_raw().hex(),
        }

    def log(self, after: int) -> list[tuple[str, str]]:
        """Some entries of the log, those after number `after`, each as its line and its particulars; [] at the end."""
        page: list[tuple[str, str]] = []
        size = 0
        for line, body in self._all("SELECT line, body FROM log WHERE seq > ? ORDER BY seq LIMIT ?", after, PAGE):
            size += 2 * len(line) + 2 * len(body)
            if page and size > LARGEST_PAGE:
                break
            page.append((line, body))
        return page

    # -- the file ------------------------------------------------------------------------------------------------

    @contextmanager
    def _writing(self, act: str, body: Mapping[str, object], *, told: bool = False, log: bool = True) -> Iterator[int]:
        """One act: its entry and what it changes, both or neither. With `told` a refusal is an entry too."""
        try:
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._append(act, body) if log else 0
                connection.execute("COMMIT")
            except BaseException as refused:
                connection.execute("ROLLBACK")
                if told and isinstance(refused, KeydRefused):
                    connection.execute("BEGIN IMMEDIATE")
                    self._append("refused", {**body, "act": act, "reason": refused.reason})
                    connection.execute("COMMIT")
                raise
        except (sqlite3.Error, OSError) as error:
            # What the file holds after a failed write is known again only when it is opened anew.
            self.close()
            raise KeydRefused("unlogged", f"this cannot be written down now ({error}), so nothing was done") from error

    def _append(self, act: str, body: Mapping[str, object]) -> int:
        seq, head = self._head()
        entry = KeyEntry.of(seq + 1, self.now(), act, body, head, secrets.token_hex(16))
        self._do("INSERT INTO log VALUES (?, ?, ?)", seq + 1, entry.line, entry.body)
        return seq + 1

    def _head(self) -> tuple[int, str]:
        last = self._one("SELECT seq, line, body FROM log ORDER BY seq DESC LIMIT 1")
        return (last[0], KeyEntry(*last[1:]).hash) if last else (0, START)

    def _last_at(self) -> int:
        last = self._one("SELECT line FROM log ORDER BY seq DESC LIMIT 1")
        if last is None:
            return 0
        at = dt.datetime.fromisoformat(json.loads(last[0])["at"])
        return (at - dt.datetime.fromtimestamp(0, dt.UTC)) // dt.timedelta(microseconds=1)

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            path = self._folder / "keyd.sqlite"
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=2.0)
            try:
                self._recover(self._connection)
            except BaseException:
                self.close()
                raise
        return self._connection

    def _recover(self, connection: sqlite3.Connection) -> None:
        """Make the file what the disk says it is, and carry through what was begun."""
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        self._move_wal()
        connection.executescript(_SCHEMA)
        _give_weeks(connection)
        self._origin = self._setting("origin", self._origin)
        self._boot, _, offset = self._setting("boot", f"{self._boot} {self._offset}").rpartition(" ")
        self._offset = int(offset)
        wanted = int(self._setting("master", "1"))
        if wanted > self._master.current:
            if self._one("SELECT 1 FROM object_key WHERE master > ?", self._master.current) is not None:
                raise MasterKeysError("the file of master keys is older than the database: restore the newer one")
            self._master.add(wanted)
        self._erased = self._ledger()
        for name in sorted(self._erased):
            if self._one("SELECT 1 FROM object_key WHERE object = ? AND wrapped IS NOT NULL", name) is not None:
                with self._writing("shred", {"object": name, "rule": "ledger", "by": "keyd", "second": ""}):
                    self._bury(name, self.now())
        for (name,) in self._all("SELECT object FROM object_key WHERE wrapped IS NULL"):
            if name not in self._erased:
                self._write_ledger(name)
        self._move_wal()

    def _truncate_wal(self, done: str) -> None:
        try:
            self._move_wal()
        except sqlite3.Error as error:
            self.close()
            raise KeydRefused("unlogged", f"{done}; but older bytes may still lie in a file: ask again") from error

    def _move_wal(self) -> None:
        # What the kernel dropped after a failed flush is written anew, and old forms of keys leave the files.
        self._connected().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _setting(self, name: str, otherwise: str = "") -> str:
        row = self._one("SELECT value FROM setting WHERE name = ?", name)
        return otherwise if row is None else str(row[0])

    def _set(self, name: str, value: str) -> None:
        self._do("INSERT OR REPLACE INTO setting VALUES (?, ?)", name, value)

    def _do(self, sql: str, *values: object) -> int:
        return self._connected().execute(sql, values).rowcount

    def _one(self, sql: str, *values: object) -> Any:
        return self._connected().execute(sql, values).fetchone()

    def _all(self, sql: str, *values: object) -> list[Any]:
        return self._connected().execute(sql, values).fetchall()


def _need_two(by: str, second: str, *, not_these: tuple[str, ...] = ()) -> None:
    if not by or not second or by == second or by in not_these or second in not_these:
        raise KeydRefused("two", "this needs two people, neither of whom it is about")


def _give_weeks(connection: sqlite3.Connection) -> None:
    """A file from before budgets knew weeks gets five days' worth for each."""
    if "per_week" not in {row[1] for row in connection.execute("PRAGMA table_info(budget)")}:
        connection.executescript(
            "BEGIN; ALTER TABLE budget ADD COLUMN per_week INTEGER NOT NULL DEFAULT 0;"
            "UPDATE budget SET per_week = 5 * per_day; COMMIT;"
        )


def _key_bound(name: str, kind: str, version: int) -> bytes:
    return f"{name}\n{kind}\n{version}\n".encode()


def _said(bound: Bound) -> str:
    return json.dumps(asdict(bound), sort_keys=True, separators=(",", ":"))


def _checkpoint(origin: str, tree: GrowingTree) -> bytes:
    """The text of a C2SP checkpoint, which is what is signed."""
    return f"{origin}\n{tree.size}\n{base64.b64encode(tree.root()).decode()}\n".encode()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
