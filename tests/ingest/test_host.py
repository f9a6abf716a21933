"""The Sparkplug host as a pure function of what it hears."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.events import (
    BatchReceived,
    DeviceBorn,
    DeviceDied,
    HostDenied,
    NodeBorn,
    NodeDied,
    PositionReceived,
    RebirthWanted,
    Refused,
    SequenceGap,
)
from ingest.host import REBIRTH_EVERY_MS, SparkplugHost, rebirth_command
from telemetry.samples import Provenance, SampleBatch
from telemetry.sparkplug.batches import batch_metrics, device_birth_metrics
from telemetry.sparkplug.payload import DataType, Metric, Payload, decode_payload, encode_payload
from telemetry.sparkplug.topics import encode_state

NOW_MS = 1_800_000_000_000


class Wire:
    """Speaks as one edge node; `now_ms` is the host's clock."""

    def __init__(self) -> None:
        self.host = SparkplugHost(host_id="packwatch")
        self.now_ms = NOW_MS
        self.seq = 0

    def say(self, kind: str, *metrics: Metric, unit_id: str | None = None, seq: int | None = -1, node: str = "gw"):
        if seq == -1:
            seq = None if kind == "NDEATH" else self.seq
        if seq is not None:
            self.seq = (seq + 1) % 256
        topic = "/".join(("spBv1.0", "fleet", kind, node, *([unit_id] if unit_id else [])))
        payload = Payload(timestamp_ms=self.now_ms, seq=seq, metrics=metrics)
        births = kind in ("NBIRTH", "DBIRTH", "NDEATH")
        return self.host.receive(topic, encode_payload(payload, with_datatypes=births), self.now_ms)

    def born(self, bd_seq: int = 0):
        return self.say("NBIRTH", named("bdSeq", DataType.INT64, bd_seq), seq=0)

    def unit_born(self, unit_id: str = "unit", base: int = 64):
        return self.say("DBIRTH", *device_birth_metrics(3, 2, ("ambient_c",), alias_base=base), unit_id=unit_id)

    def data(self, unit_id: str = "unit", base: int = 64, frame: int = 1, **given):
        return self.say(
            "DDATA",
            *batch_metrics(a_batch(unit_id, frame), outbox_sequence=5, alias_base=base),
            unit_id=unit_id,
            **given,
        )


def named(name: str, datatype: DataType, value, **given) -> Metric:
    return Metric(name=name, datatype=datatype, value=value, timestamp_ms=NOW_MS, **given)


def a_batch(unit_id: str = "unit", frame: int = 1) -> SampleBatch:
    return SampleBatch(
        unit_id=unit_id,
        boot_id="1-a",
        frame=frame,
        provenance=Provenance.SIMULATED,
        sampled_at_ms=np.array([NOW_MS - 1000, NOW_MS]),
        time_uncertainty_s=0.25,
        temperatures_c=np.arange(6, dtype=np.float32).reshape(2, 3),
        voltages_v=np.full((2, 2), 3.5, np.float32),
        ambient_c=np.array([7, 8], np.float32),
    )


def kinds(events) -> list[type]:
    return [type(event) for event in events]


@pytest.fixture
def wire() -> Wire:
    return Wire()


def test_a_session_from_birth_to_death(wire: Wire) -> None:
    assert kinds(wire.born()) == [NodeBorn]
    assert wire.unit_born() == [DeviceBorn(fleet_id="fleet", gateway_id="gw", unit_id="unit", at_ms=NOW_MS)]
    [event] = wire.data()
    received = event.received
    assert (received.fleet_id, received.gateway_id, received.outbox_sequence) == ("fleet", "gw", 5)
    assert received.received_at_ms == NOW_MS
    expected = a_batch()
    np.testing.assert_array_equal(received.batch.temperatures_c, expected.temperatures_c)
    np.testing.assert_array_equal(received.batch.voltages_v, expected.voltages_v)
    np.testing.assert_array_equal(received.batch.ambient_c, expected.ambient_c)
    assert (received.batch.boot_id, received.batch.frame, received.batch.provenance) == ("1-a", 1, "simulated")
    assert kinds(wire.say("DDEATH", unit_id="unit")) == [DeviceDied]
    assert kinds(wire.say("NDEATH", named("bdSeq", DataType.INT64, 0))) == [NodeDied]


