"""Array batches: round trips, what does not fit, and that nothing walks through samples one by one."""

import gc
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from telemetry.errors import WireError
from telemetry.frames import batch_from_frame, frame_from_values
from telemetry.limits import MAX_BATCH_BYTES
from telemetry.samples import SINGLE_CHANNELS, Provenance, Quality, SampleBatch
from telemetry.sparkplug.batches import (
    ALIASES_PER_DEVICE,
    SAMPLE_ALIASES,
    SAMPLE_DATATYPES,
    SINGLES,
    batch_from_metrics,
    batch_metrics,
    device_birth_metrics,
)
from telemetry.sparkplug.payload import DataType, Metric, Payload, decode_payload, encode_payload, resolve_metric

NAMES = {alias: name for name, alias in SAMPLE_ALIASES.items()}
T0_MS = 1_700_000_000_000
NAN = float("nan")


def batch(n=2, temperatures=2, voltages=1, **changes):
    columns = {
        "unit_id": "unit-1",
        "boot_id": "17-a3f9",
        "frame": 300,
        "provenance": Provenance.MEASURED,
        "sampled_at_ms": T0_MS + np.arange(n) * 1_000,
        "time_uncertainty_s": 0.25,
        "temperatures_c": np.arange(n * temperatures, dtype=np.float32).reshape(n, temperatures),
        "voltages_v": np.full((n, voltages), 3.7, np.float32),
    }
    return SampleBatch(**(columns | changes))


def through_bytes(source, *, outbox_sequence=None, temperatures=None, voltages=None):
    """Send a batch as a gateway does and read it as a host does."""
    payload = Payload(metrics=batch_metrics(source, outbox_sequence=outbox_sequence))
    return read(encode_payload(payload, with_datatypes=False), temperatures=temperatures, voltages=voltages)


def read(payload_bytes, *, temperatures=None, voltages=None):
    metrics = [
        resolve_metric(metric, name=NAMES[metric.alias], datatype=SAMPLE_DATATYPES[NAMES[metric.alias]])
        for metric in decode_payload(payload_bytes).metrics
    ]
    return batch_from_metrics(metrics, unit_id="unit-1", temperature_channels=temperatures, voltage_channels=voltages)


def assert_same(read_batch, source):
    for field in fields(SampleBatch):
        ours, theirs = getattr(read_batch, field.name), getattr(source, field.name)
        if isinstance(theirs, np.ndarray):
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
            assert not ours.flags.writeable
        else:
            assert ours == theirs, field.name


values = st.floats(width=32)


@st.composite
def any_batch(draw):
    n = draw(st.integers(1, 20))
    steps = draw(hnp.arrays(np.int64, n, elements=st.integers(1, 10**9)))
    shape = {"temperatures_c": draw(st.integers(1, 6)), "voltages_v": draw(st.integers(0, 6))}
    fitted = draw(st.sets(st.sampled_from(SINGLE_CHANNELS)))
    return batch(
        provenance=draw(st.sampled_from(Provenance)),
        boot_id=draw(st.none() | st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)),
        frame=draw(st.none() | st.integers(0, 2**53 - 1)),
        sampled_at_ms=draw(st.integers(0, 2**45)) + np.cumsum(steps),
        time_uncertainty_s=draw(st.floats(0, 1_000, width=32)),
        quality=draw(hnp.arrays(np.uint32, n, elements=st.integers(0, sum(Quality)))),
        historical=draw(st.booleans()),
        **{name: draw(hnp.arrays(np.float32, (n, width), elements=values)) for name, width in shape.items()},
        **{name: draw(hnp.arrays(np.float32, n, elements=values)) for name in sorted(fitted)},
    )


@given(any_batch(), st.none() | st.integers(0, 2**64 - 1))
def test_a_batch_survives_its_bytes(source, outbox_sequence):
    back, sequence = through_bytes(source, outbox_sequence=outbox_sequence)
    assert sequence == outbox_sequence
    assert_same(back, source)
    declared, _ = through_bytes(
        source, temperatures=source.temperatures_c.shape[1], voltages=source.voltages_v.shape[1]
    )
    assert_same(declared, source)


def test_metrics_by_name_and_datatype_read_as_well():
    source = batch()
    named = [
        replace(metric, name=NAMES[metric.alias], alias=None) for metric in batch_metrics(source, outbox_sequence=None)
    ]
    payload = decode_payload(encode_payload(Payload(metrics=tuple(named))))
    back, _ = batch_from_metrics(payload.metrics, unit_id="unit-1", temperature_channels=None, voltage_channels=None)
    assert_same(back, source)


def test_a_batch_names_nothing_and_stamps_everything():
    metrics = batch_metrics(batch(historical=True), outbox_sequence=4, alias_base=128)
    assert {metric.alias for metric in metrics} <= set(range(129, 128 + ALIASES_PER_DEVICE))
    assert all(m.name is None and m.is_historical and m.timestamp_ms == T0_MS + 1_000 for m in metrics)


