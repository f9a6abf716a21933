"""The weather along the way: a day's swing of the air, humidity, and clear-sky sun, for many places at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DAY_S = 86_400.0
WARMEST_HOUR = 15.0
"""Local solar hour at which the air is warmest, the usual lag of two to three hours behind the sun. **assumed**"""
WIND_M_S = 2.0
"""A light breeze everywhere. **assumed**"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Climate:
    """What the air does at C places in the season of the scenario. All arrays (C,); all **assumed** by the scenario."""

    mean_c: Floats
    swing_c: Floats
    """Half the difference between the day's warmest and coldest."""
    dew_point_c: Floats
    cloud: Floats
    """0 = clear, 1 = overcast."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sunlight:
    """Clear-sky sun at C places. All arrays (C,)."""

    elevation_deg: Floats
    azimuth_deg: Floats
    """Clockwise from north."""
    direct_w_per_m2: Floats
    """On a surface that faces the sun."""
    diffuse_w_per_m2: Floats
    """On a horizontal surface."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weather:
    """The weather at C places at one time. All arrays (C,)."""

    air_c: Floats
    dew_point_c: Floats
    wind_m_s: Floats
    sun_elevation_deg: Floats
    sun_azimuth_deg: Floats
    direct_w_per_m2: Floats
    diffuse_w_per_m2: Floats


def no_sunlight(places: int) -> Sunlight:
    """Night, or a shed."""
    dark = np.zeros(places)
    return Sunlight(elevation_deg=dark - 90.0, azimuth_deg=dark, direct_w_per_m2=dark, diffuse_w_per_m2=dark)


def air_temperature_c(climate: Climate, utc_s: float, longitude_deg: Floats) -> Floats:
    """(C,) outside air: a cosine of the local solar day."""
    return climate.mean_c + climate.swing_c * np.cos(_day_angle(utc_s, longitude_deg))


def rested_temperature_c(
    climate: Climate, utc_s: float, longitude_deg: Floats, *, place: NDArray[np.intp], lag_s: Floats
) -> Floats:
    """(P,) what has long rested in the shade at `place` (index into C) and follows the air with a first-order lag."""
    angular_lag = 2.0 * np.pi / DAY_S * lag_s
    swing_c = climate.swing_c[place] / np.sqrt(1.0 + angular_lag**2)
    return climate.mean_c[place] + swing_c * np.cos(_day_angle(utc_s, longitude_deg[place]) - np.arctan(angular_lag))


def _day_angle(utc_s: float, longitude_deg: Floats) -> Floats:
    solar_hour = (utc_s / 3600.0 + longitude_deg / 15.0) % 24.0
    return 2.0 * np.pi * (solar_hour - WARMEST_HOUR) / 24.0


def weather_at(climate: Climate, sunlight: Sunlight, *, utc_s: float, longitude_deg: Floats) -> Weather:
    """The weather at C places. Cloud takes the beam away and leaves part of it as diffuse light.

    Source of the cloud law: Kasten and Czeplak, Solar Energy 24 (1980) 177 (global falls by 0.75 cloud^3.4).
    """
    up = np.maximum(np.sin(np.radians(sunlight.elevation_deg)), 0.0)
    clear_global = sunlight.direct_w_per_m2 * up + sunlight.diffuse_w_per_m2
    direct = sunlight.direct_w_per_m2 * (1.0 - climate.cloud)
    clouded_global = clear_global * (1.0 - 0.75 * climate.cloud**3.4)
    return Weather(
        air_c=air_temperature_c(climate, utc_s, longitude_deg),
        dew_point_c=climate.dew_point_c,
        wind_m_s=np.full(len(longitude_deg), WIND_M_S),
        sun_elevation_deg=sunlight.elevation_deg,
        sun_azimuth_deg=sunlight.azimuth_deg,
        direct_w_per_m2=direct,
        diffuse_w_per_m2=np.maximum(clouded_global - direct * up, 0.0),
    )


def relative_humidity_pct(air_c: Floats, dew_point_c: Floats) -> Floats:
    """Humidity of air that holds the vapour of `dew_point_c`. Magnus form, WMO-No. 8 (2018) annex 4.B, over water."""

    def vapour_pressure(temperature_c: Floats) -> Floats:
        return np.asarray(np.exp(17.62 * temperature_c / (243.12 + temperature_c)))

    return np.clip(100.0 * vapour_pressure(dew_point_c) / vapour_pressure(air_c), 0.0, 100.0)
