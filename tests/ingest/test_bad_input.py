"""Bad input through the real broker: refused or flagged with its reason, and the good data beside it is stored."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from registry.kinds import ChannelKind
from telemetry.samples import Provenance, Quality
from telemetry.sparkplug.batches import batch_metrics
from telemetry.sparkplug.payload import DataType, Metric, Payload, encode_payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from telemetry.samples import ReceivedBatch

    Make = Callable[..., ReceivedBatch]

DAY_MS = 86_400_000


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.fixture
def good(make_batch: Make) -> Callable[..., Any]:
    """`good(frame=2)`: a batch with nothing wrong in it, sampled now."""

    def make(**given: Any) -> Any:
        rows = len(given.get("temperatures_c", [0, 0]))
        return make_batch(**{"sampled_at_ms": now_ms() - 1000 * np.arange(rows)[::-1], **given}).batch

    return make


def ddata(metrics: tuple[Metric, ...], seq: int | None) -> bytes:
    return encode_payload(Payload(timestamp_ms=now_ms(), seq=seq, metrics=metrics), with_datatypes=False)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(("DDATA", "unit-1", b"\x00not a protobuf"), id="bytes that are no protobuf"),
        pytest.param(("DDATA", "unit-1", b"\xff" * 3), id="a lone tag"),
        pytest.param(("NBIRTH", None, b"{}"), id="JSON for a birth"),
    ],
)
async def test_bytes_that_are_no_protobuf(ingest, edge_node, good, message) -> None:
    kind, unit_id, payload = message
    edge_node.be_born("unit-1")
    edge_node.send_batch(good(frame=1))
    edge_node.publish(edge_node.topic(kind, unit_id), payload)
    edge_node.send_batch(good(frame=2))
    entry = await ingest.refused("protobuf_malformed")
    assert (entry.payload, entry.payload_size, entry.unit_id) == (payload, len(payload), unit_id)
    assert (entry.fleet_id, entry.gateway_id) == ("fleet-1", "gateway-1")
    await ingest.stored(4)
    assert ingest.service.counters.refused_by_reason == {"protobuf_malformed": 1}


async def test_a_truncated_message(ingest, edge_node, good) -> None:
    edge_node.be_born("unit-1")
    whole = ddata(batch_metrics(good(frame=1), outbox_sequence=1, alias_base=edge_node.alias_base("unit-1")), seq=2)
    edge_node.publish(edge_node.topic("DDATA", "unit-1"), whole[: len(whole) // 2])
    edge_node.send_batch(good(frame=2))
    await ingest.refused("protobuf_malformed")
    await ingest.stored(2)


@pytest.mark.parametrize(
    "topic",
    [
        "spBv1.0/fleet-1/GREETING/gateway-1",
        "spBv1.0/fleet-1/DDATA/gateway-1",
        "spBv1.0/fleet-1/NDATA/gateway-1/unit-1",
        "spBv1.0/fleet-1",
        "spBv1.0/fleet-1/DDATA/gateway-1/unit-1/cell-1",
        "spBv1.0/fleet-1/DDATA/gate%20way/unit-1",
    ],
)
async def test_a_wrong_topic(ingest, edge_node, good, topic) -> None:
    edge_node.be_born("unit-1")
    edge_node.publish(topic, b"\x08\x01")
    edge_node.send_batch(good())
    entry = await ingest.refused("topic")
    assert entry.topic == topic
    await ingest.stored(2)


async def test_an_unknown_unit_is_stored_flagged_and_told(ingest, edge_node, good) -> None:
    edge_node.be_born("unit-1", "unit-2")
    edge_node.send_batch(good(unit_id="unit-2", temperatures_c=[[1079.0, 20.0, 20.0]]))
    edge_node.send_batch(good())
    entry = await ingest.refused("unknown_unit")
    assert entry.unit_id == "unit-2"
    assert entry.payload_size > 0
    await ingest.stored(1, "unit-2")
    await ingest.stored(2)
    told = {received.batch.unit_id: received.batch for received in ingest.heard.batches}
    assert told["unit-2"].quality[0] == Quality.UNREGISTERED | Quality.TEMPERATURE_SUSPECT
    assert told["unit-2"].temperatures_c[0, 0] == 1079.0, "a hot unknown unit must reach the alert engine"
    assert not told["unit-1"].quality.any()


async def test_a_unit_enrolled_a_moment_ago_is_known(ingest, edge_node, good) -> None:
    ingest.enrol("unit-2")
    edge_node.be_born("unit-2")
    edge_node.send_batch(good(unit_id="unit-2"))
    await ingest.stored(2, "unit-2")
    assert not ingest.heard.batches[0].batch.quality.any()


@pytest.mark.parametrize(
    ("name", "length"),
    [("Samples/Temperature", 5), ("Samples/Voltage", 3), ("Samples/Ambient", 1), ("Samples/Temperature", 7)],
)
async def test_array_lengths_that_do_not_fit(ingest, edge_node, good, name, length) -> None:
    edge_node.be_born("unit-1")
    now = now_ms()
    arrays = {
        "Samples/Time": (DataType.DATE_TIME_ARRAY, np.array([now - 1, now], np.int64)),
        "Samples/Temperature": (DataType.FLOAT_ARRAY, np.zeros(6, np.float32)),
        "Samples/Voltage": (DataType.FLOAT_ARRAY, np.ones(4, np.float32)),
        name: (DataType.FLOAT_ARRAY, np.zeros(length, np.float32)),
    }
    metrics = [Metric(name=each, datatype=kind, value=value) for each, (kind, value) in arrays.items()]
    edge_node.send("DDATA", metrics, "unit-1")
    edge_node.send_batch(good())
    assert name in (await ingest.refused("array_length")).detail
    await ingest.stored(3 if name == "Samples/Temperature" else 4)


def hot_arrays(**changed: Any) -> list[Metric]:
    """A batch of two samples, 95 degC at the second one's first probe; `None` leaves a metric out."""
    now = now_ms()
    arrays: dict[str, tuple[DataType, Any]] = {
        "Samples/Time": (DataType.DATE_TIME_ARRAY, np.array([now - 1000, now], np.int64)),
        "Samples/Temperature": (DataType.FLOAT_ARRAY, np.array([20, 21, 22, 95, 21, 22], np.float32)),
        "Samples/Voltage": (DataType.FLOAT_ARRAY, np.full(4, 3.7, np.float32)),
        "Samples/Ambient": (DataType.FLOAT_ARRAY, np.full(2, 15, np.float32)),
        **{name.replace("_", "/"): value for name, value in changed.items()},
    }
    return [Metric(name=name, datatype=kind, value=value) for name, (kind, value) in arrays.items()]


