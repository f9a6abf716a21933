"""The Sparkplug session without a broker: what it says, in which order, and when it keeps silent."""

from dataclasses import replace

import numpy as np
import pytest

from gateway.records import DroppedRecord, FrameRecord, OutboxEntry, PositionRecord
from gateway.session import EdgeNodeSession
from gateway.session_states import TRANSITIONS, IllegalTransitionError, SessionEvent, SessionState
from telemetry.errors import WireError
from telemetry.samples import PositionFix, Provenance, SampleBatch
from telemetry.sparkplug.acknowledgement import Acknowledgement, DropRecord, Replaced, drop_from_metrics
from telemetry.sparkplug.batches import ALIASES_PER_DEVICE, SAMPLE_ALIASES
from telemetry.sparkplug.payload import DataType, Metric, Payload, decode_payload, encode_payload
from telemetry.sparkplug.topics import encode_state

NOW_MS = 1_790_000_000_000
NCMD = "spBv1.0/fleet/NCMD/truck"
STATE = "spBv1.0/STATE/host"


def session(*, host_id: str | None = "host", last_bd_seq: int | None = None) -> EdgeNodeSession:
    return EdgeNodeSession(
        fleet_id="fleet", gateway_id="truck", host_id=host_id, outbox_id="box", last_bd_seq=last_bd_seq
    )


def born(**kwargs) -> EdgeNodeSession:
    node = session(host_id=None, **kwargs)
    node.connect(NOW_MS)
    node.connected(NOW_MS)
    return node


def batch(unit_id: str = "u1", frame: int = 0, *, channels: int = 3, **singles) -> SampleBatch:
    return SampleBatch(
        unit_id=unit_id,
        boot_id="b1",
        frame=frame,
        provenance=Provenance.MEASURED,
        sampled_at_ms=np.array([NOW_MS - 1000, NOW_MS], np.int64),
        time_uncertainty_s=0.1,
        temperatures_c=np.full((2, channels), 25.0, np.float32),
        voltages_v=np.zeros((2, 0), np.float32),
        **singles,
    )


def entry(sequence: int | None, content: SampleBatch, *, historical: bool = False) -> OutboxEntry:
    record = FrameRecord(batch=content, accepted_at_ms=NOW_MS)
    return OutboxEntry(sequence=sequence, record=record, size_bytes=1, historical=historical)


def command(*metrics: Metric) -> bytes:
    return encode_payload(Payload(timestamp_ms=NOW_MS, metrics=metrics))


def kinds(messages) -> list[str]:
    return ["/".join(message.topic.split("/")[2::2]) for message in messages]


def seqs(messages) -> list[int | None]:
    return [decode_payload(message.payload).seq for message in messages]


def named(message) -> dict:
    return {metric.name: metric for metric in decode_payload(message.payload).metrics}


def test_the_will_is_the_death_with_the_bd_seq_and_nothing_else():
    will = session().connect(NOW_MS)
    assert (will.topic, will.qos) == ("spBv1.0/fleet/NDEATH/truck", 1)
    payload = decode_payload(will.payload)
    assert payload.seq is None
    assert [(metric.name, metric.datatype, metric.value) for metric in payload.metrics] == [
        ("bdSeq", DataType.INT64, 0)
    ]


@pytest.mark.parametrize(("last", "following"), [(None, 0), (0, 1), (254, 255), (255, 0)])
def test_every_connect_raises_the_bd_seq_which_wraps_after_255(last, following):
    node = session(last_bd_seq=last)
    node.connect(NOW_MS)
    assert node.bd_seq == following
    node.lost()
    node.connect(NOW_MS)
    assert node.bd_seq == (following + 1) % 256


def test_the_birth_tells_every_metric_the_node_will_ever_publish():
    node = session(host_id=None)
    node.connect(NOW_MS)
    node.settled(Acknowledgement(outbox_id="box", floor=7, ranges=((9, 12), (14, 14))))
    (birth,) = node.connected(NOW_MS)
    assert (birth.topic, birth.qos) == ("spBv1.0/fleet/NBIRTH/truck", 0)
    payload = decode_payload(birth.payload)
    assert (payload.seq, payload.timestamp_ms) == (0, NOW_MS)
    metrics = named(birth)
    assert metrics["bdSeq"].value == 0
    assert (metrics["Node Control/Rebirth"].value, metrics["Node Control/Rebirth"].alias) == (False, None)
    assert metrics["Outbox/Id"].value == "box"
    assert metrics["Outbox/Stored"].value == 7
    assert metrics["Outbox/StoredRanges"].value.tolist() == [9, 12, 14, 14]
    for name in ("Outbox/Sequence", "Position/Latitude", "Health/Refused", "Health/FramesRefused"):
        assert metrics[name].is_null, name
    assert all(metric.datatype is not None and metric.timestamp_ms == NOW_MS for metric in metrics.values())


