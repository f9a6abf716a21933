"""Shorts that only a voltage sees, and what moves voltages while nothing is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from alerts.detector import EvidenceKind, reason_numbers

from made_packs import calm, run

WATCH, WARNING = 1, 2
BEGINS_S = 5 * 3600.0
MINUTE = {"interval_s": 60.0}


def pack(hours: float = 9.0, *, probes: int = 8, taps: int = 8):
    """A pack of modules of twelve cells at rest, whose second probe has been open from its second hour on."""
    time_s, readings_c = calm(hours, probes=probes, **MINUTE)
    readings_c[time_s > 3600, 1] = np.nan
    random = np.random.default_rng(4)
    volts = 44.4 + random.normal(0, 0.1, taps) + random.normal(0, 0.002, (len(time_s), taps))
    return time_s, readings_c, volts.astype(np.float32)


def grows(time_s, *, by_permille: float, fold_s: float = 2400.0):
    """(N,) thousandths lost to a short whose resistance falls by a factor e in fold_s; by_permille after three."""
    age_s = np.clip(time_s - BEGINS_S, 0, None)
    return by_permille * np.expm1(age_s / fold_s) / np.expm1(3)


def lose(volts, tap: int, permille) -> None:
    volts[:, tap] *= (1 - np.asarray(permille) / 1000).astype(np.float32)


def test_a_short_beside_a_dead_probe_warns_by_its_voltage_alone():
    time_s, readings_c, volts = pack()
    lose(volts, 4, grows(time_s, by_permille=2.5))
    found = run(time_s, readings_c, volts)
    assert found.first_s(WARNING) < BEGINS_S + 7200
    row = next(row for row in found.judgement.risen if found.rank[row] >= WARNING)
    reason = reason_numbers(found.judgement, row)[0]
    assert (reason.kind, reason.channel) == (EvidenceKind.VOLTAGE, 4)
    assert 0.7 < reason.numbers["below_others_permille"] < 2.5
    assert reason.numbers["sinking_min"] >= 50


def test_the_same_voltage_is_watched_where_all_probes_measure_and_see_nothing():
    time_s, _, volts = pack()
    lose(volts, 4, grows(time_s, by_permille=2.5))
    seen = time_s <= BEGINS_S + 7200
    found = run(time_s[seen], calm(9.0, **MINUTE)[1][seen], volts[seen])
    assert found.rank.max() == WATCH


def test_a_warm_probe_and_a_sinking_voltage_warn_together():
    time_s, _, volts = pack()
    readings_c = calm(9.0, **MINUTE)[1]
    lose(volts, 4, grows(time_s, by_permille=2.5))
    readings_c[:, 3] += np.clip((time_s - BEGINS_S) / 7200, 0, 1).astype(np.float32) * np.float32(0.7)
    found = run(time_s, readings_c, volts)
    assert found.first_s(WARNING) < BEGINS_S + 7200


def test_with_too_few_probes_for_a_median_a_voltage_warns_sooner():
    time_s, readings_c, volts = pack(probes=4)
    lose(volts, 4, grows(time_s, by_permille=1.2, fold_s=4800))
    one = run(time_s, readings_c, volts).first_s(WARNING)
    readings_c[time_s > 3600, 2] = np.nan
    assert run(time_s, readings_c, volts).first_s(WARNING) < one - 1200


def test_a_sick_channel_that_was_the_median_is_told_like_any_other():
    time_s, readings_c, volts = pack()
    volts += (44.4 * (1 + np.arange(-4, 4) / 1000) - volts.mean(axis=0)).astype(np.float32)
    found = []
    for tap in (4, 7):
        sick = volts.copy()
        lose(sick, tap, grows(time_s, by_permille=2.5))
        found.append(run(time_s, readings_c, sick).first_s(WARNING))
    assert found[0] == pytest.approx(found[1], abs=600)


@pytest.mark.parametrize("break_more", ["open", "stuck", "wild code"])
def test_a_broken_probe_delays_no_voltage(break_more):
    time_s, readings_c, volts = pack()
    lose(volts, 4, grows(time_s, by_permille=2.5))
    before = run(time_s, readings_c, volts).first_s(WARNING)
    late = time_s > BEGINS_S
    readings_c[late, 5] = {"open": np.nan, "stuck": readings_c[late, 5][0], "wild code": 3276.7}[break_more]
    assert run(time_s, readings_c, volts).first_s(WARNING) <= before


def steps(time_s):
    """A contact that ages by a step: 4 thousandths at once."""
    return np.where(time_s[:, None] > BEGINS_S, 4.0, 0) * (np.arange(8) == 4)


def sags(time_s):
    """Three hours of load, no two channels of the same resistance, on a voltage that is as flat as LFP's."""
    loaded = (time_s > BEGINS_S) & (time_s < BEGINS_S + 3 * 3600)
    return np.where(loaded, 3 + np.sin(time_s / 600), 0)[:, None] * np.linspace(0.7, 1.4, 8)


def falls_back(time_s):
    """One channel stood above the others while it was charged, and comes down afterwards."""
    charged = np.interp(time_s, [BEGINS_S - 7200, BEGINS_S, BEGINS_S + 7200], [0, -5, 0])
    return charged[:, None] * (np.arange(8) == 4)


def bleeds(time_s):
    """A balancing resistor: 100 mA from a cell of 200 Ah, in half of the channels."""
    return np.clip(time_s - BEGINS_S, 0, None)[:, None] / 3600 * 0.2 * (np.arange(8) % 2)


def breaks(time_s):
    """A wire."""
    return np.where(time_s[:, None] > BEGINS_S, 1000.0, 0) * (np.arange(8) == 4)


@pytest.mark.parametrize("happens", [steps, sags, falls_back, bleeds, breaks])
def test_what_moves_voltages_while_nothing_is_wrong_is_no_warning(happens):
    time_s, readings_c, volts = pack()
    volts *= (1 - happens(time_s) / 1000).astype(np.float32)
    assert run(time_s, readings_c, volts).rank.max() < WARNING


def test_coarse_voltages_that_wander_about_a_step_are_no_warning():
    time_s, readings_c, volts = pack()
    volts += (0.01 * np.sin(time_s / 3600)[:, None] * np.linspace(-1, 1, 8)).astype(np.float32)
    assert run(time_s, readings_c, np.round(volts / 0.01).astype(np.float32) * np.float32(0.01)).rank.max() < WARNING


def test_a_gently_crushed_cell_warns_before_five_degrees():
    time_s, readings_c = calm(0.5, interval_s=1.0)
    readings_c[:, 2] += (np.clip(time_s - 1200, 0, 300) * 0.035).astype(np.float32)
    found = run(time_s, readings_c)
    assert found.first_s(WARNING) <= 1200 + 5 / 0.035
