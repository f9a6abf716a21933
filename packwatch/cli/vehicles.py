"""Commands that bring sensor units and gateways along: simulated ones, and recorded traces."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from packwatch.cli.options import DataDir, Mqtt, err, out, readable_errors

if TYPE_CHECKING:
    from packwatch.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = "Bring data"
    app.command("simulate", rich_help_panel=group)(simulate)
    app.command("replay", rich_help_panel=group)(replay)


def simulate(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="convoy, calm or failing-pack.")],
    *,
    units: Annotated[int | None, typer.Option("--units", min=1, max=5000, help="How many units.")] = None,
    speed: Annotated[float, typer.Option("--speed", min=0.1, max=1000, help="Times real time.")] = 1.0,
    mqtt: Mqtt = None,
    data_dir: DataDir = None,
) -> None:
    """Drive simulated vehicles, packs, units and gateways against a running Packwatch until Ctrl-C."""
    with readable_errors():
        from packwatch.simulating import run_simulation

        settings = _settings(data_dir, mqtt)
        with err.status(f"simulating {scenario}; Ctrl-C stops it"):
            asyncio.run(run_simulation(settings, scenario, units=units, speed=speed, mqtt_given=mqtt is not None))


def replay(
    trace: Annotated[Path, typer.Argument(metavar="TRACE.csv", help="A recording in the trace format.")],
    *,
    pack: Annotated[str, typer.Option("--pack", metavar="ID", help="The pack that it is recorded for.")],
    speed: Annotated[
        str, typer.Option("--speed", metavar="X|max", help="Times real time, or as fast as it goes.")
    ] = "1",
    mqtt: Mqtt = None,
    data_dir: DataDir = None,
) -> None:
    """Send a recorded trace as a sensor unit's frames, through a gateway of its own, ending at now.

    Pack and unit are registered if unknown. Its samples and alerts are marked replayed. Refused for a pack that is on
    an open, real shipment.
    """
    with readable_errors():
        from packwatch.replaying import run_replay

        settings = _settings(data_dir, mqtt)
        times = _speed(speed)
        columns = (TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=err) as progress:
            bar = progress.add_task("samples sent", total=None)
            summary = asyncio.run(
                run_replay(
                    settings,
                    trace,
                    pack_id=pack,
                    speed=times,
                    mqtt_given=mqtt is not None,
                    on_progress=lambda done, total: progress.update(bar, completed=done, total=total),
                )
            )
        out.print(summary, highlight=False, soft_wrap=True)


def _speed(text: str) -> float | None:
    from packwatch.settings import SettingsError

    if text == "max":
        return None
    try:
        speed = float(text.rstrip("x"))
    except ValueError as error:
        raise SettingsError(f"--speed {text!r} is neither a number like 10 nor max") from error
    if not 0.01 <= speed <= 100_000:
        raise SettingsError(f"--speed {text} is not between 0.01 and 100000; max goes as fast as it can")
    return speed


def _settings(data_dir: Path | None, mqtt: str | None) -> Settings:
    from packwatch.logging import configure_logging
    from packwatch.settings import Settings

    settings = Settings.load(data_dir=data_dir, mqtt={"address": mqtt} if mqtt else None)
    configure_logging("warning" if settings.log_level == "info" else settings.log_level, settings.log_format)
    return settings
