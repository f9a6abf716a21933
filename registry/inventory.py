"""Packs, units, vehicles and shipments: who watches what, where it is carried, and since when.

All that `assignments` tells is written under the lock of one row, which also counts the changes. So two writers never
see each other's half-done work, and a caller who keeps a copy knows when it is out of date.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import inspect, select

from registry import rules
from registry.audit import PROGRAM, Action, append
from registry.columns import as_utc
from registry.database import Database
from registry.enrolling import Enrolling, rebind
from registry.enrolment import Assignment, UnitSpan
from registry.errors import ConflictError, NotFoundError
from registry.kinds import ChannelKind, Chemistry, Quantity
from registry.records import (
    Base,
    Binding,
    Channel,
    Fleet,
    Gateway,
    Organisation,
    Pack,
    Revision,
    SensorUnit,
    Shipment,
    ShipmentPack,
    Vehicle,
)

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Mapper, Session

    from registry.audit import Actor
    from registry.enrolment import Enrolment

_Kept = TypeVar("_Kept", bound="Organisation|Fleet|Vehicle|Gateway|Pack|SensorUnit|Channel|Shipment|ShipmentPack")
_Record = TypeVar("_Record", bound=Base)


class Inventory(Database):
    """The records of what travels. A lookup by id raises NotFoundError; a search answers None or nothing."""

    def revision(self) -> int:
        """Grows with every change of fleets, vehicles, gateways, packs, units, channels or bindings. Cheap to ask."""
        return self._read(lambda session: _known(session, Revision, 1).number)

    def add(self, record: _Kept, *, by: Actor = PROGRAM) -> _Kept:
        """Keep a new record.

        Raises ConflictError when its id is taken, NotFoundError when it names something unknown, RefusedError when it
        breaks a rule.
        """
        return self._write(lambda session: _keep(session, record, by, replace=False))

    def save(self, record: _Kept, *, by: Actor = PROGRAM) -> _Kept:
        """Keep a record, in the place of the one with its id if there is one. Raises as `add`."""
        return self._write(lambda session: _keep(session, record, by, replace=True))

    def packs(self) -> tuple[Pack, ...]:
        """All packs, by id."""
        return self._read(lambda session: tuple(session.scalars(select(Pack).order_by(Pack.pack_id))))

    def pack(self, pack_id: str) -> Pack:
        """One pack."""
        return self._read(lambda session: _known(session, Pack, pack_id))

    def shipment(self, shipment_id: str) -> Shipment:
        """One shipment."""
        return self._read(lambda session: _known(session, Shipment, shipment_id))

    def vehicle_of_gateway(self, gateway_id: str) -> Vehicle | None:
        """The vehicle that a gateway is on; None when it is on none, or the gateway is unknown."""
        query = select(Vehicle).join(Gateway).where(Gateway.gateway_id == gateway_id)
        return self._read(lambda session: session.scalars(query).one_or_none())

    def open_real_shipment_of(self, pack_id: str) -> Shipment | None:
        """The pack's shipment that is no simulation and is not closed, departed or not; the newest, were it several."""
        return self._read(lambda session: _open_real_shipment(session, pack_id))

    def units_of_pack(self, pack_id: str, start: datetime, end: datetime) -> tuple[UnitSpan, ...]:
        """Which units watched a pack when, within [start, end); oldest first, touching spans of a unit joined."""
        first, last = as_utc(start), as_utc(end)
        query = select(Binding).where(Binding.pack_id == pack_id).order_by(Binding.unit_id, Binding.bound_from)
        bindings = self._read(lambda session: session.scalars(query).all())
        spans = [
            UnitSpan(binding.unit_id, max(binding.bound_from, first), min(binding.bound_to or last, last))
            for binding in bindings
        ]
        return tuple(sorted(_joined([span for span in spans if span.start < span.end]), key=lambda span: span.start))

    def bind(self, unit_id: str, pack_id: str, *, gateway_id: str | None, at: datetime, by: Actor = PROGRAM) -> Binding:
        """From `at` on the unit watches this pack, behind this gateway; what it watched before ends at that instant.

        Raises NotFoundError, and RefusedError when `at` is before the present binding began, or when a simulated unit
        would watch a pack on an open, real shipment.
        """

        def work(session: Session) -> Binding:
            _lock(session)
            unit = _known(session, SensorUnit, unit_id)
            _known(session, Pack, pack_id)
            if unit.simulated:
                rules.check_simulated_unit(pack_id, _open_real_shipment(session, pack_id))
            if gateway_id is not None:
                _known(session, Gateway, gateway_id)
            binding, changed = rebind(session, unit_id, pack_id, gateway_id, as_utc(at))
            if changed:
                _count_change(session)
                append(session, [_bound(unit_id, pack_id, gateway_id, at, by)])
            return binding

        return self._write(work)

    def enrol(self, enrolment: Enrolment, now: datetime, *, by: Actor = PROGRAM) -> None:
        """Make what is missing of fleet, vehicle, gateway, pack, unit, channels and binding, all or nothing.

        Doing it again changes nothing. An existing pack's facts stay; a unit's channels follow the enrolment.
        Raises RefusedError when unit and enrolment differ in being simulated, when a simulated unit would watch a
        pack on an open, real shipment, or when gateway or vehicle belong to another fleet.
        """

        def work(session: Session) -> None:
            _lock(session)
            enrolling = Enrolling(session, enrolment, as_utc(now))
            enrolling.run(_open_real_shipment(session, enrolment.pack_id))
            if enrolling.changed:
                _count_change(session)
                append(session, [_enrolled(enrolment, now, by)])

        self._write(work)

    def assignments(self) -> tuple[Assignment, ...]:
        """Every registered unit, by id, with what it watches now."""
        return self._read(_assignments)


