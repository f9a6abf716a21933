"""Frames: quantisation, limits, and what hostile bytes come to."""

import tracemalloc

import cbor2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from telemetry.errors import WireError
from telemetry.frames import Frame, batch_from_frame, decode_frame, encode_frame, frame_from_values
from telemetry.limits import MAX_ROWS
from telemetry.samples import SINGLE_CHANNELS, Provenance, Quality

NAN = float("nan")
INFINITY = float("inf")
HALF_STEP = {
    "ambient_c": 0.025,
    "humidity_pct": 0.005,
    "hydrogen_ppm": 0.5,
    "carbon_monoxide_ppm": 0.5,
    "voc_ppm": 0.05,
    "shock_g": 0.005,
}
ARRAY_FIELDS = (
    "temperatures_raw",
    "voltages_mv",
    "pack_voltage_dv",
    "ambient_raw",
    "humidity_raw",
    "hydrogen_raw",
    "carbon_monoxide_raw",
    "voc_raw",
    "shock_raw",
)


def frame(**changes):
    values = {
        "boot_id": "17-a3f9",
        "number": 3,
        "tick_ms": 1_000,
        "period_ms": 10_000,
        "provenance": Provenance.MEASURED,
        "temperatures_c": [[20.0, 21.0], [20.5, 21.5]],
    }
    return frame_from_values(**(values | changes))


def batch(source: Frame):
    return batch_from_frame(source, unit_id="unit-1", utc_at_tick_zero_ms=1_700_000_000_000, time_uncertainty_s=0.1)


@pytest.mark.parametrize(
    ("celsius", "raw", "back", "why"),
    [
        (24.719, 494, 24.7, "the nearest step"),
        (24.726, 495, 24.75, "the nearest step, upwards"),
        (1078.816, 21_576, 1078.8, "a burning cell fits"),
        (1638.35, 32_767, 1638.35, "the last step"),
        (5_000.0, 32_767, 1638.35, "hotter than the wire can tell stays hot"),
        (INFINITY, 32_767, 1638.35, "an infinity stays hot"),
        (1e308, 32_767, 1638.35, "the scaling does not overflow"),
        (-5_000.0, -32_767, -1638.35, "colder than the wire can tell is not 'not measured'"),
        (-INFINITY, -32_767, -1638.35, "nor is minus infinity"),
        (NAN, -32_768, NAN, "not measured"),
    ],
)
def test_temperatures_are_quantised(celsius, raw, back, why):
    made = frame(temperatures_c=[[celsius]])
    assert made.temperatures_raw.tolist() == [[raw]], why
    np.testing.assert_array_equal(batch(made).temperatures_c, np.float32([[back]]))


@pytest.mark.parametrize(
    ("volts", "millivolts", "why"),
    [
        (3.6996, 3_700, "the nearest step"),
        (-0.5, 0, "a reversed sense wire reads 0 V, which ingest flags"),
        (100.0, 65_534, "more than the wire can tell is not 'not measured'"),
        (NAN, 65_535, "not measured"),
    ],
)
def test_voltages_are_quantised(volts, millivolts, why):
    assert frame(voltages_v=[[volts], [3.7]]).voltages_mv[0].tolist() == [millivolts], why


def test_the_pack_voltage_is_the_last_voltage_column():
    both = batch(frame(voltages_v=[[3.7], [3.6]], pack_voltage_v=[399.64, NAN]))
    np.testing.assert_array_equal(both.voltages_v, np.float32([[3.7, 399.6], [3.6, NAN]]))
    alone = batch(frame(pack_voltage_v=[399.64, 0.0]))
    np.testing.assert_array_equal(alone.voltages_v, np.float32([[399.6], [0.0]]))


