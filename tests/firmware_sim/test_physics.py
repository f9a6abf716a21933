"""The thermal network against the heat balance, closed forms, measured rates, and itself in other batches."""

import time
from dataclasses import replace

import numpy as np
import pytest

from firmware_sim import world as worlds
from firmware_sim.chemistry import CELL_MODELS, SLOW_ADIABATIC_RISE_K
from firmware_sim.convoy import build_scenario
from firmware_sim.faults import short_heat_w
from firmware_sim.physics import (
    Network,
    Outside,
    fast_rate_per_s,
    resting_state,
    slow_rate_per_s,
    step,
)
from firmware_sim.weather import DAY_S
from registry.kinds import Chemistry

NOON_S = 1_790_000_000.0


def network(packs: int = 1, modules: int = 4, **changes: object) -> Network:
    """Equal packs, each in a container of its own."""
    each, every = np.ones(packs), np.ones((packs, modules))
    constants: dict[str, object] = {
        "fitted": every.astype(bool),
        "container": np.arange(packs),
        "module_j_per_k": 30_000.0 * every,
        "module_to_module_w_per_k": 5.0 * each,
        "module_to_case_w_per_k": 4.0 * each,
        "case_j_per_k": 90_000.0 * each,
        "case_to_air_w_per_k": 20.0 * each,
        "air_j_per_k": 440_000.0 * each,
        "module_voltage_v": 29.4 * every,
        "trigger_c": 180.0 * each,
        "fast_rise_k": 600.0 * each,
        "electrical_rise_k": 360.0 * each,
        "gas_m3": np.ones((packs, 3)),
        "gas_volume_m3": 0.3 * each,
        "gas_leak_s": 900.0 * each,
    }
    return Network(**(constants | changes))


def outside(skin_c: float, packs: int = 1, skin_to_air_w_per_k: float = 300.0) -> Outside:
    return Outside(skin_c=np.full(packs, skin_c), skin_to_air_w_per_k=np.full(packs, skin_to_air_w_per_k))


def constant(heat_w):
    return lambda _elapsed_s, _voltage_factor: heat_w


def stored_j(plan, state) -> float:
    return float(
        (plan.module_j_per_k * state.module_c * plan.fitted).sum()
        + (plan.case_j_per_k * state.case_c).sum()
        + (plan.air_j_per_k * state.air_c).sum()
    )


def test_what_goes_in_and_through_the_skin_is_what_is_stored():
    generator = np.random.default_rng(7)
    fitted = np.arange(6) < np.array([[6], [4], [1]])
    plan = network(3, 6, fitted=fitted, container=np.array([0, 0, 1]), air_j_per_k=np.array([4e5, 5e5]))
    state = replace(
        resting_state(plan, np.array([20.0, 30.0, 5.0]), np.array([15.0, 40.0])),
        module_c=generator.uniform(0.0, 55.0, (3, 6)),
    )
    heat_w = generator.uniform(0.0, 20.0, (3, 6)) * fitted
    around = Outside(skin_c=np.array([-5.0, 50.0]), skin_to_air_w_per_k=np.array([250.0, 400.0]))
    before_j, gained_j = stored_j(plan, state), 0.0
    for _ in range(200):
        gained_j += heat_w.sum() + ((around.skin_c - state.air_c) * around.skin_to_air_w_per_k).sum()
        state = step(plan, state, around, constant(heat_w), elapsed_s=0.0, dt_s=1.0)
    # Rounding only: sums around 1e7 J.
    assert stored_j(plan, state) - before_j == pytest.approx(gained_j, rel=1e-7)


def test_steady_state_of_a_heated_module_is_a_chain_of_resistances():
    plan = network(1, 1)
    state = resting_state(plan, np.array([25.0]), np.array([25.0]))
    state = step(plan, state, outside(10.0), constant(np.array([[80.0]])), elapsed_s=0.0, dt_s=6e5, max_step_s=60.0)
    air_c = 10.0 + 80.0 / 300.0
    case_c = air_c + 80.0 / 20.0
    # After 6e5 s, 25 of the slowest time constants, e^-25 of the start is left.
    assert state.air_c[0] == pytest.approx(air_c, abs=1e-6)
    assert state.case_c[0] == pytest.approx(case_c, abs=1e-6)
    assert state.module_c[0, 0] == pytest.approx(case_c + 80.0 / 4.0, abs=1e-6)


def test_steady_state_of_equal_modules_has_no_flow_between_them():
    plan = network(1, 4)
    state = resting_state(plan, np.array([25.0]), np.array([25.0]))
    heat_w = np.full((1, 4), 20.0)
    state = step(plan, state, outside(10.0), constant(heat_w), elapsed_s=0.0, dt_s=9e5, max_step_s=60.0)
    expected_c = 10.0 + 80.0 / 300.0 + 80.0 / 20.0 + 20.0 / 4.0
    assert state.module_c[0] == pytest.approx(np.full(4, expected_c), abs=1e-6)


