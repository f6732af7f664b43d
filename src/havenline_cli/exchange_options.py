"""What the commands of exchanges share: the words for their options, and an exchange for the time of a block."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from havenline.connectors.exchange import Exchange

Name = Annotated[str, typer.Argument(metavar="NAME", help="The exchange's name.")]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        metavar="FOLDER",
        envvar="HAVENLINE_EXCHANGES",
        help="Where exchanges are kept, one folder each.",
        show_default="exchanges in the data folder",
    ),
]
Key = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FILE",
        envvar="HAVENLINE_EXCHANGE_KEY",
        help="The age identity that credentials are sealed to.",
        show_default="exchange.key in the data folder",
    ),
]


@contextmanager
def opened_exchange(folder: Path | None, name: str) -> Iterator[Exchange]:
    """An exchange for the time of the block. Raises ExchangeError."""
    from havenline.connectors.exchange import Exchange

    where = exchange_folder(folder, name)
    with faults_told(where):
        opened = Exchange(where)
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def faults_told(where: Path) -> Iterator[None]:
    """What the operating system refuses, as one line."""
    from havenline.connectors.exchange import ExchangeError

    try:
        yield
    except OSError as error:
        raise ExchangeError(f"{where}: cannot be used ({error.strerror or error})") from None


def exchanges_root(folder: Path | None) -> Path:
    return folder if folder is not None else home_folder() / "exchanges"


def exchange_folder(folder: Path | None, name: str) -> Path:
    """Where the exchange of that name lies, or would. Raises BadParameter for what is no name."""
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise typer.BadParameter("letters, digits, - and _ are expected", param_hint="NAME")
    return exchanges_root(folder) / name


def sealing_key(key: Path | None) -> Path:
    """The file of the key that credentials are sealed with; by default that of the data folder."""
    return key if key is not None else home_folder() / "exchange.key"


def home_folder() -> Path:
    """The data folder of whoever runs the command, whether or not it is there yet."""
    from havenline_desk.sites.home import Home

    return Home.locate(environ=os.environ, uid=os.getuid()).path
