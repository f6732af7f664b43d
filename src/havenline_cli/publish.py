"""`havenline publish`: make figures that may be published, have two people release them, and check a publication."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import desk as opening
from .exits import FAILED
from .proposal import proposal_named
from .told import now, plain

if TYPE_CHECKING:
    from havenline.figures.snapshot import FiguresSnapshot


def publish(  # long: one option after another
    reference: Annotated[str | None, typer.Argument(help="The investigation. Default: the only one.")] = None,
    period: Annotated[
        str | None, typer.Option(help="FIRST..LAST, days on which items were taken in. Default: everything.")
    ] = None,
    number: Annotated[str | None, typer.Option(help="The public number, for example HL-2026-014.")] = None,
    title: Annotated[str | None, typer.Option(help="The public title; no name of a site or a service.")] = None,
    publisher: Annotated[str, typer.Option(help="Who publishes.")] = "Havenline",
    to: Annotated[Path | None, typer.Option(help="The folder to make.")] = None,
    snapshot: Annotated[
        Path | None, typer.Option(help="Folder of the internal snapshot: to be made; with --verify, to be read.")
    ] = None,
    before: Annotated[Path | None, typer.Option(help="An earlier publication to set beside this one.")] = None,
    before_snapshot: Annotated[Path | None, typer.Option(help="Its snapshot, where the two periods overlap.")] = None,
    threshold: Annotated[int, typer.Option(min=3, help="The smallest count that is shown.")] = 10,
    rounding: Annotated[int, typer.Option(min=1, help="Round counts to multiples of this.")] = 1,
    verify: Annotated[Path | None, typer.Option(help="Check this publication instead.")] = None,
    key: Annotated[str | None, typer.Option(help="With --verify: the key that `havenline audit key` prints.")] = None,
    release: Annotated[Path | None, typer.Option(help="Release this folder, to which another person agreed.")] = None,
    proposal: Annotated[str | None, typer.Option(help="With --release: the proposal that was agreed to.")] = None,
    by: Annotated[
        str | None, typer.Option("--by", envvar="HAVENLINE_PERSON", help="Sign-in name of who does this.")
    ] = None,
    home: opening.HomeOption = None,
) -> None:
    """Make the figures of an investigation as a folder to publish, and propose to publish exactly that.

    Small counts are hidden. The folder is signed once another person agreed and it is released with --release. The
    snapshot is internal: it goes to nobody but a verifier under contract.
    """
    if verify is not None:
        _verify(verify, snapshot=snapshot, before=before_snapshot, key=key)
        return
    if by is None:
        raise opening.CommandError("say with --by who does this")
    if release is not None:
        if proposal is None:
            raise opening.CommandError("name the agreed proposal with --proposal")
        _release(release, proposal, by=by, home=home)
        return
    if number is None or title is None or to is None or snapshot is None:
        raise opening.CommandError("a publication needs --number, --title, --to and --snapshot")
    with opening.desk(opening.existing_home(home)):
        from havenline.figures.cube import Imprint, earlier_of
        from havenline.figures.publication import check_reference, cube_for, keep_copy, read_cube, write_publication
        from havenline_desk import gates
        from havenline_desk.actions.propose import propose
        from havenline_desk.queries.publications import publications_folder
        from havenline_desk.queries.snapshot import period_of, write_snapshot

        person, at = opening.person_named(by), now()
        gates.require(person, gates.Act.PUBLISH_FIGURES, at=at)
        imprint = Imprint(check_reference(number), title.strip(), publisher.strip())
        investigation = opening.investigation_named(reference)
        made = write_snapshot(investigation, snapshot, period=None if period is None else period_of(period))
        told = None if before is None else earlier_of(read_cube(before), _read(before_snapshot), made.head)
        cube = cube_for(made, told, imprint=imprint, threshold=threshold, rounding=rounding)
        digest = write_publication(to, cube, None if told is None else told.cube)
        keep_copy(to, publications_folder() / digest)
        what: dict[str, str | int] = {
            "investigation": investigation.audit_id.hex,
            "reference": imprint.reference,
            "title": imprint.title,
            "period": cube.head.period,
            "digest": digest,
        }
        waiting = propose(gates.Act.PUBLISH_FIGURES, what, person=person, at=at)
    typer.echo(f"{plain(to)} is made, {cube.hidden} counts hidden; it is not published yet. Look at its pages first.")
    typer.echo(f"{plain(snapshot)} holds the internal snapshot: keep it, and give it to nobody but a verifier.")
    typer.echo("Another person looks at it, on the page “Proposals” of the desk, and agrees there or here:")
    typer.echo(f"  havenline proposal approve {waiting.audit_id.hex} --digest {waiting.digest} --by NAME")
    typer.echo(f"Then: havenline publish --release {plain(to)} --proposal {waiting.audit_id.hex} --by {plain(by)}")


def _release(folder: Path, name: str, *, by: str, home: Path | None) -> None:
    with opening.desk(opening.existing_home(home)):
        from havenline.figures.publication import SIGNATURE, manifest_digest
        from havenline.whole_file import write_whole
        from havenline_desk.actions.carry_out import carry_out
        from havenline_desk.actions.release_publication import sign_publication
        from havenline_desk.agreement import what_of
        from havenline_desk.models import Publication

        proposal = proposal_named(name)
        if what_of(proposal).get("digest") != manifest_digest(folder):
            raise opening.CommandError("this folder is not the one that was agreed to; nothing was published")
        # A release that could not be signed is signed when it is asked for again.
        if not Publication.objects.filter(proposal=proposal).exists():
            carry_out(proposal, person=opening.person_named(by), at=now())
        note = sign_publication(Publication.objects.get(proposal=proposal))
        with write_whole(folder / SIGNATURE, replace=True) as file:
            file.write(note)
    typer.echo(f"{plain(folder)} is released and signed. It may be published as it is, and not otherwise.")


def _verify(folder: Path, *, snapshot: Path | None, before: Path | None, key: str | None) -> None:
    from havenline.figures.publication import SIGNATURE, differences, manifest_digest
    from havenline.formats import publication_note
    from havenline.formats.audit_log import AuditLogError, VerifierKey

    found = [
        f"{plain(one.name)} {one.what}" for one in differences(folder, snapshot=_read(snapshot), before=_read(before))
    ]
    if key is not None:
        try:
            note = (folder / SIGNATURE).read_bytes()
            publication_note.check(note, VerifierKey.parse(key), manifest_digest(folder))
        except OSError:
            found.append(f"{SIGNATURE} is missing")
        except AuditLogError as fault:
            found.append(f"{SIGNATURE}: {fault}")
    for line in found:
        typer.echo(line)
    if found:
        raise typer.Exit(FAILED)
    again = "its cube and the records" if snapshot is not None else "its cube"
    typer.echo(f"Every file of {plain(folder)} is what {again} give.")
    typer.echo("The signature is that of the key." if key is not None else "The signature was not checked: no --key.")


def _read(folder: Path | None) -> FiguresSnapshot | None:
    from havenline.figures.snapshot import read_snapshot

    return None if folder is None else read_snapshot(folder)