def test_a_resting_pack_follows_the_day_weaker_and_later():
    plan = network(1, 4)
    omega = 2.0 * np.pi / DAY_S
    state = resting_state(plan, np.array([20.0]), np.array([20.0]))
    step_s, course = 30.0, []
    for number in range(int(5 * DAY_S / step_s)):
        # The air is held: a skin that conducts far better than the pack.
        air_c = 20.0 + 10.0 * np.cos(omega * number * step_s)
        state = replace(state, air_c=np.array([air_c]))
        around = outside(air_c, skin_to_air_w_per_k=0.0)
        state = step(plan, state, around, constant(np.zeros((1, 4))), elapsed_s=0.0, dt_s=step_s, max_step_s=step_s)
        course.append(state.module_c[0, 0])
    last_day = np.array(course[-int(DAY_S / step_s) :])
    turn = omega * (np.arange(len(course))[-len(last_day) :] + 1) * step_s
    seen = 2.0 * np.mean((last_day - last_day.mean()) * np.exp(-1j * turn))
    # Closed form: two first-order nodes in a row, four modules loading the case.
    module = 4.0 / (4.0 + 1j * omega * 30_000.0)
    case = 20.0 / (20.0 + 1j * omega * 90_000.0 + 4 * 1j * omega * 30_000.0 * module)
    assert abs(seen) == pytest.approx(10.0 * abs(case * module), rel=0.01)
    lag_h = -np.angle(seen) / omega / 3600.0
    assert lag_h == pytest.approx(-np.angle(case * module) / omega / 3600.0, abs=0.05)
    assert 2.0 < lag_h < 8.0
    assert abs(seen) < 9.0


@pytest.mark.parametrize(("start_c", "hours"), [(87.0, (18.0, 24.8)), (96.0, (13.0, 18.0)), (105.0, (9.0, 13.6))])
def test_self_heating_follows_the_calorimeter_recordings(start_c, hours):
    """Measured: 0.024-0.037 degC/min at 87-105 degC; steep after 13.6-24.8 h, from 165-203 degC."""
    slow_done, fast_done, module_c, elapsed_s = 0.0, 0.0, np.array(start_c), 0.0
    model = CELL_MODELS[Chemistry.NMC]

    def heating_k_per_s():
        slow = slow_rate_per_s(module_c) * (1.0 - slow_done)
        fast = fast_rate_per_s(module_c, model.trigger_c, model.fast_adiabatic_rise_k) * (1.0 - fast_done)
        return SLOW_ADIABATIC_RISE_K * slow, model.fast_adiabatic_rise_k * fast

    # The recordings scatter by a fifth around any one curve; so may the fit.
    assert 0.024 * 0.8 < sum(heating_k_per_s()) * 60.0 < 0.037 * 1.25
    while module_c < 165.0:
        slow_k_per_s, fast_k_per_s = heating_k_per_s()
        slow_done += 10.0 * slow_k_per_s / SLOW_ADIABATIC_RISE_K
        fast_done += 10.0 * fast_k_per_s / model.fast_adiabatic_rise_k
        module_c = module_c + 10.0 * (slow_k_per_s + fast_k_per_s)
        elapsed_s += 10.0
    assert hours[0] < elapsed_s / 3600.0 < hours[1]


def test_reactions_heat_a_lonely_module_by_exactly_what_they_turn_over():
    plan = network(
        1, 1, module_to_case_w_per_k=np.zeros(1), module_to_module_w_per_k=np.zeros(1)
    )  # nothing leaves the module
    state = resting_state(plan, np.array([190.0]), np.array([20.0]))
    state = step(plan, state, outside(20.0), constant(np.zeros((1, 1))), elapsed_s=0.0, dt_s=120.0)
    rise_k = (
        SLOW_ADIABATIC_RISE_K * state.slow_done[0, 0]
        + 600.0 * state.fast_done[0, 0]
        + 360.0 * (1.0 - state.voltage_factor[0, 0])
    )
    assert state.module_c[0, 0] - 190.0 == pytest.approx(rise_k, rel=1e-9)
    assert rise_k > 300.0


