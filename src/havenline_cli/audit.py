"""`havenline audit`: take the audit log out, prove one entry, compare the records with what it vouches for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import desk as opening
from .exits import FAILED
from .told import now, plain

app = typer.Typer(help="Export the audit log, prove one entry, check the records against it.", no_args_is_help=True)


@app.command("export")
def export(
    out: Annotated[Path, typer.Argument(help="The file to write; it must not exist yet.")],
    by: opening.ByOption,
    agreements: Annotated[
        Path | None, typer.Option("--agreements", help="Write what two people agreed to, with signatures, here too.")
    ] = None,
    home: opening.HomeOption = None,
) -> None:
    """Write the log to a file that `havenline verify` checks, and say where its checkpoints and its key are.

    With --agreements also the proposals to the byte and the passkeys' signatures over them, which it then checks.
    The export is logged and signed first. Where that fails it is written all the same, and this is said: a log that
    was altered must come out to be examined.
    """
    for wanted in (out, agreements):
        if wanted is not None and wanted.exists():
            raise opening.CommandError(f"{plain(wanted)} exists already; nothing was written")
    with opening.desk(opening.existing_home(home)):
        from havenline.whole_file import write_whole
        from havenline_desk import audit
        from havenline_desk.actions.export_log import export_log
        from havenline_desk.queries.audit import agreement_lines, export_lines, log_key

        entries: int | None = None
        try:
            entries = export_log(by=opening.person_named(by), at=now())
        except (audit.AuditDamaged, audit.AuditUnavailable) as error:
            typer.echo(f"havenline: not signed before it was written: {plain(error)}", err=True)
        with write_whole(out, replace=False) as file:
            file.writelines(export_lines(entries=entries))
        if agreements is not None:
            with write_whole(agreements, replace=False) as file:
                file.writelines(agreement_lines(entries=entries))
        typer.echo(f"{plain(out)} is written. To check it, with what was kept outside the database:")
        sink = audit.sink()
        typer.echo(
            f"havenline verify {plain(out)} --checkpoints {plain(sink.checkpoints)} --journal {plain(sink.journal)} "
            f"--key {log_key()}" + (f" --agreements {plain(agreements)}" if agreements is not None else "")
        )


@app.command("proof")
def proof(
    seq: Annotated[int, typer.Argument(min=1, help="Number of the entry.")],
    home: opening.HomeOption = None,
) -> None:
    """Print the proof of one entry: it shows that entry and no other. Check it with `havenline verify FILE --proof`."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.queries.audit import proof_of

        typer.echo(proof_of(seq).decode(), nl=False)


@app.command("key")
def key(home: opening.HomeOption = None) -> None:
    """Print the public key of the log. Note it down outside this machine: it is what signatures are checked by."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.queries.audit import log_key

        typer.echo(log_key())


@app.command("check")
def check(home: opening.HomeOption = None) -> None:
    """Compare the final columns of the records with what entries vouch for: name what differs, is gone or was added."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.queries.audit import rows_that_differ, rows_without_entry

        differing = list(rows_that_differ())
        added = list(rows_without_entry())
    for each in differing:
        typer.echo(f"entry {each.seq} ({each.act}): its record {'is gone' if each.gone else 'was changed'}")
    for row in added:
        typer.echo(f"{row.table} {row.row}: no entry vouches for it; it was added past the log, or changed since")
    if differing or added:
        raise typer.Exit(FAILED)
    typer.echo("Every record is as its entry vouches for, and none was added past the log.")


@app.command("reopen")
def reopen(
    by: opening.ByOption,
    second: Annotated[str, typer.Option("--second", help="Sign-in name of the other auditor who decides this.")],
    home: opening.HomeOption = None,
) -> None:
    """Close a log that no longer is the one that was signed, and go on with a new one. For two auditors.

    For a desk that was restored from an older copy, and refuses urgent acts. Everything of the closed log is kept. Note
    the new key down outside this machine.
    """
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.reopen_log import reopen_log
        from havenline_desk.queries.audit import log_key

        closed = reopen_log(by=opening.person_named(by), second=opening.person_named(second), at=now())
        typer.echo(f"The closed log is kept in {plain(closed)}. The log goes on under a new key:")
        typer.echo(log_key())
