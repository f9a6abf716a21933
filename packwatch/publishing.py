"""Publishes what the alert engine says over MQTT: one connection, a bounded queue, the newest word of each topic."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiomqtt
import structlog

if TYPE_CHECKING:
    from telemetry.broker import BrokerAccess

_MOST_TOPICS = 10_000
"""Topics that wait while the broker is away; beyond that the oldest wait is dropped and counted. **assumed**"""
_RETRY_S = 1.0


class Publisher:
    """`publish` never waits for the broker: a retained topic's newer word replaces the one that still waits."""

    def __init__(self, access: BrokerAccess) -> None:
        self._access = access
        self._waiting: dict[str, bytes] = {}
        self._woken = asyncio.Event()
        self.dropped = 0
        self._log = structlog.get_logger("packwatch.publisher")

    async def publish(self, topic: str, payload: bytes) -> None:
        """Send as a retained message with QoS 1, as soon as the broker takes it. An empty payload ends the topic."""
        self._waiting.pop(topic, None)
        self._waiting[topic] = payload
        if len(self._waiting) > _MOST_TOPICS:
            self._waiting.pop(next(iter(self._waiting)))
            self.dropped += 1
        self._woken.set()

    async def run(self) -> None:
        """Keep the connection and send what waits, until cancelled."""
        while True:
            try:
                async with aiomqtt.Client(
                    self._access.host,
                    self._access.port,
                    username=self._access.username,
                    password=self._access.password,
                    protocol=aiomqtt.ProtocolVersion.V311,
                    tls_params=aiomqtt.TLSParameters() if self._access.tls else None,
                ) as client:
                    await self._send(client)
            except aiomqtt.MqttError as error:
                self._log.warning("publisher_disconnected", reason=str(error))
            await asyncio.sleep(_RETRY_S)

    async def _send(self, client: aiomqtt.Client) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._waiting:
                topic, payload = next(iter(self._waiting.items()))
                await client.publish(topic, payload, qos=1, retain=True)
                if self._waiting.get(topic) is payload:
                    del self._waiting[topic]
