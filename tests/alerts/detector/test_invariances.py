"""What must change nothing: how rows are cut, other packs, late and empty rows, the interval, what is not measured."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.detector import Fault, judge, judging
from alerts.detector.states import NAMES

from made_packs import RULES, calm, ramp, rows_of, run, states_for, voltages

WARNING = 2


def sick(hours: float = 1.5, *, interval_s: float = 10.0, c_per_min: float = 0.5):
    time_s, readings_c = calm(hours, interval_s=interval_s)
    readings_c[:, 3] += ramp(time_s, from_s=2400, c_per_min=c_per_min)
    return time_s, readings_c


def some(rows, which):
    return dataclasses.replace(
        rows,
        **{
            each.name: getattr(rows, each.name)[which]
            for each in dataclasses.fields(rows)
            if getattr(rows, each.name) is not None
        },
    )


@settings(max_examples=4, deadline=None)
@given(st.lists(st.integers(1, 400), max_size=5))
def test_how_rows_are_cut_into_calls_changes_nothing(cuts):
    time_s, readings_c = sick()
    rows = rows_of(time_s, readings_c, voltages(time_s), ambient_c=np.full(len(time_s), 18.0))
    whole, pieces = states_for(rows), states_for(rows)
    expected = judge(whole, RULES, rows)
    borders = [0, *np.clip(np.cumsum(cuts, dtype=int), 0, len(rows)), len(rows)]
    parts = [judge(pieces, RULES, some(rows, slice(a, b))) for a, b in itertools.pairwise(borders)]
    assert expected.rank.max() >= WARNING
    np.testing.assert_array_equal(np.concatenate([part.rank for part in parts]), expected.rank)
    np.testing.assert_array_equal(np.concatenate([part.forecast_s for part in parts]), expected.forecast_s)
    np.testing.assert_array_equal(np.concatenate([part.fault for part in parts]), expected.fault)
    for name in NAMES:
        np.testing.assert_array_equal(getattr(pieces.columns(), name), getattr(whole.columns(), name), err_msg=name)


def test_packs_do_not_change_each_other():
    time_s, hot_c = sick()
    _, calm_c = calm(1.5, seed=9)
    alone = run(time_s, hot_c)
    n = len(time_s)
    pack = np.repeat([0, 1, 2], n)
    rows = dataclasses.replace(
        rows_of(np.tile(time_s, 3), np.concatenate([calm_c, hot_c, calm_c[::-1]])), slot=pack.astype(np.intp)
    )
    together = judge(states_for(rows, packs=3), RULES, rows)
    np.testing.assert_array_equal(together.rank[pack == 1], alone.rank)
    assert not together.rank[pack != 1].any()


def test_late_and_empty_rows_change_nothing():
    time_s, readings_c = sick()
    expected = run(time_s, readings_c)
    empty_c = np.repeat(readings_c, 2, axis=0)
    empty_c[1::2] = np.nan
    got = run(np.repeat(time_s, 2) + np.tile([0, 5], len(time_s)), empty_c)
    np.testing.assert_array_equal(got.rank[::2], expected.rank)
    late = rows_of(time_s[:10], np.full_like(readings_c[:10], 500.0))
    judged = judge(expected.states, RULES, late)
    assert set(judged.rank) == {expected.rank[-1]}
    assert not judged.risen


@pytest.mark.parametrize("interval_s", [1, 10, 60, 300])
def test_a_slow_rise_is_found_at_every_interval(interval_s):
    time_s, readings_c = sick(2.5 if interval_s > 10 else 1.4, interval_s=interval_s, c_per_min=0.2)
    found = run(time_s, readings_c)
    assert found.first_s(WARNING) == pytest.approx(3300, abs=600 + 2 * interval_s)
    assert found.rank[time_s < 2400].max() == 0


@pytest.mark.parametrize("missing", ["ambient", "voltages", "probes"])
def test_what_is_not_measured_raises_nothing(missing):
    time_s, readings_c = calm(2.0)
    volts, ambient_c = voltages(time_s), np.full(len(time_s), 18.0)
    half = len(time_s) // 2
    {"ambient": ambient_c, "voltages": volts, "probes": readings_c[:, :6]}[missing][half:] = np.nan
    assert not run(time_s, readings_c, volts, ambient_c=ambient_c).rank.any()


def test_channels_that_do_not_fit_are_refused():
    time_s, readings_c = calm(0.1)
    with pytest.raises(ValueError, match="channels"):
        judge(states_for(rows_of(time_s, readings_c)), RULES, rows_of(time_s, readings_c[:, :3]))


def test_a_slot_that_was_freed_begins_anew():
    time_s, readings_c = sick()
    hot = run(time_s, readings_c)
    hot.states.free(0)
    assert hot.states.add(profile=0) == 0
    assert hot.states.columns().held[0] == 0
    assert hot.states.nbytes / hot.states.capacity < 3000
    with pytest.raises(IndexError):
        hot.states.add(profile=99)


def test_a_pack_whose_minute_is_due_alone_learns_the_same():
    time_s, readings_c = sick()
    volts, n = voltages(time_s), len(time_s)
    alone = run(time_s, readings_c, volts, ambient_c=np.full(n, 18.0), hydrogen_ppm=np.linspace(1, 300, n))
    later_s = time_s + 30 * (time_s > 0)  # its minutes begin half a minute after the other's
    rows = dataclasses.replace(
        rows_of(
            np.concatenate([time_s, later_s]),
            np.tile(readings_c, (2, 1)),
            np.tile(volts, (2, 1)),
            ambient_c=np.full(2 * n, 18.0),
            hydrogen_ppm=np.tile(np.linspace(1, 300, n), 2),
        ),
        slot=np.repeat(np.arange(2), n),
    )
    together = states_for(rows, packs=2)
    judge(together, RULES, rows)
    for name in NAMES:
        expected = getattr(alone.states.columns(), name)[0]
        np.testing.assert_array_equal(getattr(together.columns(), name)[0], expected, err_msg=name)


def test_packs_that_measure_everything_are_judged_as_all_others_are(monkeypatch):
    random = np.random.default_rng(5)
    packs, steps = 40, 150
    base_c = 20 + random.normal(0, 0.4, (packs, 1, 8)) + random.normal(0, 0.1, (packs, steps, 8))
    volts = 3.7 + random.normal(0, 0.01, (packs, 1, 6)) + random.normal(0, 0.002, (packs, steps, 6))
    base_c[:8, :, 2] += np.linspace(0, 30, steps)  # sick
    base_c[4:12, 70:, 5] += 6  # jumps
    base_c[10:14, 90:, 1] = base_c[10:14, 90:91, 1]  # stuck
    base_c[random.random(base_c.shape) < 0.002] = 900  # wild
    base_c[random.random(base_c.shape) < 0.002] = np.nan
    volts[12:16, 100:, 3] = [[0.3], [1.2], [3.5], [np.nan]]
    volts[random.random(volts.shape) < 0.001] = np.inf
    base_c[16:18, 40:60], volts[17, 40:60] = np.nan, np.nan  # lost frames
    times_s = np.tile(np.arange(steps) * 20.0, packs)
    times_s[7::31] = times_s[6::31][: len(times_s[7::31])]  # the same row once more
    rows = dataclasses.replace(
        rows_of(times_s, base_c.reshape(-1, 8), volts.reshape(-1, 6).astype(np.float32)),
        slot=np.repeat(np.arange(packs), steps),
    )
    fast, slow = states_for(rows, packs=packs), states_for(rows, packs=packs)
    got = judge(fast, RULES, rows)
    monkeypatch.setattr(judging, "all_measured", lambda c, *_: np.zeros(len(c.held), bool))
    expected = judge(slow, RULES, rows)
    assert {0, WARNING} <= set(expected.rank)
    assert {Fault.OK, Fault.OPEN, Fault.JUMP} <= set(expected.fault.flat)
    for name in ("rank", "forecast_s", "fault"):
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name), err_msg=name)
    for name in NAMES:
        np.testing.assert_array_equal(getattr(fast.columns(), name), getattr(slow.columns(), name), err_msg=name)


def test_a_probe_that_stood_still_across_a_silence_is_stuck_whatever_packs_are_beside():
    time_s, readings_c = calm(6.0)
    readings_c -= (np.clip((time_s - 7200) / 14_400, 0, 1) * 8).astype(np.float32)[:, None]
    readings_c = np.round(readings_c)
    readings_c[time_s >= 7200, 3] = readings_c[time_s >= 7200, 3][0] + 1  # it changed while nobody heard it
    heard = (time_s < 6630) | (time_s >= 7200)  # its minutes end at other rows than those of the others
    stuck = rows_of(time_s[heard], readings_c[heard])
    alone = run(time_s[heard], readings_c[heard])
    others = [rows_of(*calm(6.0, seed=slot), slot=slot) for slot in (1, 2, 3)]  # heard all the time
    together = dataclasses.replace(
        stuck,
        **{
            name: np.concatenate([getattr(rows, name) for rows in (stuck, *others)])
            for name in ("slot", "sampled_at_ms", "temperatures_c", "voltages_v")
        },
    )
    judged = judge(states_for(together, packs=4), RULES, together)
    assert Fault.STUCK in alone.judgement.fault[:, 3]
    np.testing.assert_array_equal(judged.fault[: heard.sum()], alone.judgement.fault)
    np.testing.assert_array_equal(judged.rank[: heard.sum()], alone.rank)
