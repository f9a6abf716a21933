"""Draw the packs of a family: bodies, electrics, probes, faults and instruments from their spans."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from firmware_sim.ailments import NEVER_S, Ailments, healthy
from firmware_sim.bodies import Bodies, Build, exchange_of
from firmware_sim.chemistry import CHARGE_STEPS, cell_model, open_circuit_curve_v
from firmware_sim.container import AIR_J_PER_K
from firmware_sim.fittings import Electrics, Probes
from firmware_sim.instruments import DAY_S, Instruments
from firmware_sim.physics import MOLAR_VOLUME_M3
from firmware_sim.sensors import GAS_BACKGROUND_PPM, GAS_NOISE_PPM, GAS_NOISE_SHARE
from firmware_sim.world import CELL_J_PER_KG_K, GAS_LEAK_S, GAS_VOLUME_M3, SOLVENT_MOL_PER_KG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from firmware_sim.family_kinds import Ailment, Design, Sensors, Span
    from registry.kinds import Chemistry

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]
    Reported = NDArray[np.float32]

CASE_J_PER_KG_K = 900.0
"""Aluminium."""
HALF_CHARGE = 0.5
RISE_MEDIAN_S = 55.0
RISE_SPREAD = 1.0
"""Of the logarithm; cut to the span. At the probes this gives 60 s in the middle, as measured on punched cells."""
CLOUD_PPM = np.array(((1.0, 3.0, 3.0), (30.0, 60.0, 80.0)))
"""Least and most of hydrogen, carbon monoxide and solvents in a passing cloud. **assumed**"""
UNEVEN_MODULES = 0.12
"""Standard deviation of the logarithm of modules' resistances in an aged pack. **assumed**"""
RISE_K = 145.0
"""From +5 to +150 degC."""


def draw_build(
    design: Design, chemistry: Sequence[Chemistry], packs: int, random: np.random.Generator
) -> tuple[Bodies, Build]:
    """Packs of one design; no two are alike, nor two modules of one."""
    models = [cell_model(one) for one in chemistry]

    def span(limits: Span) -> Floats:
        return random.uniform(*limits, packs)

    build = Build(
        modules=design.modules,
        cells=design.cells,
        # Where there are fewer probes than modules, the fault sits in a module that bears one.
        sick=random.integers(min(design.modules, design.probes), size=packs)
        * design.modules
        // min(design.modules, design.probes),
        module_j_per_k=CELL_J_PER_KG_K * span(design.module_kg),
        cell_j_per_k=CELL_J_PER_KG_K * span(design.cell_kg),
        module_to_module=span(design.module_to_module),
        module_to_case=span(design.module_to_case)[:, None]
        * np.exp(design.uneven * random.standard_normal((packs, design.modules))),
        lean=np.clip(
            np.linspace(0.15, 0.85, design.modules) + 0.1 * random.standard_normal((packs, design.modules)), 0, 1
        ),
        cell_to_cell=span(design.cell_to_cell),
        cell_to_case=span(design.cell_to_case),
        half_to_half=span((5.0, 20.0)),
        case_j_per_k=CASE_J_PER_KG_K * span(design.case_kg),
        case_to_air=span(design.case_to_air),
        case_to_side=span(design.case_to_side),
        air_j_per_k=AIR_J_PER_K * span((0.3, 1.2)),
    )
    exchange_per_s, heat_j_per_k = exchange_of(build)
    gas_mol_per_kg = np.array(
        [
            (
                model.gas_mol_per_kg * model.hydrogen_share,
                model.gas_mol_per_kg * model.carbon_monoxide_share,
                SOLVENT_MOL_PER_KG,
            )
            for model in models
        ]
    )
    bodies = Bodies(
        modules=design.modules,
        cells=design.cells,
        exchange_per_s=exchange_per_s,
        heat_j_per_k=heat_j_per_k,
        side_w_per_k=np.repeat(build.case_to_side[:, None], 2, axis=1),
        trigger_c=np.array([model.trigger_c for model in models]),
        fast_rise_k=np.array([model.fast_adiabatic_rise_k for model in models]),
        electrical_rise_k=np.array([model.charge_j_per_kg for model in models]) / CELL_J_PER_KG_K,
        gas_m3=gas_mol_per_kg * MOLAR_VOLUME_M3 / CELL_J_PER_KG_K,
        gas_volume_m3=GAS_VOLUME_M3 * span((0.5, 2.0)),
        gas_leak_s=GAS_LEAK_S * span((0.5, 2.0)),
    )
    return bodies, build


