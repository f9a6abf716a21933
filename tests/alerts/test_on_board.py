"""What vehicles' engines say beside this one: neither hides the other, and vehicles are told what they should know."""

import asyncio
import json
from dataclasses import replace

import pytest

from alerts.book import utc_from_ms
from alerts.levels import Settled, Standing, Subject, Transition
from alerts.on_board import ASK_AGAIN_S, OnBoardWatch
from alerts.service import AlertService
from registry.enrolment import Enrolment
from registry.kinds import AlertKind, AlertState, Level, PackClass, Role
from registry.registry import Registry
from telemetry.on_board import ALARM_RELEASED, PACK, REPORT_INTERVAL, OnBoard, OnBoardReport
from telemetry.samples import Provenance

AT_MS = 1_800_000_000_000
SUBJECT = Subject(AlertKind.THERMAL, "pack-1", Provenance.MEASURED)

RELEASED = {"role": Role.SAFETY_LEAD, "authority": "Reno Fire"}


def report(level: str, **given) -> OnBoardReport:
    fields = {"since_ms": AT_MS, "reasons": ("probe 1 is 61 degC",), "provenance": Provenance.MEASURED} | given
    return OnBoardReport(
        fleet_id="fleet-1",
        gateway_id="gateway-1",
        unit_id="unit-1",
        received_at_ms=AT_MS + 1000,
        status=OnBoard(level=level, **fields),
    )


@pytest.fixture
def watch(assignment) -> OnBoardWatch:
    watch = OnBoardWatch()
    watch.assign([assignment()])
    return watch


def own(level: Level) -> Transition:
    return Transition(
        subject=SUBJECT,
        before=Level.NORMAL,
        level=level,
        cause="ceiling",
        reasons=("here",),
        sampled_at_ms=AT_MS,
        pack_id="pack-1",
        unit_id="unit-1",
        gateway_id="gateway-1",
        fleet_id="fleet-1",
    )


@pytest.mark.parametrize(
    ("here", "on_board", "level"),
    [
        (Level.NORMAL, "warning", Level.WARNING),
        (Level.CRITICAL, "warning", Level.CRITICAL),
        (Level.NORMAL, "normal", Level.NORMAL),
    ],
    ids=["the vehicle alone sees it", "the cloud sees more", "neither sees anything"],
)
def test_an_alert_has_the_higher_of_both_levels_and_both_are_told(watch, here, on_board, level):
    watch.hear(report(on_board), {})
    merged, beside = watch.merge(own(here), None)
    assert merged.level is level
    assert (beside.here, beside.on_board, beside.since_ms) == (here, Level(on_board), AT_MS)
    by_vehicle = any(reason.startswith("by the vehicle's own engine: ") for reason in merged.reasons)
    assert by_vehicle == (Level(on_board).rank > here.rank)


def test_the_heat_is_told_first_and_nothing_twice(watch):
    (compared,) = watch.hear(
        report("critical", reasons=("probe 1 is 81 degC", "simulated: no real pack")),
        {SUBJECT: Standing(level=Level.WARNING, peak=Level.WARNING, since_ms=AT_MS)},
    )
    whose = "by the vehicle's own engine: critical, above normal since 2027-01-15 08:00:00 UTC"
    heat = ("probe 1 is 81 degC", "simulated: no real pack", whose)
    assert watch.merge(compared, None)[0].reasons == heat
    sampled = replace(own(Level.WARNING), reasons=("probe 1 is 61 degC", "simulated: no real pack"))
    assert watch.merge(sampled, None)[0].reasons == (*heat, "probe 1 is 61 degC")


def test_what_nobody_on_board_speaks_of_is_left_alone(watch):
    assert watch.merge(own(Level.WARNING), None) == (own(Level.WARNING), None)


def test_a_replays_word_is_not_the_packs(watch):
    watch.hear(report("critical", provenance=Provenance.REPLAYED), {})
    assert watch.merge(own(Level.NORMAL), None) == (own(Level.NORMAL), None)


def test_what_a_person_closed_is_said_no_more_and_the_vehicle_is_told_until_it_shows(watch):
    watch.hear(report("critical"), {})
    watch.settle(SUBJECT, Settled(from_ms=AT_MS, until_ms=AT_MS + 5000, peak=Level.CRITICAL))
    assert watch.merge(own(Level.NORMAL), None)[0].level is Level.NORMAL
    ((_, wanted),) = watch.wishes({}, 0.0)
    assert wanted[ALARM_RELEASED] == AT_MS + 5000
    watch.hear(report("critical", since_ms=AT_MS + 6000), {})  # newer heat
    assert watch.merge(own(Level.NORMAL), None)[0].level is Level.CRITICAL


