"""Broken instruments: told apart, raising nothing by themselves, and never hiding a fire."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alerts.detector import Fault

from made_packs import calm, ramp, run

WATCH, WARNING, CRITICAL = 1, 2, 3
HALF_S = 7200.0


def broken(kind: str, readings_c, time_s, probe: int, from_s: float):
    """The readings with one more fault."""
    readings_c = readings_c.copy()
    at = time_s >= from_s
    match kind:
        case "open":
            readings_c[at, probe] = np.nan
        case "wild code":
            readings_c[at, probe] = 3276.7
        case "stuck":
            readings_c[at, probe] = readings_c[at, probe][0]
        case "jump up":
            readings_c[at, probe] += 8
        case "jump down":
            readings_c[at, probe] -= 8
        case "spike":
            readings_c[np.flatnonzero(at)[:1], probe] = 150
        case "noisy":
            readings_c[at, probe] += np.random.default_rng(3).normal(0, 3, at.sum()).astype(np.float32)
    return readings_c


KINDS = ["open", "wild code", "stuck", "jump up", "jump down", "spike", "noisy"]


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("open", Fault.OPEN),
        ("wild code", Fault.OUT_OF_RANGE),
        ("stuck", Fault.STUCK),
        ("jump up", Fault.JUMP),
        ("jump down", Fault.JUMP),
        ("noisy", Fault.NOISY),
        ("spike", Fault.JUMP),
    ],
)
def test_a_broken_probe_is_named_and_raises_nothing(kind, fault):
    time_s, readings_c = calm(4.0)
    readings_c += (3 * np.sin(2 * np.pi * time_s / 28_800))[:, None].astype(np.float32)
    found = run(time_s, broken(kind, readings_c, time_s, 6, HALF_S))
    assert fault in found.judgement.fault[:, 6]
    others = np.delete(found.judgement.fault, 6, axis=1)
    assert not others.any()
    assert found.rank.max() < WARNING


@settings(max_examples=10, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    probe=st.integers(0, 7),
    from_s=st.integers(0, 9000),
    c_per_min=st.sampled_from([0.1, 0.3, 2.0]),
)
@example(kind="open", probe=3, from_s=6000, c_per_min=0.1)
@example(kind="stuck", probe=3, from_s=6000, c_per_min=0.1)
@example(kind="noisy", probe=0, from_s=0, c_per_min=0.1)
def test_a_fault_never_lowers_a_level(kind, probe, from_s, c_per_min):
    """A fault of another probe keeps the level's time; one of the hot probe keeps what stood when it came."""
    hot = 3
    time_s, readings_c = calm(3.0)
    readings_c[:, hot] += ramp(time_s, from_s=4800, c_per_min=c_per_min).astype(np.float32)
    clean = run(time_s, readings_c)
    found = run(time_s, broken(kind, readings_c, time_s, probe, from_s))
    if probe == hot:
        stood = clean.rank[time_s < from_s].max(initial=0)
        soon = (time_s >= from_s) & (time_s < from_s + 1800)
        assert found.rank[soon].min(initial=9) >= stood
    else:
        for rank in (WATCH, WARNING, CRITICAL):
            assert found.first_s(rank) <= clean.first_s(rank) + 120


def test_a_probe_that_dies_while_it_is_suspicious_makes_it_worse():
    time_s, readings_c = calm(3.0)
    readings_c[:, 3] += np.minimum(ramp(time_s, from_s=4800, c_per_min=0.15), 1.8).astype(np.float32)
    clean = run(time_s, readings_c)
    found = run(time_s, broken("open", readings_c, time_s, 3, 9000))
    assert clean.rank.max() == WARNING
    dead = time_s > 9060
    assert (found.rank[dead] >= clean.rank[dead]).all()
    assert "died" in {each for row in found.judgement.risen for each in found.kinds()} or found.rank[-1] >= WARNING


def test_heat_that_began_with_a_leap_is_heat():
    """A crushed cell at 10 s: +40 degC in one interval, and on."""
    time_s, readings_c = calm(1.5)
    rise_c = np.interp(time_s, [3600, 3610, 3620, 3640, 5400], [0, 40, 65, 90, 30])
    readings_c[:, 2] += rise_c.astype(np.float32)
    found = run(time_s, readings_c)
    assert found.first_s(WARNING) <= 3640
    assert found.first_s(CRITICAL) <= 3660


def test_a_leap_that_cools_gradually_was_heat():
    """A short that burnt open within one interval leaves a cell that cools."""
    time_s, readings_c = calm(1.5)
    rise_c = np.where(time_s >= 3600, 25 * np.exp(-(time_s - 3600) / 900), 0)
    readings_c[:, 2] += rise_c.astype(np.float32)
    assert run(time_s, readings_c).rank.max() >= WARNING


def test_a_leap_with_a_voltage_that_moves_is_heat_at_once():
    from made_packs import voltages  # noqa: PLC0415

    time_s, readings_c = calm(1.5)
    volts = voltages(time_s)
    volts[time_s >= 3600, 1] -= 0.2
    readings_c[time_s >= 3600, 2] += 12
    assert run(time_s, readings_c, volts).first_s(WARNING) <= 3620


def test_a_pack_that_cooled_while_it_was_silent_has_no_stuck_probes():
    time_s, readings_c = calm(4.0)
    readings_c = np.round(readings_c + np.where(time_s < HALF_S, 12, 0)[:, None])
    heard = (time_s < HALF_S / 2) | (time_s >= HALF_S)
    found = run(time_s[heard], readings_c[heard])
    assert not (found.judgement.fault == Fault.STUCK).any()
    assert found.rank.max() == 0
