"""What people watch packs with today, on rows of which the answer is plain."""

from __future__ import annotations

import numpy as np
import pytest

from alerts.baselines import BASELINES, AmbientDifference, FixedThreshold, RateOfRise, ThreeSigma
from alerts.detector import Rows
from registry.kinds import Level

WARNING = Level.WARNING.rank


def rows(temperatures_c, *, slot=None, at_s=None, ambient_c=None) -> Rows:
    temperatures_c = np.asarray(temperatures_c, np.float32)
    number = len(temperatures_c)
    return Rows(
        slot=np.zeros(number, np.intp) if slot is None else np.asarray(slot, np.intp),
        sampled_at_ms=1000 * np.asarray(range(number) if at_s is None else at_s, np.int64),
        temperatures_c=temperatures_c if temperatures_c.ndim == 2 else temperatures_c[:, None],
        voltages_v=np.zeros((number, 0), np.float32),
        ambient_c=None if ambient_c is None else np.asarray(ambient_c, np.float32),
        hydrogen_ppm=None,
        carbon_monoxide_ppm=None,
        voc_ppm=None,
    )


def test_a_fixed_threshold_looks_at_the_hottest_probe():
    found = FixedThreshold().ranks(rows([[59.9, 20.0], [60.0, 20.0], [np.nan, 61.0], [np.nan, np.nan]]))
    assert found.tolist() == [0, WARNING, WARNING, 0]


@pytest.mark.parametrize(
    ("at_s", "probe_c", "expected"),
    [
        ([0, 300], [20.0, 25.0], [0, WARNING]),
        ([0, 300], [20.0, 24.9], [0, 0]),
        ([0, 10], [20.0, 25.0], [0, 0]),
        ([0, 600], [20.0, 29.9], [0, 0]),
        ([0, 600], [20.0, 30.0], [0, WARNING]),
        ([0, 601], [20.0, 90.0], [0, 0]),
        ([0, 290, 300, 590], [20.0, 20.0, 24.0, 25.0], [0, 0, 0, WARNING]),
        ([0, 300], [np.nan, 80.0], [0, 0]),
    ],
    ids=[
        "5 degC in 5 min",
        "a little less",
        "not 5 min of history yet",
        "after a gap the rate is over the gap",
        "and fast enough over it",
        "a gap of more than twice the window says nothing",
        "against the latest row that is 5 min old",
        "a probe that was not measured then has no rate",
    ],
)
def test_a_rate_of_rise(at_s, probe_c, expected):
    assert RateOfRise().ranks(rows(probe_c, at_s=at_s)).tolist() == expected


def test_a_rate_never_spans_two_packs():
    found = RateOfRise().ranks(rows([20.0, 20.0, 80.0, 80.0], slot=[0, 0, 1, 1], at_s=[0, 300, 400, 700]))
    assert found.tolist() == [0, 0, 0, 0]


def test_a_difference_to_the_air_needs_the_air():
    hot = [[30.0, 20.0], [29.9, 20.0], [80.0, 20.0]]
    assert AmbientDifference().ranks(rows(hot, ambient_c=[20.0, 20.0, np.nan])).tolist() == [WARNING, 0, 0]
    assert AmbientDifference().ranks(rows(hot)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("probes_c", "alarms"),
    [
        ([25.0] * 15 + [27.0], True),
        ([25.0] * 15 + [26.0], False),
        ([25.0] * 15 + [20.0], False),
        ([25.0] * 8 + [200.0], False),
        ([25.0] * 10 + [200.0], True),
        ([25.0] * 11 + [np.nan] * 4 + [200.0], True),
        ([np.nan] * 16, False),
    ],
    ids=[
        "one of sixteen stands out",
        "by less than three times the least deviation",
        "a cold one is none of its business",
        "nine probes cannot have one beyond three deviations",
        "eleven can",
        "those that are not measured do not count",
        "nothing measured",
    ],
)
def test_three_sigma(probes_c, alarms):
    assert bool(ThreeSigma().ranks(rows([probes_c]))[0]) is alarms


def test_no_rows_are_no_alarms_and_each_rule_has_a_name_of_its_own():
    empty = rows(np.zeros((0, 3)))
    assert [len(baseline.ranks(empty)) for baseline in BASELINES] == [0] * len(BASELINES)
    assert len({baseline.name for baseline in BASELINES}) == len(BASELINES)
