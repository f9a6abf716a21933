"""The host's connection to the broker: a network thread, STATE by the standard, commands to edge nodes.

Source: Sparkplug 3.0, chapter 5, "Host Application Session Establishment" and "... Termination".
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import ssl
from typing import TYPE_CHECKING, Any

import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from ingest.bulk_client import BulkClient
from ingest.host import acknowledgement_command, rebirth_command
from ingest.inbox import Arrival, LinkChange
from telemetry.errors import WireError
from telemetry.limits import MAX_INTEGER
from telemetry.sparkplug.topics import (
    NAMESPACE,
    MessageType,
    Topic,
    decode_state,
    encode_state,
    format_topic,
    state_topic,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from paho.mqtt.client import Client, MQTTMessage

    from ingest.acknowledging import Due
    from ingest.inbox import Inbox
    from telemetry.broker import BrokerAccess

KEEPALIVE_S = 20
"""A dead link is noticed within half as much again, which is when the broker publishes the will. **assumed**"""
RECONNECT_S = (1, 5)
"""The first and the longest wait before another attempt, doubling between; paho counts in whole seconds."""
CONNECT_WITHIN_S = 2.0
"""An attempt under way holds up an orderly stop: no longer than this."""
_TOPICS_KEPT = 65_536
GOODBYE_S = 1.0
"""How long the death certificate may take on an orderly stop; the will follows otherwise."""


class HostConnection:
    """One connection under one host id. Reconnects by itself until stopped."""

    def __init__(
        self,
        access: BrokerAccess,
        *,
        host_id: str,
        groups: Sequence[str],
        primary: bool,
        inbox: Inbox,
        now_ms: Callable[[], int],
    ) -> None:
        """`groups` empty = all. Only a `primary` host tells its STATE.

        The inbox gets every message, and a LinkChange when the host is subscribed and when the connection is lost.
        """
        self._access = access
        self._state_topic = state_topic(host_id)
        self._primary = primary
        data = [f"{NAMESPACE}/{group}/#" for group in groups] or [f"{NAMESPACE}/#"]
        self._subscriptions = [*data, self._state_topic] if groups and primary else data
        self._inbox = inbox
        self._now_ms = now_ms
        self._timestamp_ms = 0
        self._later_than_ms = -1
        self._stopping = False
        self._log = structlog.get_logger("ingest.broker").bind(host=access.host, port=access.port)
        # The id is new with every process: with a fixed one, two workers would throw each other off for ever.
        self._client = BulkClient(
            CallbackAPIVersion.VERSION2,
            on_bulk=self._arrived,
            client_id=f"packwatch-host-{host_id}-{secrets.token_hex(4)}"[:64],
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        if access.username is not None:
            self._client.username_pw_set(access.username, access.password)
        if access.tls:
            self._client.tls_set_context(ssl.create_default_context())
        self._client.reconnect_delay_set(*RECONNECT_S)
        self._client.connect_timeout = CONNECT_WITHIN_S
        self._client.on_pre_connect = self._before_connect
        self._client.on_connect = self._connected
        self._client.on_connect_fail = self._unreachable
        self._client.on_subscribe = self._subscribed
        self._client.on_disconnect = self._disconnected
        self._client.on_message = self._arrived_alone
        self._topics: dict[bytes, str] = {}

    def start(self) -> None:
        """Begin to connect; returns at once, whether the broker is there or not."""
        self._client.connect_async(self._access.host, self._access.port, keepalive=KEEPALIVE_S)
        self._client.loop_start()

    @property
    def alive(self) -> bool:
        """Whether the network thread runs; when it has died of an error nothing arrives any more."""
        thread = self._client._thread  # noqa: SLF001 - paho tells it nowhere else
        return thread is not None and thread.is_alive()

    async def stop(self) -> None:
        """Say goodbye and end the network thread."""
        await asyncio.to_thread(self._stop)

    def ask_rebirth(self, fleet_id: str, gateway_id: str) -> None:
        """Ask an edge node for its births."""
        self._client.publish(_commands_of(fleet_id, gateway_id), rebirth_command(self._now_ms()), qos=0)

    def acknowledge(self, due: Due) -> None:
        """Tell a gateway what its outbox may forget."""
        command = acknowledgement_command(due.acknowledgement, self._now_ms())
        self._client.publish(_commands_of(due.fleet_id, due.gateway_id), command, qos=0)

    def tell_online(self) -> None:
        """Say again that this host is online, with the timestamp of its will."""
        if self._primary and not self._stopping:
            self._client.publish(self._state_topic, encode_state(True, self._timestamp_ms), qos=1, retain=True)  # noqa: FBT003 - the standard's two keys, in its order

    def contradict(self, denied_ms: int) -> None:
        """Someone said at that time that this host is offline: say that it is not, so that edge nodes believe it."""
        if denied_ms > self._timestamp_ms:
            self._outdo(denied_ms)
        else:
            self.tell_online()

    def _outdo(self, said_ms: int) -> None:
        """Connect anew, with a will and a birth that are later than a STATE that edge nodes have heard.

        Our clock is behind the one that it was told by: that of another machine, or ours before it was set back. Edge
        nodes ignore what is older than what they know, and birth and will must have one timestamp.
        """
        if not self._primary or self._stopping or said_ms <= self._later_than_ms:
            return
        self._log.warning("state_from_the_future", told_ms=said_ms, ours_ms=self._timestamp_ms)
        self._later_than_ms = said_ms
        left = self._client.socket()
        if isinstance(left, socket.socket):
            with contextlib.suppress(OSError):
                left.shutdown(socket.SHUT_RDWR)

    def _stop(self) -> None:
        self._stopping = True
        if self._primary and self._client.is_connected():
            death = encode_state(False, self._not_before(self._now_ms()))  # noqa: FBT003 - the same
            published = self._client.publish(self._state_topic, death, qos=1, retain=True)
            try:
                published.wait_for_publish(GOODBYE_S)
            except (RuntimeError, ValueError) as error:
                self._log.warning("goodbye_failed", reason=str(error))
        self._client.disconnect()
        self._client.loop_stop()

    def _not_before(self, at_ms: int) -> int:
        """A STATE that is older than the last is ignored by edge nodes: a clock that is set back must not make one."""
        return max(at_ms, self._timestamp_ms, min(self._later_than_ms + 1, MAX_INTEGER))

    # What follows runs on paho's network thread.

    def _before_connect(self, _client: Client, _userdata: Any) -> None:
        self._inbox.put(LinkChange(up=False, at_ms=self._now_ms()))  # however the last connection went
        self._timestamp_ms = self._not_before(self._now_ms())
        if self._primary:
            self._client.will_set(self._state_topic, encode_state(False, self._timestamp_ms), qos=1, retain=True)  # noqa: FBT003 - the same

    def _unreachable(self, _client: Client, _userdata: Any) -> None:
        self._log.warning("broker_unreachable", retrying=True)

    def _connected(self, client: Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._log.error("broker_refuses", reason=str(reason))
            return
        client.subscribe([(topic, 0) for topic in self._subscriptions])

    def _subscribed(self, _client: Client, _userdata: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self._log.error("subscription_refused", topics=self._subscriptions, reason=refused[0])
            return
        self._log.info("broker_connected", topics=self._subscriptions)
        self._inbox.put(LinkChange(up=True, at_ms=self._now_ms()))
        self.tell_online()

    def _disconnected(self, _client: Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not self._stopping:
            self._log.warning("broker_lost", reason=str(reason))
        self._inbox.put(LinkChange(up=False, at_ms=self._now_ms()))

    def _arrived(self, messages: list[tuple[bytes, bytes]]) -> None:
        at_ms, topics = self._now_ms(), self._topics
        arrivals = [Arrival(topics.get(topic) or self._topic(topic), payload, at_ms) for topic, payload in messages]
        self._inbox.put_all(arrivals)

    def _arrived_alone(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        if message.retain and message.topic == self._state_topic:
            self._last_state(bytes(message.payload))
        self._arrived([(message._topic, bytes(message.payload))])  # noqa: SLF001 - the bytes, which paho shows decoded only

    def _last_state(self, payload: bytes) -> None:
        """What edge nodes have heard last under this host's id, perhaps of its last life."""
        with contextlib.suppress(WireError):  # the inbox gets it as well, where it is refused
            if (said := decode_state(payload)).timestamp_ms > self._timestamp_ms:
                self._outdo(said.timestamp_ms)

    def _topic(self, name: bytes) -> str:
        try:
            topic = name.decode()
        except UnicodeDecodeError:
            topic = repr(name)
        if len(self._topics) >= _TOPICS_KEPT:
            self._topics.clear()
        self._topics[name] = topic
        return topic


def _commands_of(fleet_id: str, gateway_id: str) -> str:
    return format_topic(Topic(fleet_id=fleet_id, message_type=MessageType.NCMD, gateway_id=gateway_id))