def test_a_batch_has_the_ticks_in_utc_and_the_given_quality():
    made = batch_from_frame(
        frame(),
        unit_id="unit-1",
        utc_at_tick_zero_ms=1_700_000_000_000,
        time_uncertainty_s=2.5,
        quality=Quality.TIME_BRACKETED,
    )
    assert made.sampled_at_ms.tolist() == [1_700_000_001_000, 1_700_000_011_000]
    assert made.quality.tolist() == [Quality.TIME_BRACKETED] * 2
    assert (made.unit_id, made.boot_id, made.frame, made.time_uncertainty_s) == ("unit-1", "17-a3f9", 3, 2.5)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"boot_id": "no/slash"}, "field_range"),
        ({"number": -1}, "field_range"),
        ({"number": 2**53}, "field_range"),
        ({"tick_ms": -1}, "field_range"),
        ({"period_ms": 0}, "field_range"),
        ({"period_ms": 86_400_001}, "field_range"),
        ({"lost_frames": -1}, "field_range"),
        ({"utc_at_tick_zero_ms": 2**53}, "field_range"),
        ({"temperatures_c": np.zeros((0, 2))}, "frame_shape"),
        ({"temperatures_c": np.zeros((2, 0))}, "frame_shape"),
        ({"temperatures_c": np.zeros((2, 513))}, "frame_shape"),
        ({"temperatures_c": np.zeros((MAX_ROWS + 1, 1))}, "frame_shape"),
        ({"temperatures_c": np.zeros(2)}, "frame_shape"),
        ({"voltages_v": np.zeros((2, 513))}, "frame_shape"),
        ({"voltages_v": np.zeros((3, 1))}, "frame_shape"),
        ({"voltages_v": np.zeros((2, 512)), "pack_voltage_v": np.zeros(2)}, "frame_shape"),
        ({"ambient_c": np.zeros(3)}, "frame_shape"),
        ({"ambient_c": np.zeros((2, 1))}, "frame_shape"),
        ({"temperatures_c": np.zeros((1_000, 100))}, "frame_oversize"),
    ],
)
def test_what_the_wire_cannot_carry_is_refused(changes, reason):
    with pytest.raises(WireError) as caught:
        frame(**changes)
    assert caught.value.reason == reason


def test_a_frame_of_the_limits_travels():
    made = frame(temperatures_c=np.zeros((MAX_ROWS, 10)), period_ms=86_400_000, number=2**53 - 1)
    assert len(decode_frame(encode_frame(made))) == MAX_ROWS
    wide = frame(temperatures_c=np.zeros((60, 512)), voltages_v=np.zeros((60, 512)))
    assert batch(decode_frame(encode_frame(wide))).voltages_v.shape == (60, 512)


def test_arrays_are_read_only():
    made = decode_frame(encode_frame(frame(ambient_c=[1.0, 2.0])))
    assert not made.temperatures_raw.flags.writeable
    assert not made.ambient_raw.flags.writeable
    assert not frame().temperatures_raw.flags.writeable


singles = st.floats(-5, 4_000, width=32) | st.just(NAN)


@st.composite
def any_frame(draw):
    n = draw(st.integers(1, 12))
    temperatures = st.floats(-1_600, 1_600, width=32) | st.just(NAN)
    voltages = st.floats(0, 65, width=32) | st.just(NAN)
    fitted = draw(st.sets(st.sampled_from([*SINGLE_CHANNELS, "pack_voltage_v"])))
    values = {
        "temperatures_c": draw(hnp.arrays(np.float32, (n, draw(st.integers(1, 6))), elements=temperatures)),
        "voltages_v": draw(hnp.arrays(np.float32, (n, draw(st.integers(0, 6))), elements=voltages)),
        **{name: draw(hnp.arrays(np.float32, n, elements=singles)) for name in sorted(fitted)},
    }
    made = frame_from_values(
        boot_id=draw(st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)),
        number=draw(st.integers(0, 2**53 - 1)),
        tick_ms=draw(st.integers(0, 2**53 - 1)),
        period_ms=draw(st.integers(1, 86_400_000)),
        provenance=draw(st.sampled_from(Provenance)),
        utc_at_tick_zero_ms=draw(st.none() | st.integers(-(2**53) + 1, 2**53 - 1)),
        lost_frames=draw(st.integers(0, 2**53 - 1)),
        **values,
    )
    return made, values


@given(any_frame())
def test_a_frame_survives_its_bytes(made_and_values):
    made, _ = made_and_values
    back = decode_frame(encode_frame(made))
    for name in Frame.__slots__:
        if name in ARRAY_FIELDS:
            assert (getattr(back, name) is None) == (getattr(made, name) is None)
            if getattr(made, name) is not None:
                np.testing.assert_array_equal(getattr(back, name), getattr(made, name))
                assert getattr(back, name).dtype == getattr(made, name).dtype
        else:
            assert getattr(back, name) == getattr(made, name)


@given(any_frame())
def test_a_value_is_off_by_half_a_step_at_most(made_and_values):
    made, values = made_and_values
    read = batch(decode_frame(encode_frame(made)))
    assert_within(read.temperatures_c, values["temperatures_c"], 0.025)
    assert_within(read.voltages_v[:, : values["voltages_v"].shape[1]], values["voltages_v"], 0.0005)
    for name in SINGLE_CHANNELS:
        column = getattr(read, name)
        assert (column is None) == (name not in values)
        if column is not None and name not in ("humidity_pct", "shock_g"):
            lowest = None if name == "ambient_c" else 0.0
            in_range = np.clip(values[name], lowest, 1_638.35 if name == "ambient_c" else None)
            assert_within(column, in_range, HALF_STEP[name])


