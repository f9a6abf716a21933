"""What arrives on the vehicle's own network: judged, given its time where that can be told, and handed on. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from gateway.clock_map import UnitClock, WaitingBoot
from gateway.records import FrameArrival, PositionRecord, last_tick_ms
from telemetry.errors import WireError
from telemetry.frames import decode_frame
from telemetry.unit_link import decode_clock_beat, decode_position, parse_unit_topic, position_topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.clock_map import ClockFix
    from gateway.outbox_file import UnmappedBoot, UnmappedFrame

_log = structlog.get_logger()

BEAT_PATIENCE_MS = 25_000
"""How long a frame waits for the first beat of its boot: two and a half intervals of 10 s between beats."""
BRACKET_LONGEST_MS = 600_000
"""How long frames of boots that are over are gathered before their time is fixed. **Assumed**: a ring comes in within
minutes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameReady:
    """A frame for the outbox: acknowledge it to its unit once it is committed there."""

    arrival: FrameArrival


@dataclass(frozen=True, slots=True, kw_only=True)
class BootHeard:
    """The first beat of a boot: frames of it that wait in the outbox can have their time."""

    unit_id: str


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


IntakeEvent = FrameReady | BootHeard | PositionReady | Foreign | Refusal


class Intake:
    """The local side of one gateway. Times are UTC, ms since 1970, by the gateway's clock.

    `clock_trusted`: whether that clock is right. While it is not, frames get no time, but for what a unit declares;
    beats count all the same, and are moved with the clock when it is set.
    """

    def __init__(
        self,
        *,
        gateway_id: str,
        fleet_id: str,
        units: frozenset[str] | None,
        clocks: Mapping[str, object] | None = None,
    ) -> None:
        """`units`: those this gateway looks after; None = every unit it hears. `clocks`: an earlier run's `clocks`."""
        self.clock_trusted = True
        self._gateway_id = gateway_id
        self._fleet_id = fleet_id
        self._position_topic = position_topic(gateway_id)
        self._allowed = units
        self._clocks: dict[str, UnitClock] = {}
        self._unkept: set[str] = set()
        for unit_id, state in (clocks or {}).items():
            try:
                self._clocks[unit_id] = UnitClock.restored(state)
            except (KeyError, TypeError, ValueError) as error:
                _log.warning("clock_not_restored", gateway_id=gateway_id, unit_id=unit_id, error=repr(error))

    def receive(self, topic: str, payload: bytes, received_at_ms: int) -> IntakeEvent | None:
        """What a message comes to; None for a beat that changes little."""
        try:
            if topic == self._position_topic:
                fix = decode_position(payload, self._fleet_id, self._gateway_id)
                return PositionReady(record=PositionRecord(fix=fix, accepted_at_ms=received_at_ms))
            unit_id, kind = parse_unit_topic(topic)
            if self._allowed is not None and unit_id not in self._allowed:
                return Foreign(unit_id=unit_id)
            if kind == "clock":
                return self._beat(unit_id, payload, received_at_ms)
            if kind == "frames":
                return self._frame(unit_id, payload, received_at_ms)
        except WireError as error:
            return Refusal(topic=topic, reason=error.reason, detail=str(error))
        return Refusal(topic=topic, reason="topic", detail=f"units do not send on {topic!r}")

    def bracket(self, boots: Iterable[UnmappedBoot], now_ms: int) -> None:
        """Give boots that were never heard live their place among the others, where frames of them have waited enough.

        A unit that does not beat is waited for only as long as a beat may take. One that beats has rebooted since, and
        its ring is coming in: all of it together tells best how its boots lay.
        """
        if not self.clock_trusted:
            return
        unheard: dict[str, list[UnmappedBoot]] = {}
        for boot in boots:
            clock = self._clock(boot.unit_id)
            if not clock.is_known(boot.boot_id) and not clock.is_bracketed(boot.boot_id):
                unheard.setdefault(boot.unit_id, []).append(boot)
        for unit_id, waiting in unheard.items():
            first_ms = min(boot.first_accepted_ms for boot in waiting)
            last_ms = max(boot.last_accepted_ms for boot in waiting)
            clock = self._clock(unit_id)
            beats = clock.last_beat_ms is not None and clock.last_beat_ms >= first_ms
            due_ms = min(last_ms + BEAT_PATIENCE_MS, first_ms + BRACKET_LONGEST_MS)
            if now_ms >= (due_ms if beats else first_ms + BEAT_PATIENCE_MS):
                waiting.sort(key=lambda boot: boot.first_sequence)
                clock.bracket(
                    [
                        WaitingBoot(boot.boot_id, boot.last_tick_ms, boot.latest_zero_ms, boot.last_accepted_ms)
                        for boot in waiting
                    ]
                )
                self._unkept.add(unit_id)

    def fixes(self, waiting: Iterable[UnmappedFrame]) -> list[tuple[int, ClockFix]]:
        """Times for frames that wait in the outbox, each unit's and boot's in order: (sequence, fix).

        By their boot's beats or bracket. None at all while the clock is not trusted.
        """
        if not self.clock_trusted:
            return []
        fixes = []
        for frame in waiting:
            fix = self._clock(frame.unit_id).fix(
                frame.boot_id,
                first_tick_ms=frame.first_tick_ms,
                last_tick_ms=frame.last_tick_ms,
                declared_zero_ms=None,
            )
            if fix is not None:
                fixes.append((frame.sequence, fix))
        return fixes

    def estimated_zero_ms(self, unit_id: str, boot_id: str, tick_ms: int) -> int | None:
        """UTC at tick zero by beats that may have been received on a clock that is wrong; None = the boot has none."""
        return self._clock(unit_id).estimated_zero_ms(boot_id, tick_ms)

    def live_boot(self, unit_id: str) -> str | None:
        """The boot of the unit's latest beat."""
        return self._clock(unit_id).live_boot

    def unkept_clocks(self) -> dict[str, object]:
        """Clocks that know a boot of which the last run's `clocks` say nothing; told once.

        To be kept in the transaction that fixes the first time by them: were it forgotten, later frames of the boot
        would get times that do not fit. `not_kept` takes it back.
        """
        if not self.clock_trusted:
            return {}
        clocks: dict[str, object] = {unit_id: self._clocks[unit_id].state() for unit_id in self._unkept}
        self._unkept.clear()
        return clocks

    def not_kept(self, unit_ids: Iterable[str]) -> None:
        """What `unkept_clocks` told was not kept."""
        self._unkept.update(unit_ids)

    def move_clock(self, step_ms: int) -> None:
        """The gateway's clock was set by so much."""
        for clock in self._clocks.values():
            clock.move(step_ms)

    def clocks(self) -> dict[str, object]:
        """What the next run should know of the units' clocks, as JSON has it."""
        return {unit_id: clock.state() for unit_id, clock in self._clocks.items()}

    def _clock(self, unit_id: str) -> UnitClock:
        clock = self._clocks.get(unit_id)
        if clock is None:
            clock = self._clocks[unit_id] = UnitClock()
        return clock

    def _beat(self, unit_id: str, payload: bytes, received_at_ms: int) -> BootHeard | None:
        beat = decode_clock_beat(payload)
        clock = self._clock(unit_id)
        known = clock.is_known(beat.boot_id)
        clock.observe(beat.boot_id, beat.tick_ms, received_at_ms)
        if known:
            return None
        self._unkept.add(unit_id)
        return BootHeard(unit_id=unit_id)

    def _frame(self, unit_id: str, payload: bytes, received_at_ms: int) -> FrameReady:
        frame = decode_frame(payload)
        fix = None
        if self.clock_trusted or frame.utc_at_tick_zero_ms is not None:
            fix = self._clock(unit_id).fix(
                frame.boot_id,
                first_tick_ms=frame.tick_ms,
                last_tick_ms=last_tick_ms(frame),
                declared_zero_ms=frame.utc_at_tick_zero_ms,
            )
        return FrameReady(
            arrival=FrameArrival(unit_id=unit_id, frame=frame, payload=payload, fix=fix, accepted_at_ms=received_at_ms)
        )
