"""What a full outbox gives up: which samples thinning keeps, how it is told, and whose data go last."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.suspicion import HOT_C, STAYS_MS, Suspicion
from gateway.thinning import KEPT_PERIOD_MS, Drops, lost_of_frame, lost_position, thin
from gateway.wall_clock import STEP_MS, WallClock, is_plausible, is_synchronised, running_ms
from telemetry.frames import frame_from_values
from telemetry.samples import Provenance


def frame(tick_ms: int, rows: int, period_ms: int, *, number: int = 0, celsius: float = 20.0, boot_id: str = "b1"):
    return frame_from_values(
        boot_id=boot_id,
        number=number,
        tick_ms=tick_ms,
        period_ms=period_ms,
        provenance=Provenance.MEASURED,
        temperatures_c=np.full((rows, 2), celsius) + np.arange(rows)[:, None] * 0.05,
        ambient_c=np.arange(rows) * 0.05,
    )


def ticks(content) -> list[int]:
    return [] if content is None else [content.tick_ms + row * content.period_ms for row in range(len(content))]


@given(st.integers(1, 120_000), st.integers(0, 10**9), st.lists(st.integers(1, 90), min_size=1, max_size=12))
def test_a_sample_a_minute_is_kept_however_the_samples_were_cut_into_frames(period_ms, start, lengths):
    start -= start % period_ms
    whole = [start + row * period_ms for row in range(sum(lengths))]
    kept, at = [], 0
    for rows in lengths:
        kept += ticks(thin(frame(whole[at], rows, period_ms)))
        at += rows
    stride = max(1, KEPT_PERIOD_MS // period_ms)
    assert kept == [tick_ms for tick_ms in whole if tick_ms // period_ms % stride == 0]


def test_thinned_columns_keep_their_values():
    content = frame(0, 180, 1_000)
    thinned = thin(content)
    assert (len(thinned), thinned.period_ms) == (3, 60_000)
    np.testing.assert_array_equal(thinned.temperatures_raw, content.temperatures_raw[::60])
    np.testing.assert_array_equal(thinned.ambient_raw, content.ambient_raw[::60])
    assert thin(frame(0, 5, 60_000)).period_ms == 60_000
    assert thin(frame(10_000, 1, 10_000)) is None


def test_losses_that_are_alike_melt_and_an_unread_record_goes_on():
    drops = Drops()
    for number in range(3):
        content = frame(number * 10_000, 1, 10_000, number=number)
        drops.lost(lost_of_frame("u1", content, zero_ms=1_000, kept="none", samples=1, why="full"))
        drops.replaced(number + 1)
    drops.lost(lost_position(7, "full"))
    first = drops.record(9)
    assert first.ranges == ((1, 3),)
    frames, position = first.details
    assert (frames.first_frame, frames.last_frame, frames.samples_lost) == (0, 2, 3)
    assert (frames.from_ms, frames.to_ms) == (1_000, 21_000)
    assert (position.unit_id, position.samples_lost) == (None, 1)
    more = Drops.of(first)
    more.lost(lost_of_frame("u1", frame(90_000, 1, 10_000, number=9), zero_ms=0, kept="none", samples=1, why="full"))
    more.replaced(8)
    second = more.record(12)
    assert second.ranges == ((1, 3), (8, 9))
    assert second.details[0].samples_lost == 4


def test_heat_or_a_rise_makes_a_unit_suspicious_for_days():
    rule = Suspicion()
    assert not rule.look("cool", frame(0, 1, 1_000, celsius=HOT_C - 1), 0)
    assert rule.look("hot", frame(0, 1, 1_000, celsius=HOT_C), 0)
    for minute in range(5):
        rising = rule.look("rising", frame(minute * 60_000, 1, 1_000, celsius=20.0 + minute * 1.05), 0)
        slow = rule.look("slow", frame(minute * 60_000, 1, 1_000, celsius=20.0 + minute * 0.9), 0)
        assert (rising, slow) == (minute > 0, False)
    assert rule.units(1) == {"hot", "rising"}
    assert Suspicion(rule.until_ms).units(STAYS_MS - 1) == {"hot", "rising"}
    assert rule.units(STAYS_MS) == frozenset()


def test_what_the_alert_engine_has_above_normal_is_suspicious_and_a_clock_that_is_set_does_not_end_it():
    rule = Suspicion()
    rule.raised(["watched"], 40_000)
    rule.move(1_790_000_000_000)
    assert rule.units(1_790_000_000_000 + STAYS_MS) == {"watched"}
    rule.raised([], 1_790_000_000_000)
    assert rule.units(1_790_000_040_000 + STAYS_MS) == frozenset()


def test_a_reboot_and_missing_values_are_no_rise():
    rule = Suspicion()
    rule.look("u1", frame(0, 1, 1_000, celsius=10.0), 0)
    assert not rule.look("u1", frame(120_000, 1, 1_000, celsius=40.0, boot_id="b2"), 0)
    assert not rule.look("u2", frame(0, 1, 1_000, celsius=float("nan")), 0)
    assert not rule.look("u2", frame(120_000, 1, 1_000, celsius=40.0), 0)


def test_a_clock_that_was_set_is_told_from_time_that_went_by():
    clock = WallClock()
    assert clock.look(1_000, 50) == 0
    assert clock.look(61_000, 60_050) == 0
    assert clock.look(61_500 + STEP_MS - 1, 60_550) == 0  # slewing
    assert clock.look(3_661_000, 60_551) > 3_590_000
    assert clock.look(3_662_000, 61_551) == 0
    assert clock.look(2_000, 61_552) < -3_650_000


def test_the_machine_says_what_it_knows_of_its_clock():
    assert not is_plausible(0)
    assert isinstance(is_synchronised(), bool)
    assert running_ms() > 0
