"""Sparkplug topics and the host's STATE."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.errors import WireError
from telemetry.identifiers import IdentifierError
from telemetry.sparkplug.topics import (
    HostState,
    MessageType,
    StateTopic,
    Topic,
    decode_state,
    encode_state,
    format_topic,
    parse_topic,
    state_topic,
)

identifiers = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("spBv1.0/f/NBIRTH/g", Topic(fleet_id="f", message_type=MessageType.NBIRTH, gateway_id="g")),
        ("spBv1.0/f/NDATA/g", Topic(fleet_id="f", message_type=MessageType.NDATA, gateway_id="g")),
        ("spBv1.0/f/NDEATH/g", Topic(fleet_id="f", message_type=MessageType.NDEATH, gateway_id="g")),
        ("spBv1.0/f/NCMD/g", Topic(fleet_id="f", message_type=MessageType.NCMD, gateway_id="g")),
        ("spBv1.0/f/DBIRTH/g/u", Topic(fleet_id="f", message_type=MessageType.DBIRTH, gateway_id="g", unit_id="u")),
        ("spBv1.0/f/DDATA/g/u", Topic(fleet_id="f", message_type=MessageType.DDATA, gateway_id="g", unit_id="u")),
        ("spBv1.0/f/DDEATH/g/u", Topic(fleet_id="f", message_type=MessageType.DDEATH, gateway_id="g", unit_id="u")),
        ("spBv1.0/f/DCMD/g/u", Topic(fleet_id="f", message_type=MessageType.DCMD, gateway_id="g", unit_id="u")),
        ("spBv1.0/STATE/packwatch", StateTopic(host_id="packwatch")),
    ],
)
def test_topics_are_parsed_and_written(text, topic):
    assert parse_topic(text) == topic
    assert format_topic(topic) == text


@given(identifiers, st.sampled_from(MessageType), identifiers, identifiers)
def test_every_topic_survives_its_text(fleet_id, message_type, gateway_id, unit_id):
    if message_type is MessageType.STATE:
        topic = StateTopic(host_id=gateway_id)
    else:
        topic = Topic(
            fleet_id=fleet_id,
            message_type=message_type,
            gateway_id=gateway_id,
            unit_id=unit_id if message_type.of_device else None,
        )
    assert parse_topic(format_topic(topic)) == topic


def test_a_fleet_may_be_called_state():
    topic = Topic(fleet_id="STATE", message_type=MessageType.NDATA, gateway_id="g")
    assert parse_topic(format_topic(topic)) == topic


@pytest.mark.parametrize(
    "text",
    [
        "",
        "spBv1.0",
        "spBv1.0/STATE",
        "spBv1.0/STATE/a/b",
        "spBv1.0/STATE/a b",
        "spBv1.0/f/NBIRTH",
        "spBv1.0/f/NBIRTH/g/u",
        "spBv1.0/f/DDATA/g",
        "spBv1.0/f/DDATA/g/u/more",
        "spBv1.0/f/NODATA/g",
        "spBv1.0/f/STATE/g",
        "spBv1.0/f/ndata/g",
        "spBv1.0/f f/NDATA/g",
        "spBv1.0/f/NDATA/" + "g" * 65,
        "spAv1.0/f/NDATA/g",
        "spBv1.0//NDATA/g",
    ],
)
def test_other_topics_are_refused(text):
    with pytest.raises(WireError) as caught:
        parse_topic(text)
    assert caught.value.reason == "topic"


@pytest.mark.parametrize(
    "topic",
    [
        Topic(fleet_id="f", message_type=MessageType.NDATA, gateway_id="g", unit_id="u"),
        Topic(fleet_id="f", message_type=MessageType.DDATA, gateway_id="g"),
        Topic(fleet_id="f", message_type=MessageType.STATE, gateway_id="g"),
        Topic(fleet_id="#", message_type=MessageType.NDATA, gateway_id="g"),
    ],
)
def test_a_topic_that_cannot_be_is_not_written(topic):
    with pytest.raises(WireError):
        format_topic(topic)


def test_a_host_id_is_an_identifier():
    with pytest.raises(IdentifierError):
        state_topic("a/b")


@given(st.booleans(), st.integers(0, 2**53 - 1))
def test_a_state_survives_its_bytes(online, timestamp_ms):
    assert decode_state(encode_state(online, timestamp_ms)) == HostState(online, timestamp_ms)


def test_what_a_later_standard_adds_to_a_state_is_left_alone():
    assert decode_state(b'{"timestamp": 5, "more": [1], "online": false}') == HostState(online=False, timestamp_ms=5)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"ONLINE",
        b"null",
        b"[true, 5]",
        b'{"online": true}',
        b'{"online": 1, "timestamp": 5}',
        b'{"online": true, "timestamp": "5"}',
        b'{"online": true, "timestamp": true}',
        b'{"online": true, "timestamp": -1}',
        b'{"online": true, "timestamp": 1e400}',
        b'{"online": true, "timestamp": 99999999999999999999999}',
        b'{"online": true, "timestamp": 5',
        b"[" * 4_000,
        b'{"online": true, "timestamp": 5, "more": "' + b"x" * 5_000 + b'"}',
        b"\xff\xfe",
    ],
)
def test_other_states_are_refused(payload):
    with pytest.raises(WireError) as caught:
        decode_state(payload)
    assert caught.value.reason == "state_malformed"
