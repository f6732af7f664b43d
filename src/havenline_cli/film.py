"""`havenline film compare`: one film against others, by the shares of their frames that lie near one another."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from havenline_cli import exits
from havenline_cli.options import AsJson, Workers
from havenline_cli.told import Refusals, all_cores, get_ready, now, plain, tell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from havenline.vocabulary import FilmMatch, Fingerprint

app = typer.Typer(help="Compare films.", no_args_is_help=True)
HELP = (
    "Compare one film with others, frame by frame, as vPDQ does.\n\n"
    "Told are the others that share a frame with it: the part of its distinct frames that lie near one of theirs, the "
    "part of theirs that lie near one of its, and the seconds. A film with a turning mark is compared as it is stored "
    "and as it is shown, and the nearer is told. Nothing of it is kept. A match is a lead, never a verdict."
)
_MOMENTS = 8


@app.command("compare", help=HELP, epilog=exits.EPILOG)
def compare(
    film: Annotated[Path, typer.Argument(metavar="FILM", help="The film that is asked about.")],
    others: Annotated[list[Path], typer.Argument(metavar="OTHER…", help="Films to compare it with.")],
    share: Annotated[
        float, typer.Option(metavar="PART", min=0, max=1, help="The least part of FILM's frames that must match.")
    ] = 0.0,
    radius: Annotated[int, typer.Option(metavar="BITS", min=0, max=64, help="How far apart two frames may lie.")] = 31,
    every: Annotated[float, typer.Option(metavar="SECONDS", min=0.1, help="Seconds from one frame to the next.")] = 1.0,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Run the command; `HELP` is what it tells."""
    if len({film, *others}) <= len(others):
        raise typer.BadParameter("each film is named once")
    get_ready()
    made, refusals = _sampled([film, *others], every=every, workers=workers or all_cores())
    asked = made.pop(film, None)
    found = [] if asked is None else _compared(asked, made, share=share, radius=radius)
    summary = _summary(film, asked, len(made), found, refusals)
    tell(summary, _lines(summary, refusals), as_json=as_json)
    raise typer.Exit(exits.SOMETHING_REFUSED if refusals.total else exits.DONE)


def _compared(
    asked: Fingerprint, others: dict[Path, Fingerprint], *, share: float, radius: int
) -> list[tuple[Path, FilmMatch]]:
    """The others that share a frame with the film asked about, the greatest shares first, then by path.

    Both sides as stored and as shown: a copy may have lost its mark, or have had its pixels turned.
    """
    from havenline.entries import Entries
    from havenline.matching import Edition, Lists
    from havenline.vocabulary import EditionRef, ListEntry, ListTerms

    paths, terms, editions = list(others), ListTerms(radius=radius, asked_share=share), []
    # An edition for each, because of one edition not every match is told.
    for place, path in enumerate(paths):
        entries = Entries.of(ListEntry(str(way), frames=each) for way, each in enumerate(others[path].listed_films))
        editions.append(Edition(EditionRef(str(place), 0, entries.digest()), entries, terms))
    found: dict[Path, FilmMatch] = {}
    for match in Lists.build(editions).lookup([asked], at=now())[0]:
        path, told = paths[int(match.edition.list_name)], match.film
        if told is not None and (path not in found or _shares(told) > _shares(found[path])):
            found[path] = told
    return sorted(found.items(), key=lambda each: (-each[1].asked_share, -each[1].listed_share, str(each[0])))


def _shares(told: FilmMatch) -> tuple[float, float]:
    return told.asked_share, told.listed_share


def _sampled(paths: Sequence[Path], *, every: float, workers: int) -> tuple[dict[Path, Fingerprint], Refusals]:
    """The fingerprint of each film, by its path; what has no frames is refused with the reason."""
    from havenline.media.containers import open_source
    from havenline.scan import fingerprint_postings
    from havenline.vocabulary import Effort, Refusal, Refused

    postings: list[Any] = []
    for path in paths:
        inside = [] if path.is_dir() else list(islice(open_source(path), 2))
        if len(inside) != 1:
            raise typer.BadParameter(f"{path} is a folder or an archive: name films")
        postings += inside
    films, refusals = {}, Refusals()
    scanned = fingerprint_postings(postings, workers=workers, effort=Effort(seconds_a_frame=every))
    for path, each in zip(paths, scanned, strict=True):
        made = each.fingerprint
        refused = each.refused or (made.refusal if made is not None else None)
        if refused is None and made is not None and not made.frames:
            refused = Refused(Refusal.UNSUPPORTED_KIND, "a still picture has no frames; scan it against a list")
        if refused is not None:
            refusals.add(str(path), refused)
        elif made is not None:
            films[path] = made
    return films, refusals


def _summary(
    film: Path,
    asked: Fingerprint | None,
    compared_with: int,
    found: list[tuple[Path, FilmMatch]],
    refusals: Refusals,
) -> dict[str, Any]:
    return {
        "film": str(film),
        "frames": 0 if asked is None else len(asked.frames),
        "compared_with": compared_with,
        "matches": [
            {
                "film": str(path),
                "share_of_asked": round(each.asked_share, 4),
                "share_of_other": round(each.listed_share, 4),
                "moments": [
                    {"asked_second": asked, "other_second": other, "distance": distance}
                    for asked, other, distance in each.moments
                ],
            }
            for path, each in found
        ],
        "refused": refusals.total,
        "refusals": refusals.as_json(),
    }


def _lines(summary: dict[str, Any], refusals: Refusals) -> Iterator[str]:
    matches = summary["matches"]
    yield f"{plain(summary['film'])}: {summary['frames']:,} frames, compared with {summary['compared_with']:,} films"
    for each in matches:
        yield (
            f"  {plain(each['film'])}: {100 * each['share_of_asked']:.0f} % of its frames match, "
            f"{100 * each['share_of_other']:.0f} % of the other's"
        )
        moments = [f"{m['asked_second']:g} s ~ {m['other_second']:g} s" for m in each["moments"][:_MOMENTS]]
        more = len(each["moments"]) - len(moments)
        yield f"    at {', '.join(moments)}{f' and {more:,} more' if more else ''}"
    if not matches:
        yield "  no frame of it lies near a frame of another"
    if refusals.total:
        yield f"refused  {refusals.total:,}"
        yield from refusals.lines()
