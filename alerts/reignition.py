"""Packs that burned, or nearly did: for weeks after the alert was closed, each rise says so. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from alerts.life_rules import shipped_life
from registry.incident_records import ReignitionWatch

if TYPE_CHECKING:
    from datetime import datetime

    from registry.records import Alert
    from telemetry.samples import Provenance


def watch_after(alert: Alert) -> ReignitionWatch | None:
    """The watch that began as an alert that was `critical` was closed; None: it was not, or was not released."""
    if alert.closed_at is None or not alert.releasing_authority:
        return None
    return ReignitionWatch(
        alert_id=alert.alert_id,
        fleet_id=alert.fleet_id,
        pack_id=alert.pack_id,
        unit_id=alert.unit_id,
        provenance=alert.provenance,
        level=alert.peak_level,
        from_at=alert.closed_at,
        until_at=alert.closed_at + timedelta(days=shipped_life().reignition.days),
        released_by=alert.closed_by or "",
        releasing_authority=alert.releasing_authority,
    )


class Watches:
    """The watches that go on."""

    def __init__(self) -> None:
        self._latest: dict[tuple[str | None, Provenance], ReignitionWatch] = {}

    def add(self, watch: ReignitionWatch) -> None:
        """Of two of one pack the one that ends later counts."""
        key = (watch.pack_id or watch.unit_id, watch.provenance)
        known = self._latest.get(key)
        if known is None or known.until_at < watch.until_at:
            self._latest[key] = watch

    def reason(self, subject_id: str, provenance: Provenance, now: datetime) -> str | None:
        """What a rise of the pack, or of the unregistered unit, must say; None: it is not watched."""
        watch = self._latest.get((subject_id, provenance))
        if watch is None or now >= watch.until_at:
            return None
        return (
            f"re-ignition watch until {watch.until_at:%d %b %Y %H:%M} UTC: it was {watch.level}, and was closed on "
            f"{watch.from_at:%d %b %Y %H:%M} UTC; released by {watch.releasing_authority}"
        )
