"""`havenline exchange feedback`: what our people decided about partners' entries goes back to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from havenline_cli import desk as opening
from havenline_cli import exits
from havenline_cli.exchange_options import Folder, Key, Name, opened_exchange, sealing_key
from havenline_cli.options import AsJson
from havenline_cli.told import now, plain, tell

if TYPE_CHECKING:
    from pathlib import Path

app = typer.Typer(
    help="Send partners what our people decided about their entries, where the liaison switched that on.",
    no_args_is_help=True,
    epilog=exits.EPILOG,
)


@app.command("list", epilog=exits.EPILOG)
def list_(as_json: AsJson = False, home: opening.HomeOption = None) -> None:
    """Print for each exchange whether opinions go back, how many wait and were sent, and what was given up."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.queries.feedback import letters, source_lines

        sources, dead = source_lines(at=now()), letters()
    told = [
        {
            "exchange": line.name,
            "takes_opinions": line.takes,
            "on": line.on,
            "against": list(line.against),
            "waiting": line.waiting,
            "sent": line.sent,
            "given_up": line.given_up,
            "moot": line.moot,
        }
        for line in sources
    ]
    letter_rows = [
        {"opinion": each.opinion, "list": each.list_name, "entry": each.key, "view": each.view, "why": each.why}
        for each in dead
    ]
    lines = [
        f"{plain(line.name)}: {'on' if line.on else 'off'}, {line.waiting:,} wait, {line.sent:,} sent, "
        f"{line.given_up:,} given up"
        if line.takes
        else f"{plain(line.name)}: takes no opinions"
        for line in sources
    ]
    lines += [f"  {each.opinion}  {plain(each.key)}  {each.view}: {plain(each.why)}" for each in dead]
    tell({"sources": told, "given_up": letter_rows}, lines or ["no exchange is set up"], as_json=as_json)


@app.command("on", epilog=exits.EPILOG)
def on(
    name: Name,
    by: opening.ByOption,
    against: Annotated[
        list[str], typer.Option("--against", metavar="REASON", help="The partner's reason to vote against. Repeatable.")
    ],
    home: opening.HomeOption = None,
) -> None:
    """Have opinions go back to this partner from now on; what was settled before goes too."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_feedback import switch_feedback

        switch_feedback(name, against=against, by=opening.person_named(by), at=now())
    typer.echo(f"{plain(name)}: on")


@app.command("off", epilog=exits.EPILOG)
def off(name: Name, by: opening.ByOption, home: opening.HomeOption = None) -> None:
    """Have nothing go back to this partner, from this moment on. What was sent is not taken back."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_feedback import stop_feedback

        stop_feedback(name, by=opening.person_named(by), at=now())
    typer.echo(f"{plain(name)}: off")


@app.command("send", epilog=exits.EPILOG)
def send(by: opening.ByOption, key: Key = None, home: opening.HomeOption = None) -> None:
    """Send what is due now. `exchange keep` does it by itself under `havenline up`."""
    with opening.desk(opening.existing_home(home)):
        sent = send_due(key, by=by)
    for name, count in sent.items():
        typer.echo(f"{plain(name)}: {count:,} sent")
    if not sent:
        typer.echo("nothing is due")


@app.command("retry", epilog=exits.EPILOG)
def retry(
    opinion: Annotated[str, typer.Argument(metavar="OPINION", help="As `exchange feedback list` names it.")],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Have an opinion that was given up sent again."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_feedback import retry_feedback
        from havenline_desk.queries.feedback import opinion_named

        found = opinion_named(opinion)
        if found is None:
            raise opening.CommandError(f"there is no opinion {opinion}; see `havenline exchange feedback list`")
        retry_feedback(found, by=opening.person_named(by), at=now())
    typer.echo("it is sent again")


@app.command("reasons", epilog=exits.EPILOG)
def reasons(name: Name, folder: Folder = None, key: Key = None) -> None:
    """Print the partner's reasons to vote against an entry; NCMEC is asked for its own."""
    with opened_exchange(folder, name) as opened:
        partner = opened.feedback(sealing_key(key))
        for line in partner.reasons_against():
            typer.echo(plain(line))


def send_due(key: Path | None, *, by: str | None = None) -> dict[str, int]:
    """Send what is due, in a desk that is open; how many got there, by exchange. Raises as `send_feedback`."""
    from havenline_desk.actions.send_feedback import send_feedback

    person = None if by is None else opening.person_named(by)
    return send_feedback(lambda exchange: exchange.feedback(sealing_key(key)), by=person, at=now())