FLOATS, TIMES = DataType.FLOAT_ARRAY, DataType.DATE_TIME_ARRAY


@pytest.mark.parametrize(
    ("changed", "reason", "rows", "flags"),
    [
        pytest.param(
            {"Samples_Time": (TIMES, np.full(2, 1_800_000_000_000))},
            "times_not_increasing",
            2,
            Quality.TIME_IMPOSSIBLE,
            id="equal times",
        ),
        pytest.param(
            {"Samples_Time": (TIMES, np.arange(2, 0, -1))},
            "times_not_increasing",
            2,
            Quality.TIME_IMPOSSIBLE,
            id="times that fall",
        ),
        pytest.param(
            {"Samples_Voltage": (FLOATS, np.ones(3, np.float32))},
            "array_length",
            2,
            Quality.VOLTAGE_SUSPECT,
            id="a voltage is missing",
        ),
        pytest.param(
            {"Samples_Ambient": (FLOATS, np.ones(3, np.float32))},
            "array_length",
            2,
            Quality.OTHER_SUSPECT,
            id="an ambient too many",
        ),
        pytest.param(
            {"Samples_Hydrogen": (FLOATS, np.ones(1, np.float32))},
            "array_length",
            2,
            Quality.OTHER_SUSPECT,
            id="a gas value is missing",
        ),
        pytest.param(
            {"Samples_Quality": (DataType.UINT32_ARRAY, np.ones(5, np.uint32))},
            "array_length",
            2,
            Quality.OTHER_SUSPECT,
            id="a quality that does not fit",
        ),
        pytest.param(
            {"Source_Provenance": (DataType.STRING, "guessed")},
            "provenance",
            2,
            Quality.OTHER_SUSPECT,
            id="a provenance that nobody knows",
        ),
        pytest.param(
            {"Samples_Temperature": (FLOATS, np.array([20, 21, 22, 95, 21], np.float32))},
            "array_length",
            1,
            Quality.TEMPERATURE_SUSPECT | Quality.TIME_IMPOSSIBLE | Quality.VOLTAGE_SUSPECT | Quality.OTHER_SUSPECT,
            id="temperatures that fit no channel count",
        ),
    ],
)
async def test_heat_beside_what_is_malformed_is_stored_and_evaluated(
    ingest, edge_node, changed, reason, *, rows, flags
) -> None:
    edge_node.be_born("unit-1")
    before_ms = now_ms()
    edge_node.send("DDATA", hot_arrays(**changed), "unit-1")
    assert (await ingest.refused(reason)).unit_id == "unit-1"
    await ingest.stored(rows)
    (heard,) = ingest.heard.batches
    assert heard.batch.temperatures_c[-1, 0] == 95.0
    assert heard.batch.temperatures_c.shape == (rows, 3)
    assert heard.batch.provenance is Provenance.MEASURED
    assert heard.batch.quality.tolist() == [flags] * rows
    assert before_ms <= heard.batch.sampled_at_ms[-1] <= now_ms()
    assert ingest.reasons() == {reason: 1}


