"""To which incident an alert belongs. Pure: the registry calls it inside the transaction that keeps the alert."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from alerts.life_rules import shipped_life
from registry.gathering import Bond, Gathering

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alerts.life_rules import Group, LifeRules
    from registry.gathering import Whereabouts
    from registry.records import Alert


def gathering(alert: Alert, where: Whereabouts) -> Gathering | None:
    """By the shipped rules; None: it is a notice of its own."""
    return gathered(alert, where, shipped_life())


def gathered(alert: Alert, where: Whereabouts, rules: LifeRules) -> Gathering | None:
    """By the first row that fits. What is replayed or simulated never meets what is measured."""
    group = next((each for each in rules.groups if _fits(each, alert)), None)
    if group is None:
        return None
    return Gathering(
        cause=group.cause,
        bonds=tuple(_bonds(group, alert, where)),
        reopens_within=timedelta(hours=rules.reopening.within_h),
        reopens_within_latched=timedelta(days=rules.reignition.days),
    )


def _fits(group: Group, alert: Alert) -> bool:
    return alert.kind in group.kinds and alert.level.rank >= group.from_level.rank


def _bonds(group: Group, alert: Alert, where: Whereabouts) -> Iterator[Bond]:
    """A gateway on no known vehicle is taken for one of its own; without any, the subject stands alone."""
    about = f"{group.cause}/{alert.provenance}/{alert.fleet_id}"
    for by in group.by:
        if by == "vehicle":
            if where.vehicle_id is not None:
                kind, key, name = "vehicle", where.vehicle_id, where.vehicle_name or where.vehicle_id
            elif alert.gateway_id:
                kind, key, name = "gateway", alert.gateway_id, f"gateway {alert.gateway_id}"
            else:
                kind, key = "subject", alert.pack_id or alert.unit_id or alert.alert_id
                name = f"pack {alert.pack_id}" if alert.pack_id else f"unit {alert.unit_id}"
            yield Bond(key=f"{about}/{kind}/{key}", title=group.title.format(where=name))
        else:
            for shipment_id in where.shipment_ids:
                title = group.title.format(where=f"shipment {shipment_id}")
                yield Bond(key=f"{about}/shipment/{shipment_id}", title=title)
