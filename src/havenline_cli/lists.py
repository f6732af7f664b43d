"""`havenline list`: make, import and show hash lists, and keep live ones."""

from __future__ import annotations

import typer

from havenline_cli import exits, list_import, list_live, list_make, list_mappings, list_show, list_vics

app = typer.Typer(
    help="Make, import and show hash lists, and keep live ones.", no_args_is_help=True, epilog=exits.EPILOG
)
app.command("make", help=list_make.HELP, epilog=exits.EPILOG)(list_make.make)
app.command("import", help=list_import.HELP, epilog=exits.EPILOG)(list_import.import_)
app.command("vics", help=list_vics.HELP, epilog=exits.EPILOG)(list_vics.vics)
app.command("show", help=list_show.HELP, epilog=exits.EPILOG)(list_show.show)
app.add_typer(list_mappings.app, name="mapping")
app.add_typer(list_live.app, name="live")
