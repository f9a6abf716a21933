"""Both wires against bytes derived by hand: whoever else implements them meets the same ones."""

import numpy as np
import pytest

from telemetry.frames import batch_from_frame, decode_frame, encode_frame, frame_from_values
from telemetry.samples import PositionFix, Provenance, Quality
from telemetry.sparkplug.batches import (
    SAMPLE_ALIASES,
    SAMPLE_DATATYPES,
    batch_from_metrics,
    batch_metrics,
    device_birth_metrics,
)
from telemetry.sparkplug.payload import DataType, Metric, Payload, decode_payload, encode_payload, resolve_metric
from telemetry.sparkplug.scalars import batches_from_scalars
from telemetry.sparkplug.topics import HostState, decode_state, encode_state
from telemetry.unit_link import (
    ClockBeat,
    StoredReceipt,
    UnitConfig,
    decode_clock_beat,
    decode_position,
    decode_stored_receipt,
    decode_unit_config,
    encode_clock_beat,
    encode_position,
    encode_stored_receipt,
    encode_unit_config,
)

T0_MS = 1_486_144_502_122
NAN = float("nan")

FRAME = frame_from_values(
    boot_id="17-a3f9",
    number=300,
    tick_ms=70_000,
    period_ms=1_000,
    provenance=Provenance.MEASURED,
    utc_at_tick_zero_ms=T0_MS,
    lost_frames=2,
    temperatures_c=[[24.70, NAN], [25.05, -0.05]],
    voltages_v=[[3.7], [NAN]],
    pack_voltage_v=[399.6, NAN],
    ambient_c=[20.0, -20.0],
)
FIX = PositionFix(
    fleet_id="fleet-1",
    gateway_id="truck-1",
    fixed_at_ms=T0_MS,
    latitude_deg=41.5,
    longitude_deg=-87.25,
    speed_m_s=26.0,
    heading_deg=90.0,
)
NODE_BIRTH = Payload(
    timestamp_ms=T0_MS,
    seq=0,
    metrics=(
        Metric(name="bdSeq", datatype=DataType.INT64, value=7, timestamp_ms=T0_MS),
        Metric(name="Node Control/Rebirth", datatype=DataType.BOOLEAN, value=False, timestamp_ms=T0_MS),
        Metric(name="Outbox/Id", datatype=DataType.STRING, value="k3", timestamp_ms=T0_MS),
        Metric(name="Position/Latitude", datatype=DataType.DOUBLE, value=41.5, timestamp_ms=T0_MS),
        Metric(name="Health/Count", datatype=DataType.INT32, value=-5, timestamp_ms=T0_MS),
    ),
)
REBIRTH = Payload(
    timestamp_ms=T0_MS,
    metrics=(Metric(name="Node Control/Rebirth", datatype=DataType.BOOLEAN, value=True, timestamp_ms=T0_MS),),
)
DEVICE_BIRTH = Payload(
    timestamp_ms=T0_MS,
    seq=1,
    metrics=device_birth_metrics(2, 1, ["ambient_c"], alias_base=64, timestamp_ms=T0_MS),
)
ARRAYS = {
    DataType.INT8_ARRAY: [-23, 123],
    DataType.INT16_ARRAY: [-30_000, 30_000],
    DataType.INT32_ARRAY: [-1, 315_338_746],
    DataType.INT64_ARRAY: [-4_270_929_666_821_191_986, -3_601_064_768_563_266_876],
    DataType.UINT8_ARRAY: [23, 250],
    DataType.UINT16_ARRAY: [30, 52_360],
    DataType.UINT32_ARRAY: [52, 3_293_969_225],
    DataType.UINT64_ARRAY: [52, 16_444_743_074_749_521_625],
    DataType.FLOAT_ARRAY: [1.23, 89.341],
    DataType.DOUBLE_ARRAY: [12.354213, 1022.9123213],
    DataType.BOOLEAN_ARRAY: [bool(int(bit)) for bit in "001101001101"],
    DataType.STRING_ARRAY: ["ABC", "hello"],
    DataType.DATE_TIME_ARRAY: [1_256_102_875_335, 1_656_107_875_000],
}


