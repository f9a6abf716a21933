"""Minute by minute around packs on the road: driving and rest, weather with fronts and passing clouds, sun, doors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from firmware_sim.container import ABSORPTANCE, outside_coefficient_w_per_m2_k, outside_of, wall_irradiance_w_per_m2
from firmware_sim.sun import sunlight_at
from firmware_sim.surroundings import MINUTE_S, Surroundings
from firmware_sim.weather import WARMEST_HOUR, Sunlight, Weather

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from firmware_sim.roads import Road

    Floats = NDArray[np.float64]
    Span = tuple[float, float]

SUN_EVERY = 10
"""Minutes: the sun moves 2.5 degrees in them, and what lies between is a straight line."""
PACKS_A_VEHICLE = 6
ROAD_STEP_M = 5_000.0
SIDE_WALL_SHARE = 0.75
"""How near the inner side of a bare steel wall is to its sol-air temperature: 25 / (25 + 8.3), the two films."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Climates:
    """Where and when vehicles drive: every vehicle draws uniformly from each span."""

    roads: tuple[Road, ...]
    days_of_year: Span
    mean_c: Span
    swing_c: Span
    front_c: Span
    """Standard deviation of the slow part of the weather."""
    cloud: Span
    """Mean share of the sky; broken cloud passes in minutes."""
    cruise_m_s: Span = (22.0, 27.0)
    sunlit: bool = True
    doors_a_day: Span = (0.0, 4.0)
    door_w_per_k: Span = (100.0, 800.0)
    """Up to the whole air of a container every minute (33 m3 x 1.2 kJ/(m3 K) / 60 s = 660 W/K)."""


