"""The course of P packs: heat, reactions, shorts and gas in steps as long as each pack allows.

Every pack has its own clock. A resting pack moves in steps of up to a minute, one that heats itself in steps in which
nothing rises by more than half a degree (two per cent when it burns), so a thousand resting pack-days and a runaway
cost about the same. Conduction is the explicit midpoint rule; the reactions are those of physics.py, split from it.
Samples that fall into one long step lie on the straight line between its ends.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from firmware_sim import surroundings as around
from firmware_sim.ailments import own_heat_w, short_current_a
from firmware_sim.chemistry import SLOW_ADIABATIC_RISE_K
from firmware_sim.physics import (
    REACTION_FROM_C,
    SEPARATOR_DECAY_S,
    SEPARATOR_FAILS_C,
    Reacted,
    fast_rate_per_s,
    react,
    slow_rate_per_s,
    with_gas_ppm,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from firmware_sim.ailments import Ailments
    from firmware_sim.bodies import Bodies
    from firmware_sim.fittings import Electrics, Probes

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]

LONGEST_STEP_S = 60.0
SHORTEST_STEP_S = 0.02
RISE_A_STEP_K = 0.5
RISE_A_STEP_SHARE = 0.02
"""More when it is hotter than 100 degC: this share of what is above."""
STABLE_SHARE = 0.7
"""Of the fastest node's time constant; the midpoint rule stays stable below 2 and accurate to a per cent here."""
RUNAWAY_C_PER_S, RUNAWAY_HELD_S = 1.0, 3.0
"""GB 38031-2025 C.5.3.7, with the chemistry's trigger in the place of the largest working temperature."""
BURNT_SHARE = 0.5
"""Of the fast stage: from there a cell burns to its end."""
VENT_C = 130.0
"""A cell opens: 120-150 degC for the usual burst discs. **assumed**"""
VENT_SHARE = 0.3
"""Of its solvent, which leaves at once. **assumed**"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Course:
    """The truth of P packs on N samples; float32, NaN after the tail of a runaway."""

    probes_c: NDArray[np.float32]
    """(P, N, T) bodies of the probes."""
    voltages_v: NDArray[np.float32]
    """(P, N, V)"""
    air_c: NDArray[np.float32]
    """(P, N)"""
    gas_ppm: NDArray[np.float32]
    """(P, N, 3) above background."""
    runaway_s: Floats
    """(P,) when a node had first risen by 1 degC/s for 3 s above the trigger, where one then burnt; NaN = never."""
    hottest_c: Floats
    """(P,) of any node."""
    burnt: Indices
    """(P,) nodes whose fast stage is more than half done: the first cell, and those the fire has reached."""
    steps: int
    """Steps of the longest pack."""


@dataclass(slots=True, kw_only=True, eq=False)
class _State:
    """Everything that changes, for the packs still under way."""

    row: Indices
    time_s: Floats
    sample: Indices
    node_c: Floats
    slow_done: Floats
    fast_done: Floats
    voltage_factor: Floats
    vented: NDArray[np.bool_]
    charge: Floats
    sick_charge: Floats
    gas_ppm: Floats
    probes_c: Floats
    held_s: Floats
    runaway_s: Floats
    hottest_c: Floats

    def some(self, keep: Indices) -> _State:
        return _State(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})


def run(
    bodies: Bodies,
    ailments: Ailments,
    surroundings: around.Surroundings,
    probes: Probes,
    electrics: Electrics,
    *,
    start_c: Floats,
    samples: int,
    interval_s: float,
    tail_s: float = 600.0,
    longest_step_s: float = LONGEST_STEP_S,
    rise_a_step_k: float = RISE_A_STEP_K,
) -> Course:
    """Move P packs on from nodes at start_c (P, J), sampling every interval_s; a burnt pack falls silent after tail_s.

    Raises ValueError when the surroundings end before the samples do.
    """
    table = surroundings.table()
    if (samples - 1) * interval_s > table.shape[1] * around.MINUTE_S:
        raise ValueError("the surroundings end before the recording does")
    packs, reactive = bodies.packs, bodies.reactive
    taps, feet = electrics.tap_v.shape[1], probes.node.shape[1]
    told = np.full((packs, samples, feet + taps + 4), np.nan, dtype=np.float32)
    zeros = np.zeros((packs, reactive))
    state = _State(
        row=np.arange(packs),
        time_s=np.zeros(packs),
        sample=np.zeros(packs, dtype=np.intp),
        node_c=start_c.copy(),
        slow_done=zeros,
        fast_done=zeros,
        voltage_factor=np.ones((packs, reactive)),
        vented=np.zeros((packs, reactive), dtype=np.bool_),
        charge=electrics.charge.copy(),
        sick_charge=electrics.charge.copy(),
        gas_ppm=np.zeros((packs, 3)),
        probes_c=np.empty((packs, feet)),
        held_s=zeros,
        runaway_s=np.full(packs, np.nan),
        hottest_c=start_c.max(axis=1),
    )
    fleet = _Fleet(bodies, ailments, probes, electrics, table)
    state.probes_c = fleet.feet_c(state)
    runaway_s, hottest_c, burnt = np.full(packs, np.nan), np.zeros(packs), np.zeros(packs, dtype=np.intp)
    seen = fleet.observe(state)
    told[:, 0] = seen
    steps = 0
    while len(state.row):
        steps += 1
        before_s = state.time_s
        landed = fleet.advance(state, samples - 1, interval_s, longest_step_s, rise_a_step_k)
        now_seen = fleet.observe(state)
        for number in range(1, int(landed.max()) + 1):
            here = np.flatnonzero(landed >= number)
            sample = state.sample[here] + number
            late = ((sample * interval_s - before_s[here]) / (state.time_s[here] - before_s[here]))[:, None]
            told[state.row[here], sample] = seen[here] + late * (now_seen[here] - seen[here])
        state.sample = state.sample + landed
        seen = now_seen
        over = (state.sample >= samples - 1) | ((state.time_s > state.runaway_s + tail_s) & _burns(state).any(axis=1))
        if over.any():
            burnt[state.row[over]] = _burns(state)[over].sum(axis=1)
            # A cell whose short heats it fast and fails to light it has not run away.
            runaway_s[state.row[over]] = np.where(_burns(state)[over].any(axis=1), state.runaway_s[over], np.nan)
            hottest_c[state.row[over]] = state.hottest_c[over]
            keep = np.flatnonzero(~over)
            state, seen = state.some(keep), seen[keep]
            fleet = fleet.some(keep)
    return Course(
        probes_c=told[:, :, :feet],
        voltages_v=told[:, :, feet : feet + taps],
        air_c=told[:, :, feet + taps],
        gas_ppm=told[:, :, feet + taps + 1 :],
        runaway_s=runaway_s,
        hottest_c=hottest_c,
        burnt=burnt,
        steps=steps,
    )


def _burns(state: _State) -> NDArray[np.bool_]:
    return np.asarray(state.fast_done > BURNT_SHARE)


class _Fleet:
    """The constants of the packs under way, and the step."""

    def __init__(self, bodies: Bodies, ailments: Ailments, probes: Probes, electrics: Electrics, table: Floats) -> None:
        self.bodies, self.ailments, self.probes, self.electrics, self.table = bodies, ailments, probes, electrics, table
        self._rows = np.arange(bodies.packs)
        self._sick = bool(np.isfinite(ailments.onset_s).any())
        self._driven = bool(table[:, :, [around.CURRENT, around.COOLANT_W]].any()) if table.size else False
        reactive = bodies.reactive
        fastest = np.abs(np.diagonal(bodies.exchange_per_s, axis1=1, axis2=2)).max(axis=1, initial=1e-9)
        if self._driven:
            cooled = table[:, :, around.COOLANT_W].max(axis=1) / bodies.heat_j_per_k[:, :reactive].min(axis=1)
            fastest = fastest + cooled
        if table.size:
            aired = (table[:, :, around.DOOR] + table[:, :, around.SKIN_W]).max(axis=1) / bodies.heat_j_per_k[:, -1]
            fastest = np.maximum(fastest, aired + np.abs(bodies.exchange_per_s[:, -1, -1]))
        self._stable_s = STABLE_SHARE / fastest

    def some(self, keep: Indices) -> _Fleet:
        return _Fleet(
            self.bodies.some(keep),
            self.ailments.some(keep),
            self.probes.some(keep),
            self.electrics.some(keep),
            self.table[keep],
        )

    def advance(self, state: _State, last: int, interval_s: float, longest_s: float, rise_k: float) -> Indices:
        """Move every pack by a step of its own; return how many samples (n,) each has reached or passed."""
        bodies = self.bodies
        reactive = bodies.reactive
        now = self._now(state.time_s + 1e-6)
        heat_w = self._fault_heat(state, state.time_s + 1e-6)
        slope = self._conduction(state.node_c, now, heat_w)
        cell_c = state.node_c[:, :reactive]
        warm = bool((cell_c > REACTION_FROM_C).any())
        rise = np.abs(slope[:, :reactive])
        if warm:
            rise = rise + self._reaction_slope(state)
        allowed_k = rise_k + RISE_A_STEP_SHARE * np.maximum(cell_c - 100.0, 0.0)
        step_s = np.min(allowed_k / np.maximum(rise, 1e-12), axis=1)
        step_s = np.clip(step_s, SHORTEST_STEP_S, np.minimum(longest_s, self._stable_s))
        onset_s = self.ailments.onset_s
        step_s = np.where(state.time_s < onset_s, np.minimum(step_s, np.maximum(onset_s - state.time_s, 1e-6)), step_s)
        end = np.minimum(np.floor((state.time_s + step_s) / interval_s + 1e-9).astype(np.intp), last)
        landed: Indices = np.maximum(end - state.sample, 0)
        end_s = np.where(landed > 0, end * interval_s, state.time_s + step_s)
        step_s = end_s - state.time_s
        half_c = state.node_c + 0.5 * step_s[:, None] * slope
        middle = self._now(state.time_s + 0.5 * step_s)
        if self._sick:
            heat_w = self._fault_heat(state, state.time_s + 0.5 * step_s)
            self._discharge(state, step_s)
        if self._driven:
            amperes_s = middle[:, around.CURRENT] * step_s
            state.charge = np.clip(state.charge - amperes_s / self.electrics.pack_capacity_c, 0.0, 1.0)
            state.sick_charge = np.clip(state.sick_charge - amperes_s / self.electrics.pack_capacity_c, 0.0, 1.0)
        old_c = state.node_c
        node_c = old_c + step_s[:, None] * self._conduction(half_c, middle, heat_w)
        state.node_c = node_c
        if warm:
            self._react(state, step_s)
            self._watch(state, old_c, step_s, end_s)
        elif self._sick:
            state.gas_ppm = state.gas_ppm * np.exp(-step_s / bodies.gas_leak_s)[:, None]
        state.hottest_c = np.maximum(state.hottest_c, state.node_c[:, :reactive].max(axis=1))
        follow = -np.expm1(-step_s[:, None] / self.probes.lag_s)
        state.probes_c = state.probes_c + (self.feet_c(state) - state.probes_c) * follow
        state.time_s = end_s
        return landed

    def feet_c(self, state: _State) -> Floats:
        """(n, T) what the probes' feet have."""
        probes = self.probes
        on_cell = state.node_c[self._rows[:, None], probes.node]
        on_case = state.node_c[self._rows[:, None], probes.case_node]
        return np.asarray(on_cell + probes.case_share * (on_case - on_cell))

    def observe(self, state: _State) -> NDArray[np.float32]:
        """(n, T + V + 4) probes, taps, air, gas."""
        electrics = self.electrics
        cell_v = electrics.open_circuit_v(state.charge)
        tap_v = electrics.series[:, None] * cell_v[:, None] + electrics.tap_v
        if self._driven:
            current_a = self._now(state.time_s)[:, around.CURRENT]
            tap_v -= electrics.series[:, None] * electrics.pack_ohm * current_a[:, None]
        if self._sick:
            sick_v = electrics.open_circuit_v(state.sick_charge)
            lost_v = cell_v - sick_v + short_current_a(self.ailments, state.time_s, sick_v) * self.ailments.inner_ohm
            tap_v[self._rows, electrics.sick_tap] -= lost_v
            if bool((state.voltage_factor < 1.0).any()):
                tap_v *= np.matmul(electrics.tap_weight, state.voltage_factor[:, :, None])[:, :, 0]
        seen = np.empty((len(state.row), state.probes_c.shape[1] + tap_v.shape[1] + 4), dtype=np.float32)
        feet, taps = state.probes_c.shape[1], tap_v.shape[1]
        seen[:, :feet] = state.probes_c
        np.maximum(tap_v, 0.0, out=tap_v)
        seen[:, feet : feet + taps] = tap_v
        seen[:, feet + taps] = state.node_c[:, -1]
        seen[:, feet + taps + 1 :] = state.gas_ppm
        return seen

    def _now(self, time_s: Floats) -> Floats:
        minute = np.minimum((time_s / around.MINUTE_S).astype(np.intp), self.table.shape[1] - 1)
        return np.asarray(self.table[self._rows, minute])

    def _conduction(self, node_c: Floats, now: Floats, heat_w: Floats | None) -> Floats:
        bodies = self.bodies
        slope: Floats = np.matmul(bodies.exchange_per_s, node_c[:, :, None])[:, :, 0]
        slope[:, -3:-1] += bodies.side_w_per_k * now[:, around.SIDES] / bodies.heat_j_per_k[:, -3:-1]
        air_c = node_c[:, -1]
        slope[:, -1] += (
            now[:, around.SKIN_W] * (now[:, around.SKIN] - air_c)
            + now[:, around.DOOR] * (now[:, around.OUTSIDE] - air_c)
        ) / bodies.heat_j_per_k[:, -1]
        reactive = bodies.reactive
        if self._driven:
            cooling = now[:, around.COOLANT_W, None] * (now[:, around.COOLANT, None] - node_c[:, :reactive])
            joule = now[:, around.CURRENT, None] ** 2 * self.electrics.module_ohm
            slope[:, :reactive] += (cooling + joule) / bodies.heat_j_per_k[:, :reactive]
        if heat_w is not None:
            slope[:, :reactive] += heat_w / bodies.heat_j_per_k[:, :reactive]
        return slope

    def _fault_heat(self, state: _State, time_s: Floats) -> Floats | None:
        """(n, R) W of the faults; None where nobody is ill."""
        if not self._sick:
            return None
        hot = self.bodies.hot
        heat_w = np.zeros((len(state.row), self.bodies.reactive))
        electric_v = self.electrics.open_circuit_v(state.sick_charge) * state.voltage_factor[:, hot]
        chemical_w, heater_w = own_heat_w(self.ailments, time_s)
        chemical_w = chemical_w * (1.0 - state.fast_done[:, hot])
        heat_w[:, hot] = electric_v * short_current_a(self.ailments, time_s, electric_v) + chemical_w + heater_w
        return heat_w

    def _discharge(self, state: _State, step_s: Floats) -> None:
        electric_v = self.electrics.open_circuit_v(state.sick_charge) * state.voltage_factor[:, self.bodies.hot]
        current_a = short_current_a(self.ailments, state.time_s + 0.5 * step_s, electric_v)
        state.sick_charge = np.maximum(state.sick_charge - current_a * step_s / self.ailments.capacity_c, 0.0)

    def _reaction_slope(self, state: _State) -> Floats:
        bodies = self.bodies
        cell_c = state.node_c[:, : bodies.reactive]
        rise_k = bodies.fast_rise_k[:, None]
        slow = SLOW_ADIABATIC_RISE_K * (1.0 - state.slow_done) * slow_rate_per_s(cell_c)
        fast = rise_k * (1.0 - state.fast_done) * fast_rate_per_s(cell_c, bodies.trigger_c[:, None], rise_k)
        failing = (cell_c > SEPARATOR_FAILS_C) * state.voltage_factor / SEPARATOR_DECAY_S
        return np.asarray(slow + fast + bodies.electrical_rise_k[:, None] * failing)

    def _react(self, state: _State, step_s: Floats) -> None:
        bodies = self.bodies
        reactive = bodies.reactive
        pack, node = np.nonzero(state.node_c[:, :reactive] > REACTION_FROM_C)
        before = Reacted(
            cell_c=state.node_c[pack, node],
            slow_done=state.slow_done[pack, node],
            fast_done=state.fast_done[pack, node],
            voltage_factor=state.voltage_factor[pack, node],
        )
        charge = state.sick_charge / np.maximum(self.electrics.charge, 1e-9)
        done = react(
            before,
            step_s[pack],
            trigger_c=bodies.trigger_c[pack],
            fast_rise_k=bodies.fast_rise_k[pack],
            # What a short has drained cannot burn.
            electrical_rise_k=bodies.electrical_rise_k[pack] * np.where(node == bodies.hot, charge[pack], 1.0),
        )
        for name, values in (
            ("slow_done", done.slow_done),
            ("fast_done", done.fast_done),
            ("voltage_factor", done.voltage_factor),
        ):
            column = getattr(state, name).copy()
            column[pack, node] = values
            setattr(state, name, column)
        state.node_c[pack, node] = done.cell_c
        venting = (done.cell_c > VENT_C) & ~state.vented[pack, node]
        state.vented[pack[venting], node[venting]] = True
        weight = bodies.heat_j_per_k[pack, node]
        packs = len(state.row)
        fast = np.bincount(pack, weights=weight * (done.fast_done - before.fast_done), minlength=packs)
        solvent = (1.0 - VENT_SHARE) * (done.slow_done - before.slow_done) + VENT_SHARE * venting
        vapour = np.bincount(pack, weights=weight * solvent, minlength=packs)
        turned = np.stack((fast, fast, vapour), axis=1)
        state.gas_ppm = with_gas_ppm(
            state.gas_ppm * np.exp(-step_s / bodies.gas_leak_s)[:, None],
            turned * bodies.gas_m3 / bodies.gas_volume_m3[:, None],
        )

    def _watch(self, state: _State, old_c: Floats, step_s: Floats, end_s: Floats) -> None:
        """Note a runaway."""
        reactive = self.bodies.reactive
        new_c = state.node_c[:, :reactive]
        rate = (new_c - old_c[:, :reactive]) / step_s[:, None]
        running = (rate >= RUNAWAY_C_PER_S) & (new_c > self.bodies.trigger_c[:, None])
        state.held_s = np.where(running, state.held_s + step_s[:, None], 0.0)
        over = np.isnan(state.runaway_s) & (state.held_s >= RUNAWAY_HELD_S).any(axis=1)
        state.runaway_s = np.where(over, end_s, state.runaway_s)