def array_batch(golden):
    """Decode the golden array batch as a host does: by the aliases of the golden birth."""
    born = {metric.alias: metric for metric in decode_payload(golden["dbirth"]).metrics}
    payload = decode_payload(golden["ddata_arrays"])
    metrics = [
        resolve_metric(metric, name=born[metric.alias].name, datatype=born[metric.alias].datatype)
        for metric in payload.metrics
    ]
    return batch_from_metrics(metrics, unit_id="unit-1", temperature_channels=2, voltage_channels=1)


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("unit_frame", encode_frame(FRAME)),
        ("clock_beat", encode_clock_beat(ClockBeat(boot_id="17-a3f9", tick_ms=70_000))),
        ("stored_receipt", encode_stored_receipt(StoredReceipt(boot_id="17-a3f9", frame=300))),
        ("unit_config", encode_unit_config(UnitConfig(report_interval_s=1.0))),
        ("position", encode_position(FIX)),
        ("state", encode_state(online=True, timestamp_ms=T0_MS)),
        ("nbirth", encode_payload(NODE_BIRTH)),
        ("dbirth", encode_payload(DEVICE_BIRTH)),
        ("ncmd_rebirth", encode_payload(REBIRTH, with_datatypes=False)),
        (
            "arrays",
            encode_payload(
                Payload(
                    metrics=tuple(
                        Metric(name=str(int(datatype)), datatype=datatype, value=value)
                        for datatype, value in ARRAYS.items()
                    )
                )
            ),
        ),
    ],
)
def test_what_we_send_is_what_the_standard_says(golden, name, encoded):
    assert encoded.hex() == golden[name].hex()


def test_a_frame_is_read(golden):
    frame = decode_frame(golden["unit_frame"])
    assert (frame.boot_id, frame.number, frame.tick_ms, frame.period_ms) == ("17-a3f9", 300, 70_000, 1_000)
    assert (frame.provenance, frame.utc_at_tick_zero_ms, frame.lost_frames) == (Provenance.MEASURED, T0_MS, 2)
    assert frame.temperatures_raw.tolist() == [[494, -32_768], [501, -1]]
    assert frame.voltages_mv.tolist() == [[3_700], [65_535]]
    assert frame.pack_voltage_dv.tolist() == [3_996, 65_535]
    assert frame.ambient_raw.tolist() == [400, -400]
    assert frame.humidity_raw is None


def test_a_frame_becomes_a_batch_in_physical_units(golden):
    batch = batch_from_frame(
        decode_frame(golden["unit_frame"]), unit_id="unit-1", utc_at_tick_zero_ms=T0_MS, time_uncertainty_s=0.02
    )
    assert batch.sampled_at_ms.tolist() == [T0_MS + 70_000, T0_MS + 71_000]
    np.testing.assert_array_equal(batch.temperatures_c, np.float32([[24.7, NAN], [25.05, -0.05]]))
    np.testing.assert_array_equal(batch.voltages_v, np.float32([[3.7, 399.6], [NAN, NAN]]))
    np.testing.assert_array_equal(batch.ambient_c, np.float32([20.0, -20.0]))
    assert batch.quality.tolist() == [Quality.GOOD, Quality.GOOD]


def test_the_unit_link_is_read(golden):
    assert decode_clock_beat(golden["clock_beat"]) == ClockBeat(boot_id="17-a3f9", tick_ms=70_000)
    assert decode_stored_receipt(golden["stored_receipt"]) == StoredReceipt(boot_id="17-a3f9", frame=300)
    assert decode_unit_config(golden["unit_config"]) == UnitConfig(report_interval_s=1.0)
    assert decode_position(golden["position"], "fleet-1", "truck-1") == FIX


def test_state_is_read(golden):
    assert decode_state(golden["state"]) == HostState(online=True, timestamp_ms=T0_MS)


