"""`havenline investigation`: open one, take a collection in, see how far it is."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import desk as opening
from .exits import EPILOG, SOMETHING_REFUSED
from .options import Matchd, Sandbox, SandboxOption
from .progress import meter
from .proposal import digest_of_manifest, proposal_named
from .scan import open_all
from .told import all_cores, closing, now, plain

if TYPE_CHECKING:
    from havenline.matching.lists import ListLookup

app = typer.Typer(help="Open investigations, take collections in, see how far they are.", no_args_is_help=True)
DAY = ["%Y-%m-%d"]


@app.command("create")
def create(
    reference: Annotated[str, typer.Argument(help="For example HL-2026-014.")],
    by: opening.ByOption,
    source: Annotated[str, typer.Option(help="forum, site, platform, partner or other.")],
    posted: Annotated[int, typer.Option(help="Total number posted in the period, as counted at the source.")],
    legal_basis: Annotated[str, typer.Option(help="Under which law or agreement this work is done.")],
    expires: Annotated[dt.datetime, typer.Option(formats=DAY, help="Last day on which collections may be imported.")],
    framework: Annotated[str, typer.Option(help="The framework people assess under; see `framework list`.")],
    framework_version: Annotated[str | None, typer.Option(help="Default: the newest.")] = None,
    plan: Annotated[str, typer.Option(help="single or double (blind) review.")] = "double",
    sampling: Annotated[
        str, typer.Option(help="everything (all pictures are selected) or by-manifest (its column `selected`).")
    ] = "everything",
    period_start: Annotated[dt.datetime | None, typer.Option(formats=DAY)] = None,
    period_end: Annotated[dt.datetime | None, typer.Option(formats=DAY)] = None,
    police_agreement: Annotated[str, typer.Option(help="Reference, where the law demands one.")] = "",
    home: opening.HomeOption = None,
) -> None:
    """Open an investigation. Its record is not edited afterwards."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.create_investigation import create_investigation
        from havenline_desk.models import Plan, SamplingRule, SourceKind

        investigation = create_investigation(
            reference,
            source_kind=SourceKind(opening.one_of(source, SourceKind.values, "--source")),
            period=(period_start.date() if period_start else None, period_end.date() if period_end else None),
            posted_total=posted,
            sampling_rule=SamplingRule(opening.one_of(sampling, SamplingRule.values, "--sampling")),
            authorised_by=opening.person_named(by),
            legal_basis=legal_basis,
            police_agreement=police_agreement,
            expires_on=expires.date(),
            framework=framework,
            framework_version=framework_version,
            plan=Plan(opening.one_of(plan, Plan.values, "--plan")),
            at=now(),
        )
        typer.echo(
            f"{investigation.reference} is open: {investigation.framework} {investigation.framework_version}, "
            f"{investigation.plan} review, {investigation.posted_total:,} posted."
        )


@app.command("import", epilog=EPILOG)
def import_(
    reference: Annotated[str, typer.Argument(help="The investigation.")],
    path: Annotated[Path, typer.Argument(help="A folder, a zip or a tar that the organisation lawfully holds.")],
    by: opening.ByOption,
    approved_by: Annotated[
        str | None, typer.Option(help="Who approved it: in a demonstration, or a house of two.")
    ] = None,
    proposal: Annotated[
        str | None, typer.Option(help="What two people agreed to: see `havenline proposal import`.")
    ] = None,
    collection: Annotated[
        str | None, typer.Option(help="Name of the collection. Default: the path's last part.")
    ] = None,
    manifest: Annotated[Path | None, typer.Option(help="CSV: path, url, posted_at, selected, …")] = None,
    lists: Annotated[list[str] | None, typer.Option("--list", help="Hash list to match against; repeatable.")] = None,
    matchd: Matchd = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that decode. Default: all cores.")] = all_cores(),
    sandbox: SandboxOption = Sandbox.AUTO,
    home: opening.HomeOption = None,
    as_json: opening.JsonOption = False,
) -> None:
    """Take a collection in. Stop it at any time and run it again: nothing is taken in twice, nothing is lost."""
    # long: half of it is the options
    with opening.desk(opening.existing_home(home)):
        from havenline.formats.manifest import read_manifest
        from havenline_desk.actions.import_collection import import_collection

        rows = read_manifest(manifest) if manifest is not None else None
        asking = and_matchd(open_all(lists or [])[1], matchd)
        investigation = opening.investigation_named(reference)
        with meter(path) as shown:
            done = import_collection(
                investigation,
                source=path,
                collection=collection or path.resolve().name,
                manifest=rows,
                lists=asking,
                imported_by=opening.person_named(by),
                approved_by=opening.person_named(approved_by) if approved_by else None,
                manifest_digest=digest_of_manifest(manifest),
                proposal=proposal_named(proposal) if proposal else None,
                workers=workers,
                at=now(),
                close_off=closing(sandbox),
                progress=lambda one: shown.count(size=one.size, refused=one.refused is not None),
            )
        problems = [
            problem.detail
            for problem in investigation.imports.get(collection=collection or path.resolve().name).problems.order_by(
                "pk"
            )
        ]
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(done) | {"problems": problems}, ensure_ascii=False))
    else:
        typer.echo(
            f"{done.taken_in:,} taken in, {done.known:,} known already, {len(problems):,} problems, "
            f"{done.matched_files:,} files matched, {done.selected:,} selected, {done.stacks:,} stacks formed."
        )
        for detail in problems:
            typer.echo(f"  {plain(detail)}", err=True)
    if problems:
        raise typer.Exit(SOMETHING_REFUSED)


