"""What the sensors of many units make of their packs: lag, offset, noise, steps, and probes that have died."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from firmware_sim.physics import Network, ThermalState

    Floats = NDArray[np.float64]

PROBE_LAG_S = 8.0
"""A taped thermistor behind its insulation. **assumed**"""
PROBE_STEP_C = 0.0625
"""12 bits of a DS18B20, the common digital probe (data sheet)."""
PROBE_LIMIT_C = 1370.0
"""End of a type K thermocouple's table (IEC 60584): the hottest that any probe here can tell."""
VOLTAGE_NOISE_V = 0.002
"""Of a battery monitor's module tap. **assumed**"""
PACK_VOLTAGE_NOISE_V = 0.05
AIR_NOISE_C = 0.1
HUMIDITY_NOISE_PCT = 0.8
"""Repeatability class of an SHT3x (data sheet: 0.04-0.25 % alone; with draught, **assumed** more)."""
GAS_BACKGROUND_PPM = np.array((0.55, 0.3, 1.2))
"""Hydrogen in clean air 0.55 ppm; carbon monoxide and solvents of a yard, **assumed**."""
GAS_NOISE_SHARE = 0.04
GAS_NOISE_PPM = np.array((1.0, 0.6, 0.15))
"""**assumed** for small electrochemical and metal-oxide sensors."""
SHOCK_FLOOR_G = 0.02
SHOCK_PER_M_S_G = 0.004
"""Peak of an interval on a good road: about 0.1 g at 25 m/s. **assumed**"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SensorSet:
    """The sensors of P units, one unit to a pack, up to K probes each."""

    fitted: NDArray[np.bool_]
    """(P, K) whether the unit has that probe; the rest is padding."""
    module: NDArray[np.intp]
    """(P, K) the module a probe sits on."""
    offset_c: Floats
    """(P, K)"""
    noise_c: Floats
    """(P, K) standard deviation."""
    dead: NDArray[np.bool_]
    """(P, K) open circuit: never measures."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Readings:
    """One reading of all P units; padding and what is not measured is NaN."""

    temperatures_c: Floats
    """(P, K)"""
    module_voltages_v: Floats
    """(P, M)"""
    pack_voltage_v: Floats
    """(P,) and so are all that follow."""
    ambient_c: Floats
    humidity_pct: Floats
    hydrogen_ppm: Floats
    carbon_monoxide_ppm: Floats
    voc_ppm: Floats
    shock_g: Floats


def settled_probes_c(sensors: SensorSet, state: ThermalState) -> Floats:
    """(P, K) what the probes' bodies have when everything has rested long enough."""
    return np.take_along_axis(state.module_c, sensors.module, axis=1)


def follow_c(sensors: SensorSet, probes_c: Floats, state: ThermalState, dt_s: float) -> Floats:
    """(P, K) probe bodies `dt_s` later: they lag behind their modules by PROBE_LAG_S."""
    return probes_c + (settled_probes_c(sensors, state) - probes_c) * -math.expm1(-dt_s / PROBE_LAG_S)


def read(
    sensors: SensorSet,
    network: Network,
    state: ThermalState,
    probes_c: Floats,
    *,
    humidity_pct: Floats,
    speed_m_s: Floats,
    noise: np.random.Generator,
) -> Readings:
    """One reading of everything. humidity_pct, speed_m_s: (P,) around each pack."""
    packs, modules = network.fitted.shape

    def normal(*shape: int) -> Floats:
        return noise.standard_normal(shape)

    temperatures_c = probes_c + sensors.offset_c + sensors.noise_c * normal(*probes_c.shape)
    temperatures_c = np.minimum(np.round(temperatures_c / PROBE_STEP_C) * PROBE_STEP_C, PROBE_LIMIT_C)
    voltages_v = network.module_voltage_v * state.voltage_factor
    measured_v = np.maximum(voltages_v + VOLTAGE_NOISE_V * normal(packs, modules), 0.0)
    gas_ppm = GAS_BACKGROUND_PPM + state.gas_ppm
    gas_ppm = np.maximum(gas_ppm * (1.0 + GAS_NOISE_SHARE * normal(packs, 3)) + GAS_NOISE_PPM * normal(packs, 3), 0.0)
    road_g = SHOCK_FLOOR_G + SHOCK_PER_M_S_G * speed_m_s
    return Readings(
        temperatures_c=np.where(sensors.fitted & ~sensors.dead, temperatures_c, np.nan),
        module_voltages_v=np.where(network.fitted, measured_v, np.nan),
        pack_voltage_v=np.maximum(voltages_v.sum(axis=1) + PACK_VOLTAGE_NOISE_V * normal(packs), 0.0),
        ambient_c=state.air_c[network.container] + AIR_NOISE_C * normal(packs),
        humidity_pct=np.clip(humidity_pct + HUMIDITY_NOISE_PCT * normal(packs), 0.0, 100.0),
        hydrogen_ppm=gas_ppm[:, 0],
        carbon_monoxide_ppm=gas_ppm[:, 1],
        voc_ppm=gas_ppm[:, 2],
        # Peaks of many small bumps: a Gumbel tail makes the odd pothole.
        shock_g=road_g + 0.25 * road_g * np.maximum(noise.gumbel(size=packs), -2.0),
    )
