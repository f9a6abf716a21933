"""Silence: three intervals as learnt, never before a minute."""

import random

import pytest

from gateway.backoff import LONGEST_S, Backoff
from gateway.units import UnitWatch


def fed(interval_s: float, frames: int = 6, *, arrivals_s: float | None = None) -> tuple[UnitWatch, float]:
    """A watch that heard `frames` frames of u1, and when it heard the last one."""
    watch, now_s = UnitWatch(), 1_000.0
    for number in range(frames):
        now_s += interval_s if arrivals_s is None else arrivals_s
        watch.heard("u1", boot_id="b", number=number, last_tick_ms=round(number * interval_s * 1000), now_s=now_s)
    return watch, now_s


@pytest.mark.parametrize(
    ("interval_s", "limit_s"),
    [(1.0, 60.0), (10.0, 60.0), (20.0, 60.0), (60.0, 180.0), (300.0, 900.0)],
)
def test_a_unit_is_silent_after_three_intervals_and_at_least_a_minute(interval_s, limit_s):
    watch, heard_s = fed(interval_s)
    assert watch.interval_s("u1") == interval_s
    assert watch.fall_silent(heard_s + limit_s - 0.1) == ()
    assert watch.fall_silent(heard_s + limit_s + 0.1) == ("u1",)
    assert watch.fall_silent(heard_s + limit_s + 9) == ()  # named once
    assert watch.silent() == ("u1",)
    assert watch.talking() == 0


def test_a_burst_of_frames_sent_again_does_not_shorten_the_interval():
    watch, heard_s = fed(60.0, arrivals_s=0.01)
    assert watch.interval_s("u1") == 60.0
    assert watch.fall_silent(heard_s + 100) == ()


def test_a_unit_heard_once_is_silent_after_a_minute():
    watch, heard_s = fed(60.0, frames=1)
    assert watch.interval_s("u1") is None
    assert watch.fall_silent(heard_s + 61) == ("u1",)


def test_a_unit_that_is_heard_again_is_not_silent_and_can_fall_silent_again():
    watch, heard_s = fed(10.0)
    watch.fall_silent(heard_s + 61)
    watch.heard("u1", boot_id="c", number=0, last_tick_ms=5, now_s=heard_s + 70)
    assert watch.silent() == ()
    assert watch.fall_silent(heard_s + 120) == ()
    assert watch.fall_silent(heard_s + 131) == ("u1",)


def test_a_change_of_pace_is_learnt_in_three_frames():
    watch, now_s = fed(60.0)
    for number, tick_ms in enumerate((301_000, 302_000, 303_000), start=6):
        watch.heard("u1", boot_id="b", number=number, last_tick_ms=tick_ms, now_s=now_s)
    assert watch.interval_s("u1") == 1.0


def test_waits_double_with_jitter_up_to_a_limit_and_start_over_after_a_success():
    backoff = Backoff(random.Random(7))  # noqa: S311  # spreads waits, guards nothing
    waits_s = [backoff.next_s() for _ in range(12)]
    for attempt, wait_s in enumerate(waits_s):
        ceiling_s = min(LONGEST_S, 0.25 * 2**attempt)
        assert ceiling_s / 2 <= wait_s <= ceiling_s
    assert len(set(waits_s)) == 12
    backoff.succeeded()
    assert backoff.next_s() <= 0.25
