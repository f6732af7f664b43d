"""Every form of mark in every container it is written into, by independent writers or by hand from its rules."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zlib
from dataclasses import asdict

import pytest
from PIL import Image
from tests.core.provenance import drawn_marks as marks
from tests.core.provenance.drawn_marks import KEY

from havenline.provenance import Signal, SignalKind, Strength, read_picture, read_sidecar
from havenline.provenance.signals import NOT_SHOWN, keyed

K = SignalKind
NAMED = {(K.MODEL_NAME, marks.MODEL), (K.ADAPTER_NAME, marks.ADAPTER)}

GENERATORS = {
    "a1111": (
        {"parameters": marks.A1111},
        "a1111",
        NAMED | {(K.MODEL_HASH, "6ce0161689"), (K.ADAPTER_HASH, "0123456789ab")},
    ),
    "forge": ({"parameters": marks.FORGE}, "forge", NAMED),
    "sdnext": ({"parameters": marks.SDNEXT}, "sdnext", NAMED),
    "fooocus text": ({"parameters": marks.FOOOCUS_TEXT, "fooocus_scheme": "a1111"}, "fooocus", NAMED),
    "fooocus": (
        {"parameters": marks.FOOOCUS, "fooocus_scheme": "fooocus"},
        "fooocus",
        NAMED | {(K.MODEL_HASH, "aeb7e9e6897a")},
    ),
    "comfyui": (
        {"prompt": marks.COMFY_PROMPT, "workflow": marks.COMFY_WORKFLOW},
        "comfyui",
        {
            (K.MODEL_NAME, f"{marks.MODEL}.safetensors"),
            (K.MODEL_NAME, f"{marks.MODEL}.ckpt"),
            (K.ADAPTER_NAME, f"{marks.ADAPTER}.safetensors"),
        },
    ),
    "invokeai": (
        {"invokeai_metadata": marks.INVOKE},
        "invokeai",
        NAMED | {(K.MODEL_HASH, "ab" * 32), (K.ADAPTER_HASH, "cd" * 32)},
    ),
    "invokeai 2": (
        {"sd-metadata": marks.INVOKE_OLD},
        "invokeai",
        {(K.MODEL_HASH, "cc" * 32), (K.MODEL_NAME, marks.MODEL)},
    ),
    "invokeai 1": ({"Dream": marks.DREAM}, "invokeai", {(K.TEXT, marks.DREAM)}),
    "novelai": (
        marks.NOVELAI,
        "novelai",
        {(K.MODEL_NAME, marks.NOVELAI["Source"]), (K.MODEL_HASH, "37442fca"), (K.SOFTWARE, "NovelAI")},
    ),
    "swarmui": ({"parameters": marks.SWARM}, "swarmui", NAMED),
    "easy diffusion": ({"parameters": marks.EASY}, "easy-diffusion", NAMED),
    "draw things": ({"parameters": marks.DRAW_THINGS}, "draw-things", {(K.MODEL_NAME, f"{marks.MODEL}.ckpt")}),
    "tensorart": (
        {"generation_data": marks.TENSOR},
        "tensorart",
        {(K.MODEL_NAME, marks.MODEL), (K.MODEL_HASH, "ab12cd34ef")},
    ),
    "midjourney": (
        {"Description": marks.MIDJOURNEY},
        "midjourney",
        {(K.JOB, "01234567-89ab-cdef-0123-456789abcdef"), (K.TEXT, marks.MIDJOURNEY)},
    ),
}


def texts(signals: tuple[Signal, ...]) -> set[tuple[SignalKind, str]]:
    return {(each.kind, each.digest) for each in signals if each.digest}


def expected(pairs: set[tuple[SignalKind, str]]) -> set[tuple[SignalKind, str]]:
    return {(kind, keyed(KEY, kind, text.encode())) for kind, text in pairs}


def families(signals: tuple[Signal, ...]) -> set[str | None]:
    return {each.value for each in signals if each.kind is K.GENERATOR}


def no_secret(signals: tuple[Signal, ...]) -> None:
    said = json.dumps([asdict(each) for each in signals]).lower()
    assert not [word for word in marks.SECRETS if word in said]


@pytest.mark.parametrize("how", ["tEXt", "zTXt", "iTXt"])
@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator_is_read_from_the_texts_of_a_png(name: str, how: str) -> None:
    written, family, claims = GENERATORS[name]
    signals = read_picture(marks.png(written, how=how), key=KEY)
    assert families(signals) == {family}
    assert expected(claims) <= texts(signals)
    assert all(f"{how} chunk" in each.location for each in signals)
    no_secret(signals)


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "PNG", "TIFF", "AVIF", "HEIF", "JXL", "JXL packed", "PNG profile"])
@pytest.mark.parametrize("code", ["unicode", "ascii"])
@pytest.mark.parametrize("name", ["a1111", "forge", "sdnext", "fooocus", "swarmui", "comfyui"])
def test_settings_are_read_from_the_comment_in_exif(name: str, code: str, form: str) -> None:
    written, family, claims = GENERATORS[name]
    (text, *_) = written.values()
    if form == "TIFF":
        exif = Image.Exif()
        exif.load(marks.exif_comment(text, code))
        content = marks.drawn("TIFF", exif=exif)
    elif form.startswith("JXL"):
        boxed = marks.brotli_box if "packed" in form else marks.box
        content = marks.drawn("JXL") + boxed(b"Exif", bytes(4) + marks.exif_comment(text, code)[6:])
    elif form == "PNG profile":
        content = marks.png_with(raw_profile("exif", marks.exif_comment(text, code)))
    else:
        content = marks.drawn(form, exif=marks.exif_comment(text, code))
    signals = read_picture(content, key=KEY)
    assert families(signals) == {family}
    assert expected({each for each in claims if each[1] in text}) <= texts(signals)
    assert any("UserComment" in each.location for each in signals)
    no_secret(signals)


def test_comfyui_keeps_its_graphs_in_make_and_model_of_a_webp() -> None:
    exif = marks.exif_fields(Make=f"workflow:{marks.COMFY_WORKFLOW}", Model=f"prompt:{marks.COMFY_PROMPT}")
    signals = read_picture(marks.drawn("WEBP", exif=exif), key=KEY)
    assert families(signals) == {"comfyui"}
    assert expected({(K.ADAPTER_NAME, f"{marks.ADAPTER}.safetensors")}) <= texts(signals)
    no_secret(signals)


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_a_unicode_comment_is_read_in_either_order_of_bytes(order: str) -> None:
    block = marks.exif_comment("0" * len(marks.A1111))
    place = block.index("0000".encode("utf-16-be"))
    whole = bytearray(block)
    whole[place : place + 2 * len(marks.A1111)] = marks.A1111.encode(order)
    assert families(read_picture(marks.drawn("JPEG", exif=bytes(whole)), key=KEY)) == {"a1111"}


def test_the_length_and_digest_are_of_the_text_as_the_file_has_it() -> None:
    signals = read_picture(marks.png({"parameters": marks.A1111}), key=KEY)
    (text,) = [each for each in signals if each.kind is K.TEXT]
    assert text.length == len(marks.A1111.encode())
    assert text.digest == keyed(KEY, K.TEXT, marks.A1111.encode())
    other = read_picture(marks.png({"parameters": marks.A1111}), key=b"another key of tests")
    assert texts(signals).isdisjoint(texts(other))


XMP_FORMS = {
    "PNG": lambda packet: marks.png_with(marks.chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)),
    "JPEG": lambda packet: marks.drawn("JPEG", xmp=packet),
    "WEBP": lambda packet: marks.drawn("WEBP", xmp=packet),
    "GIF": lambda packet: gif_with(b"\x21\xff\x0bXMP DataXMP" + packet + b"\1" + bytes(range(255, -1, -1)) + b"\0"),
    "box": lambda packet: marks.box(b"ftyp", b"avif\0\0\0\0avifmif1") + marks.box(b"uuid", XMP_BOX + packet),
    "AVIF": lambda packet: marks.drawn("AVIF", xmp=packet),
    "HEIF": lambda packet: marks.drawn("HEIF", xmp=packet),
    "JXL": lambda packet: marks.drawn("JXL") + marks.box(b"xml ", packet),
    "JXL packed": lambda packet: marks.drawn("JXL") + marks.brotli_box(b"xml ", packet),
    "PNG profile": lambda packet: marks.png_with(raw_profile("xmp", packet)),
    "item in idat": lambda packet: in_idat(packet),
    "item, deflate": lambda packet: in_idat(zlib.compress(packet), b"deflate"),
    "item, gzip": lambda packet: in_idat(gzip.compress(packet), b"gzip"),
}
XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def gif_with(extension: bytes) -> bytes:
    whole = marks.drawn("GIF")
    return whole[:-1] + extension + whole[-1:]


def raw_profile(name: str, block: bytes) -> bytes:
    """The chunk that ImageMagick writes a block into (its coders/png.c)."""
    digits = block.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = f"\n{name}\n{len(block):8d}\n{lines}\n"
    return marks.chunk(b"zTXt", f"Raw profile type {name}".encode() + b"\0\0" + zlib.compress(text.encode()))


def in_idat(packet: bytes, packing: bytes = b"") -> bytes:
    """A HEIF file by hand, whose one item, of XMP, lies in two pieces inside `idat` (ISO/IEC 14496-12, 8.11.3)."""
    half = len(packet) // 2
    item = marks.box(b"infe", b"\2\0\0\0" + b"\0\7\0\0" + b"mime\0application/rdf+xml\0" + packing + b"\0")
    pieces = struct.pack(">HIIII", 2, 0, half, half + 3, len(packet) - half)
    place = b"\1\0\0\0\x44\0" + struct.pack(">HHHH", 1, 7, 1, 0) + pieces
    inside = packet[:half] + b"\0\0\0" + packet[half:]
    boxes = marks.box(b"iinf", b"\0\0\0\0\0\1" + item) + marks.box(b"iloc", place) + marks.box(b"idat", inside)
    return marks.box(b"ftyp", b"heic\0\0\0\0mif1heic") + marks.box(b"meta", bytes(4) + boxes)


@pytest.mark.parametrize(
    ("body", "packing", "said"),
    [
        (b"no stream", b"deflate", "it is packed wrongly"),
        (zlib.compress(bytes((8 << 20) + 1)), b"deflate", "more than 8 MiB"),
        (b"<x/>", b"br", None),
    ],
)
def test_an_item_that_is_packed_otherwise_is_told_or_passed_over(body: bytes, packing: bytes, said: str | None) -> None:
    signals = read_picture(in_idat(body, packing), key=KEY)
    assert [each.kind for each in signals] == ([] if said is None else [K.UNREAD])
    assert said is None or said in str(signals[0].value)


@pytest.mark.parametrize("form", XMP_FORMS)
def test_xmp_is_read_from_every_container(form: str) -> None:
    packet = marks.xmp(
        f"<Iptc4xmpExt:DigitalSourceType>{TYPE}trainedAlgorithmicMedia</Iptc4xmpExt:DigitalSourceType>",
        "<Iptc4xmpExt:AISystemUsed>Midjourney</Iptc4xmpExt:AISystemUsed>",
        f"<Iptc4xmpExt:AIPromptInformation>{marks.CANARY}</Iptc4xmpExt:AIPromptInformation>",
        f"<Iptc4xmpExt:AIPromptWriterName>{marks.ACCOUNT}</Iptc4xmpExt:AIPromptWriterName>",
        "<xmp:CreatorTool>Adobe Firefly 3</xmp:CreatorTool><photoshop:Credit>Made with Google AI</photoshop:Credit>",
        f"<dc:creator><rdf:Seq><rdf:li>{marks.ACCOUNT}</rdf:li></rdf:Seq></dc:creator>",
        f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{marks.MIDJOURNEY}</rdf:li></rdf:Alt></dc:description>',
        "<AIGC:Label>1</AIGC:Label>",
    )
    signals = read_picture(XMP_FORMS[form](packet), key=KEY)
    observed = {(each.kind, each.value) for each in signals if not each.inferred}
    assert {
        (K.SOURCE_TYPE, "trainedAlgorithmicMedia"),
        (K.AI_FIELD, "midjourney"),
        (K.SOFTWARE, "adobe-firefly"),
        (K.CREDIT, "google-ai"),
        (K.GENERATOR, "midjourney"),
        (K.AI_LABEL, "GB 45438"),
    } <= observed
    assert len([each for each in signals if each.kind is K.AI_FIELD]) == 3
    assert any(each.inferred and each.strength is Strength.HINT for each in signals)
    no_secret(signals)


@pytest.mark.parametrize(
    ("uri", "code", "strength"),
    [
        (TYPE + "digitalCapture", "digitalCapture", Strength.CLAIMED),
        (TYPE.replace("http:", "https:") + "compositeSynthetic", "compositeSynthetic", Strength.CLAIMED),
        (TYPE + "TrainedAlgorithmicMedia", "trainedAlgorithmicMedia", Strength.HINT),
        (TYPE + "compositedWithTrainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", Strength.HINT),
        ("http://c2pa.org/digitalsourcetype/empty", "empty", Strength.CLAIMED),
        (f"http://example.org/{marks.CANARY}", None, Strength.HINT),
    ],
)
@pytest.mark.parametrize("shape", ["element", "attribute", "resource"])
def test_a_source_type_is_told_as_its_code(uri: str, code: str | None, strength: Strength, shape: str) -> None:
    name = "Iptc4xmpExt:DigitalSourceType"
    packet = marks.xmp(f'<{name} rdf:resource="{uri}"/>' if shape == "resource" else f"<{name}>{uri}</{name}>")
    if shape == "attribute":
        packet = marks.xmp().replace(b'rdf:about=""', f'rdf:about="" {name}="{uri}"'.encode())
    (found,) = [each for each in read_picture(marks.drawn("JPEG", xmp=packet), key=KEY) if each.kind is K.SOURCE_TYPE]
    assert (found.value, found.strength) == (code, strength)
    no_secret((found,))


def test_extended_xmp_of_a_jpeg_is_joined() -> None:
    packet = marks.xmp(f"<dc:description>{marks.MIDJOURNEY}</dc:description>")
    half, guid = len(packet) // 2, b"0123456789ABCDEF0123456789ABCDEF"
    whole = marks.drawn("JPEG")
    pieces = [(half, packet[half:]), (0, packet[:half])]
    for at, piece in pieces:
        body = (
            b"http://ns.adobe.com/xmp/extension/\0"
            + guid
            + len(packet).to_bytes(4, "big")
            + at.to_bytes(4, "big")
            + piece
        )
        whole = whole[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + whole[2:]
    assert families(read_picture(whole, key=KEY)) == {"midjourney"}


def test_comments_of_jpeg_and_gif_are_read() -> None:
    assert families(read_picture(marks.drawn("JPEG", comment=marks.A1111.encode()), key=KEY)) == {"a1111"}
    assert families(read_picture(marks.drawn("GIF", comment=marks.A1111.encode()), key=KEY)) == {"a1111"}


def test_software_fields_name_a_family_alone() -> None:
    for form in ("JPEG", "PNG", "WEBP", "TIFF"):
        exif = Image.Exif()
        exif.load(marks.exif_fields(Software=f"NovelAI by {marks.ACCOUNT}", Artist=marks.ACCOUNT))
        signals = read_picture(marks.drawn(form, exif=exif), key=KEY)
        assert {(each.kind, each.value) for each in signals} == {(K.SOFTWARE, "novelai"), (K.GENERATOR, "novelai")}
        assert [each.inferred for each in signals] == [False, True]
        no_secret(signals)


def test_a_text_under_an_unknown_name_gives_neither_name_nor_text() -> None:
    signals = read_picture(marks.png({f"{marks.ACCOUNT} {marks.CANARY}": marks.CANARY}), key=KEY)
    assert [(each.kind, each.strength, each.value) for each in signals] == [(K.TEXT, Strength.HINT, None)]
    no_secret(signals)


def test_the_label_of_gb_45438_is_read_from_a_text() -> None:
    signals = read_picture(marks.png({"AIGC": '{"Label":"1","ContentProducer":"zqaccount"}'}), key=KEY)
    assert [(each.kind, each.value) for each in signals] == [(K.AI_LABEL, "GB 45438")]
    no_secret(signals)


def test_sidecars_are_read_by_what_they_hold() -> None:
    assert families(read_sidecar(marks.A1111.encode(), key=KEY)) == {"a1111"}
    assert families(read_sidecar(marks.EASY.encode(), key=KEY)) == {"easy-diffusion"}
    packet = marks.xmp("<xmp:CreatorTool>Midjourney</xmp:CreatorTool>")
    assert families(read_sidecar(packet, key=KEY)) == {"midjourney"}


def test_a_picture_without_marks_gives_nothing() -> None:
    for form in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"):
        assert read_picture(marks.drawn(form), key=KEY) == ()


BROKEN = {
    "a wrong check sum": lambda: marks.png({"parameters": marks.A1111}).replace(b"Steps: 20", b"Steps: 21"),
    "a text that unpacks to 64 MiB": lambda: marks.png_with(
        marks.chunk(b"zTXt", b"parameters\0\0" + zlib.compress(bytes(64 << 20), 9))
    ),
    "a packed text that is none": lambda: marks.png_with(marks.chunk(b"zTXt", b"parameters\0\0" + b"zzzz")),
    "a text of 9 MiB": lambda: marks.png_with(marks.chunk(b"tEXt", b"parameters\0" + b"x" * (9 << 20))),
    "more than 16 MiB of text": lambda: marks.png_with(*[marks.chunk(b"tEXt", b"Comment\0" + b"x" * (7 << 20))] * 3),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_not_read_is_said(name: str) -> None:
    signals = read_picture(BROKEN[name](), key=KEY)
    assert signals[-1].kind is K.UNREAD
    assert signals[-1].value
    no_secret(signals)


def test_a_document_type_ends_the_reading_of_xmp() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "zzzz"><!ENTITY b "&a;&a;">]>'
    packet = marks.xmp("<xmp:CreatorTool>&b; Midjourney</xmp:CreatorTool>").replace(
        b"<x:xmpmeta", bomb + b"<x:xmpmeta", 1
    )
    assert read_picture(marks.drawn("JPEG", xmp=packet), key=KEY) == ()


def test_deep_json_is_a_text_and_nothing_more() -> None:
    signals = read_picture(marks.png({"prompt": '{"a":' * 5000 + "1" + "}" * 5000}), key=KEY)
    assert [each.kind for each in signals] == [K.TEXT]


def test_a_flood_of_marks_is_cut_and_said() -> None:
    nodes = {str(place): {"class_type": "x", "inputs": {"ckpt_name": f"m{place}.ckpt"}} for place in range(300)}
    content = marks.png_with(
        *(marks.chunk(b"tEXt", f"prompt\0{json.dumps(nodes)} ".replace("m", f"m{turn}").encode()) for turn in range(9))
    )
    signals = read_picture(content, key=KEY)
    assert len(signals) == 513
    assert signals[-1].kind is K.UNREAD


def test_every_kind_says_what_it_does_not_show() -> None:
    assert set(NOT_SHOWN) == set(SignalKind)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        read_picture(b"", key=b"short")


def test_no_pixel_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    content = marks.png({"parameters": marks.A1111})

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(Image, "open", refuse)
    monkeypatch.setattr(io, "BytesIO", refuse)
    assert read_picture(content, key=KEY)
