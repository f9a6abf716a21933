"""Replay: a recorded trace as a unit's frames, at any speed, until the gateway has taken every one of them."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from firmware_sim.ring import WINDOW_FRAMES, FrameRing
from firmware_sim.unit import Firmware, Rows, TickClock
from firmware_sim.unit_link import UnitLink
from telemetry.frames import MAX_PERIOD_MS
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from telemetry.broker import BrokerAccess
    from telemetry.traces import Trace

MAX_SAMPLES_PER_FRAME = 60
MAX_FRAME_BYTES = 16_384
"""A unit's radio packs about so much at once; far below the broker's limit. **assumed**"""
FRAMES_PER_S = 10.0
"""A paced replay sends about so many frames a second at most, and packs more samples into each instead. **assumed**"""
CELL_TAP_LIMIT_V = 65.534
"""The most that a cell or module tap can say on the wire; what is higher is a whole pack's voltage."""
GIVE_UP_AFTER_S = 120.0
"""Half a dozen resends of each frame without one receipt: nobody is there."""


class ReplayError(Exception):
    """A replay that cannot be done, or was not taken by a gateway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySummary:
    """What was replayed, all of it taken by the gateway."""

    rows: int
    frames: int
    values: int
    """Channel values, missing ones included."""
    rows_without_time: int
    seconds: float
    """From the start to the last receipt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSpan:
    """Rows of a trace that make one frame."""

    start: int
    stop: int
    """Exclusive."""
    period_ms: int