async def test_a_hot_scalar_beside_one_that_is_no_number(ingest, edge_node) -> None:
    edge_node.be_born("unit-1")
    metrics = [
        Metric(name="Temperature/1", datatype=DataType.FLOAT, value=95.0),
        Metric(name="Temperature/2", datatype=DataType.STRING, value="warm"),
    ]
    edge_node.send("DDATA", metrics, "unit-1")
    await ingest.refused("datatype")
    await ingest.stored(1)
    (heard,) = ingest.heard.batches
    np.testing.assert_array_equal(heard.batch.temperatures_c, [[95.0, np.nan, np.nan]])
    assert heard.batch.quality.tolist() == [Quality.OTHER_SUSPECT]


async def test_what_is_stored_of_a_malformed_record_settles_it(ingest, edge_node, eventually) -> None:
    edge_node.be_born("unit-1", outbox="box-1")
    edge_node.send(
        "DDATA",
        hot_arrays(Samples_Voltage=(FLOATS, np.ones(3, np.float32)), Outbox_Sequence=(DataType.UINT64, 1)),
        "unit-1",
    )
    await ingest.stored(2)
    await eventually(lambda: edge_node.is_settled("box-1", 1), "the record is acknowledged")


async def test_bytes_that_are_no_whole_array_elements(ingest, edge_node, good) -> None:
    edge_node.be_born("unit-1")
    torn = Metric(name="Samples/Time", datatype=DataType.BYTES, value=b"\x00" * 9)
    edge_node.send("DDATA", [torn], "unit-1")
    edge_node.send_batch(good())
    await ingest.refused("array_length")
    await ingest.stored(2)


async def test_nan_is_not_measured(ingest, edge_node, good) -> None:
    edge_node.be_born("unit-1")
    edge_node.send_batch(good(temperatures_c=[[np.nan, 21.0, np.nan]], voltages_v=[[np.nan, np.nan]]))
    await ingest.stored(1)
    series = ingest.store.read("unit-1", 0, 2**42, 10)
    np.testing.assert_array_equal(series.temperatures_c.mean, np.array([[np.nan, 21.0, np.nan]], np.float32))
    assert not series.quality.any()
    assert ingest.service.counters.flagged_by_reason == {}


