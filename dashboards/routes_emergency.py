"""The papers of an emergency: whom to call, the sheet for those who come, and the reports that authorities are owed."""

from datetime import timedelta

from anyio import to_thread
from fastapi import APIRouter, Depends, HTTPException, Request, Response

from dashboards.acting import hand_of
from dashboards.answers import json_answer, problems
from dashboards.bodies import DutyStep
from dashboards.context import Context, House
from dashboards.duties import ReportRow, check_step, checklist
from dashboards.emergency_models import DutyChecklist, EmergencySheet, SheetLink
from dashboards.emergency_sheet import sheet
from dashboards.parameters import AlertKey, IncidentKey
from dashboards.rows import to_ms, to_ms_or_none
from dashboards.sessions import Person, reader
from dashboards.signed_links import LinkRefusedError
from registry.accounts import account_actor
from registry.audit import Action
from registry.errors import NotFoundError, RefusedError
from registry.incident_records import Incident
from registry.kinds import Level
from registry.records import Pack
from registry.trip_records import DutyEvent

router = APIRouter(prefix="/api", tags=["emergency"])

SHEET_LIFE = timedelta(hours=24)
"""**assumed**: a fire service's shift; whoever needs it longer gets another one."""
SCHEME = "Sheet "
"""Of the Authorization header: no browser sends it by itself."""


@router.get(
    "/alerts/{alert_id}/emergency",
    operation_id="getEmergencyOfAlert",
    response_model=EmergencySheet,
    responses=problems(404),
    dependencies=[Depends(reader)],
)
async def of_alert(alert_id: AlertKey, house: House) -> Response:
    """The sheet of the incident that gathers the alert."""
    incident = await to_thread.run_sync(house.registry.incident_of_alert, alert_id)
    if incident is None:
        raise HTTPException(404, "That alert is in no incident.")
    return json_answer(await sheet_of(incident, house))


@router.get(
    "/incidents/{incident_id}/emergency",
    operation_id="getEmergency",
    response_model=EmergencySheet,
    responses=problems(404),
    dependencies=[Depends(reader)],
)
async def emergency(incident_id: IncidentKey, house: House) -> Response:
    """Whom to call, and what those who come have to know."""
    return json_answer(await sheet_of(await to_thread.run_sync(house.registry.incident, incident_id), house))


@router.post(
    "/incidents/{incident_id}/sheet-link",
    operation_id="makeSheetLink",
    response_model=SheetLink,
    responses=problems(403, 404),
)
def sheet_link(incident_id: IncidentKey, account: Person, house: House) -> Response:
    """A link for responders to the incident's sheet, always as it is then. It ends by itself."""
    hand_of(account, house)
    incident = house.registry.incident(incident_id)
    until = house.now() + SHEET_LIFE
    token = house.trips.sheets.token(incident.incident_id, "", until)
    action = Action(
        actor=account_actor(account),
        action="make sheet link",
        subject=f"incident/{incident_id}",
        at=house.now(),
        detail={"until": until},
    )
    house.registry.append_audit([action])
    return json_answer({"path": f"/sheet#{token}", "until_ms": to_ms(until)})


@router.get("/sheet", operation_id="getSheet", response_model=EmergencySheet, responses=problems(410))
async def shared_sheet(request: Request, house: House) -> Response:
    """The sheet for whoever holds its link."""
    sent = request.headers.get("authorization", "")
    token = sent[len(SCHEME) :] if sent.startswith(SCHEME) else ""
    try:
        incident_id, _ = house.trips.sheets.read(token, house.now())
    except LinkRefusedError as error:
        house.trips.links.refusals[f"sheet {error.reason}"] += 1
        status = 410 if error.reason == "expired" else 401
        raise HTTPException(status, str(error), {"x-packwatch-refusal": error.reason}) from error
    return json_answer(await sheet_of(await to_thread.run_sync(house.registry.incident, incident_id), house))


@router.get(
    "/incidents/{incident_id}/duties",
    operation_id="getDuties",
    response_model=DutyChecklist,
    responses=problems(404, 409),
    dependencies=[Depends(reader)],
)
def duties(incident_id: IncidentKey, house: House) -> Response:
    """The conditions of 49 CFR 171.15 and 171.16, their answers, and the time left. 409 below `critical`."""
    return json_answer(_duties(_critical(incident_id, house), house))


