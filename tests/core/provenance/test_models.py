"""Model files by safetensors, gguf, onnx, zipfile and pickle: digests, fields, and what is never run."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.numpy
from gguf import GGUFWriter
from onnx import TensorProto, helper, numpy_helper
from picklescan.scanner import scan_pickle_bytes
from tests.core.provenance import drawn_marks as marks
from tests.core.provenance.drawn_marks import KEY

from havenline.media import kinds
from havenline.provenance.architectures import architecture
from havenline.provenance.models import ModelReading, read_model
from havenline.provenance.pickle_names import pickle_names
from havenline.provenance.signals import SignalKind, keyed

K = SignalKind
TENSORS = {
    "zq.weight": np.arange(600_000, dtype=np.float32),
    "zq.bias": np.arange(7, dtype=np.float16),
    "zq.none": np.zeros((0, 3), dtype=np.float32),
}
RAW = [each.tobytes() for each in TENSORS.values()]
HEADER = {
    "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
    "modelspec.title": marks.MODEL,
    "ss_output_name": marks.ADAPTER,
    "ss_tag_frequency": json.dumps({marks.ACCOUNT: {marks.CANARY: 3}}),
    f"made by {marks.ACCOUNT}": "x",
}


def sha(*pieces: bytes) -> str:
    return hashlib.sha256(b"".join(pieces)).hexdigest()


def set_of(raw: list[bytes]) -> str:
    return sha(*sorted(hashlib.sha256(each).digest() for each in raw))


def reading(content: bytes) -> ModelReading:
    found = read_model(io.BytesIO(content), key=KEY)
    assert found is not None
    said = repr(found).lower()
    assert not [word for word in (*marks.SECRETS, "zq.weight") if word in said]
    return found


def safetensors_file(header: dict[str, str] | None = None) -> bytes:
    return bytes(safetensors.numpy.save(TENSORS, metadata=HEADER if header is None else header))


def torch_zip(tensors: list[bytes], pickled: bytes, *, packed: bool = False) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for place, raw in enumerate(tensors):
            archive.writestr(f"archive/data/{place}", raw)
        archive.writestr("archive/version", "3\n")
    return written.getvalue()


def test_safetensors_digests_follow_the_definitions_of_the_hosts() -> None:
    content = safetensors_file()
    length = int.from_bytes(content[:8], "little")
    found = reading(content)
    digests = found.digests
    assert found.media_type == kinds.SAFETENSORS
    assert digests.sha256 == sha(content)
    assert digests.auto_v1 == sha(content[0x100000:0x110000])[:8]
    assert digests.auto_v2 == sha(content)[:10]
    assert digests.body == sha(content[8 + length :])
    assert digests.auto_v3 == sha(content[8 + length :])[:12]
    assert digests.tensor_set == set_of(RAW)
    assert sorted(digests.tensors) == sorted(sha(each) for each in RAW)


def test_a_rewritten_header_changes_neither_the_body_nor_the_set_of_tensors() -> None:
    one, other = reading(safetensors_file()).digests, reading(safetensors_file({"ss_output_name": "other"})).digests
    assert (one.body, one.tensor_set) == (other.body, other.tensor_set)
    assert one.sha256 != other.sha256


def test_renamed_and_reordered_tensors_keep_the_set() -> None:
    renamed = {f"a{place}": each for place, each in enumerate(reversed(list(TENSORS.values())))}
    found = reading(bytes(safetensors.numpy.save(renamed))).digests
    assert found.tensor_set == set_of(RAW)


def test_a_small_file_has_no_autov1() -> None:
    assert reading(bytes(safetensors.numpy.save({"a": np.zeros(4)}))).digests.auto_v1 is None


def test_header_fields_are_keyed_and_only_known_names_told() -> None:
    signals = reading(safetensors_file()).signals
    fields = {each.location: each for each in signals if each.kind is K.HEADER_FIELD}
    assert fields["safetensors header, ss_output_name"].digest == keyed(KEY, K.HEADER_FIELD, marks.ADAPTER.encode())
    assert "safetensors header, another field" in fields
    assert [each.value for each in signals if each.kind is K.ARCHITECTURE] == ["stable-diffusion-xl-v1-base/lora"]


@pytest.mark.parametrize("right", [True, False])
def test_the_stated_digest_is_compared_with_the_data(right: bool) -> None:
    body = reading(safetensors_file()).digests.body
    stated = f"0x{body}" if right else "0x" + "0" * 64
    signals = reading(safetensors_file({"modelspec.hash_sha256": stated})).signals
    (field,) = [each for each in signals if each.kind is K.HEADER_FIELD]
    assert (field.value or "").startswith("equal" if right else "not the digest")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("stable-diffusion-v1/lora", True),
        ("Flux-1-dev", True),
        ("sdxl_base_v1-0", True),
        ("llama", True),
        (marks.MODEL, False),
        ("stable-diffusion of somebody", False),
        ("1 2 3", False),
        ("", False),
    ],
)
def test_an_architecture_is_told_only_where_it_is_made_of_known_words(text: str, told: bool) -> None:
    assert (architecture(text) is not None) is told


def test_gguf_by_its_own_writer(tmp_path: Path) -> None:
    path = tmp_path / "drawn.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_name(marks.MODEL)
    writer.add_array("tokenizer.ggml.tokens", [marks.CANARY, "b"])
    writer.add_array("general.tags", [marks.ADAPTER, "b"])
    writer.add_uint32("llama.block_count", 2)
    aligned = {"one": np.arange(64, dtype=np.float32), "two": np.arange(160, dtype=np.float32)}
    for name, each in aligned.items():
        writer.add_tensor(name, each)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    content = path.read_bytes()
    found = reading(content)
    raw = [each.tobytes() for each in aligned.values()]
    assert found.media_type == kinds.GGUF
    assert found.trouble is None
    assert found.digests.tensor_set == set_of(raw)
    assert found.digests.body == sha(*raw)
    assert [each.value for each in found.signals if each.kind is K.ARCHITECTURE] == ["llama"]
    said = {each.digest: each.location for each in found.signals}
    assert keyed(KEY, K.HEADER_FIELD, marks.MODEL.encode()) in said
    assert said[keyed(KEY, K.HEADER_FIELD, marks.ADAPTER.encode())] == "gguf header, general.tags"
    assert keyed(KEY, K.HEADER_FIELD, marks.CANARY.encode()) not in said


def test_a_gguf_without_tensors_has_no_set() -> None:
    found = reading(b"GGUF" + struct.pack("<IQQ", 3, 0, 0) + bytes(64))
    assert (found.trouble, found.digests.tensor_set) == (None, None)


def onnx_file(*, typed: bool = False) -> bytes:
    weights = [numpy_helper.from_array(each, name) for name, each in TENSORS.items() if each.size]
    if typed:
        weights.append(helper.make_tensor("typed", TensorProto.FLOAT, [2], [1.0, 2.0]))
    nodes = [helper.make_node("Identity", ["zq.weight"], ["y"])]
    graph = helper.make_graph(
        nodes, marks.CANARY, [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [600_000])], weights
    )
    model = helper.make_model(graph, producer_name=marks.ACCOUNT)
    model.metadata_props.add(key=marks.CANARY, value=marks.CANARY)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def test_onnx_by_its_own_writer() -> None:
    content = onnx_file()
    found = reading(content)
    assert found.media_type == kinds.ONNX
    assert found.trouble is None
    assert found.digests.sha256 == sha(content)
    assert found.digests.tensor_set == set_of([each for each in RAW if each])
    assert keyed(KEY, K.HEADER_FIELD, marks.ACCOUNT.encode()) in {each.digest for each in found.signals}


def test_onnx_with_values_in_typed_fields_has_no_set() -> None:
    assert reading(onnx_file(typed=True)).digests.tensor_set is None


def test_a_checkpoint_of_torch_has_the_set_of_its_storages() -> None:
    content = torch_zip(RAW, pickle.dumps({"zq.weight": 1}, protocol=2))
    found = reading(content)
    assert found.media_type == kinds.TORCH
    assert found.digests.tensor_set == set_of(RAW)
    assert reading(torch_zip(RAW, b"\x80\x02N.", packed=True)).digests.tensor_set is None


class Trap:
    """What a hostile file would have run."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (__import__("os").system, (f"touch {self.marker}",))


