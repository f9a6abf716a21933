"""Webhooks: JSON, signed so that the receiver knows it is ours and not old (docs/paging.md)."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

import orjson

from alerts.paging.channels.contract import GiveUpError, Taken
from alerts.paging.channels.http import post

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import httpx

    from alerts.paging.channels.contract import Message
    from registry.outbox import Handover, Story


class Webhook:
    """`hand_over` returns when the receiver answered 2xx."""

    def __init__(self, client: httpx.AsyncClient, now: Callable[[], datetime]) -> None:
        self._client, self._now = client, now

    async def hand_over(self, message: Message, handover: Handover) -> Taken:
        """As PageChannel."""
        way = handover.way
        if way is None or not way.secret:
            raise GiveUpError("the webhook has no secret to sign with")
        body = orjson.dumps(told(message, handover))
        timestamp = int(self._now().timestamp())
        headers = {
            "content-type": "application/json",
            "packwatch-id": message.message_id,
            "packwatch-timestamp": str(timestamp),
            "packwatch-signature": signature(way.secret, timestamp, body),
        }
        answer = await post(self._client, way.address, content=body, headers=headers)
        return Taken(detail=f"it answered {answer.status_code}")


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """HMAC-SHA256, hexadecimal, over the timestamp, a full stop, and the body."""
    return "v1=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def told(message: Message, handover: Handover) -> dict[str, Any]:
    """What other systems are told, as JSON."""
    return {
        "id": message.message_id,
        "may_repeat": message.may_repeat,
        "level": message.level,
        "subject": message.subject,
        "link": message.link,
        "events": [
            {
                "key": page.key,
                "kind": page.kind,
                "incident_id": page.case_id,
                "level": page.level,
                "reason": page.reason,
                "due_at": page.due_at.isoformat(),
            }
            for page in handover.pages
        ],
        "incidents": [_incident(story) for story in handover.stories.values()],
    }


def _incident(story: Story) -> dict[str, Any]:
    incident = story.incident
    return {
        "incident_id": incident.incident_id,
        "fleet_id": incident.fleet_id,
        "vehicle_ids": [vehicle.vehicle_id for vehicle in story.vehicles],
        "state": incident.state,
        "level": incident.level,
        "provenance": incident.provenance,
        "alerts": [
            {
                "alert_id": alert.alert_id,
                "pack_id": alert.pack_id,
                "unit_id": alert.unit_id,
                "level": alert.level,
                "state": alert.state,
                "reasons": alert.reasons,
                "sampled_at": alert.sampled_at.isoformat(),
            }
            for alert in story.alerts
        ],
    }