def draw_electrics(
    design: Design, bodies: Bodies, build: Build, chemistry: Sequence[Chemistry], random: np.random.Generator
) -> Electrics:
    """Taps spread over the modules in order; the sick cell lies under its module's tap."""
    packs, reactive = bodies.packs, bodies.reactive
    series = np.array(design.series)[random.integers(len(design.series), size=packs)].astype(np.float64)
    tap_of = np.arange(design.modules) * design.taps // design.modules
    weight = np.zeros((packs, design.taps, reactive))
    weight[:, tap_of, np.arange(design.modules)] = 1.0
    sick_tap = tap_of[build.sick]
    every = np.arange(packs)
    if design.cells:
        cell = series == 1.0
        # Under a module's tap the cells told apart count by their share of the module; a cell's tap is the sick cell's.
        share = build.cell_j_per_k / build.module_j_per_k
        weight[every, sick_tap, build.sick] = 1.0 - design.cells * share
        weight[every[:, None], sick_tap[:, None], np.arange(design.modules, reactive)] = share[:, None]
        weight[every[cell], sick_tap[cell]] = 0.0
        weight[every[cell], sick_tap[cell], bodies.hot] = 1.0
    weight /= weight.sum(axis=2, keepdims=True)
    ah_per_kg = random.uniform(*design.cell_ah_per_kg, packs)
    capacity_ah = build.cell_j_per_k / CELL_J_PER_KG_K * ah_per_kg * random.uniform(*design.parallel, packs)
    groups = build.module_j_per_k / CELL_J_PER_KG_K * ah_per_kg / capacity_ah
    cell_ohm = random.uniform(*design.inner_ohm_ah, packs) / capacity_ah
    return Electrics(
        tap_weight=weight,
        tap_v=0.004 * series[:, None] * random.standard_normal((packs, design.taps)),
        series=series,
        sick_tap=sick_tap,
        curve_v=np.array([open_circuit_curve_v(one) for one in chemistry]),
        curve_at=np.array(CHARGE_STEPS),
        charge=np.clip(HALF_CHARGE + 0.2 * random.standard_normal(packs), 0.15, 0.95),
        pack_ohm=cell_ohm[:, None] * np.exp(0.1 * random.standard_normal((packs, design.taps))),
        pack_capacity_c=3600.0 * capacity_ah,
        module_ohm=(groups * cell_ohm)[:, None] * np.exp(UNEVEN_MODULES * random.standard_normal((packs, reactive))),
    )


def draw_probes(design: Design, bodies: Bodies, build: Build, random: np.random.Generator) -> tuple[Probes, Indices]:
    """Probes spread over the modules in order, and which of them is next to the fault (P,)."""
    packs, probes = bodies.packs, design.probes
    module = np.arange(probes) * design.modules // probes
    node = np.repeat(module[None, :], packs, axis=0)
    nearest = np.abs(module[None, :] - build.sick[:, None]).argmin(axis=1)
    if design.cells:
        away = np.array(design.probe_on)[random.integers(len(design.probe_on), size=packs)]
        at = bodies.hot + away
        near = np.where(at < bodies.reactive, at, build.sick)
        on_sick_module = module[nearest] == build.sick
        every = np.arange(packs)
        node[every, nearest] = np.where(on_sick_module, near, module[nearest])
    first_half = bodies.reactive
    return (
        Probes(
            node=node,
            case_share=random.uniform(*design.case_share, (packs, probes)),
            case_node=first_half + random.integers(2, size=(packs, probes)),
            lag_s=np.repeat(random.uniform(*design.lag_s, (packs, 1)), probes, axis=1),
        ),
        nearest,
    )


