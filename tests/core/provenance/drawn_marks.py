"""Drawn pictures with the marks that generators write, by Pillow, piexif or by hand; every text is a made-up word."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Mapping

import imagecodecs
import numpy as np
import piexif
import piexif.helper
import pillow_heif
from PIL import Image, PngImagePlugin

KEY = b"a key of the tests alone"
CANARY = "zqplumage"
"""Stands for the text of a prompt: it must never come out."""
MODEL = "zqmodelname"
ADAPTER = "zqadaptername"
ACCOUNT = "zqaccount"
SECRETS = (CANARY, MODEL, ADAPTER, ACCOUNT)

A1111 = (
    f"{CANARY} of a teapot <lora:{ADAPTER}:0.8>\nNegative prompt: {CANARY}\n"
    f"Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64, Model hash: 6ce0161689, Model: {MODEL}, "
    f'Lora hashes: "{ADAPTER}: 0123456789ab", Version: v1.10.1'
)
FORGE = A1111.replace("v1.10.1", "f2.0.1v1.10.1-previous-659")
SDNEXT = A1111.replace("Version: v1.10.1", "App: SD.Next, Version: 0d1d2d3")
FOOOCUS_TEXT = A1111.replace("v1.10.1", "Fooocus v2.5.5")
FOOOCUS = json.dumps(
    {
        "prompt": CANARY,
        "negative_prompt": CANARY,
        "base_model": MODEL,
        "base_model_hash": "aeb7e9e6897a",
        "loras": [[ADAPTER, 0.1, "4852686128"]],
        "version": "Fooocus v2.5.5",
        "steps": 30,
        "seed": "1",
    }
)
COMFY_PROMPT = json.dumps(
    {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": f"{MODEL}.safetensors"}},
        "5": {"class_type": "LoraLoader", "inputs": {"lora_name": f"{ADAPTER}.safetensors", "model": ["4", 0]}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": CANARY, "clip": ["4", 1]}},
    }
)
COMFY_WORKFLOW = json.dumps(
    {"last_node_id": 6, "nodes": [{"id": 4, "type": "CheckpointLoaderSimple", "widgets_values": [f"{MODEL}.ckpt"]}]}
)
INVOKE = json.dumps(
    {
        "app_version": "5.6.0",
        "positive_prompt": CANARY,
        "steps": 30,
        "model": {"key": "0c", "hash": "blake3:" + "ab" * 32, "name": MODEL, "base": "sdxl", "type": "main"},
        "loras": [
            {"model": {"key": "1c", "hash": "blake3:" + "cd" * 32, "name": ADAPTER, "base": "sdxl"}, "weight": 0.5}
        ],
    }
)
INVOKE_OLD = json.dumps(
    {
        "model": "stable diffusion",
        "model_weights": MODEL,
        "model_hash": "cc" * 32,
        "app_id": "invoke-ai/InvokeAI",
        "image": {"prompt": [{"prompt": CANARY, "weight": 1}], "seed": 1},
    }
)
DREAM = f'"{CANARY} of a teapot" -s50 -S4107 -W64 -H64 -C7.5 -Ak_lms'
NOVELAI = {
    "Title": "NovelAI generated image",
    "Description": CANARY,
    "Software": "NovelAI",
    "Source": "NovelAI Diffusion V4 37442FCA",
    "Comment": json.dumps({"prompt": CANARY, "steps": 28, "uc": CANARY, "sampler": "k_euler", "signed_hash": "x=="}),
}
SWARM = json.dumps({"sui_image_params": {"prompt": CANARY, "model": MODEL, "loras": [ADAPTER], "seed": 1}})
EASY = json.dumps({"prompt": CANARY, "use_stable_diffusion_model": MODEL, "use_lora_model": ADAPTER, "seed": 1})
DRAW_THINGS = json.dumps({"c": CANARY, "uc": "", "sampler": "Euler", "scale": 7, "model": f"{MODEL}.ckpt", "seed": 1})
TENSOR = json.dumps({"prompt": CANARY, "baseModel": {"hash": "ab12cd34ef", "modelFileName": MODEL}, "seed": "1"})
MIDJOURNEY = f"{CANARY} of a teapot --v 6.1 Job ID: 01234567-89ab-cdef-0123-456789abcdef"


def drawn(form: str = "PNG", **options: object) -> bytes:
    """A ramp of 64 by 64 pixels."""
    written = io.BytesIO()
    if form == "JXL":
        ramp = np.asarray(Image.linear_gradient("L").resize((64, 64)).convert("RGB"))
        return jxl(bytes(imagecodecs.jpegxl_encode(ramp, effort=1, usecontainer=True)))
    if form == "HEIF":
        pillow_heif.register_heif_opener()
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(written, form, **options)
    return written.getvalue()


def box(name: bytes, body: bytes) -> bytes:
    """One box by hand (ISO/IEC 14496-12, 4.2)."""
    return (8 + len(body)).to_bytes(4, "big") + name + body


def jxl(content: bytes, *boxes: bytes) -> bytes:
    """A JPEG XL file in its container, with boxes behind the codestream (ISO/IEC 18181-2, 9)."""
    opening = bytes.fromhex("0000000c4a584c200d0a870a") + box(b"ftyp", b"jxl \0\0\0\0jxl ")
    whole = content if content.startswith(opening[:12]) else opening + box(b"jxlc", content)
    return whole + b"".join(boxes)


def brotli_box(name: bytes, body: bytes) -> bytes:
    """A box packed into a `brob` box (ISO/IEC 18181-2, 9.7)."""
    return box(b"brob", name + bytes(imagecodecs.brotli_encode(body)))


def png(texts: Mapping[str, str], *, how: str = "tEXt") -> bytes:
    """A PNG with texts, written by Pillow."""
    marks = PngImagePlugin.PngInfo()
    for keyword, text in texts.items():
        if how == "iTXt":
            marks.add_itxt(keyword, text, zip=True)
        else:
            marks.add_text(keyword, text, zip=how == "zTXt")
    return drawn("PNG", pnginfo=marks)


def chunk(name: bytes, body: bytes) -> bytes:
    """One PNG chunk by hand (ISO/IEC 15948, 5.3)."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_with(*chunks: bytes) -> bytes:
    """A PNG with chunks behind the pixels."""
    whole = drawn("PNG")
    end = whole.rindex(b"IEND") - 4
    return whole[:end] + b"".join(chunks) + whole[end:]


def exif_comment(text: str, code: str = "unicode") -> bytes:
    """An EXIF block with a UserComment, written by piexif."""
    return bytes(piexif.dump({"Exif": {piexif.ExifIFD.UserComment: piexif.helper.UserComment.dump(text, code)}}))


def exif_fields(**fields: str) -> bytes:
    """An EXIF block with fields of its first directory, written by piexif."""
    return bytes(piexif.dump({"0th": {getattr(piexif.ImageIFD, name): text.encode() for name, text in fields.items()}}))


def xmp(*properties: str) -> bytes:
    """An XMP packet by hand (ISO 16684-1)."""
    spaces = (
        'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
        'xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:dcterms="http://purl.org/dc/terms/" '
        'xmlns:AIGC="http://www.tc260.org.cn/ns/AIGC/1.0/"'
    )
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        f'{spaces}>{"".join(properties)}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()
