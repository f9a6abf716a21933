"""Trips: opened for a driver, and over when custody is signed and the vehicle has no open incident any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import or_, select

from registry.audit import PROGRAM, Action, Actor, append
from registry.audit_records import ActorKind
from registry.columns import as_utc
from registry.database import Database
from registry.errors import ConflictError, NotFoundError, RefusedError
from registry.incident_records import Incident, IncidentAlert
from registry.kinds import IncidentState, Role
from registry.paging_kinds import Channel
from registry.paging_records import Recipient, RecipientChannel
from registry.records import Alert, Gateway, Pack, Shipment, Vehicle
from registry.trip_records import PackPlace, Trip

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from registry.response_kinds import Situation


class Trips(Database):
    """The trips. Each change is in the audit log; a link's nonce never is."""

    def open_trip(self, trip: Trip, *, by: Actor = PROGRAM) -> Trip:
        """Keep a new trip. Its driver is paged about the vehicle from now on, until the trip is closed.

        Raises NotFoundError for an unknown vehicle, ConflictError when the vehicle is on a trip already.
        """

        def work(session: Session) -> Trip:
            if session.get(Vehicle, trip.vehicle_id) is None:
                raise NotFoundError(f"the registry knows no vehicle {trip.vehicle_id!r}")
            underway = _open_trip(session, trip.vehicle_id)
            if underway is not None:
                on_it = f"trip {underway.trip_id} with {underway.driver_name}"
                raise ConflictError(f"vehicle {trip.vehicle_id} is on {on_it}: close it first")
            kept = Trip(**{column.key: getattr(trip, column.key) for column in Trip.__table__.columns})
            session.add(kept)
            _page_driver(session, kept)
            detail = {
                "vehicle": kept.vehicle_id,
                "driver": kept.driver_name,
                "language": kept.language,
                "link_until": kept.link_until,
            }
            append(session, [_action("open trip", kept, by, kept.opened_at, detail)])
            return kept

        return self._write(work)

    def trip(self, trip_id: str) -> Trip:
        """One trip. Raises NotFoundError."""
        return self._read(lambda session: _known(session, trip_id))

    def open_trips(self) -> tuple[Trip, ...]:
        """All that are not closed, oldest first."""
        query = select(Trip).where(Trip.closed_at.is_(None)).order_by(Trip.opened_at, Trip.trip_id)
        return self._read(lambda session: tuple(session.scalars(query)))

    def open_trip_of(self, vehicle_id: str) -> Trip | None:
        """The trip that a vehicle is on."""
        return self._read(lambda session: _open_trip(session, vehicle_id))

    def renew_trip_link(self, trip_id: str, nonce: str, at: datetime, *, by: Actor = PROGRAM) -> Trip:
        """Links given out before open nothing any more. Raises NotFoundError, and RefusedError for a closed trip."""

        def work(session: Session) -> Trip:
            trip = _open(session, trip_id)
            trip.nonce = nonce
            append(session, [_action("renew trip link", trip, by, at)])
            return trip

        return self._write(work)

    def set_trip_situation(self, trip_id: str, situation: Situation, at: datetime) -> Trip:
        """What the driver says. Raises NotFoundError, and RefusedError for a closed trip."""

        def work(session: Session) -> Trip:
            trip = _open(session, trip_id)
            trip.situation, trip.situation_at = situation, as_utc(at)
            append(session, [_action("set situation", trip, driver_of(trip), at, {"situation": situation})])
            return trip

        return self._write(work)

    def sign_custody(self, trip_id: str, signed_by: str, at: datetime, *, by: Actor = PROGRAM) -> Trip:
        """Somebody else has the load. The trip is over at once, or when the vehicle's last open incident is closed.

        Raises NotFoundError, and RefusedError when it is closed or signed already.
        """

        def work(session: Session) -> Trip:
            trip = _open(session, trip_id)
            if trip.custody_signed_at is not None:
                raise RefusedError(f"custody of trip {trip_id} is signed already, by {trip.custody_signed_by}")
            trip.custody_signed_by, trip.custody_signed_at = signed_by, as_utc(at)
            append(session, [_action("sign custody", trip, by, at, {"signed_by": signed_by})])
            _close_if_over(session, trip, at)
            return trip

        return self._write(work)

    def close_trips_that_are_over(self, at: datetime) -> tuple[Trip, ...]:
        """Those whose custody is signed and whose vehicle has no open incident any more; now closed."""
        signed = select(Trip.trip_id).where(Trip.closed_at.is_(None), Trip.custody_signed_at.is_not(None))
        if not self._read(lambda session: session.scalars(signed).first()):
            return ()

        def work(session: Session) -> tuple[Trip, ...]:
            trips = [_open(session, trip_id) for trip_id in session.scalars(signed).all()]
            return tuple(trip for trip in trips if _close_if_over(session, trip, at))

        return self._write(work)

    def emergency_number_of_vehicle(self, vehicle_id: str) -> str | None:
        """The number on the paper of the vehicle's open shipment (49 CFR 172.604); the newest, were it several."""
        query = (
            select(Shipment.emergency_number)
            .where(
                Shipment.vehicle_id == vehicle_id,
                Shipment.closed_at.is_(None),
                Shipment.emergency_number.is_not(None),
            )
            .order_by(Shipment.departed_at.desc(), Shipment.shipment_id)
            .limit(1)
        )
        return self._read(lambda session: session.scalars(query).one_or_none())

    def note_pack_place(self, pack_id: str, place: str, at: datetime, *, by: Actor = PROGRAM) -> None:
        """Where in the trailer a pack lies; the newest word counts. Raises NotFoundError for an unknown pack."""

        def work(session: Session) -> None:
            if session.get(Pack, pack_id) is None:
                raise NotFoundError(f"the registry knows no pack {pack_id!r}")
            noted = PackPlace(pack_id=pack_id, place=place, noted_by=by.id, noted_at=as_utc(at))
            session.merge(noted)
            detail = {"place": place}
            append(session, [Action(actor=by, action="note place", subject=f"pack/{pack_id}", at=at, detail=detail)])

        self._write(work)

    def pack_places(self, pack_ids: Sequence[str]) -> dict[str, str]:
        """Where packs lie, by pack, as far as somebody noted it."""
        query = select(PackPlace).where(PackPlace.pack_id.in_(pack_ids))
        return self._read(lambda session: {each.pack_id: each.place for each in session.scalars(query)})


