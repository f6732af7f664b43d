"""`havenline verify`: the offline verifier, which is also one file that runs without Havenline."""

from __future__ import annotations

import sys

import typer


def verify(context: typer.Context) -> None:
    """Check an exported audit log offline: form, sequence, chain, roots, signatures. See `havenline verify --help`."""
    from havenline_guard.verify import main

    sys.exit(main(context.args, name="havenline verify"))
