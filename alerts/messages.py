"""What is published of an alert: one retained JSON message on a topic of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from alerts.book import ms_from_utc

if TYPE_CHECKING:
    from datetime import datetime

    from registry.records import Alert


def alert_topic(alert: Alert) -> str:
    """The topic of an alert; an empty message there says that it was closed and need not be remembered."""
    return f"packwatch/alerts/{alert.fleet_id}/{alert.alert_id}"


def encode_alert(alert: Alert, incident_id: str | None) -> bytes:
    """The alert as UTF-8 JSON; times are ms since 1970, UTC; null = not there.

    `incident_id`: the incident that it is in; None: in none, or not known yet.
    """
    return orjson.dumps(
        {
            "alert_id": alert.alert_id,
            "incident_id": incident_id,
            "kind": alert.kind,
            "cause": alert.cause,
            "fleet_id": alert.fleet_id,
            "gateway_id": alert.gateway_id,
            "unit_id": alert.unit_id,
            "pack_id": alert.pack_id,
            "level": alert.level,
            "peak_level": alert.peak_level,
            "level_here": alert.level_here,
            "level_on_board": alert.level_on_board,
            "on_board_since_ms": _ms_or_none(alert.on_board_since),
            "state": alert.state,
            "provenance": alert.provenance,
            "reasons": alert.reasons,
            "sampled_at_ms": ms_from_utc(alert.sampled_at),
            "raised_at_ms": ms_from_utc(alert.raised_at),
            "cleared_at_ms": _ms_or_none(alert.cleared_at),
            "acknowledged_by": alert.acknowledged_by,
            "acknowledged_at_ms": _ms_or_none(alert.acknowledged_at),
            "acknowledgement_comment": alert.acknowledgement_comment,
            "acknowledged_roles": alert.acknowledged_roles or [],
            "shelved_by": alert.shelved_by,
            "shelved_until_ms": _ms_or_none(alert.shelved_until),
            "shelf_reason": alert.shelf_reason,
            "closed_by": alert.closed_by,
            "closed_at_ms": _ms_or_none(alert.closed_at),
            "close_reason": alert.close_reason,
            "releasing_authority": alert.releasing_authority,
            "version": alert.version,
        }
    )


def _ms_or_none(instant: datetime | None) -> int | None:
    return None if instant is None else ms_from_utc(instant)
