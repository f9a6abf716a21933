"""Trips, as the driver's page knows them, and what was answered and decided about reports to authorities."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  SQLAlchemy reads it
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from registry.columns import Identifier
from registry.kinds import Role  # noqa: TC001  the same
from registry.records import Base, Line, Name, SerialId, Slug
from registry.response_kinds import Language, Situation  # noqa: TC001  the same


class Trip(Base, kw_only=True):
    """One driver with one vehicle, from the first pack on board until custody is signed and incidents are closed."""

    __tablename__ = "trips"
    __table_args__ = (
        Index(
            "uq_trips_open_vehicle",
            "vehicle_id",
            unique=True,
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
    )
    trip_id: Mapped[str] = mapped_column(Identifier("trip"), primary_key=True)
    vehicle_id: Mapped[str] = mapped_column(ForeignKey("vehicles.vehicle_id"))
    driver_name: Mapped[Name]
    language: Mapped[Language]
    phone: Mapped[Name | None] = mapped_column(default=None)
    """The driver's, as E.164."""
    dispatch_number: Mapped[Name | None] = mapped_column(default=None)
    """Whom the page's button calls, as E.164."""
    emergency_number: Mapped[Name | None] = mapped_column(default=None)
    """The number on the shipping paper (49 CFR 172.604), where no shipment on the vehicle names it."""
    nonce: Mapped[Slug] = mapped_column(repr=False)
    """Stands in the link: with another one, links given out before open nothing."""
    opened_at: Mapped[datetime]
    link_until: Mapped[datetime]
    """After this the link opens nothing, whatever happened to the trip."""
    situation: Mapped[Situation | None] = mapped_column(default=None)
    """What the driver said last; None: nothing, and movement alone counts."""
    situation_at: Mapped[datetime | None] = mapped_column(default=None)
    custody_signed_by: Mapped[Name | None] = mapped_column(default=None)
    custody_signed_at: Mapped[datetime | None] = mapped_column(default=None)
    closed_at: Mapped[datetime | None] = mapped_column(default=None)


class DutyAction(StrEnum):
    """What a person did about a report to an authority."""

    ANSWER = "answer"
    """A condition holds, does not, or is not known."""
    OCCURRED = "set occurrence"
    DISCOVERED = "set discovery"
    CONFIRM = "confirm"
    """The report must be made."""
    REJECT = "reject"
    """It need not be made."""
    REPORT = "report"
    """It was made."""


class DutyEvent(Base, kw_only=True):
    """One step about the reports that an incident may need. Only ever added; the last one of an item counts."""

    __tablename__ = "duty_events"
    id: Mapped[SerialId] = mapped_column(init=False)
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.incident_id"), index=True)
    at: Mapped[datetime]
    actor: Mapped[Name]
    actor_role: Mapped[Role | None] = mapped_column(default=None)
    action: Mapped[DutyAction]
    item: Mapped[Slug]
    """The condition, or the report."""
    value: Mapped[Name | None] = mapped_column(default=None)
    """An answer, or an instant as ISO 8601."""
    comment: Mapped[Line | None] = mapped_column(default=None)


class PackPlace(Base, kw_only=True):
    """Where in the trailer a pack lies, as whoever loaded it says: for those who come to put out a fire."""

    __tablename__ = "pack_places"
    pack_id: Mapped[str] = mapped_column(ForeignKey("packs.pack_id"), primary_key=True)
    place: Mapped[Name]
    noted_by: Mapped[Name]
    noted_at: Mapped[datetime]
