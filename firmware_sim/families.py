"""Labelled simulated recordings, family by family: what a detector is tuned on, and what it is judged on.

A family is a kind of event or of calm with the spans its parameters are drawn from. Families of the split "train" and
of the split "test" share no span, no road, no design and no random stream: a test states it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from firmware_sim.course import run
from firmware_sim.drawing import draw_ailments, draw_build, draw_electrics, draw_instruments, draw_probes, gas_of
from firmware_sim.family_table import FAMILIES
from firmware_sim.happenings import handled, in_use, logged
from firmware_sim.instruments import report
from firmware_sim.outdoors import drive
from firmware_sim.surroundings import MINUTE_S

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from registry.kinds import Chemistry, PackClass

__all__ = ["FAMILIES", "Recordings", "generate"]

PLUS_C = 5.0
"""The rise from which a fast short's latency counts."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recordings:
    """P packs on one clock, N samples. NaN = not measured: a lost frame, an open probe, a pack that has burnt."""

    family: str
    event: bool
    chemistry: tuple[Chemistry, ...]
    """(P,)"""
    pack_class: tuple[PackClass, ...]
    """(P,)"""
    interval_s: float
    time_s: NDArray[np.float64]
    """(N,) since the recording's start."""
    temperatures_c: NDArray[np.float32]
    """(P, N, T)"""
    voltages_v: NDArray[np.float32]
    """(P, N, V)"""
    ambient_c: NDArray[np.float32] | None
    """(P, N) air of the container at the unit."""
    hydrogen_ppm: NDArray[np.float32] | None
    """(P, N), as are the other gases; None where no unit of the family has the sensor."""
    carbon_monoxide_ppm: NDArray[np.float32] | None
    voc_ppm: NDArray[np.float32] | None
    onset_s: NDArray[np.float64]
    """(P,) when the fault began; NaN = healthy."""
    plus5_s: NDArray[np.float64]
    """(P,) first sample at which the body of the probe next to the fault has risen by 5 degC more than the median of
    the other probes; NaN = never."""
    runaway_s: NDArray[np.float64]
    """(P,) when a cell had first risen by 1 degC/s for 3 s above its chemistry's trigger, where one then burnt."""


def generate(
    family: str,
    *,
    packs: int,
    seed: int,
    interval_s: float = 10.0,
    hours: float | None = None,
    loggers: Sequence[Path] = (),
) -> Recordings:
    """Simulate `packs` packs of a family, reported every interval_s; the same arguments give the same recordings.

    What happens to a pack does not depend on interval_s. loggers: recordings in the trace format, for the families
    whose `logged` is set. Raises KeyError for a family that is not in FAMILIES; ValueError without one pack and two
    samples, and where loggers are needed and none is named.
    """
    kind = FAMILIES[family]
    hours = kind.hours if hours is None else hours
    samples = int(hours * 3600.0 / interval_s + 1e-9) + 1 if interval_s > 0.0 else 0
    if packs < 1 or samples < 2:
        raise ValueError("a family needs at least one pack and two samples")
    name = zlib.crc32(family.encode())
    draw, weather, noise = (np.random.default_rng((name, seed, stream)) for stream in range(3))
    chemistry = tuple(kind.chemistries[number] for number in draw.integers(len(kind.chemistries), size=packs))
    pack_class = tuple(kind.classes[number] for number in draw.integers(len(kind.classes), size=packs))
    bodies, build = draw_build(kind.design, chemistry, packs, draw)
    electrics = draw_electrics(kind.design, bodies, build, chemistry, draw)
    probes, nearest = draw_probes(kind.design, bodies, build, draw)
    ailments = draw_ailments(kind.ailment, bodies, electrics, hours, draw)
    minutes = int(hours * 60.0) + 1
    if kind.logged is None:
        surroundings = drive(kind.climates, packs, minutes, weather)
    else:
        surroundings = logged(loggers, kind.logged, packs, minutes, weather)
    if kind.handling is not None:
        surroundings = handled(surroundings, kind.handling, weather)
    if kind.charging:
        surroundings = in_use(surroundings, electrics.pack_capacity_c / 3600.0, electrics.charge, weather)
    start_c = _rested_c(surroundings.skin_c, bodies.heat_j_per_k, build.case_to_air)
    course = run(
        bodies,
        ailments,
        surroundings,
        probes,
        electrics,
        start_c=np.repeat(start_c[:, None], bodies.heat_j_per_k.shape[1], axis=1),
        samples=samples,
        interval_s=interval_s,
    )
    onset_s = np.where(np.isfinite(ailments.onset_s), ailments.onset_s, np.nan)
    time_s: NDArray[np.float64] = np.arange(samples, dtype=np.float64) * interval_s
    plus5_s = _plus5_s(course.probes_c, nearest, time_s, onset_s)
    ambient_c = course.air_c
    temperatures_c, voltages_v = course.probes_c, course.voltages_v
    instruments = draw_instruments(kind.sensors, packs, temperatures_c.shape[2], draw)
    report(
        instruments,
        probes_c=temperatures_c,
        voltages_v=voltages_v,
        ambient_c=ambient_c,
        interval_s=interval_s,
        random=noise,
    )
    gas = gas_of(kind.sensors, course.gas_ppm, np.isnan(ambient_c), interval_s, noise)
    return Recordings(
        family=family,
        event=kind.event,
        chemistry=chemistry,
        pack_class=pack_class,
        interval_s=interval_s,
        time_s=time_s,
        temperatures_c=temperatures_c,
        voltages_v=voltages_v,
        ambient_c=ambient_c if kind.sensors.ambient else None,
        hydrogen_ppm=gas[0],
        carbon_monoxide_ppm=gas[1],
        voc_ppm=gas[2],
        onset_s=onset_s,
        plus5_s=plus5_s,
        runaway_s=course.runaway_s,
    )


