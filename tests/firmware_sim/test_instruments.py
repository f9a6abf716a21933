"""What instruments make of the truth, one weakness at a time."""

from dataclasses import fields, replace

import numpy as np
import pytest

from firmware_sim.instruments import PROBE_LIMIT_C, WILD_C, WILD_V, Instruments, report

PACKS, SAMPLES, PROBES, TAPS, INTERVAL_S = 6, 8641, 8, 4, 10.0
EXACT = Instruments(
    **{
        field.name: np.full(PACKS, 1e-4) if field.name.startswith("step") else np.zeros(PACKS)
        for field in fields(Instruments)
        if field.name not in {"offset_c", "drift_c_per_day"}
    },
    offset_c=np.zeros((PACKS, PROBES)),
    drift_c_per_day=np.zeros((PACKS, PROBES)),
)


def told(instruments: Instruments, celsius: float = 25.0):
    """A day at one temperature as these instruments tell it: probes, taps, ambient."""
    probes_c = np.full((PACKS, SAMPLES, PROBES), celsius, dtype=np.float32)
    voltages_v = np.full((PACKS, SAMPLES, TAPS), 3.7, dtype=np.float32)
    ambient_c = np.full((PACKS, SAMPLES), 20.0, dtype=np.float32)
    report(
        instruments,
        probes_c=probes_c,
        voltages_v=voltages_v,
        ambient_c=ambient_c,
        interval_s=INTERVAL_S,
        random=np.random.default_rng(3),
    )
    return probes_c, voltages_v, ambient_c


def only(**changes: float) -> Instruments:
    """Exact instruments with one weakness."""
    return replace(EXACT, **{name: np.full(getattr(EXACT, name).shape, value) for name, value in changes.items()})


def test_exact_instruments_tell_the_truth():
    probes_c, voltages_v, ambient_c = told(EXACT)
    assert probes_c == pytest.approx(25.0, abs=1e-4)
    assert voltages_v == pytest.approx(3.7, abs=1e-4)
    assert ambient_c == pytest.approx(20.0, abs=1e-4)


def test_noise_has_its_deviation_and_steps_their_size():
    probes_c, voltages_v, ambient_c = told(only(noise_c=0.2, step_c=0.25, noise_v=0.003, ambient_noise_c=0.1))
    assert probes_c.std() == pytest.approx(np.hypot(0.2, 0.25 / np.sqrt(12.0)), rel=0.02)
    np.testing.assert_array_equal(probes_c * 4.0, np.round(probes_c * 4.0))
    assert voltages_v.std() == pytest.approx(0.003, rel=0.02)
    assert ambient_c.std() == pytest.approx(0.1, rel=0.02)


def test_offsets_stay_and_drift_grows():
    probes_c, *_ = told(only(offset_c=1.5, drift_c_per_day=0.4))
    assert probes_c[:, 0] == pytest.approx(26.5, abs=1e-3)
    assert probes_c[:, -1] == pytest.approx(26.9, abs=1e-3)


def test_nothing_is_hotter_than_a_thermocouple_can_tell():
    probes_c, *_ = told(EXACT, 2_000.0)
    assert probes_c.max() == PROBE_LIMIT_C


def test_a_stuck_probe_repeats_itself_and_an_open_one_is_silent():
    stuck_c, *_ = told(only(noise_c=0.2, stuck_a_day=0.5))
    runs = (np.diff(stuck_c, axis=1) == 0.0).sum(axis=1)
    assert 5 < (runs > 30).sum() < PACKS * PROBES
    open_c, voltages_v, _ = told(only(open_a_day=0.5))
    gone = np.isnan(open_c).mean(axis=1)
    assert 5 < (gone > 0.0).sum() < PACKS * PROBES
    assert np.isfinite(voltages_v).all()


def test_a_jump_is_one_step_that_stays():
    probes_c, *_ = told(only(jumps_a_day=0.2))
    steps_c = np.abs(np.diff(probes_c, axis=1))
    jumps = steps_c[steps_c > 0.01]
    assert len(jumps) > 3
    assert jumps.min() >= 1.99
    assert jumps.max() <= 12.01


def test_wild_codes_are_single_samples():
    probes_c, voltages_v, _ = told(only(wild_a_day=5.0))
    wild = np.abs(probes_c - 25.0) > 0.01
    assert 100 < wild.sum() < 500
    assert {round(float(value), 1) for value in probes_c[wild]} <= set(WILD_C)
    assert {round(float(value), 3) for value in voltages_v[np.abs(voltages_v - 3.7) > 0.01]} <= set(WILD_V)


def test_lost_frames_take_all_channels_along():
    probes_c, voltages_v, ambient_c = told(only(lost_share=0.1, silences_a_day=3.0))
    lost = np.isnan(ambient_c)
    assert 0.08 < lost.mean() < 0.4
    np.testing.assert_array_equal(np.isnan(probes_c).all(axis=2), lost)
    np.testing.assert_array_equal(np.isnan(probes_c).any(axis=2), lost)
    np.testing.assert_array_equal(np.isnan(voltages_v).all(axis=2), lost)


def test_a_burnt_unit_says_nothing_more():
    probes_c = np.full((PACKS, 100, PROBES), 25.0, dtype=np.float32)
    voltages_v = np.full((PACKS, 100, TAPS), 3.7, dtype=np.float32)
    ambient_c = np.full((PACKS, 100), 20.0, dtype=np.float32)
    for column in (probes_c, voltages_v, ambient_c):
        column[0, 50:] = np.nan
    report(
        only(wild_a_day=2_000.0, stuck_a_day=500.0),
        probes_c=probes_c,
        voltages_v=voltages_v,
        ambient_c=ambient_c,
        interval_s=INTERVAL_S,
        random=np.random.default_rng(3),
    )
    assert np.isnan(probes_c[0, 50:]).all()
    assert np.isnan(voltages_v[0, 50:]).all()
    assert np.isfinite(probes_c[1:]).all()