def test_nothing_is_born_before_the_primary_host_is_online():
    node = session()
    node.connect(NOW_MS)
    assert node.subscriptions() == (NCMD, "spBv1.0/fleet/DCMD/truck/+", STATE)
    assert node.connected(NOW_MS) == ()
    assert node.state is SessionState.WAITING
    with pytest.raises(IllegalTransitionError, match="while waiting"):
        node.publish(entry(1, batch()), NOW_MS)
    rebirth = Metric(name="Node Control/Rebirth", datatype=DataType.BOOLEAN, value=True)
    assert node.receive(NCMD, command(rebirth), NOW_MS).messages == ()
    assert kinds(node.receive(STATE, encode_state(True, 5), NOW_MS).messages) == ["NBIRTH"]


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ([(True, 5)], SessionState.BORN),
        ([(False, 5)], SessionState.WAITING),
        ([(False, 5), (True, 4)], SessionState.WAITING),  # older than what was said before: not believed
        ([(False, 5), (True, 5)], SessionState.BORN),
        ([(True, 5), (False, 4)], SessionState.BORN),  # the will of a connection that the host replaced
        ([(True, 5), (False, 5)], SessionState.OFFLINE),  # the will of this very connection
        ([(True, 5), (True, 6), (False, 5)], SessionState.BORN),
        ([(True, 5), (False, 6), (True, 7)], SessionState.OFFLINE),  # it disconnects first, and comes back anew
    ],
)
def test_the_primary_host_is_believed_by_its_timestamps(said, state):
    node = session()
    node.connect(NOW_MS)
    node.connected(NOW_MS)
    for online, timestamp_ms in said:
        node.receive(STATE, encode_state(online, timestamp_ms), NOW_MS)
    assert node.state is state


def test_a_node_whose_host_goes_offline_dies_disconnects_and_waits_on_the_next_connection():
    node = session()
    node.connect(NOW_MS)
    node.connected(NOW_MS)
    node.receive(STATE, encode_state(True, 5), NOW_MS)
    assert kinds(node.receive(STATE, encode_state(False, 5), NOW_MS).messages) == ["NDEATH"]
    assert node.state is SessionState.OFFLINE
    node.lost()
    node.connect(NOW_MS)
    node.connected(NOW_MS)
    assert node.receive(STATE, encode_state(False, 5), NOW_MS).messages == ()  # retained: no loop of reconnects
    assert node.state is SessionState.WAITING
    (birth,) = node.receive(STATE, encode_state(True, 6), NOW_MS).messages
    assert named(birth)["bdSeq"].value == 1


def test_a_unit_is_born_with_its_first_data_and_again_when_its_channels_change():
    node = born()
    assert kinds(node.publish(entry(1, batch()), NOW_MS)) == ["DBIRTH/u1", "DDATA/u1"]
    assert kinds(node.publish(entry(2, batch(frame=1)), NOW_MS)) == ["DDATA/u1"]
    wider = node.publish(entry(3, batch(frame=2, channels=4)), NOW_MS)
    assert kinds(wider) == ["DBIRTH/u1", "DDATA/u1"]
    assert named(wider[0])["Channels/Temperature"].value == 4
    fitted = batch(frame=3, channels=4, hydrogen_ppm=np.zeros(2, np.float32))
    assert kinds(node.publish(entry(4, fitted), NOW_MS)) == ["DBIRTH/u1", "DDATA/u1"]


def test_aliases_are_unique_across_the_units_of_a_node():
    node = born()
    births = [node.publish(entry(number, batch(unit_id)), NOW_MS)[0] for number, unit_id in enumerate(("u1", "u2"), 1)]
    aliases = [metric.alias for birth in births for metric in decode_payload(birth.payload).metrics]
    assert None not in aliases
    assert len(set(aliases)) == len(aliases)


