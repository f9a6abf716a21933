"""Which records go out next: live first, the backlog within its share, and again what nobody settled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import window as window_module
from gateway.ranges import RangeSet
from gateway.records import OutboxEntry, PositionRecord
from gateway.window import HOLD_S, LATE_S, LIVE_RECORDS, PLAIN_AFTER_S, REBIRTH_EVERY_S, RESEND_S, HostKind, SendWindow
from telemetry.samples import PositionFix

FIX = PositionFix(fleet_id="f", gateway_id="g", fixed_at_ms=0, latitude_deg=0.0, longitude_deg=0.0)


def entry(sequence: int | None, *, size: int = 100, historical: bool = False) -> OutboxEntry:
    record = PositionRecord(fix=FIX, accepted_at_ms=0)
    return OutboxEntry(sequence=sequence, record=record, size_bytes=size, historical=historical)


class Outbox:
    """What the window sees of an outbox of this many records."""

    def __init__(self, count: int = 0, *, acknowledged: bool = True, **limits) -> None:
        self.records = list(range(1, count + 1))
        self.settled: set[int] = set()
        self.window = SendWindow(acknowledged=acknowledged, is_settled=self.settled.__contains__, **limits)
        self.window.connected(0.0)

    def live(self, count: int, now_s: float, **kwargs) -> None:
        new = list(range(len(self.records) + 1, len(self.records) + count + 1))
        self.records += new
        self.window.offer([entry(number, **kwargs) for number in new], now_s)

    def fetch(self, now_s: float) -> None:
        """What the uplink does between two turns."""
        window = self.window
        while wanted := window.wanted(now_s):
            if numbers := window.due_again(wanted):
                window.fetched(numbers, [entry(n, historical=True) for n in numbers if n not in self.settled])
            elif (cursor := window.cursor) is not None:
                found = [number for number in self.records if number > cursor and number not in self.settled][:wanted]
                following = found[-1] if len(found) == wanted else None
                window.read([entry(number, historical=True) for number in found], following, cursor)
            else:
                break

    def sent(self, now_s: float) -> list[int]:
        """All that leaves at this moment."""
        numbers = []
        while True:
            self.window.expire(now_s)
            self.fetch(now_s)
            turn = self.window.take(64, now_s)
            if not turn:
                return numbers
            numbers += [one.sequence for one in turn]

    def settle(self, numbers, now_s: float) -> None:
        self.settled.update(numbers)
        self.window.settled(now_s)


def test_live_records_leave_at_once_and_in_order():
    box = Outbox()
    box.live(5, 0.0)
    assert box.sent(0.0) == [1, 2, 3, 4, 5]


def test_of_live_records_that_have_to_wait_the_newest_leave_first():
    box = Outbox()
    box.live(100, 0.0)
    first = [one.sequence for one in box.window.take(64, window_module.PROMPT_S + 1)]
    assert first == list(range(37, 101))


def test_the_backlog_waits_for_the_answer_to_a_birth_and_has_half_of_the_window():
    box = Outbox(1_000, records=256)
    assert box.sent(0.0) == []
    assert box.sent(HOLD_S) == list(range(1, 129))
    box.live(3, HOLD_S)
    assert box.sent(HOLD_S) == [1001, 1002, 1003]
    box.settle(range(1, 65), HOLD_S)
    assert box.sent(HOLD_S) == list(range(129, 193))


def test_an_answer_lets_the_backlog_go_at_once_without_what_it_settles():
    box = Outbox(10)
    box.settle(range(1, 9), 0.1)
    assert box.sent(0.1) == [9, 10]


def test_the_backlogs_share_counts_in_bytes_too():
    box = Outbox(size_bytes=1_000)
    box.live(40, 0.0, size=100)
    box.window.expire(LATE_S + 1)  # all of them grew old: backlog
    assert len(box.sent(LATE_S + 1)) == 5


def test_live_data_flow_though_nobody_settles_anything():
    box = Outbox(records=256)
    sent = 0
    for second in range(20):
        box.live(50, float(second))
        sent += len(box.sent(float(second)))
    assert sent == 1_000
    records, size_bytes = box.window.in_flight
    assert records <= 256
    assert size_bytes <= window_module.WINDOW_BYTES
    assert box.window.overtaken == 1_000 - 256


def test_a_large_live_record_makes_as_many_small_ones_leave_as_it_takes():
    box = Outbox(records=100, size_bytes=1_000)
    box.live(10, 0.0, size=100)
    box.sent(0.0)
    box.live(1, 0.0, size=900)
    box.sent(0.0)
    assert box.window.in_flight == (2, 1_000)
    assert box.window.overtaken == 9


def test_what_is_unsettled_is_sent_again_after_30_60_120_240_300_300_seconds():
    box = Outbox()
    box.live(2, 0.0)
    assert box.sent(0.0) == [1, 2]
    box.settle([2], 1.0)
    again, now_s = [], 0.0
    while len(again) < 6:
        now_s += 1
        if box.sent(now_s):
            again.append(now_s)
    assert list(np.diff([0.0, *again])) == [30, 60, 120, 240, 300, 300]
    assert box.window.resent == 6


def test_how_soon_is_a_setting():
    box = Outbox(resend_s=2.0)
    box.live(1, 0.0)
    assert [now_s for now_s in range(15) if box.sent(float(now_s))] == [0, 2, 6, 14]


def test_what_was_sent_by_a_connection_that_ended_is_sent_again_by_the_next():
    box = Outbox()
    box.live(3, 0.0)
    box.sent(0.0)
    box.window.connected(1.0)
    box.settle([2], 1.5)
    assert box.sent(1.5) == [1, 3]
    assert box.window.resent == 2


def test_after_a_commanded_rebirth_what_the_host_does_not_name_is_sent_again_once():
    box = Outbox(10)
    assert box.sent(HOLD_S) == list(range(1, 11))
    box.live(2, 9.0)
    assert box.sent(9.0) == [11, 12]
    box.window.reborn(10.0)
    assert box.sent(10.0) == []  # the host's answer to the birth is waited for
    box.settled.update(range(1, 9))
    box.window.answered(10.2)
    assert box.sent(10.2) == [9, 10, 11, 12]
    box.window.reborn(10.4)  # a host that commands a rebirth with each message that it misses
    assert box.sent(10.4 + HOLD_S) == []
    box.window.reborn(10.0 + REBIRTH_EVERY_S)
    assert box.sent(10.0 + REBIRTH_EVERY_S + HOLD_S) == [9, 10, 11, 12]


def test_what_is_sent_again_after_a_rebirth_keeps_to_the_window():
    box = Outbox(1_000, records=256)
    assert len(box.sent(HOLD_S)) == 128
    box.window.reborn(10.0)
    assert box.sent(10.0 + HOLD_S) == list(range(1, 129))


def test_live_records_that_grow_old_or_are_too_many_join_the_backlog():
    box = Outbox()
    box.live(LIVE_RECORDS + 10, HOLD_S)
    assert sorted(box.sent(HOLD_S)) == list(range(1, LIVE_RECORDS + 11))
    box.live(5, 10.0)
    box.window.expire(10.0 + LATE_S + 1)
    box.fetch(10.0 + LATE_S + 1)
    assert all(one.historical for one in box.window.take(9, 10.0 + LATE_S + 1))


def test_a_record_whose_time_is_fixed_late_is_met_again():
    box = Outbox(5)
    box.records.remove(2)
    assert box.sent(HOLD_S) == [1, 3, 4, 5]
    box.records.insert(1, 2)
    box.window.met_again(2)
    assert box.sent(HOLD_S) == [2]


def test_a_host_that_never_answers_is_plain_and_gets_everything_once():
    box = Outbox(1_000, acknowledged=False, records=256)
    sent = box.sent(HOLD_S)
    assert len(sent) == 128
    assert box.window.judge_host(HOLD_S + PLAIN_AFTER_S) is None, "it had no birth to answer"
    box.window.born(0.0)
    box.window.born(HOLD_S)
    assert box.window.judge_host(PLAIN_AFTER_S - 0.1) is None
    done = box.window.judge_host(PLAIN_AFTER_S)
    assert (sorted(done), box.window.kind) == (sent, HostKind.PLAIN)
    assert box.sent(HOLD_S + PLAIN_AFTER_S) == list(range(129, 1001))
    assert box.sent(10_000.0) == []
    box.settle([1], 10_001.0)  # it acknowledges after all: what is unsettled is due
    assert box.window.kind is HostKind.ACKNOWLEDGING
    assert box.sent(10_001.0) == list(range(2, 130))


def test_a_record_that_the_outbox_could_not_keep_is_sent_and_forgotten():
    box = Outbox()
    box.window.offer([entry(None)], 0.0)
    assert box.sent(0.0) == [None]
    assert box.window.in_flight == (0, 0)
    assert box.sent(1_000.0) == []


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("live"), st.integers(1, 300)),
            st.tuples(st.just("wait"), st.integers(1, 400)),
            st.tuples(st.just("settle"), st.floats(0, 1)),
            st.tuples(st.just("cut"), st.just(0)),
        ),
        max_size=30,
    ),
    st.integers(0, 500),
)
def test_whatever_happens_the_window_holds_and_in_the_end_all_is_settled(events, backlog):
    box, now_s, flight = Outbox(backlog, records=256), 0.0, []
    for what, amount in events:
        if what == "live":
            box.live(amount, now_s)
        elif what == "wait":
            now_s += amount
        elif what == "settle":
            box.settle(flight[: round(len(flight) * amount)], now_s)
        else:
            box.window.connected(now_s)
        flight += box.sent(now_s)
        records, size_bytes = box.window.in_flight
        assert 0 <= records <= 256
        assert 0 <= size_bytes <= window_module.WINDOW_BYTES
    for _ in range(200):
        now_s += RESEND_S * 2
        box.settle(box.sent(now_s), now_s)
    assert box.settled == set(box.records)


@pytest.mark.parametrize("kept", [RangeSet(9)])
def test_a_range_set_tells_whole_ranges(kept):
    kept.add(3, 6)
    assert kept.covers(3, 6)
    assert kept.covers(4, 5)
    assert not kept.covers(2, 4)
    assert not kept.covers(5, 7)
