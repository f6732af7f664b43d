"""What every command of the desk shares: the data folder, the database, and the words for its options."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from havenline.vocabulary import HavenlineError

if TYPE_CHECKING:
    from havenline_desk.models import Investigation, Person
    from havenline_desk.sites.home import Home
    from havenline_desk.sites.wiring import Wired

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="The data folder. Default: HAVENLINE_HOME, or the usual place of this user."),
]
ByOption = Annotated[str, typer.Option("--by", envvar="HAVENLINE_PERSON", help="Sign-in name of who does this.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


class CommandError(HavenlineError):
    """The command cannot go on; the text says what is missing."""


def home_of(path: Path | None, kind: str) -> Home:
    from havenline_desk.sites.home import Home

    environ = dict(os.environ)
    if path is not None:
        environ["HAVENLINE_HOME"] = str(path)
    return Home.locate(kind, environ=environ, uid=os.geteuid())


def existing_home(path: Path | None) -> Home:
    """The data folder that is there: the desk's, or else the demonstration's."""
    home = home_of(path, "desk")
    if home.kind() is None and (demo := home_of(path, "demo")).kind() is not None:
        return demo
    home.open(home.kind() or "desk")
    return home


def has_desk(path: Path | None) -> bool:
    """Whether there is a desk here, or a demonstration: a machine that only looks files up has none."""
    return any(home_of(path, kind).kind() is not None for kind in ("desk", "demo"))


@contextlib.contextmanager
def desk(home: Home, *, serve: bool = False) -> Iterator[Wired]:
    """Open a data folder and its database for one command; a PostgreSQL started for it is stopped at the end."""
    from havenline_desk.sites.wiring import wire

    wired = wire(home, plain_loopback=serve)
    try:
        from havenline_desk.sites.schema import bring_up_to_date

        bring_up_to_date()
        yield wired
    finally:
        from django.db import connections

        connections.close_all()
        wired.release()


def made_home(path: Path | None, kind: str) -> Home:
    """The data folder of that kind, made when it is not there yet."""
    home = home_of(path, kind)
    home.create(kind)
    return home


def person_named(name: str) -> Person:
    from havenline_desk.models import Person

    person = Person.objects.filter(name=name).first()
    if person is None:
        raise CommandError(f"nobody is enrolled as {name}; see `havenline person list`")
    return person


def investigation_named(reference: str | None) -> Investigation:
    """The investigation of that reference, or the only one there is."""
    from havenline_desk.models import Investigation, SourceKind

    every = Investigation.objects.exclude(source_kind=SourceKind.TRAINING)
    found = every.filter(reference=reference) if reference else every
    rows = list(found.order_by("reference")[:2])
    if len(rows) == 1:
        return rows[0]
    if reference:
        raise CommandError(f"there is no investigation {reference}; see `havenline investigation status`")
    if not rows:
        raise CommandError("there is no investigation yet; open one with `havenline investigation create`")
    raise CommandError("there are several investigations; name one of them")


def one_of(word: str, words: Sequence[str], option: str) -> str:
    if word not in words:
        raise typer.BadParameter(f"{word!r} is not one of {', '.join(words)}", param_hint=option)
    return word
