"""What a unit is enrolled with, and what is known of it afterwards."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from registry.kinds import ChannelKind, Chemistry, PackClass

DEFAULT_REPORT_INTERVAL_S = 10.0
"""The normal report interval on vehicle power; also for units that the registry does not know."""
SILENT_AFTER_INTERVALS = 3.0
"""Silence is flagged after three report intervals."""
DAMAGED_SILENT_AFTER_S = 59.0
"""s. A damaged pack's within 60 s, so a check each half second finds it in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A unit on a pack, behind a gateway: all that must be in the registry before samples mean something."""

    fleet_id: str
    gateway_id: str
    vehicle_id: str | None = None
    """None: the gateway is on no vehicle (a replay's is not)."""
    vehicle_name: str | None = None
    """None: called by its id."""
    pack_id: str
    chemistry: Chemistry = Chemistry.UNKNOWN
    pack_class: PackClass
    capacity_ah: float | None = None
    series_count: int | None = None
    max_operating_temperature_c: float | None = None
    state_of_charge_pct: float | None = None
    """0 to 100, as it is now. Given again, it replaces what was noted before."""
    unit_id: str
    report_interval_s: float = DEFAULT_REPORT_INTERVAL_S
    temperature_channels: int
    voltage_channels: int
    voltage_kinds: tuple[ChannelKind, ...] | None = None
    """One for each voltage column; None: told from `series_count` by `assumed_voltage_kinds`."""
    simulated: bool
    """The unit's samples are not measured now: simulated, synthetic or replayed."""
    class_assessed_by: str | None = None
    class_criteria: str | None = None
    class_outcome: str | None = None
    bound_from: datetime | None = None
    """Since when the unit watches the pack: a replay's samples are older than its enrolment. None: from now on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What the registry says of one unit now. `None` = it does not know, or the unit watches no pack."""

    unit_id: str
    pack_id: str | None
    chemistry: Chemistry
    pack_class: PackClass | None
    series_count: int | None
    capacity_ah: float | None
    max_operating_temperature_c: float | None
    gateway_id: str | None
    vehicle_id: str | None
    vehicle_name: str | None
    fleet_id: str | None
    report_interval_s: float
    simulated: bool
    temperature_labels: tuple[str, ...]
    """One for each temperature column."""
    voltage_kinds: tuple[ChannelKind, ...]
    """One for each voltage column."""

    @property
    def silent_after_s(self) -> float:
        """How long, s, the unit may be silent before that is flagged."""
        intervals_s = SILENT_AFTER_INTERVALS * self.report_interval_s
        return min(intervals_s, DAMAGED_SILENT_AFTER_S) if self.pack_class is PackClass.DAMAGED else intervals_s


class UnitSpan(NamedTuple):
    """A unit watched a pack during [start, end), UTC."""

    unit_id: str
    start: datetime
    end: datetime


def assumed_voltage_kinds(voltage_channels: int, series_count: int | None) -> tuple[ChannelKind, ...]:
    """What voltage columns measure when nobody said, **assumed** from how packs are wired.

    As many as the pack has cells in series are its cells, and one more is the pack (the wire puts the pack's voltage
    last). One alone is the pack, unless that is a single cell. Any other number below the cells' is modules.
    """
    if series_count is None:
        return (ChannelKind.CELL,) * voltage_channels
    if voltage_channels == series_count:
        return (ChannelKind.CELL,) * voltage_channels
    if voltage_channels == series_count + 1:
        return (*(ChannelKind.CELL,) * series_count, ChannelKind.PACK)
    if voltage_channels == 1:
        return (ChannelKind.PACK,)
    return (ChannelKind.MODULE if voltage_channels < series_count else ChannelKind.CELL,) * voltage_channels