def _known(session: Session, kind: type[_Record], key: object) -> _Record:
    record = session.get(kind, key)
    if record is None:
        raise NotFoundError(f"the registry knows no {kind.__name__.lower()} {key!r}")
    return record


def _lock(session: Session) -> Revision:
    return session.get_one(Revision, 1, with_for_update=True)


def _count_change(session: Session) -> None:
    session.get_one(Revision, 1).number += 1


def _keep(session: Session, record: _Kept, by: Actor, *, replace: bool) -> _Kept:
    rules.check(record)
    _lock(session)
    mapper: Mapper[_Kept] = inspect(type(record))
    key = mapper.primary_key_from_instance(record)
    _check_references(session, mapper, record)
    kept = session.get(type(record), tuple(key))
    names = [attribute.key for attribute in mapper.column_attrs]
    before = {} if kept is None else {name: getattr(kept, name) for name in names}
    values = {name: getattr(record, name) for name in names}
    if kept is None:
        kept = type(record)(**values)
        session.add(kept)
    elif replace:
        for name, value in values.items():
            setattr(kept, name, value)
    else:
        raise ConflictError(f"there is a {type(record).__name__.lower()} {'/'.join(map(str, key))} already")
    _count_change(session)
    changed = {name: _word(value) for name, value in values.items() if name not in before or before[name] != value}
    subject = f"{type(record).__name__.lower()}/{'/'.join(map(str, key))}"
    append(session, [Action(actor=by, action="change" if before else "add", subject=subject, detail=changed)])
    return kept


def _word(value: object) -> object:
    """A value of a record as the audit log keeps it, whose numbers are whole."""
    return str(value) if isinstance(value, float) else value


def _bound(unit_id: str, pack_id: str, gateway_id: str | None, at: datetime, by: Actor) -> Action:
    detail = {"pack": pack_id, "gateway": gateway_id, "from": at}
    return Action(actor=by, action="bind", subject=f"unit/{unit_id}", detail=detail)


