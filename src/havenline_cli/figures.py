"""`havenline figures`: the funnel of an investigation, or the study of October 2023 from synthetic records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from . import desk as opening

if TYPE_CHECKING:
    from havenline.figures import Funnel

STUDIES = ("2023-10",)


def figures(
    reference: Annotated[str | None, typer.Argument(help="The investigation. Default: the only one.")] = None,
    study: Annotated[
        str | None, typer.Option(help="2023-10: recompute the published study in a throw-away database.")
    ] = None,
    as_json: opening.JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, one figure a line.")] = False,
    home: opening.HomeOption = None,
) -> None:
    """Print the funnel: posted, selected, assessed, confirmed, by law, with both denominators.

    The figures are internal: disclosure control is not applied.
    """
    if study is not None:
        opening.one_of(study, STUDIES, "--study")
        from .study import october_2023

        _print(october_2023(), as_json=as_json, as_csv=as_csv)
        return
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.queries.figures import funnel_of

        _print(funnel_of(opening.investigation_named(reference)), as_json=as_json, as_csv=as_csv)


def _print(funnel: Funnel, *, as_json: bool, as_csv: bool) -> None:
    from havenline.figures import render

    if as_json:
        typer.echo(json.dumps(render.to_json(funnel), ensure_ascii=False, indent=1))
    elif as_csv:
        typer.echo(render.to_csv(funnel), nl=False)
    else:
        typer.echo(render.to_text(funnel), nl=False)
