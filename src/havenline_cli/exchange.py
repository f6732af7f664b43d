"""`havenline exchange`: partners' lists, fetched in their own protocol into live lists."""

from __future__ import annotations

import datetime as dt
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from havenline.vocabulary import HavenlineError
from havenline_cli import desk as opening
from havenline_cli import exits
from havenline_cli.exchange_feedback import app as feedback_app
from havenline_cli.exchange_feedback import send_due
from havenline_cli.exchange_options import (
    Folder,
    Key,
    Name,
    exchange_folder,
    exchanges_root,
    faults_told,
    opened_exchange,
    sealing_key,
)
from havenline_cli.options import AsJson, checked_text
from havenline_cli.told import all_cores, now, plain, say_if_compiling, tell

if TYPE_CHECKING:
    from havenline.connectors.exchange import Exchange, Fetched

app = typer.Typer(
    help="Fetch partners' lists in their own protocol, and keep them as live lists that follow what the partner adds "
    "and withdraws.",
    no_args_is_help=True,
    epilog=exits.EPILOG,
)
app.add_typer(feedback_app, name="feedback")
_LOOK_EVERY = 10.0
_SHOWN = 20
"""Entries that the screen keeps out, named one by one for who may let one through."""


@app.command("set-up", epilog=exits.EPILOG)
def set_up(
    name: Name,
    connector: Annotated[str, typer.Option(metavar="KIND", help="ncmec, stopncii, threatexchange, hma or arachnid.")],
    base_url: Annotated[str, typer.Option("--base-url", metavar="URL", help="The partner's; nothing else is asked.")],
    list_name: Annotated[
        str | None, typer.Option("--list", metavar="LIST", help="The live list's name.", show_default="NAME")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SETTING=VALUE", help="threatexchange: privacy_group=NUMBER; hma: bank=NAME."),
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option("--ca-file", metavar="FILE", help="Certificates to trust in place of the usual ones.")
    ] = None,
    shadow_days: Annotated[
        int,
        typer.Option("--shadow-days", metavar="DAYS", min=0, max=365, help="In shadow so long before it may match."),
    ] = 7,
    every: Annotated[
        int,
        typer.Option(
            "--every",
            metavar="MINUTES",
            min=0,
            max=10_080,
            help="`keep` and `up` fetch it so often; 0: never by itself.",
        ),
    ] = 60,
    folder: Folder = None,
    key: Key = None,
) -> None:
    """Make an exchange, or give it new credentials.

    They are asked for, or read from lines `NAME=VALUE` that are piped in.
    """
    # long: every option of the command stands in its signature
    from havenline.connectors import exchange, sealed

    settings = dict(_pair(text) for text in set_ or ())
    kind = exchange.KINDS.get(connector)
    if kind is not None and kind.signed:
        raise typer.BadParameter("a publisher is added with `exchange add-publisher`", param_hint="--connector")
    if kind is None:
        raise typer.BadParameter(f"is one of {', '.join(exchange.KINDS)}", param_hint="--connector")
    configured = exchange.Configured(
        connector,
        base_url,
        checked_text("--list", list_name) or name,
        settings,
        None if ca_file is None else str(ca_file.absolute()),
        shadow_days,
        every,
    )
    where, sealing = exchange_folder(folder, name), sealing_key(key)
    secrets = _secrets(kind.secrets, kind.more_secrets)
    with faults_told(where):
        if not sealing.exists():
            sealing.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            sealed.make_key(sealing)
            typer.echo(
                f"havenline: made the key {plain(sealing)}: keep it apart from backups of the exchange", err=True
            )
        exchange.set_up(where, configured, secrets, key=sealing)
    typer.echo(f"{plain(name)}: set up; fetch with `havenline exchange fetch {plain(name)}`")


