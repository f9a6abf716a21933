"""Scalars of plain third-party edge nodes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.errors import WireError
from telemetry.samples import Provenance, Quality
from telemetry.sparkplug.payload import DataType, Metric
from telemetry.sparkplug.scalars import batches_from_scalars

NAN = float("nan")


def batches(*metrics, temperatures=None, voltages=None, timestamp_ms=5_000):
    return batches_from_scalars(
        metrics,
        unit_id="unit-1",
        temperature_channels=temperatures,
        voltage_channels=voltages,
        payload_timestamp_ms=timestamp_ms,
    )


def scalar(name, value, timestamp_ms=1_000, datatype=DataType.FLOAT, **more):
    return Metric(name=name, value=value, timestamp_ms=timestamp_ms, datatype=datatype, **more)


def test_values_of_one_time_are_one_sample():
    (batch,) = batches(
        scalar("Temperature/2", 21.5),
        scalar("Temperature/1", 20.5),
        scalar("Voltage/1", 3.7, datatype=DataType.DOUBLE),
        scalar("Ambient", 7.0),
        scalar("Humidity", 50, datatype=DataType.UINT32),
        scalar("Hydrogen", 4.0),
        scalar("CarbonMonoxide", 5.0),
        scalar("VOC", 6.0),
        scalar("Shock", 1.5),
    )
    assert batch.sampled_at_ms.tolist() == [1_000]
    assert batch.temperatures_c.tolist() == [[20.5, 21.5]]
    assert batch.voltages_v.tolist() == np.float32([[3.7]]).tolist()
    singles = (batch.ambient_c, batch.humidity_pct, batch.hydrogen_ppm, batch.carbon_monoxide_ppm)
    assert [column.tolist() for column in singles] == [[7.0], [50.0], [4.0], [5.0]]
    assert (batch.voc_ppm.tolist(), batch.shock_g.tolist()) == ([6.0], [1.5])
    assert (batch.boot_id, batch.frame, batch.provenance) == (None, None, Provenance.MEASURED)
    assert batch.quality.tolist() == [Quality.GOOD]


def test_times_are_sorted_and_gaps_are_not_measured():
    (batch,) = batches(
        scalar("Temperature/1", 22.0, 3_000),
        scalar("Temperature/1", 20.0, 1_000),
        scalar("Temperature/2", 21.0, 2_000),
    )
    assert batch.sampled_at_ms.tolist() == [1_000, 2_000, 3_000]
    np.testing.assert_array_equal(batch.temperatures_c, [[20.0, NAN], [NAN, 21.0], [22.0, NAN]])


def test_live_and_historical_values_are_batches_of_their_own():
    live, late = batches(scalar("Temperature/1", 20.0, 1_000, is_historical=True), scalar("Temperature/1", 22.0, 3_000))
    assert (live.historical, live.sampled_at_ms.tolist()) == (False, [3_000])
    assert (late.historical, late.sampled_at_ms.tolist()) == (True, [1_000])


@pytest.mark.parametrize(
    ("metric", "declared", "row", "why"),
    [
        (scalar("Temperature/1", 20.0), 3, [20.0, NAN, NAN], "as wide as the birth told"),
        (scalar("Temperature/3", 20.0), 2, [NAN, NAN, 20.0], "wider than the birth told: nothing hot is dropped"),
        (scalar("Temperature/1", 20.0), None, [20.0], "as wide as was seen"),
        (scalar("Temperature/1", None, is_null=True), None, [NAN], "null is not measured"),
        (scalar("Temperature/1", NAN), None, [NAN], "nor is NaN"),
        (scalar("Temperature/1", float("inf")), None, [float("inf")], "an infinity passes: ingest flags it"),
        (scalar("Temperature/1", 1e300, datatype=DataType.DOUBLE), None, [float("inf")], "beyond float32 is infinite"),
        (scalar("Temperature/1", -5, datatype=DataType.INT16), None, [-5.0], "integers are numbers"),
        (scalar("Temperature/1", 20.0, datatype=None), None, [20.0], "by alias, without a datatype"),
    ],
)
def test_one_value_makes_a_row(metric, declared, row, why):
    (batch,) = batches(metric, temperatures=declared)
    np.testing.assert_array_equal(batch.temperatures_c, np.float32([row]), why)


def test_a_metric_without_a_time_has_its_payloads():
    (batch,) = batches(scalar("Ambient", 7.0, None))
    assert batch.sampled_at_ms.tolist() == [5_000]
    assert batch.temperatures_c.shape == (1, 0)


def test_the_later_of_two_values_for_one_time_holds():
    (batch,) = batches(scalar("Ambient", 7.0), scalar("Ambient", 8.0))
    assert batch.ambient_c.tolist() == [8.0]


def test_a_time_beyond_all_clocks_is_brought_down():
    (batch,) = batches(scalar("Ambient", 7.0, 2**64 - 1))
    assert batch.sampled_at_ms.tolist() == [2**53 - 1]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Temperature",
        "Temperature/0",
        "Temperature/01",
        "Temperature/513",
        "Temperature/x",
        "Temperature/1/2",
        "temperature/1",
        "Temperature/\u0661",
        "Properties/Make",
        "Samples/Time",
    ],
)
def test_other_metrics_are_left_alone(name):
    assert batches(scalar(name, 20.0)) == ()


def test_no_metrics_are_no_batch():
    assert batches() == ()


@pytest.mark.parametrize(
    ("metrics", "declared", "reason"),
    [
        ([scalar("Temperature/1", "hot", datatype=DataType.STRING)], None, "datatype"),
        ([scalar("Temperature/1", True, datatype=DataType.BOOLEAN)], None, "datatype"),
        ([scalar("Temperature/1", 5, datatype=DataType.DATE_TIME)], None, "datatype"),
        ([scalar("Temperature/1", b"1", datatype=None)], None, "datatype"),
        ([scalar("Temperature/1", 5.0)], 2**31, "batch_oversize"),
        ([scalar("Temperature/1", 5.0, t) for t in range(4_097)], None, "batch_oversize"),
    ],
)
def test_what_is_no_sample_is_refused(metrics, declared, reason):
    with pytest.raises(WireError) as caught:
        batches(*metrics, temperatures=declared)
    assert caught.value.reason == reason


def test_a_value_without_any_time_is_refused():
    with pytest.raises(WireError) as caught:
        batches(scalar("Ambient", 7.0, None), timestamp_ms=None)
    assert caught.value.reason == "timestamp_missing"


readings = st.dictionaries(
    st.tuples(st.integers(0, 2**53 - 1), st.integers(1, 8)), st.floats(width=32), min_size=1, max_size=30
)


@given(readings, st.randoms(use_true_random=False))
def test_the_order_of_metrics_does_not_matter(given_readings, random):
    metrics = [scalar(f"Temperature/{column}", value, time_ms) for (time_ms, column), value in given_readings.items()]
    random.shuffle(metrics)
    (batch,) = batches(*metrics)
    rows = {time_ms: row for row, time_ms in enumerate(batch.sampled_at_ms.tolist())}
    assert np.isfinite(batch.temperatures_c).sum() <= len(given_readings)
    for (time_ms, column), value in given_readings.items():
        np.testing.assert_array_equal(batch.temperatures_c[rows[time_ms], column - 1], np.float32(value))
