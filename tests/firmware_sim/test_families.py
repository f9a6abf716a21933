"""Families of recordings: what they promise to those who tune and judge a detector on them."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from firmware_sim.families import FAMILIES, generate, worsen
from firmware_sim.family_table import TEST_SUFFIX
from registry.kinds import Chemistry

TRACES = Path(__file__).parents[1] / "traces"
LOGGERS = (TRACES / "parcel_1.csv", TRACES / "sunlit_panel.csv")
COLUMNS = ("temperatures_c", "voltages_v", "ambient_c", "hydrogen_ppm", "carbon_monoxide_ppm", "voc_ppm")


@pytest.fixture(scope="module")
def slow():
    return generate("slow_short_nmc", packs=8, seed=5, hours=10.0)


@pytest.fixture(scope="module")
def dirty():
    return generate("benign_dirty", packs=6, seed=2, hours=24.0, interval_s=30.0)


def test_the_same_seed_tells_the_same_and_another_seed_something_else(slow):
    again, other = (generate("slow_short_nmc", packs=8, seed=seed, hours=10.0) for seed in (5, 6))
    for name in (*COLUMNS, "onset_s", "plus5_s", "runaway_s"):
        column = getattr(slow, name)
        if column is not None:
            np.testing.assert_array_equal(column, getattr(again, name))
    assert not np.array_equal(slow.onset_s, other.onset_s)
    assert slow.chemistry == again.chemistry


def test_what_happens_does_not_depend_on_how_often_it_is_reported(slow):
    rare = generate("slow_short_nmc", packs=8, seed=5, hours=10.0, interval_s=300.0)
    np.testing.assert_array_equal(np.isnan(rare.runaway_s), np.isnan(slow.runaway_s))
    # Seen: 11 s of four hours; a pack's steps end where its samples are.
    assert np.nanmax(np.abs(rare.runaway_s - slow.runaway_s)) < 30.0
    np.testing.assert_array_equal(rare.onset_s, slow.onset_s)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_makes_recordings_of_its_own_kind(name):
    family = FAMILIES[name]
    hours = min(family.hours, 1.0)
    made = generate(name, packs=2, seed=1, hours=hours, interval_s=30.0, loggers=LOGGERS)
    samples = int(hours * 120) + 1
    assert made.temperatures_c.shape == (2, samples, family.design.probes)
    assert made.voltages_v.shape == (2, samples, family.design.taps)
    assert made.temperatures_c.dtype == made.voltages_v.dtype == np.float32
    assert made.time_s[0] == 0.0
    assert np.allclose(np.diff(made.time_s), 30.0)
    assert set(made.chemistry) <= set(family.chemistries)
    assert np.isfinite(made.onset_s).all() == made.event == family.event
    if not family.event:
        assert np.isnan(made.onset_s).all()
        assert np.isnan(made.plus5_s).all()
        assert np.isnan(made.runaway_s).all()
    assert (made.hydrogen_ppm is not None) == family.sensors.gas


def test_every_family_has_a_counterpart_in_the_other_split():
    train = {name for name, family in FAMILIES.items() if family.split == "train"}
    test = {name.removesuffix(TEST_SUFFIX) for name, family in FAMILIES.items() if family.split == "test"}
    assert train == test
    for chemistry in (Chemistry.NMC, Chemistry.NCA, Chemistry.LFP, Chemistry.LMO):
        for kind in ("slow_short", "self_heating", "fast_short"):
            assert FAMILIES[f"{kind}_{chemistry}"].chemistries == (chemistry,)


def spans(part):
    """The spans of a part of a family: pairs of numbers that differ."""
    for field in fields(part):
        value = getattr(part, field.name)
        if isinstance(value, tuple) and len(value) == 2 and all(isinstance(number, float) for number in value):
            yield field.name, value


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.split == "train"])
def test_train_and_test_share_no_span_no_road_and_no_make(name):
    train, test = FAMILIES[name], FAMILIES[f"{name}{TEST_SUFFIX}"]
    shared = {"probe_on", "case_share", "doors_a_day", "rise_s", "start_w", "growth_s", "most_w", "stops_at_k"}
    for part in ("design", "climates", "handling", "logged"):
        ours, theirs = getattr(train, part), getattr(test, part)
        if ours is None:
            continue
        for field, (low, high) in spans(ours):
            other_low, other_high = getattr(theirs, field)
            if field not in shared:
                assert high <= other_low or other_high <= low, (part, field)
    assert not set(train.climates.roads) & set(test.climates.roads)
    assert train.design.modules != test.design.modules
    assert train.sensors.noise_c[1] <= test.sensors.noise_c[0]
    if len(train.sensors.step_c) > 1:
        assert not set(train.sensors.step_c) & set(test.sensors.step_c) - {1.0}


def test_labels_are_what_the_probes_see(slow):
    runs = np.flatnonzero(np.isfinite(slow.runaway_s))
    assert len(runs) >= 3
    assert (slow.onset_s[runs] < slow.plus5_s[runs]).all()
    assert (slow.plus5_s[runs] < slow.runaway_s[runs]).all()
    for pack in range(len(slow.onset_s)):
        start = int(slow.onset_s[pack] / 10.0)
        before = slow.temperatures_c[pack, :start]
        assert (np.fmax.reduce(before, axis=1) - np.fmin.reduce(before, axis=1) < 5.0)[~np.isnan(before[:, 0])].all()
    for pack in runs:
        at = int(slow.runaway_s[pack] / 10.0)
        # The fire is in the taps, whatever its probe says; after ten minutes the unit is gone.
        assert np.nanmin(slow.voltages_v[pack, at : at + 60]) < 0.9 * np.nanmedian(slow.voltages_v[pack, :100])
        assert np.isnan(slow.temperatures_c[pack, at + 70 :]).all()


def test_a_crushed_cell_leaves_a_minute():
    crushed = generate("fast_short_nmc", packs=60, seed=3, interval_s=1.0)
    lasts_s = []
    for pack in range(60):
        start = int(crushed.onset_s[pack])
        hottest_c = np.nan_to_num(crushed.temperatures_c[pack, start:]).max(axis=1)
        lasts_s.append(int(np.argmax(hottest_c >= 150.0)) - int(np.argmax(hottest_c >= hottest_c[0] + 5.0)))
    # Measured on punched cells: 1-172 s, half of them within 60 s.
    assert 40.0 < np.median(lasts_s) < 100.0
    assert min(lasts_s) < 20.0


def test_a_short_that_burns_open_never_runs_away_but_is_seen():
    crushed = generate("fast_short_burns_open", packs=20, seed=1, interval_s=1.0)
    assert np.isnan(crushed.runaway_s).all()
    assert np.isfinite(crushed.plus5_s).mean() > 0.8


def test_dirty_sensors_are_dirty_in_every_way(dirty):
    temperatures_c = dirty.temperatures_c
    lost = np.isnan(temperatures_c).all(axis=2)
    assert 0.0 < lost.mean() < 0.4
    assert (np.isnan(temperatures_c).mean(axis=(0, 1)) > lost.mean()).any()
    assert (np.abs(np.nan_to_num(temperatures_c)) > 80.0).any()
    still = np.abs(np.diff(np.nan_to_num(temperatures_c), axis=1)) == 0.0
    assert still.mean(axis=1).max() > 0.5
    assert (np.nan_to_num(dirty.voltages_v, nan=3.0) == 0.0).any()


def test_probes_speak_in_their_steps():
    made = generate("slow_short_24_coarse_probes", packs=2, seed=1, hours=2.0)
    seen = made.temperatures_c[np.isfinite(made.temperatures_c)]
    np.testing.assert_array_equal(seen, np.round(seen))


def test_healthy_packs_stay_below_the_lowest_ceiling():
    for name in ("benign_sun_test", "benign_charging_test", "benign_loggers_test"):
        made = generate(name, packs=12, seed=1, hours=24.0, interval_s=60.0, loggers=LOGGERS)
        assert np.nanmax(made.temperatures_c) < 60.0
        assert np.nanmin(made.temperatures_c) > -45.0


def test_logged_weather_is_asked_for():
    with pytest.raises(ValueError, match="loggers"):
        generate("benign_loggers", packs=1, seed=1, hours=1.0)


@pytest.mark.parametrize("wrong", [{"packs": 0}, {"packs": 1, "hours": 0.0}, {"packs": 1, "interval_s": 0.0}])
def test_nothing_to_make_is_refused(wrong):
    with pytest.raises(ValueError, match="at least one pack"):
        generate("benign_sun", **({"seed": 1, "hours": 1.0} | wrong))


def test_worse_units_lose_frames_probes_and_precision(slow):
    worse = worsen(slow, interval_s=60.0, drop=0.2, dead_probes=1, stuck_probes=1, noise_c=0.5, seed=4)
    assert worse.interval_s == 60.0
    assert len(worse.time_s) == worse.temperatures_c.shape[1] == len(slow.time_s[::6])
    np.testing.assert_array_equal(worse.time_s, slow.time_s[::6])
    np.testing.assert_array_equal(worse.runaway_s, slow.runaway_s)
    was_lost = np.isnan(slow.temperatures_c[:, ::6]).all(axis=2)
    lost = np.isnan(worse.temperatures_c).all(axis=2)
    assert lost[was_lost].all()
    assert 0.15 < lost[~was_lost].mean() < 0.25
    assert np.isnan(worse.voltages_v[lost]).all()
    assert np.isnan(worse.ambient_c[lost]).all()
    for pack in range(len(worse.onset_s)):
        last, before = worse.temperatures_c[pack][~lost[pack]][[-1, -2]]
        assert np.isnan(last).sum() == 1
        assert (last == before).sum() == 1


def test_worsening_by_nothing_changes_nothing_and_spares_the_original(slow):
    before = slow.temperatures_c.copy()
    same = worsen(slow, seed=1)
    worsen(slow, drop=0.5, dead_probes=2, noise_c=1.0, seed=1)
    np.testing.assert_array_equal(slow.temperatures_c, before)
    for name in COLUMNS:
        if getattr(slow, name) is not None:
            np.testing.assert_array_equal(getattr(same, name), getattr(slow, name))
    assert replace(same, family="other").family == "other"


def test_an_interval_that_does_not_fit_and_too_many_bad_probes_are_refused(slow):
    with pytest.raises(ValueError, match="no multiple"):
        worsen(slow, interval_s=25.0, seed=1)
    with pytest.raises(ValueError, match="bad probes"):
        worsen(slow, dead_probes=9, stuck_probes=8, seed=1)
