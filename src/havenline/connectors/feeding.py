"""What a connector keeps, applied to a live list: a few changes as a change, many as an edition.

Either can be broken off anywhere and done again: what the list has already is not added twice.
"""

from __future__ import annotations

import datetime as dt

from havenline.connectors.store import Store
from havenline.entries import Entries
from havenline.matching.live import LiveLists
from havenline.matching.snapshot import Edition
from havenline.vocabulary import EditionRef, ListEntry, ListTerms

AT_ONCE = 2_000
PUBLISHED_FROM = 20_000
"""So many changes are quicker published as a whole edition than added one by one."""


def feed(store: Store, live: LiveLists, name: str, *, at: dt.datetime, threads: int = 1) -> int:
    """Give the live list `name` what it is owed; returns how many things that were.

    Raises ChangeRefused while another process publishes, OSError; what is still owed then stays owed.
    """
    count = store.count_owed()
    if count >= PUBLISHED_FROM:
        number = store.next_number()
        with store.unchanged():
            last, entries = store.last_owed(), Entries.of(store.entries())
        # What the house set for this list stays as it is.
        terms = next((head.terms for head in live.current().heads if head.ref.list_name == name), ListTerms())
        live.publish(Edition(EditionRef(name, number, entries.digest()), entries, terms), threads=threads)
        store.paid(last)
        return count
    while batch := store.owed(most=AT_ONCE):
        withdrawn = list(dict.fromkeys(each.id for each in batch if each.entry is None))
        gone = set(withdrawn)
        added: dict[str, ListEntry] = {
            each.id: each.entry for each in batch if each.entry is not None and each.id not in gone
        }
        there = live.taken(name, [*added, *withdrawn])
        new = [entry for id_, entry in added.items() if id_ not in there]
        live.change(withdraw={name: withdrawn} if withdrawn else {}, add={name: new} if new else {}, at=at)
        store.paid(batch[-1].place)
    return count