class Odd:
    """A class of an unknown module."""


def torch_legacy(body: bytes) -> bytes:
    """As torch wrote until 1.5 (torch/serialization.py): magic number, version, machine, object, keys, data."""
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    return (
        b"".join(pickle.dumps(each, protocol=2) for each in head) + body + pickle.dumps(["0"], protocol=2) + bytes(64)
    )


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("wrap", ["bare", "zip", "legacy"])
def test_a_trapped_checkpoint_is_seen_and_does_nothing(tmp_path: Path, protocol: int, wrap: str) -> None:
    marker = tmp_path / "sprung"
    body = pickle.dumps({"a": [Trap(marker)]}, protocol=protocol)
    content = {"bare": body, "zip": torch_zip(RAW, body), "legacy": torch_legacy(body)}[wrap]
    found = reading(content)
    assert found.media_type == (kinds.TORCH if wrap == "zip" else kinds.PICKLE)
    assert "dangerous" in {each.value for each in found.signals if each.kind is K.PICKLE_NAME}
    assert not marker.exists()
    pickle.loads(body)  # the trap is a real one
    assert marker.exists()


HAND = {
    "a global": b"\x80\x02cos\nsystem\n(U\x04trueo.",
    "an instance": b"(S'true'\nios\nsystem\n.",
    "through the memo": b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94N\x94h\x00h\x01\x93\x8c\x04true\x85R.",
    "after other objects": b"\x80\x04}\x94]\x94\x8c\x05posix\x94\x8c\x06system\x94\x93\x8c\x04true\x85R.",
}


