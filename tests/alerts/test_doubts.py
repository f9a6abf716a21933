"""What an instrument explains does not pass the milder ceiling; heat does, and the hottest ceiling believes all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from alerts.recorded import ranks_of_detector
from registry.kinds import Chemistry, Level, PackClass

EVERY_S = 10.0
WARNING, CRITICAL = Level.WARNING.rank, Level.CRITICAL.rank


@dataclass(frozen=True, kw_only=True)
class Pack:
    """One pack's recording."""

    time_s: np.ndarray
    temperatures_c: np.ndarray
    voltages_v: np.ndarray
    chemistry: tuple[Chemistry, ...] = (Chemistry.NMC,)
    pack_class: tuple[PackClass, ...] = (PackClass.MID_LIFE,)
    interval_s: float = EVERY_S
    ambient_c: np.ndarray | None = None
    hydrogen_ppm: np.ndarray | None = None
    carbon_monoxide_ppm: np.ndarray | None = None
    voc_ppm: np.ndarray | None = None


def warm(*course: tuple[float, float], probes: int = 8, noise_c: float = 0.1):
    """(N,) h and (N, T) degC of a pack that is used: straight lines between (hour, degC)."""
    hours = np.arange(0, course[-1][0], EVERY_S / 3600)
    body_c = np.interp(hours, *np.array(course).T)
    return hours, body_c[:, None] + np.random.default_rng(4).normal(0, noise_c, (len(hours), probes))


def ranks(readings_c, step_c: float = 0.1):
    """(N,) the level's rank at each sample of the whole judge, of readings in such steps."""
    readings_c = (np.round(readings_c / step_c) * step_c).astype(np.float32)
    recording = Pack(
        time_s=np.arange(len(readings_c)) * EVERY_S,
        temperatures_c=readings_c[None],
        voltages_v=np.zeros((1, len(readings_c), 0), np.float32),
    )
    return readings_c, ranks_of_detector(recording)[0]


def jumped():
    hours, readings_c = warm((0, 46), (2, 46), (3, 50), (4, 50))
    readings_c[hours >= 1, 3] += 12
    return readings_c, 0.1


def jumps_above():
    hours, readings_c = warm((0, 50), (2, 50))
    readings_c[hours >= 1, 3] += 11
    return readings_c, 0.1


def loose_contact():
    hours, readings_c = warm((0, 53), (3, 53))
    bad = hours >= 1
    swings_c = np.random.default_rng(9).normal(0, 3, bad.sum())
    swings_c[:20] = np.tile([-2, 2], 10)  # a contact begins to come loose
    readings_c[bad, 3] += swings_c
    return readings_c, 0.1


def coarse():
    _, readings_c = warm((0, 52), (1, 58.8), (3, 58.8), noise_c=0.3)
    return readings_c, 1.0


@pytest.mark.parametrize("readings", [jumped, jumps_above, loose_contact, coarse])
def test_what_the_instrument_explains_does_not_warn(readings):
    readings_c, found = ranks(*readings())
    assert (readings_c >= 60).any()
    assert found.max() < WARNING


def test_a_pack_that_is_as_hot_as_the_ceiling_warns_beside_a_probe_that_jumped():
    hours, readings_c = warm((0, 50), (2, 50), (4, 62), (5, 62))
    readings_c[hours >= 1, 3] += 5
    readings_c, found = ranks(readings_c)
    hot = np.median(readings_c, axis=1) >= 60.5
    assert (found[hot] >= WARNING).all()


def test_a_coarse_probe_counts_once_it_is_clearly_above():
    hours, readings_c = warm((0, 50), (2, 50), (4, 57), (5, 57), noise_c=0.3)
    readings_c[:, 3] += np.interp(hours, [2, 4], [0, 7])
    assert ranks(readings_c, 1.0)[1][hours >= 4].min() >= WARNING


@pytest.mark.parametrize("c_per_min", [0.1, 0.5, 3.0])
def test_heat_of_a_probe_that_jumped_before_warns_within_4_degc_and_the_hottest_ceiling_holds(c_per_min):
    hours, readings_c = warm((0, 48), (8, 48))
    risen_c = np.clip(hours - 3, 0, None) * 60 * c_per_min
    readings_c[:, 3] += np.where(hours >= 1, 10, 0) + np.minimum(risen_c, 23)
    readings_c, found = ranks(readings_c)
    assert (found[risen_c >= 4] >= WARNING).all()
    assert (found[readings_c[:, 3] >= 80] >= CRITICAL).all()
    assert found.max() >= CRITICAL


def test_a_pack_that_is_not_known_yet_warns_at_once():
    _, readings_c = warm((0, 50), (0.1, 50))
    readings_c[20:, 3] += 11
    readings_c, found = ranks(readings_c)
    assert found[np.argmax(readings_c[:, 3] >= 60)] == WARNING
