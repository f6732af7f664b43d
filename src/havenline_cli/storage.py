"""`havenline storage`: whether content is kept here, what is missing before it may be, and how to stop it."""

from __future__ import annotations

import typer

from . import desk as opening
from .told import now

app = typer.Typer(help="Whether this desk keeps content, and how to stop it.", no_args_is_help=True)


@app.command("status")
def status(home: opening.HomeOption = None) -> None:
    """Say whether content is kept, and what is missing before a desk may keep it."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk import evidence

        at = now()
        kept, missing = evidence.storage_declared(at=at), evidence.storage_missing(at=at)
    typer.echo("Content is kept, sealed." if kept else "Only digests and metadata are kept.")
    for line in () if kept else missing:
        typer.echo(f"  missing: {line}")
    if not kept and not missing:
        typer.echo("  nothing is missing: declare the legal basis with `havenline proposal storage`")


@app.command("stop")
def stop(by: opening.ByOption, home: opening.HomeOption = None) -> None:
    """Keep no further content. One person is enough; what is kept stays until its time."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.declare_policy import stop_storage

        stop_storage(by=opening.person_named(by), at=now())
    typer.echo("From now on digests and metadata alone are kept.")
