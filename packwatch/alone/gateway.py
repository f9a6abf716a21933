"""`packwatch gateway`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.service import GatewayService
from gateway.settings import CabSettings, GatewaySettings
from packwatch.crew import Crew, stop_on_signals
from packwatch.settings import SettingsError
from packwatch.vehicle import VehicleEngine, vehicle_rules

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from packwatch.settings import CabSection, HostPort, Settings


async def run_gateway(settings: Settings, *, announce: Callable[[str], None]) -> None:
    """One vehicle's gateway, from its units' broker to the cloud's."""
    stop = stop_on_signals()
    section = settings.gateway
    if not section.gateway_id:
        raise SettingsError("gateway.gateway_id is not set: name the gateway with --id, as it was enrolled")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    rules = await asyncio.to_thread(vehicle_rules, settings.rules_path())
    gateway = GatewayService(
        GatewaySettings(
            gateway_id=section.gateway_id,
            fleet_id=section.fleet_id,
            units=None if section.units is None else tuple(section.units),
            host_id=settings.host_id,
            state_path=settings.data_dir / f"gateway-{section.gateway_id}.json",
            outbox_path=settings.data_dir / f"outbox-{section.gateway_id}.db",
            outbox_max_bytes=round(section.outbox_max_mb * 1024 * 1024),
            resend_s=section.resend_s,
            wait_for_time_sync=section.wait_for_time_sync,
            cab=_cab(section.cab),
        ),
        local=section.local.access(),
        uplink=settings.mqtt.access(),
        evaluator=lambda: VehicleEngine(rules, gateway_id=section.gateway_id, fleet_id=section.fleet_id),
    )
    crew = Crew()
    if section.cab.page is not None:
        _serve_page(settings, section.cab.page, gateway, crew)
    crew.start(f"gateway {section.gateway_id}", gateway.run())
    announce(f"gateway {section.gateway_id} takes units from {section.local.address} to {settings.mqtt.address}")
    try:
        await crew.run(stop)
    finally:
        await crew.dismiss()


def _cab(section: CabSection) -> CabSettings:
    try:
        return CabSettings(
            siren_command=tuple(section.siren_command),
            siren_line=section.siren_line,
            lamp_command=tuple(section.lamp_command),
            lamp_line=section.lamp_line,
            button_line=section.button_line,
            loop_command=tuple(section.loop_command),
            loop_every_s=section.loop_every_s,
            battery_h=section.battery_h,
            power_supplies=section.power_supplies,
        )
    except ValueError as error:
        raise SettingsError(f"setting gateway.cab: {error}") from error


def cab_token_path(settings: Settings) -> Path:
    """Where the vehicle's token lies."""
    return settings.data_dir / f"cab-token-{settings.gateway.gateway_id}"


def _serve_page(settings: Settings, address: HostPort, gateway: GatewayService, crew: Crew) -> None:
    # Here, since a gateway without a page needs no web server in its memory.
    from packwatch.addresses import listen  # noqa: PLC0415
    from packwatch.cab_page import CabPage, cab_token  # noqa: PLC0415
    from packwatch.operator_files import read_tunnels  # noqa: PLC0415
    from packwatch.web_server import WebServer  # noqa: PLC0415

    cab = settings.gateway.cab
    page = CabPage(
        gateway,
        token=cab_token(cab_token_path(settings)),
        vehicle_name=settings.gateway.gateway_id,
        language=cab.language,
        emergency_number=cab.emergency_number,
        tunnels=read_tunnels(settings),
    )
    gateway.on_fix = page.observe_fix
    listener = listen(address, "the driver's page", "gateway.cab.page,")
    crew.start("the driver's page", WebServer(page.app, listener, shutdown=asyncio.Event()).run())
