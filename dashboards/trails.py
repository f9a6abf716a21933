"""Where each vehicle was lately, for its trail on the map. Pure: fixes come in."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telemetry.samples import PositionFix

STEP_MS = 30_000
"""Fixes nearer in time than this are one point of the trail. **assumed**: half a mile on a highway."""
POINTS = 120
"""An hour; 3 kB a vehicle."""
_FIELDS = 3


class Trails:
    """The newest `POINTS` points of each gateway's vehicle. A late fix is no point."""

    def __init__(self) -> None:
        self._of: dict[str, array[float]] = {}

    def add(self, fix: PositionFix) -> None:
        """Keep the fix if it is `STEP_MS` newer than the last point."""
        points = self._of.get(fix.gateway_id)
        if points is None:
            points = self._of[fix.gateway_id] = array("d")
        elif fix.fixed_at_ms - points[-_FIELDS] < STEP_MS:
            return
        points.extend((float(fix.fixed_at_ms), fix.longitude_deg, fix.latitude_deg))
        if len(points) > POINTS * _FIELDS:
            del points[:_FIELDS]

    def of(self, gateway_id: str) -> Iterator[tuple[int, float, float]]:
        """Time, longitude and latitude, oldest first. May be asked from any thread."""
        points = self._of.get(gateway_id, array("d"))[:]
        for first in range(0, len(points), _FIELDS):
            at_ms, longitude_deg, latitude_deg = points[first : first + _FIELDS]
            yield round(at_ms), longitude_deg, latitude_deg
