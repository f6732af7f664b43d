"""The processes of one desk on a machine of its own: which there are, and `havenline status`."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from havenline_cli import exits
from havenline_cli.desk import CommandError, HomeOption, JsonOption, existing_home

if TYPE_CHECKING:
    from havenline_desk.sites.supervisor import Part, Program, Supervisor
    from havenline_desk.sites.wiring import Wired

_HAVENLINE = [sys.executable, "-c", "from havenline_cli.main import main; main()"]


@contextlib.contextmanager
def supervised(wired: Wired, port: int) -> Iterator[Supervisor]:
    """All processes of the desk, started and answering; they are stopped when the block ends."""
    from havenline_desk.sites.supervisor import STATUS_FILE, Supervisor

    # Its own folder, closed to others: the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="havenline-") as folder:
        supervisor = Supervisor(
            list(_parts(wired, port, Path(folder))),
            record=wired.home.path / STATUS_FILE,
            say=lambda line: typer.echo(f"havenline: {line}", err=True),
        )
        try:
            supervisor.start()
            yield supervisor
        finally:
            supervisor.stop()


def _parts(wired: Wired, port: int, folder: Path) -> Iterator[Part]:
    """In the order in which they are started; those that the operator runs are not among them."""
    from havenline_desk.sites import server
    from havenline_desk.sites.supervisor import Database, Program

    if wired.cluster is not None:
        yield Database(wired.cluster, ours=wired.started)
    if (keyd := wired.own_keyd) is not None:
        yield Program(
            "keyd", keyd.command, answers=keyd.answers, responds=keyd.responds, running=wired.keyd, adopted=keyd.pid
        )
    if not os.environ.get("HAVENLINE_DECODERD"):
        yield decoderd_part(folder)
    for name in ("sealer", "jobs"):
        yield Program(name, [*_HAVENLINE, name, "--home", str(wired.home.path)], environ=server.environ)
    if os.environ.get("HAVENLINE_EXCHANGES_APART") != "1":
        yield _exchanges_part(wired.home.path)
    yield from _match_parts(wired.home.path, folder)
    yield web_part(port)


def _match_parts(home: Path, folder: Path) -> Iterator[Part]:
    """The match service with a `matchd` for this house's own lists, and what sends webhooks: where they are wanted."""
    from havenline_desk import editions
    from havenline_desk.sites import server
    from havenline_desk.sites.supervisor import Program

    if wanted := os.environ.get("HAVENLINE_MATCH_API"):
        if not wanted.isdigit():
            raise CommandError("HAVENLINE_MATCH_API names the port of the match service on 127.0.0.1")
        lists = os.environ.get("HAVENLINE_MATCHD", "")
        if not lists:
            lists = str(folder / "matchd")
            yield _matchd_part(Path(lists), editions.made_live_folder())
        yield Program(
            "match service",
            [*_HAVENLINE, "match-api", "--port", wanted, "--home", str(home)],
            answers=lambda: server.answers(int(wanted)),
            responds=lambda: server.responds(int(wanted)),
            # For it alone: imports look the same lists up by themselves.
            environ=lambda: server.environ() | {"HAVENLINE_MATCHD": lists},
            required=False,
        )
    if os.environ.get("HAVENLINE_WEBHOOKS") == "1":
        command = [*_HAVENLINE, "webhook", "send", "--home", str(home)]
        yield Program("webhooks", command, environ=server.environ, required=False)


def _matchd_part(path: Path, lists: Path) -> Program:
    from havenline_desk.sites import server
    from havenline_desk.sites.supervisor import Program

    command = [*_HAVENLINE, "matchd", str(lists), "--socket", str(path)]
    return Program("matchd", command, answers=lambda: _listens(path), environ=server.environ, required=False)


def _exchanges_part(home: Path) -> Program:
    """What fetches partners' lists and sends opinions by itself; where there is no exchange it waits for one."""
    from havenline_desk.sites import server
    from havenline_desk.sites.supervisor import Program

    folder = os.environ.get("HAVENLINE_EXCHANGES") or str(home / "exchanges")
    key = os.environ.get("HAVENLINE_EXCHANGE_KEY") or str(home / "exchange.key")
    command = [*_HAVENLINE, "exchange", "keep", "--folder", folder, "--key", key, "--home", str(home)]
    return Program("exchanges", command, environ=server.environ, required=False)


def decoderd_part(folder: Path) -> Program:
    """A `decoderd` with its socket in a folder of its own within `folder`, in namespaces of its own where that can be.

    Where it never comes, the desk shows nothing and says so.
    """
    from havenline_cli.bubble import bubble
    from havenline_desk.sites.supervisor import Program

    path = folder / "decoderd" / "s"
    path.parent.mkdir(mode=0o700)
    Path(os.environ["NUMBA_CACHE_DIR"]).mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ["HAVENLINE_DECODERD"] = str(path)
    command = [*bubble(folder=path.parent).before, *_HAVENLINE, "decoderd", "--socket", str(path)]
    return Program(
        "decoderd", command, answers=lambda: _listens(path), responds=lambda: _tells_state(path), required=False
    )


def _tells_state(path: Path) -> bool:
    from havenline_guard.decoder_client import DecoderClient, DecoderdUnreachable

    with contextlib.suppress(DecoderdUnreachable):
        return bool(DecoderClient(path, timeout=15.0).state())
    return False


def web_part(port: int) -> Program:
    """The web server, without the way in of the tables' owner."""
    from havenline_desk.sites import server
    from havenline_desk.sites.supervisor import Program

    return Program(
        "web server",
        server.command(port),
        answers=lambda: server.answers(port),
        responds=lambda: server.responds(port),
        environ=server.environ,
    )


def _listens(path: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(1.0)
        asking.connect(str(path))
        return True
    return False


def status(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Say which processes of a data folder run under `havenline up` or `demo`; 1 where one is missing or none runs."""
    from havenline_desk.sites.supervisor import STATUS_FILE, missing, told

    record = existing_home(home).path / STATUS_FILE
    processes = told(record)
    waiting = missing(record)
    if as_json:
        rows = [asdict(each) | {"runs": each.runs} for each in processes]
        typer.echo(json.dumps({"processes": rows, "missing": waiting}, indent=2))
    elif not processes:
        typer.echo("nothing runs under `havenline up` or `havenline demo` in this data folder")
    else:
        for each in processes:
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(each.since))
            again = f", started again {each.again} times" if each.again else ""
            said = f"runs since {since} UTC{again}" if each.runs else "has ended"
            typer.echo(f"{each.name:<12} {each.pid:>8}  {said}")
        for name in waiting:
            typer.echo(f"{name:<12} {'-':>8}  has ended and is to be started again")
    if waiting or not processes or not all(each.runs for each in processes):
        raise typer.Exit(exits.FAILED)
