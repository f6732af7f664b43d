"""Asking StopNCII for what changed."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence

from havenline.connectors.frame import Checkpoint, Page, PartnerError, PartnerRecord, UnreadRecord
from havenline.connectors.json_records import JsonRefused, parsed, reread
from havenline.connectors.one_host import OneHost
from havenline.connectors.stopncii.mapping import CARRIED, COMPARED, record_of

_PATH, _FEEDBACK_PATH = "/FetchHashes", "/SubmitFeedback"
_FOR, _AGAINST, _TAKEN_BACK = "Blocked", "NotBlocked", "None"
_FIRST = 10
"""The time that a first fetch asks from, as StopNCII's own clients do."""
_PAGE_SIZE = 800
_OVERLAP = 1


class StopNcii:
    """A connector; see `frame.Connector`. What was withdrawn is told for 30 days; after so long all is fetched anew."""

    fresh_for: dt.timedelta | None = dt.timedelta(days=30)

    def __init__(self, host: OneHost, *, may_send: bool = False) -> None:
        """Ask `host`. `may_send`: whether its credentials hold the key of SubmitFeedback, which is one of its own."""
        self._host, self._may_send = host, may_send

    def pages(self, checkpoint: Checkpoint | None, *, at: dt.datetime) -> Iterator[Page]:
        """See `frame.Connector`. The times are the partner's; `at` is not looked at.

        A page's token is short-lived, so a fetch that broke off begins again where the last whole one ended.
        """
        since = int((checkpoint or {}).get("since", _FIRST))
        begin, token = max(since - _OVERLAP, _FIRST), ""
        while True:
            query: dict[str, str | int] = {"startTimestamp": begin, "pageSize": _PAGE_SIZE}
            if token:
                query["nextPageToken"] = token
            try:
                fields, elements = parsed(self._host.get(_PATH, query).body, array="hashRecords")
            except JsonRefused as error:
                raise PartnerError(f"GET {_PATH}: the answer cannot be read: {error}") from None
            read = [record_of(said, raw) for said, raw in elements]
            records = [each for each in read if isinstance(each, PartnerRecord)]
            unread = [each for each in read if isinstance(each, UnreadRecord)]
            more, following = fields.get("hasMoreRecords"), fields.get("nextPageToken") or ""
            reached = fields.get("nextSetTimestamp")
            if not isinstance(more, bool) or not isinstance(following, str) or not isinstance(reached, int):
                raise PartnerError(f"GET {_PATH}: the answer lacks hasMoreRecords or nextSetTimestamp")
            if fields.get("count") != len(elements):
                raise PartnerError(f"GET {_PATH}: the answer does not hold as many records as it says")
            if not more:
                # Only the last page's time counts; it has been lower than that of a page before.
                yield Page(records, unread, {"since": reached}, complete=True)
                return
            if not following or following == token:
                raise PartnerError(f"GET {_PATH}: tells of more records and names no next page")
            yield Page(records, unread, {"since": since}, complete=False)
            token = following

    def reread(self, raw: bytes) -> PartnerRecord | UnreadRecord:
        """See `frame.Connector`."""
        return reread(raw, record_of)

    def submit_feedback(self, raw: bytes, fingerprint_type: str, *, against: Sequence[str] = ()) -> None:
        """See `frame.Feedback`: the value was blocked here, or was not; the reasons become tags."""
        self._give(raw, fingerprint_type, _AGAINST if against else _FOR, against)

    def withdraw_feedback(self, raw: bytes, fingerprint_type: str) -> None:
        """See `frame.Feedback`: the value is given no feedback; that this takes the earlier away was not tried."""
        self._give(raw, fingerprint_type, _TAKEN_BACK, ())

    def reasons_against(self) -> list[str]:
        """See `frame.Feedback`: none is prescribed; any word of one's own goes out as a tag."""
        return []

    def type_of(self, raw: bytes, kind: str, value: str) -> str | None:
        """See `frame.Feedback`; of the digests there is the MD5 of a film alone."""
        record = self.reread(raw)
        if not isinstance(record, PartnerRecord) or record.entry is None:
            return None
        said = json.loads(raw)
        spelled = str(said["signalType"])
        return spelled if COMPARED.get(spelled) == kind and said["hashValue"].strip().lower() == value else None

    def _give(self, raw: bytes, fingerprint_type: str, feedback_value: str, tags: Sequence[str]) -> None:
        if not self._may_send:
            raise PartnerError(f"POST {_FEEDBACK_PATH}: needs the secret feedback_key; set the exchange up anew")
        try:
            said = json.loads(raw)
            kind, value = said["signalType"], said["hashValue"]
        except (ValueError, KeyError, TypeError):
            raise ValueError("no record of StopNCII") from None
        if kind != fingerprint_type or kind not in {*COMPARED, *CARRIED} or not isinstance(value, str):
            raise ValueError("the record has no value of that type")
        feedback = {"hashValue": value, "feedbackValue": feedback_value, "tags": list(tags)}
        body = json.dumps({"count": 1, "hashFeedbacks": [feedback]}).encode()
        self._host.send("POST", _FEEDBACK_PATH, body, media_type="application/json")
