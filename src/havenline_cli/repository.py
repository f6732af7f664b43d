"""`havenline repository`: this house as a publisher of signed lists for other installations."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from havenline_cli import desk as opening
from havenline_cli import exits
from havenline_cli.told import now, plain, tell
from havenline_cli.trust import trusted

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

    from havenline.repository.publishing import Repository
    from havenline.repository.signing import ToSign

app = typer.Typer(
    help="Publish this house's lists to other installations: seal them for each partner, have people sign, publish.",
    no_args_is_help=True,
    epilog=exits.EPILOG,
)
Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        metavar="FOLDER",
        envvar="HAVENLINE_REPOSITORY",
        help="Where the repository is kept.",
        show_default="repository in the data folder",
    ),
]
RootKeys = Annotated[
    list[Path], typer.Option("--root-key", metavar="FILE.pub", help="Public key of one who signs roots; several.")
]
TargetsKeys = Annotated[
    list[Path], typer.Option("--list-key", metavar="FILE.pub", help="Public key of one who signs lists; several.")
]
SigningKey = Annotated[Path, typer.Option("--key", metavar="FILE", help="The signer's own key.")]


@app.command(epilog=exits.EPILOG)
def key(file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the key is to lie.")]) -> None:
    """Make a signing key, sealed with a passphrase. On the signer's own machine, never on the server."""
    from havenline.repository.keys import make_key, public_path

    public = make_key(file, passphrase=_passphrase(twice=True))
    typer.echo(f"{plain(file)}: key {public.keyid[:16]}…, sealed with the passphrase; nobody can open it without")
    typer.echo(f"{plain(public_path(file))}: its public half, for `havenline repository init`")


@app.command(epilog=exits.EPILOG)
def init(
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="The house's name, as partners know it.")],
    root_keys: RootKeys,
    list_keys: TargetsKeys,
    folder: Folder = None,
    home: opening.HomeOption = None,
) -> None:
    """Make the repository, and stage its first root: two of the root keys sign it, then publish.

    A house of six or more people needs three keys of each sort, a smaller one two; one person cannot publish.
    """
    repository, house = _repository(folder), _house(home)
    made = partial(repository.init, name, house, root=_public(root_keys), targets=_public(list_keys), at=now())
    path = trusted("root_staged", "root", made, home=home, version=1)
    typer.echo(f"{plain(path)}: to be signed by two of the root keys with `havenline repository sign`, then published")


@app.command(epilog=exits.EPILOG)
def stage(folder: Folder = None, home: opening.HomeOption = None) -> None:
    """Seal the newest edition of each list for each partner that subscribed, and stage that for signing."""
    from havenline.repository.staging import stage

    repository = _repository(folder)
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.take_trust_step import Said, take_trust_step
        from havenline_desk.models import TrustChange
        from havenline_desk.queries.exchange_feeds import exchange_feeds

        seal = partial(stage, repository, exchange_feeds(), at=now())
        staged = take_trust_step(TrustChange.STAGED, Said("targets"), do=seal, at=now())
    typer.echo(
        f"{plain(staged.path)}: version {staged.version}, {staged.recipients} partners, {staged.pieces} pieces sealed "
        "anew; to be signed by two of the list keys with `havenline repository sign`, then published"
    )


@app.command(epilog=exits.EPILOG)
def sign(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="root.json or targets.json, as it was staged.")],
    key: SigningKey,
    digest: Annotated[
        str | None,
        typer.Option("--digest", metavar="HEX", help="The digest that was shown, in place of being asked."),
    ] = None,
    look: Annotated[bool, typer.Option("--look", metavar="", help="Only show what would be signed.")] = False,
) -> None:
    """Show what is to be signed, in numbers and digests, and sign it; the signature is written beside the file."""
    from havenline.repository.keys import opened_key
    from havenline.repository.signing import shown, sign

    what = shown(file, key=key)
    for line in _shown_lines(what):
        typer.echo(line)
    if look:
        return
    if digest is None:
        said = typer.prompt("Read the digest to the other signer. If theirs is the same, type its first eight signs")
        digest = what.digest if said.strip().lower() == what.digest[:8] else said
    place = sign(file, key=key, signer=opened_key(key, passphrase=_passphrase()), digest=digest)
    typer.echo(f"{plain(place)}: the signature; put it beside {plain(file.name)} on the server")


@app.command(epilog=exits.EPILOG)
def publish(folder: Folder = None, home: opening.HomeOption = None) -> None:
    """Publish what was staged, where two people signed it. Partners see all of it or nothing."""
    repository = _repository(folder)
    waits = repository.waits() or ("nothing", None, "")
    do = partial(repository.publish, at=now())
    role = trusted("published", waits[0], do, home=home, version=waits[1], digest=waits[2])
    typer.echo(f"{plain(repository.folder / 'public')}: the {role} is published; serve this folder, or copy it")


