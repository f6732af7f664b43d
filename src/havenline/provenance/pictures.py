"""What a picture file, or a film's container, says of its origin: every reader over its parts and their texts."""

from __future__ import annotations

from havenline.media import kinds
from havenline.provenance import exif, generator_text, parts, watermarks, xmp
from havenline.provenance.c2pa_manifest import note_c2pa
from havenline.provenance.generators import FAMILIES, family_of
from havenline.provenance.part import Part
from havenline.provenance.pixel_marks import pixel_parts
from havenline.provenance.signals import Notes, Signal, SignalKind, Strength
from havenline.provenance.signers import Signers
from havenline.provenance.source_types import MACHINE_MADE, source_type
from havenline.provenance.watermarks import watermark

READER = "pictures/1"
_KNOWN_FIELDS = frozenset(
    (
        *(
            "parameters",
            "prompt",
            "workflow",
            "comment",
            "description",
            "title",
            "software",
            "source",
            "author",
            "aigc",
        ),
        *("invokeai_metadata", "invokeai_graph", "invokeai_workflow", "sd-metadata", "dream", "fooocus_scheme"),
        *("generation_data", "generation_time", "negative prompt", "seed", "usercomment", "warning", "copyright"),
    )
)
"""Names of texts that are told; any other may be a text itself."""


def read_picture(
    content: bytes, *, key: bytes, signers: Signers | None = None, pixels: bool = False
) -> tuple[Signal, ...]:
    """The signals of a picture or a film in the order in which they stand. None at all means nothing.

    `key`: what the digests of texts are keyed with, at least 16 bytes, else ValueError. `signers`: whom the house
    trusts to sign manifests. Broken files give what was found before the damage. Pixels are decoded where the lowest
    bits of a PNG begin with a signature, and, with `pixels`, in every JPEG, PNG and WebP: for `watermarks`, and texts
    in the lowest bits of WebP. Not read: other watermarks, and what `boxes` and `pixel_marks` name.
    """
    notes = Notes(key)
    note_picture(notes, content, signers, webp=pixels)
    if pixels:
        _note_watermark(notes, content)
    return notes.done()


def note_picture(notes: Notes, content: bytes, signers: Signers | None = None, *, webp: bool = False) -> None:
    """As `read_picture`, into `notes`, but for watermarks; `webp`: texts in the lowest bits of WebP too."""
    kind, signed = kinds.recognise(content[: kinds.HEAD_BYTES]), False
    for part in parts.parts_of(content, kind):
        if part.form == "c2pa":
            if not signed:
                signed = True
                note_c2pa(notes, content, kind or "", part.location, embedded=part.raw, signers=signers)
        else:
            _note_part(notes, part)
    for part in pixel_parts(content, kind, webp=webp):
        _note_part(notes, part)
    _infer(notes)


def _note_watermark(notes: Notes, content: bytes) -> None:
    found = watermark(content, kinds.recognise(content[: kinds.HEAD_BYTES]))
    if found is not None:
        place = f"pixels, invisible mark of {found.name}, {found.agree} of {found.bits} bits"
        notes.add(SignalKind.GENERATOR, place, Strength.HINT, watermarks.READER, value=found.family)


def read_sidecar(content: bytes, *, key: bytes) -> tuple[Signal, ...]:
    """The signals of a file that lies beside a picture: XMP, or a generator's settings as text or JSON.

    Not checked: that it belongs to the picture. A C2PA sidecar is read by `read_manifest_beside`.
    """
    notes = Notes(key)
    if b"<x:xmpmeta" in content[:4096] or b"<rdf:RDF" in content[:4096]:
        _note_part(notes, Part("xmp", "sidecar, XMP", content))
    else:
        _note_part(notes, Part("text", "sidecar", content, "parameters"))
    _infer(notes)
    return notes.done()


def read_manifest_beside(
    content: bytes, store: bytes, *, key: bytes, signers: Signers | None = None
) -> tuple[Signal, ...]:
    """The signals of the C2PA manifests in `store`, a sidecar of the picture in `content`."""
    notes = Notes(key)
    kind = kinds.recognise(content[: kinds.HEAD_BYTES])
    note_c2pa(notes, content, kind or "", "sidecar, C2PA manifest", store=store, signers=signers)
    _infer(notes)
    return notes.done()


