"""How alerts gather in incidents, inside the transaction that keeps the alert's step.

What belongs together is decided by the caller's pure rules (`Gather`); here it is found, made, opened again and closed.
Locks are taken in one order: the alert, the keys by name, the incident, the end of the audit log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite

from registry.audit import Action, Actor
from registry.audit_records import ActorKind
from registry.incident_records import Incident, IncidentAlert, IncidentEvent, IncidentKey
from registry.kinds import AlertState, IncidentState, Level
from registry.records import Alert, Gateway, Shipment, ShipmentPack, Vehicle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
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


def follow(session: Session, alert: Alert, event: AlertEvent, gather: Gather | None) -> list[Action]:
    """What an alert's step, kept just now, does to its incident; the actions for the audit log."""
    link = session.get(IncidentAlert, alert.alert_id)
    if event.action in RISES:
        if link is not None:
            return _risen(_locked(session, link.incident_id), alert, event, session)
        where = _whereabouts(session, alert)
        gathering = None if gather is None else gather(alert, where)
        return [] if gathering is None else _joined(session, alert, event, gathering, where.vehicle_id)
    if event.to_state is AlertState.CLOSED and link is not None:
        return _one_less(session, _locked(session, link.incident_id), alert, event)
    return []


def note(session: Session, incident: Incident, event: IncidentEvent) -> Action:
    """Add a step to an incident's history; the action for the audit log."""
    session.add(event)
    if event.actor is None:
        actor = Actor(kind=ActorKind.RULE, id=incident.cause)
    else:
        actor = Actor(kind=ActorKind.PERSON, id=event.actor, role=event.actor_role)
    return Action(
        actor=actor,
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


def _whereabouts(session: Session, alert: Alert) -> Whereabouts:
    of_gateway = select(Vehicle).join(Gateway).where(Gateway.gateway_id == alert.gateway_id)
    vehicle = session.scalars(of_gateway).one_or_none()
    of_pack = (
        select(Shipment.shipment_id)
        .join(ShipmentPack, ShipmentPack.shipment_id == Shipment.shipment_id)
        .where(ShipmentPack.pack_id == alert.pack_id, Shipment.closed_at.is_(None))
        .order_by(Shipment.shipment_id)
    )
    return Whereabouts(
        vehicle_id=None if vehicle is None else vehicle.vehicle_id,
        vehicle_name=None if vehicle is None else vehicle.name,
        shipment_ids=tuple(session.scalars(of_pack)),
    )


def _joined(
    session: Session, alert: Alert, event: AlertEvent, gathering: Gathering, vehicle_id: str | None
) -> list[Action]:
    keys = _locked_keys(session, [bond.key for bond in gathering.bonds])
    incident, bond = _belonging(session, gathering, keys, event.at)
    actions: list[Action] = []
    if incident is None:
        incident = Incident(
            incident_id=uuid4().hex,
            fleet_id=alert.fleet_id,
            vehicle_id=vehicle_id,
            cause=gathering.cause,
            title=bond.title,
            provenance=alert.provenance,
            state=IncidentState.OPEN,
            level=alert.level,
            opened_at=event.at,
        )
        session.add(incident)
        session.flush()
        actions.append(_step(session, incident, event.at, "open", regarding=alert.alert_id))
    else:
        if incident.vehicle_id != vehicle_id:
            incident.vehicle_id, incident.title = None, bond.title
        actions += _reopened(session, incident, alert, event)
        _rise(incident, alert.level)
        incident.version += 1
        actions.append(_step(session, incident, event.at, "join", regarding=alert.alert_id))
    for key in keys:
        key.incident_id = incident.incident_id
    joined = IncidentAlert(alert_id=alert.alert_id, incident_id=incident.incident_id, joined_at=event.at)
    session.add(joined)
    return actions


def _belonging(
    session: Session, gathering: Gathering, keys: Iterable[IncidentKey], at: datetime
) -> tuple[Incident | None, Bond]:
    """The incident that the alert joins, and by which bond; None: a new one begins."""
    latest = {key.key: key.incident_id for key in keys if key.incident_id is not None}
    incidents = {incident_id: _locked(session, incident_id) for incident_id in sorted(set(latest.values()))}
    found = [(incidents[latest[bond.key]], bond) for bond in gathering.bonds if bond.key in latest]
    for incident, bond in found:
        if incident.state is IncidentState.OPEN:
            return incident, bond
    for incident, bond in found:
        latched = incident.level.rank >= Level.CRITICAL.rank
        within = gathering.reopens_within_latched if latched else gathering.reopens_within
        if incident.closed_at is not None and at - incident.closed_at <= within:
            return incident, bond
    return None, gathering.bonds[0]


def _locked_keys(session: Session, keys: list[str]) -> list[IncidentKey]:
    """The keys' rows, made where they are missing: whoever else wants one of them waits here."""
    make = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.execute(make(IncidentKey).values([{"key": key} for key in sorted(keys)]).on_conflict_do_nothing())
    query = select(IncidentKey).where(IncidentKey.key.in_(keys)).order_by(IncidentKey.key).with_for_update()
    return list(session.scalars(query))


def _locked(session: Session, incident_id: str) -> Incident:
    return session.get_one(Incident, incident_id, with_for_update=True)


def _risen(incident: Incident, alert: Alert, event: AlertEvent, session: Session) -> list[Action]:
    actions = _reopened(session, incident, alert, event)
    if _rise(incident, alert.level):
        actions.append(_step(session, incident, event.at, "rise", regarding=alert.alert_id))
    incident.version += 1
    return actions


def _reopened(session: Session, incident: Incident, alert: Alert, event: AlertEvent) -> list[Action]:
    """It opens again by itself; whoever had it does not work on it any more."""
    if incident.state is IncidentState.OPEN:
        return []
    incident.state, incident.level, incident.opened_at = IncidentState.OPEN, alert.level, event.at
    incident.assigned_to = incident.handover_to = None
    incident.closed_by = incident.closed_at = incident.close_reason = incident.releasing_authority = None
    return [_step(session, incident, event.at, "reopen", regarding=alert.alert_id)]


def _rise(incident: Incident, level: Level) -> bool:
    if level.rank <= incident.level.rank:
        return False
    incident.level = level
    return True


def _one_less(session: Session, incident: Incident, alert: Alert, event: AlertEvent) -> list[Action]:
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
    if session.scalar(others) or incident.state is IncidentState.CLOSED:
        return []
    incident.state, incident.closed_at, incident.handover_to = IncidentState.CLOSED, event.at, None
    incident.closed_by, incident.close_reason = alert.closed_by, alert.close_reason
    incident.releasing_authority = alert.releasing_authority
    return [
        _step(
            session,
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
    session: Session,
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
    return note(session, incident, event)
