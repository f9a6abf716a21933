"""Running a scenario in real time: one world, one link for every unit, one receiver for every vehicle."""

from __future__ import annotations

import asyncio
import functools
import secrets
from typing import TYPE_CHECKING

import numpy as np
import structlog

from firmware_sim.boots import BootCounter
from firmware_sim.positions import fix_at, report_positions
from firmware_sim.unit import Firmware, TickClock
from firmware_sim.unit_link import UnitLink
from firmware_sim.world import World
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from firmware_sim.scenarios import Scenario
    from firmware_sim.world import SunlightAt
    from telemetry.broker import BrokerAccess
    from telemetry.samples import PositionFix

STEP_S = 1.0
"""How often the world moves on and units may sample; no unit reports faster."""
DRIFT_PPM = 30.0
"""Largest error of a unit's quartz: a common crystal's tolerance with temperature. **assumed**"""

_log = structlog.get_logger(__name__)


async def run_scenario(
    scenario: Scenario,
    *,
    access_for_unit: Callable[[str], BrokerAccess],
    access_for_position: Callable[[str], BrokerAccess],
    speed: float = 1.0,
    started_at_ms: int,
    state_dir: Path | None = None,
    seed: int | None = None,
) -> None:
    """Run until cancelled; then every connection is closed.

    started_at_ms: UTC now, ms since 1970. speed: how many seconds pass in the world (physics, weather, driving) in one
    real second; units still report at their own intervals of real time, stamped with real time, since nothing can be
    measured in the future. state_dir: where the units' boot counters live; None = they start anew. seed: of all noise;
    None = another one every time. Raises ValueError unless speed > 0, and OSError when state_dir cannot be used.
    """
    if not speed > 0:
        raise ValueError(f"speed is {speed}: it must be above 0")
    loop = asyncio.get_running_loop()
    boots = await asyncio.to_thread(lambda: BootCounter(state_dir).boot([pack.unit_id for pack in scenario.packs]))
    start_s = loop.time()
    seed = secrets.randbits(64) if seed is None else seed
    world = World(scenario, started_at_s=started_at_ms / 1000.0, noise=np.random.default_rng((seed, 0)))
    drift_ppm = np.random.default_rng(len(scenario.packs)).uniform(-DRIFT_PPM, DRIFT_PPM, len(scenario.packs))
    links = [
        UnitLink(
            Firmware(
                unit_id=pack.unit_id,
                boot_id=boots[pack.unit_id],
                provenance=Provenance.SIMULATED,
                clock=TickClock(booted_at_s=start_s, drift_ppm=float(drift)),
                report_interval_s=pack.report_interval_s,
            ),
            access_for_unit(pack.unit_id),
        )
        for pack, drift in zip(scenario.packs, drift_ppm, strict=True)
    ]
    fix_noise = np.random.default_rng((seed, 1))

    def fix_of(vehicle: int) -> PositionFix:
        return fix_at(
            world.places[vehicle],
            fleet_id=scenario.fleet_id,
            gateway_id=scenario.vehicles[vehicle].gateway_id,
            fixed_at_ms=started_at_ms + round((loop.time() - start_s) * 1000.0),
            noise=fix_noise,
        )

    _log.info("scenario_started", scenario=scenario.name, packs=len(scenario.packs), vehicles=len(scenario.vehicles))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_sample(world, links, start_s=start_s, speed=speed), name=f"world of {scenario.name}")
        for link in links:
            tasks.create_task(link.run(), name=f"link of {link.firmware.unit_id}")
        for number, vehicle in enumerate(scenario.vehicles):
            tasks.create_task(
                report_positions(
                    vehicle.gateway_id, access_for_position(vehicle.gateway_id), functools.partial(fix_of, number)
                ),
                name=f"receiver of {vehicle.gateway_id}",
            )
        tasks.create_task(_let_the_sun_rise(world), name=f"sun of {scenario.name}")


async def _sample(world: World, links: Sequence[UnitLink], *, start_s: float, speed: float) -> None:
    loop = asyncio.get_running_loop()
    while True:
        now_s = loop.time()
        # In a thread: a large or fast world must not hold up the links.
        await asyncio.to_thread(world.advance, (now_s - start_s) * speed)
        readings = world.read()
        for pack, link in enumerate(links):
            link.firmware.sense(readings.temperatures_c[pack], now_s)
            due_at_s = link.firmware.due_at_s()
            # Steps come a few milliseconds early or late; an interval must not become a step longer for that.
            if due_at_s is None or due_at_s <= now_s + STEP_S / 4.0:
                link.firmware.sample(world.rows(readings, pack), now_s)
                link.wake()
        behind_s = loop.time() - start_s
        await asyncio.sleep(STEP_S - behind_s % STEP_S)


async def _let_the_sun_rise(world: World) -> None:
    """Load the solar tables beside the start: they take seconds, and the first reading shall not wait for them."""
    world.sunlight_at = await asyncio.to_thread(_load_sunlight)


def _load_sunlight() -> SunlightAt:
    from firmware_sim.sun import sunlight_at  # noqa: PLC0415 - the import is what takes seconds

    return sunlight_at
