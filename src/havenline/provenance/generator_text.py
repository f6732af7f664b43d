"""What the programs that generate pictures write beside them: their settings as text or JSON.

Read from their published code: A1111, Forge and SD.Next (`parameters`), Fooocus, ComfyUI, InvokeAI, NovelAI, SwarmUI,
Easy Diffusion, Draw Things, TensorArt, Midjourney. Each gives claims; the texts among them are to be keyed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from havenline.provenance.generators import family_of
from havenline.provenance.signals import SignalKind

READER = "generator_text/1"
_LONGEST = 1 << 20
_LONGEST_TREE = 4 << 20
_DEEPEST = 64
_MOST_NODES = 100_000
_MOST_NAMES = 128
_HASH = re.compile(r"(?:0x)?([0-9a-fA-F]{8,64})\Z")


class Claim(NamedTuple):
    """One claim of a generator's text: `text` of the file, to be keyed; or `value`, a word that is told in clear."""

    kind: SignalKind
    text: str | None = None
    value: str | None = None


def claims_of(field: str, text: str) -> list[Claim]:
    """What a text under that name claims; empty where it has no form that is known. Not checked: that it is true."""
    name = field.strip().lower()
    tree = _json(text) if text.lstrip()[:1] in ("{", "[") else None
    if tree is None and len(text) > _LONGEST:
        return []
    found = list(_from_tree(name, tree, text) if tree is not None else _from_text(name, text))
    return list(dict.fromkeys(found))[:_MOST_NAMES]


def _from_text(name: str, text: str) -> Iterator[Claim]:
    lines = _SETTINGS.search(text)
    if lines is not None:
        yield from _settings(text, text[lines.start() :])
    elif name == "dream" and _DREAM.search(text[:4096]):
        yield Claim(SignalKind.GENERATOR, value="invokeai")
        yield Claim(SignalKind.TEXT, text)
    elif name == "source" and _NOVELAI_SOURCE.match(text):
        yield Claim(SignalKind.MODEL_NAME, text)
        model = _NOVELAI_SOURCE.match(text)
        if model is not None and model[1]:
            yield Claim(SignalKind.MODEL_HASH, model[1].lower())
    job = _MIDJOURNEY.search(text[-4096:])
    if job is not None and lines is None:
        yield Claim(SignalKind.GENERATOR, value="midjourney")
        yield Claim(SignalKind.JOB, job[1].lower())
        yield Claim(SignalKind.TEXT, text)


_SETTINGS = re.compile(r"(?:^|\n)Steps: \d{1,6}, (?=.{0,4000}\b(?:Sampler|Seed|CFG scale|Size): )")
_DREAM = re.compile(r"\s-[sS] ?\d+\b.*\s-[A-Zs] ?\S+")
_NOVELAI_SOURCE = re.compile(r"(?:NovelAI Diffusion|Stable Diffusion)\b.{0,100}?\s([0-9A-Fa-f]{8})?\Z")
_MIDJOURNEY = re.compile(
    r"Job ID: ([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})(?![0-9a-fA-F-])"
)
_VERSION = re.compile(r"(?:^|, )(?:Version|App): ([^,\n]{1,200})")
_MODEL = re.compile(r"(?:^|, )Model: (\"(?:[^\"\\]|\\.){1,500}\"|[^,\n]{1,300})")
_MODEL_HASH = re.compile(r"(?:^|, )Model hash: (?:0x)?([0-9a-fA-F]{8,64})")
_ADAPTERS = re.compile(r"(?:^|, )(?:Lora|TI|LyCORIS) hashes: \"([^\"\n]{1,20000})\"")
_HASHES = re.compile(r"(?:^|, )Hashes: (\{[^{}\n]{1,20000}\})")
_ADAPTER_TAG = re.compile(r"<(?:lora|lyco|hypernet):([^:<>\n]{1,300})(?::[^<>\n]{0,100})?>")


def _settings(text: str, settings: str) -> Iterator[Claim]:
    """A1111's form: prompt, negative prompt, and one line of settings (`modules/infotext_utils.py`)."""
    settings = settings.strip("\n")
    version = _VERSION.search(settings)
    yield Claim(SignalKind.GENERATOR, value=_family_of_version(version[1] if version else ""))
    yield Claim(SignalKind.TEXT, text)
    for found in _MODEL.finditer(settings):
        yield Claim(SignalKind.MODEL_NAME, found[1].strip('" '))
    for found in _MODEL_HASH.finditer(settings):
        yield Claim(SignalKind.MODEL_HASH, found[1].lower())
    for found in _ADAPTERS.finditer(settings):
        for pair in found[1].split(", ")[:_MOST_NAMES]:
            name, _, value = pair.rpartition(": ")
            yield from _named(name or value, value if name else "")
    for found in _HASHES.finditer(settings):
        for name, value in _pairs(_json(found[1])):
            kind, _, called = name.partition(":")
            if kind.lower() in ("model", "vae") and _HASH.match(value):
                yield Claim(SignalKind.MODEL_HASH, value.lower())
            elif called:
                yield from _named(called, value)
    for tag in list(_ADAPTER_TAG.finditer(text))[:_MOST_NAMES]:
        yield Claim(SignalKind.ADAPTER_NAME, tag[1])


def _family_of_version(version: str) -> str:
    known = family_of(version)
    if known is not None:
        return known
    return "forge" if re.match(r"f\d", version) else "a1111"


def _named(name: str, value: str) -> Iterator[Claim]:
    if name.strip():
        yield Claim(SignalKind.ADAPTER_NAME, name.strip())
    hashed = _HASH.match(value.strip())
    if hashed is not None:
        yield Claim(SignalKind.ADAPTER_HASH, hashed[1].lower())