def worsen(
    recordings: Recordings,
    *,
    interval_s: float | None = None,
    drop: float = 0.0,
    dead_probes: int = 0,
    stuck_probes: int = 0,
    noise_c: float = 0.0,
    seed: int = 0,
) -> Recordings:
    """The same recordings as a worse unit would have told them.

    interval_s: keep the samples at this slower interval, a whole multiple of the present one. drop: share of frames
    lost. dead_probes, stuck_probes: so many probes of every pack, never the same, from a random time
    on that lies before the unit falls silent. noise_c: added
    standard deviation. Raises ValueError for an interval that is no multiple and for more bad probes than there are.
    """
    random = np.random.default_rng((seed, zlib.crc32(recordings.family.encode())))
    stride = 1 if interval_s is None else round(interval_s / recordings.interval_s)
    if stride < 1 or (interval_s is not None and abs(stride * recordings.interval_s - interval_s) > 1e-6):
        raise ValueError(f"{interval_s} s is no multiple of {recordings.interval_s} s")
    temperatures_c = recordings.temperatures_c[:, ::stride].copy()
    packs, samples, probes = temperatures_c.shape
    silent = np.asarray(np.isnan(temperatures_c).all(axis=2))
    if dead_probes + stuck_probes > probes:
        raise ValueError(f"{dead_probes + stuck_probes} bad probes of {probes}")
    if noise_c > 0.0:
        temperatures_c += np.float32(noise_c) * random.standard_normal(temperatures_c.shape, dtype=np.float32)
    for pack in range(packs):
        heard = samples - int(np.argmin(silent[pack, ::-1]))
        for number, probe in enumerate(random.permutation(probes)[: dead_probes + stuck_probes]):
            start = int(random.integers(heard))
            told = temperatures_c[pack, : start + 1, probe]
            told = told[np.isfinite(told)]
            stuck = number >= dead_probes and len(told) > 0
            temperatures_c[pack, start:, probe] = told[-1] if stuck else np.nan
    lost = silent | (random.random((packs, samples)) < drop)
    temperatures_c[lost] = np.nan

    def thinned(column: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        return None if column is None else np.where(lost, np.float32(np.nan), column[:, ::stride])

    return replace(
        recordings,
        interval_s=recordings.interval_s * stride,
        time_s=recordings.time_s[::stride],
        temperatures_c=temperatures_c,
        voltages_v=np.where(lost[:, :, None], np.float32(np.nan), recordings.voltages_v[:, ::stride]),
        ambient_c=thinned(recordings.ambient_c),
        hydrogen_ppm=thinned(recordings.hydrogen_ppm),
        carbon_monoxide_ppm=thinned(recordings.carbon_monoxide_ppm),
        voc_ppm=thinned(recordings.voc_ppm),
    )


def _rested_c(
    skin_c: NDArray[np.float64], heat_j_per_k: NDArray[np.float64], case_to_air: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(P,) where packs start: as the hours to come will have them, so that no recording begins with a jump."""
    lag_minutes = heat_j_per_k[:, :-1].sum(axis=1) / case_to_air / MINUTE_S
    minute = np.arange(skin_c.shape[1])
    weight = np.exp(-minute / lag_minutes[:, None])
    return np.asarray((skin_c * weight).sum(axis=1) / weight.sum(axis=1))


def _plus5_s(
    probes_c: NDArray[np.float32],
    nearest: NDArray[np.intp],
    time_s: NDArray[np.float64],
    onset_s: NDArray[np.float64],
) -> NDArray[np.float64]:
    found = np.full(len(probes_c), np.nan)
    for pack in np.flatnonzero(np.isfinite(onset_s)):
        start = int(np.searchsorted(time_s, onset_s[pack], side="right")) - 1
        rise = probes_c[pack, start:] - probes_c[pack, start]
        others = np.delete(rise, nearest[pack], axis=1)
        above = rise[:, nearest[pack]] - np.median(others, axis=1)
        passed = np.flatnonzero(above >= PLUS_C)
        if len(passed):
            found[pack] = time_s[start + passed[0]]
    return found
