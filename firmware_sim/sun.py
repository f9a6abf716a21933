"""Where the sun stands and how strongly a clear sky shines. Importing it costs seconds (pvlib brings pandas along)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pvlib import clearsky, spa

from firmware_sim.weather import Sunlight

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_PRESSURE_HPA = 850.0
"""Mean pressure at 1,300 m, the height of the scenarios' high plains; matters to refraction only. **assumed**"""
_ALTITUDE_M = 1_300.0
_AIR_C = 15.0
_DELTA_T_S = 69.0
"""Terrestrial minus universal time: 69.2 s in 2020-2026 (IERS)."""
_REFRACTION_DEG = 0.5667
"""At sunrise. pvlib's default, from NREL/TP-560-34302."""


def sunlight_at(utc_s: float | Floats, latitude_deg: Floats, longitude_deg: Floats) -> Sunlight:
    """Clear-sky sun over C places, (C,) degrees, at one time or (C,) times.

    Cheap enough for once a minute, not for every step.

    Sources: Reda and Andreas, NREL/TP-560-34302 (position); Ineichen, Solar Energy 82 (2008) 758 (simplified Solis).
    """
    times = np.broadcast_to(np.asarray(utc_s, dtype=np.float64), latitude_deg.shape)
    position = spa.solar_position(
        times,
        latitude_deg,
        longitude_deg,
        _ALTITUDE_M,
        _PRESSURE_HPA,
        _AIR_C,
        _DELTA_T_S,
        _REFRACTION_DEG,
    )
    _zenith, _true_zenith, elevation_deg, _true_elevation, azimuth_deg, _equation_of_time = position
    sky = clearsky.simplified_solis(elevation_deg, pressure=_PRESSURE_HPA * 100.0)
    return Sunlight(
        elevation_deg=np.asarray(elevation_deg),
        azimuth_deg=np.asarray(azimuth_deg),
        direct_w_per_m2=np.nan_to_num(sky["dni"]),
        diffuse_w_per_m2=np.nan_to_num(sky["dhi"]),
    )
