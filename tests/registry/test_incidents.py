"""Incidents: alerts gather in the transaction that keeps them, and people's steps do not get lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from registry.alert_log import AlertStep
from registry.errors import ConflictError, NotFoundError
from registry.gathering import Bond, Gathering, Whereabouts
from registry.incident_records import IncidentEvent, ReignitionWatch
from registry.incidents import CaseEventKind
from registry.kinds import AlertKind, AlertState, Chemistry, IncidentState, Level, PackClass, Role
from registry.records import Alert, AlertEvent, Fleet, Gateway, Pack, Shipment, ShipmentPack, Vehicle
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from registry.incident_records import Incident
    from registry.registry import Registry

MINUTE = timedelta(minutes=1)


def gather(alert: Alert, where: Whereabouts) -> Gathering | None:
    """By vehicle, then by shipment, as the shipped rules do; unit silence is none."""
    if alert.kind is AlertKind.SILENCE:
        return None
    bonds = [Bond(key=f"vehicle/{where.vehicle_id}", title=f"Heat on {where.vehicle_name}")]
    bonds += [Bond(key=f"shipment/{each}", title=f"Heat on shipment {each}") for each in where.shipment_ids]
    return Gathering(
        cause="heat",
        bonds=tuple(bonds),
        reopens_within=timedelta(hours=4),
        reopens_within_latched=timedelta(days=14),
    )


@pytest.fixture
def house(registry: Registry) -> Registry:
    registry.add(Fleet(fleet_id="west"))
    for number in (1, 2, 3):
        registry.add(Vehicle(vehicle_id=f"truck-{number}", fleet_id="west", name=f"Truck {number}"))
        registry.add(Gateway(gateway_id=f"gw-{number}", fleet_id="west", vehicle_id=f"truck-{number}"))
        registry.add(Pack(pack_id=f"p-{number}", chemistry=Chemistry.NMC, pack_class=PackClass.MID_LIFE))
    return registry


def fields_of(alert_id: str, at: datetime, **given: Any) -> dict[str, Any]:
    level = given.pop("level", Level.WARNING)
    fields: dict[str, Any] = {
        "alert_id": alert_id,
        "kind": AlertKind.THERMAL,
        "cause": "ceiling",
        "fleet_id": "west",
        "pack_id": "p-1",
        "gateway_id": "gw-1",
        "level": level,
        "peak_level": level,
        "state": AlertState.RAISED,
        "provenance": Provenance.MEASURED,
        "reasons": ["61.0 degC"],
        "sampled_at": at,
        "raised_at": at,
    }
    return fields | given


def put(registry: Registry, alert_id: str, at: datetime, **given: Any) -> Alert:
    gathers = given.pop("gather", gather)
    alert = Alert(**fields_of(alert_id, at, **given))
    event = AlertEvent(alert_id=alert_id, at=at, action="raise", to_state=AlertState.RAISED, level=alert.level)
    registry.raise_alert(alert, event, gather=gathers)
    return alert


def step(registry: Registry, alert_id: str, action: str, at: datetime, **changed: Any) -> Alert:
    before = registry.alert(alert_id)
    watch = changed.pop("watch", None)
    role = changed.pop("role", None)
    after = replace(before, **changed)
    event = AlertEvent(
        alert_id=alert_id,
        at=at,
        action=action,
        from_state=before.state,
        to_state=after.state,
        level=after.level,
        actor=after.closed_by or after.acknowledged_by,
        actor_role=role,
    )
    return registry.change_alert(after, event, before.version, gather=gather, watch=watch)


def close(registry: Registry, alert_id: str, at: datetime, **given: Any) -> Alert:
    closed = {"state": AlertState.CLOSED, "closed_by": "Sam", "closed_at": at, "close_reason": "unloaded"}
    return step(registry, alert_id, "close", at, role=Role.SAFETY_LEAD, **closed | given)


def actions(registry: Registry, incident: Incident) -> list[str]:
    return [event.action for event in registry.incident_events(incident.incident_id)]


def only(registry: Registry) -> Incident:
    (incident,) = registry.incidents()
    return incident


def test_alerts_of_one_vehicle_are_one_incident_and_the_worst_is_its_level(house: Registry, now: datetime) -> None:
    put(house, "a-1", now)
    put(house, "a-2", now + MINUTE, pack_id="p-2", level=Level.CRITICAL)
    incident = only(house)
    assert (incident.title, incident.vehicle_id, incident.level) == ("Heat on Truck 1", "truck-1", Level.CRITICAL)
    assert (incident.opened_at, incident.version) == (now, 2)
    alerts = house.incident_alerts([incident.incident_id])[incident.incident_id]
    assert [alert.alert_id for alert in alerts] == ["a-1", "a-2"]
    assert actions(house, incident) == ["open", "join"]
    assert house.incident_of_alert("a-2") == incident
    assert house.open_incidents_of_vehicle("truck-1") == (incident,)


def test_one_shipment_on_two_trucks_is_one_incident_across_vehicles(house: Registry, now: datetime) -> None:
    house.add(Shipment(shipment_id="s-1", origin="Reno", destination="Sparks"))
    for pack_id in ("p-1", "p-2"):
        house.add(ShipmentPack(shipment_id="s-1", pack_id=pack_id))
    put(house, "a-1", now)
    put(house, "a-2", now, pack_id="p-2", gateway_id="gw-2")
    put(house, "a-3", now, pack_id="p-3", gateway_id="gw-3")
    incident = house.incident_of_alert("a-2")
    assert incident is not None
    assert incident == house.incident_of_alert("a-1")
    assert (incident.title, incident.vehicle_id) == ("Heat on shipment s-1", None)
    assert house.incident_of_alert("a-3") != incident
    assert house.open_incidents_of_vehicle("truck-2") == (incident,)


def test_a_notice_is_no_incident(house: Registry, now: datetime) -> None:
    put(house, "a-1", now, kind=AlertKind.SILENCE)
    assert house.incidents() == ()
    assert house.incident_of_alert("a-1") is None


def test_the_last_alert_that_closes_closes_the_incident(house: Registry, now: datetime) -> None:
    put(house, "a-1", now)
    put(house, "a-2", now, pack_id="p-2")
    close(house, "a-1", now + MINUTE)
    assert only(house).state is IncidentState.OPEN
    close(house, "a-2", now + 2 * MINUTE)
    incident = only(house)
    assert (incident.state, incident.closed_by, incident.close_reason) == (IncidentState.CLOSED, "Sam", "unloaded")
    assert incident.closed_at == now + 2 * MINUTE
    last = house.incident_events(incident.incident_id)[-1]
    assert (last.action, last.actor, last.actor_role, last.regarding) == ("close", "Sam", Role.SAFETY_LEAD, "a-2")
    assert house.incidents(state=IncidentState.OPEN) == ()


@pytest.mark.parametrize(
    ("level", "after", "same"),
    [
        (Level.WARNING, timedelta(hours=4), True),
        (Level.WARNING, timedelta(hours=5), False),
        (Level.CRITICAL, timedelta(days=14), True),
        (Level.CRITICAL, timedelta(days=15), False),
    ],
    ids=["within four hours", "below critical, later", "it was critical: for two weeks", "it was critical, later"],
)
def test_it_opens_again_by_itself(house: Registry, level: Level, after: timedelta, same: bool) -> None:
    now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    sam = house.create_account(name="sam", display_name="Sam", now=now, role="safety")
    put(house, "a-1", now, level=level)
    first = only(house)
    house.change_incident(first.incident_id, lambda each: assigned(each, sam.account_id, now), expected_version=1)
    close(house, "a-1", now, releasing_authority="Reno Fire")
    assert only(house).releasing_authority == "Reno Fire"
    put(house, "a-2", now + after)
    second = house.incident_of_alert("a-2")
    assert second is not None
    assert (second.incident_id == first.incident_id) is same
    assert (second.state, second.closed_at, second.level) == (IncidentState.OPEN, None, Level.WARNING)
    assert (second.assigned_to, second.opened_at, second.releasing_authority) == (None, now + after, None)
    if same:
        assert actions(house, second) == ["open", "assign", "close", "reopen", "join"]


def test_a_rise_is_the_incidents_and_easing_is_not(house: Registry, now: datetime) -> None:
    put(house, "a-1", now)
    step(house, "a-1", "worsen", now, level=Level.CRITICAL, peak_level=Level.CRITICAL)
    step(house, "a-1", "ease", now, level=Level.WATCH)
    incident = only(house)
    assert (incident.level, actions(house, incident)) == (Level.CRITICAL, ["open", "rise"])


def test_an_alert_from_before_there_were_incidents_joins_one_as_it_rises(house: Registry, now: datetime) -> None:
    put(house, "a-1", now, gather=None)
    step(house, "a-1", "ease", now, level=Level.WATCH)
    assert house.incidents() == ()
    step(house, "a-1", "worsen", now, level=Level.WARNING)
    assert house.incident_of_alert("a-1") == only(house)


def assigned(incident: Incident, to: str, at: datetime) -> IncidentEvent:
    incident.assigned_to = to
    return IncidentEvent(
        incident_id=incident.incident_id, at=at, action="assign", level=incident.level, actor="Ana", regarding=to
    )


def raising(alert_id: str, at: datetime, **given: Any) -> AlertStep:
    alert = Alert(**fields_of(alert_id, at, **given))
    event = AlertEvent(alert_id=alert_id, at=at, action="raise", to_state=AlertState.RAISED, level=alert.level)
    return AlertStep(alert=alert, event=event, expected_version=None)


def closing(raised: AlertStep, at: datetime) -> AlertStep:
    after = replace(raised.alert, state=AlertState.CLOSED, closed_by="Sam", closed_at=at, close_reason="unloaded")
    event = AlertEvent(
        alert_id=after.alert_id,
        at=at,
        action="close",
        from_state=AlertState.RAISED,
        to_state=AlertState.CLOSED,
        level=after.level,
        actor="Sam",
        actor_role=Role.SAFETY_LEAD,
    )
    return AlertStep(alert=after, event=event, expected_version=1)


@pytest.mark.parametrize("together", [1, 2, 3, 7])
def test_steps_that_are_kept_together_do_what_they_do_one_by_one(house: Registry, now: datetime, together: int) -> None:
    first, second = raising("b-1", now), raising("a-2", now + MINUTE, pack_id="p-2", level=Level.CRITICAL)
    third = raising("a-3", now + 5 * MINUTE, level=Level.CRITICAL)
    other = raising("a-4", now, gateway_id="gw-2", pack_id="p-3")
    notice = raising("a-5", now, kind=AlertKind.SILENCE)
    steps = [first, second, other, notice, closing(first, now + 2 * MINUTE), closing(second, now + 3 * MINUTE), third]
    for begin in range(0, len(steps), together):
        house.keep_steps(steps[begin : begin + together], gather=gather)
    by_vehicle = {incident.vehicle_id: incident for incident in house.incidents()}
    assert len(by_vehicle) == 2
    assert actions(house, by_vehicle["truck-1"]) == ["open", "join", "close", "reopen", "join"]
    assert actions(house, by_vehicle["truck-2"]) == ["open"]
    mine = by_vehicle["truck-1"]
    assert (mine.state, mine.level, mine.version, mine.opened_at) == (
        IncidentState.OPEN,
        Level.CRITICAL,
        5,
        third.event.at,
    )
    assert [event.action for event in house.alert_events("b-1")] == ["raise", "close"]
    assert [row["action"] for row in house.audit_rows() if row["subject"].startswith("alert/")] == [
        step.event.action for step in steps
    ]
    house.verify_audit()


def test_of_steps_together_one_that_is_refused_undoes_all(house: Registry, now: datetime) -> None:
    put(house, "a-1", now)
    with pytest.raises(ConflictError, match="there is an alert a-1 already"):
        house.keep_steps([raising("a-2", now, pack_id="p-2"), raising("a-1", now)], gather=gather)
    assert [alert.alert_id for alert in house.alerts()] == ["a-1"]
    assert actions(house, only(house)) == ["open"]


def test_steps_together_from_several_sides_lose_nothing(house: Registry, now: datetime) -> None:
    def side(number: int) -> None:
        trucks = (1, 2, 3) if number % 2 else (3, 2, 1)
        for turn in range(5):
            house.keep_steps(
                [
                    raising(f"a-{turn}-{number}-{truck}", now, pack_id=f"q-{turn}-{number}", gateway_id=f"gw-{truck}")
                    for truck in trucks
                ],
                gather=gather,
            )

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(side, range(4)))
    incidents = house.incidents()
    assert sorted(incident.vehicle_id or "" for incident in incidents) == ["truck-1", "truck-2", "truck-3"]
    assert {incident.version for incident in incidents} == {20}
    house.verify_audit()


def test_of_two_people_who_take_it_on_one_wins(house: Registry, now: datetime) -> None:
    accounts = [house.create_account(name=name, display_name=name, now=now) for name in ("ana", "ben")]
    put(house, "a-1", now)
    incident_id = only(house).incident_id

    def take(account_id: str) -> str:
        try:
            house.change_incident(incident_id, lambda each: assigned(each, account_id, now), expected_version=1)
        except ConflictError:
            return "late"
        return account_id

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(take, [account.account_id for account in accounts]))
    assert sorted(each == "late" for each in done) == [False, True]
    incident = only(house)
    assert incident.assigned_to in done
    assert incident.version == 2
    assert actions(house, incident) == ["open", "assign"]


def test_a_step_that_raises_changes_nothing(house: Registry, now: datetime) -> None:
    put(house, "a-1", now)

    def refuse(incident: Incident) -> IncidentEvent:
        incident.title = "changed"
        raise ConflictError("no")

    with pytest.raises(ConflictError):
        house.change_incident(only(house).incident_id, refuse, expected_version=None)
    assert only(house).title == "Heat on Truck 1"
    with pytest.raises(NotFoundError):
        house.change_incident("nothing", refuse, expected_version=None)


def test_many_alerts_at_once_are_one_incident(house: Registry, now: datetime) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: put(house, f"a-{number}", now, pack_id=f"p-{number}"), range(24)))
    incident = only(house)
    assert len(house.incident_alerts([incident.incident_id])[incident.incident_id]) == 24
    assert incident.version == 24
    assert house.verify_audit()[0] > 24


def test_alerts_close_and_come_at_once_and_the_incident_agrees_with_them(house: Registry, now: datetime) -> None:
    """Whatever the order, it is open if and only if one of its alerts is."""
    for number in range(8):
        put(house, f"a-{number}", now, pack_id=f"p-{number}")

    def work(number: int) -> None:
        close(house, f"a-{number}", now)
        if number % 2:
            put(house, f"b-{number}", now, pack_id=f"p-{number}")
            close(house, f"b-{number}", now)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert only(house).state is IncidentState.CLOSED
    put(house, "c-1", now)
    assert only(house).state is IncidentState.OPEN


def test_what_escalation_reads_of_an_incident(house: Registry, now: datetime) -> None:
    put(house, "a-1", now)
    incident_id = only(house).incident_id
    step(house, "a-1", "worsen", now + MINUTE, level=Level.CRITICAL, peak_level=Level.CRITICAL)
    step(house, "a-1", "acknowledge", now + 2 * MINUTE, role=Role.DRIVER)
    step(house, "a-1", "compare", now + 2 * MINUTE)
    ana = house.create_account(name="ana", display_name="Ana", now=now).account_id
    house.change_incident(incident_id, lambda each: assigned(each, ana, now + MINUTE), expected_version=None)
    house.change_incident(incident_id, lambda each: commented(each, now + 3 * MINUTE), expected_version=None)
    close(house, "a-1", now + 4 * MINUTE)
    found = [(each.kind, each.role, each.level, each.pack_id) for each in house.case_events(incident_id)]
    assert found == [
        (CaseEventKind.RAISED, None, Level.WARNING, "p-1"),
        (CaseEventKind.RAISED, None, Level.CRITICAL, "p-1"),
        (CaseEventKind.ACKNOWLEDGED, Role.DRIVER, Level.CRITICAL, "p-1"),
        (CaseEventKind.ACTED, Role.DISPATCHER, Level.CRITICAL, None),
        (CaseEventKind.CLOSED, Role.SAFETY_LEAD, Level.CRITICAL, None),
    ]
    with pytest.raises(NotFoundError):
        house.case_events("nothing")


def test_a_vehicle_lost_while_a_pack_was_suspicious_is_paged_as_critical_is(house: Registry, now: datetime) -> None:
    put(house, "a-1", now, kind=AlertKind.COVERAGE, pack_id=None)
    step(house, "a-1", "acknowledge", now + MINUTE, role=Role.DISPATCHER)
    found = house.case_events(only(house).incident_id)
    assert [(each.level, each.pack_id) for each in found] == [(Level.CRITICAL, "gw-1")] * 2


def commented(incident: Incident, at: datetime) -> IncidentEvent:
    return IncidentEvent(
        incident_id=incident.incident_id,
        at=at,
        action="comment",
        level=incident.level,
        actor="Ana",
        actor_role=Role.DISPATCHER,
        comment="driver called, pulls over",
    )


def test_all_that_happens_is_in_the_audit_log(house: Registry, now: datetime) -> None:
    put(house, "a-1", now)
    incident_id = only(house).incident_id
    house.change_incident(incident_id, lambda each: commented(each, now), expected_version=None)
    close(house, "a-1", now, releasing_authority="Reno Fire")
    rows = house.audit_rows(subject=f"incident/{incident_id}")
    assert [(row["action"], row["actor"]["kind"]) for row in rows] == [
        ("open", "rule"),
        ("comment", "person"),
        ("close", "person"),
    ]
    assert rows[1]["actor"] == {"kind": "person", "id": "Ana", "role": "dispatcher"}
    assert rows[1]["detail"]["comment"] == "driver called, pulls over"
    assert rows[2]["detail"]["authority"] == "Reno Fire"
    house.verify_audit()


def test_a_re_ignition_watch_begins_with_the_closing_and_ends_by_itself(house: Registry, now: datetime) -> None:
    put(house, "a-1", now, level=Level.CRITICAL)
    watch = ReignitionWatch(
        alert_id="a-1",
        fleet_id="west",
        pack_id="p-1",
        provenance=Provenance.MEASURED,
        level=Level.CRITICAL,
        from_at=now,
        until_at=now + timedelta(days=14),
        released_by="Sam",
        releasing_authority="Reno Fire",
    )
    close(house, "a-1", now, watch=watch)
    assert house.reignition_watches(now + timedelta(days=13)) == (watch,)
    assert house.reignition_watches(now + timedelta(days=14)) == ()
