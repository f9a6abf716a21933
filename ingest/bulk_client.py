"""paho's client with a faster ear: a read takes all that has come, and plain data messages are cut out of it at once.

paho reads a message by a wait and three small reads; each lets go of the interpreter, and beside a busy event loop each
waits to get it back. Everything else of a session (connecting, wills, keep-alive, acknowledgements) stays paho's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable

READ_BYTES = 262_144
"""What one read takes at most. **assumed**"""
_LONGEST_LENGTH = 4
"""Bytes of a remaining length. MQTT 3.1.1, 2.2.3."""
_PUBLISH_QOS_0 = 0x30
"""The first byte of a PUBLISH with QoS 0 and without RETAIN. MQTT 3.1.1, 3.3.1."""


class BulkClient(Client):
    """A client whose QoS 0 messages go to `on_bulk`, many at a time, on the network thread.

    Others, and what was retained, go to `on_message`.
    """

    def __init__(self, *given: Any, on_bulk: Callable[[list[tuple[bytes, bytes]]], None], **named: Any) -> None:
        """`on_bulk` gets (topic, payload) in their order."""
        super().__init__(*given, **named)
        self._on_bulk = on_bulk
        self._rest = b""
        """The beginning of a packet whose end has not come yet."""
        self._fed: bytes | None = None
        """A packet on its way through paho's own reading."""

    def reconnect(self) -> MQTTErrorCode:
        self._rest = b""
        return super().reconnect()

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Take what has come; paho's loop calls it when the socket has something."""
        del max_packets
        try:
            read = self._sock_recv(READ_BYTES)
        except BlockingIOError:
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        except OSError:
            read = b""
        result = self._cut(self._rest + read) if read else MQTTErrorCode.MQTT_ERR_CONN_LOST
        return self._loop_rc_handle(result) if result > 0 else MQTTErrorCode.MQTT_ERR_SUCCESS

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._fed is None:
            return super()._sock_recv(bufsize)
        piece, self._fed = self._fed[:bufsize], self._fed[bufsize:]
        return piece

    def _cut(self, stream: bytes) -> MQTTErrorCode:
        """Hand on the whole packets of a stream, in their order, and keep the rest."""
        messages: list[tuple[bytes, bytes]] = []
        at, end = 0, len(stream)
        result = MQTTErrorCode.MQTT_ERR_SUCCESS
        while at + 1 < end:
            body, length, shift = at + 1, 0, 0
            while body < end and (byte := stream[body]) & 0x80 and shift < 7 * (_LONGEST_LENGTH - 1):
                length |= (byte & 0x7F) << shift
                shift += 7
                body += 1
            if body >= end:
                break
            if stream[body] & 0x80:
                result = MQTTErrorCode.MQTT_ERR_PROTOCOL
                break
            length |= stream[body] << shift
            body += 1
            if body + length > end:
                break
            if stream[at] == _PUBLISH_QOS_0:
                name = body + 2
                content = name + (stream[body] << 8 | stream[body + 1]) if length >= 2 else end + 1
                if content > body + length:
                    result = MQTTErrorCode.MQTT_ERR_PROTOCOL
                    break
                messages.append((stream[name:content], stream[content : body + length]))
            else:
                self._hand_on(messages)
                messages = []
                result = self._let_paho_read(stream[at : body + length])
                if result > 0:
                    break
            at = body + length
        self._hand_on(messages)
        self._rest = stream[at:]
        return result

    def _let_paho_read(self, packet: bytes) -> MQTTErrorCode:
        self._fed = packet
        try:
            return self._packet_read()
        finally:
            self._fed = None

    def _hand_on(self, messages: list[tuple[bytes, bytes]]) -> None:
        if messages:
            self._on_bulk(messages)
