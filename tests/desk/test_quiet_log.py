"""The desk's own log names pages and kinds of errors, never an address, a token or a value."""

from __future__ import annotations

import logging

import pytest

from havenline.vocabulary import HavenlineError
from havenline_desk.sites.quiet_log import WithoutAddresses, WithoutValues, first_part


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/investigations/HL-1", "/investigations/…"),
        ("/reveal/a-token", "/reveal/…"),
        ("/figures/HL-1.csv", "/figures/…"),
        ("/work", "/work"),
        ("/sign-in", "/sign-in"),
        ("/", "/"),
        ("/HL-1", "/…"),
        ("/0123abcd", "/…"),
        ("/averylongwordwithoutanend", "/…"),
        ("//elsewhere.example/x", "/…/…"),
    ],
)
def test_an_address_is_cut_down_to_its_page(path: str, told: str) -> None:
    record = logging.LogRecord("django.request", logging.WARNING, "", 0, "%s: %s", ("Not Found", path), None)
    assert WithoutAddresses().filter(record)
    assert record.getMessage() == f"Not Found: {told}"
    assert first_part(path) == told


def test_an_error_is_told_by_its_class_and_place_and_by_its_text_only_where_it_is_ours() -> None:
    told = []
    for error in (ValueError("Key (sha256)=(0123) already exists"), HavenlineError("the disk is full")):
        try:
            raise error
        except (ValueError, HavenlineError) as raised:
            told.append(WithoutValues().formatException((type(raised), raised, raised.__traceback__)))
    assert "0123" not in told[0]
    assert "builtins.ValueError" in told[0]
    assert "test_quiet_log.py" in told[0]
    assert told[1].endswith("havenline.vocabulary.HavenlineError: the disk is full")
    assert WithoutValues().formatException((None, None, None)) == ""