def test_data_go_by_alias_without_name_and_datatype():
    node = born()
    _, data = node.publish(entry(17, batch(frame=6)), NOW_MS)
    metrics = {metric.alias - ALIASES_PER_DEVICE: metric for metric in decode_payload(data.payload).metrics}
    assert all(metric.name is None and metric.datatype is None for metric in metrics.values())
    assert metrics[SAMPLE_ALIASES["Outbox/Sequence"]].value == 17
    assert metrics[SAMPLE_ALIASES["Source/Frame"]].value == 6
    assert not any(metric.is_historical for metric in metrics.values())


@pytest.mark.parametrize("historical", [False, True])
def test_what_is_sent_again_or_late_is_historical(historical):
    messages = born().publish(entry(1, batch(), historical=historical), NOW_MS)
    assert all(metric.is_historical is historical for metric in decode_payload(messages[-1].payload).metrics)


def test_a_record_that_the_outbox_could_not_keep_has_no_number():
    messages = born().publish(entry(None, batch()), NOW_MS)
    aliases = {metric.alias - ALIASES_PER_DEVICE for metric in decode_payload(messages[-1].payload).metrics}
    assert SAMPLE_ALIASES["Outbox/Sequence"] not in aliases


def test_what_was_given_up_is_told_under_a_number_of_its_own():
    detail = Replaced(
        unit_id="u1",
        boot_id="b1",
        first_frame=1,
        last_frame=4,
        kept="none",
        kept_period_ms=None,
        samples_lost=9,
        from_ms=1,
        to_ms=2,
        why="full",
    )
    drop = DropRecord(sequence=7, ranges=((2, 5),), details=(detail,))
    record = DroppedRecord(drop=drop, accepted_at_ms=NOW_MS)
    node = born()
    (message,) = node.publish(OutboxEntry(sequence=7, record=record, size_bytes=1), NOW_MS)
    assert kinds([message]) == ["NDATA"]
    assert drop_from_metrics(decode_payload(message.payload).metrics) == drop


def test_the_sequence_number_runs_over_all_messages_and_wraps():
    node = born()
    messages = [message for number in range(300) for message in node.publish(entry(number, batch()), NOW_MS)]
    messages.append(node.report({"Health/UnitsTalking": 1}, NOW_MS))
    messages += node.device_silent("u1", NOW_MS)
    assert kinds(messages[-2:]) == ["NDATA", "DDEATH/u1"]
    assert seqs(messages) == [(1 + number) % 256 for number in range(303)]


def test_a_silent_unit_dies_once_and_is_born_again_when_it_returns():
    node = born()
    node.publish(entry(1, batch()), NOW_MS)
    assert kinds(node.device_silent("u1", NOW_MS)) == ["DDEATH/u1"]
    assert node.device_silent("u1", NOW_MS) == ()
    assert node.device_silent("nobody", NOW_MS) == ()
    assert kinds(node.publish(entry(2, batch(frame=1)), NOW_MS)) == ["DBIRTH/u1", "DDATA/u1"]


def test_a_rebirth_starts_the_sequence_again_with_the_same_bd_seq_and_all_units_that_talk():
    node = born(last_bd_seq=41)
    for number, unit_id in enumerate(("u1", "u2", "u3"), 1):
        node.device_heard(unit_id, batch(unit_id))
        node.publish(entry(number, batch(unit_id)), NOW_MS)
    node.device_silent("u2", NOW_MS)
    reaction = node.receive(
        NCMD, command(Metric(name="Node Control/Rebirth", datatype=DataType.BOOLEAN, value=True)), NOW_MS
    )
    assert kinds(reaction.messages) == ["NBIRTH", "DBIRTH/u1", "DBIRTH/u3"]
    assert seqs(reaction.messages) == [0, 1, 2]
    assert named(reaction.messages[0])["bdSeq"].value == 42
    assert seqs(node.publish(entry(4, batch("u1", 1)), NOW_MS)) == [3]


def test_units_heard_while_the_host_was_away_are_part_of_the_birth():
    node = session()
    node.connect(NOW_MS)
    node.connected(NOW_MS)
    node.device_heard("u1", batch())
    messages = node.receive(STATE, encode_state(True, 1), NOW_MS).messages
    assert kinds(messages) == ["NBIRTH", "DBIRTH/u1"]
    assert kinds(node.publish(entry(1, batch()), NOW_MS)) == ["DDATA/u1"]


