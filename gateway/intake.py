"""What arrives on the vehicle's own network: judged, given its time, and handed on as records. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.clock_map import UnitClock
from gateway.outbox import FrameRecord, PositionRecord
from gateway.ranges import RangeSet
from telemetry.errors import WireError
from telemetry.frames import Frame, batch_from_frame, decode_frame
from telemetry.unit_link import decode_clock_beat, decode_position, parse_unit_topic, position_topic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.clock_map import ClockFix

BEAT_PATIENCE_MS = 25_000
"""How long a frame waits for the first beat of its boot: two and a half intervals of 10 s between beats."""
HELD_FRAMES = 64
"""Frames of a unit that may wait for a beat; a further one is not acknowledged, and the unit sends it again."""
BOOTS_KEPT = 8
FRAME_RANGES_KEPT = 256
"""Memory for recognising frames that are sent again: boots of a unit, ranges of a boot. **Assumed**. What is forgotten
gives a second record, which the store recognises by unit, boot and frame."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameReady:
    """A frame for the outbox. Call `Intake.taken` once the outbox has it, and acknowledge it to the unit then."""

    unit_id: str
    boot_id: str
    number: int
    last_tick_ms: int
    record: FrameRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameAgain:
    """A frame that the outbox already took: acknowledge it again, the receipt was lost."""

    unit_id: str
    boot_id: str
    number: int
    last_tick_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameHeld:
    """A frame waits for its boot's first beat, or is left to the unit because too many wait."""

    unit_id: str
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionReady:
    """A position for the outbox."""

    record: PositionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A message of a unit that another gateway looks after."""

    unit_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A message that is not what its topic says. Nothing but the counters changed."""

    topic: str
    reason: str
    """Stable slug for counters."""
    detail: str
    """A sentence."""


IntakeEvent = FrameReady | FrameAgain | FrameHeld | PositionReady | Foreign | Refusal


@dataclass(slots=True)
class _Unit:
    clock: UnitClock = field(default_factory=UnitClock)
    taken: OrderedDict[str, RangeSet] = field(default_factory=OrderedDict)
    held: dict[tuple[str, int], tuple[Frame, int]] = field(default_factory=dict)
    """(boot, number) to the frame and when it was received first, UTC ms."""


class Intake:
    """The local side of one gateway. Times are UTC, ms since 1970, by the gateway's clock."""

    def __init__(self, *, gateway_id: str, fleet_id: str, units: frozenset[str] | None) -> None:
        """`units`: those this gateway looks after; None = every unit it hears."""
        self._gateway_id = gateway_id
        self._fleet_id = fleet_id
        self._position_topic = position_topic(gateway_id)
        self._allowed = units
        self._units: dict[str, _Unit] = {}

    def receive(self, topic: str, payload: bytes, received_at_ms: int) -> list[IntakeEvent]:
        """What a message comes to. A clock beat may release frames that waited for it."""
        try:
            if topic == self._position_topic:
                fix = decode_position(payload, self._fleet_id, self._gateway_id)
                return [PositionReady(record=PositionRecord(fix=fix, accepted_at_ms=received_at_ms))]
            unit_id, kind = parse_unit_topic(topic)
            if self._allowed is not None and unit_id not in self._allowed:
                return [Foreign(unit_id=unit_id)]
            if kind == "clock":
                beat = decode_clock_beat(payload)
                unit = self._unit(unit_id)
                unit.clock.observe(beat.boot_id, beat.tick_ms, received_at_ms)
                return list(self._release(unit_id, unit, received_at_ms))
            if kind == "frames":
                return [self._frame(unit_id, decode_frame(payload), received_at_ms)]
        except WireError as error:
            return [Refusal(topic=topic, reason=error.reason, detail=str(error))]
        return [Refusal(topic=topic, reason="topic", detail=f"units do not send on {topic!r}")]

    def wait_over(self, now_ms: int) -> list[IntakeEvent]:
        """Frames whose boot was not heard live for too long, with the best time there is. Call it every second."""
        return [event for unit_id, unit in self._units.items() for event in self._release(unit_id, unit, now_ms)]

    def taken(self, frame: FrameReady) -> None:
        """The outbox has the frame: from now on it is a duplicate."""
        boots = self._unit(frame.unit_id).taken
        boots.setdefault(frame.boot_id, RangeSet(FRAME_RANGES_KEPT)).add(frame.number)
        boots.move_to_end(frame.boot_id)
        while len(boots) > BOOTS_KEPT:
            boots.popitem(last=False)

    def _unit(self, unit_id: str) -> _Unit:
        unit = self._units.get(unit_id)
        if unit is None:
            unit = self._units[unit_id] = _Unit()
        return unit

    def _frame(self, unit_id: str, frame: Frame, received_at_ms: int) -> IntakeEvent:
        unit = self._unit(unit_id)
        taken = unit.taken.get(frame.boot_id)
        if taken is not None and frame.number in taken:
            return FrameAgain(
                unit_id=unit_id, boot_id=frame.boot_id, number=frame.number, last_tick_ms=_last_tick_ms(frame)
            )
        fix = unit.clock.fix(
            frame.boot_id,
            first_tick_ms=frame.tick_ms,
            last_tick_ms=_last_tick_ms(frame),
            declared_zero_ms=frame.utc_at_tick_zero_ms,
        )
        if fix is not None:
            return _ready(unit_id, frame, fix, received_at_ms)
        key = (frame.boot_id, frame.number)
        kept = key in unit.held or len(unit.held) < HELD_FRAMES
        if kept:
            unit.held.setdefault(key, (frame, received_at_ms))
        return FrameHeld(unit_id=unit_id, kept=kept)

    def _release(self, unit_id: str, unit: _Unit, now_ms: int) -> Iterator[IntakeEvent]:
        for key in sorted(unit.held):
            frame, received_at_ms = unit.held[key]
            first_tick_ms, last_tick_ms = frame.tick_ms, _last_tick_ms(frame)
            fix = unit.clock.fix(
                frame.boot_id, first_tick_ms=first_tick_ms, last_tick_ms=last_tick_ms, declared_zero_ms=None
            )
            if fix is None and now_ms - received_at_ms >= BEAT_PATIENCE_MS:
                fix = unit.clock.bracket(
                    frame.boot_id,
                    first_tick_ms=first_tick_ms,
                    last_tick_ms=last_tick_ms,
                    received_at_ms=received_at_ms,
                )
            if fix is not None:
                del unit.held[key]
                yield _ready(unit_id, frame, fix, received_at_ms)


def _ready(unit_id: str, frame: Frame, fix: ClockFix, received_at_ms: int) -> FrameReady:
    batch = batch_from_frame(
        frame,
        unit_id=unit_id,
        utc_at_tick_zero_ms=fix.utc_at_tick_zero_ms,
        time_uncertainty_s=fix.uncertainty_s,
        quality=fix.quality,
    )
    return FrameReady(
        unit_id=unit_id,
        boot_id=frame.boot_id,
        number=frame.number,
        last_tick_ms=_last_tick_ms(frame),
        record=FrameRecord(batch=batch, accepted_at_ms=received_at_ms),
    )


def _last_tick_ms(frame: Frame) -> int:
    return frame.tick_ms + (len(frame) - 1) * frame.period_ms
