"""Commands that touch trust leave a step in the audit log, where there is a desk; a machine without one has none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from havenline_cli import desk as opening
from havenline_cli.told import now

T = TypeVar("T")


def trusted(
    change: str,
    name: str,
    do: Callable[[], T],
    *,
    home: Path | None,
    version: int | None = None,
    digest: str = "",
    by: str | None = None,
) -> T:
    """Do it, as one step of the desk's audit log; without a desk it is only done.

    `change`: a value of `TrustChange`. `by`: a person of the desk, where the command names one.
    """
    if not opening.has_desk(home):
        return do()
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.take_trust_step import Said, take_trust_step
        from havenline_desk.models import TrustChange

        person = None if by is None else opening.person_named(by)
        return take_trust_step(TrustChange(change), Said(name, version, digest), do=do, person=person, at=now())
