"""Sparkplug payloads and datatypes, against bytes written field by field."""

import numpy as np
import pytest

from telemetry.errors import WireError
from telemetry.sparkplug.payload import (
    MAX_METRICS,
    MAX_PAYLOAD_BYTES,
    DataType,
    Metric,
    Payload,
    decode_payload,
    encode_payload,
    resolve_metric,
)


def one(metric_hex):
    """Return a payload of one metric, whose bytes are given."""
    metric = bytes.fromhex(metric_hex)
    assert len(metric) < 128
    return bytes([0x12, len(metric)]) + metric


INTEGERS = [
    (DataType.INT8, "50ffffffff0f", -1, "sign-extended to the field, as the reference implementation sends it"),
    (DataType.INT8, "50ff01", -1, "in eight bits, as the word of the standard may be read"),
    (DataType.INT8, "508001", -128, "the lowest"),
    (DataType.INT8, "507f", 127, "the highest"),
    (DataType.INT16, "50ffff03", -1, "in sixteen bits"),
    (DataType.INT16, "5080feffff0f", -256, "sign-extended"),
    (DataType.INT32, "5080808080 08", -(2**31), "the lowest"),
    (DataType.INT32, "58ffffffffffffffffff01", -1, "in the long field, sign-extended to 64 bits"),
    (DataType.INT64, "58ffffffffffffffffff01", -1, "in 64 bits"),
    (DataType.INT64, "58ffffffffffffffff7f", 2**63 - 1, "the highest"),
    (DataType.UINT8, "50ff01", 255, "the highest"),
    (DataType.UINT16, "50ffff03", 65_535, "the highest"),
    (DataType.UINT32, "50ffffffff0f", 2**32 - 1, "the highest"),
    (DataType.UINT64, "58ffffffffffffffffff01", 2**64 - 1, "the highest"),
    (DataType.UINT64, "5007", 7, "in the int field"),
    (DataType.DATE_TIME, "58eaf2f5a8a02b", 1_486_144_502_122, "a time"),
]


@pytest.mark.parametrize(("datatype", "value_hex", "value", "why"), INTEGERS)
def test_integers_are_read(datatype, value_hex, value, why):
    (metric,) = decode_payload(one(f"20{int(datatype):02x}" + value_hex)).metrics
    assert metric.value == value, why
    (untyped,) = decode_payload(one("1005" + value_hex)).metrics
    assert resolve_metric(untyped, name="a", datatype=datatype).value == value, why


@pytest.mark.parametrize(
    ("metric_hex", "reason", "why"),
    [
        ("2001 508002", "value_range", "256 is no Int8"),
        ("2001 50fffeffff0f", "value_range", "-129 is no Int8"),
        ("2005 508002", "value_range", "256 is no UInt8"),
        ("2007 588080808010", "value_range", "2**32 is no UInt32"),
        ("2003 588080808010", "value_range", "2**32 is no Int32"),
        ("2003 65000080 3f", "datatype", "a float is no Int32"),
        ("2009 5001", "datatype", "an integer is no Float"),
        ("200b 5001", "datatype", "an integer is no Boolean"),
        ("200c 8201 0141", "datatype", "bytes are no String"),
        ("2011 7a0141", "datatype", "a text is no Bytes"),
        ("201e 7a0141", "datatype", "a text is no FloatArray"),
        ("201e 8201 03000000", "array_length", "three bytes are no float"),
        ("2022 8201 0400000000", "array_length", "four bytes are no time"),
        ("2020 8201 03010000", "array_length", "a count of booleans takes four bytes"),
        ("2020 8201 0409000000", "array_length", "nine booleans in no byte"),
        ("2020 8201 05ffffffff ff", "array_length", "four thousand million booleans in a byte"),
        ("2020 8201 060100000080 00", "array_length", "more bytes than booleans"),
        ("2021 8201 0141", "array_length", "a text without its end"),
        ("2021 8201 02ff00", "value_range", "a text that is no UTF-8"),
    ],
)
def test_values_that_their_datatype_does_not_allow_are_refused(metric_hex, reason, why):
    with pytest.raises(WireError) as caught:
        decode_payload(one(metric_hex))
    assert caught.value.reason == reason, why
    # The same by alias, once the birth's datatype is known.
    datatype = DataType(bytes.fromhex(metric_hex)[1])
    (untyped,) = decode_payload(one("1005" + metric_hex[4:])).metrics
    with pytest.raises(WireError) as caught:
        resolve_metric(untyped, name="a", datatype=datatype)
    assert caught.value.reason == reason, why


