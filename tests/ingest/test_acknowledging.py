"""Which gateway is told what, and how often: pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.acknowledging import Acknowledger
from ingest.stores.contract import OutboxRange
from telemetry.sparkplug.acknowledgement import Acknowledgement

T = 1_000_000


def record(first: int, last: int, outbox_id: str = "box-1", gateway_id: str = "gateway-1") -> OutboxRange:
    return OutboxRange("fleet-1", gateway_id, outbox_id, first, last)


def told(acknowledger: Acknowledger, at_ms: int) -> list[tuple[str, Acknowledgement]]:
    return [(due.gateway_id, due.acknowledgement) for due in acknowledger.due(at_ms, lambda _: True)]


def ack(floor: int, *ranges: tuple[int, int], outbox_id: str = "box-1") -> Acknowledgement:
    return Acknowledgement(outbox_id=outbox_id, floor=floor, ranges=ranges)


@pytest.mark.parametrize(
    ("settled", "expected"),
    [
        ([record(1, 3)], ack(3)),
        ([record(2, 3)], ack(0, (2, 3))),
        ([record(1, 1), record(3, 3), record(9, 12)], ack(1, (3, 3), (9, 12))),
        ([record(5, 5), record(1, 4)], ack(5)),
    ],
)
def test_floor_and_ranges(settled: list[OutboxRange], expected: Acknowledgement) -> None:
    acknowledger = Acknowledger()
    acknowledger.settled(settled)
    assert told(acknowledger, T) == [("gateway-1", expected)]
    assert told(acknowledger, T + 5_000) == [], "said once, until there is something to say"


def test_a_gateway_hears_at_most_once_a_second_and_then_all_of_it() -> None:
    acknowledger = Acknowledger()
    acknowledger.settled([record(1, 1)])
    assert told(acknowledger, T) == [("gateway-1", ack(1))]
    acknowledger.settled([record(2, 2), record(1, 1, gateway_id="gateway-2")])
    assert told(acknowledger, T + 999) == [("gateway-2", ack(1))]
    acknowledger.settled([record(3, 3)])
    assert told(acknowledger, T + 1_000) == [("gateway-1", ack(3))]


def test_a_duplicate_is_an_occasion_to_say_it_again() -> None:
    acknowledger = Acknowledger()
    acknowledger.settled([record(1, 5)])
    told(acknowledger, T)
    acknowledger.settled([record(2, 2)])
    assert told(acknowledger, T + 2_000) == [("gateway-1", ack(5))]


def test_a_birth_is_answered_at_once_from_what_the_store_knew() -> None:
    acknowledger = Acknowledger()
    acknowledger.load([record(1, 7), record(9, 9)])
    assert told(acknowledger, T) == [], "nobody has asked"
    acknowledger.settled([record(10, 10)])
    assert told(acknowledger, T + 10) == [("gateway-1", ack(7, (9, 10)))]
    acknowledger.born("fleet-1", "gateway-1", "box-1")
    assert told(acknowledger, T + 20) == [("gateway-1", ack(7, (9, 10)))]
    acknowledger.born("fleet-1", "gateway-3", "box-3")
    assert told(acknowledger, T + 30) == [("gateway-3", ack(0, outbox_id="box-3"))]


def test_outboxes_of_one_gateway_are_kept_apart_and_take_turns() -> None:
    acknowledger = Acknowledger()
    acknowledger.settled([record(1, 7), record(1, 2, "box-2")])
    assert told(acknowledger, T) == [("gateway-1", ack(7))]
    assert told(acknowledger, T + 1_000) == [("gateway-1", ack(2, outbox_id="box-2"))]


def test_who_may_not_write_says_nothing_and_does_not_save_it_up() -> None:
    acknowledger = Acknowledger()
    acknowledger.settled([record(1, 7)])
    assert acknowledger.due(T, lambda _: False) == []
    assert told(acknowledger, T + 1) == []


@given(st.sets(st.integers(1, 400)))
def test_it_never_names_what_is_not_settled_and_at_most_64_ranges(numbers: set[int]) -> None:
    acknowledger = Acknowledger()
    acknowledger.settled([record(number, number) for number in numbers])
    for _, said in told(acknowledger, T):
        assert len(said.ranges) <= 64
        ranges = [(1, said.floor), *said.ranges]
        named = {number for first, last in ranges for number in range(first, last + 1)}
        assert named <= numbers
        assert named == numbers or len(said.ranges) == 64


@given(st.sets(st.integers(1, 30)), st.integers(1, 30), st.integers(0, 5))
def test_a_range_is_settled_when_each_of_it_is(numbers: set[int], first: int, more: int) -> None:
    acknowledger = Acknowledger()
    acknowledger.load([record(number, number) for number in numbers])
    expected = all(number in numbers for number in range(first, first + more + 1))
    assert acknowledger.is_settled(record(first, first + more)) == expected
