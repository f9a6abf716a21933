"""The critical minute of an alert, in one answer."""

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, HTTPException, Response
from fastapi import Path as PathParameter

from dashboards.answers import json_answer, problems
from dashboards.board import VehicleView
from dashboards.context import Context, House
from dashboards.critical_minute import CALL, calls, confidence, driver_saw, told_place
from dashboards.minute_models import CriticalMinute
from dashboards.routes_emergency import sheet_of
from dashboards.routes_incidents import incident_rows
from dashboards.routes_trip import situation_now
from dashboards.rows import PackRow, alert_row, to_ms, to_ms_or_none
from dashboards.sessions import reader
from dashboards.trip_state import trip_stage
from registry.incident_records import Incident, IncidentEvent
from registry.paging_records import Page
from registry.records import Alert
from registry.response_kinds import Language, Stage
from registry.trip_records import Trip

router = APIRouter(prefix="/api", tags=["alerts"])

TOLD_SHOWN = 40
"""Pages of an incident shown at most, the newest. **assumed**"""


@router.get(
    "/alerts/{alert_id}/minute",
    operation_id="getCriticalMinute",
    response_model=CriticalMinute,
    responses=problems(404),
    dependencies=[Depends(reader)],
)
async def minute(alert_id: Annotated[str, PathParameter(pattern=r"^[A-Za-z0-9_-]{1,64}$")], house: House) -> Response:
    """Who drives, what to say, whom to call, where it is, what burns and beside what, how sure that is, who does what.

    404 for an alert that is in no incident: only heat, silence and coverage are.
    """
    alert, incident = await to_thread.run_sync(_found, alert_id, house)
    sheet = await sheet_of(incident, house)
    view = house.board.vehicle(incident.vehicle_id or "", house.now_ms())
    row = None if alert.pack_id is None else house.board.pack(alert.pack_id, house.now_ms())

    def gather() -> dict[str, Any]:
        pages = house.registry.pages(case_id=incident.incident_id, limit=TOLD_SHOWN)
        events = house.registry.incident_events(incident.incident_id)
        others = next((alerts for each, alerts in view.packs if each.pack_id == alert.pack_id), ())
        saw = driver_saw(alert, pages)
        place = told_place(events)
        trip = None if incident.vehicle_id is None else house.registry.open_trip_of(incident.vehicle_id)
        return {
            "now_ms": house.now_ms(),
            "alert": alert_row(alert, house.board.vehicle_name(alert.gateway_id)),
            "incident": incident_rows([incident], house)[0],
            "sheet": sheet,
            "say": _say(alert, view, row, trip, house),
            "driver_saw": {
                "seen": saw.seen,
                "at_ms": to_ms_or_none(saw.at),
                "channel": saw.channel,
                "why": saw.why,
            },
            "moving": None if view.motion is None else view.motion.moving,
            "still_since_ms": None if view.motion is None or view.motion.moving else view.motion.still_since_ms,
            "told_place": None
            if place is None
            else {"text": place.comment or "", "at_ms": to_ms(place.at), "by": place.actor},
            "confidence": confidence(alert, row, others),
            "calls": [_call(event) for event in calls(events)],
            "told": _told(pages, house),
        }

    return json_answer(await to_thread.run_sync(gather))


def _found(alert_id: str, house: Context) -> tuple[Alert, Incident]:
    alert = house.registry.alert(alert_id)
    incident = house.registry.incident_of_alert(alert_id)
    if incident is None:
        raise HTTPException(404, "That alert is in no incident.")
    return alert, incident


def _say(alert: Alert, view: VehicleView, row: PackRow | None, trip: Trip | None, house: Context) -> dict[str, Any]:
    now_ms = house.now_ms()
    online = any(vehicle.online for vehicle in view.vehicles) and house.health() is None
    packs = list(view.packs)
    if row is not None and all(row.pack_id != each.pack_id for each, _ in packs):
        packs.append((row, (alert,)))  # on no vehicle that is known
    # Without any row the alert is all that is known.
    stage = trip_stage(packs, online=online, now_ms=now_ms) if packs else Stage(alert.peak_level)
    situation = situation_now(trip, view, now_ms)
    language = Language.EN if trip is None else trip.language
    phrases = house.trips.phrases
    sentence, action = phrases.said(stage, situation, language)
    return {
        "stage": stage,
        "situation": situation,
        "language": language,
        "sentence": sentence,
        "action": action,
        "english": None if language is Language.EN else phrases.said(stage, situation, Language.EN),
        "draft": phrases.is_draft(language),
    }


def _call(event: IncidentEvent) -> dict[str, Any]:
    return {
        "to": event.regarding,
        "outcome": event.action.removeprefix(CALL),
        "at_ms": to_ms(event.at),
        "by": event.actor,
        "note": event.comment,
    }


def _told(pages: tuple[Page, ...], house: Context) -> list[dict[str, Any]]:
    names = {each.recipient.recipient_id: each.recipient.name for each in house.registry.recipients(house.now())}
    return [
        {
            "name": names.get(page.recipient_id, page.recipient_id),
            "role": page.role,
            "channel": page.channel,
            "state": page.state,
            "at_ms": to_ms_or_none(
                page.acknowledged_at or page.shown_at or page.accepted_at or page.handed_over_at or page.created_at
            ),
        }
        for page in pages
    ]