def test_the_same_alias_at_two_units_means_what_each_birth_said(wire: Wire) -> None:
    """The standard wants aliases unique in a node; one that repeats them in each device is understood all the same."""
    wire.born()
    wire.unit_born("unit-1", base=0)
    wire.unit_born("unit-2", base=0)
    assert [event.received.batch.unit_id for event in wire.data("unit-1", 0) + wire.data("unit-2", 0)] == [
        "unit-1",
        "unit-2",
    ]


class TestSequence:
    """Sequence numbers: gaps are counted and ask for a rebirth, data is taken all the same."""

    def test_255_is_followed_by_0(self, wire: Wire) -> None:
        wire.born()
        wire.unit_born()
        for frame in range(300):
            assert kinds(wire.data(frame=frame)) == [BatchReceived]

    def test_a_gap_is_counted_and_the_data_taken(self, wire: Wire) -> None:
        wire.born()
        wire.unit_born()
        events = wire.data(seq=5)
        assert kinds(events) == [SequenceGap, RebirthWanted, BatchReceived]
        assert events[0].missing == 3
        assert kinds(wire.data(frame=2)) == [BatchReceived], "after a gap the count goes on from there"

    def test_rebirths_are_asked_for_at_most_every_few_seconds(self, wire: Wire) -> None:
        wire.born()
        wire.unit_born()
        assert RebirthWanted in kinds(wire.data(seq=5))
        assert RebirthWanted not in kinds(wire.data(seq=50))
        wire.now_ms += REBIRTH_EVERY_MS
        assert RebirthWanted in kinds(wire.data(seq=100))

    def test_a_node_without_sequence_numbers_has_no_gaps(self, wire: Wire) -> None:
        wire.born()
        wire.unit_born()
        assert kinds(wire.data(seq=None)) == [BatchReceived]

    def test_each_node_is_asked_for_itself(self, wire: Wire) -> None:
        for node in ("gw-1", "gw-2"):
            events = wire.say("NDATA", named("x", DataType.INT64, 1), node=node, seq=0)
            assert events == [RebirthWanted(fleet_id="fleet", gateway_id=node, why="the node's birth was not received")]


class TestBirths:
    """Births and what lacks them."""

    def test_data_by_alias_before_its_birth_is_refused(self, wire: Wire) -> None:
        events = wire.data()
        assert kinds(events) == [RebirthWanted, Refused]
        assert (events[1].reason, events[1].unit_id) == ("birth_missing", "unit")

    def test_data_by_name_before_its_birth_is_taken(self, wire: Wire) -> None:
        metrics = [
            named("Samples/Time", DataType.DATE_TIME_ARRAY, np.array([NOW_MS])),
            named("Samples/Temperature", DataType.FLOAT_ARRAY, np.array([80.5, 20], np.float32)),
        ]
        events = wire.say("DDATA", *metrics, unit_id="unit")
        assert kinds(events) == [RebirthWanted, BatchReceived]
        assert events[1].received.batch.temperatures_c.tolist() == [[80.5, 20.0]]

    def test_an_alias_of_no_birth_asks_for_a_rebirth(self, wire: Wire) -> None:
        wire.born()
        wire.unit_born(base=64)
        events = wire.data(base=128)
        assert kinds(events) == [RebirthWanted, Refused]
        assert events[1].reason == "alias_unknown"

    def test_a_node_birth_voids_the_births_of_its_units(self, wire: Wire) -> None:
        wire.born()
        wire.unit_born()
        wire.born()
        assert Refused in kinds(wire.data())

    def test_a_changed_birth_changes_the_shape(self, wire: Wire) -> None:
        wire.born()
        wire.unit_born()
        wire.say("DBIRTH", *device_birth_metrics(2, 2, (), alias_base=64), unit_id="unit")
        events = wire.data()
        assert kinds(events) == [RebirthWanted, BatchReceived, Refused], "its temperatures are evaluated even so"
        assert events[2].reason == "alias_unknown", "the ambient sensor is gone"
        assert (events[1].received.batch.frame, events[1].received.outbox_sequence) == (None, None), "it comes again"

    def test_after_forgetting_every_node_is_asked(self, wire: Wire) -> None:
        wire.born()
        wire.unit_born()
        wire.host.forget()
        assert wire.host.missing_births(NOW_MS) == [
            RebirthWanted(fleet_id="fleet", gateway_id="gw", why="the host was disconnected")
        ]
        assert kinds(wire.data()) == [Refused], "asked already"
        wire.born()
        assert wire.host.missing_births(NOW_MS) == []

    def test_a_birth_whose_channel_count_is_no_number(self, wire: Wire) -> None:
        wire.born()
        [refused] = wire.say("DBIRTH", named("Channels/Temperature", DataType.STRING, "three"), unit_id="unit")
        assert refused.reason == "datatype"


