"""Leads, latencies and false alarms, from levels and a truth that are written down."""

from __future__ import annotations

import numpy as np
import pytest

from alerts.performance import joined, outcomes_of, upper_bound_per_day

NAN = np.nan


def outcomes(levels: str, *, onset_s=NAN, plus5_s=NAN, runaway_s=NAN, pause_s=0.0, step_s=10.0):
    """One pack; a digit a sample: the rank of its level."""
    ranks = np.array([[int(digit) for digit in levels]], np.int8)
    return outcomes_of(
        ranks,
        time_s=np.arange(len(levels)) * step_s,
        onset_s=np.array([onset_s]),
        plus5_s=np.array([plus5_s]),
        runaway_s=np.array([runaway_s]),
        pause_s=pause_s,
    )


def test_a_lead_counts_from_the_first_warning_after_the_onset():
    found = outcomes("0012223", onset_s=10.0, plus5_s=20.0, runaway_s=100.0)
    assert (found.warned_s[0], found.lead_s[0], found.critical_s[0]) == (30.0, 70.0, 60.0)
    assert (found.latency_s[0], found.false_warnings[0]) == (10.0, 0)


def test_an_alarm_before_the_onset_is_false_and_gives_no_lead():
    found = outcomes("0200020", onset_s=30.0, runaway_s=100.0)
    assert (found.warned_s[0], found.lead_s[0], found.false_warnings[0]) == (50.0, 50.0, 1)
    assert found.quiet_days[0] == pytest.approx(30 / 86_400)


def test_a_warning_that_never_came_is_no_lead_and_an_endless_latency():
    found = outcomes("0111", onset_s=0.0, plus5_s=10.0, runaway_s=20.0)
    assert np.isnan(found.warned_s[0])
    assert np.isnan(found.lead_s[0])
    assert np.isinf(found.latency_s[0])


def test_every_rise_of_a_benign_pack_is_a_false_alarm():
    found = outcomes("2023101320")
    assert (found.false_warnings[0], found.false_criticals[0]) == (3, 2)


def test_what_comes_back_within_the_pause_is_the_same_alarm():
    assert outcomes("2020000002", pause_s=30.0).false_warnings[0] == 2
    assert outcomes("2020000002", pause_s=100.0).false_warnings[0] == 1


def test_outcomes_of_several_recordings_are_joined():
    both = joined([outcomes("02"), outcomes("00")])
    assert (len(both), both.false_warnings.tolist()) == (2, [1, 0])


@pytest.mark.parametrize(
    ("alarms", "factor"), [(0, 3.0), (1, 4.744), (2, 6.296), (10, 16.962), (100, 118.079)], ids=str
)
def test_the_bound_is_the_exact_one_of_a_poisson_count(alarms, factor):
    """Half the 95 % point of chi-square with 2 (n + 1) degrees of freedom, from tables."""
    assert upper_bound_per_day(alarms, 10.0) == pytest.approx(factor / 10, rel=0.01)


def test_with_nothing_watched_there_is_no_bound():
    assert np.isnan(upper_bound_per_day(0, 0.0))
