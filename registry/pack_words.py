"""What a vehicle must know of a unit's pack to judge it as the cloud does, as one line of JSON."""

from __future__ import annotations

from typing import Any

import orjson

from registry.enrolment import DEFAULT_REPORT_INTERVAL_S, Assignment
from registry.kinds import ChannelKind, Chemistry, PackClass
from telemetry.identifiers import parse_identifier


def words_of(assignment: Assignment) -> str:
    """The same assignment gives the same words."""
    return orjson.dumps(
        {
            "pack": assignment.pack_id,
            "chemistry": assignment.chemistry,
            "class": assignment.pack_class,
            "series_count": assignment.series_count,
            "capacity_ah": assignment.capacity_ah,
            "max_operating_temperature_c": assignment.max_operating_temperature_c,
            "report_interval_s": assignment.report_interval_s,
            "simulated": assignment.simulated,
            "temperature_labels": assignment.temperature_labels,
            "voltage_kinds": assignment.voltage_kinds,
        }
    ).decode()


def assignment_from_words(words: str, *, unit_id: str, gateway_id: str, fleet_id: str) -> Assignment:
    """What `words_of` told; keys that are missing have their defaults. Raises ValueError for anything else."""
    try:
        told: dict[str, Any] = orjson.loads(words)
        pack_id, pack_class = told.get("pack"), told.get("class")
        return Assignment(
            unit_id=unit_id,
            pack_id=None if pack_id is None else parse_identifier(pack_id, "pack"),
            chemistry=Chemistry(told.get("chemistry", Chemistry.UNKNOWN)),
            pack_class=None if pack_class is None else PackClass(pack_class),
            series_count=_number(told, "series_count", int),
            capacity_ah=_number(told, "capacity_ah", float),
            max_operating_temperature_c=_number(told, "max_operating_temperature_c", float),
            gateway_id=gateway_id,
            vehicle_id=None,
            vehicle_name=None,
            fleet_id=fleet_id,
            report_interval_s=_number(told, "report_interval_s", float) or DEFAULT_REPORT_INTERVAL_S,
            simulated=bool(told.get("simulated", False)),
            temperature_labels=tuple(str(label) for label in told.get("temperature_labels", ())),
            voltage_kinds=tuple(ChannelKind(kind) for kind in told.get("voltage_kinds", ())),
        )
    except (TypeError, AttributeError) as error:
        raise ValueError(f"it is no description of a pack: {error}") from error


def _number(told: dict[str, Any], key: str, kind: type[Any]) -> Any:
    value = told.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{key} is no number")
    return kind(value)
