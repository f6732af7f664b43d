"""`havenline list make`: a hash list from files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from havenline_cli import exits, told
from havenline_cli.options import (
    AsJson,
    AskedShare,
    Force,
    ListedShare,
    ListName,
    ListOutput,
    Number,
    QualityFloor,
    Radius,
    Sandbox,
    SandboxOption,
    SourcePath,
    Workers,
    checked_text,
    terms_from,
)
from havenline_cli.told import Refusals, all_cores, get_ready, plain, tell

if TYPE_CHECKING:
    from havenline.entries import Entries
    from havenline.scan import Scanned
    from havenline.vocabulary import EditionRef, Fingerprint, FrameHash, ListEntry, ListTerms

HELP = (
    "Make a hash list from files: one entry for each distinct file, with all its hashes.\n\n"
    "Files of a known kind that cannot be opened as pictures are listed by their digests alone; empty files "
    "and those of unknown kind are left out. Both are reported. Of a film the entry has its frames, one a second, and "
    "where a mark turns it one entry more has them as it is shown. Of a model file what follows its header and the "
    "set of its tensors are entries of their own, by their SHA-256."
)


def make(
    path: SourcePath,
    output: ListOutput,
    name: ListName = None,
    number: Number = 1,
    label: Annotated[str | None, typer.Option(metavar="LABEL", help="A label for every entry.")] = None,
    radius: Radius = None,
    quality_floor: QualityFloor = None,
    asked_share: AskedShare = None,
    listed_share: ListedShare = None,
    force: Force = False,
    workers: Workers = None,
    sandbox: SandboxOption = Sandbox.AUTO,
    as_json: AsJson = False,
) -> None:
    """Run the command; `HELP` is what it tells."""
    from havenline.entries import Entries
    from havenline.formats.hash_list import ListError
    from havenline.vocabulary import PDQ_FULL

    name, label = checked_text("--name", name), checked_text("--label", label)
    terms = terms_from(radius=radius, quality_floor=quality_floor, asked_share=asked_share, listed_share=listed_share)
    if is_csv(output) and terms != terms_from():
        raise typer.BadParameter("a CSV keeps no terms: name a snapshot", param_hint="-o")
    check_free(output, force=force)
    get_ready()
    made = _Made(label)
    _gather(path, made, workers=workers or all_cores(), sandbox=sandbox)
    if not made.entries:
        why = "; ".join(made.refusals.lines()).strip() or "it holds no files"
        raise ListError(f"{path}: nothing to list, so nothing was written ({why})")
    entries = Entries.of(made.entries)
    ref = write(output, entries, name=name, number=number, force=force, pipeline=PDQ_FULL, terms=terms)
    tell(_summary(output, ref, made), made.lines(output, ref), as_json=as_json)
    raise typer.Exit(exits.SOMETHING_REFUSED if made.refusals.total else exits.DONE)


def is_csv(output: Path) -> bool:
    """Whether a list of that name is written as CSV."""
    return output.suffix.lower() == ".csv"


def check_free(path: Path, *, force: bool) -> None:
    """Raises ListError when there is something at `path` that must not be replaced."""
    from havenline.formats.hash_list import ListError

    if not force and path.exists():
        raise ListError(f"{path}: exists already and was left as it is; use --force to replace it")


def write(
    output: Path,
    entries: Entries,
    *,
    name: str | None,
    number: int,
    force: bool,
    pipeline: str = "",
    terms: ListTerms | None = None,
) -> EditionRef:
    """Write a list as its name says; what a reader will see. Raises ListError."""
    from havenline import __version__
    from havenline.formats.hash_list import plain_name, write_list
    from havenline.list_files import write_snapshot

    if is_csv(output):
        return write_list(output, entries, replace=force)
    return write_snapshot(
        output,
        entries,
        name=name or plain_name(output),
        number=number,
        made_by=f"havenline {__version__}",
        pipeline=pipeline,
        terms=terms,
        replace=force,
        threads=all_cores(),
    )


@dataclass
class _Made:
    """Entries gathered from files, and what happened to the others."""

    label: str | None
    entries: list[ListEntry] = field(default_factory=list)
    refusals: Refusals = field(default_factory=Refusals)
    digests_only: int = 0
    repeated: int = 0
    models: int = 0
    films: int = 0
    _seen: set[str] = field(default_factory=set)

    def add(self, each: Scanned) -> None:
        """Take in one file, or take note why not."""
        from havenline.vocabulary import Refusal

        made = each.fingerprint
        refused = each.refused or (made.refusal if made is not None else None)
        if refused is not None and refused.reason is not Refusal.MODEL_FILE:
            self.refusals.add(each.path, refused)
        if made is None or not _worth_an_entry(made):
            return
        if made.sha256 in self._seen:
            self.repeated += 1
            return
        self._seen.add(made.sha256)
        model = made.refusal is not None and made.refusal.reason is Refusal.MODEL_FILE
        self.models += model
        films = made.listed_films
        self.films += bool(films)
        self.digests_only += made.pdq is None and not films and not model
        entry = self._entry(made, films[0] if films else ())
        self.entries += [entry, *self._turned(entry.entry, films[1:]), *self._parts(entry.entry, made)]

    def lines(self, output: Path, ref: EditionRef) -> Iterator[str]:
        """The summary for people."""
        yield f"{plain(output)}: {len(self.entries):,} {'entry' if len(self.entries) == 1 else 'entries'}"
        yield f"name     {plain(ref.list_name)}"
        if ref.number:
            yield f"number   {ref.number}"
        yield f"digest   {ref.digest}"
        if self.films:
            yield f"films    {self.films:,}, with their frames"
        if self.digests_only:
            yield f"by digests only  {self.digests_only:,}"
        if self.models:
            yield f"model files  {self.models:,}"
        if self.repeated:
            yield f"the same file again, listed once  {self.repeated:,}"
        if self.refusals.total:
            yield f"refused  {self.refusals.total:,}"
            yield from self.refusals.lines()

    def _entry(self, made: Fingerprint, frames: tuple[FrameHash, ...]) -> ListEntry:
        from havenline.vocabulary import ListEntry

        return ListEntry(
            entry=f"e{len(self.entries) + 1:06d}",
            md5=made.md5,
            sha1=made.sha1,
            sha256=made.sha256,
            pdq=made.pdq,
            pdq_quality=made.pdq_quality,
            label=self.label,
            frames=frames,
        )

    def _turned(self, entry: str, films: tuple[tuple[FrameHash, ...], ...]) -> Iterator[ListEntry]:
        """Of a film with a turning mark one entry more, so that a copy whose pixels were turned is found."""
        from havenline.vocabulary import ListEntry

        for frames in films:
            yield ListEntry(entry=f"{entry}-shown", label=self.label, frames=frames)

    def _parts(self, entry: str, made: Fingerprint) -> Iterator[ListEntry]:
        """Of a model file one entry more for each part, so that a rewritten header or renamed tensors hide nothing."""
        from havenline.vocabulary import ListEntry

        for part, value in (("body", made.model_body), ("tensors", made.model_tensors)):
            if value is not None and value not in self._seen:
                self._seen.add(value)
                yield ListEntry(entry=f"{entry}-{part}", sha256=value, label=self.label)


def _worth_an_entry(made: Fingerprint) -> bool:
    """Not what anyone may have for innocent reasons: an empty file, a licence text."""
    from havenline.vocabulary import Refusal

    return made.refusal is None or made.refusal.reason not in (Refusal.EMPTY, Refusal.UNKNOWN_KIND)


def _gather(path: Path, made: _Made, *, workers: int, sandbox: Sandbox) -> None:
    from havenline.scan import fingerprint_source
    from havenline_cli.progress import meter

    close_off = told.closing(sandbox)
    with closing(fingerprint_source(path, workers=workers, close_off=close_off)) as scanned, meter(path) as shown:
        for each in scanned:
            before = made.refusals.total
            made.add(each)
            shown.count(size=each.size, refused=made.refusals.total > before)


def _summary(output: Path, ref: EditionRef, made: _Made) -> dict[str, Any]:
    return {
        "list": str(output),
        "name": ref.list_name,
        "number": ref.number,
        "digest": ref.digest,
        "entries": len(made.entries),
        "films": made.films,
        "digests_only": made.digests_only,
        "repeated": made.repeated,
        "model_files": made.models,
        "refused": made.refusals.total,
        "refusals": made.refusals.as_json(),
    }
