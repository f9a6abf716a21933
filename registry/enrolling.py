"""The steps of an enrolment within one transaction that holds the inventory's lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select

from registry import rules
from registry.columns import as_utc
from registry.enrolment import assumed_voltage_kinds
from registry.errors import RefusedError
from registry.kinds import ChannelKind, Quantity
from registry.records import Binding, Channel, Fleet, Gateway, Pack, SensorUnit, Vehicle

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from registry.enrolment import Enrolment
    from registry.records import Base, Shipment


class Enrolling:
    """One enrolment under way. `changed`: it made or altered a record."""

    def __init__(self, session: Session, enrolment: Enrolment, now: datetime) -> None:
        self.changed = False
        self._session = session
        self._enrolment = enrolment
        self._now = now

    def run(self, open_real_shipment: Shipment | None) -> None:
        """Make what is missing, in the order in which records name each other."""
        wanted = self._enrolment
        if wanted.simulated:
            rules.check_simulated_unit(wanted.pack_id, open_real_shipment)
        if self._session.get(Fleet, wanted.fleet_id) is None:
            self._add(Fleet(fleet_id=wanted.fleet_id))
        self._vehicle()
        self._gateway()
        self._pack()
        self._unit()
        self._bind()

    def _add(self, record: Base) -> None:
        rules.check(record)
        self._session.add(record)
        self._session.flush()  # the records declare no relationships, so their order is ours to keep
        self.changed = True

    def _vehicle(self) -> None:
        wanted = self._enrolment
        if wanted.vehicle_id is None:
            return
        vehicle = self._session.get(Vehicle, wanted.vehicle_id)
        if vehicle is None:
            name = wanted.vehicle_name or wanted.vehicle_id
            self._add(Vehicle(vehicle_id=wanted.vehicle_id, fleet_id=wanted.fleet_id, name=name))
        elif vehicle.fleet_id != wanted.fleet_id:
            raise RefusedError(f"vehicle {vehicle.vehicle_id} is of fleet {vehicle.fleet_id}, not {wanted.fleet_id}")

    def _gateway(self) -> None:
        wanted = self._enrolment
        gateway = self._session.get(Gateway, wanted.gateway_id)
        if gateway is None:
            self._add(Gateway(gateway_id=wanted.gateway_id, fleet_id=wanted.fleet_id, vehicle_id=wanted.vehicle_id))
        elif gateway.fleet_id != wanted.fleet_id:
            raise RefusedError(f"gateway {gateway.gateway_id} is of fleet {gateway.fleet_id}, not {wanted.fleet_id}")
        elif wanted.vehicle_id is not None and gateway.vehicle_id != wanted.vehicle_id:
            gateway.vehicle_id = wanted.vehicle_id
            self.changed = True

    def _pack(self) -> None:
        wanted = self._enrolment
        noted_at = None if wanted.state_of_charge_pct is None else self._now
        pack = self._session.get(Pack, wanted.pack_id)
        if pack is None:
            self._add(
                Pack(
                    pack_id=wanted.pack_id,
                    chemistry=wanted.chemistry,
                    pack_class=wanted.pack_class,
                    capacity_ah=wanted.capacity_ah,
                    series_count=wanted.series_count,
                    max_operating_temperature_c=wanted.max_operating_temperature_c,
                    class_assessed_by=wanted.class_assessed_by,
                    class_criteria=wanted.class_criteria,
                    class_outcome=wanted.class_outcome,
                    state_of_charge_pct=wanted.state_of_charge_pct,
                    state_of_charge_at=noted_at,
                )
            )
        elif noted_at is not None and pack.state_of_charge_pct != wanted.state_of_charge_pct:
            pack.state_of_charge_pct, pack.state_of_charge_at = wanted.state_of_charge_pct, noted_at
            rules.check(pack)
            self.changed = True

    def _unit(self) -> None:
        wanted = self._enrolment
        unit = self._session.get(SensorUnit, wanted.unit_id)
        if unit is None:
            unit = SensorUnit(
                unit_id=wanted.unit_id,
                temperature_channels=wanted.temperature_channels,
                voltage_channels=wanted.voltage_channels,
                report_interval_s=wanted.report_interval_s,
                simulated=wanted.simulated,
            )
            self._add(unit)
        elif unit.simulated != wanted.simulated:
            kinds = ("real", "simulated")
            raise RefusedError(
                f"unit {unit.unit_id} is a {kinds[unit.simulated]} one; a {kinds[wanted.simulated]} one may not take "
                "its name"
            )
        elif unit.report_interval_s != wanted.report_interval_s:
            unit.report_interval_s = wanted.report_interval_s
            self.changed = True
        self._channels(unit)

    def _channels(self, unit: SensorUnit) -> None:
        wanted = self._enrolment
        series_count = wanted.series_count or self._session.get_one(Pack, wanted.pack_id).series_count
        voltage_kinds = wanted.voltage_kinds
        if voltage_kinds is None:
            voltage_kinds = assumed_voltage_kinds(wanted.voltage_channels, series_count)
        if len(voltage_kinds) != wanted.voltage_channels:
            raise RefusedError(
                f"unit {unit.unit_id} has {wanted.voltage_channels} voltage channels, but {len(voltage_kinds)} of them "
                "are described"
            )
        measures = {
            Quantity.TEMPERATURE: (ChannelKind.PROBE,) * wanted.temperature_channels,
            Quantity.VOLTAGE: voltage_kinds,
        }
        planned = [
            (quantity, column, kind)
            for quantity, kinds in measures.items()
            for column, kind in enumerate(kinds, start=1)
        ]
        known = self._session.execute(
            select(Channel.kind, Channel.column, Channel.measures).where(Channel.unit_id == unit.unit_id)
        )
        if {tuple(row) for row in known} == set(planned):
            return
        unit.temperature_channels, unit.voltage_channels = wanted.temperature_channels, wanted.voltage_channels
        rules.check(unit)
        self._session.execute(delete(Channel).where(Channel.unit_id == unit.unit_id))
        self._session.add_all(
            Channel(unit_id=unit.unit_id, kind=quantity, column=column, measures=kind, label=f"{kind} {column}")
            for quantity, column, kind in planned
        )
        self._session.flush()
        self.changed = True

    def _bind(self) -> None:
        """A pack's own history may be extended back to `bound_from`; a foreign one's is never taken away."""
        wanted = self._enrolment
        start = self._now if wanted.bound_from is None else min(as_utc(wanted.bound_from), self._now)
        present = open_binding(self._session, wanted.unit_id)
        if present is None or present.pack_id != wanted.pack_id:
            begin = max(
                start, last_end(self._session, wanted.unit_id) or start, present.bound_from if present else start
            )
            _, changed = rebind(self._session, wanted.unit_id, wanted.pack_id, wanted.gateway_id, begin)
            self.changed |= changed
            return
        begin = max(start, last_end(self._session, wanted.unit_id) or start)
        if begin < present.bound_from:
            present.bound_from = begin
            self.changed = True
        if present.gateway_id != wanted.gateway_id:
            at = max(self._now, present.bound_from)
            rebind(self._session, wanted.unit_id, wanted.pack_id, wanted.gateway_id, at)
            self.changed = True


def open_binding(session: Session, unit_id: str) -> Binding | None:
    """What the unit watches now."""
    return session.scalars(select(Binding).where(Binding.unit_id == unit_id, Binding.bound_to.is_(None))).one_or_none()


def last_end(session: Session, unit_id: str) -> datetime | None:
    """When the unit's last ended binding ended."""
    return session.scalar(select(func.max(Binding.bound_to)).where(Binding.unit_id == unit_id))


def rebind(session: Session, unit_id: str, pack_id: str, gateway_id: str | None, at: datetime) -> tuple[Binding, bool]:
    """End what the unit watches at `at` and begin anew; the binding, and whether it is new.

    The caller holds the inventory's lock. Raises RefusedError when an earlier binding does not leave room at `at`.
    """
    present = open_binding(session, unit_id)
    if present is not None and (present.pack_id, present.gateway_id) == (pack_id, gateway_id):
        return present, False
    begun = present.bound_from if present else last_end(session, unit_id)
    if begun is not None and at < begun:
        raise RefusedError(
            f"unit {unit_id} has another binding until or since {begun.isoformat()}; it cannot be bound anew from "
            f"{at.isoformat()}"
        )
    if present is not None:
        present.bound_to = at
        session.flush()  # the open one ends before the next begins: one open binding a unit is a unique index
    binding = Binding(unit_id=unit_id, pack_id=pack_id, gateway_id=gateway_id, bound_from=at)
    session.add(binding)
    session.flush()
    return binding, True