def drive(climates: Climates, packs: int, minutes: int, random: np.random.Generator) -> Surroundings:
    """Draw the surroundings of `packs` packs, PACKS_A_VEHICLE to a vehicle, for `minutes` minutes."""
    vehicles = -(-packs // PACKS_A_VEHICLE)

    def each(span: Span) -> Floats:
        return random.uniform(*span, (vehicles, 1))

    start_s = 1_767_225_600.0 + 86_400.0 * each(climates.days_of_year)  # 2026-01-01, and the hour within the day
    time_s = start_s + MINUTE_S * np.arange(minutes + 1)
    speed_m_s = _speed(each(climates.cruise_m_s), minutes + 1, random)
    latitude_deg, longitude_deg, heading_deg = _places(climates.roads, speed_m_s, random)
    solar_hour = (time_s / 3600.0 + longitude_deg / 15.0) % 24.0
    air_c = each(climates.mean_c) + each(climates.swing_c) * np.cos(2.0 * np.pi * (solar_hour - WARMEST_HOUR) / 24.0)
    air_c += each(climates.front_c) * _wander(vehicles, minutes + 1, 480.0, random)
    air_c += 0.4 * _wander(vehicles, minutes + 1, 20.0, random)
    cloud = each(climates.cloud) + 0.2 * _wander(vehicles, minutes + 1, 180.0, random)
    cloud = np.clip(cloud + 0.35 * _wander(vehicles, minutes + 1, 8.0, random), 0.0, 1.0)
    sun = _sun(time_s, latitude_deg, longitude_deg) if climates.sunlit else _dark(air_c.shape)
    up = np.maximum(np.sin(np.radians(sun.elevation_deg)), 0.0)
    clear = sun.direct_w_per_m2 * up + sun.diffuse_w_per_m2
    direct = sun.direct_w_per_m2 * (1.0 - cloud)
    weather = Weather(
        air_c=air_c,
        dew_point_c=air_c,
        wind_m_s=np.abs(2.0 + 1.5 * _wander(vehicles, minutes + 1, 30.0, random)),
        sun_elevation_deg=sun.elevation_deg,
        sun_azimuth_deg=sun.azimuth_deg,
        direct_w_per_m2=direct,
        # Kasten and Czeplak 1980, as in weather.py.
        diffuse_w_per_m2=np.maximum(clear * (1.0 - 0.75 * cloud**3.4) - direct * up, 0.0),
    )
    skin = outside_of(weather, heading_deg=heading_deg, speed_m_s=speed_m_s)
    outer = outside_coefficient_w_per_m2_k(speed_m_s + weather.wind_m_s)
    sides = [
        air_c + SIDE_WALL_SHARE * ABSORPTANCE * wall_irradiance_w_per_m2(weather, heading_deg + turn_deg) / outer
        for turn_deg in (90.0, 270.0)
    ]
    vehicle = np.arange(packs) // PACKS_A_VEHICLE
    none = np.zeros((packs, minutes + 1))
    return Surroundings(
        outside_c=air_c[vehicle],
        door_w_per_k=doors(climates, packs, minutes + 1, random),
        skin_c=skin.skin_c[vehicle],
        skin_w_per_k=skin.skin_to_air_w_per_k[vehicle],
        side_c=np.stack(sides, axis=-1)[vehicle],
        current_a=none,
        coolant_c=none,
        coolant_w_per_k=none,
    )


def doors(climates: Climates, packs: int, minutes: int, random: np.random.Generator) -> Floats:
    """(P, F) W/K through doors that somebody opens for 2 to 45 minutes."""
    open_w_per_k = np.zeros((packs, minutes))
    for pack in range(packs):
        for _ in range(random.poisson(random.uniform(*climates.doors_a_day) * minutes / 1440.0)):
            start = int(random.integers(minutes))
            open_w_per_k[pack, start : start + int(random.uniform(2.0, 45.0))] = random.uniform(*climates.door_w_per_k)
    return open_w_per_k


def _speed(cruise_m_s: Floats, minutes: int, random: np.random.Generator) -> Floats:
    """(C, F) hours of driving with breaks, then the night's rest: at most 11 of 21 hours, 49 CFR 395.3."""
    vehicles = len(cruise_m_s)
    minute = np.arange(minutes) + random.uniform(0.0, 21 * 60.0, (vehicles, 1))
    in_shift = minute % (21 * 60.0)
    moving = (in_shift < 11.75 * 60.0) & ((in_shift % 255.0) >= random.uniform(15.0, 45.0, (vehicles, 1)))
    return np.where(moving, np.maximum(cruise_m_s + 2.0 * _wander(vehicles, minutes, 6.0, random), 3.0), 0.0)


@cache
def _road_table(road: Road) -> Floats:
    """(4, n) distance, latitude, longitude, heading (unwrapped)."""
    distance_m = np.arange(0.0, road.length_m, ROAD_STEP_M)
    latitude, longitude, heading = np.array([road.at(float(metres)) for metres in distance_m]).T
    return np.stack((distance_m, latitude, longitude, np.degrees(np.unwrap(np.radians(heading)))))


def _places(roads: tuple[Road, ...], speed_m_s: Floats, random: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    latitude, longitude, heading = np.empty((3, *speed_m_s.shape))
    gone_m = np.cumsum(speed_m_s * MINUTE_S, axis=1)
    for vehicle in range(len(speed_m_s)):
        road = roads[int(random.integers(len(roads)))]
        distance_m, *columns = _road_table(road)
        lap_m = (gone_m[vehicle] + random.uniform(0.0, 2.0 * road.length_m)) % (2.0 * road.length_m)
        back = lap_m > road.length_m
        at_m = np.where(back, 2.0 * road.length_m - lap_m, lap_m)
        latitude[vehicle], longitude[vehicle], heading[vehicle] = (
            np.interp(at_m, distance_m, column) for column in columns
        )
        heading[vehicle] += 180.0 * back
    return latitude, longitude, heading


def _wander(rows: int, minutes: int, tau_min: float, random: np.random.Generator) -> Floats:
    """(rows, F) a random course of unit variance that forgets itself in tau_min, straight between its points."""
    every = max(1.0, tau_min / 5.0)
    points = int(minutes / every) + 2
    keep = np.exp(-every / tau_min)
    shocks = random.standard_normal((points, rows))
    course = np.empty_like(shocks)
    course[0] = shocks[0]
    for point in range(1, points):
        course[point] = keep * course[point - 1] + np.sqrt(1.0 - keep**2) * shocks[point]
    at = np.arange(minutes) / every
    left = at.astype(np.intp)
    return (course[left] + (course[left + 1] - course[left]) * (at - left)[:, None]).T


def _sun(time_s: Floats, latitude_deg: Floats, longitude_deg: Floats) -> Sunlight:
    """(C, F) clear-sky sun, worked out every SUN_EVERY minutes and joined by straight lines."""
    minutes = time_s.shape[1]
    points = np.append(np.arange(0, minutes - 1, SUN_EVERY), minutes - 1)
    found = [_vector(time_s[:, at], latitude_deg[:, at], longitude_deg[:, at]) for at in points]
    known = np.stack(found)  # (points, 5, C)
    at = np.arange(minutes)
    right = np.clip(np.searchsorted(points, at, side="right"), 1, len(points) - 1)
    share = ((at - points[right - 1]) / (points[right] - points[right - 1]))[:, None, None]
    east, north, high, direct, diffuse = np.moveaxis(known[right - 1] + (known[right] - known[right - 1]) * share, 0, 2)
    return Sunlight(
        elevation_deg=np.degrees(np.arctan2(high, np.hypot(east, north))),
        azimuth_deg=np.degrees(np.arctan2(east, north)),
        direct_w_per_m2=direct,
        diffuse_w_per_m2=diffuse,
    )


def _vector(time_s: Floats, latitude_deg: Floats, longitude_deg: Floats) -> Floats:
    sun = sunlight_at(time_s, latitude_deg, longitude_deg)
    elevation, azimuth = np.radians(sun.elevation_deg), np.radians(sun.azimuth_deg)
    flat = np.cos(elevation)
    return np.stack(
        (flat * np.sin(azimuth), flat * np.cos(azimuth), np.sin(elevation), sun.direct_w_per_m2, sun.diffuse_w_per_m2)
    )


def _dark(shape: tuple[int, ...]) -> Sunlight:
    none = np.zeros(shape)
    return Sunlight(elevation_deg=none - 90.0, azimuth_deg=none, direct_w_per_m2=none, diffuse_w_per_m2=none)