@pytest.mark.parametrize("name", HAND)
def test_names_are_found_however_they_are_written(name: str) -> None:
    found, _ = pickle_names(HAND[name])
    assert "dangerous" in {each.verdict for each in found}
    assert scan_pickle_bytes(io.BytesIO(HAND[name]), "drawn").issues_count


def test_names_agree_with_another_scanner() -> None:
    values = [Odd(), np.arange(3), {"a": Trap(Path("/nowhere"))}, pickle.PickleError(), Path("/x")]
    for protocol in range(6):
        for value in values:
            content = pickle.dumps(value, protocol=protocol)
            ours, whole = pickle_names(content)
            theirs = {f"{each.module}.{each.name}" for each in scan_pickle_bytes(io.BytesIO(content), "drawn").globals}
            assert whole
            assert {each.name for each in ours} == theirs


def test_a_name_that_is_put_together_is_unknown_not_harmless() -> None:
    found, _ = pickle_names(b"\x80\x04N\x94h\x00h\x00\x93.")
    assert [each.verdict for each in found] == ["unknown"]


BROKEN = {
    "a header that is longer than the file": struct.pack("<Q", 90_000_000) + b'{"a":1}',
    "no json": struct.pack("<Q", 8) + b'{"a":1]]',
    "overlapping tensors": struct.pack("<Q", 99)
    + b'{"a":{"data_offsets":[0,4]},"b":{"data_offsets":[2,6]}}'.ljust(99)
    + bytes(9),
    "a tensor beyond the end": struct.pack("<Q", 60) + b'{"a":{"data_offsets":[0,400]}}'.ljust(60) + bytes(9),
    "deep json": struct.pack("<Q", 200_006) + b'{"a":' + b"[" * 200_001 + bytes(8),
    "a gguf cut short": b"GGUF" + struct.pack("<IQQ", 3, 1, 1),
    "a gguf with a huge array": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sIIQ", 1, b"a", 9, 8, 1 << 60),
    "a gguf of version 9": b"GGUF" + struct.pack("<IQQ", 9, 0, 0),
    "a torch zip cut short": torch_zip(RAW, b"\x80\x02N.")[:5000],
    "a torch zip of a huge pickle": torch_zip([], bytes(40 << 20), packed=True),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_model_file_is_digested_as_a_whole_and_the_trouble_named(name: str) -> None:
    found = reading(BROKEN[name])
    assert found.trouble
    assert found.digests.sha256 == sha(BROKEN[name])
    assert found.digests.tensor_set is None


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_picture_is_no_model(form: str) -> None:
    assert read_model(io.BytesIO(marks.drawn(form)), key=KEY) is None