@router.post(
    "/incidents/{incident_id}/duties",
    operation_id="takeDutyStep",
    response_model=DutyChecklist,
    responses=problems(403, 404, 409, 422),
)
def take_step(incident_id: IncidentKey, body: DutyStep, account: Person, house: House) -> Response:
    """Answer a condition, set a time, confirm or reject a report, or say that it was made."""
    hand = hand_of(account, house)
    incident = _critical(incident_id, house)
    event = DutyEvent(incident_id=incident_id, at=hand.now, actor=hand.by, actor_role=hand.role, **body.model_dump())
    check_step(house.trips.us_rules, event, opened_at=incident.opened_at, now=house.now())
    house.registry.add_duty_event(event)
    return json_answer(_duties(incident, house))


def _critical(incident_id: str, house: Context) -> Incident:
    incident = house.registry.incident(incident_id)
    if incident.level.rank < Level.CRITICAL.rank:
        raise HTTPException(409, "The incident never was critical: no report to authorities is asked for.")
    return incident


def _duties(incident: Incident, house: Context) -> dict[str, object]:
    alerts = house.registry.incident_alerts([incident.incident_id])[incident.incident_id]
    hot = [alert for alert in alerts if alert.peak_level.rank >= Level.CRITICAL.rank] or list(alerts)
    rules = house.trips.us_rules
    found = checklist(
        rules,
        house.registry.duty_events(incident.incident_id),
        occurred_at=min((alert.sampled_at for alert in hot), default=incident.opened_at),
        discovered_at=min((alert.raised_at for alert in hot), default=incident.opened_at),
        now=house.now(),
    )
    return {
        "incident_id": incident.incident_id,
        "now_ms": house.now_ms(),
        "simulation": incident.provenance != "measured",
        "occurred_at_ms": to_ms(found.occurred_at),
        "discovered_at_ms": to_ms(found.discovered_at),
        "conditions": [
            {
                **each.condition.model_dump(),
                "answer": each.answer,
                "by": each.by,
                "at_ms": to_ms_or_none(each.at),
            }
            for each in found.conditions
        ],
        "not_asked": [each.model_dump() for each in rules.not_asked],
        "reports": [_report(each) for each in found.reports],
        "as_of": rules.as_of.isoformat(),
        "sources": rules.sources,
        "draft": rules.checked_by is None,
    }


def _report(row: ReportRow) -> dict[str, object]:
    return {
        "key": row.report.key,
        "title": row.report.title,
        "citation": row.report.citation,
        "how": row.report.how,
        "runs_from": row.report.runs_from,
        "state": row.state,
        "due_at_ms": to_ms(row.due_at),
        "left_s": row.left_s,
        "by": row.by,
        "at_ms": to_ms_or_none(row.at),
        "comment": row.comment,
    }


async def sheet_of(incident: Incident, house: Context) -> dict[str, object]:
    """The sheet of an incident as it is now."""
    vehicle_id = incident.vehicle_id
    on_board = house.board.vehicle(vehicle_id or "", house.now_ms())  # no vehicle is called so: nothing is on it

    def gather() -> dict[str, object]:
        alerts = house.registry.incident_alerts([incident.incident_id])[incident.incident_id]
        names = {row.pack_id for row, _ in on_board.packs} | {each.pack_id for each in alerts if each.pack_id}
        number = None if vehicle_id is None else house.registry.emergency_number_of_vehicle(vehicle_id)
        return sheet(
            incident=incident,
            alerts=alerts,
            view=on_board,
            records=_records(sorted(names), house),
            places=house.registry.pack_places(sorted(names)),
            trip=None if vehicle_id is None else house.registry.open_trip_of(vehicle_id),
            emergency_number=number,
            rules=house.trips.us_rules,
            counties=house.trips.counties,
            now=house.now(),
        )

    return await to_thread.run_sync(gather)


def _records(names: list[str], house: Context) -> dict[str, Pack]:
    found = {}
    for name in names:
        try:
            found[name] = house.registry.pack(name)
        except (NotFoundError, RefusedError):
            continue  # a unit without a pack: its row is all that is known
    return found
