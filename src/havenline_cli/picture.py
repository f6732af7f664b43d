"""`havenline picture compare`: whether one picture may have been made of another, one to one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from havenline_cli import exits, told
from havenline_cli.options import AsJson, Sandbox, SandboxOption
from havenline_cli.told import Refusals, get_ready, tell

if TYPE_CHECKING:
    from havenline.provenance.derived import Comparison

app = typer.Typer(help="Compare pictures.", no_args_is_help=True)
HELP = (
    "Lay one picture over another and tell which parts lie alike.\n\n"
    "Told are how many corners agree, how one lies on the other, a score that was calibrated on drawn pictures alone, "
    "and a coarse map: # alike, x different, . too plain to say, blank not covered. Nothing is kept, and nothing can "
    "be looked up by it. A suggestion for a person, never a verdict. Files are opened in worker processes that can "
    "reach nothing else."
)
_SIGNS = {"alike": "#", "differs": "x", "plain": ".", "outside": " "}


@app.command("compare", help=HELP, epilog=exits.EPILOG)
def compare(
    one: Annotated[Path, typer.Argument(metavar="PICTURE", help="The picture that the map is of.")],
    other: Annotated[Path, typer.Argument(metavar="OTHER", help="The picture that is laid over it.")],
    sandbox: SandboxOption = Sandbox.AUTO,
    as_json: AsJson = False,
) -> None:
    """Run the command; `HELP` is what it tells."""
    from havenline.media.containers import open_source
    from havenline.origin import pictures_as_shown
    from havenline.provenance import derived
    from havenline.vocabulary import Refused

    postings: list[Any] = []
    for path in (one, other):
        inside = [] if path.is_dir() else list(islice(open_source(path), 2))
        if len(inside) != 1:
            raise typer.BadParameter(f"{path} is a folder or an archive: name two pictures")
        postings += inside
    get_ready()
    shown = list(pictures_as_shown(postings, workers=1, close_off=told.closing(sandbox)))
    refusals = Refusals()
    for path, each in zip((one, other), shown, strict=True):
        if isinstance(each, Refused):
            refusals.add(str(path), each)
    planes = [each for each in shown if not isinstance(each, Refused)]
    found = derived.compare(planes[0], planes[1]) if len(planes) == 2 else None
    tell(_summary(one, other, found, refusals), _lines(found, refusals), as_json=as_json)
    raise typer.Exit(exits.SOMETHING_REFUSED if refusals.total else exits.DONE)


def _summary(one: Path, other: Path, found: Comparison | None, refusals: Refusals) -> dict[str, Any]:
    from havenline.provenance.derived import NOT_SHOWN

    compared = None if found is None else asdict(found) | {"differing": found.differing}
    return {
        "picture": str(one),
        "other": str(other),
        "compared": compared,
        "does_not_show": NOT_SHOWN,
        "refused": refusals.total,
        "refusals": refusals.as_json(),
    }


def _lines(found: Comparison | None, refusals: Refusals) -> Iterator[str]:
    from havenline.provenance.derived import NOT_SHOWN

    if found is not None:
        yield f"score    {found.score:.3f} (calibrated on drawn pictures alone)"
        yield f"corners  {found.pairs:,} agree of {found.tried:,} that were tried"
        if found.cells:
            mirrored = ", mirrored" if found.mirrored else ""
            yield f"placed   {found.scale:.2f} times the size, turned by {found.turn:.0f} degrees{mirrored}"
            yield f"covers   {found.overlap:.0%} of the first picture; {found.differing:.0%} differs"
            for row in found.cells:
                yield "         " + "".join(_SIGNS[cell.value] for cell in row)
        yield f"Does not show {NOT_SHOWN}."
    if refusals.total:
        yield f"refused  {refusals.total:,}"
        yield from refusals.lines()
