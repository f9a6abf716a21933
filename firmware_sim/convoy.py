"""The scenarios that ship: `convoy`, `calm` and `failing-pack`, at any size."""

from __future__ import annotations

from dataclasses import dataclass

from firmware_sim.faults import InternalShort
from firmware_sim.interstates import INTERSTATES
from firmware_sim.roads import Journey
from firmware_sim.scenarios import PackDesign, Scenario, SimulatedPack, SimulatedVehicle
from registry.kinds import Chemistry, PackClass

PACKS_A_VEHICLE = 14
"""On the further vehicles of a scenario that was scaled up; a gateway serves 16."""
FURTHER_VEHICLES_APART_M = 37_000.0

_NMC_LARGE = PackDesign(
    chemistry=Chemistry.NMC, modules=12, cells_in_series=8, capacity_ah=156.0, module_kg=30.0, probes=12
)
_NMC_SMALL = PackDesign(
    chemistry=Chemistry.NMC, modules=8, cells_in_series=12, capacity_ah=94.0, module_kg=28.0, probes=16
)
_NCA = PackDesign(chemistry=Chemistry.NCA, modules=16, cells_in_series=6, capacity_ah=230.0, module_kg=25.0, probes=16)
_LFP = PackDesign(chemistry=Chemistry.LFP, modules=9, cells_in_series=12, capacity_ah=161.0, module_kg=36.0, probes=9)
_LFP_CELLS = PackDesign(
    chemistry=Chemistry.LFP, modules=16, cells_in_series=1, capacity_ah=280.0, module_kg=5.4, probes=8
)
_LMO = PackDesign(chemistry=Chemistry.LMO, modules=12, cells_in_series=8, capacity_ah=66.0, module_kg=15.0, probes=12)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Truck:
    """A vehicle and the season on its road, early autumn from memory of climate normals: **assumed**."""

    name: str
    cruise_m_s: float
    head_start_m: float
    mean_c: float
    swing_c: float
    dew_point_c: float
    cloud: float


