"""`packwatch replay`: a recorded trace as a sensor unit's frames, through a gateway of its own, ending at now."""

from __future__ import annotations

import asyncio
import hashlib
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from firmware_sim.replay import replay_trace
from gateway.service import GatewayService
from gateway.settings import GatewaySettings
from packwatch.crew import TaskDiedError
from packwatch.enrolling import enrol_all
from packwatch.vehicle import engine_for, vehicle_rules
from registry.enrolment import Enrolment
from registry.kinds import Chemistry, PackClass
from telemetry.identifiers import parse_identifier
from telemetry.traces import parse_trace

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from packwatch.settings import Settings
    from telemetry.traces import Trace

REPLAY_FLEET = "replay"
"""Replayed data travels in a fleet (Sparkplug group) of its own."""
_T = TypeVar("_T")
_CONNECT_WITHIN_S = 15.0
_FLUSH_WITHIN_S = 60.0
_OUTBOX_BYTES = 64 * 1024 * 1024
"""In memory: the trace is the durable copy. When it is full, the unit waits."""


async def run_replay(
    settings: Settings,
    path: Path,
    *,
    pack_id: str,
    speed: float | None,
    mqtt_given: bool,
    on_progress: Callable[[int, int], None],
) -> str:
    """Replay the trace and return one line that says what was sent. `speed` None = as fast as it goes.

    Raises TraceError, IdentifierError, RegistryError, ServiceError, SettingsError, TaskDiedError.
    """
    parse_identifier(pack_id, "pack")
    trace = parse_trace(await asyncio.to_thread(path.read_text), path.stem)
    duration_s = float(trace.time_s[-1] - trace.time_s[0])
    now_ms = time.time_ns() // 1_000_000
    ended_at_ms = now_ms if speed is None else now_ms + round(duration_s / max(speed, 1.0) * 1000)
    began_at = datetime.fromtimestamp(ended_at_ms / 1000, UTC) - timedelta(seconds=duration_s)
    enrolment = replay_enrolment(trace, pack_id, min(began_at, datetime.fromtimestamp(now_ms / 1000, UTC)))
    logins = await enrol_all(settings, (enrolment,), mqtt_given=mqtt_given)
    uplink = logins.gateways[enrolment.gateway_id]
    rules = vehicle_rules(settings.rules_path())
    gateway = GatewayService(
        GatewaySettings(
            gateway_id=enrolment.gateway_id,
            fleet_id=enrolment.fleet_id,
            units=(enrolment.unit_id,),
            host_id=settings.host_id,
            outbox_max_bytes=_OUTBOX_BYTES,
            units_can_wait=True,
        ),
        local=uplink,
        uplink=uplink,
        evaluator=partial(engine_for, rules, enrolment.gateway_id, enrolment.fleet_id, (enrolment,)),
    )
    running = asyncio.create_task(gateway.run(), name=f"gateway {enrolment.gateway_id}")
    try:
        await _unless_it_dies(gateway.ready.wait(), running, _CONNECT_WITHIN_S, "the gateway did not connect")
        summary = await _unless_it_dies(
            replay_trace(
                trace,
                unit_id=enrolment.unit_id,
                access=logins.units[enrolment.unit_id],
                speed=speed,
                ended_at_ms=ended_at_ms,
                on_progress=on_progress,
            ),
            running,
            None,
            "the replay did not end",
        )
        await _unless_it_dies(gateway.drained(), running, _FLUSH_WITHIN_S, "the gateway could not publish everything")
    finally:
        running.cancel()
        await asyncio.wait([running])
    unplaced = (
        f", {summary.rows_without_time} rows without a time placed by their neighbours"
        if summary.rows_without_time
        else ""
    )
    return (
        f"replayed {trace.name}: {summary.rows:,} samples ({summary.values:,} values) in {summary.frames:,} frames "
        f"within {summary.seconds:.1f} s as unit {enrolment.unit_id} on pack {pack_id}{unplaced}"
    )


def replay_enrolment(trace: Trace, pack_id: str, bound_from: datetime) -> Enrolment:
    """A unit and gateway of the replay's own, on the pack; what is known of a pack already stays as it is."""
    name = _replay_name(pack_id)
    return Enrolment(
        fleet_id=REPLAY_FLEET,
        gateway_id=name,
        pack_id=pack_id,
        chemistry=Chemistry.UNKNOWN,
        pack_class=PackClass.END_OF_LIFE,
        unit_id=name,
        report_interval_s=max(1.0, float(np.median(np.diff(trace.time_s)))) if len(trace) > 1 else 1.0,
        temperature_channels=trace.temperatures_c.shape[1],
        voltage_channels=trace.voltages_v.shape[1],
        simulated=True,
        bound_from=bound_from,
    )


def _replay_name(pack_id: str) -> str:
    name = f"replay-{pack_id}"
    if len(name) <= 64:
        return name
    return f"{name[:51]}-{hashlib.sha256(pack_id.encode()).hexdigest()[:12]}"


async def _unless_it_dies(
    work: Coroutine[object, object, _T], gateway: asyncio.Task[None], within_s: float | None, what: str
) -> _T:
    """The result of `work`. Raises TaskDiedError when the gateway ends first, or the time is over."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task, gateway}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if gateway.done():
            raise TaskDiedError(f"the replay's gateway ended: {gateway.exception() or 'no error'}")
        raise TaskDiedError(f"{what} within {within_s:g} s: is the broker reachable, and its account right?")
    finally:
        task.cancel()
