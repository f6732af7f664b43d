"""`havenline list mapping`: column mappings that are kept under names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from havenline_cli import exits
from havenline_cli.options import Carries, Force, FormOption, KindColumn, Kinds, Maps, ValueColumn, mapping_from
from havenline_cli.told import plain

if TYPE_CHECKING:
    from havenline.formats.saved_mapping import SavedMapping

app = typer.Typer(
    help="Keep column mappings under names, for `list import --mapping`.", no_args_is_help=True, epilog=exits.EPILOG
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters, digits and hyphens.")]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        metavar="FOLDER",
        envvar="HAVENLINE_MAPPINGS",
        help="Where mappings are kept.",
        show_default="mappings in the data folder",
    ),
]


@app.command("save", epilog=exits.EPILOG)
def save(
    name: Name,
    maps: Maps = None,
    carries: Carries = None,
    kind_column: KindColumn = "",
    value_column: ValueColumn = "",
    kinds: Kinds = None,
    form: FormOption = None,
    force: Force = False,
    folder: Folder = None,
) -> None:
    """Keep a column mapping, and the form of file where it is named, under a name."""
    from havenline.formats.hash_list import ListError
    from havenline.formats.saved_mapping import SavedMapping
    from havenline.whole_file import write_whole
    from havenline_cli.list_import import form_named

    mapping = mapping_from(maps, carries, kind_column=kind_column, value_column=value_column, kinds=kinds)
    path = _path(folder, name)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with write_whole(path, replace=force) as file:
            file.write(SavedMapping(mapping, form_named(form)).written())
    except FileExistsError:
        raise ListError(f"{path}: exists already and was left as it is; use --force to replace it") from None
    except OSError as error:
        raise ListError(f"{path}: cannot be written ({error.strerror or error}); nothing was kept") from None
    typer.echo(f"{plain(name)}: kept; use it with `havenline list import --mapping {plain(name)}`")


@app.command("list", epilog=exits.EPILOG)
def list_(folder: Folder = None) -> None:
    """Print the names of what is kept."""
    names = sorted(path.stem for path in _root(folder).glob("*.json"))
    typer.echo("\n".join(map(plain, names)) if names else "no mapping is kept")


@app.command("show", epilog=exits.EPILOG)
def show(name: Name, folder: Folder = None) -> None:
    """Print one mapping as it is kept."""
    typer.echo(kept(name, folder).written().decode().rstrip())


@app.command("remove", epilog=exits.EPILOG)
def remove(name: Name, folder: Folder = None) -> None:
    """Keep a mapping no more."""
    from havenline.formats.hash_list import ListError

    try:
        _path(folder, name).unlink()
    except FileNotFoundError:
        raise ListError(f"no mapping is kept as {name}; see `havenline list mapping list`") from None
    typer.echo(f"{plain(name)}: removed")


def kept(name: str, folder: Path | None = None) -> SavedMapping:
    """The mapping that is kept under `name`. Raises ListError."""
    from havenline.formats.hash_list import ListError
    from havenline.formats.saved_mapping import read_mapping

    try:
        content = _path(folder, name).read_bytes()
    except FileNotFoundError:
        raise ListError(f"no mapping is kept as {name}; see `havenline list mapping list`") from None
    except OSError as error:
        raise ListError(f"the mapping {name} cannot be read ({error.strerror or error})") from None
    return read_mapping(content, name=name)


def _root(folder: Path | None) -> Path:
    if folder is not None:
        return folder
    if named := os.environ.get("HAVENLINE_MAPPINGS"):
        return Path(named)
    from havenline_desk.sites.home import Home

    return Home.locate(environ=os.environ, uid=os.getuid()).path / "mappings"


def _path(folder: Path | None, name: str) -> Path:
    if not name or len(name) > 64 or not set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-"):
        raise typer.BadParameter("up to 64 lower-case letters, digits and hyphens are expected", param_hint="NAME")
    return _root(folder) / f"{name}.json"