async def test_infinities_are_removed_flagged_and_told(ingest, edge_node, good) -> None:
    edge_node.be_born("unit-1")
    edge_node.send_batch(
        good(temperatures_c=[[np.inf, 21.0, 22.0], [-np.inf, 21.0, 22.0]], voltages_v=[[3.7, 3.7]] * 2)
    )
    entry = await ingest.refused("infinity")
    assert entry.payload_size > 0, "the values that were refused lie in the quarantine"
    await ingest.stored(2)
    series = ingest.store.read("unit-1", 0, 2**42, 10)
    np.testing.assert_array_equal(series.temperatures_c.mean, np.array([[np.nan, 21, 22]] * 2, np.float32))
    assert series.quality.tolist() == [Quality.INFINITY_REMOVED] * 2


async def test_0_v_and_511_degc_are_stored_flagged_and_told(ingest, edge_node, good) -> None:
    edge_node.be_born("unit-1")
    edge_node.send_batch(good(frame=1, temperatures_c=[[511.0, 21.0, 22.0]], voltages_v=[[3.7, 3.7]]))
    edge_node.send_batch(good(frame=2, temperatures_c=[[20.0, 21.0, 22.0]], voltages_v=[[0.0, 3.7]]))
    edge_node.send_batch(good(frame=3, temperatures_c=[[20.0, 21.0, 22.0]], voltages_v=[[66.0, 3.7]]))
    edge_node.send_batch(good(frame=4, temperatures_c=[[20.0, 21.0, 22.0]], voltages_v=[[3.7, 3.7]]))
    assert "511 degC" in (await ingest.refused("temperature_suspect")).detail
    assert "voltage 1 is 0 V" in (await ingest.refused("voltage_suspect")).detail
    await ingest.stored(4)
    qualities = [int(received.batch.quality[0]) for received in ingest.heard.batches]
    assert qualities == [Quality.TEMPERATURE_SUSPECT, Quality.VOLTAGE_SUSPECT, Quality.VOLTAGE_SUSPECT, Quality.GOOD]
    assert ingest.heard.batches[0].batch.temperatures_c[0, 0] == 511.0, "a suspect value can be heat"
    assert ingest.heard.batches[1].batch.voltages_v[0, 0] == 0.0
    assert ingest.service.counters.flagged_by_reason == {"temperature_suspect": 1, "voltage_suspect": 2}


async def test_a_pack_voltage_is_no_cell_voltage(ingest, edge_node, good) -> None:
    ingest.enrol("unit-2", voltage_kinds=[ChannelKind.CELL, ChannelKind.PACK])
    edge_node.be_born("unit-2")
    edge_node.send_batch(good(unit_id="unit-2", voltages_v=[[3.7, 396.5]] * 2))
    await ingest.stored(2, "unit-2")
    assert not ingest.heard.batches[0].batch.quality.any()


@pytest.mark.parametrize("off_ms", [DAY_MS, -365 * DAY_MS, 40 * 365 * DAY_MS])
async def test_impossible_times_are_evaluated_at_receipt(ingest, edge_node, good, off_ms) -> None:
    edge_node.be_born("unit-1")
    before_ms = now_ms()
    edge_node.send_batch(
        good(
            frame=1,
            temperatures_c=[[20.0, 21.0, 22.0], [85.0, 21.0, 22.0]],
            sampled_at_ms=[before_ms + off_ms - 10_000, before_ms + off_ms],
        )
    )
    edge_node.send_batch(good(frame=2))
    entry = await ingest.refused("time_impossible")
    assert "received at" in entry.detail
    await ingest.stored(4)
    heard = ingest.heard.batches[0]
    assert heard.batch.sampled_at_ms.tolist() == [heard.received_at_ms - 10_000, heard.received_at_ms]
    assert before_ms <= heard.received_at_ms <= now_ms()
    assert heard.batch.quality.tolist() == [Quality.TIME_IMPOSSIBLE] * 2
    assert heard.batch.temperatures_c[1, 0] == 85.0, "and it can raise an alarm"


async def test_a_missing_birth_is_asked_for_and_data_goes_on(ingest, edge_node, good) -> None:
    edge_node.send_batch(good(frame=1))
    entry = await ingest.refused("birth_missing")
    assert (entry.unit_id, entry.gateway_id) == ("unit-1", "gateway-1")
    deadline = time.monotonic() + 10
    while not edge_node.rebirths_asked():
        assert time.monotonic() < deadline, "no rebirth was asked for"
        await asyncio.sleep(0.01)
    edge_node.be_born("unit-1")
    edge_node.send_batch(good(frame=2))
    await ingest.stored(2)
    assert ingest.service.counters.rebirths_requested == 1


