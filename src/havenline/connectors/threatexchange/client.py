"""Asking ThreatExchange for the updates of one privacy group."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence, Set
from urllib.parse import parse_qsl, urlencode, urlsplit

from havenline.connectors.frame import Checkpoint, NotUnderstood, Page, PartnerError, PartnerRecord, UnreadRecord
from havenline.connectors.json_records import JsonRefused, parsed, reread
from havenline.connectors.one_host import OneHost
from havenline.connectors.threatexchange.mapping import TYPES, descriptors_of, record_of

TOKEN = "access_token"  # noqa: S105 - the name of the parameter
REACTIONS_FOR = "HELPFUL"
REACTIONS_AGAINST = frozenset({"NON_MALICIOUS", "DISAGREE_WITH_TAGS", "NOT_HELPFUL"})
_REACTIONS = REACTIONS_AGAINST | {REACTIONS_FOR}
_LIMIT = 100
_OVERLAP = 1
_FIELDS = "indicator,type,last_updated,should_delete,descriptors{id,reactions,owner{id},tags,status}"


class ThreatExchange:
    """A connector; see `frame.Connector`. Tombstones are kept for 90 days; after 85 everything is fetched anew."""

    fresh_for: dt.timedelta | None = dt.timedelta(days=85)

    def __init__(self, host: OneHost, privacy_group: str) -> None:
        """Ask `host` for one group, by its number. Raises PartnerError where it is none."""
        if not privacy_group.isascii() or not privacy_group.isdigit():
            raise PartnerError("a privacy group is a number")
        self._host, self._path = host, f"/{privacy_group}/threat_updates/"

    def pages(self, checkpoint: Checkpoint | None, *, at: dt.datetime) -> Iterator[Page]:
        """See `frame.Connector`. The times are the partner's; `at` is not looked at."""
        said = checkpoint or {}
        until, latest = int(said.get("until", 0)), int(said.get("latest", 0))
        beginning = self._beginning(until)
        following: str | None = said.get("next") or beginning
        while following:
            try:
                records, unread, after = self._asked(following)
            except PartnerError:
                if following == beginning or following != said.get("next"):
                    raise
                # The address that an earlier fetch kept may be good no more: from the last whole fetch, then.
                following = beginning
                continue
            latest = max([until, latest, *(int(each.changed) for each in records)])
            if after == following:
                raise PartnerError(f"GET {self._path}: a page names itself as the next one")
            going_on = {"until": until, "next": after, "latest": latest}
            yield Page(records, unread, going_on if after else {"until": latest}, complete=not after)
            following = after

    def reread(self, raw: bytes) -> PartnerRecord | UnreadRecord:
        """See `frame.Connector`."""
        return reread(raw, record_of)

    def submit_feedback(self, raw: bytes, fingerprint_type: str, *, against: Sequence[str] = ()) -> None:
        """See `frame.Feedback`: a reaction to each descriptor; a reason against is the name of one.

        Where a descriptor is refused, those before it have the reaction; the same reaction again changes nothing.
        """
        if unknown := set(against) - REACTIONS_AGAINST:
            raise ValueError(f"{sorted(unknown)[0]!r} is none of {', '.join(sorted(REACTIONS_AGAINST))}")
        given = set(against) or {REACTIONS_FOR}
        # The other ones first: in between there is no reaction, never two that contradict each other.
        self._react(raw, fingerprint_type, remove=_REACTIONS - given, add=given)

    def withdraw_feedback(self, raw: bytes, fingerprint_type: str) -> None:
        """See `frame.Feedback`: every reaction that this house can have given is removed."""
        self._react(raw, fingerprint_type, remove=_REACTIONS, add=frozenset())

    def reasons_against(self) -> list[str]:
        """See `frame.Feedback`; asks nobody."""
        return sorted(REACTIONS_AGAINST)

    def type_of(self, raw: bytes, kind: str, value: str) -> str | None:
        """See `frame.Feedback`."""
        record = self.reread(raw)
        if not isinstance(record, PartnerRecord) or record.entry is None:
            return None
        spelled = str(json.loads(raw).get("type"))
        return spelled if TYPES.get(spelled) == kind and getattr(record.entry, kind) == value else None

    def _react(self, raw: bytes, fingerprint_type: str, *, remove: Set[str], add: Set[str]) -> None:
        try:
            said = json.loads(raw)
            numbers = descriptors_of(said)
        except (ValueError, NotUnderstood):
            raise ValueError("no record of ThreatExchange") from None
        if said.get("type") != fingerprint_type or not numbers:
            raise ValueError("the record has no value of that type, or nobody's descriptor")
        for number in numbers:
            for name, reactions in (("reactions_to_remove", remove), ("reactions", add)):
                if reactions:
                    body = urlencode({name: ",".join(sorted(reactions))}).encode()
                    self._host.send("POST", f"/{number}", body, media_type="application/x-www-form-urlencoded")

    def _beginning(self, until: int) -> str:
        query: dict[str, str | int] = {"limit": _LIMIT, "types": ",".join(TYPES), "fields": _FIELDS}
        if until:
            query["start_time"] = until - _OVERLAP
        return f"{self._path}?{urlencode(query)}"

    def _asked(self, path: str) -> tuple[list[PartnerRecord], list[UnreadRecord], str | None]:
        try:
            fields, elements = parsed(self._host.get(path).body, array="data")
        except JsonRefused as error:
            raise PartnerError(f"GET {self._path}: the answer cannot be read: {error}") from None
        if "error" in fields:
            raise PartnerError(f"GET {self._path}: answered with an error")
        read = [record_of(said, raw) for said, raw in elements]
        records = [each for each in read if isinstance(each, PartnerRecord)]
        unread = [each for each in read if isinstance(each, UnreadRecord)]
        paging = fields.get("paging")
        following = paging.get("next") if isinstance(paging, dict) else None
        if following is None:
            return records, unread, None
        if not isinstance(following, str):
            raise PartnerError(f"GET {self._path}: names a next page that is no address")
        return records, unread, self._without_token(self._host.own_path(following))

    def _without_token(self, path: str) -> str:
        """The partner's own address with everything in it but the credential, which is never kept."""
        parts = urlsplit(path)
        if parts.path.rstrip("/") != self._path.rstrip("/"):
            raise PartnerError(f"GET {self._path}: names a next page of another group")
        left = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != TOKEN]
        return f"{parts.path}?{urlencode(left)}"