@pytest.mark.parametrize(
    ("payload_hex", "why"),
    [
        ("12", "a field without its length"),
        ("1205", "a metric without its bytes"),
        ("12ffffffffffffffff7f", "a metric of 8 EiB"),
        ("12028201", "bytes without their length"),
        ("0000", "field number 0"),
        ("08ffffffffffffffffffff01", "a varint of eleven bytes"),
        ("0f", "a wire type that does not exist"),
        ("12030a01ff", "a name that is no UTF-8"),
        ("12037a01ff", "a text that is no UTF-8"),
        ("0b" * 2_000, "groups in groups"),
        ("7b226f6e6c696e65223a747275657d", "JSON"),
    ],
)
def test_bytes_that_are_no_payload_are_refused(payload_hex, why):
    with pytest.raises(WireError) as caught:
        decode_payload(bytes.fromhex(payload_hex))
    assert caught.value.reason == "protobuf_malformed", why


def test_an_empty_payload_is_a_payload():
    payload = decode_payload(b"")
    assert (payload.timestamp_ms, payload.seq, payload.metrics) == (None, None, ())


def test_too_many_bytes_or_metrics_are_refused():
    for payload, reason in [
        (bytes(MAX_PAYLOAD_BYTES + 1), "payload_oversize"),
        (b"\x12\x00" * (MAX_METRICS + 1), "payload_metrics"),
        (b"\x12\x00" * (MAX_PAYLOAD_BYTES // 2), "payload_metrics"),
    ]:
        with pytest.raises(WireError) as caught:
            decode_payload(payload)
        assert caught.value.reason == reason
    assert len(decode_payload(b"\x12\x00" * MAX_METRICS).metrics) == MAX_METRICS


@pytest.mark.parametrize(
    ("metric_hex", "why"),
    [
        ("2010 8a01020801", "a data set"),
        ("2013 920102 1200", "a template"),
        ("2010 8a0103ffffff", "a data set of nonsense: nobody reads it"),
        ("2063 5001", "a datatype of a later standard"),
        ("2000 5001", "the unknown datatype"),
    ],
)
def test_what_nobody_here_reads_has_no_value(metric_hex, why):
    (metric,) = decode_payload(one(metric_hex)).metrics
    assert metric.value is None, why
    assert not metric.is_null


def test_properties_and_metadata_are_left_alone():
    (metric,) = decode_payload(one("4a040a024142 4202 0801 2009 65000080 3f")).metrics
    assert (metric.datatype, metric.value) == (DataType.FLOAT, 1.0)


def test_null_wins_over_a_value():
    (metric,) = decode_payload(one("2009 3801 65000080 3f")).metrics
    assert (metric.is_null, metric.value) == (True, None)


def test_the_last_of_two_values_holds():
    (metric,) = decode_payload(one("2009 65000080 3f 6500000040")).metrics
    assert metric.value == 2.0


def test_a_stated_datatype_holds_against_the_birth():
    (metric,) = decode_payload(one("1005 2007 5001")).metrics
    resolved = resolve_metric(metric, name="Channels/Temperature", datatype=DataType.FLOAT)
    assert (resolved.name, resolved.datatype, resolved.value) == ("Channels/Temperature", DataType.UINT32, 1)


def test_what_the_birth_did_not_tell_stays_raw():
    (metric,) = decode_payload(one("1005 5001")).metrics
    resolved = resolve_metric(metric, name="a", datatype=None)
    assert (resolved.name, resolved.datatype, resolved.value) == ("a", None, 1)


VALUES = [
    (DataType.INT8, -5),
    (DataType.INT16, -300),
    (DataType.INT32, -70_000),
    (DataType.INT64, -(2**62)),
    (DataType.UINT8, 200),
    (DataType.UINT16, 60_000),
    (DataType.UINT32, np.uint32(4_000_000_000)),
    (DataType.UINT64, 2**64 - 1),
    (DataType.FLOAT, np.float32(1.5)),
    (DataType.DOUBLE, 7),
    (DataType.BOOLEAN, True),
    (DataType.STRING, "Straße"),
    (DataType.DATE_TIME, 1_486_144_502_122),
    (DataType.TEXT, ""),
    (DataType.UUID, "0a1b"),
    (DataType.BYTES, b"\x00\xff"),
    (DataType.FILE, b""),
]


@pytest.mark.parametrize(("datatype", "value"), VALUES)
@pytest.mark.parametrize("with_datatypes", [True, False])
def test_scalars_survive_their_bytes(datatype, value, with_datatypes):
    sent = Metric(name="a", alias=7, datatype=datatype, value=value, timestamp_ms=5, is_historical=True)
    encoded = encode_payload(Payload(timestamp_ms=6, seq=255, metrics=(sent,)), with_datatypes=with_datatypes)
    payload = decode_payload(encoded)
    assert (payload.timestamp_ms, payload.seq) == (6, 255)
    (metric,) = payload.metrics
    assert metric.datatype is (datatype if with_datatypes else None)
    assert (metric.name, metric.alias, metric.timestamp_ms, metric.is_historical) == ("a", 7, 5, True)
    assert resolve_metric(metric, name="a", datatype=datatype).value == value


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        (DataType.BOOLEAN_ARRAY, []),
        (DataType.BOOLEAN_ARRAY, [True] * 8),
        (DataType.BOOLEAN_ARRAY, [False] * 9),
        (DataType.STRING_ARRAY, []),
        (DataType.STRING_ARRAY, [""]),
        (DataType.STRING_ARRAY, ["", "ü", ""]),
        (DataType.FLOAT_ARRAY, []),
        (DataType.UINT64_ARRAY, [0, 2**64 - 1]),
        (DataType.DATE_TIME_ARRAY, [-1, 2**53]),
    ],
)
def test_arrays_survive_their_bytes(datatype, value):
    encoded = encode_payload(Payload(metrics=(Metric(name="a", datatype=datatype, value=value),)))
    (metric,) = decode_payload(encoded).metrics
    assert list(metric.value) == value