def and_matchd(lists: ListLookup, socket: Path | None) -> ListLookup:
    """`lists`, and those of the matchd at `socket`; one that cannot be reached is told before anything is taken in."""
    if socket is None:
        return lists
    from havenline.matching.lists import Together
    from havenline_guard.client import MatchClient

    client = MatchClient(socket)
    client.health()
    return Together([lists, client])


@app.command("status")
def status(
    reference: Annotated[str | None, typer.Argument(help="Default: all.")] = None,
    home: opening.HomeOption = None,
    as_json: opening.JsonOption = False,
) -> None:
    """How far an investigation is: taken in, refused and why, matched, selected, waiting, settled."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.models import Investigation
        from havenline_desk.queries.status import status_of

        chosen = [opening.investigation_named(reference)] if reference else Investigation.objects.order_by("reference")
        found = [status_of(each) for each in chosen]
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(each) for each in found], ensure_ascii=False))
        return
    if not found:
        typer.echo("No investigation yet. Open one with `havenline investigation create`.")
    for each in found:
        waiting = ", ".join(f"{count:,} for the {step} assessment" for step, count in each.waiting.items()) or "nothing"
        typer.echo(f"{each.reference}")
        typer.echo(f"  posted {each.posted:,} · taken in {each.items:,} items, {each.files:,} files")
        typer.echo(f"  selected {each.selected:,} · {each.stacks:,} stacks · {each.matched_files:,} files matched")
        typer.echo(f"  settled {each.outcomes:,} files · waiting: {waiting}")
        for line in each.settled:
            typer.echo(f"  {line.files:,} by {line.settled_by.label}: {line.quorum or 'no quorum recorded'}")
        for name, count in {**each.refused_files, **each.problems}.items():
            typer.echo(f"  {count:,} {name}")
        if each.imports_running:
            typer.echo("  an import was stopped before its end; run it again to finish it")


@app.command("origin")
def origin(
    reference: Annotated[str, typer.Argument(help="The investigation.")],
    home: opening.HomeOption = None,
    as_json: opening.JsonOption = False,
) -> None:
    """How many items say something of their origin, by month of intake. For inside: small cells are not suppressed.

    Counted are items that nobody has yet to assess. Most marks are removed and any can be forged, so this does not say
    how many pictures a machine made.
    """
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.queries.origin import origin_trends

        found = origin_trends(opening.investigation_named(reference).reference)
    assert found is not None
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(found), default=str, ensure_ascii=False))
        return
    typer.echo(f"{found.reference}: {found.marked:,} of {found.items:,} items have a signal (internal, do not publish)")
    for title, rows in (("families of generators", found.families), ("kinds of signals", found.kinds)):
        typer.echo(f"  {title:<28}{''.join(f'{month:%Y-%m}'.rjust(10) for month in found.months)}{'all':>10}")
        for row in rows:
            counts = "".join(f"{count:,}".rjust(10) for count in (*row.by_month, row.total))
            typer.echo(f"    {row.name:<26}{counts}")
