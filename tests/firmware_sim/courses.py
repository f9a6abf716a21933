"""Packs for the tests of course.py: everything given, nothing drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from firmware_sim.ailments import Ailments, healthy
from firmware_sim.bodies import Bodies, Build, exchange_of
from firmware_sim.chemistry import CHARGE_STEPS, cell_model, open_circuit_curve_v
from firmware_sim.course import Course, run
from firmware_sim.fittings import Electrics, Probes
from firmware_sim.surroundings import Surroundings, still
from registry.kinds import Chemistry

if TYPE_CHECKING:
    from numpy.typing import NDArray

HELD_J_PER_K = 1e15
"""A node that nothing warms."""


def build(packs: int = 1, modules: int = 4, cells: int = 0, **changes: object) -> Build:
    """Equal packs of 30 kg modules; `changes` are single numbers or (P, M) arrays."""
    each, every = np.ones(packs), np.ones((packs, modules))
    numbers: dict[str, object] = {
        "module_j_per_k": 30_000.0,
        "cell_j_per_k": 1_200.0,
        "module_to_module": 5.0,
        "cell_to_cell": 1.5,
        "cell_to_case": 0.2,
        "half_to_half": 1e3,
        "case_j_per_k": 90_000.0,
        "case_to_air": 20.0,
        "case_to_side": 0.0,
        "air_j_per_k": 440_000.0,
    } | {name: value for name, value in changes.items() if name not in {"module_to_case", "lean", "sick"}}
    return Build(
        modules=modules,
        cells=cells,
        sick=np.full(packs, changes.get("sick", 0), dtype=np.intp),
        module_to_case=changes.get("module_to_case", 4.0) * every,
        lean=changes.get("lean", 0.5) * every,
        **{name: value * each for name, value in numbers.items()},
    )


def bodies(how: Build, chemistry: Chemistry = Chemistry.NMC) -> Bodies:
    """Packs of one chemistry."""
    packs, model = len(how.sick), cell_model(chemistry)
    each = np.ones(packs)
    exchange_per_s, heat_j_per_k = exchange_of(how)
    return Bodies(
        modules=how.modules,
        cells=how.cells,
        exchange_per_s=exchange_per_s,
        heat_j_per_k=heat_j_per_k,
        side_w_per_k=np.repeat(how.case_to_side[:, None], 2, axis=1),
        trigger_c=model.trigger_c * each,
        fast_rise_k=model.fast_adiabatic_rise_k * each,
        electrical_rise_k=model.charge_j_per_kg / 1000.0 * each,
        gas_m3=np.tile((2.6e-5, 1.1e-5, 2.5e-5), (packs, 1)),
        gas_volume_m3=0.3 * each,
        gas_leak_s=900.0 * each,
    )


def electrics(packs_bodies: Bodies, chemistry: Chemistry = Chemistry.NMC, charge: float = 0.5) -> Electrics:
    """One tap over the cell with the fault; no resistance but the fault's own."""
    packs, reactive = packs_bodies.packs, packs_bodies.reactive
    weight = np.zeros((packs, 1, reactive))
    weight[:, 0, packs_bodies.hot] = 1.0
    return Electrics(
        tap_weight=weight,
        tap_v=np.zeros((packs, 1)),
        series=np.ones(packs),
        sick_tap=np.zeros(packs, dtype=np.intp),
        curve_v=np.tile(open_circuit_curve_v(chemistry), (packs, 1)),
        curve_at=np.array(CHARGE_STEPS),
        charge=np.full(packs, charge),
        pack_ohm=np.zeros((packs, 1)),
        pack_capacity_c=np.full(packs, 3600.0 * 60.0),
        module_ohm=np.zeros((packs, reactive)),
    )


def everywhere(packs_bodies: Bodies) -> Probes:
    """A probe without lag on every node."""
    packs, nodes = packs_bodies.heat_j_per_k.shape
    node = np.tile(np.arange(nodes), (packs, 1))
    none = np.zeros((packs, nodes))
    return Probes(node=node, case_share=none, case_node=node, lag_s=none + 1e-9)


def ill(packs: int = 1, **changes: float) -> Ailments:
    """The same fault in every pack, from the start."""
    columns = {name: getattr(healthy(packs), name) for name in Ailments.__dataclass_fields__}
    columns |= {"onset_s": np.zeros(packs)} | {name: np.full(packs, value) for name, value in changes.items()}
    return Ailments(**columns)


def moved(
    packs_bodies: Bodies,
    ailments: Ailments,
    *,
    hours: float,
    start_c: float | NDArray[np.float64] = 25.0,
    interval_s: float = 10.0,
    around: Surroundings | None = None,
    fitted: Electrics | None = None,
    **limits: float,
) -> Course:
    """The course of these packs, a probe on every node."""
    samples = round(hours * 3600.0 / interval_s) + 1
    packs, nodes = packs_bodies.heat_j_per_k.shape
    return run(
        packs_bodies,
        ailments,
        around or still(packs, int(hours * 60.0) + 1, 25.0),
        everywhere(packs_bodies),
        fitted or electrics(packs_bodies),
        start_c=np.broadcast_to(start_c, (packs, nodes)).copy(),
        samples=samples,
        interval_s=interval_s,
        **limits,
    )
