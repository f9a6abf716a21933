"""A vehicle's position from the metrics of its edge node."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from telemetry.errors import WireError
from telemetry.samples import PositionFix

if TYPE_CHECKING:
    from collections.abc import Mapping

LATITUDE = "Position/Latitude"
LONGITUDE = "Position/Longitude"
FIX_TIME = "Position/FixTime"
_DETAILS = {
    "speed_m_s": ("Position/Speed", 1000.0),
    "heading_deg": ("Position/Heading", 360.0),
    "accuracy_m": ("Position/Accuracy", 1e8),
}
"""Field, metric, and the largest value that makes sense: no vehicle is faster, no circle larger; **assumed** for the
accuracy, where receivers without a fix report nonsense."""


def position_from_values(
    values: Mapping[str, Any], *, fleet_id: str, gateway_id: str, timestamp_ms: int | None, received_at_ms: int
) -> PositionFix | None:
    """The fix that metric values hold; None without latitude and longitude.

    Its time is FixTime, or the metrics' timestamp, or the time of receipt. Details that make no sense are left out.
    Raises WireError "position" for a latitude or longitude that is none, or a time that is no number.
    """
    latitude_deg, longitude_deg = values.get(LATITUDE), values.get(LONGITUDE)
    if latitude_deg is None or longitude_deg is None:
        return None
    for name, value, limit in ((LATITUDE, latitude_deg, 90.0), (LONGITUDE, longitude_deg, 180.0)):
        if not _is_number(value) or not abs(value) <= limit:
            raise WireError("position", f"{name} is {value!r}")
    fixed_at_ms = values.get(FIX_TIME)
    if fixed_at_ms is None:
        fixed_at_ms = received_at_ms if timestamp_ms is None else timestamp_ms
    if type(fixed_at_ms) is not int:
        raise WireError("position", f"{FIX_TIME} is {fixed_at_ms!r}")
    details = {field: _detail(values.get(name), largest) for field, (name, largest) in _DETAILS.items()}
    return PositionFix(
        fleet_id=fleet_id,
        gateway_id=gateway_id,
        fixed_at_ms=fixed_at_ms,
        latitude_deg=float(latitude_deg),
        longitude_deg=float(longitude_deg),
        **details,
    )


def _detail(value: Any, largest: float) -> float | None:
    return float(value) if _is_number(value) and 0 <= value <= largest else None


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and not math.isnan(value)