def test_quality_travels_only_where_something_is_known():
    aliases = {metric.alias for metric in batch_metrics(batch(), outbox_sequence=None)}
    assert SAMPLE_ALIASES["Samples/Quality"] not in aliases
    marked = batch(quality=np.array([0, Quality.TIME_BRACKETED], np.uint32))
    back, _ = through_bytes(marked)
    assert back.quality.tolist() == [0, Quality.TIME_BRACKETED]


@pytest.mark.parametrize(("n", "channels"), [(1, 512), (63, 512), (1_000, 28), (4_096, 3)])
def test_the_largest_frames_become_batches_that_may_travel(n, channels):
    columns = {name: np.ones(n) for name in (*SINGLE_CHANNELS, "pack_voltage_v")}
    frame = frame_from_values(
        boot_id="b" * 64,
        number=2**53 - 1,
        tick_ms=0,
        period_ms=1,
        provenance=Provenance.SIMULATED,
        temperatures_c=np.zeros((n, channels)),
        voltages_v=np.zeros((n, channels - 1)),
        **columns,
    )
    whole = batch_from_frame(
        frame, unit_id="unit-1", utc_at_tick_zero_ms=T0_MS, time_uncertainty_s=1.0, quality=Quality.TIME_BRACKETED
    )
    metrics = batch_metrics(whole, outbox_sequence=2**64 - 1, alias_base=64_000)
    encoded = encode_payload(Payload(timestamp_ms=T0_MS, seq=255, metrics=metrics), with_datatypes=False)
    assert 0.75 * n * 8 * channels < len(encoded) <= MAX_BATCH_BYTES
    assert len(decode_payload(encoded).metrics) == len(metrics)


def test_a_birth_tells_counts_and_only_what_is_fitted():
    metrics = device_birth_metrics(16, 9, ["shock_g", "ambient_c"], alias_base=64, timestamp_ms=T0_MS)
    by_name = {metric.name: metric for metric in metrics}
    assert (by_name["Channels/Temperature"].value, by_name["Channels/Voltage"].value) == (16, 9)
    assert set(by_name) == set(SAMPLE_DATATYPES) - set(SINGLES.values()) | {"Samples/Shock", "Samples/Ambient"}
    for metric in metrics:
        assert metric.alias == 64 + SAMPLE_ALIASES[metric.name]
        assert metric.datatype is SAMPLE_DATATYPES[metric.name]
        assert metric.timestamp_ms == T0_MS
        assert metric.is_null == (not metric.name.startswith("Channels/"))


def test_devices_of_one_edge_node_share_no_alias():
    first, second = (
        {m.alias for m in device_birth_metrics(1, 1, SINGLE_CHANNELS, alias_base=k * ALIASES_PER_DEVICE)}
        for k in (1, 2)
    )
    assert not first & second
    assert min(first) > ALIASES_PER_DEVICE


def test_a_birth_with_an_unknown_sensor_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="smell"):
        device_birth_metrics(1, 1, ["smell"])


def metrics_with(**changes):
    """Return a good batch's metrics by name, with some values changed or (None) null."""
    good = {NAMES[m.alias]: m.value for m in batch_metrics(batch(), outbox_sequence=1)}
    merged = good | {name.replace("__", "/"): value for name, value in changes.items()}
    return [Metric(name=name, datatype=SAMPLE_DATATYPES.get(name), value=value) for name, value in merged.items()]


def from_metrics(metrics, temperatures=None, voltages=None):
    return batch_from_metrics(metrics, unit_id="unit-1", temperature_channels=temperatures, voltage_channels=voltages)


def floats(*items):
    return np.array(items, np.float32)


def times(*items):
    return np.array(items, np.int64)


@pytest.mark.parametrize(
    ("changes", "channels", "reason", "why"),
    [
        ({"Samples__Time": None}, (None, None), "metric_missing", "no times"),
        ({"Samples__Time": times()}, (None, None), "metric_missing", "not one time"),
        ({"Samples__Temperature": None, "Samples__Voltage": None}, (2, 1), "metric_missing", "times of nothing"),
        ({"Samples__Time": times(5, 5)}, (2, 1), "times_not_increasing", "a time twice"),
        ({"Samples__Time": times(6, 5)}, (2, 1), "times_not_increasing", "backwards"),
        ({"Samples__Time": times(-(2**62), 2**62)}, (2, 1), "times_not_increasing", "an age of the universe"),
        ({"Samples__Temperature": floats(1, 2, 3)}, (None, None), "array_length", "one and a half channels"),
        ({"Samples__Temperature": floats(1, 2)}, (2, 1), "array_length", "fewer channels than the birth told"),
        ({"Samples__Temperature": floats(1, 2, 3, 4, 5, 6)}, (2, 1), "array_length", "more channels"),
        ({"Samples__Voltage": floats(1, 2, 3)}, (2, 1), "array_length", "a voltage too many"),
        ({"Samples__Ambient": floats(1)}, (2, 1), "array_length", "an ambient too few"),
        ({"Samples__Quality": np.zeros(3, np.uint32)}, (2, 1), "array_length", "a quality too many"),
        ({}, (2**31, 1), "batch_oversize", "a birth of two thousand million channels"),
        ({"Samples__Voltage": np.zeros(2 * 513, np.float32)}, (2, None), "batch_oversize", "513 channels"),
        ({"Samples__Time": np.arange(5_000)}, (2, 1), "batch_oversize", "5,000 samples"),
        ({"Source__Provenance": "real"}, (2, 1), "provenance", "an unknown provenance"),
        ({"Source__Boot": "a/b"}, (2, 1), "boot", "a boot that is no id"),
        ({"Source__Frame": 2**53}, (2, 1), "value_range", "a frame number that not every reader can hold"),
    ],
)
def test_what_does_not_fit_is_refused(changes, channels, reason, why):
    with pytest.raises(WireError) as caught:
        from_metrics(metrics_with(**changes), *channels)
    assert caught.value.reason == reason, why


