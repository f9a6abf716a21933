"""How often each unit reports, as learnt from its ticks, and which of them have fallen silent."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median

SILENT_INTERVALS = 3
"""Report intervals without a frame that make a unit silent. Origin: the numbers that the product holds."""
SILENT_FLOOR_S = 60.0
"""No unit is silent earlier than this, and one whose interval is unknown at this. Origin: the gateway's contract."""
INTERVALS_KEPT = 5
"""Recent intervals of which the median counts: a change of pace is learnt in three frames. **Assumed**."""


@dataclass(slots=True)
class _Heard:
    heard_at_s: float
    boot_id: str
    number: int
    last_tick_ms: int
    intervals_s: deque[float] = field(default_factory=lambda: deque(maxlen=INTERVALS_KEPT))
    silent: bool = False


class UnitWatch:
    """Times are seconds of any clock that only runs forward."""

    def __init__(self) -> None:
        self._units: dict[str, _Heard] = {}

    def heard(self, unit_id: str, *, boot_id: str, number: int, last_tick_ms: int, now_s: float) -> None:
        """A frame of the unit arrived, with `last_tick_ms` at its last sample.

        The interval is learnt from ticks of consecutive frames: arrivals come in bursts when a unit sends again.
        """
        unit = self._units.get(unit_id)
        if unit is None:
            self._units[unit_id] = _Heard(now_s, boot_id, number, last_tick_ms)
            return
        if unit.boot_id == boot_id and number == unit.number + 1 and last_tick_ms > unit.last_tick_ms:
            unit.intervals_s.append((last_tick_ms - unit.last_tick_ms) / 1000)
        unit.boot_id, unit.number, unit.last_tick_ms = boot_id, number, last_tick_ms
        unit.heard_at_s = now_s
        unit.silent = False

    def interval_s(self, unit_id: str) -> float | None:
        """The unit's report interval, or None before it is learnt."""
        unit = self._units.get(unit_id)
        return median(unit.intervals_s) if unit and unit.intervals_s else None

    def fall_silent(self, now_s: float) -> tuple[str, ...]:
        """Units that have just become silent; each is named once, until it is heard again."""
        fallen = []
        for unit_id, unit in self._units.items():
            interval_s = median(unit.intervals_s) if unit.intervals_s else 0.0
            if not unit.silent and now_s - unit.heard_at_s > max(SILENT_FLOOR_S, SILENT_INTERVALS * interval_s):
                unit.silent = True
                fallen.append(unit_id)
        return tuple(fallen)

    def silent(self) -> tuple[str, ...]:
        """All units that are silent."""
        return tuple(unit_id for unit_id, unit in self._units.items() if unit.silent)

    def talking(self) -> int:
        """How many units are not silent."""
        return sum(not unit.silent for unit in self._units.values())
