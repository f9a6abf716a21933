"""Incidents: what people deal with, and all that happened in them, in order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from registry.audit import append
from registry.database import Database
from registry.errors import ConflictError, NotFoundError
from registry.gathering import RISES, note
from registry.incident_records import Incident, IncidentAlert, IncidentEvent
from registry.kinds import AlertKind, CallOutcome, IncidentState, Level, Role
from registry.records import Alert, AlertEvent, Gateway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session


class CaseEventKind(StrEnum):
    """What a happening means to escalation."""

    RAISED = "raised"
    """A subject's alert was raised, worsened, or is hot again."""
    ACKNOWLEDGED = "acknowledged"
    ACTED = "acted"
    """Somebody wrote down what was done."""
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseEvent:
    """One happening of an incident, as escalation reads it."""

    at: datetime
    """When it was recorded, by the clock of whoever acted."""
    kind: CaseEventKind
    role: Role | None
    """In which somebody acknowledged or acted; None for what rules do."""
    level: Level
    """To which it was raised, or that was acknowledged."""
    pack_id: str | None
    """The subject: the pack, else the unit, else the gateway of the alert; None: the incident itself."""


class Incidents(Database):
    """The incidents."""

    def incident(self, incident_id: str) -> Incident:
        """One incident. Raises NotFoundError."""
        return self._read(lambda session: _known(session, incident_id))

    def incidents(
        self, *, state: IncidentState | None = None, limit: int = 100, offset: int = 0
    ) -> tuple[Incident, ...]:
        """Incidents, those that opened last first."""
        query = select(Incident).order_by(Incident.opened_at.desc(), Incident.incident_id).limit(limit).offset(offset)
        if state is not None:
            query = query.where(Incident.state == state)
        return self._read(lambda session: tuple(session.scalars(query)))

    def incident_alerts(self, incident_ids: Sequence[str]) -> dict[str, tuple[Alert, ...]]:
        """Each incident's alerts, open and closed, oldest first."""
        query = (
            select(IncidentAlert.incident_id, Alert)
            .join(Alert, Alert.alert_id == IncidentAlert.alert_id)
            .where(IncidentAlert.incident_id.in_(incident_ids))
            .order_by(Alert.raised_at, Alert.alert_id)
        )

        def work(session: Session) -> dict[str, tuple[Alert, ...]]:
            found: dict[str, list[Alert]] = {incident_id: [] for incident_id in incident_ids}
            for incident_id, alert in session.execute(query):
                found[incident_id].append(alert)
            return {incident_id: tuple(alerts) for incident_id, alerts in found.items()}

        return self._read(work)

    def incident_of_alert(self, alert_id: str) -> Incident | None:
        """The incident that an alert is in; None: it is in none, or unknown."""
        query = select(Incident).join(IncidentAlert).where(IncidentAlert.alert_id == alert_id)
        return self._read(lambda session: session.scalars(query).one_or_none())

    def incidents_of_alerts(self, alert_ids: Sequence[str]) -> dict[str, str]:
        """The id of the incident of each alert that is in one."""
        query = select(IncidentAlert.alert_id, IncidentAlert.incident_id).where(IncidentAlert.alert_id.in_(alert_ids))
        return self._read(lambda session: {row.alert_id: row.incident_id for row in session.execute(query)})

    def open_incidents_of_vehicle(self, vehicle_id: str) -> tuple[Incident, ...]:
        """Open incidents with an alert behind a gateway that is on the vehicle now, those across vehicles included."""
        query = (
            select(Incident)
            .join(IncidentAlert)
            .join(Alert, Alert.alert_id == IncidentAlert.alert_id)
            .join(Gateway, Gateway.gateway_id == Alert.gateway_id)
            .where(Gateway.vehicle_id == vehicle_id, Incident.state == IncidentState.OPEN)
            .distinct()
            .order_by(Incident.opened_at, Incident.incident_id)
        )
        return self._read(lambda session: tuple(session.scalars(query)))

    def incident_events(self, incident_id: str) -> tuple[IncidentEvent, ...]:
        """An incident's history, oldest first. Raises NotFoundError."""

        def work(session: Session) -> tuple[IncidentEvent, ...]:
            _known(session, incident_id)
            query = select(IncidentEvent).where(IncidentEvent.incident_id == incident_id).order_by(IncidentEvent.id)
            return tuple(session.scalars(query))

        return self._read(work)

    def change_incident(
        self, incident_id: str, step: Callable[[Incident], IncidentEvent], *, expected_version: int | None
    ) -> Incident:
        """Let `step` change an incident, with the event that tells of it; returns the incident as kept, one version on.

        `step` sees the newest incident, whose row is locked, and may run again; what it raises changes nothing.
        `expected_version` None: what came meanwhile does not matter, as for a comment. Raises NotFoundError,
        ConflictError (it is at another version).
        """

        def work(session: Session) -> Incident:
            incident = session.get(Incident, incident_id, with_for_update=True)
            if incident is None:
                raise NotFoundError(f"the registry knows no incident {incident_id!r}")
            if expected_version is not None and incident.version != expected_version:
                raise ConflictError(
                    f"incident {incident_id} is at version {incident.version}, not {expected_version}: it changed "
                    "meanwhile, look again"
                )
            event = step(incident)
            incident.version += 1
            append(session, [note(session, incident, event)])
            return incident

        return self._write(work)

    def case_events(self, incident_id: str) -> tuple[CaseEvent, ...]:
        """What bears on escalation, in order of time; of one instant, risings first and the closing last.

        Raises NotFoundError.
        """
        return self.events_of_cases([incident_id])[incident_id]

    def events_of_cases(self, incident_ids: Sequence[str]) -> dict[str, tuple[CaseEvent, ...]]:
        """Of each incident, as `case_events`. Raises NotFoundError."""

        def work(session: Session) -> dict[str, tuple[CaseEvent, ...]]:
            known = session.scalars(select(Incident.incident_id).where(Incident.incident_id.in_(incident_ids)))
            found: dict[str, list[CaseEvent]] = {incident_id: [] for incident_id in known}
            for incident_id in incident_ids:
                if incident_id not in found:
                    raise NotFoundError(f"the registry knows no incident {incident_id!r}")
            for incident_id, event in _alert_happenings(session, incident_ids):
                found[incident_id].append(event)
            for incident_id, event in _incident_happenings(session, incident_ids):
                found[incident_id].append(event)
            return {incident_id: tuple(sorted(events, key=_in_order)) for incident_id, events in found.items()}

        return self._read(work)


