"""The `havenline` command: every command is registered here, and lives in a file of its own."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from havenline.vocabulary import HavenlineError
from havenline_cli import (
    api_keys,
    audit,
    backup,
    decoderd,
    demo,
    doctor,
    exchange,
    exits,
    feed,
    figures,
    film,
    framework,
    investigation,
    jobs,
    lists,
    match_api,
    matchd,
    partner,
    people,
    picture,
    proposal,
    provenance,
    publish,
    publishers,
    quality,
    queue,
    release,
    repository,
    retention,
    scan,
    sealer,
    storage,
    supervised,
    verify,
    webhooks,
)

app = typer.Typer(
    name="havenline",
    help="The workbench of a child-protection hotline: fingerprint, match, assess, publish. "
    "A match is a lead, never a verdict.",
    epilog=exits.EPILOG,
    no_args_is_help=True,
    add_completion=False,
    # Tracebacks with local values could show what a file holds.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from havenline import __version__

        typer.echo(f"havenline {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, metavar="", help="Print the version."),
    ] = False,
) -> None:
    """Options before the command."""


app.command("demo")(demo.demo)
app.command("up")(demo.up)
app.command("status", epilog=exits.EPILOG)(supervised.status)
app.command("sealer", epilog=exits.EPILOG)(sealer.sealer)
app.command("jobs", epilog=exits.EPILOG)(jobs.jobs)
app.command("doctor")(doctor.doctor)
app.command("scan", help=scan.HELP, epilog=exits.EPILOG)(scan.scan)
app.command("provenance", help=provenance.HELP, epilog=exits.EPILOG)(provenance.provenance)
app.add_typer(lists.app, name="list")
for _name, _of_publishers in publishers.COMMANDS.items():
    exchange.app.command(_name, epilog=exits.EPILOG)(_of_publishers)
app.add_typer(exchange.app, name="exchange")
app.add_typer(repository.app, name="repository")
app.add_typer(feed.app, name="feed")
app.add_typer(film.app, name="film")
app.add_typer(picture.app, name="picture")
app.add_typer(investigation.app, name="investigation")
app.command("matchd", help=matchd.HELP, epilog=exits.EPILOG)(matchd.matchd)
app.command("matchd-status", epilog=exits.EPILOG)(matchd.status)
app.command("match-api", help=match_api.HELP, epilog=exits.EPILOG)(match_api.match_api)
app.add_typer(api_keys.app, name="api-key")
app.add_typer(webhooks.app, name="webhook")
app.command("decoderd", help=decoderd.HELP, epilog=exits.EPILOG)(decoderd.decoderd)
app.command("figures")(figures.figures)
app.command("publish", epilog=exits.EPILOG)(publish.publish)
app.add_typer(people.person, name="person")
app.add_typer(framework.app, name="framework")
app.add_typer(quality.calibration, name="calibration")
app.add_typer(quality.quality, name="quality")
app.add_typer(storage.app, name="storage")
app.add_typer(retention.retention, name="retention")
app.add_typer(retention.hold, name="hold")
app.command("scrub", epilog=exits.EPILOG)(retention.scrub)
app.add_typer(queue.queue, name="queue")
app.add_typer(queue.escalation, name="escalation")
app.add_typer(proposal.app, name="proposal")
app.add_typer(release.app, name="release")
app.add_typer(partner.app, name="partner")
app.add_typer(audit.app, name="audit")
app.command("backup", epilog=exits.EPILOG)(backup.backup)
app.command("restore", epilog=exits.EPILOG)(backup.restore)
app.command(
    "verify",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(verify.verify)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and give its exit code; an error raised on purpose is one line on stderr."""
    command = typer.main.get_command(app)
    try:
        command.main(args=None if arguments is None else list(arguments), prog_name="havenline")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else exits.DONE
    except KeyboardInterrupt:
        code = exits.INTERRUPTED
    except HavenlineError as error:
        typer.echo(f"havenline: {error}", err=True)
        code = exits.FAILED
    if code == exits.INTERRUPTED:
        typer.echo("havenline: interrupted; nothing unfinished was kept", err=True)
    return code


def main() -> None:
    """The entry point. A polite request to end, or a closed terminal, ends a command as Ctrl+C does."""
    for polite in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(polite, signal.default_int_handler)
    _keep_commands_out_of_workers()
    sys.exit(run())


def _keep_commands_out_of_workers() -> None:
    # Python before 3.12.8 lets each process that multiprocessing forks import the script that began (gh-126631), and
    # with it every command. No work of ours lives there, and a closed worker should hold nothing that it does not need.
    started = sys.modules["__main__"]
    started.__spec__ = None
    started.__dict__.pop("__file__", None)