def test_a_position_goes_out_as_node_data_with_its_sequence_and_is_part_of_the_next_birth():
    node = born()
    fix = PositionFix(
        fleet_id="fleet",
        gateway_id="truck",
        fixed_at_ms=NOW_MS - 5,
        latitude_deg=36.1,
        longitude_deg=-115.2,
        speed_m_s=27.5,
    )
    record = PositionRecord(fix=fix, accepted_at_ms=NOW_MS)
    (message,) = node.publish(OutboxEntry(sequence=3, record=record, size_bytes=1), NOW_MS)
    assert message.topic == "spBv1.0/fleet/NDATA/truck"
    metrics = named(message)
    assert metrics["Position/Latitude"].value == 36.1
    assert metrics["Position/Heading"].is_null
    assert metrics["Outbox/Sequence"].value == 3
    assert metrics["Position/Latitude"].timestamp_ms == NOW_MS - 5
    (birth,) = node.receive(
        NCMD, command(Metric(name="Node Control/Rebirth", datatype=DataType.BOOLEAN, value=True)), NOW_MS
    ).messages
    assert named(birth)["Position/FixTime"].value == NOW_MS - 5
    assert named(birth)["Outbox/Sequence"].is_null


def test_an_acknowledgement_is_read_with_and_without_datatypes():
    metrics = (
        Metric(name="Outbox/Id", datatype=DataType.STRING, value="box"),
        Metric(name="Outbox/Stored", datatype=DataType.UINT64, value=5),
        Metric(name="Outbox/StoredRanges", datatype=DataType.UINT64_ARRAY, value=np.array([7, 9, 11, 11], np.uint64)),
    )
    for with_datatypes in (True, False):
        payload = encode_payload(Payload(timestamp_ms=NOW_MS, metrics=metrics), with_datatypes=with_datatypes)
        acknowledgement = born().receive(NCMD, payload, NOW_MS).acknowledgement
        assert (acknowledgement.outbox_id, acknowledgement.floor) == ("box", 5)
        assert acknowledgement.ranges == ((7, 9), (11, 11))


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        (NCMD, b"\xff\xff", "protobuf_malformed"),
        (STATE, b"online", "state_malformed"),
        ("spBv1.0/STATE/other", encode_state(True, 1), "topic"),
        ("spBv1.0/fleet/DCMD/truck/u1", b"\xff\xff", "protobuf_malformed"),
        ("spBv1.0/fleet/DCMD/other/u1", b"", "topic"),
        ("spBv1.0/fleet/DDATA/truck/u1", b"", "topic"),
        (
            NCMD,
            command(
                Metric(name="Outbox/Id", datatype=DataType.STRING, value="box"),
                Metric(name="Outbox/StoredRanges", datatype=DataType.UINT64_ARRAY, value=np.array([7], np.uint64)),
            ),
            "array_length",
        ),
    ],
)
def test_what_is_no_command_is_refused_and_changes_nothing(topic, payload, reason):
    node = session()
    node.connect(NOW_MS)
    node.connected(NOW_MS)
    node.receive(STATE, encode_state(True, 1), NOW_MS)
    with pytest.raises(WireError) as refused:
        node.receive(topic, payload, NOW_MS)
    assert refused.value.reason == reason
    assert node.state is SessionState.BORN


def test_commands_of_unknown_names_are_ignored():
    reaction = born().receive(
        NCMD, command(Metric(name="Node Control/Reboot", datatype=DataType.BOOLEAN, value=True)), NOW_MS
    )
    assert reaction.messages == ()


def test_an_event_that_cannot_happen_raises_and_changes_nothing():
    node = session()
    with pytest.raises(IllegalTransitionError, match="connected cannot happen while offline"):
        node.connected(NOW_MS)
    assert node.state is SessionState.OFFLINE


def test_a_connection_can_be_lost_and_a_node_stopped_in_every_state():
    for state in SessionState:
        for event in (SessionEvent.LOST, SessionEvent.STOP):
            assert TRANSITIONS[state, event][0] is SessionState.OFFLINE


def test_a_record_keeps_its_time_whatever_happens_to_the_session():
    content = replace(batch(), time_uncertainty_s=0.25)
    node = born()
    first = node.publish(entry(1, content), NOW_MS)[-1]
    again = node.publish(entry(1, content, historical=True), NOW_MS + 90_000)[-1]
    times = [
        next(metric.value for metric in decode_payload(message.payload).metrics if metric.alias == 64 + 3)
        for message in (first, again)
    ]
    assert SAMPLE_ALIASES["Samples/Time"] == 3
    assert times[0] == times[1]
