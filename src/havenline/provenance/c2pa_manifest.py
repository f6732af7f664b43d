"""C2PA manifests by c2pa-rs, where the extra `c2pa` is installed; else only that one is there.

Nothing is fetched: remote manifests, time stamps and OCSP are off. Without a list of signers that the house chose no
state is better than that the signature holds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import lru_cache
from io import BytesIO
from typing import Any

from havenline.provenance.generators import family_of
from havenline.provenance.signals import LIST_OF_SIGNERS, Notes, SignalKind, Strength
from havenline.provenance.signers import Signers
from havenline.provenance.source_types import source_type

READER = "c2pa/1"
PLACE = "C2PA manifest"
_SETTINGS = {
    "verify": {
        "verify_after_reading": True,
        "verify_trust": True,
        "verify_timestamp_trust": True,
        "ocsp_fetch": False,
        "remote_manifest_fetch": False,
        "skip_ingredient_conflict_resolution": False,
    }
}
_MOST = 64
_STATES = frozenset({"Invalid", "Valid", "Trusted"})
_TRUSTED = "signingCredential.trusted"
_HOLDS = frozenset({"Valid", "Trusted"})
ACTIONS = frozenset(
    "c2pa." + name
    for name in (
        *(
            "addedText",
            "adjustedColor",
            "changedSpeed",
            "color_adjustments",
            "converted",
            "created",
            "cropped",
            "deleted",
        ),
        *("drawing", "dubbed", "edited", "edited.metadata", "enhanced", "filtered", "opened", "orientation", "placed"),
        *(
            "produced",
            "published",
            "redacted",
            "removed",
            "repackaged",
            "resized",
            "trimmed",
            "transcoded",
            "translated",
        ),
        *("unknown", "watermarked", "watermarked.bound", "watermarked.unbound"),
    )
)
RELATIONS = frozenset({"parentOf", "componentOf", "inputTo"})
_LONGEST_CODE = 100


def note_c2pa(
    notes: Notes,
    content: bytes,
    media_type: str,
    place: str,
    *,
    store: bytes | None = None,
    embedded: bytes = b"",
    signers: Signers | None = None,
) -> None:
    """Note what the manifests of `content` say, or that they could not be read. `store`: the manifests of a sidecar.

    `embedded`: those of `content` where they were found already, which spares one reading of the file. `signers`: whom
    the house trusts to sign; None: nobody. Not checked: which person signed, whether the certificate was withdrawn, and
    whether any statement is true.
    """
    try:
        read = _read(content, media_type, embedded, signers) if embedded else ""
        # What does not hold is read anew by the library alone, so that no state hangs on how the manifests were found.
        if isinstance(read, str) or read.get("validation_state") not in _HOLDS:
            read = _read(content, media_type, store, signers)
    except ImportError:
        notes.add(
            SignalKind.C2PA_STATE, place, Strength.HINT, READER, value="there, not read: the extra c2pa is missing"
        )
        return
    if isinstance(read, str):
        notes.add(SignalKind.C2PA_STATE, place, Strength.HINT, READER, value=read)
        return
    _note_store(notes, read, signers)


def _read(content: bytes, media_type: str, store: bytes | None, signers: Signers | None) -> dict[str, Any] | str:
    from c2pa import C2paError, Reader

    try:
        reader = Reader.try_create(media_type, BytesIO(content), store, context=_context(os.getpid(), signers))
        if reader is None:
            return "there, but no manifest was found in it"
        with reader:
            tree = json.loads(reader.json())
            tree["remote"] = reader.get_remote_url() is not None
            return tree if isinstance(tree.get("manifests"), dict) else "there, but no manifest was found in it"
    except C2paError as error:
        # The text of an error can quote the file; only what kind it is of is told.
        known = {
            "RemoteManifest": "elsewhere, not fetched",
            "ManifestNotFound": "there, but no manifest was found in it",
        }
        named = str(error).partition(":")[0].strip()
        return known.get(named, "there, but broken")
    except (ValueError, RecursionError):
        return "there, but broken"


@lru_cache(maxsize=1)
def _context(_process: int, signers: Signers | None) -> Any:
    """The settings as the library takes them; those made before a fork cannot be used after it."""
    from c2pa import Context, Settings

    trust = {} if signers is None else {"trust": {"user_anchors": signers.pem}}
    return Context(Settings.from_dict(_SETTINGS | trust))


def _note_store(notes: Notes, tree: dict[str, Any], signers: Signers | None) -> None:
    state = tree.get("validation_state")
    state = state if state in _STATES else "Invalid"
    strength = Strength.CLAIMED if state == "Invalid" else Strength.SIGNED
    active = tree.get("active_manifest")
    notes.add(SignalKind.C2PA_STATE, PLACE, strength, READER, value=state)
    if signers is not None and _TRUSTED in _codes(tree, "success"):
        # In the place of the code that stands there without a list, so that a text is found again by its place.
        notes.add(SignalKind.C2PA_STATE, LIST_OF_SIGNERS, Strength.CLAIMED, READER, value=signers.sha256)
    for code in sorted(set(_codes(tree, "failure")))[:_MOST]:
        notes.add(SignalKind.C2PA_STATE, f"{PLACE}, validation", Strength.CLAIMED, READER, value=code)
    if tree.get("remote"):
        notes.add(SignalKind.C2PA_REMOTE, PLACE, Strength.CLAIMED, READER, value="elsewhere, not fetched")
    # The library tells them in another order each time; a text is found again by its place among the signals.
    for label, manifest in sorted(tree["manifests"].items(), key=lambda each: (each[0] != active, each[0]))[:_MOST]:
        if isinstance(manifest, dict):
            own = label == active
            # Only the active manifest speaks of this very file; the state of the others is not told one by one.
            _note_manifest(
                notes,
                manifest,
                PLACE if own else "C2PA manifest of an ingredient",
                strength if own else Strength.CLAIMED,
            )


def _codes(tree: dict[str, Any], outcome: str) -> Iterator[str]:
    results = tree.get("validation_results") or {}
    for status in (results.get("activeManifest") or {}).get(outcome) or ():
        code = status.get("code") if isinstance(status, dict) else None
        if isinstance(code, str) and len(code) <= _LONGEST_CODE and code.isascii() and code.replace(".", "").isalnum():
            yield code


def _note_manifest(notes: Notes, manifest: dict[str, Any], place: str, strength: Strength) -> None:
    made_by = manifest.get("claim_generator_info") or []
    names = [each.get("name") for each in made_by if isinstance(each, dict)] or [manifest.get("claim_generator")]
    for name in names[:_MOST]:
        if isinstance(name, str):
            notes.add(SignalKind.C2PA_GENERATOR, place, strength, READER, text=name, value=family_of(name))
    for assertion in (manifest.get("assertions") or [])[:_MOST]:
        if isinstance(assertion, dict) and str(assertion.get("label", "")).startswith("c2pa.actions"):
            _note_actions(notes, assertion.get("data"), place, strength)
    for ingredient in (manifest.get("ingredients") or [])[:_MOST]:
        if isinstance(ingredient, dict):
            relation = ingredient.get("relationship")
            value = relation if relation in RELATIONS else None
            title = str(ingredient.get("title", ""))
            notes.add(SignalKind.C2PA_INGREDIENT, place, strength, READER, text=title, value=value)


def _note_actions(notes: Notes, actions: Any, place: str, strength: Strength) -> None:
    listed = actions.get("actions") if isinstance(actions, dict) else None
    for action in (listed or [])[:_MOST]:
        if not isinstance(action, dict):
            continue
        name = str(action.get("action", ""))
        known = name if name in ACTIONS else None
        notes.add(SignalKind.C2PA_ACTION, place, strength, READER, text=name, value=known)
        found = source_type(str(action.get("digitalSourceType", "")))
        if found is not None:
            notes.add(SignalKind.SOURCE_TYPE, f"{place}, action", strength, READER, value=found[0])
        agent = action.get("softwareAgent")
        agent = agent.get("name") if isinstance(agent, dict) else agent
        if isinstance(agent, str):
            notes.add(
                SignalKind.C2PA_GENERATOR, f"{place}, action", strength, READER, text=agent, value=family_of(agent)
            )