def test_a_node_birth_is_read(golden):
    payload = decode_payload(golden["nbirth"])
    assert (payload.timestamp_ms, payload.seq) == (T0_MS, 0)
    assert [(m.name, m.datatype, m.value, m.timestamp_ms) for m in payload.metrics] == [
        (m.name, m.datatype, m.value, m.timestamp_ms) for m in NODE_BIRTH.metrics
    ]


def test_a_rebirth_command_is_read(golden):
    payload = decode_payload(golden["ncmd_rebirth"])
    assert payload.seq is None
    assert [(m.name, m.datatype, m.value) for m in payload.metrics] == [("Node Control/Rebirth", None, True)]


def test_a_device_birth_is_read(golden):
    payload = decode_payload(golden["dbirth"])
    assert payload.seq == 1
    assert {m.name: (m.alias, m.datatype, m.value) for m in payload.metrics} == {
        m.name: (m.alias, m.datatype, m.value) for m in DEVICE_BIRTH.metrics
    }
    assert [m.name for m in payload.metrics if not m.is_null] == ["Channels/Temperature", "Channels/Voltage"]


def test_an_array_batch_is_read_by_alias(golden):
    batch, outbox_sequence = array_batch(golden)
    assert outbox_sequence == 9
    assert (batch.boot_id, batch.frame, batch.provenance) == ("17-a3f9", 300, Provenance.MEASURED)
    assert (batch.time_uncertainty_s, batch.historical) == (0.25, False)
    assert batch.sampled_at_ms.tolist() == [T0_MS, T0_MS + 1_000]
    np.testing.assert_array_equal(batch.temperatures_c, np.float32([[24.75, NAN], [60.5, -1.5]]))
    np.testing.assert_array_equal(batch.voltages_v, np.float32([[3.6875], [3.5]]))
    np.testing.assert_array_equal(batch.ambient_c, np.float32([7.0, 0.25]))
    assert batch.humidity_pct is None


def test_the_array_batch_is_written_by_alias(golden):
    batch, _ = array_batch(golden)
    payload = Payload(timestamp_ms=T0_MS + 2_000, seq=2, metrics=batch_metrics(batch, outbox_sequence=9, alias_base=64))
    assert encode_payload(payload, with_datatypes=False).hex() == golden["ddata_arrays"].hex()


def test_scalars_of_a_plain_edge_node_are_read(golden):
    payload = decode_payload(golden["ddata_scalars"])
    (batch,) = batches_from_scalars(
        payload.metrics,
        unit_id="unit-1",
        temperature_channels=2,
        voltage_channels=None,
        payload_timestamp_ms=payload.timestamp_ms,
    )
    assert batch.sampled_at_ms.tolist() == [T0_MS, T0_MS + 1_000]
    np.testing.assert_array_equal(batch.temperatures_c, np.float32([[24.75, NAN], [60.5, NAN]]))
    np.testing.assert_array_equal(batch.voltages_v, np.float32([[3.6875], [NAN]]))
    np.testing.assert_array_equal(batch.ambient_c, np.float32([NAN, NAN]))
    assert (batch.boot_id, batch.frame) == (None, None)


def test_every_array_type_is_read(golden):
    metrics = decode_payload(golden["arrays"]).metrics
    assert [m.datatype for m in metrics] == list(ARRAYS)
    for metric in metrics:
        expected = ARRAYS[metric.datatype]
        if metric.datatype is DataType.FLOAT_ARRAY:
            expected = np.float32(expected).tolist()
        assert list(metric.value) == expected
        if metric.datatype is not DataType.STRING_ARRAY:
            assert not metric.value.flags.writeable


def test_aliases_are_part_of_the_bytes_that_travel():
    # Gateways in the field use these numbers: a change of one is a change of the wire.
    assert list(SAMPLE_ALIASES.values()) == list(range(1, len(SAMPLE_DATATYPES) + 1))
    assert SAMPLE_ALIASES["Samples/Time"] == 3
    assert SAMPLE_ALIASES["Samples/Shock"] == 12
    assert SAMPLE_ALIASES["Outbox/Sequence"] == 17
