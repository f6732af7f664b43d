"""The text of one signal, read again: exactly the one whose keyed digest was told, for every signal that has one."""

from __future__ import annotations

import io

import numpy as np
import pytest
import safetensors.numpy
from tests.core.provenance import drawn_marks as marks
from tests.core.provenance.signed import signed

from havenline.provenance import read_picture
from havenline.provenance.models import read_model
from havenline.provenance.one_text import text_at
from havenline.provenance.signals import keyed

MODEL = safetensors.numpy.save({"one": np.arange(40, dtype=np.float32)}, metadata={"title": marks.MODEL, "x": "y"})
FILES = {
    "a1111": marks.png({"parameters": marks.A1111}),
    "comfy": marks.png({"prompt": marks.COMFY_PROMPT, "workflow": marks.COMFY_WORKFLOW}),
    "invoke": marks.png({"invokeai_metadata": marks.INVOKE}),
    "fields": marks.drawn("JPEG", exif=marks.exif_comment(marks.A1111)),
    "signed": signed(marks.drawn("JPEG"), "image/jpeg")[0],
    "model": MODEL,
    "nothing": b"words",
}


@pytest.mark.parametrize("name", FILES)
def test_each_text_is_the_one_that_was_told_of(name: str) -> None:
    content = FILES[name]
    model = read_model(io.BytesIO(content), key=marks.KEY)
    signals = read_picture(content, key=marks.KEY) if model is None else model.signals
    told = 0
    for place, signal in enumerate(signals):
        found = text_at(content, place)
        assert (found is None) == (signal.digest is None)
        if found is not None:
            told += 1
            kind, raw = found
            assert (kind, len(raw), keyed(marks.KEY, kind, raw)) == (signal.kind, signal.length, signal.digest)
    assert (told == 0) == (name == "nothing")
    assert text_at(content, len(signals) + 3) is None
