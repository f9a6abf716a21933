"""What stands out for a while in a healthy pack, and warns nobody; and what is told the sooner for it."""

from __future__ import annotations

import numpy as np
import pytest

from made_packs import calm, ramp, run

WATCH, WARNING = 1, 2
MINUTE = {"interval_s": 60.0}


def cooling(hours: float = 6.0, *, by_c: float):
    """Eight probes of 1 degC in a pack that cools from its third hour to its fifth."""
    time_s, readings_c = calm(hours, **MINUTE)
    readings_c -= (np.clip((time_s - 7200) / 7200, 0, 1) * by_c).astype(np.float32)[:, None]
    return time_s, np.round(readings_c)


@pytest.mark.parametrize("by_c", [2.6, 6.0, -2.6, -6.0])
def test_a_probe_that_stood_still_and_is_repaired_warns_nobody(by_c):
    time_s, readings_c = cooling(by_c=by_c)
    stuck = (time_s >= 3600) & (time_s < 4.5 * 3600)
    readings_c[stuck, 3] = readings_c[stuck, 3][0]
    assert run(time_s, readings_c).rank.max() < WARNING


@pytest.mark.parametrize("code", [-127, -40, 85, 150])
def test_a_first_row_that_holds_a_code_warns_nobody(code):
    time_s, readings_c = calm(1.0, **MINUTE)
    readings_c[0, 2] = code
    assert run(time_s, readings_c).rank.max() < WARNING


def test_a_hot_probe_of_a_new_pack_is_told_by_its_second_row():
    time_s, readings_c = calm(1.0, **MINUTE)
    readings_c[:, 2] += 40
    assert run(time_s, readings_c).first_s(WARNING) <= 120


def test_a_code_at_one_of_four_probes_makes_no_other_one_hot():
    time_s, readings_c = calm(4.0, probes=4, **MINUTE)
    readings_c[:, 1] -= np.clip((time_s - 3600) / 3600, 0, 1).astype(np.float32) * 3  # one drifts low
    readings_c = np.round(readings_c)
    readings_c[150, 3] = 215
    assert run(time_s, readings_c).rank.max() < WARNING


def test_two_codes_of_a_dead_probe_hours_apart_warn_nobody():
    time_s, readings_c = calm(5.0, **MINUTE)
    readings_c[time_s >= 3600, 3] = np.nan
    readings_c[60, 3] = 85
    readings_c[200, 3] = 150
    assert run(time_s, readings_c).rank.max() < WARNING


def rises(time_s, *, c_per_h: float):
    """(N,) degC of one probe that rises against the others for an hour from the twentieth hour on, and stays."""
    return np.clip((time_s - 20 * 3600) / 3600, 0, 1).astype(np.float32) * np.float32(c_per_h)


def test_what_warms_from_outside_may_warm_unevenly():
    time_s, readings_c = calm(24.0, **MINUTE)
    readings_c[:, 5] += rises(time_s, c_per_h=1.25)
    still = np.full(len(time_s), 20.0)
    sunlit = np.where(time_s >= 19.5 * 3600, 50.0, 20.0)
    assert run(time_s, readings_c, ambient_c=still).rank.max() == WARNING
    readings_c += np.clip((time_s - 20 * 3600) / 3600, 0, 4).astype(np.float32)[:, None] * 2
    assert run(time_s, readings_c, ambient_c=sunlit).rank.max() < WARNING


def test_a_probe_of_a_calm_pack_that_rises_for_hours_warns_below_two_degrees():
    time_s, readings_c = calm(24.0, **MINUTE)
    above_c = ramp(time_s, from_s=16 * 3600, c_per_min=0.7 / 60)
    readings_c[:, 5] += above_c.astype(np.float32)
    assert above_c[run(time_s, readings_c).rank >= WARNING].min() < 2


def rising(*, by_c: float, jumps_c: float = 0.0):
    """Probes of 0.5 degC, of which one jumps in its 18th hour, and rises by `by_c` in its 21st."""
    time_s, readings_c = calm(24.0, **MINUTE)
    readings_c[:, 5] += rises(time_s, c_per_h=by_c)
    readings_c[time_s >= 17.5 * 3600, 5] += jumps_c
    return time_s, (np.round(readings_c / 0.5) * 0.5).astype(np.float32)


@pytest.mark.parametrize(("by_c", "sound", "doubted"), [(2.2, WARNING, WATCH), (5.0, WARNING, WARNING)])
def test_a_probe_that_jumped_lately_is_trusted_less_but_hides_no_heat_of_several_degrees(by_c, sound, doubted):
    assert run(*rising(by_c=by_c)).rank.max() == sound
    assert run(*rising(by_c=by_c, jumps_c=3.0)).rank.max() == doubted


def flickers(*steps_c: float):
    """Probes of 1 degC, one of which reads so much more in rows 10 s apart in its third hour."""
    time_s, readings_c = calm(3.0)
    readings_c = np.round(readings_c)
    readings_c[900 : 900 + len(steps_c), 3] += np.array(steps_c, np.float32)
    return time_s, readings_c


def test_a_coarse_contact_that_flickers_warns_nobody_and_a_rise_that_goes_on_does():
    assert run(*flickers(1, 3, 4, 4)).rank.max() < WARNING
    assert run(*flickers(1, 3, 5, 7, 9, 11)).first_s(WARNING) <= 9050


def test_a_loose_contact_that_reads_high_twice_warns_nobody():
    time_s, readings_c = calm(3.0)
    readings_c[900:904, 3] += np.array([1.5, 4.3, 4.0, -2.0], np.float32)
    assert run(time_s, readings_c).rank.max() < WARNING


def test_a_code_just_after_a_jump_makes_it_no_heat():
    assert run(*flickers(7, 7, 60, *[7] * 60)).rank.max() < WARNING


def test_a_jump_of_a_probe_that_flickers_is_no_heat_that_goes_on():
    assert run(*flickers(*[-1] * 5, 0, *[7, 9, 8] * 20)).rank.max() < WARNING


@pytest.mark.parametrize(("by_c", "rank"), [(2.0, WATCH), (4.0, WARNING)])
def test_a_probe_of_1_degc_warns_from_three_steps_on(by_c, rank):
    time_s, readings_c = calm(24.0, **MINUTE)
    readings_c[:, 5] += rises(time_s, c_per_h=by_c)
    assert run(time_s, np.round(readings_c)).rank.max() <= rank
    assert (run(time_s, np.round(readings_c)).rank.max() >= WARNING) == (rank >= WARNING)
