"""Arguments and options that several commands share."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from havenline.formats.hash_list import ColumnMap
    from havenline.vocabulary import ListTerms


class Sandbox(StrEnum):
    """Whether the processes that open files are closed off: always, where the machine can, or never."""

    REQUIRED = "required"
    AUTO = "auto"
    OFF = "off"


SandboxOption = Annotated[
    Sandbox,
    typer.Option(
        "--sandbox",
        help="Close off the processes that open files, so that a hostile one reaches nothing: required refuses to "
        "start where the machine cannot, auto says so and goes on, off is for finding faults alone.",
    ),
]
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
Force = Annotated[bool, typer.Option("--force", metavar="", help="Replace an existing file.")]
ListName = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="The list's name.", show_default="the output's name")
]
Number = Annotated[int, typer.Option("--number", metavar="N", min=1, help="The edition's number.")]
ListOutput = Annotated[
    Path, typer.Option("--output", "-o", metavar="LIST", help="A snapshot; a CSV when it ends in .csv.")
]
Maps = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="FIELD=COLUMN",
        help="Which column holds entry, md5, sha1, sha256, pdq, pdq_quality, label or frames; inside objects by dots. "
        "Columns that are named so are found without it. Repeatable.",
    ),
]
Carries = Annotated[
    list[str] | None,
    typer.Option(
        "--carry",
        metavar="KIND=COLUMN",
        help="Values to keep as they are, never compared, for example photodna=photoDnaHash. Repeatable.",
    ),
]
KindColumn = Annotated[
    str,
    typer.Option(
        "--kind-column",
        metavar="COLUMN",
        help="The column that says what kind each line's value is.",
        show_default=False,
    ),
]
ValueColumn = Annotated[
    str, typer.Option("--value-column", metavar="COLUMN", help="The column of that value.", show_default=False)
]
Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--kind",
        metavar="THEIRS=OURS",
        help="What a kind is here: md5, sha1, sha256, pdq, another word to carry it under, or nothing to pass it over. "
        "Repeatable.",
    ),
]
FormOption = Annotated[
    str | None,
    typer.Option("--format", metavar="FORM", help="csv, tsv, jsonl or parquet.", show_default="told by the content"),
]
Radius = Annotated[
    int | None,
    typer.Option(metavar="BITS", min=0, max=64, help="PDQ values are near within so many bits.", show_default="31"),
]
QualityFloor = Annotated[
    int | None,
    typer.Option(metavar="Q", min=0, max=100, help="PDQ is compared from this quality on.", show_default="50"),
]
AskedShare = Annotated[
    float | None,
    typer.Option(
        metavar="PART",
        min=0,
        max=1,
        help="A film is a match of a listed one from this part of its own frames on.",
        show_default="0.8",
    ),
]
ListedShare = Annotated[
    float | None,
    typer.Option(metavar="PART", min=0, max=1, help="And from this part of the listed one's on.", show_default="0"),
]
Allow = Annotated[
    bool,
    typer.Option(
        "--allow", metavar="", help="An allow-list: perceptual matches of files whose SHA-256 it holds are set aside."
    ),
]
Expires = Annotated[
    dt.datetime | None,
    typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="From then on (UTC) the list gives no match."),
]


def terms_from(
    before: ListTerms | None = None,
    *,
    radius: int | None = None,
    quality_floor: int | None = None,
    allow: bool | None = None,
    enabled: bool | None = None,
    expires: dt.datetime | None = None,
    asked_share: float | None = None,
    listed_share: float | None = None,
) -> ListTerms:
    """The terms before, or the usual ones, with what was said in their place."""
    from dataclasses import replace

    from havenline.vocabulary import ListTerms

    said: dict[str, Any] = {
        "radius": radius,
        "quality_floor": quality_floor,
        "allow": allow,
        "enabled": enabled,
        "expires_at": None if expires is None else expires.replace(tzinfo=dt.UTC),
        "asked_share": asked_share,
        "listed_share": listed_share,
    }
    if enabled and before is not None and before.shadow:
        raise typer.BadParameter("a list in shadow is activated by two people on the desk", param_hint="--enable")
    return replace(before or ListTerms(), **{name: value for name, value in said.items() if value is not None})


def mapping_from(
    maps: list[str] | None,
    carries: list[str] | None,
    *,
    kind_column: str = "",
    value_column: str = "",
    kinds: list[str] | None = None,
) -> ColumnMap:
    """The mapping that `--map`, `--carry` and `--kind` say. Raises typer.BadParameter."""
    from havenline.formats.hash_list import ColumnMap

    try:
        ColumnMap.of(maps or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--map") from None
    try:
        ColumnMap.of(maps or (), carries or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--carry") from None
    try:
        return ColumnMap.of(
            maps or (), carries or (), kind_column=kind_column, value_column=value_column, kinds=kinds or ()
        )
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--kind") from None


def checked_text(option: str, text: str | None) -> str | None:
    """A text of one line. Raises typer.BadParameter."""
    from havenline.vocabulary import check_text

    try:
        return None if text is None else check_text(option.lstrip("-"), text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