def test_a_failing_pack_gets_worse_all_the_way_to_runaway():
    scenario = build_scenario("failing-pack")
    world = worlds.World(scenario, started_at_s=NOON_S, noise=np.random.default_rng(1))
    hottest_c, voltage_v, gas_ppm = [], [], []
    for second in range(1, 331):
        world.advance(float(second))
        hottest_c.append(world.state.module_c[0].max())
        voltage_v.append(float((world.network.module_voltage_v * world.state.voltage_factor)[0].sum()))
        gas_ppm.append(world.state.gas_ppm[0].copy())
    rise_k = np.diff(hottest_c)
    assert (rise_k[10:] > 0).all()
    assert (np.diff(voltage_v) <= 0).all()
    assert rise_k.max() > 1.0
    assert max(hottest_c) > 600.0
    fallen = voltage_v[0] - voltage_v[-1]
    assert fallen > 0.5 * scenario.packs[0].design.cells_in_series * 3.68
    # Hydrogen, carbon monoxide, solvents: in per cent when it burns; solvents first.
    assert (gas_ppm[-1] > 10_000.0).all()
    vapour_at, hydrogen_at = (int(np.argmax(np.array(gas_ppm)[:, gas] > 50.0)) for gas in (2, 0))
    assert vapour_at + 60 < hydrogen_at


@pytest.mark.parametrize("hour", [2, 8, 14, 20])
def test_the_demo_fails_on_time_at_any_time_of_day(hour):
    world = worlds.World(
        build_scenario("convoy"),
        started_at_s=NOON_S // DAY_S * DAY_S + hour * 3600.0,
        noise=np.random.default_rng(1),
    )
    passed: dict[float, int] = {}
    for second in range(1, 331):
        world.advance(float(second))
        for limit_c in (60.0, 80.0, 300.0):
            if np.nanmax(world.read().temperatures_c[0]) >= limit_c:
                passed.setdefault(limit_c, second)
    assert 105 <= passed[60.0] <= 135
    assert 25 <= passed[80.0] - passed[60.0] <= 75
    assert 240 <= passed[300.0] <= 320
    assert np.nanmax(world.read().temperatures_c[1:]) < 45.0


def test_a_batch_of_packs_equals_each_pack_alone():
    convoy = build_scenario("convoy")
    lonely = tuple(replace(pack, vehicle=number) for number, pack in enumerate(convoy.packs))
    vehicles = tuple(convoy.vehicles[pack.vehicle] for pack in convoy.packs)
    together = replace(convoy, packs=lonely, vehicles=vehicles)
    batch = worlds.World(together, started_at_s=NOON_S, noise=np.random.default_rng(1))
    for second in range(5, 301, 5):
        batch.advance(float(second))
    for number, pack in enumerate(lonely):
        alone = replace(
            together,
            packs=(replace(pack, vehicle=0),),
            vehicles=(vehicles[number],),
            shorts=together.shorts if number == 0 else (),
        )
        single = worlds.World(alone, started_at_s=NOON_S, noise=np.random.default_rng(1))
        for second in range(5, 301, 5):
            single.advance(float(second))
        modules = pack.design.modules
        # Equal but for the order of sums over padding; a runaway stretches rounding, hence not exact.
        np.testing.assert_allclose(
            single.state.module_c[0, :modules], batch.state.module_c[number, :modules], rtol=1e-6
        )
        np.testing.assert_allclose(
            single.state.voltage_factor[0, :modules], batch.state.voltage_factor[number, :modules], rtol=1e-6
        )


def test_a_thousand_packs_take_one_step_together():
    scenario = build_scenario("convoy", 1000)
    world = worlds.World(scenario, started_at_s=NOON_S, noise=np.random.default_rng(1))
    assert world.state.module_c.shape == (1000, 16)
    world.advance(1.0)
    began_s = time.perf_counter()
    world.advance(61.0)
    readings = world.read()
    # About 0.05 s here; a Python loop over packs would take minutes. Real time leaves 60 s.
    assert time.perf_counter() - began_s < 3.0
    assert np.isfinite(readings.pack_voltage_v).all()
    # Packs of one design and truck behave alike, wherever they stand in the batch.
    first, again = world.state.module_c[1], world.state.module_c[15]
    assert np.abs(first[:12] - again[:12]).max() < 3.0


def test_a_short_starts_late_grows_and_dies_with_its_voltage():
    short = build_scenario("failing-pack").shorts[0]
    full = np.ones((1, 12))
    assert short_heat_w((short,), short.starts_at_s - 0.1, full).sum() == 0.0
    assert short_heat_w((short,), short.starts_at_s, full)[0, short.module] == pytest.approx(short.heat_w)
    later = short_heat_w((short,), short.starts_at_s + short.growth_s, full)[0, short.module]
    assert later == pytest.approx(short.heat_w * np.e)
    assert short_heat_w((short,), 1e9, full)[0, short.module] == short.limit_w
    half = short_heat_w((short,), short.starts_at_s, full / 2.0)[0, short.module]
    assert half == pytest.approx(short.heat_w / 4.0)


def test_time_does_not_run_backwards():
    plan = network()
    state = resting_state(plan, np.array([20.0]), np.array([20.0]))
    with pytest.raises(ValueError, match="time runs forward"):
        step(plan, state, outside(20.0), constant(np.zeros((1, 4))), elapsed_s=0.0, dt_s=-1.0)
