"""Scenarios as data: vehicles on roads, packs in their containers, the units on them, and what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.enrolment import Enrolment
from registry.kinds import ChannelKind, Chemistry, PackClass

if TYPE_CHECKING:
    from firmware_sim.faults import InternalShort
    from firmware_sim.roads import Journey


@dataclass(frozen=True, slots=True, kw_only=True)
class PackDesign:
    """A kind of pack. Masses and capacities after public data sheets of such packs, rounded: **assumed**."""

    chemistry: Chemistry
    modules: int
    cells_in_series: int
    """In one module; 1 = every tap is a cell."""
    capacity_ah: float
    module_kg: float
    probes: int

    @property
    def series_count(self) -> int:
        return self.modules * self.cells_in_series


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedPack:
    """A pack with the unit on it."""

    pack_id: str
    unit_id: str
    vehicle: int
    """Index of its vehicle."""
    design: PackDesign
    pack_class: PackClass
    report_interval_s: float
    gas: bool = False
    """Hydrogen, carbon monoxide and solvent sensors are fitted."""
    shock: bool = False
    dead_probe: int | None = None
    """Index of a probe that never measures."""
    noisy_probe: int | None = None
    """Index of a probe with a loose contact: ten times the noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedVehicle:
    """A lorry with one container, its gateway, and the season on its road (all **assumed**)."""

    vehicle_id: str
    name: str
    gateway_id: str
    journey: Journey
    mean_c: float
    swing_c: float
    dew_point_c: float
    cloud: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A world to simulate. Its ids are the same at every start, so that a restart continues the packs' histories."""

    name: str
    description: str
    fleet_id: str
    vehicles: tuple[SimulatedVehicle, ...]
    packs: tuple[SimulatedPack, ...]
    shorts: tuple[InternalShort, ...] = ()

    def enrolments(self) -> tuple[Enrolment, ...]:
        """What the registry must know before the first frame, one for every pack."""
        return tuple(self._enrolment(pack) for pack in self.packs)

    def _enrolment(self, pack: SimulatedPack) -> Enrolment:
        vehicle, design = self.vehicles[pack.vehicle], pack.design
        tap = ChannelKind.CELL if design.cells_in_series == 1 else ChannelKind.MODULE
        damaged = pack.pack_class is PackClass.DAMAGED
        return Enrolment(
            fleet_id=self.fleet_id,
            gateway_id=vehicle.gateway_id,
            vehicle_id=vehicle.vehicle_id,
            vehicle_name=vehicle.name,
            pack_id=pack.pack_id,
            chemistry=design.chemistry,
            pack_class=pack.pack_class,
            capacity_ah=design.capacity_ah,
            series_count=design.series_count,
            max_operating_temperature_c=MAX_OPERATING_C,
            unit_id=pack.unit_id,
            report_interval_s=pack.report_interval_s,
            temperature_channels=design.probes,
            voltage_channels=design.modules + 1,
            voltage_kinds=(tap,) * design.modules + (ChannelKind.PACK,),
            simulated=True,
            class_assessed_by="Packwatch simulator",
            class_criteria=f"Scenario {self.name}: invented",
            class_outcome="Damaged: liable to react dangerously" if damaged else "Undamaged",
        )


MAX_OPERATING_C = 60.0
"""Usual upper limit of discharge in cells' data sheets. **assumed** for every simulated pack."""
