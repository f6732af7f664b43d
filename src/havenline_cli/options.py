"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SourcePath = Annotated[Path, typer.Argument(metavar="PATH", help="A folder, a zip, a tar (also packed), or one file.")]
Workers = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, max=512, help="Worker processes.", show_default="all cores"),
]
Matchd = Annotated[
    Path | None,
    typer.Option(
        "--matchd",
        metavar="SOCKET",
        help="Look up in the lists that `havenline matchd` serves there.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", metavar="", help="Print the summary as JSON.")]
