"""How alerts gather in incidents, inside the transaction that keeps the alert's step.

What belongs together is decided by the caller's pure rules (`Gather`); here it is found, made, opened again and closed.
Locks are taken in one order: alerts by id, keys by name, incidents by id, the end of the audit log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite

from registry.audit import Action, person_or_rule
from registry.incident_records import Incident, IncidentAlert, IncidentEvent, IncidentKey
from registry.kinds import AlertState, IncidentState, Level
from registry.records import Alert, Gateway, Shipment, ShipmentPack, Vehicle

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy.orm import Session

    from registry.kinds import Role
    from registry.records import AlertEvent

RISES = frozenset({"raise", "worsen", "renew"})
"""Steps of an alert that call people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Where an alert's subject is, as the registry knows it now."""

    vehicle_id: str | None
    vehicle_name: str | None
    shipment_ids: tuple[str, ...]
    """Open ones that the pack is in, by id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bond:
    """What alerts of one incident have in common."""

    key: str
    title: str
    """What the incident is called if this is what holds it together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering:
    """To which incident an alert belongs: the open one with the first of its bonds, else a closed one not too old."""

    cause: str
    bonds: tuple[Bond, ...]
    """The closest first; at least one."""
    reopens_within: timedelta
    """A closed incident opens again so long after it closed; an older one stays closed, and a new one begins."""
    reopens_within_latched: timedelta
    """The same where it was `critical` or worse."""


if TYPE_CHECKING:
    Gather = Callable[[Alert, Whereabouts], Gathering | None]
    """Pure. None: the alert is no incident, a notice for instance."""


@dataclass(slots=True, kw_only=True)
class _Scene:
    """What the steps of one transaction meet, found and locked at once, and what is to be written at its end."""

    session: Session
    links: dict[str, str]
    """Each alert's incident."""
    latest: dict[str, str | None]
    """Each key's latest incident."""
    keys: dict[str, IncidentKey]
    incidents: dict[str, Incident]
    written: list[Incident] = field(default_factory=list)
    """New ones, before all that refers to them."""
    referring: list[IncidentAlert | IncidentEvent] = field(default_factory=list)

    def write(self) -> None:
        self.session.add_all(self.written)
        self.session.flush()
        for name, key in self.keys.items():
            key.incident_id = self.latest[name]
        self.session.add_all(self.referring)
        self.session.flush()
        self.written, self.referring = [], []


def follow(session: Session, moves: Sequence[tuple[Alert, AlertEvent]], gather: Gather | None) -> list[list[Action]]:
    """What steps of alerts, kept just now, do to their incidents; of each step, the actions for the audit log.

    `moves`: each alert as it was after its step, with the step's event.
    """
    moving = {alert.alert_id for alert, event in moves if event.action in RISES or _closes(event)}
    if not moving:
        return [[] for _ in moves]
    query = select(IncidentAlert.alert_id, IncidentAlert.incident_id).where(IncidentAlert.alert_id.in_(moving))
    links = {row.alert_id: row.incident_id for row in session.execute(query)}
    strays = [alert for alert, event in moves if event.action in RISES and alert.alert_id not in links]
    where = {} if gather is None or not strays else _whereabouts(session, strays)
    gatherings = [
        gather(alert, where[alert.alert_id])
        if gather is not None and event.action in RISES and alert.alert_id not in links
        else None
        for alert, event in moves
    ]
    keys = _locked_keys(session, {bond.key for each in gatherings if each is not None for bond in each.bonds})
    latest = {name: key.incident_id for name, key in keys.items()}
    incidents = _locked(session, {*links.values(), *(each for each in latest.values() if each is not None)})
    scene = _Scene(session=session, links=links, latest=latest, keys=keys, incidents=incidents)
    followed = []
    for (alert, event), gathering in zip(moves, gatherings, strict=True):
        incident_id = links.get(alert.alert_id)
        if event.action in RISES and incident_id is not None:
            followed.append(_risen(scene, incidents[incident_id], alert, event))
        elif event.action in RISES and gathering is not None:
            followed.append(_joined(scene, alert, event, gathering, where[alert.alert_id].vehicle_id))
        elif _closes(event) and incident_id is not None:
            followed.append(_one_less(scene, incidents[incident_id], alert, event))
        else:
            followed.append([])
    scene.write()
    return followed


