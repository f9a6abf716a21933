"""What a host stored of an outbox, and what an outbox gave up: bytes by hand, round trips, and refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.errors import WireError
from telemetry.sparkplug.acknowledgement import (
    OUTBOX_DATATYPES,
    STORED_RANGES_LIMIT,
    Acknowledgement,
    DropRecord,
    Replaced,
    acknowledgement_from_metrics,
    acknowledgement_metrics,
    drop_from_metrics,
    drop_metrics,
)
from telemetry.sparkplug.payload import DataType, Metric, Payload, decode_payload, encode_payload

T0_MS = 1_486_144_502_122
ACK = Acknowledgement(outbox_id="k3", floor=300, ranges=((302, 303), (400, 400)))
DETAIL = Replaced(
    unit_id="u1",
    boot_id="b1",
    first_frame=3,
    last_frame=7,
    kept="none",
    kept_period_ms=None,
    samples_lost=5,
    from_ms=1,
    to_ms=9,
    why="full",
)
DROP = DropRecord(sequence=9, ranges=((3, 7),), details=(DETAIL,))


def sent(metrics, seq=None, *, with_datatypes=False) -> bytes:
    return encode_payload(Payload(timestamp_ms=T0_MS, seq=seq, metrics=metrics), with_datatypes=with_datatypes)


def test_bytes_are_those_derived_by_hand(golden):
    assert sent(acknowledgement_metrics(ACK, timestamp_ms=T0_MS)).hex() == golden["ncmd_acknowledgement"].hex()
    assert sent(drop_metrics(DROP, timestamp_ms=T0_MS), 3).hex() == golden["ndata_drop"].hex()


def test_bytes_derived_by_hand_are_read(golden):
    assert acknowledgement_from_metrics(decode_payload(golden["ncmd_acknowledgement"]).metrics) == ACK
    assert drop_from_metrics(decode_payload(golden["ndata_drop"]).metrics) == DROP


NUMBERS = st.integers(0, 2**53 - 1)
RANGES = st.lists(st.tuples(NUMBERS, NUMBERS).map(sorted).map(tuple), max_size=STORED_RANGES_LIMIT).map(tuple)


@given(NUMBERS, RANGES, st.booleans())
def test_what_is_told_is_what_is_read(floor, ranges, with_datatypes):
    ack = Acknowledgement(outbox_id="box-1", floor=floor, ranges=ranges)
    payload = decode_payload(sent(acknowledgement_metrics(ack), with_datatypes=with_datatypes))
    assert acknowledgement_from_metrics(payload.metrics) == ack
    drop = DropRecord(sequence=floor, ranges=ranges, details=(DETAIL,))
    payload = decode_payload(sent(drop_metrics(drop, historical=True), with_datatypes=with_datatypes))
    assert drop_from_metrics(payload.metrics) == drop
    assert all(metric.is_historical for metric in payload.metrics)


def test_of_too_many_ranges_the_lowest_are_told():
    ranges = tuple((2 * number, 2 * number) for number in range(STORED_RANGES_LIMIT + 9))
    ack = Acknowledgement(outbox_id="k3", floor=0, ranges=ranges)
    assert acknowledgement_from_metrics(acknowledgement_metrics(ack)).ranges == ranges[:STORED_RANGES_LIMIT]


def metric(name, value, datatype=None) -> Metric:
    return Metric(name=name, datatype=datatype or OUTBOX_DATATYPES[name], value=value)


def test_an_id_alone_says_that_nothing_is_stored():
    metrics = [metric("Outbox/Id", "k3"), Metric(name="Node Control/Rebirth", datatype=DataType.BOOLEAN, value=True)]
    assert acknowledgement_from_metrics(metrics) == Acknowledgement(outbox_id="k3", floor=0)


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ([], "metric_missing"),
        ([metric("Outbox/Id", "k3"), metric("Outbox/Id", "k3")], "metric_twice"),
        ([metric("Outbox/Id", "a b")], "value_range"),
        ([metric("Outbox/Id", 5, DataType.UINT64)], "datatype"),
        ([metric("Outbox/Id", "k3"), metric("Outbox/Stored", 2**53)], "value_range"),
        ([metric("Outbox/Id", "k3"), metric("Outbox/StoredRanges", np.uint64([7]))], "array_length"),
        ([metric("Outbox/Id", "k3"), metric("Outbox/StoredRanges", np.uint64([7, 6]))], "value_range"),
        ([metric("Outbox/Id", "k3"), metric("Outbox/StoredRanges", np.arange(130, dtype=np.uint64))], "array_length"),
    ],
)
def test_what_is_no_acknowledgement_is_refused(metrics, reason):
    with pytest.raises(WireError) as refused:
        acknowledgement_from_metrics(metrics)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ([metric("Outbox/Sequence", 1)], "metric_missing"),
        ([metric("Outbox/Replaced", np.uint64([1, 2]))], "metric_missing"),
        *(
            (
                [
                    metric("Outbox/Sequence", 1),
                    metric("Outbox/Replaced", np.uint64([])),
                    metric("Outbox/ReplacedDetail", text),
                ],
                "drop_detail",
            )
            for text in ("{", "{}", "[{}]", '[{"unit_id": 1}]')
        ),
    ],
)
def test_what_is_no_drop_record_is_refused(metrics, reason):
    with pytest.raises(WireError) as refused:
        drop_from_metrics(metrics)
    assert refused.value.reason == reason


def test_a_drop_record_has_a_size():
    with pytest.raises(WireError, match="more than"):
        drop_metrics(DropRecord(sequence=1, ranges=((1, 1),) * 4097, details=()))
    with pytest.raises(WireError, match="more than"):
        drop_metrics(DropRecord(sequence=1, ranges=(), details=(DETAIL,) * 513))