def draw_ailments(
    ailment: Ailment | None, bodies: Bodies, electrics: Electrics, hours: float, random: np.random.Generator
) -> Ailments:
    """One fault of that kind in every pack."""
    packs = bodies.packs
    well = healthy(packs)
    if ailment is None:
        return well

    def log_span(limits: Span) -> Floats:
        return np.asarray(np.exp(random.uniform(np.log(limits[0]), np.log(limits[1]), packs)))

    onset_s = 3600.0 * hours * random.uniform(*ailment.onset_share, packs)
    voltage_v = np.array(
        [
            np.interp(charge, electrics.curve_at, curve)
            for charge, curve in zip(electrics.charge, electrics.curve_v, strict=True)
        ]
    )
    inner_ohm = electrics.pack_ohm[:, 0]
    start_w, most_w, growth_s = log_span(ailment.start_w), log_span(ailment.most_w), log_span(ailment.growth_s)
    columns = {name: getattr(well, name) for name in Ailments.__dataclass_fields__}
    columns |= {"onset_s": onset_s, "inner_ohm": inner_ohm, "capacity_c": electrics.pack_capacity_c}
    match ailment.kind:
        case "growing_short":
            columns |= {
                "start_ohm": voltage_v**2 / start_w,
                "growth_s": growth_s,
                "least_ohm": np.maximum(voltage_v**2 / most_w - inner_ohm, 1e-4),
            }
        case "self_heating":
            columns |= {"chemical_w": start_w, "chemical_growth_s": growth_s, "chemical_most_w": most_w}
        case "heater":
            columns |= {"heater_w": most_w}
        case "fast_short":
            rise_s = np.exp(np.log(RISE_MEDIAN_S) + RISE_SPREAD * random.standard_normal(packs))
            rise_s = np.clip(rise_s, *ailment.rise_s)
            power_w = bodies.heat_j_per_k[:, bodies.hot] * RISE_K / rise_s
            ohm = np.maximum(voltage_v**2 / power_w - inner_ohm, 1e-4)
            opens_at_s = np.full(packs, NEVER_S)
            if ailment.stops_at_k is not None:
                opens_at_s = onset_s + rise_s * random.uniform(*ailment.stops_at_k, packs) / RISE_K
            columns |= {"start_ohm": ohm, "least_ohm": ohm, "opens_at_s": opens_at_s}
    return Ailments(**columns)


def draw_instruments(sensors: Sensors, packs: int, probes: int, random: np.random.Generator) -> Instruments:
    """One unit to a pack."""
    every = np.ones(packs)
    return Instruments(
        noise_c=random.uniform(*sensors.noise_c, packs),
        step_c=np.array(sensors.step_c)[random.integers(len(sensors.step_c), size=packs)],
        offset_c=sensors.offset_c * random.standard_normal((packs, probes)),
        drift_c_per_day=sensors.drift_c_per_day * random.standard_normal((packs, probes)),
        noise_v=random.uniform(*sensors.noise_v, packs),
        step_v=np.array(sensors.step_v)[random.integers(len(sensors.step_v), size=packs)],
        ambient_noise_c=0.1 * every,
        stuck_a_day=sensors.stuck_a_day * every,
        open_a_day=sensors.open_a_day * every,
        jumps_a_day=sensors.jumps_a_day * every,
        wild_a_day=sensors.wild_a_day * every,
        noisy_a_day=sensors.noisy_a_day * every,
        lost_share=random.uniform(*sensors.lost_share, packs),
        silences_a_day=sensors.silences_a_day * every,
    )


def gas_of(
    sensors: Sensors,
    gas_ppm: Reported,
    lost: NDArray[np.bool_],
    interval_s: float,
    random: np.random.Generator,
) -> tuple[Reported | None, Reported | None, Reported | None]:
    """Hydrogen, carbon monoxide and solvents as (P, N) readings from gas_ppm (P, N, 3); None without sensors."""
    if not sensors.gas:
        return None, None, None
    gas_ppm = gas_ppm + _passing_clouds_ppm(sensors, gas_ppm.shape, interval_s, random)
    found = []
    for gas, (background_ppm, noise_ppm) in enumerate(zip(GAS_BACKGROUND_PPM, GAS_NOISE_PPM, strict=True)):
        gain = 1.0 + np.float32(GAS_NOISE_SHARE) * random.standard_normal(lost.shape, dtype=np.float32)
        ppm = (gas_ppm[:, :, gas] + np.float32(background_ppm)) * gain
        ppm += np.float32(noise_ppm) * random.standard_normal(lost.shape, dtype=np.float32)
        found.append(np.where(lost, np.float32(np.nan), np.maximum(ppm, np.float32(0.0))))
    return found[0], found[1], found[2]


def _passing_clouds_ppm(
    sensors: Sensors, shape: tuple[int, ...], interval_s: float, random: np.random.Generator
) -> Reported:
    """(P, N, 3) exhaust, cleaning agents and forklifts: up quickly, away in minutes."""
    clouds_ppm = np.zeros(shape, dtype=np.float32)
    samples = shape[1]
    for pack in range(shape[0]):
        for _ in range(random.poisson(sensors.exhaust_a_day * samples * interval_s / DAY_S)):
            start = int(random.integers(samples))
            age_s = np.arange(samples - start) * interval_s
            course = (1.0 - np.exp(-age_s / 60.0)) * np.exp(-age_s / random.uniform(120.0, 1200.0))
            peak_ppm = np.exp(random.uniform(np.log(CLOUD_PPM[0]), np.log(CLOUD_PPM[1]))) * (random.random(3) < 0.5)
            clouds_ppm[pack, start:] += (course[:, None] * peak_ppm).astype(np.float32)
    return clouds_ppm