def _from_tree(name: str, tree: Any, text: str) -> Iterator[Claim]:
    recognised = _family_of_tree(name, tree)
    if recognised is None:
        return
    family, kind = recognised
    yield Claim(SignalKind.GENERATOR, value=family)
    yield Claim(kind, text)
    for key, value in _fields(tree):
        yield from _field(key, value)


def _family_of_tree(name: str, tree: Any) -> tuple[str, SignalKind] | None:
    # long: one line for each program's form
    if not isinstance(tree, dict):
        return None
    keys = {key.lower() for key in list(tree)[:200]}
    said = " ".join(
        str(tree.get(key, ""))[:200] for key in ("software", "app", "app_id", "version", "Version", "program")
    )
    if name == "workflow" and isinstance(tree.get("nodes"), list):
        return "comfyui", SignalKind.WORKFLOW
    if any(isinstance(node, dict) and "class_type" in node for node in list(tree.values())[:200]):
        return "comfyui", SignalKind.WORKFLOW
    if isinstance(tree.get("prompt"), dict) and "workflow" in keys:
        return "comfyui", SignalKind.WORKFLOW
    if name in ("invokeai_metadata", "sd-metadata") or "invoke" in str(tree.get("app_id", "")).lower():
        return "invokeai", SignalKind.TEXT
    if name in ("invokeai_graph", "invokeai_workflow"):
        return "invokeai", SignalKind.WORKFLOW
    if "sui_image_params" in keys:
        return "swarmui", SignalKind.TEXT
    if "signed_hash" in keys or ("uc" in keys and {"sampler", "steps"} <= keys):
        return "novelai", SignalKind.TEXT
    if "base_model_hash" in keys or {"base_model", "refiner_model"} <= keys:
        return "fooocus", SignalKind.TEXT
    if "use_stable_diffusion_model" in keys or "stable diffusion model" in keys:
        return "easy-diffusion", SignalKind.TEXT
    if name == "generation_data" and "basemodel" in keys:
        return "tensorart", SignalKind.TEXT
    if {"c", "uc", "sampler", "scale"} <= keys:
        return "draw-things", SignalKind.TEXT
    family = family_of(said)
    return (family, SignalKind.TEXT) if family is not None else None


def _fields(tree: Any) -> Iterator[tuple[str, str]]:
    """(key, text) of every text of a tree; a named model's name and hash by keys that say what they are."""
    waiting: list[tuple[str, Any, bool]] = [("", tree, False)]
    for _ in range(_MOST_NODES):
        if not waiting:
            return
        key, value, adapter = waiting.pop()
        if isinstance(value, dict):
            adapter = adapter or "lora" in key.lower()
            named = bool({"hash", "key", "base", "base_model", "model_name"} & value.keys())
            for name, inner in reversed(value.items()):
                if name in ("name", "model_name") and (named or adapter):
                    name = "lora_name" if adapter else "model_name"
                elif name == "hash" and adapter:
                    name = "lora_hash"
                waiting.append((name, inner, adapter))
        elif isinstance(value, list):
            if "lora" in key.lower() and len(value) >= 2 and isinstance(value[0], str):
                yield "lora_name", value[0]
            waiting += [(key, inner, adapter) for inner in reversed(value)]
        elif isinstance(value, str):
            yield key, value


_MODELS = {
    "ckpt_name",
    "unet_name",
    "base_model",
    "refiner_model",
    "model_weights",
    "model_name",
    "model",
    "basemodel",
    "sd_model",
    "modelfilename",
}
_MODELS |= {"vae_name", "vae", "use_stable_diffusion_model", "stable diffusion model", "modelname", "checkpoint"}
_MODEL_HASHES = {"base_model_hash", "refiner_model_hash", "model_hash", "modelhash", "sd_model_hash", "hash"}
_ADAPTER_NAMES = {"lora_name", "lora", "use_lora_model", "loras"}
_FILE = re.compile(r".{1,300}\.(?:safetensors|ckpt|pt|pth|bin|gguf|sft|onnx)\Z", re.IGNORECASE)
_NO_NAME = {"", "none", "null", "true", "false"}


def _field(key: str, value: str) -> Iterator[Claim]:
    name = key.lower()
    if len(value) > 1000 or value.lower() in _NO_NAME:
        return
    hashed = _HASH.match(value.removeprefix("blake3:").removeprefix("sha256:"))
    adapter = name in _ADAPTER_NAMES or re.match(r"lora_(combined_)?\d+|lora\d*_name", name)
    if name in _MODEL_HASHES or name.endswith("_hash"):
        if hashed is not None and name != "signed_hash":
            kind = SignalKind.ADAPTER_HASH if "lora" in name else SignalKind.MODEL_HASH
            yield Claim(kind, hashed[1].lower())
    elif adapter:
        yield Claim(SignalKind.ADAPTER_NAME, value.split(" : ")[0])
    elif name in _MODELS or _FILE.match(value):
        yield Claim(SignalKind.MODEL_NAME, value)


def _pairs(tree: Any) -> Iterator[tuple[str, str]]:
    if isinstance(tree, dict):
        yield from ((name, value) for name, value in list(tree.items())[:_MOST_NAMES] if isinstance(value, str))


def _json(text: str) -> Any:
    """The tree of a JSON text, None where it is none, larger than 4 MiB, or nested deeper than 64."""
    if len(text) > _LONGEST_TREE or _too_deep(text):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _too_deep(text: str) -> bool:
    """Whether brackets nest deeper than 64, those inside texts among them."""
    deep = 0
    for bracket in re.finditer(r"[\[\]{}]", text):
        deep += 1 if bracket[0] in "[{" else -1
        if deep > _DEEPEST:
            return True
    return False