def _known(session: Session, incident_id: str) -> Incident:
    incident = session.get(Incident, incident_id)
    if incident is None:
        raise NotFoundError(f"the registry knows no incident {incident_id!r}")
    return incident


_ACTS = frozenset({"comment", "act", f"call {CallOutcome.ANSWERED}"})
"""To take an incident on, to hand it over, or to call in vain does nothing about the fire yet."""


def _in_order(event: CaseEvent) -> tuple[datetime, int]:
    return event.at, list(CaseEventKind).index(event.kind)


def _alert_happenings(session: Session, incident_ids: Sequence[str]) -> Iterator[tuple[str, CaseEvent]]:
    query = (
        select(
            IncidentAlert.incident_id,
            AlertEvent.at,
            AlertEvent.action,
            AlertEvent.actor_role,
            AlertEvent.level,
            Alert.kind,
            func.coalesce(Alert.pack_id, Alert.unit_id, Alert.gateway_id).label("subject"),
        )
        .join(Alert, Alert.alert_id == AlertEvent.alert_id)
        .join(IncidentAlert, IncidentAlert.alert_id == Alert.alert_id)
        .where(IncidentAlert.incident_id.in_(incident_ids), AlertEvent.action.in_([*RISES, "acknowledge"]))
        .order_by(AlertEvent.id)
    )
    for row in session.execute(query):
        rises = row.action in RISES
        yield (
            row.incident_id,
            CaseEvent(
                at=row.at,
                kind=CaseEventKind.RAISED if rises else CaseEventKind.ACKNOWLEDGED,
                role=None if rises else row.actor_role or Role.DISPATCHER,
                level=paged_level(row.kind, row.level),
                pack_id=row.subject,
            ),
        )


def _incident_happenings(session: Session, incident_ids: Sequence[str]) -> Iterator[tuple[str, CaseEvent]]:
    query = (
        select(IncidentEvent)
        .where(IncidentEvent.incident_id.in_(incident_ids), IncidentEvent.action.in_([*_ACTS, "close"]))
        .order_by(IncidentEvent.id)
    )
    for event in session.scalars(query):
        kind = CaseEventKind.CLOSED if event.action == "close" else CaseEventKind.ACTED
        if kind is CaseEventKind.ACTED and event.actor_role is None:
            continue
        role, level = event.actor_role, event.level
        yield event.incident_id, CaseEvent(at=event.at, kind=kind, role=role, level=level, pack_id=None)


def paged_level(kind: AlertKind, level: Level) -> Level:
    """A vehicle that is lost while a pack was suspicious is paged as `critical` is: nobody can see what comes next."""
    return Level.CRITICAL if kind is AlertKind.COVERAGE and level.rank >= Level.WARNING.rank else level
