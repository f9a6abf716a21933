"""What boxes in cabs did: with the alert that it was about, once, and never more than what the driver had seen."""

import asyncio
import time
from datetime import UTC, datetime

import pytest

from alerts import cab
from alerts.book import utc_from_ms
from alerts.cab import reason_not_to_count
from alerts.service import AlertService
from registry.enrolment import Enrolment
from registry.incidents import CaseEventKind
from registry.kinds import AlertKind, AlertState, Level, PackClass, Role
from registry.records import Alert, AlertEvent
from registry.registry import Registry
from telemetry.cab_report import CabAction, CabReport, CabTold
from telemetry.samples import Provenance

AT_MS = 1_800_000_000_000


def told(report_id: str, action: CabAction, at_ms: int, units=None, detail: str = "", **given) -> CabTold:
    fields = {"fleet_id": "fleet-1", "gateway_id": "gateway-1", "received_at_ms": at_ms} | given
    units = {"unit-1": "critical"} if units is None else units
    return CabTold(
        report=CabReport(report_id=report_id, action=action, at_ms=at_ms, units=units, detail=detail), **fields
    )


class Cloud:
    """A running service on a real registry, and which actions it said are kept."""

    def __init__(self, registry: Registry, at_ms: int) -> None:
        self.registry, self.at_ms = registry, at_ms
        self.kept: list[str] = []

    async def start(self) -> None:
        self.service = AlertService(registry=self.registry, publish=self._publish, now=lambda: utc_from_ms(self.at_ms))
        await self.service.restore()
        self.task = asyncio.create_task(self.service.run())

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    def tell(self, *actions: CabTold) -> None:
        self.service.observe_cab(
            [(each, lambda each=each: self.kept.append(each.report.report_id)) for each in actions]
        )

    async def all_kept(self, *report_ids: str) -> None:
        ends = time.monotonic() + 20
        while sorted(self.kept) != sorted(report_ids):
            assert time.monotonic() < ends, f"kept are {self.kept}"
            await asyncio.sleep(0.02)

    def alert(self, kind: AlertKind = AlertKind.THERMAL):
        return next((each for each in self.registry.alerts() if each.kind is kind), None)

    def history(self, alert):
        return [(each.action, *each.reasons) for each in self.registry.alert_events(alert.alert_id)]

    async def _publish(self, topic: str, payload: bytes) -> None:
        pass


@pytest.fixture
async def cloud(tmp_path, start_ms):
    registry = Registry.open(f"sqlite:///{tmp_path / 'registry.sqlite'}")
    enrolment = Enrolment(
        unit_id="unit-1",
        pack_id="pack-1",
        fleet_id="fleet-1",
        gateway_id="gateway-1",
        vehicle_id="truck-1",
        vehicle_name="Truck 1",
        pack_class=PackClass.END_OF_LIFE,
        temperature_channels=1,
        voltage_channels=0,
        simulated=False,
    )
    registry.enrol(enrolment, datetime(2026, 1, 1, tzinfo=UTC))
    cloud = Cloud(registry, start_ms + 60_000)
    await cloud.start()
    yield cloud
    await cloud.stop()
    registry.close()


def critical(received):
    return received([0, 1, 2], [25, 85, 86])


async def test_actions_are_kept_with_the_alert_once_and_the_button_is_the_drivers(cloud, received, start_ms):
    actions = [
        told("a", CabAction.SOUNDED, start_ms + 2_000),
        told("b", CabAction.ACKNOWLEDGED, start_ms + 5_000, detail="button"),
    ]
    cloud.tell(*actions)  # before the samples: they wait for their alert
    await asyncio.sleep(0.3)
    assert cloud.kept == []
    cloud.service.observe([critical(received)])
    await cloud.all_kept("a", "b")
    cloud.tell(*actions)
    await cloud.all_kept("a", "a", "b", "b")
    await cloud.stop()
    await cloud.start()
    cloud.tell(*actions)
    await cloud.all_kept(*"aaabbb")
    alert = cloud.alert()
    assert alert.level is Level.CRITICAL
    events = [each for each in cloud.registry.alert_events(alert.alert_id) if each.action in ("cab", "acknowledge")]
    assert [(each.action, each.actor_role) for each in events] == [("cab", None), ("acknowledge", Role.DRIVER)]
    assert events[0].at == utc_from_ms(start_ms + 2_000)
    assert events[0].reasons == ["siren sounded"]
    assert (alert.state, alert.acknowledged_roles) == (AlertState.RAISED, [Role.DRIVER])
    incident = cloud.registry.incident_of_alert(alert.alert_id)
    case = [(each.kind, each.role, each.level) for each in cloud.registry.case_events(incident.incident_id)]
    assert case[-1] == (CaseEventKind.ACKNOWLEDGED, Role.DRIVER, Level.CRITICAL)
    raised, *_, acknowledged = cloud.registry.case_events(incident.incident_id)
    assert acknowledged.at > raised.at, "at the instant of the rise it would stop nothing"


