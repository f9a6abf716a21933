"""Who watches what: enrolling, binding, and what is known of a unit afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.enrolment import Assignment, Enrolment, assumed_voltage_kinds
from registry.errors import NotFoundError, RefusedError
from registry.kinds import ChannelKind, Chemistry, PackClass
from registry.records import Binding, Channel, Pack, SensorUnit, Shipment, ShipmentPack, Vehicle

if TYPE_CHECKING:
    from registry.registry import Registry

CELL, MODULE, PACK = ChannelKind.CELL, ChannelKind.MODULE, ChannelKind.PACK
ENROLMENT = Enrolment(
    fleet_id="west",
    gateway_id="gw-1",
    vehicle_id="truck-1",
    vehicle_name="Truck 1",
    pack_id="p-1",
    chemistry=Chemistry.NMC,
    pack_class=PackClass.MID_LIFE,
    capacity_ah=50.0,
    series_count=3,
    max_operating_temperature_c=60.0,
    unit_id="u-1",
    report_interval_s=10.0,
    temperature_channels=2,
    voltage_channels=4,
    simulated=True,
)
HOUR = timedelta(hours=1)


def bindings(registry: Registry) -> list[Binding]:
    with Session(registry._engine) as session:
        return list(session.scalars(select(Binding).order_by(Binding.id)))


def test_an_enrolment_makes_all_that_is_missing(registry: Registry, now: datetime) -> None:
    registry.enrol(ENROLMENT, now)
    assert registry.assignments() == (
        Assignment(
            unit_id="u-1",
            pack_id="p-1",
            chemistry=Chemistry.NMC,
            pack_class=PackClass.MID_LIFE,
            series_count=3,
            capacity_ah=50.0,
            max_operating_temperature_c=60.0,
            gateway_id="gw-1",
            vehicle_id="truck-1",
            vehicle_name="Truck 1",
            fleet_id="west",
            report_interval_s=10.0,
            simulated=True,
            temperature_labels=("probe 1", "probe 2"),
            voltage_kinds=(CELL, CELL, CELL, PACK),
        ),
    )
    assert registry.vehicle_of_gateway("gw-1") == Vehicle(vehicle_id="truck-1", fleet_id="west", name="Truck 1")
    assert registry.units_of_pack("p-1", now - HOUR, now + HOUR) == (("u-1", now, now + HOUR),)


def test_enrolling_again_changes_nothing(registry: Registry, now: datetime) -> None:
    registry.enrol(ENROLMENT, now)
    before = (registry.revision(), registry.assignments(), bindings(registry))
    registry.enrol(ENROLMENT, now + HOUR)
    assert (registry.revision(), registry.assignments(), bindings(registry)) == before


def test_a_known_pack_s_facts_are_not_overwritten(registry: Registry, now: datetime) -> None:
    registry.add(Pack(pack_id="p-1", chemistry=Chemistry.LFP, pack_class=PackClass.END_OF_LIFE, description="kept"))
    registry.enrol(ENROLMENT, now)
    assert registry.pack("p-1").description == "kept"
    assert registry.assignments()[0].chemistry is Chemistry.LFP


def test_a_unit_s_channels_and_interval_follow_the_enrolment(registry: Registry, now: datetime) -> None:
    registry.enrol(ENROLMENT, now)
    refitted = replace(ENROLMENT, temperature_channels=9, voltage_channels=1, report_interval_s=1.0)
    registry.enrol(refitted, now)
    unit = registry.assignments()[0]
    assert unit.temperature_labels == tuple(f"probe {number}" for number in range(1, 10))
    assert (unit.voltage_kinds, unit.report_interval_s) == ((PACK,), 1.0)
    named = replace(refitted, voltage_channels=2, voltage_kinds=(MODULE, PACK))
    registry.enrol(named, now)
    assert registry.assignments()[0].voltage_kinds == (MODULE, PACK)


def test_a_gateway_that_moved_is_on_its_new_vehicle(registry: Registry, now: datetime) -> None:
    registry.enrol(ENROLMENT, now)
    registry.enrol(replace(ENROLMENT, vehicle_id="truck-2", vehicle_name=None), now)
    assert (registry.assignments()[0].vehicle_id, registry.assignments()[0].vehicle_name) == ("truck-2", "truck-2")


def test_a_replay_s_gateway_is_on_no_vehicle(registry: Registry, now: datetime) -> None:
    registry.enrol(replace(ENROLMENT, vehicle_id=None, vehicle_name=None), now)
    assert registry.assignments()[0].vehicle_id is None
    assert registry.assignments()[0].fleet_id == "west"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"simulated": False}, "unit u-1 is a simulated one; a real one may not take its name"),
        ({"fleet_id": "east"}, "vehicle truck-1 is of fleet west, not east"),
        ({"fleet_id": "east", "vehicle_id": None}, "gateway gw-1 is of fleet west, not east"),
        ({"voltage_kinds": (CELL,)}, "4 voltage channels, but 1 of them"),
        ({"unit_id": "u/2"}, "unit id 'u/2'"),
        ({"fleet_id": "a+b"}, "fleet id"),
        ({"unit_id": "u-2", "temperature_channels": 5000}, "5000 temperature channels"),
        ({"temperature_channels": 5000}, "5000 temperature channels"),
        ({"pack_id": "p-2", "pack_class": PackClass.DAMAGED}, "must say who assessed it"),
        ({"bound_from": datetime(2026, 1, 1)}, "no time zone"),  # noqa: DTZ001  the point of the test
    ],
)
def test_a_refused_enrolment_changes_nothing(
    registry: Registry, now: datetime, change: dict[str, object], reason: str
) -> None:
    registry.enrol(ENROLMENT, now)
    before = (registry.revision(), registry.assignments(), registry.packs(), bindings(registry))
    with pytest.raises(RefusedError, match=reason):
        registry.enrol(replace(ENROLMENT, **change), now)
    assert (registry.revision(), registry.assignments(), registry.packs(), bindings(registry)) == before


def test_a_simulation_cannot_take_a_real_unit_s_name(registry: Registry, now: datetime) -> None:
    registry.enrol(replace(ENROLMENT, simulated=False), now)
    with pytest.raises(RefusedError, match="unit u-1 is a real one; a simulated one may not take its name"):
        registry.enrol(ENROLMENT, now)


def test_no_simulated_unit_is_bound_to_a_pack_on_an_open_real_shipment(registry: Registry, now: datetime) -> None:
    registry.enrol(ENROLMENT, now)
    registry.enrol(replace(ENROLMENT, unit_id="u-2", pack_id="p-2", simulated=False), now)
    registry.add(Shipment(shipment_id="s-1", origin="Reno", destination="Sparks"))
    registry.add(ShipmentPack(shipment_id="s-1", pack_id="p-2"))
    with pytest.raises(RefusedError, match="pack p-2 is on shipment s-1, which is real and open"):
        registry.bind("u-1", "p-2", gateway_id=None, at=now + HOUR)
    assert [binding.bound_to for binding in bindings(registry)] == [None, None]
    registry.bind("u-2", "p-2", gateway_id=None, at=now + HOUR)


def test_no_replay_reports_for_a_pack_on_an_open_real_shipment(registry: Registry, now: datetime) -> None:
    registry.enrol(replace(ENROLMENT, simulated=False, unit_id="real-unit"), now)
    shipment = Shipment(shipment_id="s-1", origin="Reno", destination="Elko")
    registry.add(shipment)
    registry.add(ShipmentPack(shipment_id="s-1", pack_id="p-1"))
    with pytest.raises(RefusedError, match="pack p-1 is on shipment s-1, which is real and open"):
        registry.enrol(ENROLMENT, now)
    shipment.closed_at = now
    registry.save(shipment)
    registry.enrol(ENROLMENT, now)


def test_many_callers_enrol_the_same_at_once(registry: Registry, now: datetime) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: registry.enrol(ENROLMENT, now), range(8)))
    assert registry.revision() == 1
    assert [binding.unit_id for binding in bindings(registry)] == ["u-1"]


def test_many_callers_enrol_units_of_one_fleet_at_once(registry: Registry, now: datetime) -> None:
    enrolments = [replace(ENROLMENT, unit_id=f"u-{n}", pack_id=f"p-{n}") for n in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda enrolment: registry.enrol(enrolment, now), enrolments))
    assert registry.revision() == 16
    assert {unit.unit_id for unit in registry.assignments()} == {f"u-{n}" for n in range(16)}


def test_a_unit_bound_to_another_pack_leaves_the_first_at_that_instant(registry: Registry, now: datetime) -> None:
    registry.enrol(ENROLMENT, now)
    registry.enrol(replace(ENROLMENT, pack_id="p-2"), now + HOUR)
    assert [(made.pack_id, made.bound_from, made.bound_to) for made in bindings(registry)] == [
        ("p-1", now, now + HOUR),
        ("p-2", now + HOUR, None),
    ]
    assert registry.units_of_pack("p-1", now - HOUR, now + 5 * HOUR) == (("u-1", now, now + HOUR),)
    assert [unit.pack_id for unit in registry.assignments()] == ["p-2"]


def test_a_replay_watches_its_pack_since_its_first_sample(registry: Registry, now: datetime) -> None:
    registry.enrol(replace(ENROLMENT, bound_from=now - HOUR), now)
    assert registry.units_of_pack("p-1", now - 9 * HOUR, now) == (("u-1", now - HOUR, now),)
    registry.enrol(replace(ENROLMENT, bound_from=now - 3 * HOUR), now)
    assert registry.units_of_pack("p-1", now - 9 * HOUR, now) == (("u-1", now - 3 * HOUR, now),)
    registry.enrol(replace(ENROLMENT, bound_from=now + HOUR), now)
    assert registry.units_of_pack("p-1", now - 9 * HOUR, now) == (("u-1", now - 3 * HOUR, now),)


def test_going_back_never_takes_time_from_another_pack(registry: Registry, now: datetime) -> None:
    registry.enrol(ENROLMENT, now)
    registry.enrol(replace(ENROLMENT, pack_id="p-2", bound_from=now - HOUR), now + HOUR)
    registry.enrol(replace(ENROLMENT, pack_id="p-2", bound_from=now - HOUR), now + HOUR)
    registry.enrol(replace(ENROLMENT, pack_id="p-1", bound_from=now - HOUR), now + 2 * HOUR)
    assert_no_overlap(bindings(registry))
    assert [made.pack_id for made in bindings(registry) if made.bound_to is None] == ["p-1"]


def test_another_gateway_carries_the_same_pack_without_a_gap(registry: Registry, now: datetime) -> None:
    registry.enrol(ENROLMENT, now)
    registry.enrol(replace(ENROLMENT, gateway_id="gw-2", bound_from=now - HOUR), now + HOUR)
    assert registry.units_of_pack("p-1", now - 9 * HOUR, now + 9 * HOUR) == (("u-1", now - HOUR, now + 9 * HOUR),)
    assert registry.assignments()[0].gateway_id == "gw-2"


def test_two_units_of_one_pack_are_told_apart(registry: Registry, now: datetime) -> None:
    registry.enrol(ENROLMENT, now)
    registry.enrol(replace(ENROLMENT, unit_id="u-2"), now - HOUR)
    assert registry.units_of_pack("p-1", now - 9 * HOUR, now + HOUR) == (
        ("u-2", now - HOUR, now + HOUR),
        ("u-1", now, now + HOUR),
    )


def test_binding_by_hand(registry: Registry, now: datetime) -> None:
    registry.enrol(ENROLMENT, now)
    registry.add(Pack(pack_id="p-2", chemistry=Chemistry.LFP, pack_class=PackClass.MID_LIFE))
    revision = registry.revision()
    with pytest.raises(RefusedError, match="cannot be bound anew from"):
        registry.bind("u-1", "p-2", gateway_id="gw-1", at=now - HOUR)
    for unknown in (("u-9", "p-2", "gw-1"), ("u-1", "p-9", "gw-1"), ("u-1", "p-2", "gw-9")):
        with pytest.raises(NotFoundError, match="knows no"):
            registry.bind(unknown[0], unknown[1], gateway_id=unknown[2], at=now + HOUR)
    assert registry.revision() == revision
    made = registry.bind("u-1", "p-2", gateway_id="gw-1", at=now + HOUR)
    assert (made.unit_id, made.pack_id, made.bound_from, made.bound_to) == ("u-1", "p-2", now + HOUR, None)
    assert registry.bind("u-1", "p-2", gateway_id="gw-1", at=now + 2 * HOUR) == made
    assert registry.revision() == revision + 1


def test_a_unit_that_watches_no_pack_is_listed_without_one(registry: Registry) -> None:
    registry.add(SensorUnit(unit_id="u-7", temperature_channels=2, voltage_channels=1))
    registry.add(Channel(unit_id="u-7", kind="temperature", column=2, measures="probe", label="lid"))
    unit = registry.assignments()[0]
    assert (unit.pack_id, unit.pack_class, unit.chemistry, unit.fleet_id) == (None, None, Chemistry.UNKNOWN, None)
    assert (unit.temperature_labels, unit.voltage_kinds) == (("probe 1", "lid"), (CELL,))


@pytest.mark.parametrize(
    ("channels", "series", "expected"),
    [
        (0, None, ()),
        (2, None, (CELL, CELL)),
        (1, 1, (CELL,)),
        (2, 1, (CELL, PACK)),
        (1, 96, (PACK,)),
        (3, 3, (CELL,) * 3),
        (4, 3, (CELL, CELL, CELL, PACK)),
        (2, 96, (MODULE, MODULE)),
        (9, 3, (CELL,) * 9),
    ],
)
def test_what_voltage_columns_measure_is_told_from_their_number(
    channels: int, series: int | None, expected: tuple[ChannelKind, ...]
) -> None:
    assert assumed_voltage_kinds(channels, series) == expected


STEPS = st.lists(
    st.tuples(st.sampled_from(["p-1", "p-2"]), st.sampled_from(["gw-1", "gw-2"]), st.integers(0, 9), st.integers(0, 9)),
    max_size=8,
)


@given(steps=STEPS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_order_of_enrolments_binds_a_unit_twice_at_a_time(
    registry: Registry, now: datetime, steps: list[tuple[str, str, int, int]]
) -> None:
    unit_id = f"u-{len(registry.assignments())}"
    for pack_id, gateway_id, hour, back in steps:
        at = now + hour * HOUR
        wanted = replace(
            ENROLMENT, unit_id=unit_id, pack_id=pack_id, gateway_id=gateway_id, bound_from=at - back * HOUR
        )
        registry.enrol(wanted, at)
        current = next(unit for unit in registry.assignments() if unit.unit_id == unit_id)
        assert (current.pack_id, current.gateway_id) == (pack_id, gateway_id)
    assert_no_overlap([made for made in bindings(registry) if made.unit_id == unit_id])


def assert_no_overlap(made: list[Binding]) -> None:
    assert sum(each.bound_to is None for each in made) == min(1, len(made))
    spans = sorted((each.bound_from, each.bound_to) for each in made if each.bound_to is not None)
    spans += [(each.bound_from, None) for each in made if each.bound_to is None]
    for (start, end), (following, _) in pairwise(spans):
        assert start <= end <= following


def test_a_state_of_charge_is_noted_with_its_time_and_again_when_it_changed(registry: Registry, now: datetime) -> None:
    registry.enrol(replace(ENROLMENT, state_of_charge_pct=28.0), now)
    registry.enrol(ENROLMENT, now + HOUR)
    pack = registry.pack("p-1")
    assert (pack.state_of_charge_pct, pack.state_of_charge_at) == (28.0, now)
    registry.enrol(replace(ENROLMENT, state_of_charge_pct=60.0), now + 2 * HOUR)
    pack = registry.pack("p-1")
    assert (pack.state_of_charge_pct, pack.state_of_charge_at) == (60.0, now + 2 * HOUR)


@pytest.mark.parametrize("percent", [-1.0, 100.5, float("nan")])
def test_no_pack_is_charged_beyond_full(registry: Registry, now: datetime, percent: float) -> None:
    with pytest.raises(RefusedError, match=r"charged to|not a finite number"):
        registry.enrol(replace(ENROLMENT, state_of_charge_pct=percent), now)
    registry.enrol(ENROLMENT, now)
    with pytest.raises(RefusedError, match=r"charged to|not a finite number"):
        registry.enrol(replace(ENROLMENT, state_of_charge_pct=percent), now)
    assert registry.pack("p-1").state_of_charge_pct is None