def assert_within(read, given_values, half_step):
    np.testing.assert_array_equal(np.isnan(read), np.isnan(given_values))
    # The step is told as the nearest float32: 2**-24 of the value, on top of half a step.
    off = np.abs(read.astype(np.float64) - given_values.astype(np.float64))
    assert np.all(np.isnan(off) | (off <= half_step * (1 + 1e-9) + np.abs(given_values) * 2**-23))


def fields(changes):
    """Return the map of a good frame with some fields changed, added, or (...) left out."""
    good = {
        "boot": "17-a3f9",
        "frame": 3,
        "tick_ms": 1_000,
        "period_ms": 1_000,
        "provenance": "measured",
        "temperatures": matrix([2, 2], bytes(8)),
    }
    return {key: value for key, value in (good | changes).items() if value is not ...}


def matrix(shape, elements, tag=77):
    return cbor2.CBORTag(40, [shape, cbor2.CBORTag(tag, elements)])


@pytest.mark.parametrize(
    ("changes", "reason", "why"),
    [
        ({"boot": ...}, "field_missing", "no boot"),
        ({"boot": 7}, "field_type", "a boot that is a number"),
        ({"boot": "a/b"}, "field_range", "a boot that cannot be a topic level"),
        ({"frame": ...}, "field_missing", "no number"),
        ({"frame": True}, "field_type", "true is not 1"),
        ({"frame": 3.0}, "field_type", "3.0 is not 3"),
        ({"frame": -1}, "field_range", "a negative number"),
        ({"frame": 2**70}, "cbor_malformed", "a bignum, which is a tag"),
        ({"tick_ms": 2**53}, "field_range", "a tick beyond 2**53"),
        ({"period_ms": 0}, "field_range", "a period of nothing"),
        ({"period_ms": 86_400_001}, "field_range", "a period above a day"),
        ({"provenance": "real"}, "field_range", "an unknown provenance"),
        ({"provenance": None}, "field_missing", "null is not measured"),
        ({"utc_at_tick_zero_ms": "now"}, "field_type", "a time in words"),
        ({"lost_frames": -1}, "field_range", "fewer than none lost"),
        ({"temperatures": ...}, "field_missing", "no temperatures"),
        ({"temperatures": [[1, 2]]}, "array_type", "a plain array"),
        ({"temperatures": cbor2.CBORTag(77, bytes(8))}, "array_type", "one dimension"),
        ({"temperatures": cbor2.CBORTag(1040, [[2, 2], cbor2.CBORTag(77, bytes(8))])}, "array_type", "column-major"),
        ({"temperatures": cbor2.CBORTag(40, [[2, 2]])}, "array_type", "no elements"),
        ({"temperatures": cbor2.CBORTag(40, 7)}, "array_type", "no pair"),
        ({"temperatures": cbor2.CBORTag(40, [7, cbor2.CBORTag(77, bytes(8))])}, "array_type", "no dimensions"),
        ({"temperatures": cbor2.CBORTag(40, [[2, 2], [1, 2, 3, 4]])}, "array_type", "elements that are not packed"),
        ({"temperatures": cbor2.CBORTag(40, [[2, 2], cbor2.CBORTag(77, "text")])}, "array_type", "packed text"),
        ({"temperatures": matrix([2, 2], bytes(8), tag=69)}, "array_type", "unsigned temperatures"),
        ({"temperatures": matrix([2, 2], bytes(8), tag=73)}, "array_type", "big-endian"),
        ({"temperatures": matrix([2, 2], bytes(16), tag=85)}, "array_type", "floats"),
        ({"temperatures": matrix([4], bytes(8))}, "array_rank", "one dimension in tag 40"),
        ({"temperatures": matrix([1, 2, 2], bytes(8))}, "array_rank", "three dimensions"),
        ({"temperatures": matrix([], b"")}, "array_rank", "no dimension"),
        ({"temperatures": matrix([2.0, 2], bytes(8))}, "array_type", "a dimension of 2.0"),
        ({"temperatures": matrix([True, 2], bytes(8))}, "array_type", "a dimension of true"),
        ({"temperatures": matrix([-2, -2], bytes(8))}, "array_limit", "negative dimensions"),
        ({"temperatures": matrix([0, 2], b"")}, "array_limit", "no rows"),
        ({"temperatures": matrix([2**40, 2**40], bytes(8))}, "array_limit", "a claim of a yottabyte"),
        ({"temperatures": matrix([4096, 512], bytes(8))}, "array_length", "a claim of 4 MiB in eight bytes"),
        ({"temperatures": matrix([2, 2], bytes(6))}, "array_length", "too few bytes"),
        ({"temperatures": matrix([2, 2], bytes(10))}, "array_length", "too many bytes"),
        ({"temperatures": matrix([2, 2], bytes(7))}, "array_length", "half an element"),
        ({"voltages": matrix([3, 1], bytes(6), tag=69)}, "frame_shape", "voltages of another length"),
        ({"ambient": cbor2.CBORTag(77, bytes(6))}, "frame_shape", "a sensor of another length"),
        ({"ambient": cbor2.CBORTag(77, bytes(3))}, "array_length", "half a sensor value"),
        ({"ambient": cbor2.CBORTag(69, bytes(4))}, "array_type", "an unsigned ambient"),
        ({"hydrogen": matrix([2, 1], bytes(4), tag=69)}, "array_type", "a sensor in two dimensions"),
        ({7: 1}, "cbor_malformed", "a key that is no text"),
        ({b"boot": 1}, "cbor_malformed", "a key of bytes"),
        ({"note": [[[[[1]]]]]}, "cbor_malformed", "deep nesting"),
        ({"temperatures": matrix([1000, 100], bytes(200_000))}, "frame_oversize", "a batch above 256 KiB"),
        ({"note": bytes(300_000)}, "payload_oversize", "more bytes than a frame may have"),
    ],
)
def test_bad_frames_are_refused(changes, reason, why):
    with pytest.raises(WireError) as caught:
        decode_frame(cbor2.dumps(fields(changes)))
    assert caught.value.reason == reason, why
    assert str(caught.value)