_TRUCKS = (
    _Truck(name="Sierra", cruise_m_s=24.6, head_start_m=310e3, mean_c=21.0, swing_c=7.5, dew_point_c=3.0, cloud=0.1),
    _Truck(name="Cascade", cruise_m_s=25.3, head_start_m=95e3, mean_c=18.5, swing_c=6.0, dew_point_c=9.0, cloud=0.5),
    _Truck(name="Mojave", cruise_m_s=26.0, head_start_m=470e3, mean_c=25.0, swing_c=8.0, dew_point_c=2.0, cloud=0.0),
    _Truck(name="Prairie", cruise_m_s=24.1, head_start_m=700e3, mean_c=20.0, swing_c=7.0, dew_point_c=11.0, cloud=0.3),
)
"""One on each of INTERSTATES, in its order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """A pack on one of the trucks, with its unit."""

    truck: int
    design: PackDesign
    pack_class: PackClass
    report_interval_s: float
    gas: bool = False
    shock: bool = False
    dead_probe: int | None = None
    noisy_probe: int | None = None


_MID, _END, _DAMAGED = PackClass.MID_LIFE, PackClass.END_OF_LIFE, PackClass.DAMAGED
_LOADS = (
    _Load(truck=1, design=_NMC_LARGE, pack_class=_DAMAGED, report_interval_s=1.0, gas=True, shock=True),
    _Load(truck=0, design=_NMC_LARGE, pack_class=_END, report_interval_s=5.0, shock=True),
    _Load(truck=0, design=_NMC_SMALL, pack_class=_MID, report_interval_s=10.0),
    _Load(truck=0, design=_LFP, pack_class=_MID, report_interval_s=10.0),
    _Load(truck=0, design=_NCA, pack_class=_END, report_interval_s=5.0, gas=True, noisy_probe=6),
    _Load(truck=1, design=_LMO, pack_class=_END, report_interval_s=5.0),
    _Load(truck=1, design=_LFP_CELLS, pack_class=_MID, report_interval_s=10.0),
    _Load(truck=1, design=_NMC_SMALL, pack_class=_END, report_interval_s=5.0, shock=True),
    _Load(truck=2, design=_NCA, pack_class=_DAMAGED, report_interval_s=2.0, gas=True, shock=True),
    _Load(truck=2, design=_NMC_LARGE, pack_class=_MID, report_interval_s=10.0),
    _Load(truck=2, design=_LFP, pack_class=_END, report_interval_s=5.0, dead_probe=3),
    _Load(truck=3, design=_NMC_SMALL, pack_class=_DAMAGED, report_interval_s=2.0, gas=True),
    _Load(truck=3, design=_LMO, pack_class=_MID, report_interval_s=10.0),
    _Load(truck=3, design=_LFP_CELLS, pack_class=_END, report_interval_s=5.0, shock=True),
)
"""The pack that fails, where one does, is the first."""

_ACCELERATED_SHORT = InternalShort(pack=0, module=2, starts_at_s=5.0, heat_w=9_000.0, growth_s=220.0, limit_w=40_000.0)
"""Set by trial so that the 30 kg module of _NMC_LARGE meets the times that `convoy` promises."""


def convoy(units: int | None = None) -> Scenario:
    """Four vehicles, fourteen packs; one damaged NMC pack on "Cascade" fails, **accelerated for a demonstration**.

    Its third module passes 60 degC about two minutes after the start and 80 degC some 40 s later, and runs away after
    four to five minutes. A real internal short takes hours to days to get there (four calorimeter recordings:
    13.6-24.8 h from the onset of self-heating alone); physics, sensors and reports are as ever.
    """
    return _scenario(
        "convoy",
        "Four vehicles on interstates; one pack begins to fail within two minutes (accelerated).",
        _LOADS,
        units,
        (_ACCELERATED_SHORT,),
    )


def calm(units: int | None = None) -> Scenario:
    """The convoy without the failure."""
    return _scenario("calm", "Four vehicles on interstates; nothing fails.", _LOADS, units, ())


def failing_pack(units: int | None = None) -> Scenario:
    """One vehicle, one pack: the one that fails in `convoy`, with the same acceleration."""
    return _scenario(
        "failing-pack",
        "One vehicle with one pack, which begins to fail within two minutes (accelerated).",
        _LOADS[:1],
        units,
        (_ACCELERATED_SHORT,),
    )


SCENARIOS = {"convoy": convoy, "calm": calm, "failing-pack": failing_pack}


def build_scenario(name: str, units: int | None = None) -> Scenario:
    """The scenario of that name with its own number of packs, or with `units` of them (the failing pack is the first).

    More packs than it has repeat its designs on further vehicles. Raises ValueError for a name that is not in
    SCENARIOS, which it lists, and for fewer than one unit.
    """
    if name not in SCENARIOS:
        raise ValueError(f"there is no scenario {name!r}; there are {', '.join(SCENARIOS)}")
    if units is not None and units < 1:
        raise ValueError(f"a scenario needs at least one unit, not {units}")
    return SCENARIOS[name](units)


def _scenario(
    name: str, description: str, loads: tuple[_Load, ...], units: int | None, shorts: tuple[InternalShort, ...]
) -> Scenario:
    wanted = loads if units is None else loads[:units]
    trucks = sorted({load.truck for load in wanted})
    vehicles = [_vehicle(name, truck, 0) for truck in trucks]
    packs = [_pack(name, number, trucks.index(load.truck), load) for number, load in enumerate(wanted, start=1)]
    for number in range(len(wanted) + 1, (units or 0) + 1):
        further, place = divmod(number - len(wanted) - 1, PACKS_A_VEHICLE)
        if place == 0:
            vehicles.append(_vehicle(name, further % len(_TRUCKS), further // len(_TRUCKS) + 1))
        packs.append(_pack(name, number, len(vehicles) - 1, _LOADS[place % len(_LOADS)]))
    return Scenario(
        name=name,
        description=description,
        fleet_id=f"sim-{name}",
        vehicles=tuple(vehicles),
        packs=tuple(packs),
        shorts=shorts,
    )


def _vehicle(scenario: str, truck: int, lap: int) -> SimulatedVehicle:
    """The truck itself (lap 0), or one like it further along its road."""
    like = _TRUCKS[truck]
    suffix, title = ("", "") if lap == 0 else (f"-{lap + 1}", f" {lap + 1}")
    return SimulatedVehicle(
        vehicle_id=f"sim-{scenario}-{like.name.lower()}{suffix}",
        name=f"{like.name}{title}",
        gateway_id=f"sim-{scenario}-gw-{like.name.lower()}{suffix}",
        journey=Journey(
            road=INTERSTATES[truck],
            cruise_m_s=like.cruise_m_s,
            head_start_m=like.head_start_m + lap * FURTHER_VEHICLES_APART_M,
        ),
        mean_c=like.mean_c,
        swing_c=like.swing_c,
        dew_point_c=like.dew_point_c,
        cloud=like.cloud,
    )


def _pack(scenario: str, number: int, vehicle: int, load: _Load) -> SimulatedPack:
    return SimulatedPack(
        pack_id=f"sim-{scenario}-pack-{number:02d}",
        unit_id=f"sim-{scenario}-unit-{number:02d}",
        vehicle=vehicle,
        design=load.design,
        pack_class=load.pack_class,
        report_interval_s=load.report_interval_s,
        gas=load.gas,
        shock=load.shock,
        dead_probe=load.dead_probe,
        noisy_probe=load.noisy_probe,
    )