@pytest.mark.parametrize(
    "given",
    [
        {"units": {"unit-1": "warning"}},
        {"units": {"unit-1": "no level"}},
        {"at_ms": -60_000},
    ],
    ids=["the cab had seen less", "of a level that nobody knows", "it rose after the button"],
)
async def test_a_button_that_answered_less_leaves_the_driver_paged(cloud, received, start_ms, given):
    cloud.service.observe([critical(received)])
    at_ms = start_ms + given.get("at_ms", 5_000)
    cloud.tell(told("a", CabAction.ACKNOWLEDGED, at_ms, units=given.get("units"), detail="button"))
    await cloud.all_kept("a")
    assert cloud.alert().acknowledged_roles == []
    action, words = cloud.history(cloud.alert())[-1]
    assert action == "cab"
    assert words.startswith("acknowledged in the cab (button): ")


@pytest.mark.parametrize("given", [{"fleet_id": "fleet-2"}, {"gateway_id": "gateway-2"}], ids=["fleet", "gateway"])
async def test_a_gateway_speaks_of_what_is_behind_it_only(cloud, received, start_ms, given, monkeypatch):
    monkeypatch.setattr(cab, "ALERT_WITHIN_S", 0.0)
    cloud.service.observe([critical(received)])
    while cloud.alert() is None:
        await asyncio.sleep(0.02)
    cloud.tell(told("a", CabAction.ACKNOWLEDGED, start_ms + 5_000, detail="button", **given))
    await cloud.all_kept("a")
    assert cloud.alert().acknowledged_roles == []
    assert "cab" not in [each[0] for each in cloud.history(cloud.alert())]


async def test_broken_equipment_is_one_calm_notice_of_the_vehicle_and_ends_with_its_last_fault(cloud, start_ms):
    power, loop = "power: on the battery", "siren loop: open"
    cloud.tell(
        told("a", CabAction.FAULT, start_ms, units={}, detail=loop),
        told("b", CabAction.FAULT, start_ms, units={}, detail=power),
        told("c", CabAction.FAULT, start_ms, units={}, detail=loop),
    )
    await cloud.all_kept("a", "b", "c")
    notice = cloud.alert(AlertKind.CAB)
    assert (notice.level, notice.gateway_id, notice.reasons) == (Level.WATCH, "gateway-1", [loop, power])
    assert cloud.registry.incident_of_alert(notice.alert_id) is None
    await cloud.stop()
    await cloud.start()
    cloud.tell(told("d", CabAction.MENDED, start_ms, units={}, detail="siren loop"))
    await cloud.all_kept(*"abcd")
    assert cloud.alert(AlertKind.CAB).reasons == [power]
    cloud.tell(told("e", CabAction.MENDED, start_ms, units={}, detail="power"))
    await cloud.all_kept(*"abcde")
    assert cloud.alert(AlertKind.CAB).state is AlertState.CLOSED


def test_it_says_why_a_button_does_not_count():
    alert = Alert(
        alert_id="x",
        kind=AlertKind.THERMAL,
        cause="ceiling",
        fleet_id="fleet-1",
        level=Level.CRITICAL,
        peak_level=Level.CRITICAL,
        state=AlertState.RAISED,
        provenance=Provenance.MEASURED,
        reasons=[],
        sampled_at=utc_from_ms(AT_MS),
        raised_at=utc_from_ms(AT_MS),
    )
    rise = AlertEvent(
        alert_id="x",
        at=utc_from_ms(AT_MS + 900),
        action="raise",
        to_state=AlertState.RAISED,
        level=Level.CRITICAL,
        sampled_at=utc_from_ms(AT_MS),
    )
    after, before = utc_from_ms(AT_MS + 1), utc_from_ms(AT_MS - 1)
    assert reason_not_to_count(alert, [rise], level="runaway", at=after) is None
    assert reason_not_to_count(alert, [rise], level="warning", at=after) == "the cab had seen warning, this is critical"
    assert reason_not_to_count(alert, [rise], level="critical", at=before) == "it rose after that"
    alert.acknowledged_roles = [Role.DRIVER]
    assert reason_not_to_count(alert, [rise], level="critical", at=after) == "the driver had acknowledged it already"
