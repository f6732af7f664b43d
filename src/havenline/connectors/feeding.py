"""What a connector keeps, applied to a live list: a few changes as a change, many as an edition.

Either can be broken off anywhere and done again: what the list has already is not added twice.
"""

from __future__ import annotations

import datetime as dt

from havenline.connectors.stages import terms_at
from havenline.connectors.store import Store
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
    count, before = store.count_owed(), terms_of(live, name)
    # The stage decides whether the list matches; it stands in the same change as the first entries, or before them.
    terms = terms_at(store.staged.stage, before or ListTerms())
    if before is not None and terms != before:
        live.change(terms={name: terms}, at=at)
    if count >= PUBLISHED_FROM:
        number = store.next_number()
        with store.unchanged():
            last, entries = store.last_owed(), store.entries()
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
        first = {name: terms} if new and terms_of(live, name) is None else {}
        live.change(withdraw={name: withdrawn} if withdrawn else {}, add={name: new} if new else {}, terms=first, at=at)
        store.paid(batch[-1].place)
    return count


def terms_of(live: LiveLists, name: str) -> ListTerms | None:
    """The terms of the list as they are now; None where there is none of that name."""
    return next((head.terms for head in live.current().heads if head.ref.list_name == name), None)
