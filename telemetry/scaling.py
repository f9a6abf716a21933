"""How a unit's readings become scaled integers: the columns of a frame, their names on the wire, and their steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from telemetry import cbor

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

TEMPERATURE_MISSING = -32_768
"""Not measured, in a column of int16."""
UNSIGNED_MISSING = 65_535
"""Not measured, in a column of uint16."""


@dataclass(frozen=True, slots=True)
class ScaledColumn:
    """How one field of a frame is scaled and named on the wire."""

    field: str
    key: str
    dtype: np.dtype[Any]
    steps_per_unit: int
    """How many steps of the integer make one degC, V, %, ppm or g."""

    @property
    def tag(self) -> int:
        return cbor.TAG_INT16_LITTLE if self.dtype.kind == "i" else cbor.TAG_UINT16_LITTLE

    @property
    def missing(self) -> int:
        return TEMPERATURE_MISSING if self.dtype.kind == "i" else UNSIGNED_MISSING

    def quantise(self, values: ArrayLike) -> NDArray[Any]:
        """Scale floats to the nearest step; NaN becomes the reserved value, and what is out of range the last step."""
        with np.errstate(over="ignore"):
            steps = np.asarray(values, np.float64) * self.steps_per_unit
        low, high = (
            (TEMPERATURE_MISSING + 1, -TEMPERATURE_MISSING - 1) if self.dtype.kind == "i" else (0, UNSIGNED_MISSING - 1)
        )
        clipped = np.clip(np.rint(steps), low, high)
        clipped[np.isnan(steps)] = self.missing
        return clipped.astype(self.dtype)

    def physical(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Scale back to the float32 nearest to the step; the reserved value becomes NaN."""
        values: NDArray[np.float32] = raw.astype(np.float32) / np.float32(self.steps_per_unit)
        values[raw == self.missing] = np.nan
        return values


_INT16, _UINT16 = np.dtype(np.int16), np.dtype(np.uint16)
TEMPERATURES = ScaledColumn("temperatures_raw", "temperatures", _INT16, 20)
VOLTAGES = ScaledColumn("voltages_mv", "voltages", _UINT16, 1000)
PACK_VOLTAGE = ScaledColumn("pack_voltage_dv", "pack_voltage", _UINT16, 10)
SINGLES = {
    "ambient_c": ScaledColumn("ambient_raw", "ambient", _INT16, 20),
    "humidity_pct": ScaledColumn("humidity_raw", "humidity", _UINT16, 100),
    "hydrogen_ppm": ScaledColumn("hydrogen_raw", "hydrogen", _UINT16, 1),
    "carbon_monoxide_ppm": ScaledColumn("carbon_monoxide_raw", "carbon_monoxide", _UINT16, 1),
    "voc_ppm": ScaledColumn("voc_raw", "voc", _UINT16, 10),
    "shock_g": ScaledColumn("shock_raw", "shock", _UINT16, 100),
}
VECTORS = (PACK_VOLTAGE, *SINGLES.values())
