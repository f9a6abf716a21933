"""The client that reads in bulk: however the network cuts the stream, the same messages come out, in their order."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from ingest.bulk_client import BulkClient


class Ear(BulkClient):
    """A client without a network: what would be read from a socket is given."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, bytes]] = []
        super().__init__(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311, on_bulk=self.heard.extend)
        self.on_message = lambda _client, _userdata, message: self.heard.append((message._topic, message.payload))

    def _send_puback(self, _mid: int) -> MQTTErrorCode:
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def hear(self, piece: bytes) -> MQTTErrorCode:
        return self._cut(self._rest + piece)


def packet(first: int, topic: bytes, payload: bytes) -> bytes:
    packet_id = b"\x00\x07" if first & 0x06 else b""
    body = struct.pack(">H", len(topic)) + topic + packet_id + payload
    length, size = b"", len(body)
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([first]) + length + bytes([size]) + body


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0x30, 0x31, 0x32]),
            st.sampled_from([b"t", b"spBv1.0/f/DDATA/g/u", b"\xff\xfe"]),
            st.sampled_from([b"", b"x", bytes(200), bytes(20_000)]),
        ),
        max_size=8,
    ),
    st.lists(st.integers(1, 30_000), max_size=20),
)
def test_the_same_messages_however_the_stream_is_cut(said: list[tuple[int, bytes, bytes]], cuts: list[int]) -> None:
    stream = b"\xd0\x00".join([b"", *(packet(*each) for each in said), b""])  # a PINGRESP around each
    ear = Ear()
    at = 0
    for cut in [*cuts, len(stream)]:
        assert ear.hear(stream[at : at + cut]) == MQTTErrorCode.MQTT_ERR_SUCCESS
        at += cut
    assert ear.heard == [(topic, payload) for _, topic, payload in said]


@pytest.mark.parametrize(
    ("stream", "what"),
    [
        (b"\x30\xff\xff\xff\xff\x01", "a length of five bytes"),
        (b"\x30\x01\x00", "a message too short for a topic"),
        (b"\x30\x03\x00\x05a", "a topic that is longer than its message"),
    ],
)
def test_nonsense_ends_the_connection(stream: bytes, what: str) -> None:
    ear = Ear()
    assert ear.hear(packet(0x30, b"t", b"before") + stream) == MQTTErrorCode.MQTT_ERR_PROTOCOL, what
    assert ear.heard == [(b"t", b"before")]