def _closes(event: AlertEvent) -> bool:
    return event.to_state is AlertState.CLOSED and event.action not in RISES


def note(session: Session, incident: Incident, event: IncidentEvent) -> Action:
    """Add a step to an incident's history; the action for the audit log."""
    session.add(event)
    return _noted(incident, event)


def _noted(incident: Incident, event: IncidentEvent) -> Action:
    return Action(
        actor=person_or_rule(event.actor, event.actor_role, rule=incident.cause),
        action=event.action,
        subject=f"incident/{incident.incident_id}",
        at=event.at,
        detail={
            "level": event.level,
            "regarding": event.regarding,
            "comment": event.comment,
            "authority": incident.releasing_authority,
            "provenance": incident.provenance,
        },
    )


def _whereabouts(session: Session, alerts: Sequence[Alert]) -> dict[str, Whereabouts]:
    """Of each alert, by its id."""
    of_gateways = (
        select(Gateway.gateway_id, Vehicle.vehicle_id, Vehicle.name)
        .join(Vehicle, Vehicle.vehicle_id == Gateway.vehicle_id)
        .where(Gateway.gateway_id.in_({alert.gateway_id for alert in alerts}))
    )
    vehicles = {row.gateway_id: (row.vehicle_id, row.name) for row in session.execute(of_gateways)}
    of_packs = (
        select(ShipmentPack.pack_id, Shipment.shipment_id)
        .join(Shipment, Shipment.shipment_id == ShipmentPack.shipment_id)
        .where(ShipmentPack.pack_id.in_({alert.pack_id for alert in alerts}), Shipment.closed_at.is_(None))
        .order_by(Shipment.shipment_id)
    )
    shipments: dict[str | None, list[str]] = {}
    for row in session.execute(of_packs):
        shipments.setdefault(row.pack_id, []).append(row.shipment_id)
    found = {}
    for alert in alerts:
        vehicle_id, name = vehicles.get(alert.gateway_id or "", (None, None))
        found[alert.alert_id] = Whereabouts(
            vehicle_id=vehicle_id, vehicle_name=name, shipment_ids=tuple(shipments.get(alert.pack_id, ()))
        )
    return found


def _incident_id(alert_id: str) -> str:
    """An incident is named after the alert that opens it: a copy that pages without the registry names it alike."""
    return uuid5(NAMESPACE_URL, f"packwatch/incident/{alert_id}").hex


def _joined(
    scene: _Scene, alert: Alert, event: AlertEvent, gathering: Gathering, vehicle_id: str | None
) -> list[Action]:
    incident, bond = _belonging(scene, gathering, event.at)
    actions: list[Action] = []
    if incident is None:
        incident = Incident(
            incident_id=_incident_id(alert.alert_id),
            fleet_id=alert.fleet_id,
            vehicle_id=vehicle_id,
            cause=gathering.cause,
            title=bond.title,
            provenance=alert.provenance,
            state=IncidentState.OPEN,
            level=alert.level,
            opened_at=event.at,
        )
        scene.incidents[incident.incident_id] = incident
        scene.written.append(incident)
        actions.append(_step(scene, incident, event.at, "open", regarding=alert.alert_id))
    else:
        if incident.vehicle_id != vehicle_id:
            incident.vehicle_id, incident.title = None, bond.title
        actions += _reopened(scene, incident, alert, event)
        _rise(incident, alert.level)
        incident.version += 1
        actions.append(_step(scene, incident, event.at, "join", regarding=alert.alert_id))
    scene.latest.update(dict.fromkeys((each.key for each in gathering.bonds), incident.incident_id))
    scene.links[alert.alert_id] = incident.incident_id
    scene.referring.append(IncidentAlert(alert_id=alert.alert_id, incident_id=incident.incident_id, joined_at=event.at))
    return actions


