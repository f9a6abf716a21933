"""Incidents as records: what people deal with. One gathers alerts; each alert belongs to one at most."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from registry.columns import Identifier
from registry.kinds import IncidentState, Level, Role
from registry.records import Base, Claimed, Line, Name, SerialId, Slug, Told
from telemetry.samples import Provenance


class Incident(Base, kw_only=True):
    """Alerts with one cause, on one vehicle or across vehicles. `version` grows by one with each change.

    It is open as long as one of its alerts is, and opens again with the next one that belongs to it.
    """

    __tablename__ = "incidents"
    incident_id: Mapped[str] = mapped_column(Identifier("incident"), primary_key=True)
    fleet_id: Mapped[Claimed]
    vehicle_id: Mapped[Claimed | None] = mapped_column(default=None)
    """None: on no known vehicle, or on several."""
    cause: Mapped[Claimed]
    title: Mapped[Told]
    provenance: Mapped[Provenance]
    state: Mapped[IncidentState] = mapped_column(index=True)
    level: Mapped[Level]
    """The worst that its alerts had since it opened."""
    assigned_to: Mapped[str | None] = mapped_column(ForeignKey("accounts.account_id"), default=None)
    """Who works on it; None: nobody yet."""
    handover_to: Mapped[str | None] = mapped_column(ForeignKey("accounts.account_id"), default=None)
    """To whom it was handed; until that person accepts, it stays with who has it."""
    opened_at: Mapped[datetime] = mapped_column(index=True)
    """When it opened last."""
    closed_by: Mapped[Name | None] = mapped_column(default=None)
    """None while closed: it ended by itself."""
    closed_at: Mapped[datetime | None] = mapped_column(default=None)
    close_reason: Mapped[Line | None] = mapped_column(default=None)
    releasing_authority: Mapped[Line | None] = mapped_column(default=None)
    """Who released the load, where it was `critical`."""
    version: Mapped[int] = mapped_column(default=1)


class IncidentAlert(Base, kw_only=True):
    """An alert in its incident."""

    __tablename__ = "incident_alerts"
    alert_id: Mapped[str] = mapped_column(ForeignKey("alerts.alert_id"), primary_key=True)
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.incident_id"), index=True)
    joined_at: Mapped[datetime]


class IncidentKey(Base, kw_only=True):
    """What alerts of one cause have in common, and their latest incident. Its row's lock lets one writer at it."""

    __tablename__ = "incident_keys"
    key: Mapped[Claimed] = mapped_column(primary_key=True)
    incident_id: Mapped[str | None] = mapped_column(ForeignKey("incidents.incident_id"), default=None)


class IncidentEvent(Base, kw_only=True):
    """One step in an incident's life. Only ever added, with the change that it tells of, in one transaction."""

    __tablename__ = "incident_events"
    id: Mapped[SerialId] = mapped_column(init=False)
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.incident_id"), index=True)
    at: Mapped[datetime]
    action: Mapped[Slug]
    level: Mapped[Level]
    """The incident's, after the step."""
    actor: Mapped[Name | None] = mapped_column(default=None)
    """The person; None: the rules."""
    actor_role: Mapped[Role | None] = mapped_column(default=None)
    regarding: Mapped[Claimed | None] = mapped_column(default=None)
    """The alert that joined or closed, or the account that it was assigned or handed to."""
    comment: Mapped[Line | None] = mapped_column(default=None)


class ReignitionWatch(Base, kw_only=True):
    """A fire may come back for weeks: after a `critical` was closed its pack is watched on, without anybody's doing.

    Source: ERG 2024, Guide 147.
    """

    __tablename__ = "reignition_watches"
    alert_id: Mapped[str] = mapped_column(ForeignKey("alerts.alert_id"), primary_key=True)
    """The alert that was closed."""
    fleet_id: Mapped[Claimed]
    pack_id: Mapped[Claimed | None] = mapped_column(index=True, default=None)
    unit_id: Mapped[Claimed | None] = mapped_column(default=None)
    provenance: Mapped[Provenance]
    level: Mapped[Level]
    """The highest that the closed alert had."""
    from_at: Mapped[datetime]
    until_at: Mapped[datetime] = mapped_column(index=True)
    released_by: Mapped[Name]
    releasing_authority: Mapped[Line]
