"""Heat in packs at rest: modules in a row, the pack's case, the container's air, and the outside; all packs at once.

A lumped network. Each module exchanges heat with its neighbours and with the case, the case with the container's air,
and the air with the outside through the container's skin at its sol-air temperature (container.py). A module above
60 degC also makes its own heat by the two reactions of chemistry.py; above 165 degC its separators fail, its voltage
goes, and its charge turns to heat. Held against the heat balance, closed forms of the steady state, and the measured
self-heating rates by the tests.
Not modelled: gas flow, burning outside the cell, radiation, and phase change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from firmware_sim.chemistry import (
    FAST_ACTIVATION_J_PER_MOL,
    FAST_REFERENCE_K_PER_S,
    GAS_CONSTANT_J_PER_MOL_K,
    SLOW_ACTIVATION_J_PER_MOL,
    SLOW_ADIABATIC_RISE_K,
    SLOW_REFERENCE_C,
    SLOW_REFERENCE_K_PER_S,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

KELVIN = 273.15
REACTION_FROM_C = 60.0
"""Below it the slow stage makes under 0.006 degC/min, less than a pack loses per degree: not worth the time."""
REACTION_STEP_S = 0.05
"""Micro-step of the reactions: a runaway passes 100 degC/s for a moment, which is then 5 degC a step."""
SEPARATOR_FAILS_C = 165.0
"""Where the steep part of four calorimeter recordings begins at the earliest (165-203 degC); punched cells lose their
voltage after 150 degC was passed."""
SEPARATOR_DECAY_S = 40.0
"""A quarter of the voltage is gone after 0.29 x 40 = 12 s: inside the 5-56 s measured on punched cells."""
MAX_STEP_S = 1.0
"""Explicit steps of the network; its fastest node (a container's air, minutes) allows far more."""
MOLAR_VOLUME_M3 = 0.0245
"""Ideal gas at 25 degC and 1 bar."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """The constants of P packs of up to M modules in C containers."""

    fitted: NDArray[np.bool_]
    """(P, M) whether the pack has that module; the rest is padding."""
    container: NDArray[np.intp]
    """(P,) which container a pack stands in."""
    module_j_per_k: Floats
    """(P, M) heat capacity; 1 in padding."""
    module_to_module_w_per_k: Floats
    """(P,)"""
    module_to_case_w_per_k: Floats
    """(P,)"""
    case_j_per_k: Floats
    """(P,) case and packaging."""
    case_to_air_w_per_k: Floats
    """(P,)"""
    air_j_per_k: Floats
    """(C,) air, inner skin and dunnage of a container."""
    module_voltage_v: Floats
    """(P, M) resting; 0 in padding."""
    trigger_c: Floats
    """(P,) where the fast reaction takes over."""
    fast_rise_k: Floats
    """(P,) its adiabatic rise."""
    electrical_rise_k: Floats
    """(P,) adiabatic rise when the stored charge turns to heat inside the cells, as it does when separators fail."""
    gas_m3: Floats
    """(P, 3) hydrogen, carbon monoxide, vapour of solvents: what one module releases in all."""
    gas_volume_m3: Floats
    """(P,) free volume of the packaging, where a unit's gas sensor sits."""
    gas_leak_s: Floats
    """(P,) time constant of the packaging's leak."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ThermalState:
    """Everything that changes. Values of padding modules mean nothing."""

    module_c: Floats
    """(P, M)"""
    case_c: Floats
    """(P,)"""
    air_c: Floats
    """(C,)"""
    slow_done: Floats
    """(P, M) 0..1, how much of the slow stage has reacted."""
    fast_done: Floats
    """(P, M) 0..1"""
    voltage_factor: Floats
    """(P, M) 1..0, module voltage over its resting voltage."""
    gas_ppm: Floats
    """(P, 3) above background: hydrogen, carbon monoxide, vapour of solvents."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outside:
    """What a container's skin meets."""

    skin_c: Floats
    """(C,) sol-air temperature."""
    skin_to_air_w_per_k: Floats
    """(C,)"""


def resting_state(network: Network, module_c: Floats, air_c: Floats) -> ThermalState:
    """Fresh packs, each at its temperature (P,), in containers at theirs (C,)."""
    packs, modules = network.fitted.shape
    return ThermalState(
        module_c=np.repeat(module_c[:, None], modules, axis=1),
        case_c=module_c.copy(),
        air_c=air_c.copy(),
        slow_done=np.zeros((packs, modules)),
        fast_done=np.zeros((packs, modules)),
        voltage_factor=np.ones((packs, modules)),
        gas_ppm=np.zeros((packs, 3)),
    )


def step(
    network: Network,
    state: ThermalState,
    outside: Outside,
    source_w: Callable[[float, Floats], Floats],
    *,
    elapsed_s: float,
    dt_s: float,
    max_step_s: float = MAX_STEP_S,
) -> ThermalState:
    """The state `dt_s` later. source_w(seconds since the scenario's start, voltage factors (P, M)) -> (P, M) W of heat.

    Every pack takes the same sub-steps, so a pack's course does not depend on what else is simulated.
    Raises ValueError when dt_s is negative.
    """
    if dt_s < 0:
        raise ValueError(f"dt_s is {dt_s}: time runs forward")
    steps = max(1, int(np.ceil(dt_s / max_step_s)))
    h_s = dt_s / steps
    for number in range(steps):
        heat_w = source_w(elapsed_s + number * h_s, state.voltage_factor)
        state = _react(network, _conduct(network, state, outside, heat_w, h_s), h_s)
    return state


def _conduct(network: Network, state: ThermalState, outside: Outside, heat_w: Floats, h_s: float) -> ThermalState:
    module_c = state.module_c
    along_w = np.diff(module_c, axis=1) * network.module_to_module_w_per_k[:, None]
    along_w *= network.fitted[:, 1:] & network.fitted[:, :-1]
    to_case_w = (module_c - state.case_c[:, None]) * network.module_to_case_w_per_k[:, None] * network.fitted
    module_w = heat_w - to_case_w
    module_w[:, :-1] += along_w
    module_w[:, 1:] -= along_w
    to_air_w = (state.case_c - state.air_c[network.container]) * network.case_to_air_w_per_k
    from_packs_w = np.bincount(network.container, weights=to_air_w, minlength=len(state.air_c))
    air_w = from_packs_w + (outside.skin_c - state.air_c) * outside.skin_to_air_w_per_k
    return replace(
        state,
        module_c=module_c + h_s * module_w / network.module_j_per_k,
        case_c=state.case_c + h_s * (to_case_w.sum(axis=1) - to_air_w) / network.case_j_per_k,
        air_c=state.air_c + h_s * air_w / network.air_j_per_k,
    )


def _react(network: Network, state: ThermalState, h_s: float) -> ThermalState:
    """Let the reactions run for `h_s`; split from conduction, since they are fast and concern few modules."""
    gas_ppm = state.gas_ppm * np.exp(-h_s / network.gas_leak_s)[:, None]
    pack, module = np.nonzero((state.module_c > REACTION_FROM_C) & network.fitted)
    if len(pack) == 0:
        return replace(state, gas_ppm=gas_ppm)
    slow_before, fast_before = state.slow_done[pack, module], state.fast_done[pack, module]
    done = Reacted(
        cell_c=state.module_c[pack, module],
        slow_done=slow_before,
        fast_done=fast_before,
        voltage_factor=state.voltage_factor[pack, module],
    )
    rise_k, trigger_c, electrical_rise_k = (
        network.fast_rise_k[pack],
        network.trigger_c[pack],
        network.electrical_rise_k[pack],
    )
    micro_steps = max(1, int(np.ceil(h_s / REACTION_STEP_S)))
    micro_s = h_s / micro_steps
    for _ in range(micro_steps):
        done = react(done, micro_s, trigger_c=trigger_c, fast_rise_k=rise_k, electrical_rise_k=electrical_rise_k)
    # Solvent vapour comes with the slow stage (a cell vents before it burns), permanent gases with the fast one.
    packs = len(state.case_c)
    fast_turned = np.bincount(pack, weights=done.fast_done - fast_before, minlength=packs)
    slow_turned = np.bincount(pack, weights=done.slow_done - slow_before, minlength=packs)
    turned = np.stack((fast_turned, fast_turned, slow_turned), axis=1)
    return replace(
        state,
        module_c=_put(state.module_c, pack, module, done.cell_c),
        slow_done=_put(state.slow_done, pack, module, done.slow_done),
        fast_done=_put(state.fast_done, pack, module, done.fast_done),
        voltage_factor=_put(state.voltage_factor, pack, module, done.voltage_factor),
        gas_ppm=with_gas_ppm(gas_ppm, turned * network.gas_m3 / network.gas_volume_m3[:, None]),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reacted:
    """How far cells have reacted. Arrays of one shape."""

    cell_c: Floats
    slow_done: Floats
    fast_done: Floats
    voltage_factor: Floats


def react(
    cells: Reacted, micro_s: Floats | float, *, trigger_c: Floats, fast_rise_k: Floats, electrical_rise_k: Floats
) -> Reacted:
    """The cells `micro_s` later, as if they lost no heat meanwhile; what turns over warms them, no more and no less."""
    slow = 1.0 - (1.0 - cells.slow_done) * np.exp(-micro_s * slow_rate_per_s(cells.cell_c))
    fast = 1.0 - (1.0 - cells.fast_done) * np.exp(-micro_s * fast_rate_per_s(cells.cell_c, trigger_c, fast_rise_k))
    decay = np.where(cells.cell_c > SEPARATOR_FAILS_C, np.exp(-micro_s / SEPARATOR_DECAY_S), 1.0)
    voltage_factor = cells.voltage_factor * decay
    return Reacted(
        cell_c=cells.cell_c
        + SLOW_ADIABATIC_RISE_K * (slow - cells.slow_done)
        + fast_rise_k * (fast - cells.fast_done)
        + electrical_rise_k * (cells.voltage_factor - voltage_factor),
        slow_done=slow,
        fast_done=fast,
        voltage_factor=voltage_factor,
    )


def with_gas_ppm(gas_ppm: Floats, share: Floats) -> Floats:
    """(P, 3) after gas of these shares of the free volume came in. It pushes mixed gas out: no more than all is gas."""
    total = share.sum(axis=1, keepdims=True)
    mixed = np.where(total > 0, -np.expm1(-total) / np.maximum(total, 1e-300), 1.0)
    return np.asarray(gas_ppm * np.exp(-total) + 1e6 * share * mixed)


def _put(column: Floats, pack: NDArray[np.intp], module: NDArray[np.intp], values: Floats) -> Floats:
    changed = column.copy()
    changed[pack, module] = values
    return changed


def slow_rate_per_s(module_c: Floats) -> Floats:
    """Share of fresh material that the slow stage turns over in a second."""
    inverse_k = 1.0 / (module_c + KELVIN) - 1.0 / (SLOW_REFERENCE_C + KELVIN)
    shape = np.exp(-SLOW_ACTIVATION_J_PER_MOL / GAS_CONSTANT_J_PER_MOL_K * inverse_k)
    return SLOW_REFERENCE_K_PER_S / SLOW_ADIABATIC_RISE_K * shape


def fast_rate_per_s(module_c: Floats, trigger_c: Floats, rise_k: Floats) -> Floats:
    """Share of fresh material that the fast stage turns over in a second; a chemistry is its trigger and its rise."""
    inverse_k = 1.0 / (module_c + KELVIN) - 1.0 / (trigger_c + KELVIN)
    return FAST_REFERENCE_K_PER_S / rise_k * np.exp(-FAST_ACTIVATION_J_PER_MOL / GAS_CONSTANT_J_PER_MOL_K * inverse_k)
