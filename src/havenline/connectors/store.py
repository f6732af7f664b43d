"""The state of one connector: records as they were sent, quarantine, checkpoint, and what its live list is still owed.

One SQLite file. A page of records and the checkpoint behind it are one transaction, so a crash leaves both or neither.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from havenline.connectors.entry_text import entries_of, entry_of, said_entry
from havenline.connectors.frame import Checkpoint, Opinion, Page, PartnerRecord, UnreadRecord
from havenline.connectors.screening import Screen
from havenline.connectors.stages import Stage, Staged
from havenline.connectors.store_forms import FORM, FROM
from havenline.entries import Entries
from havenline.vocabulary import HavenlineError, ListEntry

_CACHE, _LOG = "PRAGMA cache_size=-65536", "PRAGMA wal_autocheckpoint=16384"
"""64 MiB each: the keys of a million records, and what is written before it is put in its place."""
_READ_AT_ONCE = 4096
_SCREENED_AT_ONCE = 50_000
_Held = tuple[float, int, int, str | None]
"""Of a record that is held: `changed`, `seen`, `revision`, `entry`."""
REVISION = "~"
"""Stands between a record's key and the number of its revision, from the second on, in the id of its entry."""


class StateRefused(HavenlineError):
    """The state of a connector cannot be used, or would lose too much; the text says what was kept and what to do."""


