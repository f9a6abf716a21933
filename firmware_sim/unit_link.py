"""A unit's connection to its gateway's broker: frames and clock beats out, receipts and configuration in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiomqtt
import structlog

from firmware_sim.connections import keep_connected
from telemetry.errors import WireError
from telemetry.unit_link import (
    clock_topic,
    config_topic,
    decode_stored_receipt,
    decode_unit_config,
    encode_clock_beat,
    frames_topic,
    stored_topic,
)

if TYPE_CHECKING:
    from firmware_sim.flash import KeptFrame
    from firmware_sim.unit import Firmware
    from telemetry.broker import BrokerAccess

SUBSCRIPTION_REFUSED = 0x80
"""MQTT 3.1.1, 3.9.3: the return code of a failure."""

_log = structlog.get_logger(__name__)


class UnitLink:
    """Carries one Firmware's frames over MQTT. All on one event loop, whose clock is the firmware's clock."""

    def __init__(self, firmware: Firmware, access: BrokerAccess) -> None:
        self.firmware = firmware
        self._access = access
        self._something_to_send = asyncio.Event()
        self._acknowledged = asyncio.Event()

    def wake(self) -> None:
        """The firmware has a new frame."""
        self._something_to_send.set()

    async def acknowledged(self) -> None:
        """Wait until the gateway has taken at least one more frame than when this was called."""
        self._acknowledged.clear()
        await self._acknowledged.wait()

    async def run(self) -> None:
        """Keep the link up until cancelled."""
        unit_id = self.firmware.unit_id
        # Twice the window: what is sent again goes beside what still waits for its answer.
        await keep_connected(
            self._access, self._talk, name=f"unit {unit_id}", pending_calls=2 * self.firmware.ring.window + 4
        )

    async def _talk(self, client: aiomqtt.Client) -> None:
        unit_id = self.firmware.unit_id
        granted = await client.subscribe([(stored_topic(unit_id), 1), (config_topic(unit_id), 1)])
        if any((code if isinstance(code, int) else code.value) >= SUBSCRIPTION_REFUSED for code in granted):
            # Without receipts the ring would fill and overwrite itself in silence.
            raise aiomqtt.MqttError(f"the broker refuses {unit_id} its receipts or its configuration")
        self.firmware.connected()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(client), name=f"unit {unit_id} listens")
            tasks.create_task(self._send(client), name=f"unit {unit_id} sends")

    async def _listen(self, client: aiomqtt.Client) -> None:
        stored = stored_topic(self.firmware.unit_id)
        async for message in client.messages:
            payload = bytes(message.payload) if isinstance(message.payload, (bytes, bytearray)) else b""
            try:
                if message.topic.value == stored:
                    if self.firmware.acknowledge(decode_stored_receipt(payload)):
                        self._acknowledged.set()
                        # The window has moved on.
                        self.wake()
                else:
                    self.firmware.configure(decode_unit_config(payload))
            except WireError as error:
                _log.warning(
                    "message_refused",
                    unit=self.firmware.unit_id,
                    topic=message.topic.value,
                    reason=error.reason,
                    detail=str(error),
                )

    async def _send(self, client: aiomqtt.Client) -> None:
        loop = asyncio.get_running_loop()
        firmware = self.firmware
        while True:
            self._something_to_send.clear()
            beat = firmware.clock_beat(loop.time())
            if beat is not None:
                await client.publish(clock_topic(firmware.unit_id), encode_clock_beat(beat), qos=0)
            await self._publish(client, firmware.ring.take_sendable(loop.time()))
            now_s = loop.time()
            due = [
                due_s for due_s in (firmware.next_beat_s(now_s), firmware.ring.next_due_s(now_s)) if due_s is not None
            ]
            try:
                async with asyncio.timeout_at(min(due, default=None)):
                    await self._something_to_send.wait()
            except TimeoutError:
                pass

    async def _publish(self, client: aiomqtt.Client, frames: list[KeptFrame]) -> None:
        """Publish in order, all on their way at once, and wait for the broker's answers."""
        topic = frames_topic(self.firmware.unit_id)
        async with asyncio.TaskGroup() as tasks:
            for frame in frames:
                tasks.create_task(client.publish(topic, frame.payload, qos=1), name=f"frame {frame.number}")
