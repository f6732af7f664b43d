"""The interface of Hasher-Matcher-Actioner, for programs of this house that speak it already: docs/howto/hma.md.

Shapes are HMA's. It differs in three ways: every request needs a key; nothing is ever fetched, so a parameter `url` is
refused; and banks are the lists of this house, which change by the house's own ways alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from numpy.typing import NDArray

from havenline.entries import Values
from havenline.matching.asked import Asked, Leads
from havenline.matching.snapshot import EditionHead
from havenline.vocabulary import NEAR_DISTANCE, VALUE_KINDS, HashKind, Match, check_hex
from havenline_guard.client import MatchdRefused, MatchdUnreachable

from ..models import KeyScope
from .door import answer, body_of, keyed, open_to_all, service
from .hashing import hashed
from .held_key import HeldKey
from .questions import LARGEST_FILE, LONGEST_BODY, Question, Refused
from .service import Service

SIGNAL_TYPES = {"pdq": HashKind.PDQ, "video_md5": HashKind.MD5}
"""HMA's names. Its MD5 is of films; here one of any file is looked up under that name."""
CONTENT_TYPES = {"photo": "pdq", "video": "video_md5"}
_NEVER_FETCHED = "this server fetches nothing: send the file itself, or its hash"
_NOT_HERE = "banks are the lists of this house and are not changed here: see `havenline list live`, or a release"
_WORDS = {
    "no_key": "a key of this house is needed: Authorization: Bearer …",
    "post_only": _NOT_HERE,
    "unavailable": "index not yet ready",
    "low_quality": "the quality of this picture is too low to be looked up",
}


def told(refused: Refused) -> HttpResponse:
    """As HMA tells what is wrong: `{"message": …}`."""
    said = json.dumps({"message": _WORDS.get(refused.name, refused.name)}).encode()
    return answer(said, status=refused.status, retry_after=refused.retry_after)


def _open(*methods: str) -> Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponse]]:
    return keyed(KeyScope.HMA, methods=methods, tell=told)


@open_to_all
def status(request: HttpRequest) -> HttpResponse:
    """`I-AM-ALIVE` where lists can be looked up in."""
    try:
        ready = bool(service().heads)
    except (MatchdRefused, MatchdUnreachable):
        ready = False
    word = "I-AM-ALIVE" if ready else "INDEX-NOT-LOADED"
    return HttpResponse(word, status=200 if ready else 503, content_type="text/plain")


@_open("GET", "POST")
def hash_file(here: Service, held: HeldKey, request: HttpRequest) -> HttpResponse:
    """The hashes of the one file that is sent, under the name of its type of content."""
    _nothing_fetched(request)
    if request.method == "GET":
        raise Refused("url is required", 400)
    content, signal_type = _sent(request)
    signal, quality = _hash_of(content, signal_type)
    return _said({signal_type: signal if quality else ""})


@_open("GET", "POST")
def lookup(here: Service, held: HeldKey, request: HttpRequest) -> HttpResponse:
    """By hash (GET): `{bank: [match, …]}`; by file (POST): the same under the name of the type of hash."""
    _nothing_fetched(request)
    if request.method == "POST":
        content, signal_type = _sent(request)
        signal, quality = _hash_of(content, signal_type)
        if not quality:
            raise Refused("low_quality", 400)
        return _said({signal_type: _by_bank(_found(here, held, signal_type, signal, request, body=content))})
    asked_for, kind = request.GET.get("signal"), request.GET.get("signal_type")
    if not asked_for or not kind:
        raise Refused("Either url or both signal and signal_type are required", 400)
    return _said(_by_bank(_found(here, held, kind, asked_for, request, body=asked_for.encode())))


@_open("GET")
def raw_lookup(here: Service, held: HeldKey, request: HttpRequest) -> HttpResponse:
    """`{"matches": [id, …]}`, or with `include_distance` the ids with distances."""
    _nothing_fetched(request)
    signal, signal_type = request.GET.get("signal"), request.GET.get("signal_type")
    if not signal or not signal_type:
        raise Refused("signal is required" if not signal else "signal_type is required", 400)
    found = [_match(each) for each in _found(here, held, signal_type, signal, request, body=signal.encode())]
    if request.GET.get("include_distance", "false").lower() in ("true", "1"):
        return _said({"matches": found})
    return _said({"matches": [each["bank_content_id"] for each in found]})


@_open("POST")
def compare(here: Service, held: HeldKey, request: HttpRequest) -> HttpResponse:
    """Two PDQ values: `{"pdq": [whether they match, {"distance": …}]}`. No list is asked."""
    _nothing_fetched(request)
    try:
        said = json.loads(body_of(request, most=LONGEST_BODY))
        (name, (left, right)) = next(iter(said.items())) if len(said) == 1 else ("", ("", ""))
        distance = (int(check_hex("pdq", left), 16) ^ int(check_hex("pdq", right), 16)).bit_count()
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise Refused("two pdq values are compared", 400) from None
    if name != "pdq":
        raise Refused(f"No such SignalType '{name[:40]}'", 400)
    return _said({"pdq": [distance <= NEAR_DISTANCE, {"distance": distance}]})


@_open("GET")
def index_status(here: Service, held: HeldKey, request: HttpRequest) -> HttpResponse:
    """Of each type of hash: whether there is an index, and how many entries the lists of the key have in all.

    `built_to` is not known here, and is -1.
    """
    wanted = request.GET.get("signal_type")
    if wanted is not None and wanted not in SIGNAL_TYPES:
        raise Refused(f"No such signal type '{wanted[:40]}'", 400)
    heads = _banks(here, held)
    size = sum(head.count for head in heads.values())
    state = {"present": bool(heads), "built_to": -1, "size": size}
    return _said({name: state for name in SIGNAL_TYPES if wanted in (None, name)})


