"""The command line. `packwatch --help` teaches it; every command says what was wrong and what to do."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from packwatch.cli import audit, data, evidence, judging, people, recipients, rules, running, trips, vehicles

app = typer.Typer(
    name="packwatch",
    help="Watches electric-vehicle battery packs while they travel.\n\n"
    "Start with [bold]packwatch up --demo[/bold]: everything on this machine, and a simulated convoy to look at.",
    rich_markup_mode="rich",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
running.register(app)
vehicles.register(app)
data.register(app)
judging.register(app)
rules.register(app)
audit.register(app)
evidence.register(app)
people.register(app)
recipients.register(app)
trips.register(app)


def _print_version(asked: bool) -> None:  # noqa: FBT001 - Typer's callback
    if asked:
        typer.echo(f"packwatch {version('packwatch')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """What stands before the command."""


def main() -> None:
    """The `packwatch` program."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
