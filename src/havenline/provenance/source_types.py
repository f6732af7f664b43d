"""The digital source types of IPTC and C2PA: a closed vocabulary, hence told in clear."""

from __future__ import annotations

from havenline.provenance.signals import Strength

_IPTC = "cv.iptc.org/newscodes/digitalsourcetype/"
_C2PA = "c2pa.org/digitalsourcetype/"
_BY_PLACE = {
    _IPTC: (
        *("digitalCapture", "computationalCapture", "multiFrameComputationalCapture", "negativeFilm", "positiveFilm"),
        *("print", "humanEdits", "minorHumanEdits", "compositeCapture", "compositeWithTrainedAlgorithmicMedia"),
        *("algorithmicallyEnhanced", "digitalCreation", "digitalArt", "softwareImage", "dataDrivenMedia"),
        *("trainedAlgorithmicMedia", "algorithmicMedia", "screenCapture", "virtualRecording", "composite"),
        "compositeSynthetic",
    ),
    _C2PA: ("empty", "trainedAlgorithmicData"),
}
_BY_NAME = {place + code.lower(): code for place, codes in _BY_PLACE.items() for code in codes}
_MISSPELT = {_IPTC + "compositedwithtrainedalgorithmicmedia": "compositeWithTrainedAlgorithmicMedia"}
CODES = frozenset(_BY_NAME.values())
"""Every code that is told."""
MACHINE_MADE = frozenset({"trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "compositeSynthetic"})
"""The types that say a trained machine made the picture, or a part of it."""


def source_type(text: str) -> tuple[str, Strength] | None:
    """The code that a URI names, or None. One spelt or cased wrongly is a hint."""
    name = text.strip().removeprefix("https://").removeprefix("http://").rstrip("/")
    code = _BY_NAME.get(name.lower())
    if code is not None:
        return code, Strength.CLAIMED if name.endswith(code) else Strength.HINT
    code = _MISSPELT.get(name.lower())
    return None if code is None else (code, Strength.HINT)
