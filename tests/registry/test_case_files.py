"""All that belongs to an incident is read at once, on both databases, with what must be kept beyond retention."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alerts.grouping import gathering
from registry.case_files import plain
from registry.enrolment import Enrolment
from registry.errors import NotFoundError
from registry.kinds import AlertKind, AlertState, Chemistry, Level, PackClass
from registry.records import Alert, AlertEvent, Shipment, ShipmentPack
from registry.response_kinds import Language
from registry.trip_records import Trip
from telemetry.samples import Provenance

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RAISED = NOW - timedelta(hours=1)


@pytest.fixture
def incident(registry):
    """One of pack-1 on truck-1; pack-2 beside it has none."""
    for number in (1, 2):
        registry.enrol(
            Enrolment(
                fleet_id="fleet-1",
                gateway_id="gateway-1",
                vehicle_id="truck-1",
                vehicle_name="Truck 1",
                pack_id=f"pack-{number}",
                chemistry=Chemistry.NMC,
                pack_class=PackClass.MID_LIFE,
                capacity_ah=50.0,
                series_count=2,
                unit_id=f"unit-{number}",
                temperature_channels=3,
                voltage_channels=2,
                simulated=False,
                class_assessed_by="A",
                class_criteria="visual",
                class_outcome="good",
                bound_from=NOW - timedelta(days=5),
            ),
            NOW - timedelta(days=5),
        )
    alert = Alert(
        alert_id="a1", kind=AlertKind.THERMAL, cause="ceiling", fleet_id="fleet-1", pack_id="pack-1", unit_id="unit-1",
        gateway_id="gateway-1", level=Level.WARNING, peak_level=Level.WARNING, state=AlertState.RAISED,
        provenance=Provenance.MEASURED, reasons=["hot"], sampled_at=RAISED, raised_at=RAISED,
    )  # fmt: skip
    event = AlertEvent(alert_id="a1", at=RAISED, action="raise", to_state=AlertState.RAISED, level=Level.WARNING)
    registry.raise_alert(alert, event, gather=gathering)
    return registry.incidents()[0].incident_id


def open_trip(registry, days):
    registry.open_trip(
        Trip(
            trip_id="t1",
            vehicle_id="truck-1",
            driver_name="Rosa",
            language=Language.EN,
            nonce="secret-nonce",
            opened_at=NOW - timedelta(days=days),
            link_until=NOW,
        )
    )


def test_it_holds_what_belongs_to_the_incident_and_nothing_else(registry, incident):
    case = registry.case_file(incident, NOW)
    assert [each.pack_id for each in case.packs] == ["pack-1"]
    assert [each.unit_id for each in case.units] == ["unit-1"]
    assert [each.vehicle_id for each in case.vehicles] == ["truck-1"]
    assert (len(case.alert_events), [each.action for each in case.incident_events]) == (1, ["open"])
    assert (case.start, case.end) == (RAISED - timedelta(hours=24), NOW)
    assert case.spans_of("pack-1") == (("unit-1", case.start, NOW),)
    with pytest.raises(NotFoundError):
        registry.case_file("other", NOW)


@pytest.mark.parametrize("what", ["trip", "shipment"])
def test_it_reaches_back_to_the_start_of_trip_and_shipment(registry, incident, what):
    if what == "trip":
        open_trip(registry, days=3)
    else:
        departed = NOW - timedelta(days=3)
        shipment = Shipment(shipment_id="s1", origin="A", destination="B", simulated=True, departed_at=departed)
        registry.add(shipment)
        registry.add(ShipmentPack(shipment_id="s1", pack_id="pack-1"))
    case = registry.case_file(incident, NOW)
    assert case.start == NOW - timedelta(days=3)
    assert registry.case_spans(NOW) == (("unit-1", case.start, NOW),)


def test_what_is_told_of_a_record_has_no_secrets(registry, incident):
    open_trip(registry, days=1)
    (trip,) = registry.case_file(incident, NOW).trips
    assert plain(trip)["driver_name"] == "Rosa"
    assert plain(trip)["opened_at"] == "2026-02-28T12:00:00.000Z"
    assert "nonce" not in plain(trip)
