"""Commands that bring sensor units and gateways along: simulated ones, and recorded traces."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from packwatch.cli.options import DataDir, Mqtt, err, out, readable_errors
from registry.kinds import Chemistry, PackClass

if TYPE_CHECKING:
    from packwatch.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = "Bring data"
    app.command("simulate", rich_help_panel=group)(simulate)
    app.command("replay", rich_help_panel=group)(replay)
    app.command("enrol", rich_help_panel=group)(enrol)


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
            bar = progress.add_task("samples sent", total=None, visible=False)
            summary = asyncio.run(
                run_replay(
                    settings,
                    trace,
                    pack_id=pack,
                    speed=times,
                    mqtt_given=mqtt is not None,
                    on_progress=lambda done, total: progress.update(bar, completed=done, total=total, visible=True),
                )
            )
        out.print(summary, highlight=False, soft_wrap=True)


def enrol(
    *,
    unit: Annotated[str, typer.Option("--unit", metavar="ID", help="The sensor unit (Sparkplug device).")],
    pack: Annotated[str, typer.Option("--pack", metavar="ID", help="The pack that it watches.")],
    gateway: Annotated[str, typer.Option("--gateway", metavar="ID", help="Its gateway (Sparkplug edge node).")],
    pack_class: Annotated[PackClass, typer.Option("--class", help="Why the pack travels.")],
    fleet: Annotated[str, typer.Option("--fleet", metavar="ID", help="The fleet (Sparkplug group).")] = "fleet",
    vehicle: Annotated[str | None, typer.Option("--vehicle", metavar="ID", help="The vehicle that carries it.")] = None,
    chemistry: Annotated[Chemistry, typer.Option("--chemistry", help="Of the pack's cells.")] = Chemistry.UNKNOWN,
    probes: Annotated[int, typer.Option("--probes", min=0, max=512, help="Temperature channels.")] = 8,
    voltages: Annotated[int, typer.Option("--voltages", min=0, max=512, help="Voltage channels.")] = 0,
    series: Annotated[int | None, typer.Option("--series", min=1, max=2000, help="Cells in series.")] = None,
    capacity: Annotated[float | None, typer.Option("--capacity-ah", min=0.1, help="Of the pack.")] = None,
    charge: Annotated[
        float | None,
        typer.Option("--state-of-charge", min=0, max=100, help="Percent now; responders see it."),
    ] = None,
    interval: Annotated[float, typer.Option("--interval", min=0.1, max=86400, help="Seconds between reports.")] = 10.0,
    assessed_by: Annotated[str | None, typer.Option(help="Who assessed the class; a damaged pack needs it.")] = None,
    criteria: Annotated[str | None, typer.Option(help="By which criteria.")] = None,
    outcome: Annotated[str | None, typer.Option(help="With which outcome.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Register a real unit on a pack, and print the broker accounts for it and its gateway as JSON.

    Keep what it prints to yourself: it holds passwords. Running it again prints the same accounts.
    """
    with readable_errors():
        from packwatch.client import ServiceClient
        from packwatch.enrolling import enrol_through_service
        from packwatch.settings import Settings, SettingsError
        from registry.enrolment import Enrolment

        settings = Settings.load(data_dir=data_dir)
        client = ServiceClient.of(settings.data_dir)
        if client is None:
            raise SettingsError(f"no Packwatch runs on the data directory {settings.data_dir}: start `packwatch up`")
        enrolment = Enrolment(
            fleet_id=fleet,
            gateway_id=gateway,
            vehicle_id=vehicle,
            pack_id=pack,
            chemistry=chemistry,
            pack_class=pack_class,
            capacity_ah=capacity,
            series_count=series,
            state_of_charge_pct=charge,
            unit_id=unit,
            report_interval_s=interval,
            temperature_channels=probes,
            voltage_channels=voltages,
            simulated=False,
            class_assessed_by=assessed_by,
            class_criteria=criteria,
            class_outcome=outcome,
        )
        with client:
            typer.echo(json.dumps(enrol_through_service(client, enrolment), indent=1))


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
    configure_logging("warning" if settings.log_level == "auto" else settings.log_level, settings.log_format)
    return settings
