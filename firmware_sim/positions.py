"""The vehicle's satellite receiver: fixes to its gateway, a little off the true place."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np

from firmware_sim.connections import keep_connected
from firmware_sim.roads import EARTH_RADIUS_M
from telemetry.samples import PositionFix
from telemetry.unit_link import encode_position, position_topic

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiomqtt

    from firmware_sim.roads import Place
    from telemetry.broker import BrokerAccess

FIX_INTERVAL_S = 2.0
FIX_ERROR_M = 3.0
"""Per axis, open sky: consumer receivers state 2-5 m. **assumed** within it."""


def fix_at(
    place: Place, *, fleet_id: str, gateway_id: str, fixed_at_ms: int, noise: np.random.Generator
) -> PositionFix:
    """What the receiver says of a true place."""
    north_m, east_m = FIX_ERROR_M * noise.standard_normal(2)
    metre_deg = float(np.degrees(1.0 / EARTH_RADIUS_M))
    return PositionFix(
        fleet_id=fleet_id,
        gateway_id=gateway_id,
        fixed_at_ms=fixed_at_ms,
        latitude_deg=place.latitude_deg + north_m * metre_deg,
        longitude_deg=place.longitude_deg + east_m * metre_deg / float(np.cos(np.radians(place.latitude_deg))),
        speed_m_s=max(0.0, place.speed_m_s + 0.1 * float(noise.standard_normal())),
        heading_deg=place.heading_deg,
        accuracy_m=FIX_ERROR_M * 2.0,
    )


async def report_positions(gateway_id: str, access: BrokerAccess, fix_now: Callable[[], PositionFix]) -> None:
    """Publish a fix at once and every FIX_INTERVAL_S, until cancelled. A fix that could not be sent is not repeated."""

    async def talk(client: aiomqtt.Client) -> None:
        while True:
            await client.publish(position_topic(gateway_id), encode_position(fix_now()), qos=0)
            await asyncio.sleep(FIX_INTERVAL_S)

    await keep_connected(access, talk, name=f"receiver of {gateway_id}")
