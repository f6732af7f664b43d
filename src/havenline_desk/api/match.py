"""The match service: by hashes and by file; one bit for outside callers, the leads for programs of this house."""

from __future__ import annotations

import json

import numpy as np
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from numpy.typing import NDArray

from havenline.matching.asked import Leads
from havenline.vocabulary import Fingerprint

from ..models import KeyScope
from . import openapi
from .door import answer, body_of, keyed, open_to_all
from .hashing import hashed
from .held_key import HeldKey
from .questions import LARGEST_FILE, LONGEST_BODY, Question, Refused, of_fingerprint, of_hashes
from .service import Say, Service


@keyed(KeyScope.ONE_BIT)
def match_hashes(service: Service, held: HeldKey, request: HttpRequest) -> HttpResponse:
    """`{"leads": [0, 1, …]}`: one bit for each item, in their order."""
    return _by_hashes(service, held, request, _bits)


@keyed(KeyScope.ONE_BIT)
def match_file(service: Service, held: HeldKey, request: HttpRequest) -> HttpResponse:
    """`{"leads": [0], "perceptual": "hashed"}`; why there is no perceptual hash follows from the file alone."""
    return _by_file(service, held, request, _bits)


@keyed(KeyScope.STAFF)
def staff_hashes(service: Service, held: HeldKey, request: HttpRequest) -> HttpResponse:
    """`{"leads": [[{"list": …, "edition": …, "entry": …, "kind": …, "distance": …}, …], …]}`."""
    return _by_hashes(service, held, request, _told)


@keyed(KeyScope.STAFF)
def staff_file(service: Service, held: HeldKey, request: HttpRequest) -> HttpResponse:
    """As `staff_hashes`, of one file."""
    return _by_file(service, held, request, _told)


@open_to_all
def document(request: HttpRequest) -> HttpResponse:
    """The OpenAPI document."""
    return answer(openapi.text().encode())


@open_to_all
def ready(request: HttpRequest) -> HttpResponse:
    """200 exactly when the database answers; says nothing else."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return answer(b'{"ready": false}', status=503)
    return answer(b'{"ready": true}')


def nowhere(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(b'{"refused": "no_such_address"}', status=404)


def failed(request: HttpRequest) -> HttpResponse:
    """Nothing of what failed is told outside; the log has its class and place."""
    return answer(b'{"refused": "failed"}', status=500)


def _by_hashes(service: Service, held: HeldKey, request: HttpRequest, say: Say) -> HttpResponse:
    _no_query(request)
    body = body_of(request, most=LONGEST_BODY)
    return answer(service.look_up(held, of_hashes(body), body=body, say=say))


def _by_file(service: Service, held: HeldKey, request: HttpRequest, say: Say) -> HttpResponse:
    _no_query(request)
    content = body_of(request, most=LARGEST_FILE)
    made = hashed(content)

    def with_state(question: Question, leads: Leads, said: NDArray[np.bool_]) -> bytes:
        return json.dumps(json.loads(say(question, leads, said)) | {"perceptual": perceptual(made)}).encode()

    return answer(service.look_up(held, of_fingerprint(made), body=content, say=with_state))


def perceptual(made: Fingerprint) -> str:
    """`hashed`, `low_quality`, or the name of the refusal: a property of the file, whatever the lists hold."""
    if made.refusal is not None:
        return made.refusal.reason.value
    return "hashed" if made.comparable else "low_quality"


def _no_query(request: HttpRequest) -> None:
    if request.META.get("QUERY_STRING"):
        raise Refused("parameters_in_url", 400)


def _bits(question: Question, leads: Leads, said: NDArray[np.bool_]) -> bytes:
    bits = np.zeros(question.count, np.uint8)
    bits[leads.asked[said]] = 1
    return json.dumps({"leads": bits.tolist()}).encode()


def _told(question: Question, leads: Leads, said: NDArray[np.bool_]) -> bytes:
    names = {leads.editions[place].list_name for place in np.unique(leads.edition[said]).tolist()}
    found = [
        [
            {
                "list": match.edition.list_name,
                "edition": match.edition.number,
                "entry": match.entry,
                "kind": match.kind.value,
                "distance": match.distance,
            }
            for match in matches
            if match.edition.list_name in names and not match.allowed
        ]
        for matches in leads.matches(question.count)
    ]
    return json.dumps({"leads": found}, ensure_ascii=False).encode()
