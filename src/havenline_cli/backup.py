"""`havenline backup` and `havenline restore`: what an installation is, taken out whole and put back whole."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import desk as opening
from .exits import FAILED, SOMETHING_REFUSED
from .told import now, plain

if TYPE_CHECKING:
    from havenline.formats.backup import BackupManifest
    from havenline_desk.sites.home import Home
    from havenline_guard.vault_store import Store

_EVERY = 1000
_Identity = Annotated[Path | None, typer.Option(help="The file of the age identity, where it is sealed.")]
_Outside = Annotated[
    Path | None,
    typer.Option(help="The audit folder that another administrator kept: the restored log is held against it."),
]
_Erasures = Annotated[
    list[Path] | None,
    typer.Option(help="A newer ledger of destroyed objects, such as that of a later backup. Repeatable."),
]


def backup(
    to: Annotated[Path, typer.Argument(metavar="TO", help="The folder to make; it must not exist yet.")],
    recipient: Annotated[
        list[str] | None,
        typer.Option(help="An age public key (age1…) to seal everything to; its identity is kept offline. Repeatable."),
    ] = None,
    home: opening.HomeOption = None,
) -> None:
    """Take a backup while the desk works: database, sealed objects, keys, audit log, settings.

    It is logged before anything is copied. Interrupted, it goes on when it is started again. Keep its folder `keyd` no
    longer than 35 days: so long may a key that was destroyed still lie in a backup.
    """
    with opening.desk(opening.existing_home(home)) as wired:
        from havenline_desk import audit, evidence
        from havenline_desk.actions.note_backup import note_backup
        from havenline_desk.sites.backup import back_up

        at = now()
        note_backup(at=at)
        manifest = back_up(
            wired.home,
            to,
            at=at,
            database=os.environ.get("HAVENLINE_OWNER_URL") or os.environ["HAVENLINE_DATABASE_URL"],
            audit_folder=audit.sink().folder,
            content=evidence.sealed_objects(),
            keyd_socket=_keyd_socket(wired.home),
            recipients=recipient or (),
            tell=_teller(),
        )
    size = sum(part.size for part in manifest.parts)
    typer.echo(f"{plain(to)}: {len(manifest.parts):,} parts, {size:,} bytes, {manifest.entries:,} entries of the log.")
    if not manifest.sealed:
        typer.echo(
            "It is not sealed: whoever reads it reads every record and can sign. What opens the keys of content (the "
            "passphrase) is not in it. Name an offline key with --recipient."
        )
    for name in manifest.missing:
        typer.echo(f"havenline: the kept object {name} is named in the database, and is not there", err=True)
    if manifest.missing:
        raise typer.Exit(SOMETHING_REFUSED)


def restore(
    backup_folder: Annotated[Path, typer.Argument(metavar="FROM", help="A folder that `havenline backup` made.")],
    check: Annotated[bool, typer.Option("--check", help="Verify every part; restore nothing.")] = False,
    identity: _Identity = None,
    outside: _Outside = None,
    erasures: _Erasures = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option(help="A file with the passphrase of the keys, where the backup was not sealed and lacks it."),
    ] = None,
    keys: Annotated[
        bool, typer.Option("--keys/--no-keys", help="With the keys of content, or for good without.")
    ] = True,
    home: opening.HomeOption = None,
) -> None:
    """Make a new data folder of a backup, whole or not at all, and prove that it is what was taken.

    What was destroyed stays destroyed, as far as the ledgers know. Afterwards counts, objects and the audit log are
    checked; where checkpoints go further than the log, the desk refuses urgent acts until two auditors close that log:
    `havenline audit reopen`.
    """
    # long: its steps in their order, one after the other
    from havenline_desk.sites.restore import finish, put_back, put_content, verified

    tell = _teller()
    opened = verified(backup_folder, identity=identity, tell=tell)
    manifest = opened.manifest
    typer.echo(f"{plain(backup_folder)} of {manifest.made_at:%Y-%m-%d %H:%M} UTC: every part has its digest.")
    typer.echo(f"SHA-256 of its manifest: {opened.digest}")
    if check:
        return
    made = opening.home_of(home, manifest.kind)
    own = os.environ.get("HAVENLINE_OWNER_URL") or os.environ.get("HAVENLINE_DATABASE_URL")
    destroyed = put_back(
        opened,
        made,
        at=now(),
        ledgers=erasures or (),
        outside=outside,
        keys=keys,
        passphrase=passphrase_file.read_bytes().split(b"\n")[0] if passphrase_file is not None else None,
        database=own,
    )
    with opening.desk(made):
        from havenline_desk import evidence

        content = evidence.sealed_objects() if keys else None
        if content is not None:
            put_content(opened, made, content, destroyed=destroyed, tell=tell)
        wrong = list(_wrong(manifest, destroyed, content))
        older = _log_told()
        if not wrong:
            finish(made)
    for line in wrong:
        typer.echo(f"havenline: {line}", err=True)
    if wrong:
        typer.echo("havenline: what was restored is not what was taken; it stays closed", err=True)
        raise typer.Exit(FAILED)
    typer.echo(f"{plain(made.path)} is restored; {len(destroyed):,} destroyed objects stay destroyed.")
    if older:
        typer.echo(
            f"The log is an older copy: {older}. Urgent acts are refused until two auditors close it: "
            "havenline audit reopen --by … --second …"
        )
        raise typer.Exit(SOMETHING_REFUSED)


def _wrong(manifest: BackupManifest, destroyed: set[str], content: Store | None) -> Iterator[str]:
    """What is not as it was taken: rows by table, entries, kept objects, and the audit log as the verifier sees it."""
    from django.db import connections

    from havenline_desk import audit
    from havenline_desk.models import StoredContent
    from havenline_desk.queries.audit import export_lines, log_key
    from havenline_desk.sites.dump import SESSIONS
    from havenline_desk.sites.schema import give_rights
    from havenline_guard import verify

    give_rights()
    with connections["default"].cursor() as cursor:
        for table, count in manifest.counts.items():
            cursor.execute(f"SELECT count(*) FROM {connections['default'].ops.quote_name(table)}")  # noqa: S608
            (found,) = cursor.fetchone()
            # Restoring may bring the tables to a newer form, which adds rows of its own to these.
            if found != count and table != SESSIONS and not table.startswith(("django_", "auth_")):
                yield f"{table} holds {found:,} rows, and {count:,} were taken"
    if content is not None:
        kept = set(content.names())
        for name in StoredContent.objects.values_list("object_name", flat=True):
            there = name in kept
            if there == (name in destroyed) and name not in manifest.missing:
                yield f"the kept object {name} {'is there, though it was destroyed' if there else 'is not there'}"
    sink = audit.sink()
    if not sink.checkpoints.exists():
        return
    with tempfile.NamedTemporaryFile() as export:
        export.writelines(export_lines())
        export.flush()
        report = verify.verify(
            Path(export.name),
            checkpoints=sink.checkpoints,
            keys=[verify.Key.parse(log_key())],
            journal=sink.journal if sink.journal.exists() else None,
            older=True,
        )
    for bad in report.bad:
        yield f"the audit log: {bad}"


def _log_told() -> str:
    """Log the restore and sign it; what is in the way where the log was signed further than it is here."""
    from havenline_desk import audit
    from havenline_desk.actions.note_backup import note_restore

    try:
        note_restore(at=now())
        audit.seal()
    except audit.AuditDamaged as error:
        return plain(error).partition(".")[0]
    return ""


def _keyd_socket(home: Home) -> Path | None:
    named = os.environ.get("HAVENLINE_KEYD")
    return Path(named) if named else home.path / "keyd" / "keyd.socket"


def _teller() -> Callable[[str, int, int], None]:
    """A line on stderr for every thousandth part, rewritten in place on a terminal."""
    shown = sys.stderr.isatty()

    def tell(what: str, done: int, of: int) -> None:
        if shown and (done % 16 == 0 or done == of):
            typer.echo(f"\r{what}: {done:,} of {of:,}", err=True, nl=done == of)
        elif not shown and done and done % _EVERY == 0:
            typer.echo(f"{what}: {done:,} of {of:,}", err=True)

    return tell
