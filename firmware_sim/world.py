"""A scenario as it runs: the physics of all its packs, the weather around them, and what their units read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from firmware_sim import sensors as sensing
from firmware_sim.chemistry import cell_model
from firmware_sim.container import AIR_J_PER_K, outside_of
from firmware_sim.faults import short_heat_w
from firmware_sim.physics import MOLAR_VOLUME_M3, Network, resting_state, step
from firmware_sim.unit import Rows
from firmware_sim.weather import (
    Climate,
    air_temperature_c,
    no_sunlight,
    relative_humidity_pct,
    rested_temperature_c,
    weather_at,
)
from registry.kinds import PackClass

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from firmware_sim.roads import Place
    from firmware_sim.scenarios import Scenario
    from firmware_sim.weather import Sunlight

    Floats = NDArray[np.float64]
    SunlightAt = Callable[[float, Floats, Floats], Sunlight]

CELL_J_PER_KG_K = 1_000.0
"""Measured cells have 900-1,100 J/(kg K)."""
MODULE_TO_MODULE_W_PER_K = 5.0
MODULE_TO_CASE_W_PER_K = 4.0
"""Pads and brackets at rest, without coolant flow. **assumed**"""
CASE_J_PER_K = 90_000.0
"""60 kg of aluminium tray at 900 J/(kg K), and packaging. **assumed**"""
CASE_TO_AIR_W_PER_K = 25.0
"""4 m2 at 6 W/(m2 K). **assumed**"""
PACKED_TO_AIR_W_PER_K = 10.0
"""A damaged pack in its box of non-combustible cushioning. **assumed**"""
GAS_VOLUME_M3 = 0.3
GAS_LEAK_S = 900.0
"""Free space in a packaging, and how fast it breathes. **assumed**"""
SOLVENT_MOL_PER_KG = 1.0
"""A tenth of a cell's mass is solvent of some 90 g/mol. **assumed**"""
SUN_REFRESH_S = 60.0
"""The sun moves a quarter of a degree in it."""
OFFSET_C = 0.15
"""Standard deviation between probes: a DS18B20 is specified to 0.5 degC at most."""
PROBE_NOISE_C = 0.05
NOISY_PROBE_NOISE_C = 0.5


class World:
    """Advances in one numpy step for all packs. Not thread-safe: one caller at a time."""

    def __init__(self, scenario: Scenario, *, started_at_s: float, noise: np.random.Generator) -> None:
        """started_at_s: UTC of the start, seconds since 1970; packs start as days of rest in the shade left them.

        The sun does not shine before `sunlight_at` is set: its tables cost seconds to load.
        """
        self.scenario = scenario
        self.sunlight_at: SunlightAt | None = None
        self._started_at_s = started_at_s
        self._elapsed_s = 0.0
        self._noise = noise
        self._climate = Climate(
            mean_c=np.array([vehicle.mean_c for vehicle in scenario.vehicles]),
            swing_c=np.array([vehicle.swing_c for vehicle in scenario.vehicles]),
            dew_point_c=np.array([vehicle.dew_point_c for vehicle in scenario.vehicles]),
            cloud=np.array([vehicle.cloud for vehicle in scenario.vehicles]),
        )
        self.network = network_of(scenario)
        # Offsets belong to the hardware: the same at every start, whatever the seed of the noise.
        self.sensors = sensors_of(scenario, np.random.default_rng(len(scenario.packs)))
        self.places = self._places()
        longitude_deg = self._column("longitude_deg")
        lag_s = (self.network.module_j_per_k * self.network.fitted).sum(axis=1) / self.network.case_to_air_w_per_k
        rested_c = rested_temperature_c(
            self._climate, started_at_s, longitude_deg, place=self.network.container, lag_s=lag_s
        )
        self.state = resting_state(
            self.network, rested_c, air_temperature_c(self._climate, started_at_s, longitude_deg)
        )
        self._sunlight = no_sunlight(len(scenario.vehicles))
        self._sun_until_s = -np.inf
        self._probes_c = sensing.settled_probes_c(self.sensors, self.state)

    @property
    def now_s(self) -> float:
        """The world's UTC, seconds since 1970."""
        return self._started_at_s + self._elapsed_s

    def advance(self, elapsed_s: float) -> None:
        """Move on to `elapsed_s` after the start. Raises ValueError when that is in the past."""
        dt_s = elapsed_s - self._elapsed_s
        outside = outside_of(
            weather_at(self._climate, self._sun(), utc_s=self.now_s, longitude_deg=self._column("longitude_deg")),
            heading_deg=self._column("heading_deg"),
            speed_m_s=self._column("speed_m_s"),
        )
        self.state = step(
            self.network,
            self.state,
            outside,
            lambda at_s, voltage_factor: short_heat_w(self.scenario.shorts, at_s, voltage_factor),
            elapsed_s=self._elapsed_s,
            dt_s=dt_s,
        )
        self._probes_c = sensing.follow_c(self.sensors, self._probes_c, self.state, dt_s)
        self._elapsed_s = elapsed_s
        self.places = self._places()

    def read(self) -> sensing.Readings:
        """What all units measure now."""
        air_c = self.state.air_c
        humidity_pct = relative_humidity_pct(air_c, self._climate.dew_point_c)
        return sensing.read(
            self.sensors,
            self.network,
            self.state,
            self._probes_c,
            humidity_pct=humidity_pct[self.network.container],
            speed_m_s=self._column("speed_m_s")[self.network.container],
            noise=self._noise,
        )

    def rows(self, readings: sensing.Readings, pack: int) -> Rows:
        """One unit's share of the readings, as one row of the sensors that it has."""
        simulated = self.scenario.packs[pack]
        one = slice(pack, pack + 1)
        return Rows(
            temperatures_c=readings.temperatures_c[one, : simulated.design.probes],
            voltages_v=readings.module_voltages_v[one, : simulated.design.modules],
            pack_voltage_v=readings.pack_voltage_v[one],
            ambient_c=readings.ambient_c[one],
            humidity_pct=readings.humidity_pct[one],
            hydrogen_ppm=readings.hydrogen_ppm[one] if simulated.gas else None,
            carbon_monoxide_ppm=readings.carbon_monoxide_ppm[one] if simulated.gas else None,
            voc_ppm=readings.voc_ppm[one] if simulated.gas else None,
            shock_g=readings.shock_g[one] if simulated.shock else None,
        )

    def _sun(self) -> Sunlight:
        if self.sunlight_at is not None and not self.now_s < self._sun_until_s:
            self._sunlight = self.sunlight_at(self.now_s, self._column("latitude_deg"), self._column("longitude_deg"))
            self._sun_until_s = self.now_s + SUN_REFRESH_S
        return self._sunlight

    def _places(self) -> list[Place]:
        return [vehicle.journey.place(self.now_s) for vehicle in self.scenario.vehicles]

    def _column(self, name: str) -> Floats:
        return np.array([getattr(place, name) for place in self.places])


