"""The bulk path says of every message exactly what the general path says, whatever the message is."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.events import BatchReceived
from ingest.host import SparkplugHost
from ingest.inbox import Arrival
from ingest.sessions import Births, DeviceSession
from ingest.stencils import ArrayLayout
from telemetry.samples import Provenance, SampleBatch
from telemetry.sparkplug.batches import SAMPLE_ALIASES, batch_metrics, device_birth_metrics
from telemetry.sparkplug.payload import DataType, Metric, Payload, encode_payload

NOW_MS = 1_800_000_000_000
UNITS = {"unit-1": 64, "unit-2": 128}
FLOATS = st.sampled_from([20.0, -40.0, 1079.25, 0.0, np.nan, np.inf])


@st.composite
def batches(draw: st.DrawFn, unit_id: str) -> SampleBatch:
    rows = draw(st.integers(1, 3))

    def values(*shape: int) -> Any:
        size = int(np.prod(shape))
        return np.array(draw(st.lists(FLOATS, min_size=size, max_size=size)), np.float32).reshape(shape)

    start_ms = draw(st.sampled_from([NOW_MS, 0, -5, 2**53 - 2, -(2**60), 2**62]))
    return SampleBatch(
        unit_id=unit_id,
        boot_id=draw(st.sampled_from(["1-a", None])),
        frame=draw(st.sampled_from([0, 1, 2**53 - 1, None])),
        provenance=draw(st.sampled_from(list(Provenance))),
        sampled_at_ms=start_ms + np.arange(rows),
        time_uncertainty_s=draw(st.sampled_from([0.25, float("nan")])),
        temperatures_c=values(rows, draw(st.sampled_from([2, 2, 2, 0, 1]))),
        voltages_v=values(rows, draw(st.sampled_from([1, 1, 1, 0]))),
        ambient_c=values(rows) if draw(st.booleans()) else None,
        quality=np.full(rows, draw(st.sampled_from([0, 0, 1, 2**31])), np.uint32),
        historical=draw(st.booleans()),
    )


def odd_metrics(base: int) -> list[Metric]:
    def metric(name: str, datatype: DataType, value: Any, **given: Any) -> Metric:
        return Metric(alias=base + SAMPLE_ALIASES[name], datatype=datatype, value=value, **given)

    return [
        metric("Samples/Time", DataType.DATE_TIME_ARRAY, np.array([NOW_MS, NOW_MS])),
        metric("Samples/Time", DataType.DATE_TIME_ARRAY, np.array([NOW_MS, NOW_MS - 1])),
        metric("Samples/Time", DataType.DATE_TIME_ARRAY, np.array([-(2**63)])),
        metric("Samples/Time", DataType.BYTES, b"1234567890"),
        metric("Samples/Time", DataType.BYTES, b""),
        metric("Samples/Time", DataType.STRING, "noon"),
        metric("Samples/Temperature", DataType.FLOAT_ARRAY, np.zeros(7, np.float32)),
        metric("Samples/Temperature", DataType.FLOAT_ARRAY, None),
        metric("Samples/Temperature", DataType.FLOAT, 20.0),
        metric("Samples/TimeUncertainty", DataType.DOUBLE, 1.0),
        metric("Source/Boot", DataType.STRING, "no identifier"),
        metric("Source/Boot", DataType.STRING, ""),
        metric("Source/Provenance", DataType.STRING, "dreamt"),
        metric("Source/Frame", DataType.UINT64, 2**53),
        metric("Outbox/Sequence", DataType.UINT64, 2**64 - 1),
        Metric(alias=9_999, datatype=DataType.FLOAT, value=1.0),
        Metric(datatype=DataType.FLOAT, value=1.0),
        Metric(name="Samples/Ambient", datatype=DataType.FLOAT_ARRAY, value=np.zeros(1, np.float32)),
        Metric(name="Other", alias=base + SAMPLE_ALIASES["Samples/Ambient"], datatype=DataType.FLOAT, value=1.0),
        Metric(name="Other", alias=base + SAMPLE_ALIASES["Samples/Ambient"], datatype=DataType.BYTES, value=bytes(4)),
        Metric(alias=0, datatype=DataType.FLOAT, value=1.0),
        metric("Samples/Ambient", DataType.FLOAT_ARRAY, np.zeros(2, np.float32), is_null=True),
        metric("Samples/Time", DataType.DATE_TIME_ARRAY, np.array([-(2**53) - 1, NOW_MS])),
        metric("Samples/Time", DataType.DATE_TIME_ARRAY, np.array([NOW_MS, 2**53])),
        metric("Samples/Voltage", DataType.FLOAT_ARRAY, np.zeros(1, np.float32)),
    ]


@st.composite
def messages(draw: st.DrawFn) -> tuple[str, str | None, bytes | tuple[Metric, ...], int]:
    """Kind, unit, metrics or bytes, and how far the sequence number jumps."""
    unit_id = draw(st.sampled_from(list(UNITS)))
    base = UNITS[unit_id]
    jump = draw(st.sampled_from([0, 0, 0, 0, 1, 255]))
    kind = draw(st.sampled_from(["data"] * 4 + ["odd"] * 4 + ["birth", "node birth", "bytes", "death"]))
    metrics = list(batch_metrics(draw(batches(unit_id)), outbox_sequence=7, alias_base=base))
    match kind:
        case "birth":
            return (
                "DBIRTH",
                unit_id,
                device_birth_metrics(*draw(st.sampled_from([(2, 1), (1, 1)])), (), alias_base=base),
                0,
            )
        case "node birth":
            return "NBIRTH", None, (Metric(name="bdSeq", datatype=DataType.INT64, value=0),), 0
        case "death":
            return "DDEATH", unit_id, (), jump
        case "bytes":
            whole = encode_payload(Payload(seq=0, metrics=tuple(metrics)), with_datatypes=False)
            at = draw(st.integers(0, len(whole) - 1))
            return "DDATA", unit_id, draw(st.sampled_from([whole[:at], whole[:at] + b"\xff" + whole[at + 1 :]])), jump
        case "odd":
            odd = draw(st.sampled_from(odd_metrics(base)))
            instead = draw(st.integers(0, len(metrics) - 1))
            others = [metric for metric in metrics if metric.alias != odd.alias]
            metrics = [*(others if len(others) < len(metrics) else metrics[:instead] + metrics[instead + 1 :]), odd]
    return "DDATA", unit_id, tuple(metrics), jump


def arrivals(said: list[tuple[str, str | None, bytes | tuple[Metric, ...], int]]) -> list[Arrival]:
    births = [
        ("NBIRTH", None, (Metric(name="bdSeq", datatype=DataType.INT64, value=0),), 0),
        *(
            ("DBIRTH", unit_id, device_birth_metrics(2, 1, ("ambient_c",), alias_base=base), 0)
            for unit_id, base in UNITS.items()
        ),
    ]
    arrived, seq = [], 0
    for number, (kind, unit_id, content, jump) in enumerate([*births, *said]):
        seq = 0 if kind == "NBIRTH" else (seq + jump) % 256
        payload = content
        if not isinstance(content, bytes):
            payload = encode_payload(
                Payload(timestamp_ms=NOW_MS, seq=seq, metrics=content), with_datatypes=kind.endswith("BIRTH")
            )
        seq = (seq + 1) % 256
        topic = "/".join(("spBv1.0", "fleet", kind, "gateway", *([unit_id] if unit_id else [])))
        arrived.append(Arrival(topic, payload, NOW_MS + number))
    return arrived


def plain(events: list[Any]) -> list[Any]:
    """Events as values that compare: arrays as bytes."""

    def flat(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return value.dtype.str, value.shape, value.tobytes()
        if hasattr(value, "__dataclass_fields__"):
            return type(value).__name__, [(field.name, flat(getattr(value, field.name))) for field in fields(value)]
        return repr(value)

    return [flat(event) for event in events]


@settings(max_examples=300)
@given(st.lists(messages(), max_size=12), st.integers(1, 12))
def test_both_paths_say_the_same(
    said: list[tuple[str, str | None, bytes | tuple[Metric, ...], int]], at_once: int
) -> None:
    """All is said twice, so that what the first time taught is used the second time."""
    arrived = arrivals([*said, *said])
    host = SparkplugHost(host_id="host")
    together = [
        events for start in range(0, len(arrived), at_once) for events in host.receive_all(arrived[start:][:at_once])
    ]
    one_by_one = SparkplugHost(host_id="host")
    for arrival, events in zip(arrived, together, strict=True):
        assert plain(events) == plain(one_by_one.receive(*arrival))


@settings(max_examples=300)
@given(st.data())
def test_both_say_the_same_of_a_message_in_which_bytes_changed(data: st.DataObject) -> None:
    """After the unharmed one has taught: every byte of it may be another."""
    ordinary_one = batch_metrics(ordinary(data.draw(st.integers(1, 2))), outbox_sequence=300, alias_base=64)
    arrived = arrivals([("DDATA", "unit-1", ordinary_one, 0)] * 2)
    harmed = bytearray(arrived[-1].payload)
    for _ in range(data.draw(st.integers(1, 3))):
        harmed[data.draw(st.integers(0, len(harmed) - 1))] = data.draw(st.integers(0, 255))
    host, one_by_one = SparkplugHost(host_id="host"), SparkplugHost(host_id="host")
    host.receive_all(arrived[:-1])
    for arrival in arrived[:-1]:
        one_by_one.receive(*arrival)
    last = arrived[-1]._replace(payload=bytes(harmed))
    assert plain(host.receive_all([last])[0]) == plain(one_by_one.receive(*last))


def ordinary(rows: int) -> SampleBatch:
    return SampleBatch(
        unit_id="unit-1",
        boot_id="1-a",
        frame=1,
        provenance=Provenance.MEASURED,
        sampled_at_ms=NOW_MS + np.arange(rows),
        time_uncertainty_s=0.25,
        temperatures_c=np.zeros((rows, 2), np.float32),
        voltages_v=np.ones((rows, 1), np.float32),
        ambient_c=np.zeros(rows, np.float32),
    )


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("odd", odd_metrics(64), ids=lambda metric: f"{metric.alias} {metric.datatype} {metric.value}")
@pytest.mark.parametrize("beside", [False, True])
def test_both_say_the_same_of_what_is_odd(rows: int, odd: Metric, beside: bool) -> None:
    metrics = batch_metrics(ordinary(rows), outbox_sequence=1, alias_base=64)
    others = metrics if beside else tuple(metric for metric in metrics if metric.alias != odd.alias)
    arrived = arrivals([("DDATA", "unit-1", (*others, odd), 0)] * 2)
    host, one_by_one = SparkplugHost(host_id="host"), SparkplugHost(host_id="host")
    for arrival in arrived:
        assert plain(host.receive_all([arrival])[0]) == plain(one_by_one.receive(*arrival))


def test_ordinary_messages_do_take_the_bulk_path() -> None:
    said = [("DDATA", "unit-1", batch_metrics(ordinary(1), outbox_sequence=1, alias_base=64), 0)] * 4
    *before, first, second, third = arrivals(said)
    host = SparkplugHost(host_id="host")
    host.receive_all([*before, first])
    told = host.receive_all([second, third])
    received = [event.received.batch for events in told for event in events if isinstance(event, BatchReceived)]
    assert len(received) == 2
    base = received[0].temperatures_c.base.base
    assert all(each.temperatures_c.base.base is base for each in received), "the arrays are views of one"
    assert not any(each.temperatures_c.flags.writeable for each in received)


def test_numbers_of_other_sizes_are_learned_and_another_boot_is_noticed() -> None:
    host, one_by_one = SparkplugHost(host_id="host"), SparkplugHost(host_id="host")
    said = []
    for boot in ("1-a", "2-b"):
        for frame in (1, 127, 128, 20_000, 2**40):
            batch = replace(ordinary(2), boot_id=boot, frame=frame)
            said += [("DDATA", "unit-1", batch_metrics(batch, outbox_sequence=frame, alias_base=64), 0)] * 2
    arrived = arrivals(said)
    for arrival in arrived:
        assert plain(host.receive_all([arrival])[0]) == plain(one_by_one.receive(*arrival))


def test_a_birth_of_scalars_has_no_layout() -> None:
    device = DeviceSession.born([Metric(name="Temperature/1", alias=1, datatype=DataType.FLOAT, value=1.0)])
    assert device.layout is None
    assert ArrayLayout.of({}, 1, 1) is None


def test_alias_0_is_left_to_the_general_path() -> None:
    """It is also what a metric without any alias shows."""
    births = device_birth_metrics(2, 1, (), alias_base=-SAMPLE_ALIASES["Samples/Temperature"])
    layout = ArrayLayout.of(Births(births).by_alias, 2, 1)
    assert layout is not None
    assert 0 not in layout.slots
