"""The service on a real registry: what is kept, told and published, through outages and restarts."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.book import utc_from_ms
from alerts.service import HELD_BATCHES_KEPT, AlertService
from registry.enrolment import Enrolment
from registry.errors import ConflictError, NotFoundError, RefusedError, UnavailableError
from registry.kinds import AlertKind, AlertState, Level, PackClass, Role
from registry.records import AlertEvent
from registry.registry import Registry
from telemetry.samples import Provenance

WITHIN_S = 10.0

RELEASED = {"role": Role.SAFETY_LEAD, "authority": "Reno Fire"}


async def eventually(condition, what: str):
    """What `condition` answers once it is true; fails after WITHIN_S."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + WITHIN_S
    while loop.time() < ends:
        if answer := condition():
            return answer
        await asyncio.sleep(0.005)
    pytest.fail(f"not within {WITHIN_S} s: {what}")
    return None


class Outage(Registry):
    """A real registry whose alerts cannot be written now and then, as when its database is busy."""

    away = False

    def keep_steps(self, steps, **how):
        self._answer()
        return super().keep_steps(steps, **how)

    def _answer(self):
        if self.away:
            raise UnavailableError("the database is busy")


@dataclass
class Clock:
    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class House:
    """A running service, and what it told."""

    registry: Outage
    clock: Clock
    service: AlertService | None = None
    told: list[Any] = field(default_factory=list)
    published: list[tuple[str, bytes]] = field(default_factory=list)
    running: asyncio.Task | None = None
    broker_away: bool = False

    async def publish(self, topic: str, payload: bytes) -> None:
        if self.broker_away:
            raise OSError("no broker")
        self.published.append((topic, payload))

    async def start(self, **given: Any) -> AlertService:
        self.service = AlertService(
            registry=self.registry, publish=self.publish, listeners=[self.told.append], now=self.clock, **given
        )
        await self.service.restore()
        self.running = asyncio.create_task(self.service.run())
        return self.service

    async def stop(self) -> None:
        if self.running is not None:
            self.running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.running

    def kept(self):
        return self.registry.alerts()

    def enrol(self, unit_id: str = "unit-1", pack_id: str = "pack-1", **given: Any) -> None:
        fields: dict[str, Any] = {
            "fleet_id": "fleet-1",
            "gateway_id": "gateway-1",
            "vehicle_id": "truck-1",
            "vehicle_name": "Truck 1",
            "pack_class": PackClass.END_OF_LIFE,
            "temperature_channels": 1,
            "voltage_channels": 0,
            "simulated": False,
        }
        enrolment = Enrolment(unit_id=unit_id, pack_id=pack_id, **(fields | given))
        self.registry.enrol(enrolment, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
async def house(tmp_path, start_ms):
    registry = Outage.open(f"sqlite:///{tmp_path / 'registry.db'}")
    house = House(registry=registry, clock=Clock(utc_from_ms(start_ms)))
    house.enrol()
    yield house
    await house.stop()
    registry.close()


async def test_a_hot_pack_is_kept_told_and_published(house, received, start_ms):
    service = await house.start()
    service.observe([received([0, 1], [25, 85])])
    (topic, payload), *_ = await eventually(lambda: house.published, "a message")
    (alert,) = house.kept()
    assert topic == f"packwatch/alerts/fleet-1/{alert.alert_id}"
    said = json.loads(payload)
    assert said["alert_id"] == alert.alert_id
    incident = house.registry.incident_of_alert(alert.alert_id)
    assert incident is not None
    assert said["incident_id"] == incident.incident_id
    assert (said["level"], said["state"], said["pack_id"]) == ("critical", "raised", "pack-1")
    assert (said["sampled_at_ms"], said["acknowledged_by"]) == (start_ms + 1000, None)
    assert (alert.kind, alert.level, alert.provenance) == (AlertKind.THERMAL, Level.CRITICAL, Provenance.MEASURED)
    assert alert.sampled_at == utc_from_ms(start_ms + 1000)
    assert alert.reasons == ["probe 1 is 85.0 degC, above 80 degC"]
    assert [each.alert_id for each in house.told] == [alert.alert_id]
    (event,) = house.registry.alert_events(alert.alert_id)
    assert (event.action, event.to_state) == ("raise", AlertState.RAISED)
    assert service.counters().open_alerts == 1


async def test_every_step_is_in_the_history_even_when_they_come_at_once(house, received):
    service = await house.start()
    service.observe([received(range(5), [61, 85, 90, 95, 100]), received([5, 6], [105, 110])])
    alert = await eventually(lambda: [a for a in house.kept() if a.level == Level.RUNAWAY], "a runaway")
    events = house.registry.alert_events(alert[0].alert_id)
    assert [event.level for event in events] == [Level.WARNING, Level.CRITICAL, Level.RUNAWAY]
    assert alert[0].version == 3


async def test_acknowledging_is_stored_and_told_before_it_returns(house, received):
    service = await house.start()
    service.observe([received([0], [85])])
    alert = (await eventually(lambda: house.told, "an alert"))[0]
    done = await service.acknowledge(alert.alert_id, version=1, by="Ann", comment="called them", now=house.clock())
    assert (done.state, done.version, done.acknowledged_by) == (AlertState.ACKNOWLEDGED, 2, "Ann")
    (kept,) = house.kept()
    assert (kept.state, kept.acknowledgement_comment) == (AlertState.ACKNOWLEDGED, "called them")
    assert house.told[-1] is done
    with pytest.raises(ConflictError):
        await service.acknowledge(alert.alert_id, version=1, by="Ben", comment="", now=house.clock())
    with pytest.raises(RefusedError):
        await service.acknowledge(alert.alert_id, version=2, by="Ben", comment="", now=house.clock())
    with pytest.raises(NotFoundError):
        await service.acknowledge("nothing", version=1, by="Ben", comment="", now=house.clock())


async def test_closing_ends_it_and_newer_heat_is_a_new_alert(house, received):
    service = await house.start()
    service.observe([received([0], [85])])
    first = (await eventually(lambda: house.told, "an alert"))[0]
    closed = await service.close_alert(
        first.alert_id, version=1, by="Ann", reason="unloaded", now=house.clock(), **RELEASED
    )
    assert (closed.state, house.kept()[0].close_reason) == (AlertState.CLOSED, "unloaded")
    service.observe([received([1], [86])])
    await eventually(lambda: len(house.kept()) == 2, "a second alert")
    with pytest.raises(NotFoundError):
        await service.close_alert(first.alert_id, version=2, by="Ann", reason="again", now=house.clock())


async def test_a_restart_while_critical_keeps_it_latched_and_raises_no_second(house, received):
    service = await house.start()
    service.observe([received([0], [85], boot_id="1-a", frame=1)])
    await eventually(house.kept, "an alert")
    await house.stop()
    house.published.clear()
    service = await house.start()
    await eventually(lambda: house.published, "the open alert, published again")
    service.observe([received([0], [85], boot_id="1-a", frame=1), received([9, 200, 400], [84, 25, 25])])
    service.observe([received([401, 402], [61, 90])])
    await eventually(lambda: len(house.kept()) == 1 and service.counters().unsaved_changes == 0, "one alert")
    assert house.kept()[0].state is AlertState.RAISED


@pytest.mark.parametrize("restarted", [False, True])
async def test_heat_after_an_acknowledged_critical_calls_people_again(house, received, restarted):
    service = await house.start()
    service.observe([received([0], [85])])
    (alert,) = await eventually(house.kept, "an alert")
    await service.acknowledge(alert.alert_id, version=1, by="Ann", comment="seen", now=house.clock())
    if restarted:
        await house.stop()
        service = await house.start()
        service.observe([received([1000], [41.25])])
    else:
        service.observe([received(range(1, 70), [41.25] * 69)])
    assert house.told[-1].state is AlertState.ACKNOWLEDGED
    service.observe([received([1001], [61.5])])
    await eventually(lambda: house.told and house.told[-1].state is AlertState.RAISED, "people are called again")
    await eventually(lambda: service.counters().unsaved_changes == 0, "all is saved")
    (kept,) = house.kept()
    assert (kept.state, kept.level, kept.acknowledged_by) == (AlertState.RAISED, Level.CRITICAL, None)
    assert kept.reasons == ["hot again: probe 1 is 61.5 degC, above 60 degC; it had cooled to 41.2 degC"]
    events = house.registry.alert_events(alert.alert_id)
    assert [(event.action, event.actor) for event in events] == [
        ("raise", None),
        ("acknowledge", "Ann"),
        ("renew", None),
    ]
    service.observe([received([1002], [85])])
    assert service.counters().unsaved_changes == 0


async def test_heat_is_renewed_after_an_acknowledgement_elsewhere(house, received):
    service = await house.start()
    service.observe([received([0], [85]), received(range(1, 70), [25] * 69)])
    (alert,) = await eventually(house.kept, "an alert")
    elsewhere(house, alert.alert_id, "acknowledge", state=AlertState.ACKNOWLEDGED, acknowledged_by="Eve")
    await eventually(lambda: house.told and house.told[-1].state is AlertState.ACKNOWLEDGED, "their step is seen here")
    elsewhere(house, alert.alert_id, "acknowledge", acknowledgement_comment="on the phone")
    service.observe([received([71], [61])])
    await eventually(lambda: house.kept()[0].state is AlertState.RAISED, "raised after both of their steps")
    actions = [event.action for event in house.registry.alert_events(alert.alert_id)]
    assert actions == ["raise", "acknowledge", "acknowledge", "renew"]


async def test_after_a_restart_what_was_closed_is_not_raised_by_its_own_samples(house, received):
    service = await house.start()
    hot = received([0, 1], [85, 85], boot_id="1-a", frame=1)
    service.observe([hot])
    alert = (await eventually(lambda: house.told, "an alert"))[0]
    await service.close_alert(alert.alert_id, version=1, by="Ann", reason="unloaded", now=house.clock(), **RELEASED)
    await house.stop()
    service = await house.start()
    service.observe([hot])
    assert service.counters().open_alerts == 0
    service.observe([received([2], [85])])
    assert service.counters().open_alerts == 1


async def test_a_registry_outage_loses_nothing_and_silences_nobody(house, received):
    service = await house.start()
    house.registry.away = True
    service.observe([received([0], [61])])
    alert = (await eventually(lambda: house.told, "told without a registry"))[0]
    await eventually(lambda: house.published, "published without a registry")
    service.observe([received([1], [85])])
    await eventually(lambda: house.told and house.told[-1].level == Level.CRITICAL, "critical, told without a registry")
    done = await service.acknowledge(alert.alert_id, version=2, by="Ann", comment="", now=house.clock())
    assert done.state is AlertState.ACKNOWLEDGED
    assert service.counters().registry_away
    assert house.kept() == ()
    house.registry.away = False
    await eventually(lambda: house.kept() and house.kept()[0].version == 3, "kept afterwards")
    actions = [event.action for event in house.registry.alert_events(alert.alert_id)]
    assert actions == ["raise", "worsen", "acknowledge"]
    assert not service.counters().registry_away
    said = [json.loads(payload)["incident_id"] for _, payload in house.published]
    assert said[0] is None  # nothing waits for the registry; the message comes again with its incident
    incident = house.registry.incident_of_alert(house.kept()[0].alert_id)
    assert incident is not None
    await eventually(
        lambda: json.loads(house.published[-1][1])["incident_id"] == incident.incident_id, "it, with its incident"
    )


async def test_a_broker_outage_delays_messages_and_keeps_the_newest(house, received):
    service = await house.start()
    house.broker_away = True
    service.observe([received([0], [61])])
    await eventually(lambda: service.counters().publish_failures, "a failure")
    service.observe([received([1], [85])])
    await eventually(lambda: house.told and house.told[-1].level == Level.CRITICAL, "listeners are told")
    house.broker_away = False
    await eventually(lambda: house.published, "a message")
    assert json.loads(house.published[-1][1])["level"] == "critical"


async def test_a_listener_that_fails_keeps_no_other_from_being_told(house, received):
    def fails(_alert):
        raise ValueError("a defect")

    await house.start()
    house.service._teller._listeners = [fails, house.told.append]
    house.service.observe([received([0], [85])])
    await eventually(lambda: house.told, "the other listener")
    assert house.service.counters().listener_failures == 1


async def test_somebody_elses_change_in_the_registry_counts(house, received):
    service = await house.start()
    service.observe([received([0], [85])])
    alert = (await eventually(lambda: house.told, "an alert"))[0]
    theirs = house.registry.alert(alert.alert_id)
    theirs.state, theirs.closed_by, theirs.close_reason = AlertState.CLOSED, "Eve", "elsewhere"
    (event,) = house.registry.alert_events(alert.alert_id)
    house.registry.change_alert(theirs, event, 1)
    with pytest.raises(ConflictError):
        await service.acknowledge(alert.alert_id, version=1, by="Ann", comment="", now=house.clock())
    assert service.counters().open_alerts == 0
    service.observe([received([1], [85])])
    assert service.counters().open_alerts == 1


def elsewhere(house, alert_id, action, **changed):
    """A person's step that another process writes into the registry."""
    theirs = house.registry.alert(alert_id)
    version = theirs.version
    for name, value in changed.items():
        setattr(theirs, name, value)
    event = AlertEvent(alert_id=alert_id, at=house.clock(), action=action, to_state=theirs.state, level=theirs.level)
    house.registry.change_alert(theirs, event, version)


async def test_what_was_acknowledged_elsewhere_gets_worse_all_the_same(house, received):
    service = await house.start()
    service.observe([received([0], [65])])
    (alert,) = await eventually(house.kept, "a warning")
    elsewhere(house, alert.alert_id, "acknowledge", state=AlertState.ACKNOWLEDGED, acknowledged_by="Eve")
    service.observe([received(range(10, 15), [85, 90, 95, 100, 105])])
    await eventually(lambda: house.kept()[0].version == 4, "their step and both of the engine's")
    (kept,) = house.kept()
    assert (kept.level, kept.state, kept.acknowledged_by) == (Level.RUNAWAY, AlertState.RAISED, None)
    actions = [event.action for event in house.registry.alert_events(alert.alert_id)]
    assert actions == ["raise", "acknowledge", "worsen", "worsen"]
    await eventually(lambda: house.told and house.told[-1].level is Level.RUNAWAY, "runaway is told")


async def test_what_was_closed_elsewhere_before_it_got_worse_is_raised_anew(house, received):
    service = await house.start()
    service.observe([received([0], [65])])
    (alert,) = await eventually(house.kept, "a warning")
    elsewhere(house, alert.alert_id, "close", state=AlertState.CLOSED, closed_by="Eve", close_reason="unloaded")
    service.observe([received(range(10, 15), [85, 90, 95, 100, 105])])
    await eventually(lambda: [a for a in house.kept() if a.level is Level.RUNAWAY], "a second alert")
    await eventually(lambda: service.counters().unsaved_changes == 0, "all is saved")
    assert {(a.level, a.state, a.closed_by) for a in house.kept()} == {
        (Level.RUNAWAY, AlertState.RAISED, None),
        (Level.WARNING, AlertState.CLOSED, "Eve"),
    }
    await eventually(lambda: house.told and house.told[-1].level is Level.RUNAWAY, "runaway is told")
    service.observe([received([15], [62])])
    assert service.counters().open_alerts == 1


async def test_a_closing_that_came_too_late_leaves_the_level_latched(house, received):
    service = await house.start()
    service.observe([received([0], [85])])
    (alert,) = await eventually(house.kept, "an alert")
    elsewhere(house, alert.alert_id, "acknowledge", state=AlertState.ACKNOWLEDGED, acknowledged_by="Eve")
    with pytest.raises(ConflictError):
        await service.close_alert(alert.alert_id, version=1, by="Ann", reason="unloaded", now=house.clock(), **RELEASED)
    service.observe([received([10], [62])])
    service.observe([received(range(11, 15), [70, 80, 90, 100])])
    await eventually(lambda: house.kept()[0].level is Level.RUNAWAY, "the same alert, worse")
    assert service.counters().open_alerts == 1


async def test_a_pack_still_hot_after_it_was_closed_elsewhere_is_raised_anew(house, received):
    service = await house.start()
    service.observe([received([0], [85])])
    (alert,) = await eventually(house.kept, "an alert")
    elsewhere(house, alert.alert_id, "close", state=AlertState.CLOSED, closed_by="Eve", close_reason="unloaded")
    await eventually(lambda: service.counters().open_alerts == 0, "the closing is seen here")
    service.observe([received([10], [85])])
    assert service.counters().open_alerts == 1


async def test_a_unit_enrolled_just_now_is_of_its_pack_from_its_first_sample(house, received, start_ms):
    service = await house.start()
    house.enrol("unit-2", "pack-2")
    service.observe([received([0], [61], unit_id="unit-2")])
    service.observe([received([1], [85], unit_id="unit-2")])
    await eventually(lambda: [a for a in house.kept() if a.level == Level.CRITICAL], "an alert")
    (alert,) = house.kept()
    assert (alert.kind, alert.pack_id) == (AlertKind.THERMAL, "pack-2")
    assert alert.sampled_at == utc_from_ms(start_ms)


async def test_a_hot_unknown_unit_is_told_with_the_vehicle_of_its_gateway(house, received):
    service = await house.start()
    service.observe([received([0], [85], unit_id="stranger")])
    alert = (await eventually(lambda: house.told, "an alert"))[0]
    assert (alert.kind, alert.unit_id, alert.pack_id) == (AlertKind.UNREGISTERED, "stranger", None)
    assert alert.reasons[0] == "unregistered unit stranger on vehicle Truck 1 (gateway gateway-1)"
    service.observe([received([1], [25], unit_id="other")])
    service.observe([received([2], [90], unit_id="stranger")])
    assert service.counters().held_overflows == 0


async def test_too_many_samples_of_new_units_are_evaluated_without_the_registry(house, received):
    service = await house.start()
    crowd = [received([0], [25], unit_id=f"s-{number}") for number in range(HELD_BATCHES_KEPT)]
    service.observe([*crowd, received([0], [85], unit_id="hot")])
    assert service.counters().held_overflows == 1
    assert service.counters().open_alerts == 1


async def test_invented_units_are_not_remembered_without_end(house, received, monkeypatch):
    monkeypatch.setattr("alerts.service.UNREGISTERED_UNITS_KEPT", 10)
    service = await house.start()
    for turn in range(3):
        service.observe([received([0], [25], unit_id=f"s-{turn}-{number}") for number in range(HELD_BATCHES_KEPT + 1)])
    assert service.counters().held_overflows == 3
    assert len(service._unknown) <= HELD_BATCHES_KEPT + 1


async def test_a_silent_unit_is_told_and_closes_by_itself(house, received, start_ms):
    service = await house.start()
    service.observe([received([0], [25])])
    house.clock.forward(31)
    notice = (await eventually(lambda: house.told, "a notice"))[0]
    assert (notice.kind, notice.unit_id, notice.pack_id) == (AlertKind.SILENCE, "unit-1", "pack-1")
    assert (notice.level, notice.sampled_at) == (Level.WATCH, utc_from_ms(start_ms))
    service.observe([received([32], [25], received_at_ms=start_ms + 31_000)])
    await eventually(lambda: house.kept()[0].state is AlertState.CLOSED, "the end of the notice")
    actions = [event.action for event in house.registry.alert_events(notice.alert_id)]
    assert actions == ["raise", "clear", "close"]


async def test_a_worker_of_some_fleets_misses_nobody_of_the_others(house, received):
    house.enrol("unit-2", "pack-2", fleet_id="fleet-2", gateway_id="gateway-2", vehicle_id="truck-2")
    await house.start()
    house.service.observe([received([0], [85], unit_id="unit-2", gateway_id="gateway-2", fleet_id="fleet-2")])
    await eventually(house.kept, "an alert of the other fleet")
    await house.stop()
    house.told.clear()
    service = await house.start(fleets=["fleet-1"])
    assert service.counters().open_alerts == 0
    house.clock.forward(61)
    await eventually(lambda: house.told, "a notice of silence")
    assert [(alert.kind, alert.unit_id) for alert in house.told] == [(AlertKind.SILENCE, "unit-1")]


async def test_a_closed_alert_leaves_no_message_behind(house, received):
    service = await house.start()
    service.observe([received([0], [85])])
    alert = (await eventually(lambda: house.told, "an alert"))[0]
    await service.close_alert(alert.alert_id, version=1, by="Ann", reason="unloaded", now=house.clock(), **RELEASED)
    await eventually(lambda: json.loads(house.published[-1][1])["state"] == "closed", "the last word")
    house.clock.forward(3601)
    topic = f"packwatch/alerts/fleet-1/{alert.alert_id}"
    await eventually(lambda: (topic, b"") in house.published, "an empty message")


async def test_what_is_unsaved_at_the_end_is_saved_before_it(house, received):
    service = await house.start()
    await asyncio.sleep(0)
    service.observe([received([0], [85])])
    await house.stop()
    assert house.kept()[0].level is Level.CRITICAL


async def test_positions_are_no_matter_here(house):
    service = await house.start()
    service.observe_positions([])
    assert service.counters().batches == 0


async def test_a_vehicle_lost_while_a_pack_was_suspicious_joins_its_heat_and_is_paged(house, received):
    house.enrol("unit-2", "pack-2")
    service = await house.start()
    service.observe([received([0], [61]), received([0], [25], unit_id="unit-2")])
    await eventually(house.kept, "the heat")
    house.clock.forward(31)
    await eventually(lambda: len(house.kept()) == 2, "the lost vehicle, once")
    (lost,) = [alert for alert in house.kept() if alert.kind is AlertKind.COVERAGE]
    assert (lost.level, lost.pack_id, lost.unit_id, lost.gateway_id) == (Level.WARNING, None, None, "gateway-1")
    (incident,) = house.registry.incidents()
    assert (incident.title, incident.vehicle_id, incident.level) == ("Heat on Truck 1", "truck-1", Level.WARNING)
    events = [(each.level, each.pack_id) for each in house.registry.case_events(incident.incident_id)]
    assert events == [(Level.WARNING, "pack-1"), (Level.CRITICAL, "gateway-1")]
    with pytest.raises(RefusedError, match="nobody sees what it does now"):
        await service.shelve(
            lost.alert_id,
            version=1,
            by="Ann",
            role=Role.DISPATCHER,
            reason="a tunnel",
            until=house.clock() + timedelta(minutes=5),
            now=house.clock(),
        )
    service.observe([received([32], [25]), received([32], [25], unit_id="unit-2")])
    await eventually(lambda: house.registry.alert(lost.alert_id).state is AlertState.CLOSED, "it is over by itself")


async def test_after_a_release_the_pack_is_watched_though_the_service_was_restarted(house, received):
    service = await house.start()
    service.observe([received([0], [85])])
    (alert,) = await eventually(house.kept, "an alert")
    await service.close_alert(alert.alert_id, version=1, by="Sam", reason="out", now=house.clock(), **RELEASED)
    await house.stop()
    service = await house.start()
    house.clock.forward(86_400)
    service.observe([received([86_400], [61])])
    await eventually(lambda: len(house.kept()) == 2, "the next rise")
    again = next(each for each in house.kept() if each.state is AlertState.RAISED)
    assert again.reasons[-1].startswith("re-ignition watch until")
    (incident,) = house.registry.incidents()
    assert [each.action for each in house.registry.incident_events(incident.incident_id)] == [
        "open",
        "close",
        "reopen",
        "join",
    ]


async def test_a_shelf_ends_by_itself_though_the_service_was_restarted(house, received):
    service = await house.start()
    service.observe([received([0], [61])])
    (alert,) = await eventually(house.kept, "an alert")
    shelf = {"by": "Ann", "role": Role.DISPATCHER, "reason": "a hot afternoon", "now": house.clock()}
    await service.shelve(alert.alert_id, version=1, until=house.clock() + timedelta(minutes=60), **shelf)
    assert house.kept()[0].shelved_by == "Ann"
    await house.stop()
    house.clock.forward(3601)
    await house.start()
    await eventually(lambda: house.registry.alert(alert.alert_id).shelved_until is None, "it is off its shelf")
    assert house.registry.alert_events(alert.alert_id)[-1].action == "unshelve"