@app.command(epilog=exits.EPILOG)
def renew(folder: Folder = None, home: opening.HomeOption = None) -> None:
    """Sign the timestamp anew: partners refuse what is older than 48 hours. `havenline sealer` does so by itself."""
    repository = _repository(folder)
    stands = repository.timestamp()
    version = None if stands is None else stands[0] + 1
    done = stands is not None and trusted(
        "renewed", "timestamp", partial(repository.renew, at=now()), home=home, version=version
    )
    typer.echo("renewed" if done else "nothing is published yet, so nothing was renewed")


@app.command("rotate-root", epilog=exits.EPILOG)
def rotate_root(
    root_keys: RootKeys,
    list_keys: TargetsKeys,
    new_online: Annotated[
        bool, typer.Option("--new-online-keys", metavar="", help="The server's own keys too, as after a break-in.")
    ] = False,
    folder: Folder = None,
    home: opening.HomeOption = None,
) -> None:
    """Stage the next root: with other keys, or for another year. Two of its keys sign it, and two of the last one's."""
    repository, house, root, targets = _repository(folder), _house(home), _public(root_keys), _public(list_keys)
    made = partial(repository.rotate_root, house, root=root, targets=targets, new_online=new_online, at=now())
    path = trusted("root_staged", "root", made, home=home)
    typer.echo(f"{plain(path)}: to be signed by two of the old root keys and two of the new, then published")


@app.command(epilog=exits.EPILOG)
def status(
    folder: Folder = None, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False
) -> None:
    """Print what is published until when, what waits for signatures, and the fingerprint that partners must hear."""
    from havenline.repository.staging import recipients_of

    repository = _repository(folder)
    standing, at = repository.standing(), now()
    roles = {role: {"version": version, "until": end.isoformat()} for role, (version, end) in standing.versions.items()}
    told = {
        "folder": str(repository.folder / "public"),
        "root_sha256": standing.root_sha256,
        "roles": roles,
        "waiting": standing.waiting,
        "signatures": standing.signatures,
        "recipients": recipients_of(repository),
    }
    lines = [f"{plain(repository.folder)}: fingerprint {fours(standing.root_sha256 or 'none yet')}"]
    for role, (version, end) in standing.versions.items():
        ended = "  ENDED: partners refuse it" if end <= at else ""
        lines.append(f"  {role:<9}  version {version:>5}, until {end:%Y-%m-%d %H:%M} UTC{ended}")
    if standing.waiting:
        lines.append(f"  a {standing.waiting} waits, with {standing.signatures} of 2 signatures")
    lines += [f"  {plain(partner)}: recipient {id_}" for partner, id_ in sorted(recipients_of(repository).items())]
    tell(told, lines, as_json=as_json)


def fours(hexadecimal: str) -> str:
    """A digest as it is read over the telephone."""
    if len(hexadecimal) != 64:
        return hexadecimal
    return " ".join(hexadecimal[first : first + 4] for first in range(0, 64, 4))


def _shown_lines(what: ToSign) -> list[str]:
    lines = [f"{what.role}, version {what.version}, until {what.expires:%Y-%m-%d %H:%M} UTC"]
    for each in what.lists:
        smallest, largest = each.entries
        sizes = f"{smallest:,}" if smallest == largest else f"{smallest:,} to {largest:,}"
        lines.append(
            f"  {plain(each.name)}: edition {each.seq} (+{each.added:,}, -{each.withdrawn:,}) for {each.recipients} "
            f"partners, {sizes} entries with canaries"
        )
        lines.append(f"    root {fours(each.canonical_root)}")
        before = "never before" if each.before is None else f"edition {each.before[0]} before"
        lines.append(f"    signed with this key: {before}")
    lines += [f"  {role}: {wanted} of {keys} keys" for role, keys, wanted in what.keys]
    lines.append(f"  digest {fours(what.digest)}")
    return lines


def _repository(folder: Path | None) -> Repository:
    from havenline.repository.publishing import Repository
    from havenline_desk.sites.home import Home

    return Repository(folder or Home.locate(environ=os.environ, uid=os.getuid()).path / "repository")


def _house(home: Path | None) -> str:
    with opening.desk(opening.existing_home(home)):
        from havenline_desk import gates

        return gates.house().value


def _public(files: list[Path]) -> list[SSlibKey]:
    from havenline.repository.keys import read_public

    return [read_public(file) for file in files]


def _passphrase(*, twice: bool = False) -> str:
    """From a person who is asked, or the first line of standard input; never from the command line."""
    if sys.stdin.isatty():
        return str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=twice))
    return sys.stdin.readline().rstrip("\n")
