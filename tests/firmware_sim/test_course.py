"""The course of packs against the heat balance, closed forms, its own fine steps, the scenarios' network, and ARC."""

from dataclasses import replace

import numpy as np
import pytest

from firmware_sim.ailments import healthy, short_current_a, short_ohm
from firmware_sim.chemistry import cell_model
from firmware_sim.physics import Network, Outside, resting_state, step
from firmware_sim.surroundings import still
from registry.kinds import Chemistry

from courses import HELD_J_PER_K, bodies, build, electrics, ill, moved

GROWING = {"start_ohm": 10.0, "growth_s": 700.0, "least_ohm": 0.02, "inner_ohm": 0.0005, "capacity_c": 3600.0 * 240.0}
"""Runs away after 70 minutes in the pack of detailed()."""


def detailed():
    return bodies(build(modules=4, cells=5, sick=1))


def test_what_a_heater_gives_is_what_is_stored():
    packs = bodies(build(3, modules=5, cells=5, sick=2))
    start_c = np.random.default_rng(1).uniform(10.0, 40.0, packs.heat_j_per_k.shape)
    closed = still(3, 61, 25.0, skin_w_per_k=0.0)
    course = moved(packs, ill(3, heater_w=30.0), hours=1.0, start_c=start_c, around=closed)
    change_c = course.probes_c[:, -1].astype(np.float64) - course.probes_c[:, 0]
    # The samples are float32: 2e-6 degC in 700 kJ/K.
    assert (packs.heat_j_per_k * change_c).sum(axis=1) == pytest.approx(np.full(3, 30.0 * 3600.0), abs=3.0)


def test_a_short_gives_its_cell_the_energy_that_it_draws():
    lonely = bodies(build(modules=1, module_j_per_k=50_000.0, module_to_case=0.0))
    short = ill(start_ohm=0.5, least_ohm=0.5, growth_s=1.0, inner_ohm=0.01, capacity_c=3600.0 * 10.0)
    course = moved(lonely, short, hours=3.0, fitted=electrics(lonely, charge=1.0))
    tap_v = course.voltages_v[0, 1:, 0].astype(np.float64)
    current_a = tap_v / 0.5
    stored_j = 50_000.0 * (float(course.probes_c[0, -1, 0]) - 25.0)
    # U I = V I + R0 I^2; rectangles over 10 s samples of a slowly falling current.
    assert stored_j == pytest.approx(float((tap_v * current_a + 0.01 * current_a**2).sum() * 10.0), rel=2e-3)


def test_the_steady_state_is_a_chain_of_resistances():
    heated = bodies(build(modules=1, half_to_half=10.0, case_j_per_k=45_000.0, air_j_per_k=44_000.0))
    course = moved(heated, ill(heater_w=80.0), hours=48.0, around=still(1, 48 * 60 + 1, 10.0), interval_s=600.0)
    air_c = 10.0 + 80.0 / 300.0
    expected_c = (air_c + 80.0 / 20.0 + 80.0 / 4.0, air_c + 80.0 / 20.0, air_c + 80.0 / 20.0, air_c)
    assert course.probes_c[0, -1] == pytest.approx(expected_c, abs=1e-3)


def test_long_steps_tell_what_fine_steps_tell():
    long = moved(detailed(), ill(**GROWING), hours=1.3)
    fine = moved(detailed(), ill(**GROWING), hours=1.3, longest_step_s=1.0, rise_a_step_k=0.05)
    apart_c = np.abs(long.probes_c - fine.probes_c)[0]
    calm = fine.probes_c[0].max(axis=1) < 60.0
    before = int(fine.runaway_s[0] / 10.0) - 3
    assert long.steps * 6 < fine.steps
    # Seen: 0.004 degC below 60 degC, 0.03 degC up to 30 s before runaway, 2.5 s of 4,223 at runaway.
    assert apart_c[calm].max() < 0.02
    assert apart_c[:before].max() < 0.1
    assert long.runaway_s[0] == pytest.approx(fine.runaway_s[0], abs=5.0)
    assert long.burnt.tolist() == fine.burnt.tolist()


def test_it_agrees_with_the_network_of_the_scenarios():
    network = Network(
        fitted=np.ones((1, 4), dtype=bool),
        container=np.array([0]),
        module_j_per_k=np.full((1, 4), 30_000.0),
        module_to_module_w_per_k=np.array([5.0]),
        module_to_case_w_per_k=np.array([4.0]),
        case_j_per_k=np.array([90_000.0]),
        case_to_air_w_per_k=np.array([20.0]),
        air_j_per_k=np.array([440_000.0]),
        module_voltage_v=np.full((1, 4), 3.68),
        trigger_c=np.array([180.0]),
        fast_rise_k=np.array([600.0]),
        electrical_rise_k=np.array([360.0]),
        gas_m3=np.ones((1, 3)),
        gas_volume_m3=np.array([0.3]),
        gas_leak_s=np.array([900.0]),
    )
    state = resting_state(network, np.array([25.0]), np.array([25.0]))
    around = Outside(skin_c=np.array([25.0]), skin_to_air_w_per_k=np.array([300.0]))
    heat_w = np.array([[3_000.0, 0.0, 0.0, 0.0]])
    modules_c = [state.module_c[0]]
    for _ in range(160):
        state = step(network, state, around, lambda *_: heat_w, elapsed_s=0.0, dt_s=10.0)
        modules_c.append(state.module_c[0])
    course = moved(bodies(build(modules=4)), ill(heater_w=3_000.0), hours=160 / 360)
    # Seen: 0.1 degC where the scenarios' steps of 1 s are explicit ones and ours are not.
    assert np.abs(np.array(modules_c) - course.probes_c[0, :, :4]).max() < 0.3
    assert max(row[0] for row in modules_c) > 150.0


