"""The critical minute of an alert, over the application: what to say, who saw it, where, how sure, who was called."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from alerts.grouping import gathering
from dashboards.critical_minute import Seen, confidence, driver_saw
from dashboards.minute_models import CriticalMinute
from dashboards.trips import open_trip
from registry.kinds import AlertKind, Level, Role
from registry.paging_kinds import Channel, PageKind, PageState
from registry.paging_records import Page
from registry.records import AlertEvent
from registry.response_kinds import Language
from telemetry.samples import PositionFix, Provenance

if TYPE_CHECKING:
    from collections.abc import Callable

BOULDER = (40.015, -105.2705)


@pytest.fixture
def burning(registry, board, enrolment, clock, make_batch, make_alert):  # noqa: PLR0917
    """pack-1 on truck 1, driven by Luz in Spanish, is critical; pack-2 stands beside it."""
    registry.enrol(enrolment(), clock.now)
    registry.enrol(enrolment(pack_id="pack-2", unit_id="unit-2"), clock.now)
    board.refresh_assignments(registry.assignments(), {"gateway-1": ("truck-1", "Truck 1")}, now_ms=clock.ms)
    board.observe([make_batch([[20.0, 21.0, 81.0]]), make_batch([[20.0, 21.0, 22.0]], unit_id="unit-2")])
    fix = PositionFix(
        fleet_id="fleet-1",
        gateway_id="gateway-1",
        fixed_at_ms=clock.ms,
        latitude_deg=BOULDER[0],
        longitude_deg=BOULDER[1],
        speed_m_s=20.0,
    )
    board.observe_positions([fix])
    open_trip(
        registry,
        vehicle_id="truck-1",
        driver_name="Luz Vega",
        language=Language.ES,
        now=clock.now,
        phone="+13035550100",
        emergency_number="+13035550122",
    )
    alert = make_alert(level=Level.CRITICAL)
    event = AlertEvent(
        alert_id=alert.alert_id, at=alert.raised_at, action="raise", to_state=alert.state, level=alert.level
    )
    registry.raise_alert(alert, event, gather=gathering)
    board.observe_alert(alert)
    return alert


async def minute_of(browser, alert):
    answer = await browser.get(f"/api/alerts/{alert.alert_id}/minute")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    CriticalMinute.model_validate(found)
    return found


async def test_one_answer_tells_what_to_say_to_whom_and_what_lies_beside(person, burning):
    found = await minute_of(person, burning)
    assert found["say"]["sentence"] == "Peligro: posible incendio."
    assert (found["say"]["situation"], found["say"]["english"][0]) == ("driving", "Danger: fire possible.")
    assert found["moving"] is True
    assert found["sheet"]["driver_phone"] == "+13035550100"
    assert found["sheet"]["emergency_number"] == "+13035550122"
    assert {pack["pack_id"]: pack["concerned"] for pack in found["sheet"]["packs"]} == {"pack-1": True, "pack-2": False}
    assert found["driver_saw"]["seen"] == "not told"
    assert found["confidence"] == ["Judged here only: the vehicle's own engine says nothing."]
    assert (found["told_place"], found["calls"]) == (None, [])


async def test_what_burns_on_no_known_vehicle_is_said_as_grave_as_it_is(person, registry, make_alert, clock):
    alert = make_alert(level=Level.RUNAWAY, pack_id=None, unit_id="unit-9", gateway_id="gateway-9")
    event = AlertEvent(
        alert_id=alert.alert_id, at=alert.raised_at, action="raise", to_state=alert.state, level=alert.level
    )
    registry.raise_alert(alert, event, gather=gathering)
    found = await minute_of(person, alert)
    assert (found["say"]["stage"], found["moving"]) == ("runaway", None)
    assert found["sheet"]["driver_name"] is None


async def test_what_came_of_calls_is_kept_and_only_an_answer_is_something_done(person, burning, registry):
    found = await minute_of(person, burning)
    at = f"/api/incidents/{found['incident']['incident_id']}"
    assert (await person.post(f"{at}/call", json={"to": "driver", "outcome": "no answer"})).status_code == 200
    acted = [each for each in registry.case_events(found["incident"]["incident_id"]) if each.kind == "acted"]
    assert acted == []
    told = {"to": "driver", "outcome": "answered", "note": "<b>pulls over</b>"}
    assert (await person.post(f"{at}/call", json=told)).status_code == 200
    place = await person.post(f"{at}/place", json={"comment": "I-80 east, mile 214, nobody near"})
    assert place.status_code == 200
    acted = [each for each in registry.case_events(found["incident"]["incident_id"]) if each.kind == "acted"]
    assert [each.role for each in acted] == [Role.DISPATCHER]
    found = await minute_of(person, burning)
    assert [(call["outcome"], call["note"]) for call in found["calls"]] == [
        ("answered", "<b>pulls over</b>"),
        ("no answer", None),
    ]
    assert found["told_place"]["text"] == "I-80 east, mile 214, nobody near"


@pytest.mark.parametrize(
    "body", [{"to": "driver", "outcome": "hung up"}, {"to": "nobody", "outcome": "answered"}, {"outcome": "answered"}]
)
async def test_a_call_that_makes_no_sense_is_refused(person, burning, body):
    found = await minute_of(person, burning)
    answer = await person.post(f"/api/incidents/{found['incident']['incident_id']}/call", json=body)
    assert answer.status_code == 422


async def test_nobody_and_nothing_is_told_as_that(stranger, person, burning):
    assert (await stranger.get(f"/api/alerts/{burning.alert_id}/minute")).status_code == 401
    assert (await person.get("/api/alerts/unheard-of/minute")).status_code == 404


@pytest.fixture
def page(clock) -> Callable[..., Page]:
    def make(state: PageState, role: Role = Role.DRIVER, channel: Channel = Channel.PUSH) -> Page:
        return Page(
            key=f"{role}/{channel}/{state}",
            page_id="1",
            kind=PageKind.ALERT,
            recipient_id="r",
            role=role,
            channel=channel,
            level=Level.CRITICAL,
            reason="critical",
            due_at=clock.now,
            created_at=clock.now,
            next_at=None,
            state=state,
        )

    return make


SEEN = [
    ("a message that a channel took was not seen", [PageState.ACCEPTED], Seen.SENT),
    ("a device that showed it says so", [PageState.ACCEPTED, PageState.SHOWN], Seen.SHOWN),
    ("an answer is the farthest", [PageState.SHOWN, PageState.ACKNOWLEDGED], Seen.ACKNOWLEDGED),
    ("a failure counts only where nothing else came through", [PageState.FAILED], Seen.FAILED),
    ("nothing was sent", [], Seen.NOT_TOLD),
]


@pytest.mark.parametrize(("states", "seen"), [row[1:] for row in SEEN], ids=[row[0] for row in SEEN])
def test_what_is_proved_of_the_driver(make_alert, page, states, seen):
    others = [page(PageState.ACKNOWLEDGED, role=Role.DISPATCHER)]
    assert driver_saw(make_alert(), [*others, *map(page, states)]).seen is seen


def test_a_driver_who_acknowledged_has_seen_it(make_alert):
    assert driver_saw(make_alert(acknowledged_roles=[Role.DRIVER]), []).seen is Seen.ACKNOWLEDGED


def test_doubt_is_said_in_words(make_alert, burning, board, clock):
    row = board.pack("pack-1", clock.ms)
    fault = make_alert(kind=AlertKind.INSTRUMENT, level=Level.WATCH, reasons=["probe 3 jumps"])
    alert = make_alert(level_on_board=Level.WARNING, level_here=Level.CRITICAL, provenance=Provenance.REPLAYED)
    assert confidence(alert, replace(row, suspect=True, hottest_c=None), [fault]) == [
        "The samples are replayed: no real pack does this now.",
        "The vehicle's own engine says warning, the engine here critical: the higher one counts.",
        "An instrument is at fault: probe 3 jumps.",
        "The newest sample holds a reading that a broken sensor gives, or a fire.",
        "There is no temperature now: what the pack does is not known.",
    ]
