"""Driving along a road: positions between way-points on great circles, and a lorry that goes to and fro for ever."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EARTH_RADIUS_M = 6_371_009.0
"""IUGG mean radius."""
_SWELL = ((0.06, 640.0), (0.035, 95.0))
"""Relative swing of the speed and its period in seconds: hills, and traffic. **assumed**"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a vehicle is and how it moves."""

    latitude_deg: float
    longitude_deg: float
    heading_deg: float
    """Clockwise from true north, 0 <= heading < 360."""
    speed_m_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Road:
    """A road as way-points in order. Raises ValueError with fewer than two, or with two equal neighbours."""

    name: str
    waypoints_deg: Floats
    """(n, 2) latitude and longitude."""
    _unit: Floats = field(init=False, repr=False)
    _start_m: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Place the way-points on the unit sphere and measure the road."""
        latitude, longitude = np.radians(np.asarray(self.waypoints_deg, dtype=np.float64)).T
        unit = np.stack(
            (np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)), axis=1
        )
        if len(unit) < 2:
            raise ValueError(f"road {self.name!r} has {len(unit)} way-points, not two or more")
        # The chord gives the angle without the loss of precision that the cosine has at small angles.
        legs_m = EARTH_RADIUS_M * 2.0 * np.arcsin(np.linalg.norm(np.diff(unit, axis=0), axis=1) / 2.0)
        if not bool(np.all(legs_m > 0)):
            raise ValueError(f"road {self.name!r} has two equal way-points in a row")
        object.__setattr__(self, "_unit", unit)
        object.__setattr__(self, "_start_m", np.concatenate(([0.0], np.cumsum(legs_m))))

    @property
    def length_m(self) -> float:
        return float(self._start_m[-1])

    def at(self, distance_m: float) -> tuple[float, float, float]:
        """Latitude, longitude and forward heading (degrees) after `distance_m`, which is clipped to the road's ends."""
        distance_m = min(max(distance_m, 0.0), self.length_m)
        leg = min(int(np.searchsorted(self._start_m, distance_m, side="right")) - 1, len(self._start_m) - 2)
        start, end = self._unit[leg], self._unit[leg + 1]
        leg_rad = (self._start_m[leg + 1] - self._start_m[leg]) / EARTH_RADIUS_M
        gone_rad = (distance_m - self._start_m[leg]) / EARTH_RADIUS_M
        here = (np.sin(leg_rad - gone_rad) * start + np.sin(gone_rad) * end) / np.sin(leg_rad)
        # The direction of travel is the great circle's tangent, read in the local east and north.
        ahead = (np.cos(gone_rad) * end - np.cos(leg_rad - gone_rad) * start) / np.sin(leg_rad)
        longitude = np.arctan2(here[1], here[0])
        latitude = np.arctan2(here[2], np.hypot(here[0], here[1]))
        east = np.array((-np.sin(longitude), np.cos(longitude), 0.0))
        north = np.cross(here, east)
        # The outer modulo: a hair west of north is rounded up to 360 by the inner one.
        heading = float(np.degrees(np.arctan2(ahead @ east, ahead @ north))) % 360.0 % 360.0
        return float(np.degrees(latitude)), float(np.degrees(longitude)), heading


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """A vehicle that drives a road to its end and back, by the time of day alone: it goes on after a restart."""

    road: Road
    cruise_m_s: float
    head_start_m: float
    """How far along it is at 1970; it tells vehicles on one road apart."""

    def place(self, utc_s: float) -> Place:
        """Where it is at `utc_s` (seconds since 1970)."""
        distance_m, speed_m_s = self.head_start_m + self.cruise_m_s * utc_s, self.cruise_m_s
        for share, period_s in _SWELL:
            turn = 2.0 * np.pi * (utc_s / period_s % 1.0)
            distance_m += share * self.cruise_m_s * period_s / (2.0 * np.pi) * float(np.sin(turn))
            speed_m_s += share * self.cruise_m_s * float(np.cos(turn))
        lap_m = distance_m % (2.0 * self.road.length_m)
        returning = lap_m > self.road.length_m
        latitude_deg, longitude_deg, heading_deg = self.road.at(
            2.0 * self.road.length_m - lap_m if returning else lap_m
        )
        return Place(
            latitude_deg=latitude_deg,
            longitude_deg=longitude_deg,
            heading_deg=(heading_deg + 180.0) % 360.0 if returning else heading_deg,
            speed_m_s=speed_m_s,
        )
