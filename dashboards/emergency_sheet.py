"""What those who come to a fire have to know of a vehicle's packs. Facts are those of `us_rules`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.rows import to_ms, to_ms_or_none
from dashboards.trip_state import fresh_at_ms
from registry.kinds import Chemistry, PackClass
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from dashboards.board import VehicleView
    from dashboards.counties import Counties, County
    from dashboards.rows import PackRow
    from dashboards.us_rules import UsRules
    from registry.incident_records import Incident
    from registry.records import Alert, Pack
    from registry.trip_records import Trip

PACKS_ON_ONE_PAGE = 12
"""Those of the incident come first; of the rest the sheet says how many there are. **assumed**: what a page holds."""
NOMINAL_V: Mapping[Chemistry, float] = {
    Chemistry.NMC: 3.7,
    Chemistry.NCA: 3.6,
    Chemistry.LFP: 3.2,
    Chemistry.LMO: 3.8,
}
"""**assumed**: a cell's nominal voltage as makers give it; good to a few percent."""


def sheet(
    *,
    incident: Incident,
    alerts: Sequence[Alert],
    view: VehicleView,
    records: Mapping[str, Pack],
    places: Mapping[str, str],
    trip: Trip | None,
    emergency_number: str | None,
    rules: UsRules,
    counties: Counties,
    now: datetime,
) -> dict[str, object]:
    """The sheet as it is now. `alerts`: the incident's; `records`: of the packs on the vehicle and in the incident."""
    concerned = list(dict.fromkeys(alert.pack_id for alert in alerts if alert.pack_id is not None))
    rows = {row.pack_id: row for row, _ in view.packs}
    names = [*concerned, *(name for name in rows if name not in concerned)]
    where = position(view)
    return {
        "incident_id": incident.incident_id,
        "title": incident.title,
        "level": incident.level,
        "simulation": incident.provenance is not Provenance.MEASURED,
        "prepared_at_ms": to_ms(now),
        "vehicle_name": next((row.name for row in view.vehicles), incident.vehicle_id),
        "driver_name": None if trip is None else trip.driver_name,
        "driver_phone": None if trip is None else trip.phone,
        "emergency_number": emergency_number or (None if trip is None else trip.emergency_number),
        "position": where,
        "calling": calling(where, counties, rules),
        "packs": [
            _pack(name, rows.get(name), records.get(name), places.get(name), concerned=name in concerned, rules=rules)
            for name in names[:PACKS_ON_ONE_PAGE]
        ],
        "more_packs": max(0, len(names) - PACKS_ON_ONE_PAGE),
        "facts": [fact.model_dump() for fact in rules.sheet.facts],
        "facts_as_of": rules.as_of.isoformat(),
        "facts_checked": None if rules.checked_on is None else f"{rules.checked_by}, {rules.checked_on}",
    }


def position(view: VehicleView) -> dict[str, float | int | None] | None:
    """Where the vehicle was last; None without a fix."""
    fixed = [row for row in view.vehicles if row.fixed_at_ms is not None]
    newest = max(fixed, key=lambda row: row.fixed_at_ms or 0, default=None)
    if newest is None:
        return None
    return {
        "latitude_deg": newest.latitude_deg,
        "longitude_deg": newest.longitude_deg,
        "fixed_at_ms": newest.fixed_at_ms,
    }


def calling(where: Mapping[str, float | int | None] | None, counties: Counties, rules: UsRules) -> dict[str, object]:
    """How somebody far away calls help: by the driver, else by the county's own number, else by a transfer."""
    county = None
    if where is not None and where["latitude_deg"] is not None and where["longitude_deg"] is not None:
        county = counties.at(where["latitude_deg"], where["longitude_deg"])
    return {
        "first": rules.calling.driver_calls,
        "else": _else(county, rules),
        "county": None if county is None else f"{county.name}, {county.state}",
        "number": None if county is None else county.number,
        "number_checked_on": None if county is None else county.number_checked_on,
        "citation": rules.calling.citation,
    }


def _else(county: County | None, rules: UsRules) -> str:
    if county is None:
        return rules.calling.county_unknown
    text = rules.calling.ask_transfer if county.number is None else rules.calling.number_known
    return text.format(county=county.name, state=county.state, number=county.number)


def _pack(
    pack_id: str, row: PackRow | None, record: Pack | None, place: str | None, *, concerned: bool, rules: UsRules
) -> dict[str, object]:
    kind = None if record is None else record.pack_class
    packing = None if kind is None else rules.sheet.packing[PackClass(kind)]
    return {
        "pack_id": pack_id,
        "concerned": concerned,
        "level": None if row is None else row.level,
        "chemistry": None if record is None else record.chemistry,
        "pack_class": kind,
        "energy_kwh": None if record is None else energy_kwh(record),
        # no sensor unit measures it: somebody noted it, else the voltages are what is known
        "state_of_charge_pct": None if record is None else record.state_of_charge_pct,
        "state_of_charge_at_ms": None if record is None else to_ms_or_none(record.state_of_charge_at),
        "min_voltage_v": None if row is None else row.min_voltage_v,
        "pack_voltage_v": None if row is None else row.pack_voltage_v,
        "hottest_c": None if row is None else row.hottest_c,
        "measured_at_ms": None if row is None else fresh_at_ms(row),
        "packing": None if packing is None else packing.model_dump(),
        "place": place,
        "unit_id": None if row is None else row.unit_id,
    }


def energy_kwh(record: Pack) -> float | None:
    """Full, by nominal voltage; None where the record lacks capacity, cells in series or chemistry."""
    nominal_v = NOMINAL_V.get(record.chemistry)
    if nominal_v is None or record.capacity_ah is None or record.series_count is None:
        return None
    return round(nominal_v * record.series_count * record.capacity_ah / 1000, 1)
