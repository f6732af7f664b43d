"""`havenline proposal`: acts that take two people. Propose one, agree to one, carry it out, cancel it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import desk as opening
from .told import now, plain

if TYPE_CHECKING:
    from havenline_desk.models import Proposal

app = typer.Typer(help="Acts that take two people: propose, approve, carry out, cancel.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="The proposal, as `havenline proposal list` shows it.")]
PersonArgument = Annotated[str, typer.Argument(help="Sign-in name of whom it is about.")]


@app.command("list")
def list_proposals(by: opening.ByOption, home: opening.HomeOption = None, as_json: opening.JsonOption = False) -> None:
    """What waits for this person, what they proposed, and what each would do."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.queries.proposals import proposal_lines

        lines = proposal_lines(opening.person_named(by), at=now())
    if as_json:
        said = [
            {"proposal": line.name, "act": line.act, "does": line.does, "standing": line.standing.value}
            | {"proposed_by": line.proposer, "approved_by": list(line.approvers), "digest": line.digest}
            for line in lines
        ]
        typer.echo(json.dumps(said, ensure_ascii=False))
        return
    if not lines:
        typer.echo(f"Nothing waits for {by}, and {by} has proposed nothing.")
    for line in lines:
        typer.echo(f"{line.name}  {line.standing.replace('_', ' ')}  until {line.expires_at:%Y-%m-%d %H:%M} UTC")
        typer.echo(f"  {plain(line.does)}")
        agreed = f"; agreed to by {', '.join(line.approvers)}" if line.approvers else ""
        typer.echo(f"  proposed by {line.proposer}{agreed}")
        typer.echo(f"  digest {line.digest}")


@app.command("approve")
def approve(
    name: NameArgument,
    by: opening.ByOption,
    digest: Annotated[str, typer.Option(help="The digest that was shown: it stands for every word of the act.")],
    home: opening.HomeOption = None,
) -> None:
    """Agree to exactly the act whose digest is given. Nobody agrees to what they proposed."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.approve import approve

        proposal = proposal_named(name)
        approve(proposal, person=opening.person_named(by), digest=digest, at=now())
    typer.echo(f"{by} agrees. Carry it out with `havenline proposal carry-out {proposal.audit_id.hex}`.")


@app.command("carry-out")
def carry_out(name: NameArgument, by: opening.ByOption, home: opening.HomeOption = None) -> None:
    """Do what was agreed to, once; everything is checked again first. An import has its own command."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.carry_out import carry_out
        from havenline_desk.gates import Act

        proposal = proposal_named(name)
        if proposal.act == Act.IMPORT_COLLECTION.value:
            raise opening.CommandError("an import is carried out by `havenline investigation import … --proposal`")
        if proposal.act == Act.PUBLISH_FIGURES.value:
            raise opening.CommandError("figures are published by `havenline publish --release FOLDER --proposal`")
        carry_out(proposal, person=opening.person_named(by), keys=_keys(), at=now())
    typer.echo("Carried out.")


@app.command("cancel")
def cancel(name: NameArgument, by: opening.ByOption, home: opening.HomeOption = None) -> None:
    """Cancel a proposal: one person is enough."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.cancel import cancel

        cancel(proposal_named(name), person=opening.person_named(by), at=now())
    typer.echo("Cancelled.")


@app.command("role")
def role(
    person: PersonArgument,
    role: Annotated[str, typer.Argument(help="The role to give.")],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Propose to give a person a role."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.models import Role

        opening.one_of(role, Role.values, "role")
        propose_act("grant_role", {"person": opening.person_named(person).audit_id.hex, "role": role}, by=by)


@app.command("framework")
def framework(
    name: Annotated[str, typer.Argument(help="For example gb-eaw.")],
    version: Annotated[str, typer.Argument(help="For example 2023-09.")],
    counsel: Annotated[str, typer.Option(help="Who gave the opinion, and its reference.")],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Propose to record that local counsel has approved one version of a framework."""
    with opening.desk(opening.existing_home(home)):
        propose_act("approve_framework", {"framework": name, "version": version, "counsel": counsel.strip()}, by=by)


