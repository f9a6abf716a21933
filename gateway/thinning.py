"""What an outbox that is full gives up, and how that is told. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gateway.ranges import RangeSet
from telemetry.scaling import VECTORS
from telemetry.sparkplug.acknowledgement import (
    REPLACED_DETAILS_LIMIT,
    REPLACED_RANGES_LIMIT,
    DropRecord,
    Replaced,
)

if TYPE_CHECKING:
    from typing import Literal

    from telemetry.frames import Frame


KEPT_PERIOD_MS = 60_000
"""Thinned data have a sample a minute: enough for a rise of 1 degC/min, a sixth of a unit that reports every 10 s.
**Assumed**."""


def thin(frame: Frame) -> Frame | None:
    """The frame with the samples that fall on whole multiples of the kept period; None when it has none of them.

    A frame of a slower unit stays as it is. Which samples stay does not depend on how they were cut into frames.
    """
    stride = KEPT_PERIOD_MS // frame.period_ms
    if stride <= 1:
        return frame
    first = -(frame.tick_ms // frame.period_ms) % stride
    if first >= len(frame):
        return None
    kept = slice(first, None, stride)
    return replace(
        frame,
        tick_ms=frame.tick_ms + first * frame.period_ms,
        period_ms=frame.period_ms * stride,
        temperatures_raw=frame.temperatures_raw[kept],
        voltages_mv=frame.voltages_mv[kept],
        **{
            column.field: getattr(frame, column.field)[kept]
            for column in VECTORS
            if getattr(frame, column.field) is not None
        },
    )


@dataclass(slots=True)
class Drops:
    """Gathers what is given up into as few records as may be. Limits are those of the wire."""

    ranges: RangeSet = field(default_factory=lambda: RangeSet(REPLACED_RANGES_LIMIT + 1))
    details: dict[tuple[object, ...], Replaced] = field(default_factory=dict)

    @classmethod
    def of(cls, drop: DropRecord) -> Drops:
        """Go on with an earlier record that nobody has seen: it is given up itself, and told by the new one."""
        drops = cls()
        for first, last in drop.ranges:
            drops.ranges.add(first, last)
        drops.ranges.add(drop.sequence)
        drops.details = {_key(detail): detail for detail in drop.details}
        return drops

    def is_full(self) -> bool:
        """Whether the record must be written before more is added."""
        return len(self.ranges) >= REPLACED_RANGES_LIMIT or len(self.details) >= REPLACED_DETAILS_LIMIT

    def replaced(self, sequence: int) -> None:
        """A record of this number will never come."""
        self.ranges.add(sequence)

    def lost(self, detail: Replaced) -> None:
        """These samples will never come; what is alike melts into one."""
        key = _key(detail)
        known = self.details.get(key)
        self.details[key] = detail if known is None else _melted(known, detail)

    def record(self, sequence: int) -> DropRecord:
        """The record, with this number of its own."""
        return DropRecord(sequence=sequence, ranges=tuple(self.ranges), details=tuple(self.details.values()))


def lost_of_frame(
    unit_id: str, frame: Frame, *, zero_ms: int, kept: Literal["none", "thinned"], samples: int, why: str
) -> Replaced:
    """What is lost with a frame, or by thinning it. `zero_ms`: UTC at tick zero, as well as it is known."""
    return Replaced(
        unit_id=unit_id,
        boot_id=frame.boot_id,
        first_frame=frame.number,
        last_frame=frame.number,
        kept=kept,
        kept_period_ms=KEPT_PERIOD_MS if kept == "thinned" else None,
        samples_lost=samples,
        from_ms=zero_ms + frame.tick_ms,
        to_ms=zero_ms + frame.tick_ms + (len(frame) - 1) * frame.period_ms,
        why=why,
    )


def lost_position(at_ms: int, why: str) -> Replaced:
    """A position that was given up."""
    return Replaced(
        unit_id=None,
        boot_id=None,
        first_frame=None,
        last_frame=None,
        kept="none",
        kept_period_ms=None,
        samples_lost=1,
        from_ms=at_ms,
        to_ms=at_ms,
        why=why,
    )


def _key(detail: Replaced) -> tuple[object, ...]:
    return detail.unit_id, detail.boot_id, detail.kept, detail.why


def _melted(one: Replaced, other: Replaced) -> Replaced:
    frames = [
        number
        for number in (one.first_frame, one.last_frame, other.first_frame, other.last_frame)
        if number is not None
    ]
    return replace(
        one,
        first_frame=min(frames, default=None),
        last_frame=max(frames, default=None),
        samples_lost=one.samples_lost + other.samples_lost,
        from_ms=min(one.from_ms, other.from_ms),
        to_ms=max(one.to_ms, other.to_ms),
    )