@app.command(epilog=exits.EPILOG)
def fetch(
    name: Name,
    accept_growth: Annotated[
        bool, typer.Option("--accept-growth", metavar="", help="Also where a publisher's list grows more than tenfold.")
    ] = False,
    from_folder: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="A copy of a publisher's folder, on a USB stick for example."),
    ] = None,
    folder: Folder = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Fetch what changed since the last time, and apply it to the live list."""
    taken = Taken(from_folder, accept_growth)
    _fetch(name, resync=False, folder=folder, key=key, as_json=as_json, taken=taken)


@app.command(epilog=exits.EPILOG)
def resync(name: Name, folder: Folder = None, key: Key = None, as_json: AsJson = False) -> None:
    """Fetch everything anew, and withdraw what the partner serves no more. `fetch` goes on with one that broke off."""
    _fetch(name, resync=True, folder=folder, key=key, as_json=as_json, taken=Taken())


@app.command(epilog=exits.EPILOG)
def keep(
    folder: Folder = None,
    key: Key = None,
    once: Annotated[bool, typer.Option("--once", metavar="", help="Look at each once, and end.")] = False,
    home: Annotated[
        Path | None, typer.Option("--home", help="Send opinions of this desk too, where they are switched on.")
    ] = None,
) -> None:
    """Fetch every exchange as often as it says, and keep each list to its stage, until told. `up` starts it."""
    from random import SystemRandom

    from havenline.connectors.keeping import Keeper

    def fetched(exchange: Exchange, at: dt.datetime) -> Fetched:
        return exchange.fetch(exchange.connector(sealing_key(key)), at=at, threads=all_cores())

    keeper = Keeper(exchanges_root(folder), fetched, chance=SystemRandom())
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        if home is not None:
            stack.enter_context(opening.desk(opening.existing_home(home)))
        while True:
            for kept in keeper.step(now()):
                done = "its list was put to its stage" if kept.enforced else ""
                if kept.fetched is not None:
                    done = f"{kept.fetched.records:,} records, {kept.fetched.applied:,} changes applied"
                typer.echo(f"havenline exchange: {plain(kept.name)}: {plain(kept.fault) or done}", err=True)
            if home is not None:
                _send(key)
            if once:
                return
            time.sleep(_LOOK_EVERY)


def _send(key: Path | None) -> None:
    """Say what was sent, or why nothing could be; fetching goes on in any case."""
    from django.db import DatabaseError, InterfaceError, close_old_connections

    try:
        close_old_connections()
        for name, count in send_due(key).items():
            typer.echo(f"havenline exchange: {plain(name)}: {count:,} opinions sent", err=True)
    except (DatabaseError, InterfaceError, HavenlineError, OSError) as error:
        typer.echo(f"havenline exchange: no opinions were sent ({plain(type(error).__name__)})", err=True)


@app.command(epilog=exits.EPILOG)
def status(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One exchange.", show_default="all")] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Print how exchanges stand: entries, quarantine, and when everything was last here."""
    from havenline.connectors.alarms import standing_alarm
    from havenline.connectors.havenline.pinned import is_revoked

    root = exchanges_root(folder)
    names = [name] if name else sorted(path.parent.name for path in root.glob("*/exchange.json"))
    told, lines = [], []
    for each in names:
        with opened_exchange(folder, each) as opened:
            standing, configured, staged = opened.store.standing(), opened.configured, opened.store.staged
            alarm = standing_alarm(opened.folder)
        told.append(
            {
                "name": each,
                "connector": configured.connector,
                "base_url": configured.base_url,
                "list": configured.list_name,
                "live_lists": str(root / each / "live"),
                "entries": standing.live,
                "without_entry": standing.withdrawn,
                "stage": staged.stage.value,
                "stage_since": _iso(staged.since),
                "quarantined": standing.quarantined,
                "screened": standing.screened,
                "let_through": standing.let_through,
                "withheld": standing.withheld,
                "not_yet_applied": standing.owed,
                "opinions": standing.opinions,
                "resyncing": standing.resyncing,
                "fetched_at": _iso(standing.fetched_at),
                "complete_at": _iso(standing.complete_at),
                "revoked": is_revoked(root / each),
                "alarm": None if alarm is None else {"reason": alarm.reason.value, "since": _iso(alarm.since)},
            }
        )
        more = ", everything is being fetched anew" if standing.resyncing else ""
        counts = (
            f"{standing.live:,} entries, {standing.quarantined:,} in quarantine, {standing.screened:,} kept out by the "
            f"screen, {standing.withheld:,} withheld"
        )
        whole, last = (_iso(at) or "never" for at in (standing.complete_at, standing.fetched_at))
        lines.append(f"{plain(each)} ({configured.connector}), {staged.stage}: {counts}{more}")
        if told[-1]["revoked"]:
            lines.append("  revoked: nothing of it is in a list, and it is asked no more")
        if alarm is not None:
            lines.append(f"  ALARM since {_iso(alarm.since)}, {alarm.times} times: {plain(alarm.text)}")
        lines.append(f"  whole at {whole}, last asked {last}; look up with --list {plain(root / each / 'live')}")
    tell({"exchanges": told}, lines or [f"{plain(root)}: no exchange"], as_json=as_json)


