"""What is published of an alert says all that the API says of it, and the incident that it is in."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime

from alerts.messages import encode_alert
from dashboards.rows import AlertRow
from registry.kinds import AlertKind, AlertState, Level, Role
from registry.records import Alert
from telemetry.samples import Provenance

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NAMED_ELSEWHERE = {"vehicle_name"}
"""The gateway's id says which vehicle it is; its name is the registry's."""


def test_the_message_has_what_the_api_row_has() -> None:
    alert = Alert(
        alert_id="a-1",
        kind=AlertKind.THERMAL,
        cause="ceiling",
        fleet_id="fleet-1",
        level=Level.CRITICAL,
        peak_level=Level.CRITICAL,
        level_on_board=Level.CRITICAL,
        state=AlertState.RAISED,
        provenance=Provenance.MEASURED,
        reasons=["probe 2 is 91.0 degC"],
        sampled_at=NOON,
        raised_at=NOON,
        acknowledged_roles=[Role.DRIVER, Role.SAFETY_LEAD],
        shelved_by="Ana",
        shelved_until=NOON,
        shelf_reason="a test",
        releasing_authority="Fire service",
    )
    said = json.loads(encode_alert(alert, "i-1"))
    assert {field.name for field in fields(AlertRow)} - NAMED_ELSEWHERE <= said.keys()
    assert said["incident_id"] == "i-1"
    assert said["acknowledged_roles"] == ["driver", "safety lead"]
    assert (said["shelved_by"], said["shelved_until_ms"], said["shelf_reason"]) == ("Ana", 1772366400000, "a test")
    assert (said["releasing_authority"], said["level_on_board"]) == ("Fire service", "critical")