async def test_a_birth_that_names_nothing(ingest, edge_node, good) -> None:
    edge_node.be_born("unit-1")
    edge_node.send("DBIRTH", [Metric(alias=7, datatype=DataType.FLOAT, value=1.0)], "unit-1")
    edge_node.send_batch(good())
    await ingest.refused("birth_name")
    await ingest.stored(2)


async def test_50_mb_are_refused_by_the_broker_and_ingest_goes_on(ingest, broker, edge_node, make_peer, good) -> None:
    edge_node.be_born("unit-1")
    flooder = make_peer()
    flooder.client.publish(edge_node.topic("DDATA", "unit-1"), b"\x00" * 50_000_000)
    deadline = time.monotonic() + 20
    while "maximum payload exceeded" not in broker.log().lower():
        assert time.monotonic() < deadline, f"the broker does not tell of it: {broker.log()[-2000:]}"
        await asyncio.sleep(0.05)
    edge_node.send_batch(good(frame=1))
    await ingest.stored(2)
    assert ingest.service.counters.refused_by_reason == {}
    assert ingest.service.counters.broker_ok


async def test_what_a_gateway_refused_is_told_here(ingest, edge_node, good) -> None:
    edge_node.be_born("unit-1")
    told = '{"topic":"packwatch/units/unit-9/frames","reason":"cbor_malformed","detail":"the frame ends early"}'
    edge_node.send("NDATA", [Metric(name="Health/Refused", datatype=DataType.STRING, value=told)])
    edge_node.send_batch(good())
    entry = await ingest.refused("cbor_malformed")
    assert entry.detail == "refused by gateway gateway-1: the frame ends early"
    assert (entry.topic, entry.unit_id) == ("packwatch/units/unit-9/frames", "unit-9")
    await ingest.stored(2)


@pytest.mark.parametrize("told", ["no JSON", "[]", '{"reason": "Drop table", "topic": "", "detail": ""}'])
async def test_a_gateways_refusal_that_makes_no_sense(ingest, edge_node, good, told) -> None:
    edge_node.be_born("unit-1")
    edge_node.send("NDATA", [Metric(name="Health/Refused", datatype=DataType.STRING, value=told)])
    edge_node.send_batch(good())
    await ingest.refused("refusal_malformed")
    await ingest.stored(2)


@pytest.mark.parametrize(
    ("latitude", "longitude"), [(91.0, 0.0), (0.0, -180.5), (float("nan"), 0.0), (float("inf"), 0.0)]
)
async def test_a_position_on_no_globe(ingest, edge_node, latitude, longitude) -> None:
    edge_node.be_born("unit-1")
    values = {"Position/Latitude": latitude, "Position/Longitude": longitude}
    edge_node.send("NDATA", [Metric(name=n, datatype=DataType.DOUBLE, value=v) for n, v in values.items()])
    await ingest.refused("position")
    assert ingest.heard.fixes == []


async def test_a_flood_of_garbage_beside_good_data(ingest, edge_node, good) -> None:
    edge_node.be_born("unit-1")
    for frame in range(1, 201):
        edge_node.client.publish("spBv1.0/fleet-1/GREETING/gateway-1", b"hello")
        edge_node.send_batch(good(frame=frame))
    await ingest.stored(400)
    assert ingest.service.counters.refused_by_reason == {"topic": 200}


async def test_a_suspect_value_that_stays_is_counted_each_time_and_told_once(ingest, edge_node, good) -> None:
    edge_node.be_born("unit-1")
    for frame in range(1, 21):
        edge_node.send_batch(good(frame=frame, temperatures_c=[[511.0, 21.0, 22.0]], voltages_v=[[3.7, 3.7]]))
    await ingest.stored(20)
    await ingest.refused("temperature_suspect")
    assert ingest.service.counters.flagged_by_reason == {"temperature_suspect": 20}
    assert ingest.reasons() == {"temperature_suspect": 1}
