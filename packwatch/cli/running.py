"""Commands that run services: everything at once, or one alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packwatch.cli.options import DataDir, Http, Mqtt, out, readable_errors

if TYPE_CHECKING:
    from packwatch.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = "Run"
    app.command("up", rich_help_panel=group)(up)
    app.command("ingest", rich_help_panel=group)(ingest)
    app.command("alerts", rich_help_panel=group)(alerts)
    app.command("dashboard", rich_help_panel=group)(dashboard)
    app.command("gateway", rich_help_panel=group)(gateway)
    app.command("cab-link", rich_help_panel=group)(cab_link)


def up(
    *,
    demo: Annotated[
        bool, typer.Option("--demo", help="Add a simulated convoy in which one pack begins to fail.")
    ] = False,
    data_dir: DataDir = None,
    http: Http = None,
    mqtt: Mqtt = None,
) -> None:
    """Run everything on this machine: broker, ingest, store, alerts, pages. Ctrl-C stops it.

    The first start prints a link that works once: open it and choose your name and password.
    Starting again on the same data directory goes on with the data kept.
    """
    with readable_errors():
        from packwatch.up import run_up

        settings = _load(data_dir=data_dir, http=http, mqtt=mqtt)
        asyncio.run(run_up(settings, demo=demo, announce=_announce))


def ingest(data_dir: DataDir = None, http: Http = None, mqtt: Mqtt = None) -> None:
    """Run ingest alone: from a broker that runs already into the store. Its history is served at --http."""
    _run_alone("ingest", data_dir=data_dir, http=http, mqtt=mqtt)


def alerts(data_dir: DataDir = None, mqtt: Mqtt = None) -> None:
    """Run the alert engine alone: from a broker's stream to the registry and the alert topics."""
    _run_alone("alerts", data_dir=data_dir, mqtt=mqtt)


def dashboard(data_dir: DataDir = None, http: Http = None, mqtt: Mqtt = None) -> None:
    """Run the pages alone: live from a broker, history from InfluxDB, or `packwatch ingest` (history_url)."""
    _run_alone("dashboard", data_dir=data_dir, http=http, mqtt=mqtt)


def gateway(
    gateway_id: Annotated[str | None, typer.Option("--id", metavar="ID", help="The gateway's id.")] = None,
    fleet_id: Annotated[str | None, typer.Option("--fleet", metavar="ID", help="The fleet it belongs to.")] = None,
    data_dir: DataDir = None,
    mqtt: Mqtt = None,
) -> None:
    """Run the gateway of one vehicle: from its units' broker (gateway.local) to the cloud's (mqtt)."""
    chosen = {name: value for name, value in (("gateway_id", gateway_id), ("fleet_id", fleet_id)) if value is not None}
    _run_alone("gateway", data_dir=data_dir, mqtt=mqtt, gateway=chosen or None)


def cab_link(
    gateway_id: Annotated[str | None, typer.Option("--id", metavar="ID", help="The gateway's id.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Print the link to the driver's page that a gateway serves in its cab, and the link as a QR code to scan.

    Keep it in the cab: who has the link, and is on the vehicle's network, has the page.
    """
    with readable_errors():
        import segno

        from packwatch.alone.gateway import cab_token_path
        from packwatch.cab_page import cab_token
        from packwatch.settings import SettingsError

        settings = _load(data_dir=data_dir, gateway={"gateway_id": gateway_id} if gateway_id else None)
        cab = settings.gateway.cab
        if not settings.gateway.gateway_id or cab.page is None:
            raise SettingsError("gateway.gateway_id and gateway.cab.page are not both set: see docs/settings.md")
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        base = (cab.page_url or f"http://{cab.page}").rstrip("/")
        url = f"{base}/t#{cab_token(cab_token_path(settings))}"
        out.print(url, highlight=False, soft_wrap=True)
        segno.make(url, error="l").terminal(compact=True)


def _run_alone(service: str, **flags: Any) -> None:
    with readable_errors():
        module = import_module(f"packwatch.alone.{service}")
        run: Callable[..., Coroutine[Any, Any, None]] = getattr(module, f"run_{service}")
        asyncio.run(run(_load(**flags), announce=_announce))


def _load(**flags: Any) -> Settings:
    from packwatch.logging import configure_logging
    from packwatch.settings import Settings

    mqtt = flags.pop("mqtt", None)
    if mqtt is not None:
        flags["mqtt"] = {"address": mqtt}
    settings = Settings.load(**flags)
    configure_logging(settings.log_level, settings.log_format)
    return settings


def _announce(line: str) -> None:
    out.print(line, highlight=False, soft_wrap=True)
