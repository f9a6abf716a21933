"""The order in which evidence may look at a unit's batches: holes are waited for, history goes elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.ordering import HELD_AT_MOST, LATENESS_MS, Ordering
from telemetry.samples import Provenance

KEY = ("unit-1", Provenance.MEASURED)


@pytest.fixture
def frame(received, start_ms):
    """`frame(3)`: the fourth frame of two rows, 1 s apart; `at` = when it arrives, s."""

    def make(number, at=None, boot="1-a", **given):
        times = [2 * number, 2 * number + 1]
        arrives = start_ms + round(1000 * (2 * number + 2 if at is None else at))
        fields = {"boot_id": boot, "frame": number, "received_at_ms": arrives, **given}
        return received(times, [20.0 + number, 20.5 + number], **fields)

    return make


def seconds(ready, start_ms):
    return [(int(at_ms) - start_ms) / 1000 for each in ready for at_ms in each.batch.sampled_at_ms]


def test_frames_in_order_flow_straight_through(frame):
    ordering = Ordering()
    sent = [frame(number) for number in range(4)]
    assert [ordering.take(each) for each in sent] == [[each] for each in sent]
    assert len(ordering) == 0


def test_what_lies_behind_a_hole_waits_until_it_is_filled(frame, start_ms):
    ordering = Ordering()
    ordering.take(frame(0))
    assert ordering.take(frame(2, at=6)) == []
    assert ordering.take(frame(3, at=8)) == []
    assert ordering.due(start_ms + 9_000) == []
    assert seconds(ordering.take(frame(1, at=9)), start_ms) == [2, 3, 4, 5, 6, 7]
    assert (ordering.holes_given_up, len(ordering)) == (0, 0)


def test_a_hole_is_waited_for_no_longer_than_the_bound_and_then_is_history(frame, start_ms):
    ordering = Ordering()
    ordering.take(frame(0))
    ordering.take(frame(2, at=6))
    ordering.take(frame(4, at=10))
    assert ordering.due(start_ms + 6_000 + LATENESS_MS - 1) == []
    assert seconds(ordering.due(start_ms + 6_000 + LATENESS_MS), start_ms) == [4, 5]
    late = frame(1, at=12)
    assert ordering.is_history(late)
    assert not ordering.is_history(frame(3, at=12))
    assert seconds(ordering.take(frame(3, at=12)), start_ms) == [6, 7, 8, 9]
    assert ordering.holes_given_up == 1


def test_what_waits_is_bounded(frame):
    ordering = Ordering()
    ordering.take(frame(0))
    ready = [each for number in range(2, HELD_AT_MOST + 3) for each in ordering.take(frame(number, at=1))]
    assert [each.batch.frame for each in ready] == list(range(2, HELD_AT_MOST + 3))


def test_a_new_boot_waits_for_nothing_of_the_old_one(frame, start_ms):
    ordering = Ordering()
    ordering.take(frame(0))
    ordering.take(frame(2, at=6))
    begun = frame(5, boot="2-b")
    assert seconds(ordering.take(begun), start_ms) == [4, 5, 10, 11]
    assert ordering.is_history(frame(1, at=20))


def test_what_a_unit_sends_late_first_is_history_and_what_follows_on_is_not(frame):
    ordering = Ordering()
    assert ordering.is_history(frame(0, at=100, historical=True))
    assert not ordering.is_history(frame(0, at=3, historical=True))
    assert not ordering.is_history(frame(0, at=100))
    ordering.take(frame(0))
    assert not ordering.is_history(frame(1, at=100, historical=True))


def test_what_was_judged_before_a_restart_is_history(frame, start_ms):
    ordering = Ordering()
    ordering.begin_at(KEY, start_ms + 5_000)
    assert ordering.is_history(frame(2))
    assert not ordering.is_history(frame(3))
    assert seconds(ordering.take(frame(3)), start_ms) == [6, 7]


def test_rows_at_or_before_what_was_judged_are_cut_off(frame, received, start_ms):
    """A gateway that set a unit's clock back."""
    ordering = Ordering()
    ordering.take(frame(0))
    back = received([0.5, 1, 1.5], [1, 2, 3], boot_id="1-a", frame=1, ambient_c=np.array([1.0, 2.0, 3.0]))
    (through,) = ordering.take(back)
    assert through.batch.temperatures_c.tolist() == [[3.0]]
    assert through.batch.ambient_c.tolist() == [3.0]


def test_units_do_not_wait_for_each_other(frame):
    ordering = Ordering()
    ordering.take(frame(0))
    ordering.take(frame(2))
    other = frame(0, unit_id="unit-2")
    assert ordering.take(other) == [other]
    replayed = frame(0, provenance=Provenance.REPLAYED)
    assert ordering.take(replayed) == [replayed]


def test_a_series_that_ends_leaves_what_waited(frame, start_ms):
    ordering = Ordering()
    ordering.take(frame(0))
    ordering.take(frame(3))
    ordering.take(frame(2))
    assert seconds(ordering.forget(KEY), start_ms) == [4, 5, 6, 7]
    assert ordering.due(start_ms + 10**6) == []
    assert ordering.forget(KEY) == []


def test_a_node_without_numbers_is_ordered_by_time_within_the_bound(received, start_ms):
    ordering = Ordering()

    def row(at, arrives):
        return received([at], [at], received_at_ms=start_ms + round(arrives * 1000))

    assert ordering.take(row(1, 1)) == []
    assert ordering.take(row(3, 3)) == []
    assert ordering.take(row(2, 4)) == []
    assert seconds(ordering.take(row(7, 7)), start_ms) == [1, 2]
    assert seconds(ordering.due(start_ms + 8_000), start_ms) == [3]
    assert ordering.is_history(row(2.5, 9))
    assert seconds(ordering.due(start_ms + 12_000), start_ms) == [7]


def test_channels_that_come_one_by_one_with_the_same_time_become_one_row(received, start_ms):
    ordering = Ordering()
    nan = np.nan
    quality = np.array([2], np.uint32)
    ordering.take(received([1], [[21.0, nan]], ambient_c=np.array([5.0])))
    ordering.take(received([1], [[nan, 22.0]], quality=quality))
    (merged,) = ordering.due(start_ms + 1_000 + LATENESS_MS)
    assert merged.batch.temperatures_c.tolist() == [[21.0, 22.0]]
    assert merged.batch.ambient_c.tolist() == [5.0]
    assert merged.batch.quality.tolist() == [2]


@settings(max_examples=200, deadline=None)
@given(data=st.data(), numbered=st.booleans())
def test_out_of_order_within_the_bound_changes_nothing(received, start_ms, data, numbered):
    count = data.draw(st.integers(1, 30))
    delays_s = [0.0, *data.draw(st.lists(st.floats(0, 4.9), min_size=count - 1, max_size=count - 1))]
    arrivals = sorted((number + delay_s, number) for number, delay_s in enumerate(delays_s))
    ordering, ready = Ordering(), []
    for at_s, number in arrivals:
        ready += ordering.due(start_ms + round(at_s * 1000))
        numbers = {"boot_id": "1-a", "frame": number} if numbered else {}
        batch = received([number], [number], received_at_ms=start_ms + round(at_s * 1000), **numbers)
        assert not ordering.is_history(batch)
        ready += ordering.take(batch)
    ready += ordering.due(start_ms + 10**6)
    assert seconds(ready, start_ms) == list(range(count))