@_open("GET")
def banks(here: Service, held: HeldKey, request: HttpRequest) -> HttpResponse:
    """The lists of the key that `matchd` has."""
    return _said([_bank(name, head) for name, head in sorted(_banks(here, held).items())])


@_open("GET")
def bank(here: Service, held: HeldKey, request: HttpRequest, name: str) -> HttpResponse:
    """One of them."""
    head = _banks(here, held).get(name)
    if head is None:
        raise Refused("bank not found", 404)
    return _said(_bank(name, head))


@_open()
def not_here(here: Service, held: HeldKey, request: HttpRequest, **parts: str) -> HttpResponse:
    """Everything by which HMA changes banks or fetches from exchanges."""
    raise Refused("post_only", 405)


def bank_name(list_name: str) -> str:
    """The name of a list as HMA writes names of banks: capitals, digits and underscores, no digit first."""
    name = re.sub("[^A-Z0-9_]", "_", list_name.upper())
    return f"_{name}" if name[:1].isdigit() else name


def content_id(match: Match) -> int:
    """HMA's ids are numbers: one of 53 bits that follows from list and entry, the same in every edition."""
    named = f"{match.edition.list_name}\n{match.entry}".encode()
    return int.from_bytes(hashlib.sha256(named).digest()[:8]) >> 11


def _nothing_fetched(request: HttpRequest) -> None:
    if "url" in request.GET:
        raise Refused(_NEVER_FETCHED, 400)


def _sent(request: HttpRequest) -> tuple[bytes, str]:
    """The one file of a form, and the type of hash that its field asks for."""
    length = request.headers.get("Content-Length") or "0"
    if not length.isdigit() or int(length) > LARGEST_FILE:
        raise Refused("too_large", 413)
    try:
        if "url" in request.POST:
            raise Refused(_NEVER_FETCHED, 400)
        files = [(name, file) for name, many in request.FILES.lists() for file in many]
    except MultiPartParserError:
        raise Refused("malformed", 400) from None
    if not files:
        raise Refused("Missing multipart/form-data file upload", 400)
    if len(files) > 1:
        raise Refused("Only one file allowed per request", 400)
    ((name, file),) = files
    if name not in CONTENT_TYPES:
        raise Refused(f"no such content_type: '{name[:40]}'", 400)
    return file.read(), CONTENT_TYPES[name]


def _hash_of(content: bytes, signal_type: str) -> tuple[str, int]:
    """The hash, and whether it can be looked up."""
    made = hashed(content)
    if signal_type == "video_md5":
        return made.md5, 100
    if made.pdq is None:
        raise Refused("the file cannot be opened as a picture", 400)
    return made.pdq, 100 if made.comparable else 0


def _found(
    here: Service, held: HeldKey, signal_type: str, signal: str, request: HttpRequest, *, body: bytes
) -> list[Match]:
    """The leads on one hash in the lists of the key, in those of the parameter `banks` where it is there."""
    kind = SIGNAL_TYPES.get(signal_type)
    if kind is None:
        raise Refused(f"No such SignalType '{signal_type[:40]}'", 400)
    try:
        check_hex(kind.value, signal)
    except ValueError as error:
        raise Refused(f"invalid signal: {error}", 400) from None
    hashes = {each: Values.of(each, [(0, signal)] if each is kind else []) for each in VALUE_KINDS}
    # A hash comes without its quality here; who made it has left out what was too low, as HMA does.
    asked = Asked(1, hashes, np.full(len(hashes[HashKind.PDQ]), 100, np.uint8))
    codes = np.ascontiguousarray(hashes[HashKind.PDQ].values).view(np.uint64).reshape(-1, 4)
    wanted = set(request.GET["banks"].split(",")) if request.GET.get("banks") else None
    found: list[Match] = []

    def say(question: Question, leads: Leads, said: NDArray[np.bool_]) -> bytes:
        names = {leads.editions[place].list_name for place in np.unique(leads.edition[said]).tolist()}
        found.extend(
            match
            for match in leads.matches(1)[0]
            if match.edition.list_name in names
            and not match.allowed
            and (wanted is None or bank_name(match.edition.list_name) in wanted)
        )
        return json.dumps([_match(each) for each in found]).encode()

    here.look_up(held, Question(asked, codes), body=body, say=say)
    return found


def _match(match: Match) -> dict[str, Any]:
    return {"bank_content_id": content_id(match), "distance": str(match.distance)}


def _by_bank(found: list[Match]) -> dict[str, list[dict[str, Any]]]:
    banked: dict[str, list[dict[str, Any]]] = {}
    for each in found:
        banked.setdefault(bank_name(each.edition.list_name), []).append(_match(each))
    return banked


def _banks(here: Service, held: HeldKey) -> dict[str, EditionHead]:
    heads = (head for head in here.heads if head.ref.list_name in held.lists and not head.terms.allow)
    return {bank_name(head.ref.list_name): head for head in heads}


def _bank(name: str, head: EditionHead) -> dict[str, Any]:
    return {"name": name, "matching_enabled_ratio": 1.0 if head.terms.enabled else 0.0}


def _said(what: object) -> HttpResponse:
    return answer(json.dumps(what).encode())


def nowhere(request: HttpRequest, exception: Exception) -> HttpResponse:
    return told(Refused("there is nothing at this address", 404))


def failed(request: HttpRequest) -> HttpResponse:
    return told(Refused("failed", 500))
