"""`havenline framework`: the laws and schemes known here, their rules, local approval, and what they are applied to."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import desk as opening
from . import exits
from .told import now, plain

if TYPE_CHECKING:
    from havenline.frameworks import Framework

app = typer.Typer(help="Laws and classification schemes: see, import, approve, apply them.", no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(help="For example gb-eaw.")]
VersionArgument = Annotated[str | None, typer.Argument(help="For example 2023-09. Default: the newest.")]
DAY = ["%Y-%m-%d"]


@app.command("list")
def list_frameworks(home: opening.HomeOption = None) -> None:
    """List the frameworks and versions that are shipped, and those imported here."""
    with _known(home) as law:
        for ref in law.available():
            typer.echo(f"{plain(ref.id):18} {plain(ref.version):12} {ref.kind.value:7} {plain(ref.title)}")


@app.command("show")
def show(
    name: NameArgument,
    version: VersionArgument = None,
    as_json: opening.JsonOption = False,
    home: opening.HomeOption = None,
) -> None:
    """Print what one version asks, its classes, and its rules in the order in which they are tried."""
    with _known(home) as law:
        framework = law.load(name, version)
    if as_json:
        typer.echo(json.dumps(_as_json(framework), ensure_ascii=False, indent=1))
        return
    typer.echo(f"{framework.id} {framework.version}: {plain(framework.title)} ({plain(framework.jurisdiction)})")
    titles = {section.id: section.title for section in framework.sections}
    for section in framework.sections:
        if not any(question.section == section.id for question in framework.questions):
            typer.echo(f"\n{plain(section.title)}: empty, to be imported")
    for question in framework.questions:
        heading = f", {titles[question.section]}" if question.section else ""
        typer.echo(f"\n{question.id} ({question.kind.value}{plain(heading)}): {plain(question.text)}")
        for option in question.options:
            typer.echo(f"  {option.code:20} {plain(option.label)}")
        if question.asked_when.tests:
            typer.echo(f"  asked when {_condition(question.asked_when.as_mapping())}")
    for number, rule in enumerate(framework.rules, start=1):
        result = framework.labels.of(rule.then) + (f": {rule.class_id}" if rule.class_id else "")
        when = _condition(rule.when.as_mapping()) or "always"
        typer.echo(f"{'' if number > 1 else chr(10)}rule {number} ({rule.id}): when {when}, then {plain(result)}")


@app.command("import", epilog=exits.EPILOG)
def import_(
    file: Annotated[Path, typer.Argument(help="JSON or TOML with everything, or CSV with the questions of a scheme.")],
    by: opening.ByOption,
    name: Annotated[str | None, typer.Option("--id", help="CSV: for example ucs.v3.")] = None,
    version: Annotated[str | None, typer.Option("--version", help="CSV: the version of this list.")] = None,
    title: Annotated[str | None, typer.Option(help="CSV: what people see. Default: that of the shipped one.")] = None,
    jurisdiction: Annotated[str | None, typer.Option(help="CSV: an ISO 3166 code. Default: international.")] = None,
    effective: Annotated[dt.datetime | None, typer.Option(formats=DAY, help="CSV: in effect from this day.")] = None,
    home: opening.HomeOption = None,
) -> None:
    """Load a framework or scheme as a new version. Every faulty line is named, and then nothing is kept.

    CSV has the columns question, text, kind, code, label and, if wanted, section: a line for each answer
    (docs/formats/framework.md). A scheme in CSV has no rules; JSON and TOML may have them.
    """
    from havenline.frameworks import SchemeError

    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.import_framework import import_framework

        try:
            if file.suffix.lower() == ".csv":
                document = _from_csv(file, name, version, title, jurisdiction, effective)
            else:
                document = _from_data(file)
        except SchemeError as fault:
            for problem in fault.problems:
                typer.echo(f"{plain(file)}: line {problem.line}: {plain(problem.reason)}", err=True)
            typer.echo(f"havenline: {len(fault.problems)} lines to correct; nothing was imported", err=True)
            raise typer.Exit(exits.FAILED) from None
        made = import_framework(document, by=opening.person_named(by), at=now(), origin=plain(file))
    typer.echo(f"{made.id} {made.version} is known here: {len(made.questions)} questions, {len(made.rules)} rules.")
    if made.rules:
        typer.echo("Its rules yield undetermined until local counsel has approved this version.")


@app.command("approve")
def approve(
    name: NameArgument,
    version: Annotated[str, typer.Argument(help="For example 2023-09.")],
    counsel: Annotated[str, typer.Option(help="Who gave the opinion, and its reference.")],
    by: opening.ByOption,
    home: opening.HomeOption = None,
) -> None:
    """Record that local counsel has approved this version; until then its rules yield `undetermined`."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.approve_framework import approve_framework

        approve_framework(name, version, approved_by=opening.person_named(by), counsel=counsel, at=now())
    typer.echo(f"{name} {version} is approved for use here.")


