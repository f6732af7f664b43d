"""What is printed: text that cannot play tricks with a terminal, and refusals counted by reason."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from havenline.formats.hash_list import HashList, Problems
    from havenline.scan_workers import CloseOff
    from havenline.vocabulary import ListTerms, Refused
    from havenline_cli.options import Sandbox

_EXAMPLES = 3
_LINES = 5


def plain(text: object) -> str:
    """`text` on one line; what a terminal would act on, or what hides letters, is written as an escape."""
    signs = str(text)
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in signs)


def now() -> dt.datetime:
    """The present, which the core is always told."""
    return dt.datetime.now(dt.UTC)


def all_cores() -> int:
    """The processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_ready() -> None:
    """Have worker processes prepared beside what comes next; say so where loops must be compiled first."""
    from havenline import scan_workers

    say_if_compiling()
    scan_workers.get_ready("havenline_guard.sandbox")


def closing(sandbox: Sandbox) -> CloseOff | None:
    """How workers are closed off, or None when they are not; says so where that is not by choice.

    Raises SandboxUnavailable where it is required and the machine cannot.
    """
    from havenline_cli.options import Sandbox
    from havenline_guard.sandbox import SandboxUnavailable, close_worker, probe

    if sandbox is Sandbox.OFF:
        return None
    tried = probe()
    if tried.can:
        return close_worker
    if sandbox is Sandbox.REQUIRED:
        raise SandboxUnavailable(f"files cannot be opened in a sandbox here, so none was opened: {tried.why}")
    typer.echo(f"havenline: files are opened WITHOUT a sandbox: {tried.why}", err=True)
    return None


def say_if_compiling() -> None:
    """Say so where loops must be compiled first."""
    kernels = Path(os.environ["NUMBA_CACHE_DIR"])
    if not any(kernels.glob("**/*.nbi")):
        typer.echo(f"havenline: compiling for this machine, once, into {plain(kernels)} …", err=True)


@dataclass
class Refusals:
    """Refused files by reason: how many, and the first few with their details."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def add(self, path: str, refused: Refused) -> None:
        """Take note of one refused file."""
        reason = refused.reason.value
        self.counts[reason] = self.counts.get(reason, 0) + 1
        shown = self.examples.setdefault(reason, [])
        if len(shown) < _EXAMPLES:
            shown.append((path, refused.detail))

    def lines(self) -> Iterable[str]:
        """For people: a line for each reason, and one for each example."""
        for reason, count in sorted(self.counts.items(), key=lambda each: (-each[1], each[0])):
            yield f"  {reason:<20} {count:>9,}"
            for path, detail in self.examples[reason]:
                yield f"    {plain(path)}: {plain(detail)}"
            if count > _EXAMPLES:
                yield f"    and {count - _EXAMPLES:,} more"

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            reason: {
                "count": count,
                "examples": [{"path": path, "detail": detail} for path, detail in self.examples[reason]],
            }
            for reason, count in sorted(self.counts.items())
        }


def list_warnings(argument: str, read: HashList) -> Iterable[str]:
    """A line for each thing a person should know of a list: its notes, and the first of its bad lines."""
    for note in read.notes:
        yield f"{plain(argument)}: {plain(note)}"
    yield from problem_lines(argument, read.problems)


def problem_lines(argument: str, problems: Problems) -> Iterable[str]:
    """A line for each of the first bad lines of a list, and one for the others."""
    for problem in islice(problems, _LINES):
        yield f"{plain(argument)}: line {problem.line} passed over: {problem.reason}"
    if len(problems) > _LINES:
        yield f"{plain(argument)}: and {len(problems) - _LINES:,} lines more"


def tell(summary: dict[str, Any], lines: Iterable[str], *, as_json: bool) -> None:
    """Print a summary: for machines, or for people."""
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False, indent=2))
    else:
        for line in lines:
            typer.echo(line)


def terms_words(terms: ListTerms, *, films: bool = False) -> str:
    """The terms of a list for people; those for films where it has some, or where they are not the usual ones."""
    from havenline.vocabulary import ASKED_SHARE, LISTED_SHARE

    words = [f"within {terms.radius} bits", f"quality {terms.quality_floor} or more"]
    if films or (terms.asked_share, terms.listed_share) != (ASKED_SHARE, LISTED_SHARE):
        words.append(f"films from {terms.asked_share:.0%} of their frames and {terms.listed_share:.0%} of the entry's")
    if terms.allow:
        words.append("allow-list")
    if not terms.enabled:
        words.append("in shadow: counted, never matched" if terms.shadow else "switched off")
    if terms.expires_at is not None:
        words.append(f"until {terms.expires_at.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC")
    return ", ".join(words)


def count_lines(counts: dict[str, int]) -> Iterable[str]:
    """A line for each kind of value."""
    width = max([6, *(len(plain(kind)) for kind in counts)])
    for kind, count in counts.items():
        yield f"  {plain(kind):<{width}} {count:>11,}"
