"""The container around the packs: where the sun strikes its faces, and the sol-air temperature of its skin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from firmware_sim.physics import Outside

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from firmware_sim.weather import Weather

    Floats = NDArray[np.float64]

LENGTH_M, WIDTH_M, HEIGHT_M = 6.06, 2.44, 2.59
"""Outside of a 20 ft container, ISO 668."""
AIR_J_PER_K = 440_000.0
"""33 m3 of air hold 40 kJ/K; the inner skin, floor and dunnage ten times that. **assumed**"""
ABSORPTANCE = 0.6
"""Weathered light paint, solar. **assumed** within the 0.3-0.9 of ASHRAE's tables."""
SKY_LOSS_K = 3.9
"""Long-wave loss of a horizontal surface to the sky in sol-air form: 7 degF. ASHRAE Fundamentals, ch. 18."""
INSIDE_W_PER_M2_K = 8.3
"""Still air against a wall. ASHRAE Fundamentals, ch. 26."""
GROUND_REFLECTANCE = 0.2
"""Liu and Jordan 1963, the usual value for bare ground."""

_SIDE_M2, _END_M2, _ROOF_M2 = LENGTH_M * HEIGHT_M, WIDTH_M * HEIGHT_M, LENGTH_M * WIDTH_M
_WALLS = ((90.0, _SIDE_M2), (270.0, _SIDE_M2), (0.0, _END_M2), (180.0, _END_M2))
"""Each wall's direction against the heading, and its area. The floor faces shade and counts as skin without sun."""
SKIN_M2 = 2 * (_SIDE_M2 + _END_M2 + _ROOF_M2)


def outside_coefficient_w_per_m2_k(speed_m_s: Floats) -> Floats:
    """Convection at a moving container. McAdams 1954: 5.7 + 3.8 v below 5 m/s, 6.47 v^0.78 above."""
    speed_m_s = np.maximum(speed_m_s, 0.0)
    return np.where(speed_m_s < 5.0, 5.7 + 3.8 * speed_m_s, 6.47 * np.maximum(speed_m_s, 5.0) ** 0.78)


def mean_irradiance_w_per_m2(weather: Weather, heading_deg: Floats) -> Floats:
    """(C,) sunlight on the skin, averaged over all six faces; it moves with the sun and with the vehicle's heading."""
    total_w = _roof_w_per_m2(weather) * _ROOF_M2
    for turn_deg, area_m2 in _WALLS:
        total_w = total_w + wall_irradiance_w_per_m2(weather, heading_deg + turn_deg) * area_m2
    return total_w / SKIN_M2


def wall_irradiance_w_per_m2(weather: Weather, direction_deg: Floats) -> Floats:
    """(C,) sunlight on walls that face `direction_deg`, clockwise from north: beam, half the sky, and the ground's."""
    elevation = np.radians(weather.sun_elevation_deg)
    facing = np.cos(elevation) * np.cos(np.radians(weather.sun_azimuth_deg - direction_deg))
    beam = weather.direct_w_per_m2 * np.maximum(facing, 0.0) * (elevation > 0)
    return np.asarray(beam + weather.diffuse_w_per_m2 / 2.0 + GROUND_REFLECTANCE * _roof_w_per_m2(weather) / 2.0)


def _roof_w_per_m2(weather: Weather) -> Floats:
    up = np.maximum(np.sin(np.radians(weather.sun_elevation_deg)), 0.0)
    return weather.direct_w_per_m2 * up + weather.diffuse_w_per_m2


def outside_of(weather: Weather, *, heading_deg: Floats, speed_m_s: Floats) -> Outside:
    """What the skins of C containers meet. Sol-air temperature: ASHRAE Fundamentals, ch. 18; (C,) arrays throughout."""
    air_flow_m_s = speed_m_s + weather.wind_m_s
    outer = outside_coefficient_w_per_m2_k(air_flow_m_s)
    roof_share = _ROOF_M2 / SKIN_M2
    gain_k = ABSORPTANCE * mean_irradiance_w_per_m2(weather, heading_deg) / outer
    through_w_per_m2_k = 1.0 / (1.0 / outer + 1.0 / INSIDE_W_PER_M2_K)
    return Outside(
        skin_c=weather.air_c + gain_k - SKY_LOSS_K * roof_share,
        skin_to_air_w_per_k=through_w_per_m2_k * SKIN_M2,
    )