@app.command("configure")
def configure(
    reference: Annotated[str, typer.Argument(help="The investigation.")],
    name: NameArgument,
    by: opening.ByOption,
    version: Annotated[str | None, typer.Option("--version", help="Default: the newest.")] = None,
    home: opening.HomeOption = None,
) -> None:
    """Derive an investigation under one more framework, or another version of one; earlier results are kept."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.actions.configure_framework import configure_framework

        investigation = opening.investigation_named(reference)
        derived = configure_framework(investigation, name, version, by=opening.person_named(by), at=now())
    typer.echo(f"{reference} derives under {name} too; {derived:,} settled files were derived now.")


@app.command("derived")
def derived(
    reference: Annotated[str | None, typer.Argument(help="The investigation. Default: the only one.")] = None,
    home: opening.HomeOption = None,
) -> None:
    """Print what each framework of an investigation says of its settled items. Internal: small cells stay in."""
    with opening.desk(opening.existing_home(home)):
        from havenline_desk.queries.law import law_columns

        columns = law_columns(opening.investigation_named(reference), at=now())
    for column in columns:
        framework, labels = column.framework, column.framework.labels
        marks = ["settled under"] * column.own + ["indicative"] * column.indicative
        marks += ["not approved"] * (not column.approved)
        told = f" ({', '.join(marks)})" if marks else ""
        typer.echo(f"{framework.id} {framework.version}{told}")
        rows = [(labels.criminal, column.criminal), *((f"  {label}", count) for label, count in column.by_class)]
        rows += [(labels.not_criminal, column.not_criminal), (labels.undetermined, column.undetermined)]
        for label, count in [*rows, ("derived", column.derived)]:
            typer.echo(f"  {plain(label):<56} {count:>9,}")


class _Shipped:
    """The frameworks of the package, where there is no data folder yet."""

    def __init__(self) -> None:
        from havenline import frameworks

        self.available, self.load = frameworks.available, frameworks.load


@contextlib.contextmanager
def _known(home: Path | None) -> Iterator[Any]:
    """What tells and loads frameworks: of the desk that is there, or the shipped ones alone."""
    if all(opening.home_of(home, kind).kind() is None for kind in ("desk", "demo")):
        yield _Shipped()
        return
    with opening.desk(opening.existing_home(home)):
        from havenline_desk import law

        yield law


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as fault:
        raise opening.CommandError(f"{plain(file)} cannot be read: {fault.strerror}") from None
    except UnicodeDecodeError as fault:
        line = file.read_bytes()[: fault.start].count(b"\n") + 1
        raise opening.CommandError(f"{plain(file)}: line {line}: not UTF-8; save it as UTF-8") from None


def _from_data(file: Path) -> dict[str, Any]:
    from havenline_desk import law

    return law.document_of(_text(file), toml=file.suffix.lower() == ".toml", origin=plain(file))


def _from_csv(
    file: Path,
    name: str | None,
    version: str | None,
    title: str | None,
    jurisdiction: str | None,
    effective: dt.datetime | None,
) -> dict[str, Any]:
    from havenline_desk import law

    if name is None or version is None:
        raise opening.CommandError("a CSV does not say what it is: give --id and --version")
    return law.scheme_of(
        _text(file),
        name=name,
        version=version,
        title=title or "",
        jurisdiction=jurisdiction or "",
        effective_from=effective.date() if effective else now().date(),
        origin=plain(file),
    )


def _condition(tests: dict[str, list[str]]) -> str:
    return " and ".join(f"{question} is {' or '.join(codes)}" for question, codes in tests.items())


def _as_json(framework: Framework) -> dict[str, Any]:
    return {
        **framework.form(),
        "jurisdiction": framework.jurisdiction,
        "kind": framework.kind.value,
        "sections": [{"id": one.id, "title": one.title} for one in framework.sections],
        "classes": [{"id": one.id, "label": one.label, "law": one.law} for one in framework.classes],
        "rules": [
            {"id": one.id, "when": one.when.as_mapping(), "then": one.then.value, "class": one.class_id}
            for one in framework.rules
        ],
    }
