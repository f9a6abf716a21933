"""The command line. `packwatch --help` teaches it; every command says what was wrong and what to do."""

from __future__ import annotations

import sys

import typer

from packwatch.cli import data, running, vehicles

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


def main() -> None:
    """The `packwatch` program."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
