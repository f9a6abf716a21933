"""The outbox in memory: order, bounds, settlement, and what a lost connection gives back."""

import numpy as np
import pytest

from gateway.outbox import WINDOW_RECORDS, FrameRecord, MemoryOutbox, OutboxFullError, PositionRecord
from telemetry.samples import PositionFix, Provenance, SampleBatch


def position(at_ms: int = 0) -> PositionRecord:
    fix = PositionFix(fleet_id="f", gateway_id="g", fixed_at_ms=at_ms, latitude_deg=1.0, longitude_deg=2.0)
    return PositionRecord(fix=fix, accepted_at_ms=at_ms)


def frame(rows: int) -> FrameRecord:
    batch = SampleBatch(
        unit_id="u",
        boot_id="b",
        frame=1,
        provenance=Provenance.MEASURED,
        sampled_at_ms=np.arange(rows, dtype=np.int64),
        time_uncertainty_s=0.1,
        temperatures_c=np.zeros((rows, 8), np.float32),
        voltages_v=np.zeros((rows, 0), np.float32),
    )
    return FrameRecord(batch=batch, accepted_at_ms=0)


def outbox(records: int = 0, max_bytes: int = 10_000_000) -> MemoryOutbox:
    box = MemoryOutbox(outbox_id="box", max_bytes=max_bytes)
    for at_ms in range(records):
        box.accept(position(at_ms))
    return box


def sequences(entries) -> list[int]:
    return [entry.sequence for entry in entries]


def test_records_leave_in_the_order_in_which_they_came_numbered_from_1():
    box = outbox(5)
    assert sequences(box.take(3)) == [1, 2, 3]
    assert sequences(box.take(9)) == [4, 5]
    assert box.take(9) == ()


def test_a_full_outbox_refuses_and_changes_nothing():
    box = MemoryOutbox(outbox_id="box", max_bytes=6_000)
    assert box.accept(frame(10)) == 1
    with pytest.raises(OutboxFullError, match="1 records wait"):
        box.accept(frame(500))
    assert len(box) == 1
    assert 0.4 < box.fill() < 0.6
    box.take(1)
    assert box.fill() == 0
    assert box.accept(position()) == 2


def test_what_is_settled_is_not_sent_again():
    box = outbox(6)
    box.take(6)
    box.settle(2, [(4, 5)])
    assert box.stored() == (2, ((4, 5),))
    assert box.rewind() == 2
    again = box.take(9)
    assert sequences(again) == [3, 6]
    assert all(entry.sent_before for entry in again)


def test_a_settlement_that_arrives_after_the_rewind_counts_as_well():
    box = outbox(3)
    box.take(3)
    box.rewind()
    box.settle(0, [(1, 2)])
    assert box.stored() == (2, ())
    assert sequences(box.take(9)) == [3]


def test_a_floor_never_falls():
    box = outbox(5)
    box.take(5)
    box.settle(4)
    box.settle(1)
    assert box.stored() == (4, ())


@pytest.mark.parametrize(("floor", "ranges"), [(4, []), (0, [(2, 4)]), (0, [(3, 2)])])
def test_an_acknowledgement_that_cannot_be_about_this_outbox_changes_nothing(floor, ranges):
    box = outbox(6)
    box.take(3)
    with pytest.raises(ValueError, match=r"never published|ends before"):
        box.settle(floor, ranges)
    assert box.stored() == (0, ())
    assert box.rewind() == 3


def test_a_host_that_never_acknowledges_does_not_stop_the_flow():
    box = outbox(WINDOW_RECORDS + 10)
    while box.take(100):
        pass
    assert box.forgotten == 10
    assert box.rewind() == WINDOW_RECORDS
    assert sequences(box.take(1)) == [11]


def test_new_records_follow_those_that_are_sent_again():
    box = outbox(2)
    box.take(2)
    box.accept(position(9))
    box.rewind()
    assert sequences(box.take(9)) == [1, 2, 3]
