"""`havenline list import`: a partner's list taken in from a file of another form."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from havenline_cli import exits
from havenline_cli.list_make import check_free, is_csv, write
from havenline_cli.options import (
    Allow,
    AsJson,
    AskedShare,
    Carries,
    Expires,
    Force,
    FormOption,
    KindColumn,
    Kinds,
    ListedShare,
    ListName,
    ListOutput,
    Maps,
    Number,
    QualityFloor,
    Radius,
    ValueColumn,
    checked_text,
    mapping_from,
    terms_from,
)
from havenline_cli.told import count_lines, plain, problem_lines, say_if_compiling, tell, terms_words

if TYPE_CHECKING:
    from havenline.entries import Entries
    from havenline.formats.hash_list import ColumnMap, Form, HashList, Problems
    from havenline.vocabulary import EditionRef, ListTerms

HELP = (
    "Take a partner's list in: CSV, TSV, JSON Lines, Parquet, or raw lines of hex as pdq:FILE, sha256:FILE, …\n\n"
    "Each line that cannot be used is reported by its number and the reason, and the others are taken in. Several "
    "files become one list. An entry whose id stands in an earlier line is refused; entries with equal values are kept."
)
_EXAMPLES = 10


def import_(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Files, or raw lines of hex as KIND:FILE.")],
    output: ListOutput,
    name: ListName = None,
    number: Number = 1,
    maps: Maps = None,
    carries: Carries = None,
    kind_column: KindColumn = "",
    value_column: ValueColumn = "",
    kinds: Kinds = None,
    saved: Annotated[
        str | None, typer.Option("--mapping", metavar="NAME", help="A mapping that `list mapping save` kept.")
    ] = None,
    form: FormOption = None,
    label: Annotated[
        str | None, typer.Option(metavar="LABEL", help="A label for every entry that has none of its own.")
    ] = None,
    pipeline: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="What made its PDQ values: pdq-full/1 or pdq-512/1.", show_default="not stated"
        ),
    ] = None,
    radius: Radius = None,
    quality_floor: QualityFloor = None,
    asked_share: AskedShare = None,
    listed_share: ListedShare = None,
    allow: Allow = False,
    expires: Expires = None,
    strict: Annotated[bool, typer.Option("--strict", metavar="", help="One bad line, and nothing is kept.")] = False,
    problems: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Write every bad line to this file: file, line, reason.")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Run the command; `HELP` is what it tells."""
    # long: nearly half of it is the options
    from havenline.formats.hash_list import joined
    from havenline.vocabulary import PIPELINES

    name, label = checked_text("--name", name), checked_text("--label", label)
    mapping = mapping_from(maps, carries, kind_column=kind_column, value_column=value_column, kinds=kinds)
    chosen = form_named(form)
    if saved is not None:
        from havenline_cli.list_mappings import kept

        if maps or carries or kind_column:
            raise typer.BadParameter("is in place of --map, --carry and --kind-column", param_hint="--mapping")
        found = kept(saved)
        mapping, chosen = found.mapping, chosen or found.form
    terms = terms_from(
        radius=radius,
        quality_floor=quality_floor,
        asked_share=asked_share,
        listed_share=listed_share,
        allow=allow or None,
        expires=expires,
    )
    if pipeline is not None and pipeline not in PIPELINES:
        raise typer.BadParameter(f"{pipeline!r} is not one of {', '.join(PIPELINES)}", param_hint="--pipeline")
    if is_csv(output) and (mapping.carries or pipeline or terms != terms_from()):
        raise typer.BadParameter(
            "a CSV keeps neither terms nor pipeline nor carried values: name a snapshot", param_hint="-o"
        )
    for path in filter(None, (output, problems)):
        check_free(path, force=force)
    say_if_compiling()
    reads = [
        read_with_bar(
            file,
            form=chosen,
            mapping=mapping,
            strict=strict,
            unnamed="line-" if len(files) == 1 else f"file-{at}-line-",
        )
        for at, file in enumerate(files, start=1)
    ]
    entries, bad, alike = joined(reads)
    refuse_repeats(files, bad, strict=strict)
    notes = [read.notes for read in reads]
    reads.clear()
    if problems is not None:
        write_problems(problems, files, bad, force=force)
    entries = labelled(entries, label)
    ref = write(output, entries, name=name, number=number, force=force, pipeline=pipeline or "", terms=terms)
    for file, each, told in zip(files, bad, notes, strict=True):
        for line in [*(f"{plain(file)}: {plain(note)}" for note in told), *problem_lines(file, each)]:
            typer.echo(f"havenline: {line}", err=True)
    summary = _summary(output, ref, entries, terms, alike=alike) | _passed_over(files, bad, notes)
    summary["problems"] = None if problems is None else str(problems)
    tell(summary, _lines(summary, terms), as_json=as_json)
    raise typer.Exit(exits.SOMETHING_REFUSED if summary["lines_refused"] else exits.DONE)


