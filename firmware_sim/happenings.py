"""What surrounds packs beyond road and weather: halls and docks, use in a vehicle, the air of measured loggers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from firmware_sim.surroundings import MINUTE_S, Surroundings
from telemetry.traces import parse_trace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from firmware_sim.family_kinds import Handling, Logged

    Floats = NDArray[np.float64]

HALL_W_PER_K = 400.0
"""A pack out of its container stands in the hall's own air: **assumed** as a container with every door open."""
FULL_CHARGE, EMPTY_CHARGE = 0.95, 0.15


def handled(surroundings: Surroundings, handling: Handling, random: np.random.Generator) -> Surroundings:
    """The same road with stays in halls and on docks of half an hour to six hours."""
    packs, minutes = surroundings.outside_c.shape
    outside_c, door_w = surroundings.outside_c.copy(), surroundings.door_w_per_k.copy()
    skin_c, side_c = surroundings.skin_c.copy(), surroundings.side_c.copy()
    for pack in range(packs):
        for _ in range(1 + random.poisson(random.uniform(*handling.a_day) * minutes / 1440.0)):
            start = int(random.integers(minutes))
            stay = slice(start, start + int(random.uniform(30.0, 360.0)))
            hall_c = random.uniform(*handling.hall_c)
            outside_c[pack, stay] = skin_c[pack, stay] = hall_c
            side_c[pack, stay] = hall_c
            door_w[pack, stay] = HALL_W_PER_K
            dock = slice(stay.stop, stay.stop + int(random.uniform(5.0, 60.0)))
            door_w[pack, dock] = HALL_W_PER_K
            side_c[pack, dock, int(random.integers(2))] += random.uniform(*handling.dock_sun_k)
    return replace(surroundings, outside_c=outside_c, door_w_per_k=door_w, skin_c=skin_c, side_c=side_c)


def in_use(
    surroundings: Surroundings, capacity_ah: Floats, charge: Floats, random: np.random.Generator
) -> Surroundings:
    """Days of driving, charging and standing; capacity_ah, charge: (P,). Coolant runs while current does."""
    packs, minutes = surroundings.outside_c.shape
    current_a, coolant_w = np.zeros((packs, minutes)), np.zeros((packs, minutes))
    coolant_c = surroundings.outside_c + random.uniform(3.0, 12.0, (packs, 1))
    for pack in range(packs):
        now, left = 0, float(charge[pack])
        pumped = random.uniform(10.0, 40.0)
        while now < minutes:
            stands = int(random.exponential(120.0)) + 5
            now += stands
            if left < random.uniform(0.3, 0.6):
                rate = -random.choice((0.15, 0.3, 0.5, 0.8), p=(0.4, 0.3, 0.2, 0.1)) * random.uniform(0.7, 1.2)
                lasts = int((FULL_CHARGE - left) / -rate * 60.0)
                wanted = np.full(lasts, rate)
            else:
                rate = random.uniform(0.1, 0.4)
                lasts = int(min(random.uniform(15.0, 180.0), (left - EMPTY_CHARGE) / rate * 60.0))
                wanted = rate * (1.0 + 0.8 * random.standard_normal(lasts))
            span = slice(now, now + lasts)
            taken = len(current_a[pack, span])
            current_a[pack, span] = wanted[:taken] * capacity_ah[pack]
            coolant_w[pack, span] = pumped
            left -= float(wanted.sum()) / 60.0
            now += lasts
    return replace(surroundings, current_a=current_a, coolant_c=coolant_c, coolant_w_per_k=coolant_w)


def logged(paths: Sequence[Path], how: Logged, packs: int, minutes: int, random: np.random.Generator) -> Surroundings:
    """The weather of recordings in the trace format, each pack from its own random start, run to and fro.

    Where a recording has an ambient, that is the outside air and its first probe a sunlit side wall; where it has none,
    its first probe is the air itself. Raises ValueError without a path; TraceError for a file that is no trace.
    """
    if not paths:
        raise ValueError("this family takes its weather from loggers: name their recordings")
    traces = [_minutes(path) for path in paths]
    outside_c, side_c = np.empty((packs, minutes)), np.empty((packs, minutes, 2))
    for pack in range(packs):
        air_c, surface_c = traces[int(random.integers(len(traces)))]
        last = len(air_c) - 1
        at = (np.arange(minutes) + int(random.integers(2 * last))) % (2 * last)
        at = np.where(at > last, 2 * last - at, at)
        mean_c, stretch, shift_c = air_c.mean(), random.uniform(*how.stretch), random.uniform(*how.shift_c)
        outside_c[pack] = mean_c + stretch * (air_c[at] - mean_c) + shift_c
        side_c[pack] = outside_c[pack, :, None]
        side_c[pack, :, int(random.integers(2))] += stretch * (surface_c[at] - air_c[at])
    none = np.zeros((packs, minutes))
    return Surroundings(
        outside_c=outside_c,
        door_w_per_k=np.repeat(random.choice((0.0, HALL_W_PER_K), (packs, 1)), minutes, axis=1),
        skin_c=0.5 * outside_c + 0.5 * side_c.mean(axis=2),
        skin_w_per_k=np.repeat(random.uniform(150.0, 450.0, (packs, 1)), minutes, axis=1),
        side_c=side_c,
        current_a=none,
        coolant_c=outside_c,
        coolant_w_per_k=none,
    )


def _minutes(path: Path) -> tuple[Floats, Floats]:
    """(F,) air and surface of a recording, minute by minute."""
    trace = parse_trace(path.read_text(encoding="utf-8"), path.stem)
    minute = np.arange(0.0, trace.time_s[-1] - trace.time_s[0], MINUTE_S) + trace.time_s[0]

    def course(column: NDArray[np.float32]) -> Floats:
        known = np.isfinite(column)
        return np.asarray(np.interp(minute, trace.time_s[known], column[known].astype(np.float64)))

    surface_c = course(trace.temperatures_c[:, 0])
    ambient = trace.singles.get("ambient_c")
    return (surface_c if ambient is None else course(ambient)), surface_c
