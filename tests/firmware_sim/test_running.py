"""A scenario as it runs: every unit and vehicle speaks at once, keeps its pace, and stops when told."""

import time

import pytest

from firmware_sim.convoy import build_scenario
from firmware_sim.running import run_scenario
from telemetry.samples import Provenance


def convoy_on(broker, **settings):
    accesses = {
        "access_for_unit": lambda _unit_id: broker.access,
        "access_for_position": lambda _gateway_id: broker.access,
    }
    arguments = {"started_at_ms": time.time_ns() // 1_000_000, "seed": 1} | accesses | settings
    return run_scenario(arguments.pop("scenario", None) or build_scenario("convoy"), **arguments)


async def test_every_unit_and_vehicle_of_the_convoy_speaks_at_once(broker, gateway, eventually, beside):
    convoy = build_scenario("convoy")
    began_s = time.monotonic()
    async with beside(convoy_on(broker)):
        await eventually(lambda: len({unit for _, unit, _ in gateway.frames}) == len(convoy.packs))
        # Half a second here; twice the promise leaves room for a loaded machine.
        assert time.monotonic() - began_s < 4.0
        await eventually(lambda: {fix.gateway_id for fix in gateway.fixes} == {v.gateway_id for v in convoy.vehicles})
        await eventually(lambda: {unit for unit, _ in gateway.beats} == {pack.unit_id for pack in convoy.packs})
        await eventually(lambda: len(gateway.frames_of(convoy.packs[0].unit_id)) >= 5)
    for pack in convoy.packs:
        frame = gateway.frames_of(pack.unit_id)[0]
        assert frame.provenance is Provenance.SIMULATED
        assert frame.temperatures_raw.shape == (1, pack.design.probes)
        assert frame.voltages_mv.shape == (1, pack.design.modules)
        assert frame.pack_voltage_dv is not None
        assert (frame.hydrogen_raw is not None) == pack.gas
        assert (frame.shock_raw is not None) == pack.shock
    ticks_ms = [frame.tick_ms for frame in gateway.frames_of(convoy.packs[0].unit_id)]
    # Once a second, as configured; a loaded machine may be late now and then.
    assert 900 < (ticks_ms[-1] - ticks_ms[0]) / (len(ticks_ms) - 1) < 1300
    for fix in gateway.fixes:
        assert 20.0 < fix.speed_m_s < 30.0
        assert abs(fix.fixed_at_ms - time.time_ns() // 1_000_000) < 60_000


async def test_a_restart_is_the_next_boot_of_the_same_units(broker, gateway, eventually, beside, tmp_path):
    scenario = build_scenario("failing-pack")
    for starts in (1, 2):
        async with beside(convoy_on(broker, scenario=scenario, state_dir=tmp_path)):
            await eventually(lambda starts=starts: len({f.boot_id for _, _, f in gateway.frames}) == starts)
    boots = list(dict.fromkeys(frame.boot_id for _, _, frame in gateway.frames))
    assert [boot.split("-")[0] for boot in boots] == ["1", "2"]
    assert {unit for _, unit, _ in gateway.frames} == {scenario.packs[0].unit_id}


async def test_a_faster_world_fails_sooner_and_its_reports_stay_in_the_present(broker, gateway, eventually, beside):
    scenario = build_scenario("failing-pack")
    began_s = time.monotonic()
    async with beside(convoy_on(broker, scenario=scenario, speed=60.0)):
        await eventually(lambda: any((f.temperatures_raw > 300 * 20).any() for _, _, f in gateway.frames))
    took_s = time.monotonic() - began_s
    last = gateway.frames[-1][2]
    assert took_s < 12.0
    assert last.tick_ms < (took_s + 1.0) * 1000.0


async def test_the_world_may_not_stand_still(broker):
    with pytest.raises(ValueError, match="speed is 0"):
        await convoy_on(broker, speed=0.0)
