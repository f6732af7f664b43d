"""`havenline feed`: this house's lists in NCMEC's form, for partners with a subscription."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from . import desk as opening
from . import exits
from .partner import partner_named
from .told import now, plain

app = typer.Typer(
    help="Serve this house's lists in NCMEC's form to partners that subscribed; nothing is served unless this runs.",
    no_args_is_help=True,
    epilog=exits.EPILOG,
)
Slug = Annotated[str, typer.Argument(metavar="PARTNER", help="The partner's short name.")]


@app.command("serve", epilog=exits.EPILOG)
def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8790,
    host: Annotated[str, typer.Option(help="The address to listen on; another than loopback needs a certificate.")] = (
        "127.0.0.1"
    ),
    certificate: Annotated[
        Path | None, typer.Option("--certificate", metavar="PEM", help="The server's certificate and those above it.")
    ] = None,
    private_key: Annotated[
        Path | None, typer.Option("--private-key", metavar="PEM", help="Its key, PKCS#8, without a password.")
    ] = None,
    home: opening.HomeOption = None,
) -> None:
    """Serve until told. A partner's base URL is https://THIS-HOST/LIST, and `/v2/` below it is NCMEC's protocol."""
    from havenline_desk.sites import server

    if (certificate is None) != (private_key is None):
        raise typer.BadParameter("a certificate and its key go together", param_hint="--certificate")
    if certificate is None and host not in ("127.0.0.1", "::1"):
        raise typer.BadParameter("passwords need TLS: name a certificate and its key", param_hint="--host")
    with opening.desk(opening.existing_home(home)):
        typer.echo(f"havenline feed: http{'s' if certificate else ''}://{host}:{port}/", err=True)
        command = server.feed_command(host, port, certificate=certificate, private_key=private_key)
        served = server.run(command)
    sys.exit(served)


@app.command("credential", epilog=exits.EPILOG)
def credential(partner: Slug, by: opening.ByOption, home: opening.HomeOption = None) -> None:
    """Make a partner's password for its feeds and print it once; the one before opens nothing any more."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_feed_credentials import make_feed_credential

        secret = make_feed_credential(partner_named(partner), made_by=opening.person_named(by), at=now())
    typer.echo(f"user      {plain(partner)}\npassword  {secret}")
    typer.echo("Hand it over by another way than the address. It is shown this once.", err=True)


@app.command("end-credential", epilog=exits.EPILOG)
def end_credential(partner: Slug, by: opening.ByOption, home: opening.HomeOption = None) -> None:
    """Let a partner's password open nothing any more."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_feed_credentials import end_feed_credential

        end_feed_credential(partner_named(partner), ended_by=opening.person_named(by), at=now())
    typer.echo(f"{plain(partner)} has no credential any more.")


@app.command("votes", epilog=exits.EPILOG)
def votes(home: opening.HomeOption = None) -> None:
    """Print what partners vote against, for whoever reviews it. A vote decides nothing."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.queries.feeds import standing_votes

        rows = standing_votes()
    for vote in rows:
        typer.echo(
            f"{vote.received_at:%Y-%m-%d}  {plain(vote.partner.slug)}  {plain(vote.list.name)}  {vote.entry}  "
            f"{vote.fingerprint}  {vote.get_reason_display()}"
        )
    if not rows:
        typer.echo("no partner votes against an entry")


@app.command("export", epilog=exits.EPILOG)
def export(
    partner: Slug,
    list_name: Annotated[str, typer.Argument(metavar="LIST", help="The published list.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write; it must be free.")],
    by: opening.ByOption,
    version: Annotated[str, typer.Option(help="1.3 or 2.0 of Project VIC's form.")] = "2.0",
    model: Annotated[str, typer.Option(help="The country model that the partner works with.")] = "US",
    category: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODE=NUMBER", help="The partner's number for a class of ours; none is told of others. Repeatable."
        ),
    ] = None,
    home: opening.HomeOption = None,
) -> None:
    """Write a published list as a VICS file for one partner, with its canaries. No picture, path or series is in it."""
    opening.one_of(version, ("1.3", "2.0"), "--version")
    categories = dict(_category(text) for text in category or ())
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.export_list_file import export_list_file

        try:
            made = export_list_file(
                partner_named(partner),
                list_name,
                output,
                version=version,
                model=model,
                categories=categories,
                by=opening.person_named(by),
                at=now(),
            )
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--model") from None
        except OSError as error:
            raise opening.CommandError(
                f"{output}: cannot be written ({error.strerror or 'it exists already'}); nothing was kept"
            ) from None
    typer.echo(f"{plain(str(output))}: {made.entries:,} records, SHA-256 {made.digest}")


def _category(text: str) -> tuple[str, int]:
    code, sign, number = text.rpartition("=")
    if not sign or not number.isdigit():
        raise typer.BadParameter(f"{text!r} is not of the form CODE=NUMBER", param_hint="--category")
    return code, int(number)
