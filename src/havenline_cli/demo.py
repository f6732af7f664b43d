"""`havenline demo`: the whole pipeline on drawn pictures, and a desk to try. `havenline up`: a real, empty desk."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from . import desk as opening
from .declared import refuse_undeclared
from .supervised import supervised
from .told import get_ready, now

if TYPE_CHECKING:
    from havenline_desk.sites.wiring import Wired

PORT = 8640
console = Console(stderr=True, highlight=False)

PortOption = Annotated[int, typer.Option(min=0, max=65535, help="Loopback port; the next free one is taken.")]
ServeOption = Annotated[bool, typer.Option("--serve/--no-serve", help="Leave after printing instead of serving.")]


def demo(
    pictures: Annotated[int, typer.Option(min=12, max=2000, help="How many distinct originals are drawn.")] = 240,
    port: PortOption = PORT,
    serve: ServeOption = True,
    home: opening.HomeOption = None,
) -> None:
    """Draw a benign collection, run the whole pipeline on it, print the figures and open a desk on loopback.

    Everything lives in the demo's own data folder; a second start finds it there. Passwords that are printed and
    content that is kept are a policy of the demonstration alone.
    """
    started = time.monotonic()
    made = opening.made_home(home, "demo")
    if not (made.path / "drawn").exists():
        _say("starting PostgreSQL, enrolling people …")
        get_ready()  # kernels are compiled or loaded beside the start of the database
    with opening.desk(made, serve=True) as wired:
        from havenline.figures import render
        from havenline_desk.queries.figures import funnel_of
        from havenline_desk.queries.views import views_of

        from .demo_story import REFERENCE, tell
        from .views import view_lines

        story = tell(wired.home, pictures=pictures)
        typer.echo(f"{story.score}\n")
        investigation = opening.investigation_named(REFERENCE)
        typer.echo(render.to_text(funnel_of(investigation)))
        typer.echo("\n".join(view_lines(views_of(investigation))) + "\n")
        if serve:
            _serve(wired, port, started, names=story.passwords)


def up(
    port: PortOption = PORT,
    serve: ServeOption = True,
    house: Annotated[
        str, typer.Option(help="How many people work here: six_or_more, three_to_five, two, one. At the first start.")
    ] = "six_or_more",
    home: opening.HomeOption = None,
) -> None:
    """Open a real desk on the data folder, empty at first; content storage is off until its legal basis is declared."""
    started = time.monotonic()
    with opening.desk(opening.made_home(home, "desk"), serve=True) as wired:
        from havenline_desk.actions.declare_policy import declare_house, declare_policy
        from havenline_desk.models import House, InstallationKind, Person, Policy

        opening.one_of(house, House.values, "--house")
        if not Policy.objects.exists():
            declare_policy(InstallationKind.DESK, at=now())
            declare_house(House(house), at=now())
        _say(f"data folder {wired.home.path}; content storage is off, only digests and metadata are kept")
        if not Person.objects.exists():
            _say("nobody is enrolled yet. In another terminal: havenline person add lead --role investigation_lead")
        if serve:
            _serve(wired, port, started, names={})


def _serve(wired: Wired, port: int, started: float, *, names: dict[str, str]) -> None:
    from havenline_desk.sites.server import LOOPBACK, free_port

    from .main import app

    refuse_undeclared(typer.main.get_command(app))
    chosen = free_port(port)
    host = LOOPBACK if names else "localhost"  # browsers bind passkeys to a name, never to a number
    with contextlib.suppress(KeyboardInterrupt), supervised(wired, chosen) as supervisor:
        typer.echo(f"The desk is open at http://{host}:{chosen}/   (ready after {time.monotonic() - started:.1f} s)")
        if names:
            typer.echo("Sign in by name and password:")
        for name, password in names.items():
            typer.echo(f"  {name:20} {password}")
        typer.echo("Press Ctrl+C to close it.")
        supervisor.keep()


def _say(line: str) -> None:
    console.print(line, style="dim")