@app.command("import")
def import_(
    reference: Annotated[str, typer.Argument(help="The investigation.")],
    path: Annotated[Path, typer.Argument(help="A folder, a zip or a tar that the organisation lawfully holds.")],
    by: opening.ByOption,
    collection: Annotated[
        str | None, typer.Option(help="Name of the collection. Default: the path's last part.")
    ] = None,
    manifest: Annotated[Path | None, typer.Option(help="CSV: path, url, posted_at, selected, …")] = None,
    home: opening.HomeOption = None,
) -> None:
    """Propose to take a collection in: from this path, under this name, by this manifest and no other."""
    with opening.desk(opening.existing_home(home)):
        what = {
            "investigation": opening.investigation_named(reference).audit_id.hex,
            "collection": collection or path.resolve().name,
            "source": str(path.resolve()),
            "manifest": digest_of_manifest(manifest),
        }
        propose_act("import_collection", what, by=by)


@app.command("reset-factors")
def reset_factors(person: PersonArgument, by: opening.ByOption, home: opening.HomeOption = None) -> None:
    """Propose that somebody who lost every key sets up new ones: 24 hours after it was carried out, `person renew`."""
    with opening.desk(opening.existing_home(home)):
        propose_act("reset_factors", {"person": opening.person_named(person).audit_id.hex}, by=by)


