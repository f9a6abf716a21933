"""Incidents: what people deal with, and all that happened in them, in order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import select

from registry.database import Database
from registry.errors import NotFoundError
from registry.incident_records import Incident, IncidentAlert, IncidentEvent
from registry.kinds import AlertKind, Level, Role
from registry.records import Alert, AlertEvent

if TYPE_CHECKING:
    from collections.abc import Iterator
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

    def case_events(self, incident_id: str) -> tuple[CaseEvent, ...]:
        """What bears on escalation, in order of time; of one instant, risings first and the closing last.

        Raises NotFoundError.
        """

        def work(session: Session) -> tuple[CaseEvent, ...]:
            _known(session, incident_id)
            found = [*_alert_happenings(session, incident_id), *_incident_happenings(session, incident_id)]
            return tuple(sorted(found, key=lambda each: (each.at, list(CaseEventKind).index(each.kind))))

        return self._read(work)


def _known(session: Session, incident_id: str) -> Incident:
    incident = session.get(Incident, incident_id)
    if incident is None:
        raise NotFoundError(f"the registry knows no incident {incident_id!r}")
    return incident


_RISES = frozenset({"raise", "worsen", "renew"})
_ACTS = frozenset({"comment", "act"})
"""To take an incident on, or to hand it over, does nothing about the fire yet."""


def _alert_happenings(session: Session, incident_id: str) -> Iterator[CaseEvent]:
    query = (
        select(AlertEvent, Alert)
        .join(Alert, Alert.alert_id == AlertEvent.alert_id)
        .join(IncidentAlert, IncidentAlert.alert_id == Alert.alert_id)
        .where(IncidentAlert.incident_id == incident_id, AlertEvent.action.in_([*_RISES, "acknowledge"]))
        .order_by(AlertEvent.id)
    )
    for event, alert in session.execute(query):
        rises = event.action in _RISES
        yield CaseEvent(
            at=event.at,
            kind=CaseEventKind.RAISED if rises else CaseEventKind.ACKNOWLEDGED,
            role=None if rises else event.actor_role or Role.DISPATCHER,
            level=_paged_level(alert.kind, event.level),
            pack_id=alert.pack_id or alert.unit_id or alert.gateway_id,
        )


def _incident_happenings(session: Session, incident_id: str) -> Iterator[CaseEvent]:
    query = (
        select(IncidentEvent)
        .where(IncidentEvent.incident_id == incident_id, IncidentEvent.action.in_([*_ACTS, "close"]))
        .order_by(IncidentEvent.id)
    )
    for event in session.scalars(query):
        kind = CaseEventKind.CLOSED if event.action == "close" else CaseEventKind.ACTED
        if kind is CaseEventKind.ACTED and event.actor_role is None:
            continue
        yield CaseEvent(at=event.at, kind=kind, role=event.actor_role, level=event.level, pack_id=None)


def _paged_level(kind: AlertKind, level: Level) -> Level:
    """A vehicle that is lost while a pack was suspicious is paged as `critical` is: nobody can see what comes next."""
    return Level.CRITICAL if kind is AlertKind.COVERAGE and level.rank >= Level.WARNING.rank else level