def _note_part(notes: Notes, part: Part) -> None:
    if part.form == "unread":
        notes.add(SignalKind.UNREAD, part.location, Strength.HINT, READER, value=part.raw.decode())
    elif part.form == "xmp":
        for name, text in xmp.xmp_properties(part.raw):
            _note_property(notes, name, text, part.location)
    elif part.form in ("exif", "tiff"):
        for field, raw in exif.exif_texts(part.raw):
            if field == "XMP":
                _note_part(notes, Part("xmp", f"{part.location}, XMP", raw))
            else:
                _note_field(notes, field, exif.comment_text(field, raw), f"{part.location}, {field}", exif.READER)
    else:
        named = part.field if part.field.strip().lower() in _KNOWN_FIELDS else "another name"
        _note_field(notes, part.field, part.raw.decode("utf-8", "replace"), f"{part.location}, {named}", READER)


def _note_field(notes: Notes, field: str, text: str, place: str, reader: str) -> None:
    """A text under a name, from whatever container."""
    name = field.strip().lower()
    if not text.strip():
        return
    if name in ("make", "model") and text.startswith(("workflow:", "prompt:", "Workflow:", "Prompt:")):
        name, _, text = text.partition(":")
    if name == "aigc":
        notes.add(SignalKind.AI_LABEL, place, Strength.CLAIMED, reader, text=text, value="GB 45438")
        return
    if name == "fooocus_scheme":
        notes.add(SignalKind.GENERATOR, place, Strength.CLAIMED, reader, value="fooocus")
        return
    if name in ("software", "make", "model", "artist", "author", "copyright"):
        family = family_of(text)
        if name == "software":
            notes.add(SignalKind.SOFTWARE, place, Strength.CLAIMED, reader, text=text, value=family)
        elif family is not None:
            notes.add(SignalKind.CREDIT, place, Strength.HINT, reader, text=text, value=family)
        return
    found = generator_text.claims_of(name, text)
    for claim in found:
        notes.add(claim.kind, place, Strength.CLAIMED, generator_text.READER, text=claim.text, value=claim.value)
    if not found:
        # A text in no form that is known may still be a prompt, so it is noted, and its words are not looked through.
        notes.add(SignalKind.TEXT, place, Strength.HINT, reader, text=text)


def _note_property(notes: Notes, name: str, text: str, place: str) -> None:
    place = f"{place}, {name}"
    if name == "Iptc4xmpExt:DigitalSourceType":
        found = source_type(text)
        strength = Strength.HINT if found is None else found[1]
        notes.add(
            SignalKind.SOURCE_TYPE, place, strength, xmp.READER, text=text, value=None if found is None else found[0]
        )
    elif name.startswith("Iptc4xmpExt:AI"):
        family = family_of(text) if name.endswith("SystemUsed") else None
        notes.add(SignalKind.AI_FIELD, place, Strength.CLAIMED, xmp.READER, text=text, value=family)
    elif name == "AIGC":
        notes.add(SignalKind.AI_LABEL, place, Strength.CLAIMED, xmp.READER, text=text, value="GB 45438")
    elif name in ("xmp:CreatorTool", "tiff:Software"):
        notes.add(SignalKind.SOFTWARE, place, Strength.CLAIMED, xmp.READER, text=text, value=family_of(text))
    elif name == "photoshop:Credit":
        notes.add(SignalKind.CREDIT, place, Strength.CLAIMED, xmp.READER, text=text, value=family_of(text))
    elif name == "dcterms:provenance":
        notes.add(
            SignalKind.C2PA_REMOTE, place, Strength.CLAIMED, xmp.READER, text=text, value="elsewhere, not fetched"
        )
    elif name == "dc:creator":
        if family_of(text):
            notes.add(SignalKind.CREDIT, place, Strength.HINT, xmp.READER, text=text, value=family_of(text))
    else:
        _note_field(notes, "description" if name == "dc:description" else "usercomment", text, place, xmp.READER)


def _infer(notes: Notes) -> None:
    """What follows from the observed signals by rule; marked as inferred and never stronger than a hint."""
    observed = tuple(notes.signals)
    made = [each for each in observed if each.kind is SignalKind.SOURCE_TYPE and each.value in MACHINE_MADE]
    families = [each for each in observed if each.kind is not SignalKind.GENERATOR and each.value in FAMILIES]
    for each in families:
        notes.add(SignalKind.GENERATOR, each.location, Strength.HINT, READER, value=each.value, inferred=True)
    if made:
        place = made[0].location
        notes.add(
            SignalKind.AI_LABEL,
            place,
            Strength.HINT,
            READER,
            value="says that a machine made it or a part",
            inferred=True,
        )
