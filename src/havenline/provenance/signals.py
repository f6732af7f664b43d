"""What a file claims of its origin, as frozen values; texts of the file are kept as keyed digests alone.

A signal is evidence with limits. Absence of signals means nothing, every signal can be removed or forged, and none
decides whether a child is in danger or lowers a priority (`docs/decisions/0015-what-is-kept-of-a-claim.md`).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import StrEnum

LEAST_KEY = 16
"""Bytes that a key for digests has at least."""
MOST_SIGNALS = 512
"""So many signals are told of one file; a last one says that there were more."""


class Strength(StrEnum):
    """How much stands behind a signal: a signature that holds, a statement in a field made for it, or a trace."""

    SIGNED = "signed"
    CLAIMED = "claimed"
    HINT = "hint"


class SignalKind(StrEnum):
    """What a signal speaks of."""

    C2PA_STATE = "c2pa_state"
    C2PA_GENERATOR = "c2pa_generator"
    C2PA_ACTION = "c2pa_action"
    C2PA_INGREDIENT = "c2pa_ingredient"
    C2PA_REMOTE = "c2pa_remote"
    SOURCE_TYPE = "source_type"
    AI_FIELD = "ai_field"
    AI_LABEL = "ai_label"
    GENERATOR = "generator"
    SOFTWARE = "software"
    CREDIT = "credit"
    TEXT = "text"
    WORKFLOW = "workflow"
    JOB = "job"
    MODEL_NAME = "model_name"
    MODEL_HASH = "model_hash"
    ADAPTER_NAME = "adapter_name"
    ADAPTER_HASH = "adapter_hash"
    HEADER_FIELD = "header_field"
    ARCHITECTURE = "architecture"
    MODEL_DIGEST = "model_digest"
    PICKLE_NAME = "pickle_name"
    UNREAD = "unread"


NOT_SHOWN = {
    SignalKind.C2PA_STATE: "that the statement is true, or who signed it",
    SignalKind.C2PA_GENERATOR: "that the named program made the picture; whoever signs names it",
    SignalKind.C2PA_ACTION: "what else was done before or after, or how much of the picture it touched",
    SignalKind.C2PA_INGREDIENT: "that nothing else went into the picture",
    SignalKind.C2PA_REMOTE: "what the manifest says: it lies elsewhere and is never fetched",
    SignalKind.SOURCE_TYPE: "how the picture came to be; anybody can write the field",
    SignalKind.AI_FIELD: "that a machine made the picture; anybody can write the field",
    SignalKind.AI_LABEL: "that a machine made the picture, or which; anybody can write the label",
    SignalKind.GENERATOR: "that this program made the picture, or that it shows no real child",
    SignalKind.SOFTWARE: "that the program made the picture; it may only have saved it",
    SignalKind.CREDIT: "who made the picture; anybody can write the field",
    SignalKind.TEXT: "what the text says, or whether it belongs to this picture",
    SignalKind.WORKFLOW: "that the steps were carried out, or that this picture came of them",
    SignalKind.JOB: "that the service knows the job; it is not asked",
    SignalKind.MODEL_NAME: "that the model was used, or what it was trained on",
    SignalKind.MODEL_HASH: "that the model was used; the value can be copied from elsewhere",
    SignalKind.ADAPTER_NAME: "that the adapter was used, or what it was trained on",
    SignalKind.ADAPTER_HASH: "that the adapter was used; the value can be copied from elsewhere",
    SignalKind.HEADER_FIELD: "that the field is true: a header can be rewritten without changing the model",
    SignalKind.ARCHITECTURE: "what the model was trained on, or what it is used for",
    SignalKind.MODEL_DIGEST: "what the model can do; equal digests mean equal bytes, different ones mean nothing",
    SignalKind.PICKLE_NAME: "what the file would do: nothing of it was run",
    SignalKind.UNREAD: "anything: this part was not read",
}
"""For each kind what a signal of it does not show, as the end of the sentence that begins with these words."""
STATE_MEANS = {
    "Invalid": "a signature or a digest does not hold: the file or the statement was changed, or damaged on its way",
    "Valid": "the signature holds, and whoever made it is on no list of this house",
    "Trusted": "the signature holds, and its certificate leads to an authority on the list of this house, named by its "
    "SHA-256",
}
"""What the state of a C2PA manifest means, in words; none of it says that a statement is true."""
LIST_OF_SIGNERS = "C2PA manifest, list of signers"
"""Where the digest of the house's list stands as a value, in the reader's words."""
ABSENCE = (
    "Absence means nothing: marks are removed by most sites and programs, and can be forged. "
    "Treat as real until shown otherwise."
)


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing that a file says of its origin.

    `location`: where in the file, in words of the reader, never of the file. `strength`: what stands behind it.
    `reader`: who read it, and which version. `length` in bytes and `digest`, HMAC-SHA256 under the key of the house
    in lower-case hex, are of the text as the file has it. `value` is set where it is a word of a closed vocabulary, a
    number, or a digest of bytes, never a text of the file. `inferred`: concluded by a rule from what was observed.
    Not checked: that any of it is true.
    """

    kind: SignalKind
    location: str
    strength: Strength
    reader: str
    length: int | None = None
    digest: str | None = None
    value: str | None = None
    inferred: bool = False

    @property
    def not_shown(self) -> str:
        """What the signal does not show."""
        return NOT_SHOWN[self.kind]

    @property
    def meaning(self) -> str | None:
        """What `value` means where it is the state of a C2PA manifest, or the list that its signer is on."""
        return meaning_of(self.kind, self.location, self.value or "")


