"""What a chemistry does when it is hot: two lumped reactions, the gas they make, and a cell's resting voltage."""

from __future__ import annotations

from dataclasses import dataclass

from registry.kinds import Chemistry

GAS_CONSTANT_J_PER_MOL_K = 8.314
"""CODATA 2018, rounded."""

SLOW_ACTIVATION_J_PER_MOL = 50_000.0
"""Apparent activation energy of the slow stage: the protecting layer at the anode breaks down and forms again, so it
looks far softer than its parts. Fitted so that an adiabatic module self-heats 0.02-0.043 degC/min at 87-105 degC and is
steep 11-24 h later (measured in four accelerating-rate recordings: 0.024-0.037 degC/min, 13.6-24.8 h, 165-203 degC)."""
SLOW_ADIABATIC_RISE_K = 150.0
"""How far the slow stage alone can heat a module, from the same fit."""
SLOW_REFERENCE_C = 96.0
SLOW_REFERENCE_K_PER_S = 0.03 / 60.0
"""Self-heating of fresh material at 96 degC, the middle of the recordings' onset band."""

FAST_ACTIVATION_J_PER_MOL = 139_600.0
"""Cathode decomposition. Kim, Pesaran, Spotnitz, J. Power Sources 170 (2007) 476."""
FAST_REFERENCE_K_PER_S = 0.2 / 60.0
"""Self-heating by the fast stage at the chemistry's trigger temperature: equal to the slow stage there, so that the
trigger is where one takes over from the other. **assumed**"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellModel:
    """One chemistry's figures."""

    resting_voltage_v: float
    """A cell at about half charge, at rest. Textbook plateau values, **assumed** for a pack."""
    trigger_c: float
    """Where the fast stage takes over. Literature bands: NMC 150-230, NCA 140-190, LFP 200-250 degC."""
    fast_adiabatic_rise_k: float
    """How far the fast stage heats a module that loses nothing. **assumed**: NMC cells end at 600-900 degC, LFP near
    400 (Golubkov et al., RSC Adv. 4 (2014) 3633)."""
    charge_j_per_kg: float
    """Electrical energy in a kilogram at about half charge: half of usual cell data sheets (NMC 200 Wh/kg, LFP 150)."""
    gas_mol_per_kg: float
    """Gas released by a whole runaway. Golubkov 2014: 149 mmol (NMC), 50 mmol (LFP) for an 18650 of about 43 g."""
    hydrogen_share: float
    carbon_monoxide_share: float
    """Molar shares of that gas, rounded. Golubkov 2014."""


CELL_MODELS: dict[Chemistry, CellModel] = {
    Chemistry.NMC: CellModel(
        resting_voltage_v=3.68,
        trigger_c=180.0,
        fast_adiabatic_rise_k=600.0,
        charge_j_per_kg=360e3,
        gas_mol_per_kg=3.4,
        hydrogen_share=0.31,
        carbon_monoxide_share=0.13,
    ),
    Chemistry.NCA: CellModel(
        resting_voltage_v=3.65,
        trigger_c=165.0,
        fast_adiabatic_rise_k=700.0,
        charge_j_per_kg=430e3,
        gas_mol_per_kg=6.0,
        hydrogen_share=0.30,
        carbon_monoxide_share=0.28,
    ),
    Chemistry.LFP: CellModel(
        resting_voltage_v=3.29,
        trigger_c=220.0,
        fast_adiabatic_rise_k=250.0,
        charge_j_per_kg=270e3,
        gas_mol_per_kg=1.3,
        hydrogen_share=0.31,
        carbon_monoxide_share=0.05,
    ),
    Chemistry.LMO: CellModel(
        resting_voltage_v=3.85,
        trigger_c=190.0,
        fast_adiabatic_rise_k=500.0,
        charge_j_per_kg=230e3,
        gas_mol_per_kg=3.0,
        hydrogen_share=0.25,
        carbon_monoxide_share=0.20,
    ),
}
"""LMO is **assumed** between NMC and LFP. An unknown chemistry behaves like NMC, the commonest."""


def cell_model(chemistry: Chemistry) -> CellModel:
    return CELL_MODELS.get(chemistry, CELL_MODELS[Chemistry.NMC])


CHARGE_STEPS = (0.0, 0.03, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_OPEN_CIRCUIT_V: dict[Chemistry, tuple[float, ...]] = {
    Chemistry.NMC: (2.8, 3.25, 3.45, 3.57, 3.68, 3.92, 4.08, 4.19),
    Chemistry.NCA: (2.7, 3.15, 3.38, 3.52, 3.65, 3.88, 4.04, 4.17),
    Chemistry.LFP: (2.4, 3.02, 3.20, 3.25, 3.29, 3.33, 3.34, 3.45),
    Chemistry.LMO: (2.9, 3.45, 3.66, 3.76, 3.85, 3.99, 4.06, 4.18),
}
"""Open-circuit voltage over state of charge, read from textbook curves to 0.02 V or so; at half charge the resting
voltage above. **assumed** for a pack."""


def open_circuit_curve_v(chemistry: Chemistry) -> tuple[float, ...]:
    """Voltages of a resting cell at CHARGE_STEPS."""
    return _OPEN_CIRCUIT_V.get(chemistry, _OPEN_CIRCUIT_V[Chemistry.NMC])