@dataclass(frozen=True, slots=True)
class Owed:
    """One thing that the live list does not have yet: an entry to add, or an id to withdraw."""

    place: int
    id: str
    entry: ListEntry | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How an exchange stands. Times in UTC. `resyncing`: everything is being fetched anew and is not all here yet.

    `screened`: entries that the screen keeps out, `let_through` those that a person let in all the same.
    """

    live: int
    withdrawn: int
    quarantined: int
    withheld: int
    screened: int
    let_through: int
    owed: int
    opinions: int
    resyncing: bool
    fetched_at: dt.datetime | None
    complete_at: dt.datetime | None


class Store:
    """The state in one file. One process at a time changes it; a second one waits, then is refused."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it, for its owner alone. Raises StateRefused."""
        self._screen: Screen | None = None
        self._at = dt.datetime.now(dt.UTC)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            self._base = sqlite3.connect(path, timeout=10, isolation_level=None)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute(_CACHE)
            self._base.execute(_LOG)
            with self._together():
                (form,) = self._base.execute("PRAGMA user_version").fetchone()
                if form in FROM:
                    for statement in FROM[form].split(";\n"):
                        self._base.execute(statement)
                    if form == 1:  # a list that matched before there were stages goes on as it is
                        self._base.execute("INSERT INTO stage (stage, since, agreed) VALUES ('active', '', '')")
                    self._base.execute(f"PRAGMA user_version={FORM}")
                elif form != FORM:
                    raise StateRefused(f"{path}: has form {form}, this program reads {FORM}: use a matching program")
        except (OSError, sqlite3.Error) as error:
            raise StateRefused(f"{path}: cannot be used ({error}); nothing was changed") from None

    def close(self) -> None:
        """Let the file go."""
        self._base.close()

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Where to go on from; None at the beginning, and of a resync."""
        found: Checkpoint | None = self._said("checkpoint")
        return found

    @property
    def fetched_at(self) -> dt.datetime | None:
        """When a page of the partner's was last kept, UTC."""
        text = self._said("fetched_at")
        return None if text is None else dt.datetime.fromisoformat(text)

    def begin_resync(self) -> None:
        """From now on what is seen is marked; the page that completes the resync sweeps what was not."""
        with self._together():
            self._say("generation", self._generation + 1)
            self._say("resyncing", True)
            self._say("checkpoint", None)

    @property
    def staged(self) -> Staged:
        """The stage of the list, since when, and what two people agreed to; staged at the beginning."""
        row = self._base.execute("SELECT stage, since, agreed FROM stage ORDER BY place DESC LIMIT 1").fetchone()
        if row is None:
            return Staged(Stage.STAGED, None, "")
        return Staged(Stage(row[0]), dt.datetime.fromisoformat(row[1]) if row[1] else None, row[2])

    def set_stage(self, stage: Stage, *, at: dt.datetime, agreed: str = "") -> None:
        """From now on the list is at that stage; `agreed` names what was agreed to. Not checked: that it may be."""
        with self._together():
            self._base.execute(
                "INSERT INTO stage (stage, since, agreed) VALUES (?, ?, ?)",
                (stage.value, at.astimezone(dt.UTC).isoformat(), agreed),
            )

    @property
    def loss_accepted(self) -> bool:
        """Whether two people said that the loss which stopped the last resync is meant; good for one resync."""
        return bool(self._said("accept_loss"))

    def accept_loss(self) -> None:
        """The next whole fetch may withdraw more than half of the list."""
        with self._together():
            self._say("accept_loss", True)

    def keep(self, page: Page, *, at: dt.datetime, accept_loss: bool = False, screen: Screen | None = None) -> None:
        """Keep a page and its checkpoint, all or nothing. What `screen` refuses is kept, and is not in the list.

        A record replaces the one that is held unless it is older, and in a resync the first time in any case. One that
        was not understood goes to quarantine; the version that was understood before stays. Raises StateRefused when a
        resync would sweep more than half of what is live and `accept_loss` does not say that this is meant; then the
        page is not kept.
        """
        # A power cut may take the last pages, each with its checkpoint: they are fetched again.
        with self._together(flushed=page.complete):
            generation = self._generation
            self._screen, self._at = screen, at
            self._take_all(page.records, generation)
            for unread in page.unread:
                self._set_aside(unread, generation, at)
            if page.complete and self._said("resyncing"):
                self._sweep(generation, accept_loss=accept_loss or self.loss_accepted)
                self._say("resyncing", False)
                self._say("accept_loss", False)
            self._say("checkpoint", page.checkpoint)
            self._say("fetched_at", at.astimezone(dt.UTC).isoformat())
            if page.complete:
                self._say("complete_at", at.astimezone(dt.UTC).isoformat())

    def withhold(self, keys: Sequence[str], *, at: dt.datetime) -> int:
        """Take records out of the list by this house's own decision, now and whatever the partner sends later.

        Returns how many of them were in the list. Not checked: that the partner knows the keys.
        """
        taken = 0
        with self._together():
            for key in keys:
                was_in = self._listed(key)
                self._base.execute("INSERT OR IGNORE INTO withheld VALUES (?, ?)", (key, at.isoformat()))
                if was_in is not None:
                    self._owe(key, was_in, added=False)
                    taken += 1
        return taken

    def screened(self) -> dict[str, int]:
        """How many entries the screen keeps out, by reason."""
        return dict(self._base.execute("SELECT reason, count(*) FROM screened GROUP BY reason ORDER BY reason"))

    def screened_keys(self, *, most: int) -> list[tuple[str, str, str]]:
        """Key, reason and since when, of the newest that the screen keeps out."""
        rows = self._base.execute("SELECT key, reason, since FROM screened ORDER BY since DESC, key LIMIT ?", (most,))
        return [(str(key), str(reason), str(since)) for key, reason, since in rows]

    def let_through(self, key: str, *, at: dt.datetime, agreed: str) -> bool:
        """Put an entry that the screen keeps out into the list, this version of it alone; False where there is none."""
        with self._together():
            if not self._base.execute("DELETE FROM screened WHERE key = ?", (key,)).rowcount:
                return False
            # It may have been in the list before it was screened, where a withdrawn id is final.
            self._base.execute("UPDATE record SET revision = revision + 1 WHERE key = ?", (key,))
            (revision,) = self._base.execute("SELECT revision FROM record WHERE key = ?", (key,)).fetchone()
            said = (key, revision, at.astimezone(dt.UTC).isoformat(), agreed)
            self._base.execute("INSERT OR REPLACE INTO let_through VALUES (?, ?, ?, ?)", said)
            self._owe(key, entry_id(key, revision), added=True)
        return True

    def screen_anew(self, screen: Screen, *, at: dt.datetime) -> int:
        """Screen everything that no screen of this version has seen; returns how many entries that kept out newly."""
        if self._said("screen") == screen.version:
            return 0
        rows = self._base.execute(
            "SELECT key, revision, entry FROM record WHERE entry IS NOT NULL AND key NOT IN (SELECT key FROM kept_out) "
            "AND NOT EXISTS (SELECT 1 FROM let_through WHERE key = record.key AND revision = record.revision)"
        ).fetchall()
        refused = []
        for first in range(0, len(rows), _SCREENED_AT_ONCE):
            part = rows[first : first + _SCREENED_AT_ONCE]
            reasons = screen.reasons([entry_of(key, entry) for key, _, entry in part])
            refused += [(row[0], row[1], reason) for row, reason in zip(part, reasons, strict=True) if reason]
        with self._together():
            for key, revision, reason in refused:
                self._keep_out(key, reason, at)
                self._owe(key, entry_id(key, revision), added=False)
            self._say("screen", screen.version)
        return len(refused)

    def retry(
        self,
        read: Iterable[tuple[UnreadRecord, PartnerRecord | UnreadRecord]],
        *,
        at: dt.datetime,
        screen: Screen | None = None,
    ) -> int:
        """Keep what a newer program understands of the quarantine; returns how many."""
        understood = 0
        with self._together():
            self._screen, self._at = screen, at
            for before, after in read:
                if isinstance(after, PartnerRecord):
                    digest = hashlib.sha256(before.raw).digest()
                    self._base.execute("DELETE FROM quarantine WHERE digest = ?", (digest,))
                    self._take_all([after], self._generation)
                    understood += 1
        return understood

    def quarantine(self) -> list[tuple[UnreadRecord, str]]:
        """What was not understood, and since when, the oldest first."""
        rows = self._base.execute("SELECT raw, reason, key, since FROM quarantine ORDER BY since, digest")
        return [(UnreadRecord(raw, reason, key), since) for raw, reason, key, since in rows]

    def owed(self, *, most: int) -> list[Owed]:
        """The first things that the live list is owed."""
        rows = self._base.execute(
            "SELECT place, id, added, owed.key, entry, record.revision FROM owed LEFT JOIN record USING (key) "
            "ORDER BY place LIMIT ?",
            (most,),
        ).fetchall()
        # What changed again meanwhile is withdrawn further on: of a record only the last revision is added.
        return [
            Owed(place, id_, entry_of(id_, entry) if added and entry and id_ == entry_id(key, revision) else None)
            for place, id_, added, key, entry, revision in rows
        ]

    def last_owed(self) -> int:
        """The place of the last thing that is owed, 0 where nothing is."""
        (place,) = self._base.execute("SELECT coalesce(max(place), 0) FROM owed").fetchone()
        return int(place)

    def count_owed(self) -> int:
        """How many things are owed."""
        (count,) = self._base.execute("SELECT count(*) FROM owed").fetchone()
        return int(count)

    def paid(self, place: int) -> None:
        """The live list has everything that was owed up to `place`."""
        with self._together():
            self._base.execute("DELETE FROM owed WHERE place <= ?", (place,))

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Reads in here see one state."""
        self._base.execute("BEGIN")
        try:
            yield
        finally:
            self._base.execute("COMMIT")

    def entries(self) -> Entries:
        """Everything that the list should hold."""
        rows = self._base.execute(
            "SELECT key, revision, entry FROM record WHERE entry IS NOT NULL AND key NOT IN (SELECT key FROM kept_out)"
        )
        parts = []
        while part := rows.fetchmany(_READ_AT_ONCE):
            ids = [entry_id(key, revision) for key, revision, _ in part]
            parts.append(entries_of(ids, [entry for _, _, entry in part]))
        return Entries.joined(parts)

    def opinions(self, key: str) -> tuple[Opinion, ...]:
        """What members say of a record."""
        rows = self._base.execute(
            "SELECT member, view, subject, reason FROM opinion WHERE key = ? ORDER BY member, subject, view, reason",
            (key,),
        )
        return tuple(Opinion(*row) for row in rows)

    def raw(self, key: str) -> bytes | None:
        """The bytes of a record as they were sent."""
        row = self._base.execute("SELECT raw FROM record WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def standing(self) -> Standing:
        """How the exchange stands."""
        records, withdrawn, quarantined, withheld, screened, through, owed, opinions = self._base.execute(
            "SELECT (SELECT count(*) FROM record), "
            "(SELECT count(*) FROM record WHERE entry IS NULL), (SELECT count(*) FROM quarantine), "
            "(SELECT count(*) FROM withheld), (SELECT count(*) FROM screened), (SELECT count(*) FROM let_through), "
            "(SELECT count(*) FROM owed), (SELECT count(*) FROM opinion)"
        ).fetchone()
        times = [self._said(name) for name in ("fetched_at", "complete_at")]
        fetched, complete = (None if text is None else dt.datetime.fromisoformat(text) for text in times)
        counts = (records - withdrawn, withdrawn, quarantined, withheld, screened, through, owed, opinions)
        return Standing(*counts, bool(self._said("resyncing")), fetched, complete)

    def next_number(self) -> int:
        """The number of the next edition that is published of this list; each is given once."""
        with self._together():
            number = int(self._said("edition") or 0) + 1
            self._say("edition", number)
            return number

    @property
    def _generation(self) -> int:
        return int(self._said("generation") or 0)

    def _take_all(self, records: Sequence[PartnerRecord], generation: int) -> None:
        new: dict[str, _Held] = {}
        raws: list[bytes] = []
        (quarantined,) = self._base.execute("SELECT EXISTS (SELECT 1 FROM quarantine)").fetchone()
        reasons = self._screen_all(records)
        held = self._held([record.key for record in records])
        for record, reason in zip(records, reasons, strict=True):
            said = None if record.entry is None else said_entry(record.entry)
            if record.key in new:
                # The same record twice on one page: the first must be there before the second is compared with it.
                self._insert(new, raws)
                held |= new
                new, raws = {}, []
            before = held.get(record.key)
            if before is not None:
                after = self._replaced(record, said, before, generation, reason)
                if after is None:
                    continue
                held[record.key] = after
            else:
                if reason:
                    self._keep_out(record.key, reason, self._at)
                new[record.key] = (record.changed, generation, 1, said)
                raws.append(record.raw)
            if quarantined:
                self._base.execute("DELETE FROM quarantine WHERE key = ?", (record.key,))
            if record.opinions:
                rows = [(record.key, each.member, each.view, each.subject, each.reason) for each in record.opinions]
                self._base.executemany("INSERT INTO opinion VALUES (?, ?, ?, ?, ?)", rows)
        self._insert(new, raws)

    def _held(self, keys: Sequence[str]) -> dict[str, _Held]:
        """The version of each of these records that is held."""
        rows = self._base.execute(
            "SELECT record.key, changed, seen, revision, entry "
            "FROM json_each(?) CROSS JOIN record ON record.key = value",
            (json.dumps(keys),),
        )
        return {key: tuple(held) for key, *held in rows}

    def _insert(self, new: Mapping[str, _Held], raws: Sequence[bytes]) -> None:
        self._base.executemany(
            "INSERT INTO record (key, changed, seen, revision, entry, raw) VALUES (?, ?, ?, ?, ?, ?)",
            ((key, *held, raw) for (key, held), raw in zip(new.items(), raws, strict=True)),
        )
        self._base.executemany(
            "INSERT INTO owed (key, id, added) SELECT ?1, ?1, 1 WHERE NOT EXISTS "
            "(SELECT 1 FROM kept_out WHERE key = ?1)",
            [(key,) for key, (_, _, _, said) in new.items() if said is not None],
        )

    def _replaced(
        self,
        record: PartnerRecord,
        said: str | None,
        held: _Held,
        generation: int,
        reason: str,
    ) -> _Held | None:
        """Put a record in the place of the version that is held; what is held then, None where it was not to be."""
        changed, seen, revision, before = held
        if seen >= generation and record.changed < changed:
            return None
        after = revision + (said is not None and said != before)
        self._base.execute(
            "UPDATE record SET changed = ?, seen = ?, revision = ?, entry = ?, raw = ? WHERE key = ?",
            (record.changed, generation, after, said, record.raw, record.key),
        )
        if said != before:
            if before is not None:
                self._owe(record.key, entry_id(record.key, revision), added=False)
            # What was found of the version before says nothing of this one.
            self._base.execute("DELETE FROM screened WHERE key = ?", (record.key,))
            if reason:
                self._keep_out(record.key, reason, self._at)
            if said is not None:
                self._owe(record.key, entry_id(record.key, after), added=True)
        self._base.execute("DELETE FROM opinion WHERE key = ?", (record.key,))
        return record.changed, generation, after, said

    def _set_aside(self, unread: UnreadRecord, generation: int, at: dt.datetime) -> None:
        digest = hashlib.sha256(unread.raw).digest()
        self._base.execute("DELETE FROM quarantine WHERE key = ? AND digest <> ?", (unread.key, digest))
        self._base.execute(
            "INSERT OR IGNORE INTO quarantine VALUES (?, ?, ?, ?, ?)",
            (digest, unread.key, unread.raw, unread.reason, at.astimezone(dt.UTC).isoformat()),
        )
        if unread.key is not None:
            self._base.execute("UPDATE record SET seen = ? WHERE key = ?", (generation, unread.key))

    def _sweep(self, generation: int, *, accept_loss: bool) -> None:
        unseen = self._base.execute(
            "SELECT key, revision FROM record WHERE entry IS NOT NULL AND seen < ?", (generation,)
        ).fetchall()
        (live,) = self._base.execute("SELECT count(*) FROM record WHERE entry IS NOT NULL").fetchone()
        if not accept_loss and len(unseen) > 100 and len(unseen) * 2 > live:
            raise StateRefused(
                f"the partner no longer serves {len(unseen):,} of {live:,} entries; none was withdrawn. Ask the "
                "partner, and fetch again where two people agreed to that (`havenline proposal accept-loss`)"
            )
        for key, revision in unseen:
            self._base.execute("UPDATE record SET entry = NULL WHERE key = ?", (key,))
            self._owe(key, entry_id(key, revision), added=False)
            self._base.execute("DELETE FROM screened WHERE key = ?", (key,))
        # A tombstone that the partner no longer tells of must not keep out what is created anew; its revision stays.
        self._base.execute("UPDATE record SET changed = 0 WHERE entry IS NULL AND seen < ?", (generation,))

    def _listed(self, key: str) -> str | None:
        row = self._base.execute(
            "SELECT revision FROM record WHERE key = ?1 AND entry IS NOT NULL "
            "AND NOT EXISTS (SELECT 1 FROM kept_out WHERE key = ?1)",
            (key,),
        ).fetchone()
        return None if row is None else entry_id(key, row[0])

    def _owe(self, key: str, id_: str, *, added: bool) -> None:
        if added and self._base.execute("SELECT 1 FROM kept_out WHERE key = ?", (key,)).fetchone():
            return
        self._base.execute("INSERT INTO owed (key, id, added) VALUES (?, ?, ?)", (key, id_, int(added)))

    def _screen_all(self, records: Sequence[PartnerRecord]) -> list[str]:
        if self._screen is None:
            return [""] * len(records)
        return self._screen.reasons([record.entry for record in records])

    def _keep_out(self, key: str, reason: str, at: dt.datetime) -> None:
        said = (key, reason, at.astimezone(dt.UTC).isoformat())
        self._base.execute("INSERT OR REPLACE INTO screened VALUES (?, ?, ?)", said)

    def _said(self, name: str) -> Any:
        row = self._base.execute("SELECT json FROM said WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def _say(self, name: str, value: object) -> None:
        self._base.execute("INSERT OR REPLACE INTO said VALUES (?, ?)", (name, json.dumps(value)))

    @contextmanager
    def _together(self, *, flushed: bool = True) -> Iterator[None]:
        """All or nothing; with `flushed` it holds across a power cut, and with it everything before."""
        self._base.execute(f"PRAGMA synchronous={'FULL' if flushed else 'NORMAL'}")
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")


def entry_id(key: str, revision: int) -> str:
    """The id in the live list, where a withdrawn id is final: so each later version of a record has its own."""
    return key if revision == 1 else f"{key}{REVISION}{revision}"


def key_of(id_: str) -> str:
    """The partner's key of an entry of the live list."""
    key, sign, number = id_.rpartition(REVISION)
    return key if sign and number.isdigit() else id_
