"""Each evidence on a pack made by hand, whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from alerts.detector import EvidenceKind, Grade, reason_numbers

from made_packs import calm, ramp, run, voltages

WATCH, WARNING, CRITICAL, RUNAWAY = 1, 2, 3, 4


def evidence(found, rank):
    """The first reason for the rank."""
    row = next(row for row in found.judgement.risen if found.rank[row] >= rank)
    return reason_numbers(found.judgement, row)[0]


def test_a_calm_pack_is_normal_and_its_habits_are_learnt():
    time_s, readings_c = calm(12.0)
    found = run(time_s, readings_c)
    assert not found.rank.any()
    columns = found.states.columns()
    true_c = readings_c.mean(axis=0) - np.median(readings_c.mean(axis=0))
    np.testing.assert_allclose(columns.offset_c[0] - columns.offset_c[0].mean(), true_c - true_c.mean(), atol=0.05)
    assert columns.resolution_c[0] == pytest.approx(0.05, rel=0.3)
    assert columns.probe_noise_c[0] == pytest.approx(
        0.05 * 2 / np.sqrt(np.pi), rel=0.9
    )  # mean |difference| of normals, raised by what goes up and straight down


def test_one_probe_that_rises_slowly_is_named_with_its_rate():
    time_s, readings_c = calm(3.0)
    readings_c[:, 5] += ramp(time_s, from_s=3600, c_per_min=0.1)
    found = run(time_s, readings_c)
    reason = evidence(found, WARNING)
    assert (reason.kind, reason.channel) == (EvidenceKind.SPATIAL, 5)
    assert 1.0 < reason.numbers["above_others_c"] < 3.0
    # Means of an exponential window lag a ramp by their length once they have run for several of them.
    assert 0.03 < reason.numbers["rate_c_per_min"] < 0.1
    assert 4000 < found.first_s(WARNING) < 6000


def test_a_crushed_cell_is_a_warning_within_seconds():
    time_s, readings_c = calm(0.4, interval_s=1.0)
    readings_c[:, 2] += ramp(time_s, from_s=1200, c_per_min=120)
    found = run(time_s, readings_c)
    plus5_s = 1200 + 2.5
    assert found.first_s(WARNING) <= plus5_s + 5
    assert evidence(found, WARNING).kind is EvidenceKind.QUICK
    assert found.first_s(CRITICAL) < 1220
    assert found.rank.max() == RUNAWAY  # 2 degC/s, and 60 degC above the others


def test_the_whole_pack_in_the_sun_is_no_alarm():
    time_s, readings_c = calm(14.0)
    readings_c += (10 * np.sin(2 * np.pi * time_s / 86_400) ** 2)[:, None].astype(np.float32)
    assert run(time_s, readings_c).rank.max() < WARNING


def test_two_probes_are_judged_by_the_pack_alone():
    time_s, readings_c = calm(2.0, probes=2)
    readings_c += ramp(time_s, from_s=3600, c_per_min=1.0)[:, None].astype(np.float32)
    found = run(time_s, readings_c)
    assert found.kinds() == {"rise"}
    assert found.rank.max() == WARNING  # above 50 degC, 20 degC more than an hour before
    assert found.first_s(WATCH) > 3600 + 600


def test_a_cell_that_loses_its_charge_is_watched_and_a_warning_once_it_has_sunk_far_and_for_long():
    time_s, readings_c = calm(6.0)
    volts = voltages(time_s)
    volts[:, 4] -= (ramp(time_s, from_s=7200, c_per_min=3.0) * 1e-4).astype(np.float32)
    found = run(time_s, readings_c, volts)
    reason = evidence(found, WATCH)
    assert (reason.kind, reason.channel) == (EvidenceKind.VOLTAGE, 4)
    assert 1.5 < reason.numbers["below_others_permille"] < 8
    assert found.first_s(WARNING) > found.first_s(WATCH) + 1800
    assert found.rank.max() == WARNING


def test_a_collapsed_cell_beside_heat_is_critical():
    time_s, readings_c = calm(2.0)
    volts = voltages(time_s)
    readings_c[:, 1] += ramp(time_s, from_s=3600, c_per_min=0.2)
    volts[time_s > 6600, 3] = 2.0
    found = run(time_s, readings_c, volts)
    assert found.rank[time_s == 6600] == WARNING
    assert found.first_s(CRITICAL) == 6620  # two rows
    assert "collapse" in found.kinds()


def test_a_dead_tap_is_no_collapse():
    time_s, readings_c = calm(1.0)
    volts = voltages(time_s)
    volts[time_s > 1800, 3] = 0.0
    assert not run(time_s, readings_c, volts).rank.any()


@pytest.mark.parametrize(("ppm", "rank"), [(15, 0), (60, WATCH), (2000, WARNING)])
def test_gas_against_its_own_baseline(ppm, rank):
    time_s, readings_c = calm(3.0)
    gas = np.where(time_s > 7200, 2.0 + ppm, 2.0)
    found = run(time_s, readings_c, hydrogen_ppm=gas)
    assert found.rank.max() == rank
    assert found.kinds() == ({"gas"} if rank else set())


@pytest.mark.parametrize(("ppm", "rank"), [(600, WATCH), (10_000, WARNING)])
def test_solvents_of_traffic_are_watched_and_those_of_a_vented_cell_warn(ppm, rank):
    time_s, readings_c = calm(3.0)
    assert run(time_s, readings_c, voc_ppm=np.where(time_s > 7200, 2.0 + ppm, 2.0)).rank.max() == rank


def test_one_puff_of_gas_is_none():
    time_s, readings_c = calm(2.0)
    assert not run(time_s, readings_c, voc_ppm=np.where(time_s == 3600, 100.0, 1.0)).rank.any()


def test_a_first_row_with_a_hot_probe_is_not_taken_for_its_offset():
    time_s, readings_c = calm(0.5)
    readings_c[:, 0] += 12
    found = run(time_s, readings_c)
    assert found.first_s(WARNING) < 120


def test_a_level_goes_slowly():
    time_s, readings_c = calm(8.0)
    bump = ramp(time_s, from_s=3600, c_per_min=0.2) - 2 * ramp(time_s, from_s=5400, c_per_min=0.2)
    readings_c[:, 5] += np.clip(bump, 0, None).astype(np.float32)
    found = run(time_s, readings_c)
    gone_s = 7200
    assert found.rank.max() >= WARNING
    assert found.rank[-1] == 0
    back_s = time_s[np.flatnonzero(found.rank)[-1]]
    assert back_s > gone_s + 1800


def test_the_forecast_brackets_a_steady_rise():
    time_s, readings_c = calm(3.0)
    readings_c[:, 5] += ramp(time_s, from_s=3600, c_per_min=0.25)
    found = run(time_s, readings_c)
    critical_s = found.first_s(CRITICAL)
    row = int(np.flatnonzero(time_s == critical_s - 1200)[0])
    earliest_s, latest_s = found.judgement.forecast_s[row]
    assert earliest_s < 1200 < latest_s
    assert np.isnan(found.judgement.forecast_s[0]).all()


def test_explained_values_are_there_for_plots():
    time_s, readings_c = calm(0.1)
    found = run(time_s, readings_c, explain=True)
    assert found.judgement.values["above_others_c"].shape == readings_c.shape
    assert found.judgement.values["heat_c_per_h"].shape == time_s.shape
    assert all(each.grade <= Grade.HINT for each in reason_numbers(found.judgement, 5))
