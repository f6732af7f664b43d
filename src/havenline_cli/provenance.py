"""`havenline provenance`: what files say of their own origin, with what that does not show."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from havenline_cli import exits, told
from havenline_cli.options import AsJson, Sandbox, SandboxOption, SourcePath, Workers
from havenline_cli.told import Refusals, all_cores, get_ready, plain, tell

if TYPE_CHECKING:
    from havenline.origin import Origin
    from havenline.provenance import Signal
    from havenline.provenance.signers import Signers

HELP = (
    "Tell what files say of their own origin: signed manifests (C2PA), fields (IPTC, XMP, EXIF), marks of "
    "generators, and what a model file is.\n\n"
    "Evidence with its limits, never a verdict: every mark can be removed or forged, and absence means nothing. "
    "Texts of a file, such as prompts and names, are never shown: their length and a keyed digest stand for them. "
    "Nothing is fetched, loaded or run. Files are opened in worker processes that can reach nothing else."
)
_SHOWN = 12


def provenance(
    path: SourcePath,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key-file",
            metavar="FILE",
            help="A file of 16 to 4,096 bytes that keys the digests, so that those of two runs can be compared; "
            "kept secret, or words can be guessed.",
            show_default="a new key each time",
        ),
    ] = None,
    signers_file: Annotated[
        Path | None,
        typer.Option(
            "--signers",
            metavar="FILE",
            help="Certificates (PEM) of authorities whose signers of C2PA manifests you trust. The state `Trusted` "
            "does not say that anything is true.",
            show_default="nobody",
        ),
    ] = None,
    pixels: Annotated[
        bool,
        typer.Option(
            "--pixels",
            help="Decode every JPEG, PNG and WebP too, for invisible marks that programs put in (Stable Diffusion, "
            "FLUX) and texts in the lowest bits of WebP. Takes longer.",
        ),
    ] = False,
    workers: Workers = None,
    sandbox: SandboxOption = Sandbox.AUTO,
    as_json: AsJson = False,
) -> None:
    """Run the command; `HELP` is what it tells."""
    from havenline.media.archives import members
    from havenline.media.containers import open_source
    from havenline.origin import SECONDS_PER_FILE, origins
    from havenline.unpacking import unpacked_by

    key = secrets.token_bytes(32) if key_file is None else _key_of(key_file)
    signers = None if signers_file is None else _signers_of(signers_file)
    get_ready()
    close_off = told.closing(sandbox)
    unpacking = members if close_off is None else unpacked_by(close_off, seconds=SECONDS_PER_FILE)
    postings = open_source(path, unpacking=unpacking)
    found, refusals = [], Refusals()
    for each in origins(
        postings, key=key, workers=workers or all_cores(), close_off=close_off, signers=signers, pixels=pixels
    ):
        found.append(each)
        if each.refused is not None:
            refusals.add(each.path, each.refused)
    tell(_summary(path, found, refusals), _lines(found, refusals), as_json=as_json)
    raise typer.Exit(exits.SOMETHING_REFUSED if refusals.total else exits.DONE)


def _key_of(path: Path) -> bytes:
    try:
        with path.open("rb") as opened:
            key = opened.read(4097)
    except OSError as error:
        raise typer.BadParameter(f"{path} could not be read ({error.strerror})") from None
    if not 16 <= len(key) <= 4096:
        raise typer.BadParameter(f"{path} has not 16 to 4,096 bytes")
    return key


def _signers_of(path: Path) -> Signers:
    from havenline.provenance.signers import MOST_BYTES, SignersError, read_signers

    try:
        with path.open("rb") as opened:
            return read_signers(opened.read(MOST_BYTES + 1))
    except OSError as error:
        raise typer.BadParameter(f"{path} could not be read ({error.strerror})") from None
    except SignersError as error:
        raise typer.BadParameter(f"{path}: {error}") from None


def _summary(path: Path, found: list[Origin], refusals: Refusals) -> dict[str, Any]:
    from havenline.provenance import ABSENCE

    return {
        "source": str(path),
        "absence": ABSENCE,
        "files": [
            {
                "path": each.path,
                "media_type": each.media_type,
                "observed": [_row(signal) for signal in each.signals if not signal.inferred],
                "inferred": [_row(signal) for signal in each.signals if signal.inferred],
            }
            for each in found
            if each.refused is None
        ],
        "refused": refusals.total,
        "refusals": refusals.as_json(),
    }


def _row(signal: Signal) -> dict[str, Any]:
    return {
        "signal": signal.kind.value,
        "value": signal.value,
        "digest": signal.digest,
        "length": signal.length,
        "location": signal.location,
        "strength": signal.strength.value,
        "reader": signal.reader,
        "means": signal.meaning,
        "does_not_show": signal.not_shown,
    }


def _lines(found: list[Origin], refusals: Refusals) -> Iterator[str]:
    from havenline.provenance import ABSENCE

    for each in found:
        if each.refused is None:
            yield f"{plain(each.path)}: {plain(each.media_type)}"
            yield from _table("observed", [signal for signal in each.signals if not signal.inferred])
            yield from _table("inferred from these", [signal for signal in each.signals if signal.inferred])
            if not each.signals:
                yield "  no signal was found"
    yield ABSENCE
    if refusals.total:
        yield f"refused  {refusals.total:,}"
        yield from refusals.lines()


def _table(title: str, signals: list[Signal]) -> Iterator[str]:
    if not signals:
        return
    rows = [("signal", "value", "where", "strength")]
    rows += [(each.kind.value, _value(each), plain(each.location), each.strength.value) for each in signals]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    yield f"  {title}"
    for row in rows:
        yield "    " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for value, means in {each.value: each.meaning for each in signals if each.meaning}.items():
        yield f"    {value}: {means}"
    yield "    what these do not show"
    for kind in dict.fromkeys(each.kind for each in signals):
        not_shown = next(each.not_shown for each in signals if each.kind is kind)
        yield f"      {kind.value}: {not_shown}"


def _value(signal: Signal) -> str:
    """The value in clear, or length and the beginning of the keyed digest of a text."""
    text = "" if signal.digest is None else f"text of {signal.length:,} bytes, {signal.digest[:_SHOWN]}…"
    return ", ".join(part for part in (plain(signal.value or ""), text) if part)
