"""Trips, places and duties: each change with its row in the audit log, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from alerts.grouping import gathering
from registry.errors import ConflictError, NotFoundError, RefusedError
from registry.kinds import AlertKind, AlertState, Chemistry, Level, PackClass, Role
from registry.records import Alert, AlertEvent, Fleet, Gateway, Pack, Shipment, Vehicle
from registry.response_kinds import Language, Situation
from registry.trip_records import DutyAction, DutyEvent, Trip
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from registry.registry import Registry


@pytest.fixture
def house(registry: Registry) -> Registry:
    registry.add(Fleet(fleet_id="west"))
    registry.add(Vehicle(vehicle_id="truck-1", fleet_id="west", name="Truck 1"))
    registry.add(Gateway(gateway_id="gw-1", fleet_id="west", vehicle_id="truck-1"))
    registry.add(Pack(pack_id="p-1", chemistry=Chemistry.NMC, pack_class=PackClass.MID_LIFE))
    return registry


def trip(now: datetime, **given: Any) -> Trip:
    fields: dict[str, Any] = {
        "trip_id": "t-1",
        "vehicle_id": "truck-1",
        "driver_name": "Luz Vega",
        "language": Language.ES,
        "nonce": "n",
        "opened_at": now,
        "link_until": now + timedelta(days=60),
    }
    return Trip(**fields | given)


def put_alert(house: Registry, at: datetime) -> Alert:
    alert = Alert(
        alert_id="a-1",
        kind=AlertKind.THERMAL,
        cause="ceiling",
        fleet_id="west",
        pack_id="p-1",
        gateway_id="gw-1",
        level=Level.CRITICAL,
        peak_level=Level.CRITICAL,
        state=AlertState.RAISED,
        provenance=Provenance.MEASURED,
        reasons=["81.0 degC"],
        sampled_at=at,
        raised_at=at,
    )
    event = AlertEvent(alert_id="a-1", at=at, action="raise", to_state=AlertState.RAISED, level=Level.CRITICAL)
    house.raise_alert(alert, event, gather=gathering)
    return alert


def close_alert(house: Registry, at: datetime) -> None:
    alert = house.alert("a-1")
    version = alert.version
    alert.state = AlertState.CLOSED
    event = AlertEvent(
        alert_id="a-1",
        at=at,
        action="close",
        from_state=AlertState.RAISED,
        to_state=AlertState.CLOSED,
        level=Level.CRITICAL,
    )
    house.change_alert(alert, event, version, gather=gathering)


def test_the_link_lives_until_custody_is_signed_and_incidents_are_closed(house, now):
    house.open_trip(trip(now))
    put_alert(house, now)
    signed = house.sign_custody("t-1", "R. Cycler", now)
    assert (signed.custody_signed_by, signed.closed_at) == ("R. Cycler", None)
    assert house.close_trips_that_are_over(now) == ()
    later = now + timedelta(hours=3)
    close_alert(house, later)
    assert [each.trip_id for each in house.close_trips_that_are_over(later)] == ["t-1"]
    assert house.trip("t-1").closed_at == later
    assert (house.open_trips(), house.open_trip_of("truck-1")) == ((), None)
    assert house.recipients(later) == ()


def test_incidents_closed_before_custody_is_signed_do_not_end_the_trip(house, now):
    house.open_trip(trip(now))
    put_alert(house, now)
    close_alert(house, now)
    assert house.close_trips_that_are_over(now) == ()
    assert house.trip("t-1").closed_at is None


def test_of_two_who_open_a_trip_at_once_one_does(house, now):
    def open_one(number: int) -> str:
        try:
            return house.open_trip(trip(now, trip_id=f"t-{number}")).trip_id
        except ConflictError:
            return "refused"

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(open_one, range(4)))
    assert results.count("refused") == 3
    assert len(house.open_trips()) == 1


def test_a_closed_trip_takes_no_step(house, now):
    house.open_trip(trip(now))
    house.sign_custody("t-1", "R. Cycler", now)
    for step in (
        lambda: house.sign_custody("t-1", "R. Cycler", now),
        lambda: house.renew_trip_link("t-1", "m", now),
        lambda: house.set_trip_situation("t-1", Situation.PARKED, now),
    ):
        with pytest.raises(RefusedError, match="closed"):
            step()
    with pytest.raises(NotFoundError):
        house.sign_custody("t-2", "R. Cycler", now)


def test_the_number_is_that_of_the_vehicles_open_shipment(house, now):
    assert house.emergency_number_of_vehicle("truck-1") is None
    shipment = Shipment(
        shipment_id="s-1", origin="A", destination="B", vehicle_id="truck-1", emergency_number="+13035550100"
    )
    house.add(shipment)
    assert house.emergency_number_of_vehicle("truck-1") == "+13035550100"
    shipment.closed_at = now
    house.save(shipment)
    assert house.emergency_number_of_vehicle("truck-1") is None


def test_where_packs_lie_is_kept_and_corrected(house, now):
    house.note_pack_place("p-1", "left", now)
    house.note_pack_place("p-1", "right", now)
    assert house.pack_places(["p-1", "p-2"]) == {"p-1": "right"}
    with pytest.raises(NotFoundError):
        house.note_pack_place("p-2", "left", now)


def test_steps_about_reports_are_only_added(house, now):
    put_alert(house, now)
    incident_id = house.incident_of_alert("a-1").incident_id
    step = DutyEvent(
        incident_id=incident_id,
        at=now,
        actor="Ana",
        actor_role=Role.SAFETY_LEAD,
        action=DutyAction.ANSWER,
        item="killed",
        value="no",
    )
    house.add_duty_event(step)
    house.add_duty_event(step)
    assert [(each.item, each.value, each.actor_role) for each in house.duty_events(incident_id)] == [
        ("killed", "no", Role.SAFETY_LEAD)
    ] * 2
    row = house.audit_rows(subject=f"incident/{incident_id}")[-1]
    assert (row["action"], row["actor"]["role"], row["detail"]["item"]) == ("answer", "safety lead", "killed")
    with pytest.raises(NotFoundError):
        house.add_duty_event(DutyEvent(incident_id="i", at=now, actor="A", action=DutyAction.CONFIRM, item="written"))