def form_named(name: str | None) -> Form | None:
    """The form that `--format` names. Raises typer.BadParameter."""
    from havenline.formats.hash_list import Form

    if name is None:
        return None
    if name not in list(Form):
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(Form)}", param_hint="--format")
    return Form(name)


def read_with_bar(
    argument: str, *, form: Form | None, mapping: ColumnMap, strict: bool = False, unnamed: str = "line-"
) -> HashList:
    """`read_list`, with a bar by bytes."""
    from havenline.formats.hash_list import path_of, read_list
    from havenline_cli.progress import reading

    with reading(path_of(argument)) as progress:
        return read_list(argument, form=form, mapping=mapping, strict=strict, unnamed=unnamed, progress=progress)


def refuse_repeats(files: list[str], bad: list[Problems], *, strict: bool) -> None:
    """Raises ListError for an id that stands in two files, where every line must be right."""
    from havenline.formats.hash_list import ListError

    for file, problems in zip(files, bad, strict=True):
        if strict and len(problems):
            raise ListError(
                f"{file}: line {problems[0].line:,}: {problems[0].reason}; nothing was kept, because every line must "
                "be right"
            )


def labelled(entries: Entries, label: str | None) -> Entries:
    """The entries, with `label` for those that have none."""
    from havenline.texts import Texts

    if label is None:
        return entries
    import numpy as np

    codes = entries.label_codes.copy()
    codes[codes == 0] = len(entries.labels)
    return replace(
        entries, label_codes=codes.astype(np.uint32), labels=Texts.joined([entries.labels, Texts.of([label])])
    )


def write_problems(path: Path, files: list[str], bad: Iterable[Problems], *, force: bool) -> None:
    """Every bad line as CSV. Raises ListError when it cannot be written."""
    from havenline.formats.csv_text import guarded, storable
    from havenline.formats.hash_list import ListError
    from havenline.whole_file import write_whole

    try:
        with write_whole(path, replace=force) as file:
            text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
            rows = csv.writer(text, lineterminator="\n")
            rows.writerow(("file", "line", "reason"))
            for name, problems in zip(files, bad, strict=True):
                rows.writerows((guarded(storable(name)), problem.line, problem.reason) for problem in problems)
            text.detach()
    except OSError as error:
        raise ListError(f"{path}: cannot be written ({error.strerror or error}); nothing was kept") from None


def counts_of(entries: Entries) -> dict[str, int]:
    """How many values of each kind, and films where there are any."""
    counts = {kind.value: len(values) for kind, values in entries.hashes.items()}
    films = sum(1 for _ in entries.frames.films())
    return counts | ({"film": films} if films else {})


def carried_of(entries: Entries) -> dict[str, int]:
    """How many values of each kind that is carried."""
    kinds = entries.opaque.kinds
    return {name: int((kinds == at).sum()) for at, name in enumerate(entries.opaque.names)}


def _summary(output: Path, ref: EditionRef, entries: Entries, terms: ListTerms, *, alike: int) -> dict[str, Any]:
    from havenline.matching.snapshot import said_terms

    return {
        "list": str(output),
        "name": ref.list_name,
        "number": ref.number,
        "digest": ref.digest,
        "entries": len(entries),
        "hashes": counts_of(entries),
        "carried": carried_of(entries),
        "alike": alike,
        "terms": said_terms(terms),
        "bytes": output.stat().st_size,
    }


def _passed_over(files: list[str], bad: list[Problems], notes: list[tuple[str, ...]]) -> dict[str, Any]:
    """The files that were read, and how many lines of each were passed over."""
    return {
        "files": [
            {
                "file": file,
                "lines_refused": len(each),
                "repeated_ids": each.repeats,
                "problems": [{"line": problem.line, "reason": problem.reason} for problem in islice(each, _EXAMPLES)],
                "notes": list(told),
            }
            for file, each, told in zip(files, bad, notes, strict=True)
        ],
        "lines_refused": sum(map(len, bad)),
    }


def _lines(summary: dict[str, Any], terms: ListTerms) -> Iterator[str]:
    entries = summary["entries"]
    counted = f"{entries:,} {'entry' if entries == 1 else 'entries'}"
    yield f"{plain(summary['list'])}: {counted}, {summary['bytes'] / 1e6:,.1f} MB"
    yield f"name     {plain(summary['name'])}"
    if summary["number"]:
        yield f"number   {summary['number']}"
    yield f"digest   {summary['digest']}"
    if summary["number"]:
        yield f"terms    {terms_words(terms, films='film' in summary['hashes'])}"
    yield from count_lines({kind: count for kind, count in summary["hashes"].items() if count} | summary["carried"])
    if summary["alike"]:
        yield f"with the values of another entry, kept  {summary['alike']:,}"
    if summary["lines_refused"]:
        repeated = sum(each["repeated_ids"] for each in summary["files"])
        again = f", {repeated:,} of them for an id that came before" if repeated else ""
        yield f"lines passed over  {summary['lines_refused']:,}{again}"
    if summary["problems"]:
        yield f"each of them is in  {plain(summary['problems'])}"
