"""Publishes what the alert engine says over MQTT, on a connection that comes back by itself."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import aiomqtt
import structlog

if TYPE_CHECKING:
    from telemetry.broker import BrokerAccess

_RETRY_S = (0.5, 10.0)
"""The first and the longest wait before another attempt, doubling between."""


class BrokerAwayError(ConnectionError):
    """The broker is not connected at the moment: try again later."""


def client_of(access: BrokerAccess) -> aiomqtt.Client:
    """An MQTT 3.1.1 client for the account."""
    return aiomqtt.Client(
        access.host,
        access.port,
        username=access.username,
        password=access.password,
        protocol=aiomqtt.ProtocolVersion.V311,
        # Without it, small messages wait some 40 ms for the acknowledgement of the one before (RFC 896 with RFC 1122).
        socket_options=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
        tls_params=aiomqtt.TLSParameters() if access.tls else None,
    )


class Publisher:
    """`run` keeps the connection; `publish` uses it, and leaves trying again to its caller."""

    def __init__(self, access: BrokerAccess) -> None:
        self._access = access
        self._client: aiomqtt.Client | None = None
        self._log = structlog.get_logger("packwatch.publisher")

    async def publish(self, topic: str, payload: bytes, *, retain: bool = True) -> None:
        """Send with QoS 1. Raises BrokerAwayError or aiomqtt.MqttError."""
        if self._client is None:
            raise BrokerAwayError("the broker is not connected")
        await self._client.publish(topic, payload, qos=1, retain=retain)

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        wait_s = _RETRY_S[0]
        while True:
            try:
                async with client_of(self._access) as client:
                    self._client = client
                    wait_s = _RETRY_S[0]
                    async for _ in client.messages:  # subscribes to nothing: ends with the connection
                        pass
            except aiomqtt.MqttError as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():  # the farewell failed: that is no reason to stay
                    raise asyncio.CancelledError from error
                self._log.warning("publisher_disconnected", reason=str(error))
            finally:
                self._client = None
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _RETRY_S[1])
