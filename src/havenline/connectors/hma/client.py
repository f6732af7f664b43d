"""Asking a Hasher-Matcher-Actioner for what stands in one bank: id by id, because no list of a bank is served."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from havenline.connectors.frame import Checkpoint, NotThere, Page, PartnerError, PartnerRecord, UnreadRecord
from havenline.connectors.hma.mapping import record_of
from havenline.connectors.json_records import JsonRefused, parsed, reread
from havenline.connectors.one_host import OneHost

_PAGE = 500
"""So many ids are one page; each is a request."""
_GAP = 1000
"""So many ids in a row that are not there end the bank, unless the setting says another number."""
_NAME = re.compile(r"[A-Z0-9_]{1,255}\Z")


class Hma:
    """A connector; see `frame.Connector`. Nothing tells what changed, so each fetch asks for everything and sweeps."""

    fresh_for: dt.timedelta | None = dt.timedelta(0)

    def __init__(self, host: OneHost, bank: str, *, gap: int = _GAP) -> None:
        """Ask `host` for one bank. Raises PartnerError where that is no bank's name."""
        if not _NAME.match(bank) or gap < 1:
            raise PartnerError("a bank's name is of capital letters, digits and _, and a gap at least 1")
        self._host, self._bank, self._gap = host, bank, gap

    def pages(self, checkpoint: Checkpoint | None, *, at: dt.datetime) -> Iterator[Page]:
        """See `frame.Connector`. A fetch that broke off goes on at the id where it was."""
        if self._is_off():
            raise PartnerError(f"GET {self._path()}: the bank matches nothing now; what was fetched stays")
        said: Mapping[str, Any] = checkpoint or {}
        number, missing = int(said.get("next", 1)), int(said.get("missing", 0))
        while True:
            records: list[PartnerRecord] = []
            unread: list[UnreadRecord] = []
            first = number
            while number < first + _PAGE and missing < self._gap:
                found = self._content(number, at=at)
                missing = missing + 1 if found is None else 0
                number += 1
                if isinstance(found, PartnerRecord):
                    records.append(found)
                elif isinstance(found, UnreadRecord):
                    unread.append(found)
            if missing >= self._gap:
                yield Page(records, unread, {}, complete=True)
                return
            yield Page(records, unread, {"next": number, "missing": missing}, complete=False)

    def reread(self, raw: bytes) -> PartnerRecord | UnreadRecord:
        """See `frame.Connector`. Whether it is off until a time is not asked again: what is in quarantine was not."""
        return reread(raw, lambda said, kept: record_of(said, kept, bank=self._bank, at=None))

    def _path(self) -> str:
        return f"/c/bank/{self._bank}"

    def _is_off(self) -> bool:
        try:
            fields, _ = parsed(self._host.get(self._path()).body, array="")
        except JsonRefused as error:
            raise PartnerError(f"GET {self._path()}: the answer cannot be read: {error}") from None
        return fields.get("matching_enabled_ratio") == 0

    def _content(self, number: int, *, at: dt.datetime) -> PartnerRecord | UnreadRecord | None:
        """The content of that id; None where there is none. A content of another bank is answered too, and is none."""
        try:
            body = self._host.get(f"{self._path()}/content/{number}", {"include_signals": "true"}).body
        except NotThere:
            return None
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            raise PartnerError(f"GET {self._path()}/content: the answer cannot be read") from None
        bank = said.get("bank") if isinstance(said, dict) else None
        if isinstance(bank, dict) and bank.get("name") not in (None, self._bank):
            return PartnerRecord(f"{number}", at.timestamp(), b"{}", None)
        return record_of(said, body, bank=self._bank, at=at, number=number)
