"""MQTT: other systems subscribe to `packwatch/pages/{recipient}`; QoS 1, not retained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import aiomqtt
import orjson

from alerts.paging.channels.contract import Taken, TryAgainError
from alerts.paging.channels.webhook import told

if TYPE_CHECKING:
    from alerts.paging.channels.contract import Message
    from registry.outbox import Handover


class Publish(Protocol):
    """Sends with QoS 1, and returns when the broker has it."""

    async def __call__(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Raises ConnectionError or aiomqtt.MqttError."""


class Mqtt:
    """`hand_over` returns when the broker has it. Whether somebody subscribes is not known."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish

    async def hand_over(self, message: Message, handover: Handover) -> Taken:
        """As PageChannel."""
        topic = f"packwatch/pages/{handover.recipient.recipient_id}"
        try:
            await self._publish(topic, orjson.dumps(told(message, handover)), retain=False)
        except ConnectionError as error:
            raise TryAgainError(str(error)) from error
        except aiomqtt.MqttError as error:
            raise TryAgainError(f"the broker did not take it: {error}", uncertain=True) from error
        return Taken(detail=f"the broker has it as {topic}")
