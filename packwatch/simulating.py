"""Simulated vehicles with a gateway each, for `up --demo` and `simulate`."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

from alerts.rules_file import shipped_rules
from firmware_sim.convoy import build_scenario
from firmware_sim.running import run_scenario
from gateway.service import GatewayService
from gateway.settings import GatewaySettings
from packwatch.crew import Crew, stop_on_signals
from packwatch.enrolling import Logins, enrol_all
from packwatch.settings import SettingsError
from packwatch.vehicle import engine_for

if TYPE_CHECKING:
    from pathlib import Path

    from firmware_sim.scenarios import Scenario
    from packwatch.settings import Settings

_OUTBOX_BYTES = 32 * 1024 * 1024
"""In memory, a vehicle: a simulation has nothing that is worth a disk. **Assumed**."""


def scenario_by_name(name: str, units: int | None = None) -> Scenario:
    """The scenario, scaled to so many units. Raises SettingsError that lists what there is."""
    try:
        return build_scenario(name, units)
    except ValueError as error:
        raise SettingsError(str(error)) from error


async def run_vehicles(
    scenario: Scenario, logins: Logins, *, host_id: str, speed: float, state_dir: Path | None = None
) -> None:
    """Drive the scenario's units, positions and gateways until cancelled. Gateways say goodbye."""
    units_of: dict[str, list[str]] = {}
    rules, enrolments = shipped_rules().rules, scenario.enrolments()
    for enrolment in enrolments:
        units_of.setdefault(enrolment.gateway_id, []).append(enrolment.unit_id)
    async with asyncio.TaskGroup() as group:
        for gateway_id, units in units_of.items():
            access = logins.gateways[gateway_id]
            gateway = GatewayService(
                GatewaySettings(
                    gateway_id=gateway_id,
                    fleet_id=scenario.fleet_id,
                    units=tuple(units),
                    host_id=host_id,
                    outbox_max_bytes=_OUTBOX_BYTES,
                    state_path=None if state_dir is None else state_dir / f"gateway-{gateway_id}.json",
                ),
                local=access,
                uplink=access,
                evaluator=partial(engine_for, rules, gateway_id, scenario.fleet_id, enrolments),
            )
            group.create_task(gateway.run(), name=f"gateway {gateway_id}")
        group.create_task(
            run_scenario(
                scenario,
                access_for_unit=logins.units.__getitem__,
                access_for_position=logins.gateways.__getitem__,
                speed=speed,
                started_at_ms=time.time_ns() // 1_000_000,
                state_dir=state_dir,
            ),
            name=f"scenario {scenario.name}",
        )


async def run_simulation(settings: Settings, name: str, *, units: int | None, speed: float, mqtt_given: bool) -> None:
    """`packwatch simulate`: enrol the scenario, then drive it until a signal."""
    scenario = scenario_by_name(name, units)
    logins = await enrol_all(settings, scenario.enrolments(), mqtt_given=mqtt_given)
    stop = stop_on_signals()
    crew = Crew()
    crew.start(
        f"scenario {name}",
        run_vehicles(scenario, logins, host_id=settings.host_id, speed=speed, state_dir=settings.data_dir / "units"),
    )
    try:
        await crew.run(stop)
    finally:
        await crew.dismiss()
