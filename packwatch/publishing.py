"""Publishes what the alert engine says over MQTT, on a connection that comes back by itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiomqtt
import structlog

from telemetry.mqtt import mqtt_client

if TYPE_CHECKING:
    from telemetry.broker import BrokerAccess

_RETRY_S = (0.5, 10.0)
"""The first and the longest wait before another attempt, doubling between."""


class BrokerAwayError(ConnectionError):
    """The broker is not connected at the moment: try again later."""


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

    async def command(self, topic: str, payload: bytes) -> None:
        """Send a Sparkplug command: QoS 0, never retained. Raises as `publish`."""
        if self._client is None:
            raise BrokerAwayError("the broker is not connected")
        await self._client.publish(topic, payload, qos=0)

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        wait_s = _RETRY_S[0]
        while True:
            try:
                async with mqtt_client(self._access) as client:
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
