"""What one value may be, and which rules a record keeps as a whole: the same on every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from registry.errors import ConflictError, NotFoundError, RefusedError
from registry.kinds import Chemistry, Level, PackClass, Quantity
from registry.records import (
    AlertEvent,
    Channel,
    Fleet,
    Gateway,
    Organisation,
    Pack,
    QuarantineEntry,
    SensorUnit,
    Shipment,
    ShipmentPack,
    Vehicle,
)

if TYPE_CHECKING:
    from registry.registry import Registry


def pack(**values: Any) -> Pack:
    return Pack(**{"pack_id": "p-1", "chemistry": Chemistry.NMC, "pack_class": PackClass.MID_LIFE} | values)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"pack_id": "a/b"}, "pack id 'a/b' is not 1 to 64"),
        ({"pack_id": ""}, "pack id '' is not 1 to 64"),
        ({"pack_id": "x" * 65}, "is not 1 to 64"),
        ({"pack_id": 7}, "Pack.pack_id is int, not str"),
        ({"chemistry": "coal"}, "Pack.chemistry is 'coal', not one of nmc, nca, lfp, lmo, unknown"),
        ({"chemistry": None}, "Pack.chemistry is missing"),
        ({"pack_id": None}, "Pack.pack_id is missing"),
        ({"description": "x" * 1001}, "Pack.description has 1001 characters; at most 1000 are kept"),
        ({"description": "a\x00b"}, "Pack.description holds characters that are no text"),
        ({"description": "a\ud800b"}, "Pack.description holds characters that are no text"),
        ({"capacity_ah": float("nan")}, "not a finite number"),
        ({"capacity_ah": float("inf")}, "not a finite number"),
        ({"capacity_ah": "50"}, "not a finite number"),
        ({"series_count": 2**31}, "not a whole number that fits"),
        ({"series_count": True}, "not a whole number that fits"),
        ({"series_count": 9.5}, "is float, not int"),
    ],
)
def test_a_value_that_its_column_cannot_hold_is_refused_when_set(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        pack(**values)


def test_a_value_is_checked_when_it_is_changed_too() -> None:
    known = pack()
    with pytest.raises(RefusedError, match="1001 characters"):
        known.description = "x" * 1001
    assert known.description == ""


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (pack(capacity_ah=0), "cannot hold 0.0 Ah"),
        (pack(series_count=0), "0 cells in series"),
        (pack(pack_class=PackClass.DAMAGED), r"49 CFR 173.185\(f\).* who assessed it, by which criteria, with what"),
        (
            pack(pack_class=PackClass.DAMAGED, class_assessed_by="Ana", class_criteria="swollen", class_outcome="  "),
            "must say with what outcome$",
        ),
        (SensorUnit(unit_id="u", temperature_channels=-1, voltage_channels=0), "-1 temperature channels"),
        (SensorUnit(unit_id="u", temperature_channels=0, voltage_channels=1025), "1025 voltage channels"),
        (SensorUnit(unit_id="u", temperature_channels=1, voltage_channels=1, report_interval_s=0), "every 0.0 s"),
        (
            Channel(unit_id="u", kind=Quantity.VOLTAGE, column=0, measures="cell", label="cell 0"),
            "there is no channel 0",
        ),
    ],
)
def test_a_record_that_breaks_a_rule_is_not_kept(registry: Registry, record: Any, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        registry.save(record)
    assert registry.packs() == ()
    assert registry.revision() == 0


def test_a_damaged_pack_with_its_evidence_is_kept(registry: Registry) -> None:
    evidence = {"class_assessed_by": "Ana", "class_criteria": "USCAR swelling", "class_outcome": "may react"}
    registry.add(pack(pack_class=PackClass.DAMAGED, **evidence))
    assert registry.pack("p-1") == pack(pack_class=PackClass.DAMAGED, **evidence)


def test_the_longest_texts_come_back_whole(registry: Registry) -> None:
    longest = {"pack_id": "x" * 64, "description": "\N{FIRE}" * 1000, "passport_id": "é" * 200}
    registry.add(pack(**longest))
    assert registry.pack("x" * 64) == pack(**longest)


def test_an_id_that_is_taken_is_a_conflict_and_saving_replaces_all_values(registry: Registry) -> None:
    registry.add(pack(description="first", capacity_ah=50))
    with pytest.raises(ConflictError, match="there is a pack p-1 already"):
        registry.add(pack(description="second"))
    assert registry.pack("p-1").description == "first"
    registry.save(pack(chemistry=Chemistry.LFP))
    assert registry.pack("p-1") == pack(chemistry=Chemistry.LFP)
    assert registry.packs() == (registry.pack("p-1"),)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Fleet(fleet_id="f", organisation_id="nobody"), "Fleet.organisation_id is 'nobody'"),
        (Vehicle(vehicle_id="v", fleet_id="nowhere", name="Truck"), "Vehicle.fleet_id is 'nowhere'"),
        (Gateway(gateway_id="g", fleet_id="nowhere"), "Gateway.fleet_id is 'nowhere'"),
        (ShipmentPack(shipment_id="s", pack_id="p"), "ShipmentPack.shipment_id is 's'"),
        (
            Channel(unit_id="u", kind="voltage", column=1, measures="cell", label="cell 1"),
            "Channel.unit_id is 'u', which the registry does not know",
        ),
    ],
)
def test_a_record_that_names_something_unknown_is_not_kept(registry: Registry, record: Any, reason: str) -> None:
    with pytest.raises(NotFoundError, match=reason):
        registry.save(record)


def test_organisation_fleet_and_vehicle_hang_together(registry: Registry) -> None:
    registry.add(Organisation(organisation_id="carrier", name="Carrier & Sons"))
    registry.add(Fleet(fleet_id="west", organisation_id="carrier"))
    registry.add(Vehicle(vehicle_id="truck-1", fleet_id="west", name="Truck 1", driver_name="Luz"))
    registry.add(Gateway(gateway_id="gw-1", fleet_id="west", vehicle_id="truck-1"))
    registry.add(Gateway(gateway_id="gw-2", fleet_id="west"))
    vehicle = registry.vehicle_of_gateway("gw-1")
    assert vehicle == Vehicle(vehicle_id="truck-1", fleet_id="west", name="Truck 1", driver_name="Luz")
    assert registry.vehicle_of_gateway("gw-2") is None
    assert registry.vehicle_of_gateway("unheard-of") is None


def test_an_unknown_id_is_named(registry: Registry) -> None:
    with pytest.raises(NotFoundError, match="knows no pack 'p-9'"):
        registry.pack("p-9")
    with pytest.raises(NotFoundError, match="knows no shipment 's-9'"):
        registry.shipment("s-9")


@pytest.mark.parametrize("number", [None, "", "   ", "on file"])
def test_a_real_shipment_cannot_depart_without_an_emergency_number(
    registry: Registry, now: datetime, number: str | None
) -> None:
    planned = Shipment(shipment_id="s-1", origin="Reno", destination="Elko", emergency_number=number)
    registry.add(planned)
    planned.departed_at = now
    with pytest.raises(RefusedError, match=r"cannot depart without an emergency telephone number \(49 CFR 172.604\)"):
        registry.save(planned)
    assert registry.shipment("s-1").departed_at is None
    planned.emergency_number = "+1 800 555 0100"
    assert registry.save(planned) == registry.shipment("s-1")
    assert registry.shipment("s-1").departed_at == now


def test_a_simulated_shipment_needs_no_number_and_none_closes_before_it_departs(
    registry: Registry, now: datetime
) -> None:
    shipment = Shipment(shipment_id="s-1", origin="Reno", destination="Elko", simulated=True, departed_at=now)
    registry.add(shipment)
    shipment.closed_at = now - timedelta(seconds=1)
    with pytest.raises(RefusedError, match="closed before it departed"):
        registry.save(shipment)


def test_only_an_open_real_shipment_is_found(registry: Registry, now: datetime) -> None:
    registry.add(pack())
    real = Shipment(shipment_id="real", origin="Reno", destination="Elko")
    for shipment in (real, Shipment(shipment_id="simulated", origin="Reno", destination="Elko", simulated=True)):
        registry.add(shipment)
        registry.add(ShipmentPack(shipment_id=shipment.shipment_id, pack_id="p-1"))
    assert registry.open_real_shipment_of("p-1") == real
    assert registry.open_real_shipment_of("p-2") is None
    real.closed_at = now
    registry.save(real)
    assert registry.open_real_shipment_of("p-1") is None


def test_times_are_the_same_instants_in_utc_to_the_microsecond(registry: Registry) -> None:
    berlin = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    registry.add(
        Shipment(shipment_id="s", origin="Ulm", destination="Linz", emergency_number="112", departed_at=berlin)
    )
    departed = registry.shipment("s").departed_at
    assert departed == berlin
    assert (departed.tzinfo, departed.isoformat()) == (UTC, "2026-07-01T10:00:00.123456+00:00")


def test_a_time_without_a_zone_is_refused_in_records_and_in_questions(registry: Registry) -> None:
    naive = datetime(2026, 7, 1)  # noqa: DTZ001  the point of the test
    with pytest.raises(RefusedError, match="2026-07-01T00:00:00 has no time zone"):
        Shipment(shipment_id="s", origin="Ulm", destination="Linz", departed_at=naive)
    with pytest.raises(RefusedError, match="has no time zone"):
        registry.units_of_pack("p-1", naive, naive)
    with pytest.raises(RefusedError, match="has no time zone"):
        registry.use_claim("hash", naive)


def test_what_a_machine_writes_is_cut_and_cleaned_never_refused(now: datetime) -> None:
    entry = QuarantineEntry(
        received_at=now,
        reason="r" * 100,
        detail="d" * 3000,
        topic="spBv1.0/\x00/\ud800/" + "t" * 3000,
        payload=b"\x00" * 100_000,
        payload_size=100_000,
        unit_id="not / an # id",
    )
    assert (len(entry.reason), len(entry.detail), len(entry.topic)) == (64, 2000, 2000)
    assert entry.topic.startswith("spBv1.0/\N{REPLACEMENT CHARACTER}/?/ttt")
    assert entry.detail.endswith("d\N{HORIZONTAL ELLIPSIS}")
    assert (len(entry.payload), entry.payload_size, entry.unit_id) == (65_536, 100_000, "not / an # id")
    event = AlertEvent(
        alert_id="a", at=now, action="raise", to_state="raised", level="critical", reasons=["x" * 999] * 99
    )
    assert (len(event.reasons), len(event.reasons[0])) == (50, 500)


def test_levels_are_ranked_by_severity() -> None:
    assert [level.rank for level in Level] == [0, 1, 2, 3, 4]
    assert Level.RUNAWAY.rank > Level.CRITICAL.rank


def test_secrets_and_payloads_stay_out_of_logs(registry: Registry, now: datetime) -> None:
    account = registry.create_account(name="ana", display_name="Ana", now=now, password_hash="$argon2id$x")
    entry = QuarantineEntry(received_at=now, reason="r", detail="d", topic="t", payload=b"secret", payload_size=6)
    assert "argon2" not in repr(account)
    assert "secret" not in repr(entry)
