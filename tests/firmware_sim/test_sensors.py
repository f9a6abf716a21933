"""What sensors make of a pack."""

from dataclasses import replace

import numpy as np
import pytest

from firmware_sim import sensors as sensing
from firmware_sim.convoy import build_scenario
from firmware_sim.physics import resting_state
from firmware_sim.world import network_of, sensors_of


@pytest.fixture
def convoy():
    scenario = build_scenario("convoy")
    network = network_of(scenario)
    packs = len(scenario.packs)
    state = resting_state(network, np.full(packs, 25.0), np.full(len(scenario.vehicles), 22.0))
    return scenario, network, sensors_of(scenario, np.random.default_rng(3)), state


def read_many(convoy, times=400, *, state=None):
    scenario, network, sensors, resting = convoy
    state = state or resting
    noise = np.random.default_rng(5)
    packs = len(scenario.packs)
    return [
        sensing.read(
            sensors,
            network,
            state,
            sensing.settled_probes_c(sensors, state),
            humidity_pct=np.full(packs, 40.0),
            speed_m_s=np.full(packs, 25.0),
            noise=noise,
        )
        for _ in range(times)
    ]


def test_probes_scatter_around_the_truth_in_their_own_steps(convoy):
    temperatures_c = np.stack([reading.temperatures_c for reading in read_many(convoy)])
    good = temperatures_c[:, 0, :12]
    assert np.abs(good.mean(axis=0) - 25.0).max() < 0.6
    assert 0.03 < np.median(good.std(axis=0)) < 0.1
    assert np.array_equal(good / sensing.PROBE_STEP_C, np.round(good / sensing.PROBE_STEP_C))


def test_one_probe_is_noisy_and_one_is_dead(convoy):
    scenario, *_ = convoy
    temperatures_c = np.stack([reading.temperatures_c for reading in read_many(convoy)])
    noisy = next(row for row, pack in enumerate(scenario.packs) if pack.noisy_probe is not None)
    spread_c = temperatures_c[:, noisy].std(axis=0)
    assert spread_c.argmax() == scenario.packs[noisy].noisy_probe
    assert spread_c.max() > 5.0 * np.median(spread_c)
    dead = next(row for row, pack in enumerate(scenario.packs) if pack.dead_probe is not None)
    missing = np.isnan(temperatures_c[:, dead, : scenario.packs[dead].design.probes])
    assert missing.all(axis=0).sum() == missing.any(axis=0).sum() == 1


def test_padding_is_never_measured(convoy):
    scenario, *_ = convoy
    reading = read_many(convoy, 1)[0]
    for row, pack in enumerate(scenario.packs):
        assert np.isnan(reading.temperatures_c[row, pack.design.probes :]).all()
        assert np.isnan(reading.module_voltages_v[row, pack.design.modules :]).all()


def test_the_pack_is_the_sum_of_its_modules(convoy):
    reading = read_many(convoy, 1)[0]
    # Module taps err by 2 mV each, the pack's by 50 mV.
    assert np.nansum(reading.module_voltages_v, axis=1) == pytest.approx(reading.pack_voltage_v, abs=0.3)
    assert reading.module_voltages_v[0, 0] == pytest.approx(8 * 3.68, abs=0.01)


def test_probes_lag_behind_their_modules(convoy):
    _, network, sensors, state = convoy
    hot = replace(state, module_c=state.module_c + 100.0)
    before_c = sensing.settled_probes_c(sensors, state)
    after_c = sensing.follow_c(sensors, before_c, hot, sensing.PROBE_LAG_S)
    assert network.fitted.any()
    assert after_c == pytest.approx(before_c + 100.0 * (1.0 - np.exp(-1.0)))


def test_a_burning_module_is_measured_and_gas_is_never_negative(convoy):
    scenario, _, _, state = convoy
    fire = replace(state, module_c=np.full_like(state.module_c, 2500.0), voltage_factor=np.zeros_like(state.module_c))
    reading = read_many(convoy, 1, state=fire)[0]
    assert np.nanmax(reading.temperatures_c) == sensing.PROBE_LIMIT_C
    assert np.nanmin(reading.module_voltages_v) >= 0.0
    for calm in read_many(convoy, 50):
        assert min(calm.hydrogen_ppm.min(), calm.carbon_monoxide_ppm.min(), calm.voc_ppm.min()) >= 0.0
        assert calm.shock_g.min() >= 0.0
        assert len(calm.ambient_c) == len(scenario.packs)
