"""All that the registry knows of an incident, of one moment: what reviews, time lines and evidence are made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import or_, select

from registry.database import Database
from registry.errors import NotFoundError
from registry.incident_records import Incident, IncidentAlert, IncidentEvent, ReignitionWatch
from registry.paging_records import CaseHappening, Page, PageEvent, Recipient
from registry.records import (
    Account,
    Alert,
    AlertEvent,
    Binding,
    Channel,
    Gateway,
    MissingSamples,
    Pack,
    RulesChange,
    SensorUnit,
    Shipment,
    ShipmentPack,
    Vehicle,
)
from registry.reviews import WholeReview, whole_review
from registry.trip_records import DutyEvent, PackPlace, Trip

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

    from registry.records import Base

BEFORE = timedelta(hours=24)
"""How long before its first alert an incident is looked at, or from the start of the trip where that is earlier."""
AFTER = timedelta(days=28)
"""And how long after it closed: a fire may come back for weeks (ERG 2024, Guide 147)."""
MISSING_MAX = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFile:
    """One incident's records. Times are those of the records; tuples are in order of time."""

    incident: Incident
    start: datetime
    """24 h before the first alert, or when the trip or the shipment began."""
    end: datetime
    """Now, or four weeks after it closed."""
    alerts: tuple[Alert, ...]
    alert_events: tuple[AlertEvent, ...]
    incident_events: tuple[IncidentEvent, ...]
    pages: tuple[Page, ...]
    page_events: tuple[PageEvent, ...]
    happenings: tuple[CaseHappening, ...]
    recipients: tuple[Recipient, ...]
    duty_events: tuple[DutyEvent, ...]
    watches: tuple[ReignitionWatch, ...]
    packs: tuple[Pack, ...]
    places: tuple[PackPlace, ...]
    bindings: tuple[Binding, ...]
    units: tuple[SensorUnit, ...]
    channels: tuple[Channel, ...]
    gateways: tuple[Gateway, ...]
    vehicles: tuple[Vehicle, ...]
    trips: tuple[Trip, ...]
    shipments: tuple[Shipment, ...]
    missing: tuple[MissingSamples, ...]
    rules_changes: tuple[RulesChange, ...]
    """Those in the span, and the last one before it."""
    people: tuple[tuple[str, str, str], ...]
    """Id, name and role of every account."""
    review: WholeReview

    def spans_of(self, pack_id: str) -> tuple[tuple[str, datetime, datetime], ...]:
        """Which unit watched the pack, from when to when, within the case's time."""
        return tuple(
            (each.unit_id, max(each.bound_from, self.start), min(each.bound_to or self.end, self.end))
            for each in self.bindings
            if each.pack_id == pack_id and each.bound_from < self.end and (each.bound_to or self.end) > self.start
        )


class CaseFiles(Database):
    """Reading them."""

    def case_file(self, incident_id: str, now: datetime) -> CaseFile:
        """All of one incident. Raises NotFoundError."""
        return self._read(lambda session: _case_file(session, incident_id, now))

    def case_spans(self, now: datetime) -> tuple[tuple[str, datetime, datetime], ...]:
        """(unit, start, end) of what every incident's samples span: what is kept beyond retention."""

        def work(session: Session) -> tuple[tuple[str, datetime, datetime], ...]:
            found: list[tuple[str, datetime, datetime]] = []
            for incident in session.scalars(select(Incident).order_by(Incident.opened_at)):
                alerts = _alerts(session, incident.incident_id)
                start, end = _span(session, incident, alerts, now)
                pack_ids = sorted({each.pack_id for each in alerts if each.pack_id})
                bound = [
                    (each.unit_id, max(each.bound_from, start), min(each.bound_to or end, end))
                    for each in _bindings(session, pack_ids, start, end)
                ]
                loose = {each.unit_id for each in alerts if each.unit_id and not each.pack_id}
                found += [each for each in bound if each[1] < each[2]]
                found += [(unit_id, start, end) for unit_id in sorted(loose)]
            return tuple(found)

        return self._read(work)


