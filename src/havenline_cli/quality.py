"""`havenline calibration` and `havenline quality`: where people calibrate, and samples of recent decisions."""

from __future__ import annotations

from typing import Annotated

import typer

from . import desk as opening
from .told import now, plain

calibration = typer.Typer(help="Calibration on drawn pictures.", no_args_is_help=True)
quality = typer.Typer(help="Samples of recent decisions for the quality lead.", no_args_is_help=True)


@calibration.command("set-up")
def set_up(by: opening.ByOption, home: opening.HomeOption = None) -> None:
    """Make the place for drawn pictures, once; then everybody who assesses finds Calibration on the desk."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.set_up_calibration import set_up_calibration

        set_up_calibration(by=opening.person_named(by), at=now())
    typer.echo("Calibration is set up.")


@quality.command("sample")
def sample(
    by: opening.ByOption,
    reference: Annotated[str | None, typer.Argument(help="The investigation. Default: the only one.")] = None,
    size: Annotated[int, typer.Option(min=1, help="How many decisions.")] = 20,
    seed: Annotated[int | None, typer.Option(min=0, help="Draw an earlier sample again. Default: drawn anew.")] = None,
    home: opening.HomeOption = None,
) -> None:
    """Record a sample of recent decisions, by strata, and print how many of which; nothing is shown of them."""
    with opening.desk(opening.existing_home(home)):
        from collections import Counter

        from havenline_desk.actions.draw_quality_sample import draw_quality_sample

        drawn = draw_quality_sample(
            opening.investigation_named(reference), by=opening.person_named(by), wanted=size, seed=seed, at=now()
        )
        strata = Counter(drawn.sampled.values_list("stratum", flat=True))
    typer.echo(f"{strata.total():,} of {drawn.population:,} decisions, from seed {drawn.seed}")
    for stratum, count in sorted(strata.items()):
        typer.echo(f"  {plain(stratum):<48} {count:>5}")