@pytest.mark.parametrize(
    ("start_c", "rate_c_per_min", "hours"),
    [(87.0, 0.020, 22.4), (96.0, 0.030, 14.9), (105.0, 0.045, 9.9)],
)
def test_a_lonely_module_heats_itself_like_the_calorimeter_recordings(start_c, rate_c_per_min, hours):
    """Measured 0.024-0.037 degC/min at 87-105 degC, then 13.6-24.8 h to 165-203 degC; the figures here are ours."""
    lonely = bodies(build(modules=1, module_to_case=0.0))
    course = moved(lonely, healthy(1), hours=26.0, start_c=start_c, interval_s=60.0)
    module_c = course.probes_c[0, :, 0]
    assert (module_c[10] - module_c[0]) / 10.0 == pytest.approx(rate_c_per_min, abs=0.001)
    assert np.argmax(module_c >= 165.0) / 60.0 == pytest.approx(hours, abs=0.2)
    assert np.isfinite(course.runaway_s[0])


@pytest.mark.parametrize("chemistry", [Chemistry.NMC, Chemistry.NCA, Chemistry.LFP, Chemistry.LMO])
def test_a_burnt_module_is_as_hot_as_its_reactions_and_charge_can_make_it(chemistry):
    lonely = bodies(build(modules=1, module_to_case=0.0), chemistry)
    course = moved(lonely, healthy(1), hours=26.0, start_c=96.0, interval_s=60.0, fitted=electrics(lonely, chemistry))
    model = cell_model(chemistry)
    most_k = 150.0 + model.fast_adiabatic_rise_k + model.charge_j_per_kg / 1000.0
    assert 0.97 * most_k < course.hottest_c[0] - 96.0 <= most_k * (1.0 + 1e-9)


def test_fire_spreads_to_the_cells_beside_it_and_then_the_unit_is_silent():
    course = moved(detailed(), ill(**GROWING), hours=2.0)
    assert course.burnt[0] >= 5
    silent = np.isnan(course.probes_c[0]).all(axis=1)
    last_s = 10.0 * np.flatnonzero(~silent)[-1]
    assert last_s == pytest.approx(course.runaway_s[0] + 600.0, abs=20.0)
    assert not silent[: int(course.runaway_s[0] / 10.0)].any()


def test_a_vented_pack_is_full_of_gas_and_never_fuller_than_full():
    course = moved(detailed(), ill(**GROWING), hours=1.3)
    gas_ppm = np.nan_to_num(course.gas_ppm[0])
    assert (gas_ppm >= 0.0).all()
    assert gas_ppm.sum(axis=1).max() <= 1e6
    vapour_at, hydrogen_at = (np.argmax(gas_ppm[:, gas] > 200.0) for gas in (2, 0))
    assert 0 < vapour_at < hydrogen_at


def test_a_pack_does_not_depend_on_the_packs_beside_it():
    both = ill(2, **GROWING)
    both = replace(both, growth_s=np.array([700.0, 1400.0]))
    together = moved(bodies(build(2, modules=4, cells=5, sick=1)), both, hours=1.3)
    alone = moved(detailed(), ill(**GROWING), hours=1.3)
    np.testing.assert_allclose(together.probes_c[0], alone.probes_c[0], rtol=1e-5)
    assert np.isnan(together.runaway_s[1])


def test_a_short_falls_to_its_least_burns_open_and_draws_what_its_cell_can_give():
    short = ill(5, start_ohm=8.0, growth_s=100.0, least_ohm=1.0, inner_ohm=0.5, opens_at_s=1000.0)
    short = replace(short, onset_s=np.full(5, 50.0))
    time_s = np.array([49.0, 50.0, 150.0, 900.0, 1000.0])
    assert short_ohm(short, time_s) == pytest.approx([np.inf, 8.0, 8.0 / np.e, 1.0, np.inf])
    assert short_current_a(short, time_s, np.full(5, 3.0)) == pytest.approx(
        [0.0, 3.0 / 8.5, 3.0 / (8.0 / np.e + 0.5), 2.0, 0.0]
    )


def test_cells_that_outweigh_their_module_and_weather_that_ends_early_are_refused():
    heavy = build(modules=2, cells=5, module_j_per_k=5_000.0)
    with pytest.raises(ValueError, match="weigh more"):
        bodies(heavy)
    with pytest.raises(ValueError, match="end before"):
        moved(detailed(), healthy(1), hours=2.0, around=still(1, 60, 20.0))


def test_a_held_node_stays():
    packs = bodies(build(modules=2, air_j_per_k=HELD_J_PER_K))
    course = moved(packs, healthy(1), hours=1.0, around=still(1, 61, -20.0))
    assert course.probes_c[0, -1, -1] == pytest.approx(25.0, abs=1e-4)