def _belonging(scene: _Scene, gathering: Gathering, at: datetime) -> tuple[Incident | None, Bond]:
    """The incident that the alert joins, and by which bond; None: a new one begins."""
    latest = [(scene.latest[bond.key], bond) for bond in gathering.bonds]
    found = [(scene.incidents[incident_id], bond) for incident_id, bond in latest if incident_id is not None]
    for incident, bond in found:
        if incident.state is IncidentState.OPEN:
            return incident, bond
    for incident, bond in found:
        latched = incident.level.rank >= Level.CRITICAL.rank
        within = gathering.reopens_within_latched if latched else gathering.reopens_within
        if incident.closed_at is not None and at - incident.closed_at <= within:
            return incident, bond
    return None, gathering.bonds[0]


def _locked_keys(session: Session, keys: Collection[str]) -> dict[str, IncidentKey]:
    """The keys' rows, made where they are missing: whoever else wants one of them waits here."""
    if not keys:
        return {}
    make = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.execute(make(IncidentKey).values([{"key": key} for key in sorted(keys)]).on_conflict_do_nothing())
    query = select(IncidentKey).where(IncidentKey.key.in_(keys)).order_by(IncidentKey.key).with_for_update()
    return {row.key: row for row in session.scalars(query)}


def _locked(session: Session, incident_ids: Collection[str]) -> dict[str, Incident]:
    if not incident_ids:
        return {}
    mine = select(Incident).where(Incident.incident_id.in_(incident_ids)).order_by(Incident.incident_id)
    return {incident.incident_id: incident for incident in session.scalars(mine.with_for_update())}


def _risen(scene: _Scene, incident: Incident, alert: Alert, event: AlertEvent) -> list[Action]:
    actions = _reopened(scene, incident, alert, event)
    if _rise(incident, alert.level):
        actions.append(_step(scene, incident, event.at, "rise", regarding=alert.alert_id))
    incident.version += 1
    return actions


def _reopened(scene: _Scene, incident: Incident, alert: Alert, event: AlertEvent) -> list[Action]:
    """It opens again by itself; whoever had it does not work on it any more."""
    if incident.state is IncidentState.OPEN:
        return []
    incident.state, incident.level, incident.opened_at = IncidentState.OPEN, alert.level, event.at
    incident.assigned_to = incident.handover_to = None
    incident.closed_by = incident.closed_at = incident.close_reason = incident.releasing_authority = None
    return [_step(scene, incident, event.at, "reopen", regarding=alert.alert_id)]


def _rise(incident: Incident, level: Level) -> bool:
    if level.rank <= incident.level.rank:
        return False
    incident.level = level
    return True


def _one_less(scene: _Scene, incident: Incident, alert: Alert, event: AlertEvent) -> list[Action]:
    """An alert was closed; the last one closes its incident."""
    incident.version += 1
    others = (
        select(func.count())
        .select_from(IncidentAlert)
        .join(Alert, Alert.alert_id == IncidentAlert.alert_id)
        .where(
            IncidentAlert.incident_id == incident.incident_id,
            Alert.alert_id != alert.alert_id,
            Alert.state != AlertState.CLOSED,
        )
    )
    scene.write()  # so that they are counted
    if scene.session.scalar(others) or incident.state is IncidentState.CLOSED:
        return []
    incident.state, incident.closed_at, incident.handover_to = IncidentState.CLOSED, event.at, None
    incident.closed_by, incident.close_reason = alert.closed_by, alert.close_reason
    incident.releasing_authority = alert.releasing_authority
    return [
        _step(
            scene,
            incident,
            event.at,
            "close",
            actor=event.actor,
            actor_role=event.actor_role,
            regarding=alert.alert_id,
            comment=alert.close_reason,
        )
    ]


def _step(
    scene: _Scene,
    incident: Incident,
    at: datetime,
    action: str,
    *,
    actor: str | None = None,
    actor_role: Role | None = None,
    regarding: str | None = None,
    comment: str | None = None,
) -> Action:
    event = IncidentEvent(
        incident_id=incident.incident_id,
        at=at,
        action=action,
        level=incident.level,
        actor=actor,
        actor_role=actor_role,
        regarding=regarding,
        comment=comment,
    )
    scene.referring.append(event)
    return _noted(incident, event)
