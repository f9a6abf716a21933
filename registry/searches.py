"""Searches over what is kept: trips of a pack, incidents of a chemistry, packs of units' days."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, or_, select

from registry.database import Database
from registry.errors import NotFoundError
from registry.incident_records import Incident, IncidentAlert
from registry.records import Alert, Binding, Gateway, Pack
from registry.trip_records import Trip

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sqlalchemy import Select
    from sqlalchemy.orm import Session

    from registry.kinds import Chemistry

_NAMES_AT_ONCE = 500
"""SQLite takes a bounded number of parameters."""


class Searches(Database):
    """Reads only."""

    def trips_of_pack(self, pack_id: str) -> tuple[Trip, ...]:
        """All trips of vehicles while a unit of theirs watched the pack, newest first. Raises NotFoundError."""
        together = and_(
            or_(Trip.closed_at.is_(None), Trip.closed_at >= Binding.bound_from),
            or_(Binding.bound_to.is_(None), Trip.opened_at <= Binding.bound_to),
        )
        query = (
            select(Trip)
            .join(Gateway, Gateway.vehicle_id == Trip.vehicle_id)
            .join(Binding, and_(Binding.gateway_id == Gateway.gateway_id, together))
            .where(Binding.pack_id == pack_id)
            .distinct()
            .order_by(Trip.opened_at.desc(), Trip.trip_id)
        )

        def work(session: Session) -> tuple[Trip, ...]:
            if session.get(Pack, pack_id) is None:
                raise NotFoundError(f"the registry knows no pack {pack_id!r}")
            return tuple(session.scalars(query))

        return self._read(work)

    def incidents_of_chemistry(
        self, chemistry: Chemistry, *, limit: int = 100, offset: int = 0
    ) -> tuple[Incident, ...]:
        """Incidents with an alert of a pack of that chemistry, those that opened last first."""
        ids = (
            select(IncidentAlert.incident_id)
            .join(Alert, Alert.alert_id == IncidentAlert.alert_id)
            .join(Pack, Pack.pack_id == Alert.pack_id)
            .where(Pack.chemistry == chemistry)
        )
        query = (
            select(Incident)
            .where(Incident.incident_id.in_(ids))
            .order_by(Incident.opened_at.desc(), Incident.incident_id)
            .limit(limit)
            .offset(offset)
        )
        return self._read(lambda session: tuple(session.scalars(query)))

    def bindings_of_units(self, unit_ids: Collection[str]) -> tuple[Binding, ...]:
        """What these units ever watched, oldest first."""
        names = sorted(unit_ids)
        found: list[Binding] = []
        for first in range(0, len(names), _NAMES_AT_ONCE):
            query = select(Binding).where(Binding.unit_id.in_(names[first : first + _NAMES_AT_ONCE]))
            found += self._read(_all_of(query))
        return tuple(sorted(found, key=lambda binding: (binding.bound_from, binding.unit_id)))


def _all_of(query: Select[Binding]) -> Callable[[Session], Sequence[Binding]]:
    return lambda session: session.scalars(query).all()