@pytest.mark.parametrize(
    ("datatype", "value", "reason"),
    [
        (None, 5, "datatype"),
        (DataType.DATA_SET, 5, "datatype"),
        (DataType.INT8, 128, "value_range"),
        (DataType.UINT64, -1, "value_range"),
        (DataType.UINT32, 1.5, "datatype"),
        (DataType.UINT32, True, "datatype"),
        (DataType.FLOAT, "1", "datatype"),
        (DataType.FLOAT, True, "datatype"),
        (DataType.BOOLEAN, 1, "datatype"),
        (DataType.STRING, b"a", "datatype"),
        (DataType.BYTES, "a", "datatype"),
        (DataType.INT8_ARRAY, [128], "datatype"),
        (DataType.FLOAT_ARRAY, ["warm"], "datatype"),
        (DataType.BOOLEAN_ARRAY, [0, 1], "datatype"),
        (DataType.STRING_ARRAY, ["a\0b"], "value_range"),
        (DataType.STRING_ARRAY, [b"a"], "datatype"),
    ],
)
def test_a_value_that_its_datatype_cannot_carry_is_not_sent(datatype, value, reason):
    with pytest.raises(WireError) as caught:
        encode_payload(Payload(metrics=(Metric(name="a", datatype=datatype, value=value),)))
    assert caught.value.reason == reason


def test_a_float_beyond_32_bits_is_sent_as_infinity():
    encoded = encode_payload(Payload(metrics=(Metric(name="a", datatype=DataType.FLOAT, value=1e300),)))
    assert decode_payload(encoded).metrics[0].value == float("inf")