@app.command(epilog=exits.EPILOG)
def quarantine(
    name: Name,
    retry: Annotated[
        bool, typer.Option("--retry", metavar="", help="Read them again, after this program became newer.")
    ] = False,
    folder: Folder = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Print why records were not understood, and why entries are kept out; never what they hold."""
    with opened_exchange(folder, name) as opened:
        understood = 0
        if retry:
            understood = opened.retry(opened.connector(sealing_key(key)), at=now(), threads=all_cores())
        left, screened = opened.store.quarantine(), opened.store.screened()
        keys = opened.store.screened_keys(most=_SHOWN)
    counts: dict[str, int] = {}
    for unread, _ in left:
        counts[unread.reason] = counts.get(unread.reason, 0) + 1
    summary = {
        "name": name,
        "understood_now": understood,
        "quarantined": len(left),
        "reasons": counts,
        "screened": screened,
        "kept_out": [{"entry": key, "reason": reason, "since": since} for key, reason, since in keys],
    }
    lines = [f"{plain(name)}: {len(left):,} in quarantine" + (f", {understood:,} understood now" if retry else "")]
    lines += [f"  {count:>9,}  {plain(reason)}" for reason, count in sorted(counts.items())]
    lines += [f"  {count:>9,}  kept out: {plain(reason)}" for reason, count in screened.items()]
    lines += [f"  {plain(key)}: {plain(reason)}" for key, reason, _ in keys]
    tell(summary, lines, as_json=as_json)
    raise typer.Exit(exits.SOMETHING_REFUSED if left else exits.DONE)


@app.command(epilog=exits.EPILOG)
def suspend(name: Name, by: opening.ByOption, home: opening.HomeOption = None) -> None:
    """Have the list match nothing, from this moment on. One person is enough; it comes back through shadow alone."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_incoming import suspend_list

        suspend_list(name, by=opening.person_named(by), at=now())
    typer.echo(f"{plain(name)}: suspended; it matches nothing")


@app.command(epilog=exits.EPILOG)
def resume(name: Name, by: opening.ByOption, home: opening.HomeOption = None) -> None:
    """Take a suspended list up again, in shadow: what it would match is counted, and nobody acts on it."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_incoming import resume_list

        resume_list(name, by=opening.person_named(by), at=now())
    typer.echo(f"{plain(name)}: in shadow")


@app.command("let-through", epilog=exits.EPILOG)
def let_through(
    name: Name,
    entry: Annotated[str, typer.Argument(metavar="ENTRY", help="As `exchange quarantine` names it.")],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Put one entry that the screen keeps out into the list, in this version of it."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.keep_incoming import let_through

        let_through(name, entry, by=opening.person_named(by), at=now())
    typer.echo(f"{plain(name)}: {plain(entry)} is in the list")


@app.command(epilog=exits.EPILOG)
def ask(
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="PDQ values, one a line; each leaves the house.")],
    folder: Folder = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Ask a partner that serves no list about PDQ values. An answer is a lead, never a verdict."""
    from havenline.connectors.exchange import ExchangeError

    with opened_exchange(folder, name) as opened:
        shield = opened.shield(sealing_key(key))
        try:
            values = [line.strip().lower() for line in file.read_text().splitlines() if line.strip()]
            leads = shield.leads(values)
        except (ValueError, UnicodeDecodeError):
            raise ExchangeError(f"{file}: holds a line that is no PDQ value; nothing was asked") from None
    told = [
        {"line": at, "classification": lead.classification.value, "match": lead.match_type and lead.match_type.value}
        for at, lead in enumerate(leads, start=1)
    ]
    lines = [f"{each['line']:>9,}  {each['classification']}  {each['match'] or ''}".rstrip() for each in told]
    tell({"name": name, "asked": len(told), "leads": told}, lines or ["nothing was asked"], as_json=as_json)


@dataclass(frozen=True, slots=True)
class Taken:
    """How a publisher's list is taken this once: from which folder, and however long it has become."""

    from_folder: Path | None = None
    accept_growth: bool = False


def _fetch(
    name: str,
    *,
    resync: bool,
    folder: Path | None,
    key: Path | None,
    as_json: bool,
    taken: Taken,
) -> None:
    say_if_compiling()
    with opened_exchange(folder, name) as opened:
        connector = opened.connector(sealing_key(key), from_folder=taken.from_folder, accept_growth=taken.accept_growth)
        done = opened.fetch(connector, at=now(), resync=resync, threads=all_cores())
        standing = opened.store.standing()
    summary = {
        "name": name,
        "pages": done.pages,
        "records": done.records,
        "quarantined_now": done.unread,
        "changes_applied": done.applied,
        "resynced": done.resynced,
        "entries": standing.live,
        "quarantined": standing.quarantined,
    }
    tell(summary, [_fetched_words(name, done, standing.live, standing.quarantined)], as_json=as_json)
    raise typer.Exit(exits.SOMETHING_REFUSED if done.unread else exits.DONE)


def _fetched_words(name: str, done: Fetched, live: int, quarantined: int) -> str:
    anew = "everything fetched anew: " if done.resynced else ""
    return (
        f"{plain(name)}: {anew}{done.records:,} records, {done.applied:,} changes applied; {live:,} entries, "
        f"{quarantined:,} in quarantine"
    )


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise typer.BadParameter(f"{text!r} is not of the form SETTING=VALUE", param_hint="--set")
    return name.strip(), value.strip()


def _secrets(names: tuple[str, ...], more: tuple[str, ...]) -> dict[str, str]:
    """From a person who is asked, or from standard input; never from the command line, where others can read them."""
    if sys.stdin.isatty():
        asked = {name: typer.prompt(name, hide_input=True) for name in names}
        wanted = {name: typer.prompt(f"{name} (may be empty)", default="", hide_input=True) for name in more}
        return asked | {name: value for name, value in wanted.items() if value}
    found = {}
    for line in sys.stdin.read().splitlines():
        name, sign, value = line.partition("=")
        if sign:
            found[name.strip()] = value.strip()
    return found


def _iso(at: dt.datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds")
