"""What units report of a course: noise, steps, offsets, drift, probes and taps that fail, and frames that get lost."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Reported = NDArray[np.float32]

DAY_S = 86_400.0
PROBE_LIMIT_C = 1370.0
"""End of a type K thermocouple's table (IEC 60584)."""
WILD_C = (-127.0, 85.0, -40.0, 150.0, 215.0, 3276.7)
"""Codes for no reading: a DS18B20 unplugged and just powered, the ends of thermistor tables, a full int16."""
WILD_V = (0.0, 65.535, 66.0)
BLOCK_PACKS = 4
"""Packs at a time: what fits a core's cache."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Instruments:
    """The instruments of P units. Rates are a probe's (or a tap's) mean number a day."""

    noise_c: Floats
    """(P,) standard deviation."""
    step_c: Floats
    """(P,) resolution."""
    offset_c: Floats
    """(P, T)"""
    drift_c_per_day: Floats
    """(P, T)"""
    noise_v: Floats
    """(P,)"""
    step_v: Floats
    """(P,)"""
    ambient_noise_c: Floats
    """(P,) NaN = no ambient sensor."""
    stuck_a_day: Floats
    """(P,) and so are all that follow: a probe repeats its last value until it is repaired, hours later."""
    open_a_day: Floats
    """A probe measures nothing for minutes to for ever."""
    jumps_a_day: Floats
    """A probe's offset changes by several degrees from one sample to the next, and stays."""
    wild_a_day: Floats
    """One sample holds a code instead of a value."""
    noisy_a_day: Floats
    """A loose contact: tenfold noise for an hour or so."""
    lost_share: Floats
    """Of frames, singly."""
    silences_a_day: Floats
    """Reboots and radio gaps of half a minute to two hours."""

    def some(self, packs: slice) -> Instruments:
        return Instruments(**{field.name: getattr(self, field.name)[packs] for field in fields(self)})


def report(
    instruments: Instruments,
    *,
    probes_c: Reported,
    voltages_v: Reported,
    ambient_c: Reported,
    interval_s: float,
    random: np.random.Generator,
) -> None:
    """Turn the truth (P, N, T), (P, N, V), (P, N) into what arrives, in place; NaN = not measured."""
    day = (np.arange(probes_c.shape[1]) * (interval_s / DAY_S)).astype(np.float32)
    for first in range(0, len(probes_c), BLOCK_PACKS):
        block = slice(first, first + BLOCK_PACKS)
        _measure(instruments.some(block), probes_c[block], voltages_v[block], day, random)
        noise_c = _column(instruments.ambient_noise_c[block])[:, 0]
        ambient_c[block] += random.standard_normal(ambient_c[block].shape, dtype=np.float32) * noise_c
    burnt = np.isnan(voltages_v[:, :, 0])
    for pack in range(len(probes_c)):
        one = instruments.some(slice(pack, pack + 1))
        _break_probes(one, probes_c[pack], voltages_v[pack], interval_s, random)
        lost = burnt[pack] | _lost_frames(one, probes_c.shape[1], interval_s, random)
        probes_c[pack, lost] = np.nan
        voltages_v[pack, lost] = np.nan
        ambient_c[pack, lost] = np.nan


def _measure(
    instruments: Instruments,
    probes_c: Reported,
    voltages_v: Reported,
    day: Reported,
    random: np.random.Generator,
) -> None:
    error = random.standard_normal(probes_c.shape, dtype=np.float32)
    error *= _column(instruments.noise_c)
    probes_c += error
    probes_c += instruments.offset_c.astype(np.float32)[:, None, :]
    if instruments.drift_c_per_day.any():
        probes_c += instruments.drift_c_per_day.astype(np.float32)[:, None, :] * day[None, :, None]
    _round(probes_c, instruments.step_c)
    np.minimum(probes_c, np.float32(PROBE_LIMIT_C), out=probes_c)
    error = random.standard_normal(voltages_v.shape, dtype=np.float32)
    error *= _column(instruments.noise_v)
    voltages_v += error
    _round(voltages_v, instruments.step_v)
    np.maximum(voltages_v, np.float32(0.0), out=voltages_v)


def _column(values: Floats) -> Reported:
    return values.astype(np.float32)[:, None, None]


def _round(values: Reported, step: Floats) -> None:
    steps = _column(step)
    values *= 1.0 / steps
    np.rint(values, out=values)
    values *= steps


def _break_probes(
    instruments: Instruments,
    probes_c: Reported,
    voltages_v: Reported,
    interval_s: float,
    random: np.random.Generator,
) -> None:
    samples, probes = probes_c.shape
    days = samples * interval_s / DAY_S

    def happen(rate: Floats, mean_s: float) -> list[tuple[int, slice]]:
        """Return which probe, and the samples from a random one on, for about mean_s."""
        number = random.poisson(rate[0] * probes * days)
        return [
            (
                int(random.integers(probes)),
                slice(start := int(random.integers(samples)), start + 1 + int(random.exponential(mean_s) / interval_s)),
            )
            for _ in range(number)
        ]

    for probe, at in happen(instruments.jumps_a_day, 0.0):
        probes_c[at.start :, probe] += np.float32(random.choice((-1, 1)) * random.uniform(2.0, 12.0))
    for probe, at in happen(instruments.noisy_a_day, 3600.0):
        bad = probes_c[at, probe]
        bad += (10.0 * instruments.noise_c[0] * random.standard_normal(len(bad))).astype(np.float32)
    for probe, at in happen(instruments.stuck_a_day, 6 * 3600.0):
        probes_c[at, probe] = probes_c[at.start, probe]
    for probe, at in happen(instruments.open_a_day, 12 * 3600.0):
        probes_c[at, probe] = np.nan
    for probe, at in happen(instruments.wild_a_day, 0.0):
        probes_c[at, probe] = random.choice(WILD_C)
    for _probe, at in happen(instruments.wild_a_day, 0.0):
        voltages_v[at.start, int(random.integers(voltages_v.shape[1]))] = random.choice(WILD_V)


def _lost_frames(
    instruments: Instruments, samples: int, interval_s: float, random: np.random.Generator
) -> NDArray[np.bool_]:
    lost: NDArray[np.bool_] = random.random(samples) < instruments.lost_share[0]
    days = samples * interval_s / DAY_S
    for _ in range(random.poisson(instruments.silences_a_day[0] * days)):
        start = int(random.integers(samples))
        lasts_s = float(np.exp(random.uniform(np.log(30.0), np.log(7200.0))))
        lost[start : start + max(1, int(lasts_s / interval_s))] = True
    return lost
