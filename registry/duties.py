"""What people answered and decided about the reports that an incident may need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from registry.audit import Action, Actor, append
from registry.audit_records import ActorKind
from registry.database import Database
from registry.errors import NotFoundError
from registry.incident_records import Incident
from registry.trip_records import DutyEvent

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class Duties(Database):
    """The steps, as they were taken; what follows from them is told elsewhere."""

    def add_duty_event(self, event: DutyEvent) -> None:
        """Keep a step. Raises NotFoundError for an unknown incident."""

        def work(session: Session) -> None:
            if session.get(Incident, event.incident_id) is None:
                raise NotFoundError(f"the registry knows no incident {event.incident_id!r}")
            columns = [column.key for column in DutyEvent.__table__.columns if column.key != "id"]
            session.add(DutyEvent(**{name: getattr(event, name) for name in columns}))
            append(session, [_action(event)])

        self._write(work)

    def duty_events(self, incident_id: str) -> tuple[DutyEvent, ...]:
        """All steps about an incident, in order."""
        query = select(DutyEvent).where(DutyEvent.incident_id == incident_id).order_by(DutyEvent.id)
        return self._read(lambda session: tuple(session.scalars(query)))


def _action(event: DutyEvent) -> Action:
    return Action(
        actor=Actor(kind=ActorKind.PERSON, id=event.actor, role=event.actor_role),
        action=event.action,
        subject=f"incident/{event.incident_id}",
        at=event.at,
        detail={"item": event.item, "value": event.value, "comment": event.comment},
    )