def recipient_of_trip(trip: Trip) -> str:
    """As whom the driver is paged."""
    return f"trip-{trip.trip_id}"[:64]


def driver_of(trip: Trip) -> Actor:
    """The driver, as the audit log names people."""
    return Actor(kind=ActorKind.PERSON, id=trip.driver_name, role=Role.DRIVER)


def _known(session: Session, trip_id: str) -> Trip:
    trip = session.get(Trip, trip_id)
    if trip is None:
        raise NotFoundError(f"the registry knows no trip {trip_id!r}")
    return trip


def _open(session: Session, trip_id: str) -> Trip:
    trip = session.scalars(select(Trip).where(Trip.trip_id == trip_id).with_for_update()).one_or_none()
    if trip is None:
        return _known(session, trip_id)
    if trip.closed_at is not None:
        raise RefusedError(f"trip {trip_id} is closed")
    return trip


def _open_trip(session: Session, vehicle_id: str) -> Trip | None:
    return session.scalars(select(Trip).where(Trip.vehicle_id == vehicle_id, Trip.closed_at.is_(None))).one_or_none()


def _open_incidents(session: Session, vehicle_id: str) -> tuple[Incident, ...]:
    carried = (
        select(IncidentAlert.incident_id)
        .join(Alert, Alert.alert_id == IncidentAlert.alert_id)
        .join(Gateway, Gateway.gateway_id == Alert.gateway_id)
        .where(Gateway.vehicle_id == vehicle_id)
    )
    query = select(Incident).where(
        Incident.state == IncidentState.OPEN,
        or_(Incident.vehicle_id == vehicle_id, Incident.incident_id.in_(carried)),
    )
    return tuple(sorted(session.scalars(query), key=lambda each: (-each.level.rank, each.opened_at)))


def _page_driver(session: Session, trip: Trip) -> None:
    """A call first, where the number is known; a push message is extra, and never the alarm."""
    recipient_id = recipient_of_trip(trip)
    session.add(
        Recipient(
            recipient_id=recipient_id,
            name=trip.driver_name,
            role=Role.DRIVER,
            language=trip.language,
            vehicle_id=trip.vehicle_id,
            created_at=trip.opened_at,
        )
    )
    session.flush()
    if trip.phone is not None:
        session.add(RecipientChannel(recipient_id=recipient_id, step=0, channel=Channel.VOICE, address=trip.phone))
    step = 0 if trip.phone is None else 1
    session.add(RecipientChannel(recipient_id=recipient_id, step=step, channel=Channel.PUSH))


def _close_if_over(session: Session, trip: Trip, at: datetime) -> bool:
    if trip.custody_signed_at is None or _open_incidents(session, trip.vehicle_id):
        return False
    trip.closed_at = as_utc(at)
    driver = session.get(Recipient, recipient_of_trip(trip))
    if driver is not None:
        driver.retired_at = as_utc(at)
    append(session, [_action("close trip", trip, PROGRAM, at)])
    return True


def _action(what: str, trip: Trip, by: Actor, at: datetime, detail: dict[str, object] | None = None) -> Action:
    return Action(actor=by, action=what, subject=f"trip/{trip.trip_id}", at=at, detail=detail or {})