@app.command("storage")
def storage(
    basis: Annotated[str, typer.Option(help="The legal basis on which this organisation may keep content.")],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Propose that this desk keeps the content of what it imports; without it digests and metadata alone are kept."""
    with opening.desk(opening.existing_home(home)):
        propose_act("declare_storage", {"legal_basis": basis.strip()}, by=by)


@app.command("house")
def house(
    size: Annotated[str, typer.Argument(help="six_or_more, three_to_five, two or one.")],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Propose that from now on the quorums of a house of this size hold."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.models import House

        opening.one_of(size, House.values, "size")
        propose_act("change_house", {"house": size}, by=by)


@app.command("budget")
def budget(
    person: PersonArgument,
    by: opening.ByOption,
    per_hour: Annotated[int, typer.Option(min=0, help="Objects in any hour.")],
    per_day: Annotated[int, typer.Option(min=0, help="Objects in any day.")],
    per_week: Annotated[int, typer.Option(min=0, help="Objects in any seven days.")],
    minutes: Annotated[int, typer.Option(min=0, help="Minutes without a pause.")],
    bytes_per_day: Annotated[int, typer.Option(min=0, help="Bytes in any day.")],
    home: opening.HomeOption = None,
) -> None:
    """Propose how much a person may open. Lowering takes one person, raising takes two; the key process tells which."""
    with opening.desk(opening.existing_home(home)):
        what = {
            "person": opening.person_named(person).audit_id.hex,
            "per_hour": per_hour,
            "per_day": per_day,
            "minutes": minutes,
            "bytes_per_day": bytes_per_day,
            "per_week": per_week,
        }
        propose_act("raise_budget", what, by=by)


@app.command("release-hold")
def release_hold(
    name: Annotated[str, typer.Argument(help="Random name of the kept object, 32 hexadecimal digits.")],
    reference: Annotated[str, typer.Option(help="Reference under which it is held.")],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Propose to release a legal hold."""
    with opening.desk(opening.existing_home(home)):
        propose_act("release_hold", {"object": name, "reference": reference}, by=by)


@app.command("destroy")
def destroy(
    name: Annotated[str, typer.Argument(help="Random name of the kept object, 32 hexadecimal digits.")],
    rule: Annotated[str, typer.Option(help="Why it is destroyed before its time: a code.")],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Propose to destroy a kept object before its time. A hold prevents it, whoever agrees."""
    with opening.desk(opening.existing_home(home)):
        propose_act("destroy_early", {"object": name, "rule": rule}, by=by)


@app.command("correct")
def correct(
    name: Annotated[str, typer.Argument(metavar="OUTCOME", help="Id of the outcome, as its record shows it.")],
    answers: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="JSON: each question and its code.")],
    reason: Annotated[str, typer.Option(help="Why, as a code: reviewed, police, wrong_file, …")],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Propose other answers for a settled file. What was released of it is withdrawn when this is carried out."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.correct_outcome import checked_facts
        from havenline_desk.models import Outcome

        found = Outcome.objects.filter(audit_id=_id_of(name), correction=None).first()
        if found is None:
            raise opening.CommandError(f"no outcome {plain(name)} stands here; nothing was proposed")
        facts = json.dumps(checked_facts(found, answers.read_text()), sort_keys=True, separators=(",", ":"))
        propose_act("correct_outcome", {"outcome": found.audit_id.hex, "facts": facts, "reason": reason}, by=by)


@app.command("apart")
def apart(
    name: Annotated[
        str, typer.Argument(metavar="OUTCOME", help="Id of the alteration's outcome, as its record shows.")
    ],
    original: Annotated[
        str, typer.Argument(metavar="ORIGINAL", help="Id of the outcome of the picture it was made of.")
    ],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Propose to record that an alteration's perceptual hash cannot hit its original; then it may be released too."""
    with opening.desk(opening.existing_home(home)):
        propose_act("show_apart", {"outcome": _id_of(name).hex, "original": _id_of(original).hex}, by=by)


ExchangeArgument = Annotated[str, typer.Argument(metavar="NAME", help="The exchange's name.")]


@app.command("activate-list")
def activate_list(name: ExchangeArgument, by: opening.ByOption, home: opening.HomeOption = None) -> None:
    """Propose that a partner's list, in shadow until now, match from now on."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_incoming import propose_activation

        told_proposal(propose_activation(name, by=opening.person_named(by), at=now()), at=now())


@app.command("accept-loss")
def accept_loss(name: ExchangeArgument, by: opening.ByOption, home: opening.HomeOption = None) -> None:
    """Propose that the next whole fetch may withdraw more than half of the list; ask the partner before."""
    with opening.desk(opening.existing_home(home)):
        propose_act("accept_loss", {"exchange": name}, by=by)


@app.command("withhold")
def withhold(
    name: ExchangeArgument,
    entry: Annotated[str, typer.Argument(metavar="ENTRY", help="Id of the entry, as a match names it.")],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Propose to take an entry out of a partner's list for good, whatever the partner sends of it later."""
    with opening.desk(opening.existing_home(home)):
        propose_act("withhold_entry", {"exchange": name, "entry": entry}, by=by)


def digest_of_manifest(manifest: Path | None) -> str:
    """SHA-256 of the file, hexadecimal; empty without one."""
    return hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest is not None else ""


def proposal_named(name: str) -> Proposal:
    """The proposal of that random id. Raises CommandError when there is none."""
    from havenline_desk.models import Proposal

    found = Proposal.objects.filter(audit_id=_id_of(name)).select_related("proposer").first()
    if found is None:
        raise opening.CommandError(f"there is no proposal {plain(name)}; see `havenline proposal list`")
    return found


def _id_of(name: str) -> uuid.UUID:
    """The random id in that text; one that nothing has where it is none."""
    try:
        return uuid.UUID(name)
    except ValueError:
        return uuid.UUID(int=0)


def propose_act(act: str, what: dict[str, Any], *, by: str) -> None:
    """Propose an act in the name of that person, and print what another person is asked."""
    from havenline_desk.actions.propose import propose
    from havenline_desk.gates import Act

    at = now()
    told_proposal(propose(Act(act), what, person=opening.person_named(by), at=at), at=at)


def told_proposal(proposal: Proposal, *, at: dt.datetime) -> None:
    """Print what was proposed and how another person agrees to it."""
    from havenline_desk.queries.proposals import line_of

    line = line_of(proposal, at=at)
    typer.echo(f"{line.name}\n  {plain(line.does)}")
    typer.echo(f"  Another person agrees until {line.expires_at:%Y-%m-%d %H:%M} UTC:")
    typer.echo(f"  havenline proposal approve {line.name} --digest {line.digest} --by NAME")


def _keys() -> Any:
    """The key process that the settings name, or None."""
    from django.conf import settings

    from havenline_guard.keyd_client import KeyClient

    path = getattr(settings, "KEYD", "")
    return KeyClient(path) if path else None