class TestDeaths:
    """A death certificate ends the session of its own bdSeq, and no other."""

    def test_a_stale_will_is_ignored(self, wire: Wire) -> None:
        wire.born(bd_seq=1)
        wire.unit_born()
        assert wire.say("NDEATH", named("bdSeq", DataType.INT64, 0)) == []
        assert kinds(wire.data()) == [BatchReceived]

    def test_after_death_nothing_is_known(self, wire: Wire) -> None:
        wire.born(bd_seq=1)
        wire.unit_born()
        wire.say("NDEATH", named("bdSeq", DataType.INT64, 1))
        assert kinds(wire.data()) == [RebirthWanted, Refused]

    def test_a_death_that_names_no_birth_is_refused(self, wire: Wire) -> None:
        wire.born()
        [refused] = wire.say("NDEATH")
        assert refused.reason == "bd_seq_missing"

    def test_a_node_never_seen_can_die(self, wire: Wire) -> None:
        assert kinds(wire.say("NDEATH", named("bdSeq", DataType.INT64, 9))) == [NodeDied]


class TestScalars:
    """A plain third-party edge node: one metric a channel."""

    def test_by_name(self, wire: Wire) -> None:
        wire.born()
        birth = [named(f"Temperature/{n}", DataType.FLOAT, None, is_null=True) for n in (1, 2, 3)]
        assert kinds(wire.say("DBIRTH", *birth, unit_id="unit")) == [DeviceBorn]
        [event] = wire.say("DDATA", named("Temperature/2", DataType.FLOAT, 80.5), unit_id="unit")
        batch = event.received.batch
        assert (batch.boot_id, batch.frame, batch.provenance) == (None, None, Provenance.MEASURED)
        np.testing.assert_array_equal(batch.temperatures_c, [[np.nan, 80.5, np.nan]])
        assert batch.sampled_at_ms.tolist() == [NOW_MS]

    def test_by_alias_with_the_datatype_of_the_birth(self, wire: Wire) -> None:
        wire.born()
        birth = [
            named("Temperature/1", DataType.INT32, 20, alias=1),
            named("Voltage/1", DataType.DOUBLE, 3.7, alias=2),
        ]
        born, first = wire.say("DBIRTH", *birth, unit_id="unit")
        assert isinstance(born, DeviceBorn)
        assert first.received.batch.temperatures_c.tolist() == [[20.0]], "a node tells its first values in its birth"
        minus_five = Metric(alias=1, datatype=DataType.INT32, value=-5, timestamp_ms=NOW_MS + 1)
        [event] = wire.say("DDATA", minus_five, unit_id="unit")
        assert event.received.batch.temperatures_c.tolist() == [[-5.0]]

    def test_historical_values_are_a_batch_of_their_own(self, wire: Wire) -> None:
        wire.born()
        wire.say("DBIRTH", named("Temperature/1", DataType.FLOAT, None, is_null=True), unit_id="unit")
        late = Metric(name="Temperature/1", datatype=DataType.FLOAT, value=1.0, timestamp_ms=5, is_historical=True)
        live = named("Temperature/1", DataType.FLOAT, 2.0)
        events = wire.say("DDATA", late, live, unit_id="unit")
        assert sorted(
            (event.received.batch.historical, event.received.batch.temperatures_c[0, 0]) for event in events
        ) == [
            (False, 2.0),
            (True, 1.0),
        ]

    def test_metrics_of_other_names_are_left_alone(self, wire: Wire) -> None:
        wire.born()
        wire.say("DBIRTH", named("Properties/Firmware", DataType.STRING, "1.2"), unit_id="unit")
        assert wire.say("DDATA", named("Properties/Firmware", DataType.STRING, "1.3"), unit_id="unit") == []