@pytest.mark.parametrize(
    ("payload", "reason", "why"),
    [
        ("", "frame_truncated", "nothing"),
        ("a1", "frame_truncated", "a map without its pair"),
        ("a164626f6f7467", "frame_truncated", "a text without its letters"),
        ("5bffffffffffffffff", "frame_truncated", "a byte string of 16 EiB"),
        ("9bffffffffffffffff", "frame_truncated", "an array of 16 Ei items"),
        ("bbffffffffffffffff", "frame_truncated", "a map of 16 Ei pairs"),
        ("00", "cbor_malformed", "a number"),
        ("a000", "cbor_malformed", "bytes after the map"),
        ("a26161016161 02", "cbor_malformed", "a key twice"),
        ("bf616101ff", "cbor_malformed", "an indefinite map"),
        ("a161617f6161ff", "cbor_malformed", "an indefinite text"),
        ("a16161ff", "cbor_malformed", "a break in the wrong place"),
        ("a161611c", "cbor_malformed", "a reserved value"),
        ("a1616162ffff", "cbor_malformed", "a value that is no UTF-8"),
        ("a162ffff00", "cbor_malformed", "a key that is no UTF-8"),
        ("81" * 100_000, "cbor_malformed", "arrays in arrays"),
        ("d828" * 100_000, "cbor_malformed", "tags in tags"),
        ("a16161d82363282828", "cbor_malformed", "a regular expression"),
        ("a16161c249ffffffffffffffffff", "cbor_malformed", "a bignum"),
        ("a16161c4821a7fffffff01", "cbor_malformed", "a decimal with two thousand million digits"),
        ("a16161c11b7fffffffffffffff", "cbor_malformed", "a date"),
        ("a16161d81c81d81d00", "cbor_malformed", "an array that holds itself"),
        ("ffffffff", "cbor_malformed", "no CBOR at all"),
        ("7b226f6e6c696e65223a747275657d", "frame_truncated", "JSON"),
    ],
)
def test_bytes_that_are_no_frame_are_refused(payload, reason, why):
    with pytest.raises(WireError) as caught:
        decode_frame(bytes.fromhex(payload))
    assert caught.value.reason == reason, why


def test_fields_of_a_later_version_are_left_alone():
    assert decode_frame(cbor2.dumps(fields({"humour": "dry", "tilt": [1, 2]}))).number == 3


def test_a_claim_allocates_nothing():
    claims = [
        cbor2.dumps(fields({"temperatures": matrix([2**62, 2**62], bytes(8))})),
        cbor2.dumps(fields({"temperatures": matrix([4096, 512], bytes(8))})),
        bytes.fromhex("a1616e5b00000fffffffffff"),
    ]
    for payload in claims:
        tracemalloc.start()
        with pytest.raises(WireError):
            decode_frame(payload)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 200_000


def test_every_truncation_of_a_frame_is_refused(golden):
    whole = golden["unit_frame"]
    for length in range(len(whole)):
        with pytest.raises(WireError) as caught:
            decode_frame(whole[:length])
        assert caught.value.reason == "frame_truncated"
