"""Rows of the API about paging. Addresses and keys are told to nobody: they are set, not read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dashboards.rows import to_ms, to_ms_or_none

if TYPE_CHECKING:
    from datetime import datetime

    from registry.drill_records import Drill
    from registry.paging_records import Guardian, Page, PushDevice
    from registry.recipients import KnownRecipient
    from registry.roster import Gap


def recipient_row(known: KnownRecipient) -> dict[str, Any]:
    """One recipient, with what is known about reaching it."""
    person = known.recipient
    return {
        "recipient_id": person.recipient_id,
        "name": person.name,
        "role": person.role,
        "language": person.language,
        "time_zone": person.time_zone,
        "fleet_id": person.fleet_id,
        "vehicle_id": person.vehicle_id,
        "always_on_duty": person.always_on_duty,
        "unreachable_why": person.unreachable_why,
        "unreachable_since_ms": to_ms_or_none(person.unreachable_since),
        "last_drill": None if known.last_drill is None else drill_row(known.last_drill),
        "channels": [
            {
                "step": way.step,
                "channel": way.channel,
                "tested_at_ms": to_ms_or_none(way.tested_at),
                "failed_at_ms": to_ms_or_none(way.failed_at),
                "failed_why": way.failed_why,
            }
            for way in known.ways
        ],
        "devices": [
            {"label": device.label, "failed_at_ms": to_ms_or_none(device.failed_at), "failed_why": device.failed_why}
            for device in known.devices
        ],
        "duties": [
            {"id": duty.id, "from_ms": to_ms(duty.from_at), "until_ms": to_ms(duty.until_at)} for duty in known.duties
        ],
    }


def device_row(device: PushDevice, proved_at: datetime | None) -> dict[str, Any]:
    """One of somebody's own devices. proved_at: when it last showed a message."""
    return {
        "device_id": device.device_id,
        "label": device.label,
        "added_at_ms": to_ms(device.added_at),
        "proved_at_ms": to_ms_or_none(proved_at),
        "failed_at_ms": to_ms_or_none(device.failed_at),
        "failed_why": device.failed_why,
    }


def drill_row(drill: Drill) -> dict[str, Any]:
    """One drill: on which ways, how far it came, how it ended and why."""
    return {
        "drill_id": drill.drill_id,
        "recipient_id": drill.recipient_id,
        "started_by": drill.started_by,
        "started_at_ms": to_ms(drill.started_at),
        "steps": [step.split(",") for step in drill.steps],
        "step": drill.step,
        "state": drill.state,
        "ended_at_ms": to_ms_or_none(drill.ended_at),
        "proved_on": drill.proved_on,
        "why": drill.why,
    }


def gap_row(gap: Gap) -> dict[str, Any]:
    """One gap of the roster."""
    return {
        "role": gap.role,
        "fleet_id": gap.fleet_id,
        "from_ms": to_ms(gap.from_at),
        "until_ms": to_ms(gap.until_at),
    }


def guardian_row(guardian: Guardian) -> dict[str, Any]:
    """Who is in charge of a vehicle, or was asked."""
    return {
        "id": guardian.id,
        "vehicle_id": guardian.vehicle_id,
        "recipient_id": guardian.recipient_id,
        "proposed_by": guardian.proposed_by,
        "proposed_at_ms": to_ms(guardian.proposed_at),
        "accepted_at_ms": to_ms_or_none(guardian.accepted_at),
    }


def page_row(page: Page) -> dict[str, Any]:
    """One page and how far it has come."""
    return {
        "key": page.key,
        "message_id": page.message_id,
        "kind": page.kind,
        "incident_id": page.case_id,
        "recipient_id": page.recipient_id,
        "role": page.role,
        "channel": page.channel,
        "level": page.level,
        "reason": page.reason,
        "state": page.state,
        "attempts": page.attempts,
        "why": page.why,
        "may_repeat": page.may_repeat,
        "due_at_ms": to_ms(page.due_at),
        "next_at_ms": to_ms_or_none(page.next_at),
        "accepted_at_ms": to_ms_or_none(page.accepted_at),
        "shown_at_ms": to_ms_or_none(page.shown_at),
        "acknowledged_at_ms": to_ms_or_none(page.acknowledged_at),
    }
