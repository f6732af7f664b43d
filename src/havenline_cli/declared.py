"""Every command has its act in the desk's table of ways in; what serves people does not start otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .desk import CommandError


def commands_of(group: Any, before: str = "") -> Iterator[str]:
    """The full name of each command under `group`."""
    for name, command in group.commands.items():
        whole = f"{before} {name}".strip()
        if hasattr(command, "commands"):
            yield from commands_of(command, whole)
        else:
            yield whole


def refuse_undeclared(group: Any) -> None:
    """Raise CommandError unless every route, job, command and socket operation has an act. Needs Django set up."""
    from havenline_desk.ways_in import undeclared_commands, undeclared_ways_in

    faults = [*undeclared_ways_in(), *undeclared_commands(commands_of(group))]
    if faults:
        raise CommandError("the desk does not start: " + "; ".join(str(fault.msg) for fault in faults))
