"""Ticks to UTC: jittered delays, drift, reboots, clocks that are set, and boots that nobody heard live."""

import json

import numpy as np
import pytest

from gateway.boot_clock import LINK_S, BootClock
from gateway.clock_map import DECLARED_S, UnitClock
from telemetry.samples import Quality

START_MS = 1_790_000_000_000
"""UTC at tick zero, in all of these."""
BEAT_MS = 10_000


def beats(hours: float, *, drift_ppm: float, jitter_ms: float, seed: int) -> list[tuple[int, int]]:
    """(tick, received at) every 10 s: a unit whose clock is `drift_ppm` slow, and exponential delays."""
    delays_ms = np.random.default_rng(seed).exponential(jitter_ms, int(hours * 360))
    ticks_ms = [number * BEAT_MS for number in range(len(delays_ms))]
    return [
        (tick_ms, START_MS + round(tick_ms * (1 + drift_ppm * 1e-6) + delay_ms))
        for tick_ms, delay_ms in zip(ticks_ms, delays_ms, strict=True)
    ]


def true_utc_ms(tick_ms: float, drift_ppm: float) -> float:
    return START_MS + tick_ms * (1 + drift_ppm * 1e-6)


@pytest.mark.parametrize("drift_ppm", [0.0, 50.0, -50.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_jitter_of_200_ms_and_a_drift_come_out_within_50_ms(drift_ppm, seed):
    # 720 beats in 120 buckets of 6: the fastest of 6 exponential delays of mean 200 ms has mean 33 ms, and the hull
    # runs below most of those. Without the fit, 50 ppm over two hours alone would be 360 ms.
    clock = BootClock()
    for tick_ms, received_at_ms in beats(2, drift_ppm=drift_ppm, jitter_ms=200, seed=seed):
        clock.observe(tick_ms, received_at_ms)
    for tick_ms in (0, 3_600_000, 7_190_000):
        error_ms = tick_ms + clock.offset_at(tick_ms) - true_utc_ms(tick_ms, drift_ppm)
        assert abs(error_ms) < 50, tick_ms
        assert abs(error_ms) / 1000 < 2 * clock.uncertainty_s_at(tick_ms)
    assert clock.drift_ppm == pytest.approx(drift_ppm, abs=10)


@pytest.mark.parametrize("drift_ppm", [0.0, 50.0])
def test_after_twenty_seconds_the_offset_is_the_smallest_delay(drift_ppm):
    clock = BootClock()
    for tick_ms, delay_ms in ((0, 80), (10_000, 15), (20_000, 900)):
        clock.observe(tick_ms, round(true_utc_ms(tick_ms, drift_ppm) + delay_ms))
    assert clock.drift_ppm == 0
    assert clock.offset_at(20_000) == pytest.approx(START_MS + 15, abs=2)


def test_one_late_beat_in_two_hours_changes_nothing():
    clean, disturbed = BootClock(), BootClock()
    for number, (tick_ms, received_at_ms) in enumerate(beats(2, drift_ppm=50, jitter_ms=20, seed=5)):
        clean.observe(tick_ms, received_at_ms)
        disturbed.observe(tick_ms, received_at_ms + (4_000 if number == 400 else 0))
    assert disturbed.offset_at(7_000_000) == pytest.approx(clean.offset_at(7_000_000), abs=5)


def test_an_absurd_drift_is_clipped_and_the_line_stays_below_the_points():
    clock = BootClock()
    points = [(tick_ms, START_MS + round(tick_ms * 1.001)) for tick_ms in range(0, 3_600_000, BEAT_MS)]
    for tick_ms, received_at_ms in points:
        clock.observe(tick_ms, received_at_ms)
    assert clock.drift_ppm == pytest.approx(200)
    assert all(clock.offset_at(tick_ms) <= received_at_ms - tick_ms + 1 for tick_ms, received_at_ms in points[-60:])


def test_uncertainty_grows_away_from_the_beats():
    clock = BootClock()
    for tick_ms, received_at_ms in beats(1, drift_ppm=0, jitter_ms=20, seed=3):
        clock.observe(tick_ms, received_at_ms)
    near_s, day_s = clock.uncertainty_s_at(3_000_000), clock.uncertainty_s_at(3_000_000 + 86_400_000)
    assert LINK_S <= near_s < 0.06
    assert near_s < day_s <= 86_400 * 100e-6 + near_s


@pytest.mark.parametrize(("step_ms", "beats_needed"), [(60_000, 6), (-60_000, 1)])
def test_a_gateway_clock_that_was_set_is_followed(step_ms, beats_needed):
    clock = BootClock()
    for number in range(30):
        clock.observe(number * BEAT_MS, START_MS + number * BEAT_MS)
    for number in range(30, 30 + beats_needed):
        assert clock.offset_at(0) == START_MS
        clock.observe(number * BEAT_MS, START_MS + number * BEAT_MS + step_ms)
    assert clock.offset_at(0) == START_MS + step_ms


def unit(*, boots: dict[str, tuple[int, int, int]]) -> UnitClock:
    """A unit heard live: boot -> (UTC at tick zero, first beat's tick, last beat's tick), in ms."""
    clock = UnitClock()
    for boot_id, (zero_ms, first_ms, last_ms) in boots.items():
        for tick_ms in range(first_ms, last_ms + 1, BEAT_MS):
            clock.observe(boot_id, tick_ms, zero_ms + tick_ms)
    return clock


def fix(clock: UnitClock, boot_id: str, tick_ms: int, *, rows_ms: int = 0, declared: int | None = None):
    return clock.fix(boot_id, first_tick_ms=tick_ms, last_tick_ms=tick_ms + rows_ms, declared_zero_ms=declared)


def test_a_reboot_has_its_own_offset_and_the_old_boot_keeps_its():
    clock = unit(boots={"b1": (START_MS, 0, 100_000), "b2": (START_MS + 150_000, 0, 50_000)})
    assert fix(clock, "b2", 20_000).utc_at_tick_zero_ms == START_MS + 150_000
    assert fix(clock, "b1", 60_000).utc_at_tick_zero_ms == START_MS


def test_a_frame_of_a_boot_without_a_beat_has_no_fix():
    clock = unit(boots={"b1": (START_MS, 0, 100_000)})
    assert fix(clock, "b2", 0) is None


def test_a_declared_time_wins_over_beats():
    clock = unit(boots={"b1": (START_MS, 0, 100_000)})
    declared = fix(clock, "b1", 50_000, declared=42)
    assert (declared.utc_at_tick_zero_ms, declared.uncertainty_s) == (42, DECLARED_S)
    assert declared.quality is Quality.GOOD


def test_frames_never_overlap_though_the_estimate_falls_between_them():
    clock = UnitClock()
    clock.observe("b1", 0, START_MS + 900)  # slow beat
    first = fix(clock, "b1", 0, rows_ms=9_900)
    clock.observe("b1", 10_000, START_MS + 10_000)  # fast beat: the estimate falls by 900 ms
    second = fix(clock, "b1", 10_000, rows_ms=9_900)
    assert second.utc_at_tick_zero_ms + 10_000 == first.utc_at_tick_zero_ms + 9_900 + 1
    third = fix(clock, "b1", 20_000, rows_ms=9_900)
    assert third.utc_at_tick_zero_ms < second.utc_at_tick_zero_ms  # and it works its way down
    assert fix(clock, "b1", 10_000, rows_ms=9_900) == second  # a frame that comes again gets the same time


def test_a_late_frame_fits_between_its_neighbours():
    clock = UnitClock()
    clock.observe("b1", 0, START_MS)
    before, after = fix(clock, "b1", 0, rows_ms=9_000), fix(clock, "b1", 20_000, rows_ms=9_000)
    between = fix(clock, "b1", 10_000, rows_ms=9_000)
    assert before.utc_at_tick_zero_ms + 9_000 < between.utc_at_tick_zero_ms + 10_000
    assert between.utc_at_tick_zero_ms + 19_000 < after.utc_at_tick_zero_ms + 20_000


def test_when_the_gateways_clock_is_set_the_next_frame_already_follows():
    clock = unit(boots={"b1": (START_MS, 0, 100_000)})
    before = fix(clock, "b1", 50_000)
    clock.move(-3_600_000)
    after = fix(clock, "b1", 110_000)
    assert before.utc_at_tick_zero_ms - after.utc_at_tick_zero_ms == 3_600_000
    assert after.uncertainty_s < 0.1
    clock.observe("b1", 120_000, START_MS - 3_600_000 + 120_000)
    assert fix(clock, "b1", 120_000).utc_at_tick_zero_ms == START_MS - 3_600_000


@pytest.mark.parametrize("wrong_ms", [0, 700_000, -700_000])
def test_a_clock_of_an_earlier_run_holds_until_a_beat_contradicts_it(wrong_ms):
    before = unit(boots={"b1": (START_MS, 0, 1_200_000)})
    after = UnitClock.restored(json.loads(json.dumps(before.state())))
    assert after.live_boot == "b1"
    assert fix(after, "b1", 1_100_000) == fix(before, "b1", 1_100_000)
    # The box came back with another idea of the time: the first beat decides, not the sixth.
    after.observe("b1", 1_300_000, START_MS + wrong_ms + 1_300_000)
    assert fix(after, "b1", 1_310_000).utc_at_tick_zero_ms == START_MS + wrong_ms


def test_frames_hours_late_have_their_boots_time_and_an_uncertainty_that_says_how_late():
    clock = unit(boots={"b1": (START_MS, 0, 300_000)})  # too short to fit a drift
    near, far = fix(clock, "b1", 300_000), fix(clock, "b1", 300_000 + 6 * 3_600_000)
    assert near.utc_at_tick_zero_ms == far.utc_at_tick_zero_ms == START_MS
    assert near.uncertainty_s < 0.1 < far.uncertainty_s < 3
    clock.observe("b2", 0, START_MS + 30_000_000)
    assert fix(clock, "b1", 300_000).utc_at_tick_zero_ms == START_MS
