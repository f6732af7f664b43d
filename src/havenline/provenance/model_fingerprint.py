"""The `Fingerprint` of a model file: the digests by which lists know it, and none of a picture."""

from __future__ import annotations

from typing import BinaryIO

from havenline.fingerprints.digests import digest
from havenline.media import kinds
from havenline.provenance.models import digest_model, layout_of
from havenline.vocabulary import Fingerprint, Refusal, Refused

LEAST_PART = 4096
"""Bytes that a part of a model file has at least to be known by its digest: smaller ones occur by chance."""
_WHAT = "a model file: known by its digests, and never loaded"


def fingerprint_model(stream: BinaryIO) -> Fingerprint | None:
    """The fingerprint of a model file, or None where the first bytes are no model file's.

    Read three times from its beginning, in pieces. Raises what reading the stream raises. Not checked: what it is for.
    """
    stream.seek(0)
    kind = kinds.recognise(stream.read(kinds.HEAD_BYTES))
    if kind not in kinds.MODELS:
        return None
    layout, trouble = layout_of(stream, kind)
    parts = digest_model(stream, layout)
    stream.seek(0)
    sums = digest(stream)
    body = parts.size - layout.body if layout.body is not None else 0
    tensors = sum(end - start for start, end in layout.tensors)
    detail = _WHAT if trouble is None else f"{_WHAT}; by the whole file alone, for {trouble}"
    return Fingerprint(
        md5=sums.md5,
        sha1=sums.sha1,
        sha256=sums.sha256,
        size=sums.size,
        media_type=kind,
        model_body=parts.body if body >= LEAST_PART else None,
        model_tensors=parts.tensor_set if tensors >= LEAST_PART else None,
        refusal=Refused(Refusal.MODEL_FILE, detail),
    )