def network_of(scenario: Scenario) -> Network:
    """The thermal network of a scenario's packs."""
    packs = scenario.packs
    models = [cell_model(pack.design.chemistry) for pack in packs]
    fitted = np.arange(max(pack.design.modules for pack in packs)) < _per_pack([pack.design.modules for pack in packs])
    module_kg = np.array([pack.design.module_kg for pack in packs])
    damaged = np.array([pack.pack_class is PackClass.DAMAGED for pack in packs])
    voltage_v = np.array(
        [model.resting_voltage_v * pack.design.cells_in_series for pack, model in zip(packs, models, strict=True)]
    )
    gas_mol = module_kg[:, None] * np.array(
        [
            (
                model.gas_mol_per_kg * model.hydrogen_share,
                model.gas_mol_per_kg * model.carbon_monoxide_share,
                SOLVENT_MOL_PER_KG,
            )
            for model in models
        ]
    )
    everywhere = np.ones(len(packs))
    return Network(
        fitted=fitted,
        container=np.array([pack.vehicle for pack in packs], dtype=np.intp),
        module_j_per_k=np.where(fitted, (module_kg * CELL_J_PER_KG_K)[:, None], 1.0),
        module_to_module_w_per_k=MODULE_TO_MODULE_W_PER_K * everywhere,
        module_to_case_w_per_k=MODULE_TO_CASE_W_PER_K * everywhere,
        case_j_per_k=CASE_J_PER_K * everywhere,
        case_to_air_w_per_k=np.where(damaged, PACKED_TO_AIR_W_PER_K, CASE_TO_AIR_W_PER_K),
        air_j_per_k=np.full(len(scenario.vehicles), AIR_J_PER_K),
        module_voltage_v=np.where(fitted, voltage_v[:, None], 0.0),
        trigger_c=np.array([model.trigger_c for model in models]),
        fast_rise_k=np.array([model.fast_adiabatic_rise_k for model in models]),
        electrical_rise_k=np.array([model.charge_j_per_kg for model in models]) / CELL_J_PER_KG_K,
        gas_m3=gas_mol * MOLAR_VOLUME_M3,
        gas_volume_m3=GAS_VOLUME_M3 * everywhere,
        gas_leak_s=GAS_LEAK_S * everywhere,
    )


def sensors_of(scenario: Scenario, hardware: np.random.Generator) -> sensing.SensorSet:
    """The probes of a scenario's units, spread evenly over the modules of their packs."""
    packs = scenario.packs
    number = np.arange(max(pack.design.probes for pack in packs))
    fitted = number < _per_pack([pack.design.probes for pack in packs])
    modules, probes = (
        _per_pack([pack.design.modules for pack in packs]),
        _per_pack([pack.design.probes for pack in packs]),
    )
    noise_c = np.full(fitted.shape, PROBE_NOISE_C)
    dead = np.zeros(fitted.shape, dtype=np.bool_)
    for row, pack in enumerate(packs):
        if pack.noisy_probe is not None:
            noise_c[row, pack.noisy_probe] = NOISY_PROBE_NOISE_C
        if pack.dead_probe is not None:
            dead[row, pack.dead_probe] = True
    return sensing.SensorSet(
        fitted=fitted,
        module=np.where(fitted, number * modules // probes, 0).astype(np.intp),
        offset_c=OFFSET_C * hardware.standard_normal(fitted.shape),
        noise_c=noise_c,
        dead=dead,
    )


def _per_pack(counts: list[int]) -> NDArray[np.intp]:
    return np.array(counts, dtype=np.intp)[:, None]