def _case_file(session: Session, incident_id: str, now: datetime) -> CaseFile:
    incident = session.get(Incident, incident_id)
    if incident is None:
        raise NotFoundError(f"the registry knows no incident {incident_id!r}")

    def of(kind: type[Any], where: ColumnElement[bool], *order: Any) -> tuple[Any, ...]:
        return tuple(session.scalars(select(kind).where(where).order_by(*order)))

    alerts = _alerts(session, incident_id)
    alert_ids = [each.alert_id for each in alerts]
    pack_ids = sorted({each.pack_id for each in alerts if each.pack_id})
    start, end = _span(session, incident, alerts, now)
    bindings = _bindings(session, pack_ids, start, end)
    unit_ids = sorted({each.unit_id for each in bindings} | {each.unit_id for each in alerts if each.unit_id})
    named = {each.gateway_id for each in bindings if each.gateway_id}
    named |= {each.gateway_id for each in alerts if each.gateway_id}
    gateways = of(Gateway, Gateway.gateway_id.in_(named), Gateway.gateway_id)
    vehicle_ids = _vehicle_ids(incident, gateways)
    pages = of(Page, Page.case_id == incident_id, Page.created_at, Page.key)
    page_keys = [each.key for each in pages]
    told = {each.recipient_id for each in pages}
    return CaseFile(
        incident=incident,
        start=start,
        end=end,
        alerts=alerts,
        alert_events=of(AlertEvent, AlertEvent.alert_id.in_(alert_ids), AlertEvent.at, AlertEvent.id),
        incident_events=of(IncidentEvent, IncidentEvent.incident_id == incident_id, IncidentEvent.id),
        pages=pages,
        page_events=of(PageEvent, PageEvent.key.in_(page_keys), PageEvent.at, PageEvent.id),
        happenings=of(CaseHappening, CaseHappening.case_id == incident_id, CaseHappening.id),
        recipients=of(Recipient, Recipient.recipient_id.in_(told), Recipient.recipient_id),
        duty_events=of(DutyEvent, DutyEvent.incident_id == incident_id, DutyEvent.id),
        watches=of(ReignitionWatch, ReignitionWatch.alert_id.in_(alert_ids), ReignitionWatch.from_at),
        packs=of(Pack, Pack.pack_id.in_(pack_ids), Pack.pack_id),
        places=of(PackPlace, PackPlace.pack_id.in_(pack_ids), PackPlace.pack_id),
        bindings=bindings,
        units=of(SensorUnit, SensorUnit.unit_id.in_(unit_ids), SensorUnit.unit_id),
        channels=of(Channel, Channel.unit_id.in_(unit_ids), Channel.unit_id, Channel.kind, Channel.column),
        gateways=gateways,
        vehicles=of(Vehicle, Vehicle.vehicle_id.in_(vehicle_ids), Vehicle.vehicle_id),
        trips=of(Trip, _overlaps(vehicle_ids, start, end), Trip.opened_at),
        shipments=tuple(
            session.scalars(
                select(Shipment)
                .join(ShipmentPack)
                .where(ShipmentPack.pack_id.in_(pack_ids))
                .distinct()
                .order_by(Shipment.shipment_id)
            )
        ),
        missing=tuple(
            session.scalars(
                select(MissingSamples)
                .where(MissingSamples.unit_id.in_(unit_ids), MissingSamples.from_at < end, MissingSamples.to_at > start)
                .order_by(MissingSamples.from_at)
                .limit(MISSING_MAX)
            )
        ),
        rules_changes=_rules(session, start, end),
        people=tuple(
            (each.account_id, each.display_name, each.role)
            for each in session.scalars(select(Account).order_by(Account.account_id))
        ),
        review=whole_review(session, incident_id),
    )


def _alerts(session: Session, incident_id: str) -> tuple[Alert, ...]:
    query = (
        select(Alert)
        .join(IncidentAlert, IncidentAlert.alert_id == Alert.alert_id)
        .where(IncidentAlert.incident_id == incident_id)
        .order_by(Alert.raised_at, Alert.alert_id)
    )
    return tuple(session.scalars(query))


def _bindings(session: Session, pack_ids: list[str], start: datetime, end: datetime) -> tuple[Binding, ...]:
    query = (
        select(Binding)
        .where(
            Binding.pack_id.in_(pack_ids),
            Binding.bound_from < end,
            or_(Binding.bound_to.is_(None), Binding.bound_to > start),
        )
        .order_by(Binding.bound_from, Binding.id)
    )
    return tuple(session.scalars(query))


def _span(session: Session, incident: Incident, alerts: tuple[Alert, ...], now: datetime) -> tuple[datetime, datetime]:
    first = min((min(each.sampled_at, each.raised_at) for each in alerts), default=incident.opened_at)
    named = {each.gateway_id for each in alerts if each.gateway_id}
    gateways = session.scalars(select(Gateway).where(Gateway.gateway_id.in_(named))).all()
    trip = session.scalars(
        select(Trip.opened_at)
        .where(Trip.vehicle_id.in_(_vehicle_ids(incident, tuple(gateways))), Trip.opened_at <= first)
        .where(or_(Trip.closed_at.is_(None), Trip.closed_at >= first))
    ).all()
    departed = session.scalars(
        select(Shipment.departed_at)
        .join(ShipmentPack)
        .where(ShipmentPack.pack_id.in_({each.pack_id for each in alerts if each.pack_id}))
        .where(Shipment.departed_at <= first, or_(Shipment.closed_at.is_(None), Shipment.closed_at >= first))
    ).all()
    start = min([first - BEFORE, *trip, *(each for each in departed if each is not None)])
    end = now if incident.closed_at is None else min(now, incident.closed_at + AFTER)
    return start, max(end, first)


def _vehicle_ids(incident: Incident, gateways: tuple[Gateway, ...]) -> set[str]:
    named = {each.vehicle_id for each in gateways if each.vehicle_id}
    return named | ({incident.vehicle_id} if incident.vehicle_id else set())


def _overlaps(vehicle_ids: set[str], start: datetime, end: datetime) -> ColumnElement[bool]:
    lasts = or_(Trip.closed_at.is_(None), Trip.closed_at >= start)
    return Trip.vehicle_id.in_(vehicle_ids) & (Trip.opened_at <= end) & lasts


def _rules(session: Session, start: datetime, end: datetime) -> tuple[RulesChange, ...]:
    before = select(RulesChange).where(RulesChange.at < start).order_by(RulesChange.id.desc()).limit(1)
    within = select(RulesChange).where(RulesChange.at >= start, RulesChange.at <= end).order_by(RulesChange.id)
    return (*session.scalars(before), *session.scalars(within))


_SECRET = frozenset({"nonce"})


def plain(record: Base) -> dict[str, Any]:
    """A record by its columns, as JSON has it: times ISO 8601 UTC; bytes and secrets are left out."""
    values = {column.key: getattr(record, column.key) for column in record.__table__.columns}
    return {name: _word(value) for name, value in values.items() if name not in _SECRET and not _is_bytes(value)}


def _is_bytes(value: object) -> bool:
    return isinstance(value, bytes)


def _word(value: Any) -> Any:
    isoformat = getattr(value, "isoformat", None)
    if isoformat is not None:
        return isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value) if isinstance(value, str) else value