def meaning_of(kind: SignalKind, location: str, value: str) -> str | None:
    """As `Signal.meaning`, of a signal that was recorded."""
    if kind is not SignalKind.C2PA_STATE:
        return None
    if location == LIST_OF_SIGNERS:
        return "the SHA-256 of the list of this house, to which the certificate of the signer leads"
    return STATE_MEANS.get(value)


class Notes:
    """Signals of one file in the making: texts become keyed digests the moment they are noted."""

    __slots__ = ("_key", "_seen", "_wanted", "cut", "found", "signals")

    def __init__(self, key: bytes, *, wanted: int | None = None) -> None:
        """`key`: what the digests of texts are keyed with, at least 16 bytes; else ValueError.

        `wanted`: the place from 0 of the one signal whose kind and text are kept as `found`, for who may read it.
        """
        if len(key) < LEAST_KEY:
            raise ValueError(f"a key for digests has at least {LEAST_KEY} bytes")
        self._key = key
        self._seen: set[Signal] = set()
        self._wanted = wanted
        self.found: tuple[SignalKind, bytes] | None = None
        self.signals: list[Signal] = []
        self.cut = False

    def add(
        self,
        kind: SignalKind,
        location: str,
        strength: Strength,
        reader: str,
        *,
        text: str | bytes | None = None,
        value: str | None = None,
        inferred: bool = False,
    ) -> None:
        """Note one signal, once; `text` is of the file and goes no further, `value` is told in clear."""
        digest, length, raw = None, None, b""
        if text is not None:
            raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
            digest, length = keyed(self._key, kind, raw), len(raw)
        signal = Signal(kind, location, strength, reader, length, digest, value, inferred)
        if signal in self._seen:
            return
        if len(self.signals) >= MOST_SIGNALS:
            self.cut = True
            return
        if text is not None and len(self.signals) == self._wanted:
            self.found = kind, raw
        self._seen.add(signal)
        self.signals.append(signal)

    def done(self) -> tuple[Signal, ...]:
        """All signals in the order in which they were found."""
        if self.cut:
            more = Signal(
                SignalKind.UNREAD, "the whole file", Strength.HINT, "signals/1", value="more signals than are told"
            )
            return (*self.signals, more)
        return tuple(self.signals)


_OF_NAMES = {SignalKind.ADAPTER_NAME: SignalKind.MODEL_NAME, SignalKind.ADAPTER_HASH: SignalKind.MODEL_HASH}


def keyed(key: bytes, kind: SignalKind, text: bytes) -> str:
    """HMAC-SHA256 of `text` under `key`, lower-case hex. Models and adapters share digests, other kinds do not."""
    return hmac.digest(key, b"havenline-signal/1\0" + _OF_NAMES.get(kind, kind).encode() + b"\0" + text, "sha256").hex()
