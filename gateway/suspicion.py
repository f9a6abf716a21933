"""Which units' data an outbox that is full gives up last.

A unit is suspicious when the vehicle's own alert engine has it above normal; and, since that may be late, fail or not
be there, when any temperature of a frame reaches HOT_C, or its hottest temperature rises by RISE_C_PER_MIN or more
over the last frames; and for STAYS_MS after that.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from gateway.records import hottest_c

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from telemetry.frames import Frame

HOT_C = 50.0
"""10 degC below the ceiling at which a warning is raised. **Assumed**."""
RISE_C_PER_MIN = 1.0
"""GB 38031-2025 calls 1 degC/s a runaway; a sixtieth of it is far above what weather does to a pack. **Assumed**."""
SPAN_MS = 60_000
"""Over which a rise is measured, at least: sensor steps of 0.05 degC are then noise. **Assumed**."""
FRAMES_KEPT = 64
"""Frames of a unit that a rise is measured over, at most: one a second for a minute."""
STAYS_MS = 72 * 3600 * 1000
"""As long as an outbox's data are meant to last. **Assumed**."""


class Suspicion:
    """Times are UTC, ms since 1970, by the gateway's clock; ticks are the unit's."""

    def __init__(self, until_ms: Mapping[str, int] | None = None) -> None:
        """`until_ms`: unit to the end of its suspicion, as `until_ms` of an earlier run."""
        self.until_ms: dict[str, int] = dict(until_ms or {})
        self._hottest: dict[str, tuple[str, deque[tuple[int, float]]]] = {}

    def look(self, unit_id: str, frame: Frame, now_ms: int) -> bool:
        """Judge a frame; True when the unit is suspicious by it."""
        celsius = hottest_c(frame)
        boot_id, seen = self._hottest.get(unit_id, ("", deque[tuple[int, float]]()))
        if boot_id != frame.boot_id or (seen and frame.tick_ms <= seen[-1][0]):
            seen = deque[tuple[int, float]](maxlen=FRAMES_KEPT)
        self._hottest[unit_id] = frame.boot_id, seen
        seen.append((frame.tick_ms, celsius))
        # The latest frame that is a span away: older ones would hide a rise that has just begun.
        before = next((point for point in reversed(seen) if frame.tick_ms - point[0] >= SPAN_MS), None)
        rising = before is not None and (celsius - before[1]) * 60_000 >= RISE_C_PER_MIN * (frame.tick_ms - before[0])
        if celsius >= HOT_C or rising:
            self.until_ms[unit_id] = now_ms + STAYS_MS
            return True
        return False

    def raised(self, unit_ids: Iterable[str], now_ms: int) -> None:
        """Units whose packs the alert engine has above normal."""
        self.until_ms.update(dict.fromkeys(unit_ids, now_ms + STAYS_MS))

    def move(self, step_ms: int) -> None:
        """The gateway's clock was set by so much."""
        for unit_id in self.until_ms:
            self.until_ms[unit_id] += step_ms

    def units(self, now_ms: int) -> frozenset[str]:
        """The units that are suspicious now."""
        for unit_id in [unit_id for unit_id, until_ms in self.until_ms.items() if until_ms <= now_ms]:
            del self.until_ms[unit_id]
        return frozenset(self.until_ms)
