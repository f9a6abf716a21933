"""Packs with the cells of one module in detail: what conducts to what, for many unlike packs at once.

Nodes of a pack, in this order: M modules in a row, K cells in a row that belong to the module `sick` (K may be 0), the
two halves of the case, and the container's air. A case half faces one side wall of the container and exchanges
radiation with it; air meets the skin and, through the doors, the outside. Constants only; course.py moves them in time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bodies:
    """The constants of P packs, each in a container of its own, with J = M + K + 3 nodes."""

    modules: int
    """M"""
    cells: int
    """K"""
    exchange_per_s: Floats
    """(P, J, J) exchange @ temperature is degC/s; rows sum to zero but for the case's loss to the side walls."""
    heat_j_per_k: Floats
    """(P, J)"""
    side_w_per_k: Floats
    """(P, 2) from each half of the case to its side wall."""
    trigger_c: Floats
    """(P,) where the fast reaction takes over."""
    fast_rise_k: Floats
    """(P,) its adiabatic rise."""
    electrical_rise_k: Floats
    """(P,) rise when the stored charge turns to heat in the cells."""
    gas_m3: Floats
    """(P, 3) hydrogen, carbon monoxide, vapour of solvents: what a joule per kelvin of cells releases in all."""
    gas_volume_m3: Floats
    """(P,) free volume around the pack."""
    gas_leak_s: Floats
    """(P,)"""

    @property
    def packs(self) -> int:
        return len(self.trigger_c)

    @property
    def reactive(self) -> int:
        """How many nodes, from the first on, hold active material."""
        return self.modules + self.cells

    @property
    def hot(self) -> int:
        """The node in which a fault sits: the middle cell, or the first module where no cells are told apart."""
        return self.modules + self.cells // 2 if self.cells else 0

    def some(self, packs: NDArray[np.intp]) -> Bodies:
        """The packs of these indices alone."""
        return Bodies(
            modules=self.modules,
            cells=self.cells,
            **{name: getattr(self, name)[packs] for name in _PER_PACK},
        )


_PER_PACK = tuple(name for name in Bodies.__dataclass_fields__ if name not in ("modules", "cells"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Build:
    """How P packs are built and packed. Arrays (P,) unless said otherwise; conductances in W/K."""

    modules: int
    cells: int
    sick: NDArray[np.intp]
    """Which module's cells are told apart."""
    module_j_per_k: Floats
    cell_j_per_k: Floats
    """Of one of the K cells; they are taken out of their module."""
    module_to_module: Floats
    module_to_case: Floats
    """(P, M) no two modules sit alike."""
    lean: Floats
    """(P, M) 0..1: the share of that which goes to the case's first half."""
    cell_to_cell: Floats
    cell_to_case: Floats
    half_to_half: Floats
    case_j_per_k: Floats
    """Of both halves."""
    case_to_air: Floats
    """Of both halves."""
    case_to_side: Floats
    """Of one half."""
    air_j_per_k: Floats


def exchange_of(build: Build) -> tuple[Floats, Floats]:
    """Return exchange_per_s (P, J, J) and heat_j_per_k (P, J). Raises ValueError when cells outweigh their module."""
    packs, modules, cells = len(build.sick), build.modules, build.cells
    nodes = modules + cells + 3
    first_half, air = nodes - 3, nodes - 1
    every = np.arange(packs)
    conduct = np.zeros((packs, nodes, nodes))

    def join(one: NDArray[np.intp] | int, other: NDArray[np.intp] | int, w_per_k: Floats) -> None:
        conduct[every, one, other] += w_per_k
        conduct[every, other, one] += w_per_k

    for module in range(modules):
        if module + 1 < modules:
            join(module, module + 1, build.module_to_module)
        to_case = build.module_to_case[:, module]
        join(module, first_half, to_case * build.lean[:, module])
        join(module, first_half + 1, to_case * (1.0 - build.lean[:, module]))
    for cell in range(modules, modules + cells):
        if cell + 1 < modules + cells:
            join(cell, cell + 1, build.cell_to_cell)
        lean = build.lean[every, build.sick]
        join(cell, first_half, build.cell_to_case * lean)
        join(cell, first_half + 1, build.cell_to_case * (1.0 - lean))
    if cells:
        join(modules, build.sick, build.cell_to_cell)
        join(modules + cells - 1, build.sick, build.cell_to_cell)
    join(first_half, first_half + 1, build.half_to_half)
    join(first_half, air, build.case_to_air / 2.0)
    join(first_half + 1, air, build.case_to_air / 2.0)
    heat = np.empty((packs, nodes))
    heat[:, :modules] = build.module_j_per_k[:, None]
    heat[every, build.sick] -= cells * build.cell_j_per_k
    heat[:, modules:first_half] = build.cell_j_per_k[:, None]
    heat[:, first_half:air] = build.case_j_per_k[:, None] / 2.0
    heat[:, air] = build.air_j_per_k
    if not bool((heat > 0).all()):
        raise ValueError("the cells told apart weigh more than their module")
    lost = conduct.sum(axis=2)
    lost[:, first_half:air] += build.case_to_side[:, None]
    conduct[:, np.arange(nodes), np.arange(nodes)] = -lost
    return conduct / heat[:, :, None], heat
