"""What a unit takes for heat by itself, and what it does not."""

import numpy as np
import pytest

from firmware_sim.heat_watch import HeatRule, HeatWatch

PROBES = 16


def seen(readings_c, *, step_s: float = 1.0, rule: HeatRule | None = None) -> list[bool]:
    """Whether it was hot after each reading."""
    watch = HeatWatch(rule)
    told = []
    for number, reading_c in enumerate(readings_c):
        watch.look(np.broadcast_to(np.asarray(reading_c, float), (PROBES,)), 1000.0 + number * step_s)
        told.append(watch.hot)
    return told


def one_probe(rises_k, *, at_c: float = 20.0):
    readings = np.full((len(rises_k), PROBES), at_c)
    readings[:, 7] += rises_k
    return readings


def test_a_crushed_cell_is_seen_within_seconds():
    rises_k = np.concatenate((np.zeros(60), np.cumsum(np.full(60, 2.0))))  # +5 degC to 150 degC in some 70 s
    told = seen(one_probe(rises_k))
    assert not any(told[:60])
    assert told[62], "two looks above +2.5 degC"


@pytest.mark.parametrize(
    ("name", "readings_c"),
    [
        ("a door opens: all probes fall and rise together", 20.0 + 10.0 * np.sin(np.arange(3_600) / 120.0)),
        ("sun on a container: 10 degC in 15 min", 20.0 + np.arange(900) / 90.0),
        ("one wild reading", one_probe(np.where(np.arange(120) == 90, 9.0, 0.0))),
        ("one digit of a 1 degC probe, to and fro", one_probe(np.arange(600) // 7 % 2)),
        ("a slow warm spot: 1 degC in 5 min", one_probe(np.arange(3_600) / 300.0)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_heat(name, readings_c):
    assert not any(seen(readings_c)), name


def test_noise_of_a_poor_probe_is_seldom_heat():
    noise = np.random.default_rng(5).normal(20.0, 0.3, (86_400 // 10, PROBES))
    assert not any(seen(noise))


def test_heat_is_remembered_for_five_minutes_and_a_blind_unit_does_not_forget_it():
    assert seen([20.0, 50.0, *[20.0] * 300])[299:] == [True, True, False]
    blind = [np.full(PROBES, np.nan)] * 1_000
    assert seen([50.0, *blind])[-1]


def test_a_unit_with_two_probes_compares_a_probe_with_itself():
    watch = HeatWatch()
    for second, hottest_c in enumerate((20.0, 20.0, 23.0, 24.0)):
        watch.look(np.array([20.0, hottest_c]), float(second))
    assert watch.hot


def test_a_rule_of_its_own():
    assert any(seen([20.0, 31.0], rule=HeatRule(hot_c=30.0)))
    assert not any(seen([20.0, 31.0]))
