"""The scenarios as data: what the demo promises, stable ids, and any number of packs."""

import pytest

from firmware_sim.convoy import SCENARIOS, build_scenario
from registry.kinds import ChannelKind, PackClass
from telemetry.identifiers import parse_identifier


def test_the_convoy_is_what_the_demo_promises():
    convoy = build_scenario("convoy")
    assert len(convoy.vehicles) == 4
    assert len(convoy.packs) == 14
    assert len({pack.design.chemistry for pack in convoy.packs}) == 4
    assert sum(pack.pack_class is PackClass.DAMAGED for pack in convoy.packs) == 3
    assert {pack.pack_class for pack in convoy.packs} == set(PackClass)
    assert all(8 <= pack.design.probes <= 16 for pack in convoy.packs)
    assert all(1.0 <= pack.report_interval_s <= 10.0 for pack in convoy.packs)
    assert sum(pack.dead_probe is not None for pack in convoy.packs) == 1
    assert sum(pack.noisy_probe is not None for pack in convoy.packs) == 1
    assert any(pack.gas for pack in convoy.packs)
    assert convoy.packs[convoy.shorts[0].pack].pack_class is PackClass.DAMAGED
    assert "accelerated" in convoy.description


def test_calm_is_the_convoy_without_the_failure():
    calm, convoy = build_scenario("calm"), build_scenario("convoy")
    assert calm.shorts == ()
    assert [pack.design for pack in calm.packs] == [pack.design for pack in convoy.packs]
    # Another fleet and other ids: a latched alert of the convoy's pack does not hang over a calm one.
    assert not {pack.pack_id for pack in calm.packs} & {pack.pack_id for pack in convoy.packs}


def test_failing_pack_is_one_vehicle_with_one_pack():
    failing = build_scenario("failing-pack")
    assert len(failing.vehicles) == len(failing.packs) == len(failing.shorts) == 1
    assert failing.packs[0].vehicle == 0
    assert failing.vehicles[0].name == "Cascade"


@pytest.mark.parametrize("name", SCENARIOS)
def test_ids_are_the_same_at_every_start(name):
    assert build_scenario(name).enrolments() == build_scenario(name).enrolments()


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("units", [None, 1, 3, 14, 15, 30, 200])
def test_any_number_of_packs_makes_a_whole_scenario(name, units):
    scenario = build_scenario(name, units)
    enrolments = scenario.enrolments()
    assert len(enrolments) == (units or len(scenario.packs))
    assert len({enrolment.pack_id for enrolment in enrolments}) == len(enrolments)
    assert len({enrolment.unit_id for enrolment in enrolments}) == len(enrolments)
    assert len({vehicle.gateway_id for vehicle in scenario.vehicles}) == len(scenario.vehicles)
    assert {pack.vehicle for pack in scenario.packs} == set(range(len(scenario.vehicles)))
    for number in range(len(scenario.vehicles)):
        assert sum(pack.vehicle == number for pack in scenario.packs) <= 16
    for enrolment in enrolments:
        for text, kind in (
            (enrolment.fleet_id, "fleet"),
            (enrolment.gateway_id, "gateway"),
            (enrolment.pack_id, "pack"),
            (enrolment.unit_id, "unit"),
            (enrolment.vehicle_id, "vehicle"),
        ):
            assert parse_identifier(text, kind) == text
    if scenario.shorts:
        assert scenario.packs[0].pack_class is PackClass.DAMAGED


def test_more_packs_keep_the_ids_of_fewer():
    few, many = build_scenario("convoy").enrolments(), build_scenario("convoy", 40).enrolments()
    assert many[: len(few)] == few


def test_enrolments_say_what_each_voltage_is():
    enrolments = build_scenario("convoy").enrolments()
    assert all(enrolment.simulated for enrolment in enrolments)
    for enrolment in enrolments:
        assert len(enrolment.voltage_kinds) == enrolment.voltage_channels
        assert enrolment.voltage_kinds[-1] is ChannelKind.PACK
    kinds = {enrolment.voltage_kinds[0] for enrolment in enrolments}
    assert kinds == {ChannelKind.CELL, ChannelKind.MODULE}
    damaged = [enrolment for enrolment in enrolments if enrolment.pack_class is PackClass.DAMAGED]
    assert all(e.class_assessed_by and e.class_criteria and e.class_outcome for e in damaged)


@pytest.mark.parametrize(
    ("name", "units", "why"),
    [("storm", None, "convoy, calm, failing-pack"), ("convoy", 0, "at least one unit")],
    ids=["an unknown name lists the known ones", "no units at all"],
)
def test_what_is_no_scenario_is_refused(name, units, why):
    with pytest.raises(ValueError, match=why):
        build_scenario(name, units)