class TestPositions:
    """Where the vehicle is."""

    def test_a_fix(self, wire: Wire) -> None:
        wire.born()
        [event] = wire.say(
            "NDATA",
            named("Position/Latitude", DataType.DOUBLE, 40.5),
            named("Position/Longitude", DataType.DOUBLE, -80.25),
            named("Position/Speed", DataType.DOUBLE, 25.0),
            named("Position/Heading", DataType.DOUBLE, 400.0),
            named("Position/FixTime", DataType.DATE_TIME, NOW_MS - 500),
            named("Outbox/Sequence", DataType.UINT64, 12),
        )
        assert isinstance(event, PositionReceived)
        assert event.outbox_sequence == 12
        fix = event.fix
        assert (fix.latitude_deg, fix.longitude_deg, fix.fixed_at_ms) == (40.5, -80.25, NOW_MS - 500)
        assert (fix.speed_m_s, fix.heading_deg, fix.accuracy_m) == (25.0, None, None), "no heading is 400 degrees"

    def test_other_node_metrics_are_no_position(self, wire: Wire) -> None:
        wire.born()
        assert wire.say("NDATA", named("Position/Latitude", DataType.DOUBLE, 40.5)) == []
        assert wire.say("NDATA", named("Health/OutboxFill", DataType.FLOAT, 0.5)) == []


class TestHosts:
    """STATE and commands."""

    @pytest.mark.parametrize(
        ("host_id", "online", "events"),
        [("packwatch", False, [HostDenied(timestamp_ms=NOW_MS)]), ("packwatch", True, []), ("another", False, [])],
    )
    def test_state(self, wire: Wire, host_id: str, online: bool, events: list) -> None:
        assert wire.host.receive(f"spBv1.0/STATE/{host_id}", encode_state(online, NOW_MS), NOW_MS) == events

    def test_a_state_of_ours_that_is_no_state(self, wire: Wire) -> None:
        [refused] = wire.host.receive("spBv1.0/STATE/packwatch", b"OFFLINE", NOW_MS)
        assert refused.reason == "state_malformed"

    @pytest.mark.parametrize("kind", ["NCMD", "DCMD"])
    def test_commands_are_for_nodes(self, wire: Wire, kind: str) -> None:
        unit = "/unit" if kind == "DCMD" else ""
        assert wire.host.receive(f"spBv1.0/fleet/{kind}/gw{unit}", b"\xff", NOW_MS) == []

    def test_the_rebirth_command_is_the_standards(self) -> None:
        payload = decode_payload(rebirth_command(NOW_MS))
        [metric] = payload.metrics
        assert (metric.name, metric.datatype, metric.value) == ("Node Control/Rebirth", DataType.BOOLEAN, True)
        assert payload.seq is None