def default_samples_per_frame(trace: Trace, speed: float | None) -> int:
    """One sample a frame as long as that is at most FRAMES_PER_S; as many as a frame may hold at full speed (None)."""
    most = max(1, min(MAX_SAMPLES_PER_FRAME, MAX_FRAME_BYTES // (2 * _width(trace))))
    if speed is None or len(trace.time_s) < 2:
        return most
    rows_per_s = speed / float(np.median(np.diff(trace.time_s)))
    return int(np.clip(np.ceil(rows_per_s / FRAMES_PER_S), 1, most))


def frame_spans(tick_ms: NDArray[np.int64], samples_per_frame: int) -> list[FrameSpan]:
    """Cut rows at `tick_ms` (n,) into frames of even steps, at most `samples_per_frame` rows each, none left out.

    Where the step changes a frame ends; rows at uneven steps travel in frames of one or two. Raises ReplayError when
    times do not increase by at least 1 ms.
    """
    steps_ms = np.diff(tick_ms)
    if bool(np.any(steps_ms < 1)):
        row = int(np.argmax(steps_ms < 1))
        raise ReplayError(f"rows {row + 1} and {row + 2} are less than 1 ms apart: the wire cannot tell them apart")
    spans = []
    start = 0
    while start < len(tick_ms):
        step_ms = int(steps_ms[start]) if start < len(steps_ms) else 1000
        stop = start + 1
        while (
            stop < len(tick_ms)
            and stop - start < samples_per_frame
            and steps_ms[stop - 1] == step_ms
            and step_ms <= MAX_PERIOD_MS
        ):
            stop += 1
        spans.append(FrameSpan(start=start, stop=stop, period_ms=min(step_ms, MAX_PERIOD_MS)))
        start = stop
    return spans


async def replay_trace(
    trace: Trace,
    *,
    unit_id: str,
    access: BrokerAccess,
    speed: float | None,
    ended_at_ms: int,
    samples_per_frame: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    window: int = WINDOW_FRAMES,
    give_up_after_s: float = GIVE_UP_AFTER_S,
) -> ReplaySummary:
    """Send the trace as frames of `unit_id` and return when the gateway has acknowledged all of them.

    speed: recorded seconds per real second; None = as fast as the gateway takes them. ended_at_ms: the UTC that the
    unit declares for the last row, ms since 1970. on_progress(rows handed over, rows in all) is called on the event
    loop. At most `window` frames wait for their receipts, and the unit holds back the rest: nothing is lost, through
    broken connections too. Raises ReplayError when no receipt came for `give_up_after_s`, ValueError unless speed > 0,
    telemetry.errors.WireError for a trace that no frame can carry (no temperatures).
    """
    if speed is not None and not speed > 0:
        raise ValueError(f"speed is {speed}: it must be above 0")
    started_s = asyncio.get_running_loop().time()
    tick_ms = np.rint((trace.time_s - trace.time_s[0]) * 1000.0).astype(np.int64)
    spans = frame_spans(tick_ms, samples_per_frame or default_samples_per_frame(trace, speed))
    rows = rows_of(trace)
    firmware = Firmware(
        unit_id=unit_id,
        boot_id=f"replay-{secrets.token_hex(6)}",
        provenance=Provenance.REPLAYED,
        clock=TickClock(booted_at_s=started_s),
        report_interval_s=1.0,
        ring=FrameRing(capacity=window, window=window),
        utc_at_tick_zero_ms=ended_at_ms - int(tick_ms[-1]),
    )
    link = UnitLink(firmware, access)
    feeding = _feed(link, rows, tick_ms, spans, speed=speed, on_progress=on_progress, give_up_after_s=give_up_after_s)
    async with asyncio.TaskGroup() as tasks:
        carrying = tasks.create_task(link.run(), name=f"link of {unit_id}")
        complete = await feeding
        carrying.cancel()
    if not complete:
        waiting = len(firmware.ring)
        raise ReplayError(f"no gateway acknowledged a frame of {unit_id} for {give_up_after_s:g} s; {waiting} wait")
    return ReplaySummary(
        rows=len(trace),
        frames=len(spans),
        values=len(trace) * _width(trace),
        rows_without_time=trace.rows_without_time,
        seconds=asyncio.get_running_loop().time() - started_s,
    )


async def _feed(
    link: UnitLink,
    rows: Rows,
    tick_ms: NDArray[np.int64],
    spans: Sequence[FrameSpan],
    *,
    speed: float | None,
    on_progress: Callable[[int, int], None] | None,
    give_up_after_s: float,
) -> bool:
    """Hand the firmware its frames when they are due and wait for the receipts. False = given up.

    It returns rather than raises: in a task group an error would come out wrapped.
    """
    loop = asyncio.get_running_loop()
    firmware = link.firmware
    started_s = loop.time()
    for span in spans:
        if speed is not None:
            due_s = started_s + float(tick_ms[span.stop - 1]) / 1000.0 / speed
            await asyncio.sleep(max(0.0, due_s - loop.time()))
        if not await _taken(link, leaving=firmware.ring.window - 1, give_up_after_s=give_up_after_s):
            return False
        firmware.record(rows.cut(span.start, span.stop), tick_ms=int(tick_ms[span.start]), period_ms=span.period_ms)
        link.wake()
        if on_progress is not None:
            on_progress(span.stop, len(tick_ms))
    return await _taken(link, leaving=0, give_up_after_s=give_up_after_s)


async def _taken(link: UnitLink, *, leaving: int, give_up_after_s: float) -> bool:
    """Wait until at most `leaving` frames lack their receipts. False = none came for `give_up_after_s`."""
    while len(link.firmware.ring) > leaving:
        try:
            async with asyncio.timeout(give_up_after_s):
                await link.acknowledged()
        except TimeoutError:
            return False
    return True


def rows_of(trace: Trace) -> Rows:
    """The trace's columns as a unit's; a last voltage column beyond a tap's range is the whole pack's."""
    voltages_v = np.asarray(trace.voltages_v, dtype=np.float64)
    finite_v = voltages_v[np.isfinite(voltages_v[:, -1]), -1] if voltages_v.shape[1] else voltages_v[:, :0].ravel()
    # The median, since single wild values (66 V on a cell's tap) are known from the field.
    pack = len(finite_v) > 0 and float(np.median(finite_v)) > CELL_TAP_LIMIT_V
    return Rows(
        temperatures_c=np.asarray(trace.temperatures_c, dtype=np.float64),
        voltages_v=voltages_v[:, :-1] if pack else voltages_v,
        pack_voltage_v=voltages_v[:, -1] if pack else None,
        **{name: np.asarray(column, dtype=np.float64) for name, column in trace.singles.items()},
    )


def _width(trace: Trace) -> int:
    return int(trace.temperatures_c.shape[1] + trace.voltages_v.shape[1]) + len(trace.singles)
