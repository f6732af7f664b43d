"""The tables of the state of one connector, and what makes them of the state of an earlier program."""

from __future__ import annotations

FORM = 3
FIRST = """
CREATE TABLE opinion (
    key TEXT NOT NULL, member TEXT NOT NULL, view TEXT NOT NULL, subject TEXT NOT NULL, reason TEXT NOT NULL
);
CREATE INDEX opinion_key ON opinion (key);
CREATE TABLE quarantine (
    digest BLOB PRIMARY KEY, key TEXT, raw BLOB NOT NULL, reason TEXT NOT NULL, since TEXT NOT NULL
);
CREATE INDEX quarantine_key ON quarantine (key);
CREATE TABLE withheld (key TEXT PRIMARY KEY, since TEXT NOT NULL);
CREATE TABLE owed (
    place INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, id TEXT NOT NULL, added INTEGER NOT NULL
);
CREATE TABLE said (name TEXT PRIMARY KEY, json TEXT NOT NULL);
"""
SINCE_2 = """
CREATE TABLE screened (key TEXT PRIMARY KEY, reason TEXT NOT NULL, since TEXT NOT NULL);
CREATE TABLE let_through (
    key TEXT PRIMARY KEY, revision INTEGER NOT NULL, since TEXT NOT NULL, agreed TEXT NOT NULL
);
CREATE TABLE stage (
    place INTEGER PRIMARY KEY AUTOINCREMENT, stage TEXT NOT NULL, since TEXT NOT NULL, agreed TEXT NOT NULL
);
CREATE VIEW kept_out AS SELECT key FROM withheld UNION ALL SELECT key FROM screened;
"""
# Records lie as they came: in the order of keys, which may be drawn, each would be put between two others.
_RECORDS = """
CREATE TABLE record (
    row INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, changed REAL NOT NULL, seen INTEGER NOT NULL,
    revision INTEGER NOT NULL, entry TEXT, raw BLOB NOT NULL
);
CREATE INDEX withdrawn ON record (key) WHERE entry IS NULL;
"""
_APART = "ALTER TABLE record RENAME TO record_by_key;\n"
_FILLED = """
INSERT INTO record (key, changed, seen, revision, entry, raw)
    SELECT key, changed, seen, revision, entry, raw FROM record_by_key;
DROP TABLE record_by_key;
"""
SINCE_3 = _APART + _RECORDS + _FILLED
FROM = {0: _RECORDS + FIRST + SINCE_2, 1: SINCE_2 + SINCE_3, 2: SINCE_3}
"""What makes a state of the present form, of nothing or of one of an earlier form."""
