"""What is fitted to P packs: the taps that measure voltages, the cells behind them, and the feet of the probes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Electrics:
    """Voltages of P packs with V taps."""

    tap_weight: Floats
    """(P, V, R) share of each reactive node in a tap's voltage; rows sum to one."""
    tap_v: Floats
    """(P, V) what a tap reads above the pack's common cell voltage times `series`: balance and offsets."""
    series: Floats
    """(P,) cells in series under one tap."""
    sick_tap: Indices
    """(P,) the tap over the cell with the fault."""
    curve_v: Floats
    """(P, 8) open-circuit voltage at the steps of charge of chemistry.py."""
    curve_at: Floats
    """(8,) those steps."""
    charge: Floats
    """(P,) at the start, 0..1."""
    pack_ohm: Floats
    """(P, V) of one cell under that tap."""
    pack_capacity_c: Floats
    """(P,) coulomb."""
    module_ohm: Floats
    """(P, R) resistance that heats a node under current."""

    def some(self, packs: Indices) -> Electrics:
        """The packs of these indices alone."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return Electrics(curve_at=columns.pop("curve_at"), **{name: column[packs] for name, column in columns.items()})

    def open_circuit_v(self, charge: Floats) -> Floats:
        """(P,) voltage of a resting cell at charge (P,): straight lines between the steps."""
        at = self.curve_at
        place = np.clip(np.searchsorted(at, charge, side="right") - 1, 0, len(at) - 2)
        rows = np.arange(len(charge))
        left, right = self.curve_v[rows, place], self.curve_v[rows, place + 1]
        return np.asarray(left + (right - left) * (charge - at[place]) / (at[place + 1] - at[place]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Probes:
    """Where the probes of P packs sit, up to T each."""

    node: Indices
    """(P, T)"""
    case_share: Floats
    """(P, T) 0..1, how far a probe's foot follows the case."""
    case_node: Indices
    """(P, T)"""
    lag_s: Floats
    """(P, T)"""

    def some(self, packs: Indices) -> Probes:
        """The packs of these indices alone."""
        return Probes(**{field.name: getattr(self, field.name)[packs] for field in fields(self)})
