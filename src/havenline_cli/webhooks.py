"""`havenline webhook`: where programs are told that something changed, and the process that tells them."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import TYPE_CHECKING, Annotated

import typer

from havenline.vocabulary import HavenlineError

from . import desk as opening
from .partner import partner_named
from .told import now, plain

if TYPE_CHECKING:
    from havenline_desk.models import WebhookEndpoint

app = typer.Typer(help="Webhooks: signed events for programs that ask the match service.", no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(help="Of the webhook.")]
_LOOK_EVERY = 1.0
_AFTER_A_FAULT = 10.0


@app.command("make")
def make(
    name: Annotated[str, typer.Argument(help="Of the webhook: lower-case letters, digits, hyphens.")],
    address: Annotated[str, typer.Argument(help="https://…, without anything secret; of this house also on loopback.")],
    by: opening.ByOption,
    partner: Annotated[
        str | None, typer.Option(help="Short name of the enrolled partner whose program it is; else of this house.")
    ] = None,
    home: opening.HomeOption = None,
) -> None:
    """Make a webhook and print the secret that its events are checked with, once."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_webhooks import make_webhook

        whose = None if partner is None else partner_named(partner)
        _, secret = make_webhook(name, address, partner=whose, made_by=opening.person_named(by), at=now())
    typer.echo(f"The secret of {name}, shown this once: {secret}")


@app.command("list")
def list_webhooks(as_json: opening.JsonOption = False, home: opening.HomeOption = None) -> None:
    """List the webhooks: whose, whether they are on, what waits and what was given up."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.queries.webhooks import webhook_lines

        rows = [
            {
                "name": line.endpoint.name,
                "partner": line.owner or None,
                "address": line.endpoint.address,
                "state": "ended" if line.endpoint.ended_at else "off" if line.endpoint.off_at else "on",
                "waiting": line.waiting,
                "dead": line.dead,
            }
            for line in webhook_lines(events=0)
        ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        whose = f"of {row['partner']}" if row["partner"] else "of this house"
        typer.echo(
            f"{row['name']:<24} {row['state']:<6} {plain(whose)}, {row['waiting']:,} waiting, {row['dead']:,} given up"
            f"  {plain(str(row['address']))}"
        )


@app.command("log")
def log(name: NameArgument, home: opening.HomeOption = None) -> None:
    """Tell of the newest events of a webhook and of each attempt to send them."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.queries.webhooks import event_lines

        lines = event_lines(_named(name))
    for line in lines:
        typer.echo(f"msg_{line.id}  {line.kind:<14} {line.caused_at:%Y-%m-%d %H:%M:%S} UTC  {line.state}")
        for each in line.attempts:
            status = f" ({each.status})" if each.status is not None else ""
            typer.echo(f"    {each.begun_at:%Y-%m-%d %H:%M:%S} UTC  {each.result or 'no result noted'}{status}")


@app.command("try")
def try_it(name: NameArgument, by: opening.ByOption, home: opening.HomeOption = None) -> None:
    """Send an event that says nothing, to see whether it arrives."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_webhooks import try_webhook

        try_webhook(_named(name), by=opening.person_named(by), at=now())
    typer.echo(f"put out; `havenline webhook log {plain(name)}` says whether it arrived.")


@app.command("secret")
def secret(name: NameArgument, by: opening.ByOption, home: opening.HomeOption = None) -> None:
    """Change the secret and print the new one, once; for 24 hours events are signed with the old one too."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_webhooks import change_secret

        made = change_secret(_named(name), by=opening.person_named(by), at=now())
    typer.echo(f"The new secret of {name}, shown this once: {made}")


@app.command("on")
def on(name: NameArgument, by: opening.ByOption, home: opening.HomeOption = None) -> None:
    """Switch a webhook on again that had failed for days and was switched off."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_webhooks import switch_on

        switch_on(_named(name), by=opening.person_named(by), at=now())
    typer.echo(f"the webhook {name} is on.")


@app.command("replay")
def replay(
    event: Annotated[str, typer.Argument(help="Its id, as `havenline webhook log` shows it.")],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Send an event once more, under the same id."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_webhooks import replay_event
        from havenline_desk.queries.webhooks import event_named

        found = event_named(event)
        if found is None:
            raise opening.CommandError("there is no such event; see `havenline webhook log`")
        replay_event(found, by=opening.person_named(by), at=now())
    typer.echo("put out once more.")


@app.command("end")
def end(name: NameArgument, by: opening.ByOption, home: opening.HomeOption = None) -> None:
    """End a webhook for good; what waits is not sent."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_webhooks import end_webhook

        end_webhook(_named(name), by=opening.person_named(by), at=now())
    typer.echo(f"the webhook {name} has ended.")


@app.command("send")
def send(
    at_once: Annotated[int, typer.Option(min=1, max=32, help="Webhooks that are sent to at the same time.")] = 4,
    once: Annotated[bool, typer.Option("--once", help="Leave when nothing is due.")] = False,
    home: opening.HomeOption = None,
) -> None:
    """Send what is due, until told to end. `havenline up` starts it where HAVENLINE_WEBHOOKS=1."""
    with contextlib.suppress(KeyboardInterrupt), opening.desk(opening.existing_home(home)):
        if once:
            _send(once=True)
            return
        for number in range(at_once - 1):  # a slow receiver must not hold up the others
            threading.Thread(target=_send, name=f"webhooks {number}", daemon=True).start()
        _send()


def _send(*, once: bool = False) -> None:
    """Until nothing is due, or for ever."""
    from django.db import Error, close_old_connections

    from havenline_desk.jobs.webhooks import send_next

    while True:
        pause = _LOOK_EVERY
        try:
            close_old_connections()
            if send_next(now=now) is not None:
                continue
            if once:
                return
        except (Error, OSError, HavenlineError) as error:  # the log may be out of reach for a moment
            typer.echo(f"havenline webhook: {plain(str(error).strip() or type(error).__name__)}", err=True)
            pause = _AFTER_A_FAULT
        time.sleep(pause)


def _named(name: str) -> WebhookEndpoint:
    from havenline_desk.queries.webhooks import webhook_named

    found = webhook_named(name)
    if found is None:
        raise opening.CommandError(f"there is no webhook {name}; see `havenline webhook list`")
    return found
