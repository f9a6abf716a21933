"""What the gateway owes to the cloud, as records: frames with their time, positions, and what was given up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from telemetry.frames import batch_from_frame

if TYPE_CHECKING:
    from gateway.clock_map import ClockFix
    from telemetry.cab_report import CabReport
    from telemetry.frames import Frame
    from telemetry.samples import PositionFix, SampleBatch
    from telemetry.sparkplug.acknowledgement import DropRecord


class RecordKind(IntEnum):
    """As the outbox's file has it."""

    FRAME = 1
    POSITION = 2
    DROP = 3
    CAB = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameArrival:
    """A unit's frame on its way into the outbox."""

    unit_id: str
    frame: Frame
    payload: bytes
    """The frame as the unit encoded it."""
    fix: ClockFix | None
    """Where its tick zero lies; None while that cannot be told. Once the outbox has one, it never changes."""
    accepted_at_ms: int
    """The gateway's clock, UTC, ms since 1970; moved with it while the frame has no fix, when the clock is set."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameRecord:
    """A unit's frame with its time fixed."""

    batch: SampleBatch
    accepted_at_ms: int
    """The gateway's clock, UTC, ms since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionRecord:
    """Where the vehicle was."""

    fix: PositionFix
    accepted_at_ms: int
    """The gateway's clock, UTC, ms since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedRecord:
    """What the outbox gave up for want of room."""

    drop: DropRecord
    accepted_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CabRecord:
    """What the box in the cab did."""

    report: CabReport
    accepted_at_ms: int


OutboxRecord = FrameRecord | PositionRecord | DroppedRecord | CabRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEntry:
    """A record that is due to be published."""

    sequence: int | None
    """None: the disk has no room. It is published all the same, for the alarm's sake; its unit keeps it."""
    record: OutboxRecord
    size_bytes: int
    """Of the record's content, as the window counts it."""
    historical: bool = False
    """Sent late, or again."""


def last_tick_ms(frame: Frame) -> int:
    """The tick of a frame's last sample."""
    return frame.tick_ms + (len(frame) - 1) * frame.period_ms


def fixed_frame(unit_id: str, frame: Frame, fix: ClockFix, accepted_at_ms: int) -> FrameRecord:
    """The record of a frame whose time is fixed."""
    batch = batch_from_frame(
        frame,
        unit_id=unit_id,
        utc_at_tick_zero_ms=fix.utc_at_tick_zero_ms,
        time_uncertainty_s=fix.uncertainty_s,
        quality=fix.quality,
    )
    return FrameRecord(batch=batch, accepted_at_ms=accepted_at_ms)


def frame_size_bytes(frame: Frame) -> int:
    """Bytes of the batch that the frame becomes, without tags and names."""
    columns: int = 1 + frame.temperatures_raw.shape[1] + frame.voltages_mv.shape[1]
    return len(frame) * (8 + 4 * columns) + 256


def hottest_c(frame: Frame) -> float:
    """The highest temperature that was measured, degC; NaN when none was."""
    measured = frame.temperatures_raw[frame.temperatures_raw != np.iinfo(np.int16).min]
    return float(measured.max()) * 0.05 if measured.size else float("nan")
