"""What is sound in a message that is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.samples import Quality
from telemetry.sparkplug.payload import DataType, Metric, Payload, encode_payload
from telemetry.sparkplug.salvage import salvage_batches, salvage_metrics

NOW_MS = 1_800_000_000_000


def array(values, name="Samples/Temperature", datatype=DataType.FLOAT_ARRAY):
    return Metric(name=name, datatype=datatype, value=np.asarray(values))


def salvaged(*metrics, temperatures=3, voltages=2):
    payload = encode_payload(Payload(timestamp_ms=NOW_MS, metrics=metrics))
    return salvage_batches(
        salvage_metrics(payload, {}, {}),
        unit_id="unit-1",
        temperature_channels=temperatures,
        voltage_channels=voltages,
        received_at_ms=NOW_MS,
    )[0]


@pytest.mark.parametrize(
    ("values", "channels", "expected"),
    [
        pytest.param([20, 21, 22, 95], 3, [[95, 21, 22]], id="each channel's hottest where the count is known"),
        pytest.param([20, 95, 22], None, [[20, 95, 22]], id="without a count the array itself is one row"),
        pytest.param([20] * 600 + [95], None, [[95]], id="of more values than channels can be, the hottest"),
        pytest.param([20] * (3 * 5000 - 1) + [95], 3, [[20, 20, 95]], id="of more rows than a batch has"),
        pytest.param([20, 21, np.inf, 95], 3, [[95, 21, np.nan]], id="an infinity is no heat"),
    ],
)
def test_temperatures_that_fit_no_channel_count(values, channels, expected) -> None:
    (batch,) = salvaged(array(values), temperatures=channels)
    np.testing.assert_array_equal(batch.temperatures_c, expected)
    assert batch.sampled_at_ms.tolist() == [NOW_MS]
    assert batch.quality[0] & Quality.TEMPERATURE_SUSPECT


def test_times_that_are_missing_are_the_receipts() -> None:
    (batch,) = salvaged(array([20, 21, 22, 95, 21, 22]))
    assert batch.sampled_at_ms.tolist() == [NOW_MS - 1, NOW_MS]
    assert batch.quality.tolist() == [Quality.TIME_IMPOSSIBLE] * 2


def test_temperatures_of_another_datatype_are_temperatures() -> None:
    (batch,) = salvaged(array([20.0, 95.0, 22.0], datatype=DataType.DOUBLE_ARRAY))
    assert batch.temperatures_c.tolist() == [[20, 95, 22]]


def test_of_temperatures_that_are_there_twice_the_hotter_count() -> None:
    (batch,) = salvaged(array([20, 95, 22]), array([20, 21, 22]))
    assert batch.temperatures_c.tolist() == [[20, 95, 22]]


@pytest.mark.parametrize("values", [[], [np.nan] * 3, [np.inf] * 3])
def test_where_nothing_was_measured_nothing_is_told(values) -> None:
    assert salvaged(array(values)) == ()


@given(st.binary(max_size=200))
def test_bytes_that_mean_nothing_are_survived(payload) -> None:
    metrics = salvage_metrics(payload, {0: "Samples/Temperature", 1: "Temperature/1"}, {})
    salvage_batches(metrics, unit_id="unit-1", temperature_channels=None, voltage_channels=None, received_at_ms=NOW_MS)


@given(st.lists(st.floats(width=32), max_size=40), st.integers(0, 600) | st.none(), st.lists(st.integers(0, 9)))
def test_the_hottest_finite_value_is_never_lost(values, channels, times) -> None:
    batches = salvaged(
        array(np.array(values, np.float32)),
        array(np.array(times, np.int64), "Samples/Time", DataType.DATE_TIME_ARRAY),
        temperatures=channels,
    )
    finite = [value for value in values if np.isfinite(value)]
    assert len(batches) == bool(finite)
    if finite:
        told = batches[0].temperatures_c
        assert told[np.isfinite(told)].max() == np.float32(max(finite))