def _enrolled(enrolment: Enrolment, now: datetime, by: Actor) -> Action:
    detail = {name: _word(value) for name, value in asdict(enrolment).items()}
    return Action(actor=by, action="enrol", subject=f"unit/{enrolment.unit_id}", at=now, detail=detail)


def _check_references(session: Session, mapper: Mapper[_Kept], record: _Kept) -> None:
    """Both databases would refuse an unknown reference too, but SQLite does not say which."""
    kinds = {other.local_table: other.class_ for other in mapper.registry.mappers}
    for attribute in mapper.column_attrs:
        value = getattr(record, attribute.key)
        for foreign_key in attribute.columns[0].foreign_keys:
            if value is not None and session.get(kinds[foreign_key.column.table], value) is None:
                raise NotFoundError(
                    f"{type(record).__name__}.{attribute.key} is {value!r}, which the registry does not know"
                )


def _open_real_shipment(session: Session, pack_id: str) -> Shipment | None:
    query = (
        select(Shipment)
        .join(ShipmentPack)
        .where(ShipmentPack.pack_id == pack_id, Shipment.simulated.is_(False), Shipment.closed_at.is_(None))
        .order_by(Shipment.departed_at.desc(), Shipment.shipment_id)
        .limit(1)
    )
    return session.scalars(query).one_or_none()


def _joined(spans: list[UnitSpan]) -> list[UnitSpan]:
    joined: list[UnitSpan] = []
    for _, of_unit in groupby(spans, key=lambda span: span.unit_id):
        for span in of_unit:
            if joined and joined[-1].unit_id == span.unit_id and joined[-1].end == span.start:
                joined[-1] = joined[-1]._replace(end=span.end)
            else:
                joined.append(span)
    return joined


def _assignments(session: Session) -> tuple[Assignment, ...]:
    rows = session.execute(
        select(
            SensorUnit, Binding.pack_id, Binding.gateway_id, Pack, Gateway.fleet_id, Vehicle.vehicle_id, Vehicle.name
        )
        .outerjoin(Binding, (Binding.unit_id == SensorUnit.unit_id) & Binding.bound_to.is_(None))
        .outerjoin(Pack, Pack.pack_id == Binding.pack_id)
        .outerjoin(Gateway, Gateway.gateway_id == Binding.gateway_id)
        .outerjoin(Vehicle, Vehicle.vehicle_id == Gateway.vehicle_id)
        .order_by(SensorUnit.unit_id)
    ).all()
    channels: defaultdict[tuple[str, Quantity], dict[int, tuple[ChannelKind, str]]] = defaultdict(dict)
    for unit_id, quantity, column, measures, label in session.execute(
        select(Channel.unit_id, Channel.kind, Channel.column, Channel.measures, Channel.label)
    ):
        channels[unit_id, quantity][column] = (measures, label)
    return tuple(
        Assignment(
            unit_id=unit.unit_id,
            pack_id=pack_id,
            chemistry=pack.chemistry if pack else Chemistry.UNKNOWN,
            pack_class=pack.pack_class if pack else None,
            series_count=pack.series_count if pack else None,
            capacity_ah=pack.capacity_ah if pack else None,
            max_operating_temperature_c=pack.max_operating_temperature_c if pack else None,
            gateway_id=gateway_id,
            vehicle_id=vehicle_id,
            vehicle_name=vehicle_name,
            fleet_id=fleet_id,
            report_interval_s=unit.report_interval_s,
            simulated=unit.simulated,
            temperature_labels=tuple(
                channels[unit.unit_id, Quantity.TEMPERATURE].get(column, (None, f"probe {column}"))[1]
                for column in range(1, unit.temperature_channels + 1)
            ),
            voltage_kinds=tuple(
                channels[unit.unit_id, Quantity.VOLTAGE].get(column, (ChannelKind.CELL, ""))[0]
                for column in range(1, unit.voltage_channels + 1)
            ),
        )
        for unit, pack_id, gateway_id, pack, fleet_id, vehicle_id, vehicle_name in rows
    )