def test_a_vehicle_is_told_its_pack_and_asked_for_speed_again_and_again_until_its_report_shows_it(watch):
    hot = {SUBJECT: Standing(level=Level.WATCH, peak=Level.WATCH, since_ms=AT_MS)}
    watch.hear(report("normal"), {})
    ((_, wanted),) = watch.wishes(hot, 0.0)
    assert wanted[REPORT_INTERVAL] == 1.0
    assert json.loads(wanted[PACK])["pack"] == "pack-1"
    assert watch.wishes(hot, ASK_AGAIN_S[0] - 0.1) == []
    assert len(watch.wishes(hot, ASK_AGAIN_S[0])) == 1
    watch.hear(report("normal", report_interval_s=1.0, pack=wanted[PACK]), {})
    assert watch.wishes(hot, 100.0) == []
    ((_, after),) = watch.wishes({}, 101.0)
    assert after == {REPORT_INTERVAL: None}


@pytest.fixture
async def service(tmp_path):
    """A running service on a registry that knows unit-1 on pack-1."""
    registry = Registry.open(f"sqlite:///{tmp_path / 'registry.db'}")
    now = utc_from_ms(AT_MS)
    registry.enrol(
        Enrolment(
            fleet_id="fleet-1",
            gateway_id="gateway-1",
            pack_id="pack-1",
            pack_class=PackClass.END_OF_LIFE,
            unit_id="unit-1",
            temperature_channels=1,
            voltage_channels=0,
            simulated=False,
        ),
        now,
    )

    async def publish(topic: str, payload: bytes) -> None:
        del topic, payload

    running = AlertService(registry=registry, publish=publish, now=lambda: now)
    await running.restore()
    task = asyncio.create_task(running.run())
    yield running
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    registry.close()


async def kept_when(service: AlertService, condition):
    """The pack's alerts in the registry, once `condition` is true of them."""
    async with asyncio.timeout(10):
        while not condition(alerts := service._registry.alerts("pack-1")):
            await asyncio.sleep(0.01)
    return alerts


async def test_the_vehicles_word_alone_raises_eases_and_clears_an_alert(service):
    for level in ("warning", "warning", "watch", "normal"):
        service.observe_on_board([report(level)])
    (alert,) = await kept_when(service, lambda alerts: alerts and alerts[0].state is AlertState.CLEARED)
    assert (alert.cause, alert.level_here, alert.level_on_board) == ("on_board", Level.NORMAL, Level.NORMAL)
    events = service._registry.alert_events(alert.alert_id)
    assert [(event.action, event.level) for event in events] == [
        ("raise", Level.WARNING),
        ("ease", Level.WATCH),
        ("clear", Level.NORMAL),
    ]


async def test_a_latched_alert_outlives_a_vehicle_that_forgot_it_and_both_are_told(service):
    for level in ("critical", "normal"):
        service.observe_on_board([report(level)])
    (alert,) = await kept_when(service, lambda alerts: alerts and alerts[0].level_on_board is Level.NORMAL)
    assert (alert.level, alert.state) == (Level.CRITICAL, AlertState.RAISED)
    *_, last = service._registry.alert_events(alert.alert_id)
    assert (last.action, last.reasons) == ("compare", ["on board: normal; here: normal"])


async def test_closing_an_alert_that_the_vehicle_raised_ends_it_though_the_vehicle_repeats_itself(service):
    service.observe_on_board([report("critical")])
    (alert,) = await kept_when(service, bool)
    await service.close_alert(alert.alert_id, version=1, by="Ada", reason="cooled", now=utc_from_ms(AT_MS), **RELEASED)
    service.observe_on_board([report("critical")])
    await kept_when(service, lambda alerts: alerts[0].state is AlertState.CLOSED)
    assert service.counters().open_alerts == 0


async def test_a_level_that_is_none_is_no_harm(service):
    service.observe_on_board([report("warm"), report("warning")])
    (alert,) = await kept_when(service, bool)
    assert alert.level is Level.WARNING


def test_a_further_rise_on_board_has_a_time_of_its_own(watch):
    (first,) = watch.hear(report("warning"), {})
    (second,) = watch.hear(report("critical"), {})
    assert (first.sampled_at_ms, second.sampled_at_ms) == (AT_MS, AT_MS + 1000)