def test_a_metric_of_another_datatype_is_refused():
    wrong = Metric(name="Samples/Temperature", datatype=DataType.DOUBLE_ARRAY, value=np.zeros(4))
    metrics = [metric for metric in metrics_with() if metric.name != "Samples/Temperature"]
    with pytest.raises(WireError) as caught:
        from_metrics([*metrics, wrong])
    assert caught.value.reason == "datatype"


def test_a_metric_that_is_there_twice_is_refused():
    with pytest.raises(WireError) as caught:
        from_metrics([*metrics_with(), *metrics_with()])
    assert caught.value.reason == "metric_twice"


def test_other_metrics_are_left_alone():
    other = [Metric(name="Properties/Make", datatype=DataType.STRING, value="x"), Metric(alias=9, value=1)]
    read_batch, sequence = from_metrics([*metrics_with(), *other])
    assert len(read_batch) == 2
    assert sequence == 1


def test_a_kind_that_is_absent_is_not_measured():
    read_batch, _ = from_metrics(metrics_with(Samples__Voltage=None), 2, 3)
    assert read_batch.voltages_v.shape == (2, 3)
    assert np.isnan(read_batch.voltages_v).all()
    undeclared, _ = from_metrics(metrics_with(Samples__Voltage=None))
    assert undeclared.voltages_v.shape == (2, 0)


def test_a_source_that_says_nothing_of_itself_is_a_plain_one_that_measured():
    plain = metrics_with(
        Source__Boot=None,
        Source__Frame=None,
        Source__Provenance=None,
        Outbox__Sequence=None,
        Samples__TimeUncertainty=None,
    )
    read_batch, sequence = from_metrics(plain)
    assert (read_batch.boot_id, read_batch.frame, sequence) == (None, None, None)
    assert read_batch.provenance is Provenance.MEASURED
    assert np.isnan(read_batch.time_uncertainty_s)


def test_infinities_pass_since_ingest_flags_them():
    read_batch, _ = from_metrics(metrics_with(Samples__Temperature=floats(np.inf, -np.inf, NAN, 511)))
    np.testing.assert_array_equal(read_batch.temperatures_c, floats(np.inf, -np.inf, NAN, 511).reshape(2, 2))


def test_quality_bits_of_a_later_version_are_dropped():
    read_batch, _ = from_metrics(metrics_with(Samples__Quality=np.array([2**31 + 1, 16], np.uint32)))
    assert read_batch.quality.tolist() == [1, 16]


@pytest.mark.parametrize(
    ("sent", "kept", "why"),
    [
        ((2**62, 2**62 + 10), (2**53 - 11, 2**53 - 1), "impossibly late"),
        ((-(2**62), -(2**62) + 10), (-(2**53) + 1, -(2**53) + 11), "impossibly early"),
        ((-5, 2**53 - 7), (-5, 2**53 - 7), "early and late, but a computer can count it"),
    ],
)
def test_heat_is_not_lost_to_a_clock_beyond_all_clocks(sent, kept, why):
    read_batch, _ = from_metrics(metrics_with(Samples__Time=times(*sent)))
    assert read_batch.sampled_at_ms.tolist() == list(kept), why


def lines_run(n):
    """Count the lines of Python that run while a batch of n samples is decoded."""
    payload = encode_payload(
        Payload(metrics=batch_metrics(batch(n, 24, 9, ambient_c=np.zeros(n)), outbox_sequence=1)), with_datatypes=False
    )
    read(payload)
    count = 0

    def trace(_frame, event, _argument):
        nonlocal count
        count += event in ("line", "call")
        return trace

    previous = sys.gettrace()
    gc.disable()  # a collection would run the callbacks that hypothesis hangs on it
    sys.settrace(trace)
    try:
        read(payload)
    finally:
        sys.settrace(previous)
        gc.enable()
    return count


def test_decoding_runs_the_same_lines_for_any_number_of_samples():
    assert lines_run(400) == lines_run(2) > 100
