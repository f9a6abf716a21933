"""One MQTT 3.1.1 connection with an inbox that has bounds and counts what it drops."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple, cast

import aiomqtt

from telemetry.mqtt import mqtt_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from gateway.session import Outgoing
    from telemetry.broker import BrokerAccess

TURN_MESSAGES = 64
"""Messages handled or published in one turn of the event loop. **Assumed**: some 30 ms of work at full rate."""
LEAVE_S = 0.4
"""How long a disconnect may take before the socket is shut: the whole stop has one second."""

_SUBSCRIPTION_REFUSED = 128
"""SUBACK return codes from here on are failures. Source: MQTT 3.1.1, 3.9.3."""

LINK_ERRORS = (aiomqtt.MqttError, OSError)
"""What ends a connection and is answered with another attempt."""


class Received(NamedTuple):
    """A message that arrived."""

    topic: str
    payload: bytes
    retained: bool = False
    """It lay at the broker: it tells of no moment."""


class Inbox(asyncio.Queue[aiomqtt.Message]):
    """Bounded in messages and bytes. When it is full a message is dropped and counted: nobody acknowledged it."""

    def __init__(self, *, max_messages: int, max_bytes: int) -> None:
        super().__init__()
        self.dropped = 0
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._bytes = 0

    def put_nowait(self, item: aiomqtt.Message) -> None:
        """Take the message or count it as dropped."""
        size = len(item.payload)
        if self.qsize() >= self._max_messages or self._bytes + size > self._max_bytes:
            self.dropped += 1
            return
        self._bytes += size
        super().put_nowait(item)

    def get_nowait(self) -> aiomqtt.Message:
        """The oldest message. Raises asyncio.QueueEmpty."""
        item = super().get_nowait()
        self._bytes -= len(item.payload)
        return item


class Link:
    """An open connection. Its methods raise one of LINK_ERRORS when it is gone."""

    def __init__(self, client: aiomqtt.Client, inbox: Inbox) -> None:
        self.inbox = inbox
        self._client = client
        # aiomqtt warns above 10 publishes under way; a turn has TURN_MESSAGES by intent.
        client.pending_calls_threshold = 2 * TURN_MESSAGES

    async def subscribe(self, topics: Sequence[str], *, qos: int) -> None:
        """Subscribe to all of them. Raises aiomqtt.MqttError when the broker refuses one."""
        granted = await self._client.subscribe([(topic, qos) for topic in topics])
        codes = [code if isinstance(code, int) else code.value for code in granted]
        if refused := [topic for topic, code in zip(topics, codes, strict=True) if code >= _SUBSCRIPTION_REFUSED]:
            raise aiomqtt.MqttError(f"the broker refuses the subscription to {', '.join(refused)}")

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish in this order; returns when the socket (QoS 0) or the broker (QoS 1) took them all."""
        for first in range(0, len(messages), TURN_MESSAGES):
            # Tasks start in the order of gather's arguments, and each hands its packet over before it first waits. So
            # the order holds, and the client writes a turn's packets in one go instead of one a loop iteration.
            await asyncio.gather(
                *(
                    self._client.publish(message.topic, message.payload, message.qos, message.retain)
                    for message in messages[first : first + TURN_MESSAGES]
                )
            )

    async def turns(self) -> AsyncIterator[list[Received]]:
        """What arrived since the last turn, at least one and at most TURN_MESSAGES messages."""
        async for message in self._client.messages:
            turn = [_received(message)]
            while len(turn) < TURN_MESSAGES and not self.inbox.empty():
                turn.append(_received(self.inbox.get_nowait()))
            yield turn


@asynccontextmanager
async def open_link(
    access: BrokerAccess,
    *,
    client_id: str,
    keepalive_s: int,
    inbox: Inbox,
    will: Outgoing | None = None,
) -> AsyncIterator[Link]:
    """Connect, and disconnect at the end. Raises one of LINK_ERRORS.

    The client id is fixed by the caller: when a gateway comes back before the broker has missed it, the broker closes
    the old connection and publishes its will at once.
    """
    client = mqtt_client(
        access,
        identifier=client_id,
        clean_session=True,
        keepalive=keepalive_s,
        will=None if will is None else aiomqtt.Will(will.topic, will.payload, will.qos),
        # aiomqtt asks for a class and only ever calls it.
        queue_type=cast("type[asyncio.Queue[aiomqtt.Message]]", lambda maxsize: inbox),  # noqa: ARG005
    )
    try:
        await client.__aenter__()
        try:
            yield Link(client, inbox)
        finally:
            with contextlib.suppress(*LINK_ERRORS, TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await client.__aexit__(None, None, None)
    finally:
        await _shut(client)


async def _shut(client: aiomqtt.Client) -> None:
    """Leave no socket behind: aiomqtt does when cancelled while it connects, and when the peer does not answer."""
    left = client._client.socket()  # noqa: SLF001  # aiomqtt has no other way to its socket
    if isinstance(left, socket.socket):
        with contextlib.suppress(OSError):
            left.shutdown(socket.SHUT_RDWR)  # the client then reads the end, and cleans up as for any lost connection
        for _ in range(3):
            await asyncio.sleep(0)


def _received(message: aiomqtt.Message) -> Received:
    return Received(message.topic.value, message.payload, message.retain)
