"""The OpenAPI 3.1 document of the match service. docs/formats/match-api.json is the same text."""

from __future__ import annotations

import json
from typing import Any

from havenline.vocabulary import QUALITY_FLOOR, Refusal

from .questions import LARGEST_FILE, LONGEST_BODY, MOST_ITEMS

REFUSALS = {
    400: ("malformed", "parameters_in_url"),
    401: ("no_key",),
    403: ("not_with_this_key", "frozen"),
    405: ("post_only",),
    413: ("too_large",),
    422: ("no_items", "too_many_items", "malformed_item", "quality_missing", "low_quality", "empty", "decoder_failed"),
    429: ("quota",),
    500: ("failed",),
    503: ("unavailable", "busy"),
}
"""By status of HTTP: each name says what is wrong with the request, and nothing of any list."""
PERCEPTUAL = ("hashed", "low_quality", *(refusal.value for refusal in Refusal))


def document() -> dict[str, Any]:
    """The document as values."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Havenline match service",
            "version": "1",
            "description": "A lead is never a verdict: people decide. Outside callers are told one bit.",
        },
        "security": [{"key": []}],
        "paths": {
            "/v1/match/hashes": _post("One bit for each item", _hashes(), _bits()),
            "/v1/match/file": _post("One bit for a file", _file(), _bits(with_state=True)),
            "/v1/staff/match/hashes": _post("The leads of each item, for this house", _hashes(), _leads()),
            "/v1/staff/match/file": _post("The leads of a file, for this house", _file(), _leads(with_state=True)),
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Refused": _refused()},
        },
    }


def text() -> str:
    """The document as it is served."""
    return json.dumps(document(), indent=1) + "\n"


def _post(summary: str, body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    refused = {"$ref": "#/components/schemas/Refused"}
    responses = {"200": {"description": summary, "content": {"application/json": {"schema": answer}}}}
    for status, names in REFUSALS.items():
        said = {"description": " | ".join(names), "content": {"application/json": {"schema": refused}}}
        responses[str(status)] = said
    return {"post": {"summary": summary, "requestBody": {"required": True, "content": body}, "responses": responses}}


def _hashes() -> dict[str, Any]:
    def hexadecimal(digits: int) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^[0-9a-f]{{{digits}}}$"}

    item = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": {
            "sha256": hexadecimal(64),
            "sha1": hexadecimal(40),
            "md5": hexadecimal(32),
            "pdq": hexadecimal(64),
            "quality": {"type": "integer", "minimum": QUALITY_FLOOR, "maximum": 100},
        },
        "dependentRequired": {"pdq": ["quality"], "quality": ["pdq"]},
    }
    items = {"type": "array", "minItems": 1, "maxItems": MOST_ITEMS, "items": item}
    described = f"{LONGEST_BODY:,} bytes at most"
    return {"application/json": {"schema": {**_object({"items": items}), "description": described}}}


def _file() -> dict[str, Any]:
    return {"application/octet-stream": {"schema": {"type": "string", "format": "binary", "maxLength": LARGEST_FILE}}}


def _bits(*, with_state: bool = False) -> dict[str, Any]:
    return _answered({"type": "integer", "enum": [0, 1]}, with_state=with_state)


def _leads(*, with_state: bool = False) -> dict[str, Any]:
    lead = _object(
        {
            "list": {"type": "string"},
            "edition": {"type": "integer"},
            "entry": {"type": "string"},
            "kind": {"type": "string"},
            "distance": {"type": "integer"},
        }
    )
    return _answered({"type": "array", "items": lead}, with_state=with_state)


def _answered(each: dict[str, Any], *, with_state: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {"leads": {"type": "array", "items": each}}
    if with_state:
        properties["perceptual"] = {"type": "string", "enum": list(PERCEPTUAL)}
    return _object(properties)


def _refused() -> dict[str, Any]:
    names = [name for each in REFUSALS.values() for name in each]
    made = _object({"refused": {"type": "string", "enum": names}, "item": {"type": "integer", "minimum": 0}})
    return {**made, "required": ["refused"]}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }
