"""Incidents: their list, who works on them, and what people do with them."""

from collections.abc import Awaitable, Sequence
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, HTTPException, Query, Response

from dashboards.acting import hand_of
from dashboards.answers import json_answer, only_known_parameters, problems
from dashboards.bodies import Call, Close, HandOver, Remark, Version
from dashboards.context import Context, House
from dashboards.incident_models import Incident, IncidentEvent, PersonHere, ReignitionWatch
from dashboards.parameters import IncidentKey
from dashboards.rows import alert_row, to_ms, to_ms_or_none
from dashboards.sessions import Person, reader
from registry.errors import RefusedError
from registry.incident_records import Incident as IncidentRecord
from registry.kinds import IncidentState
from registry.records import Account
from registry.roles import acting_role

router = APIRouter(prefix="/api", tags=["incidents"])

_STEP = problems(403, 404, 409, 422)


@router.get(
    "/incidents",
    operation_id="listIncidents",
    response_model=list[Incident],
    responses=problems(422),
    dependencies=[Depends(reader), Depends(only_known_parameters)],
)
def incidents(
    house: House,
    state: Annotated[IncidentState | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> Response:
    """Incidents, those that opened last first."""
    return json_answer(incident_rows(house.registry.incidents(state=state, limit=limit, offset=offset), house))


@router.get(
    "/incidents/{incident_id}/events",
    operation_id="listIncidentEvents",
    response_model=list[IncidentEvent],
    responses=problems(404),
    dependencies=[Depends(reader)],
)
def incident_events(incident_id: IncidentKey, house: House) -> Response:
    """One incident's history, oldest step first."""
    return json_answer(
        [
            {
                "at_ms": to_ms(event.at),
                "action": event.action,
                "level": event.level,
                "actor": event.actor,
                "actor_role": event.actor_role,
                "regarding": event.regarding,
                "comment": event.comment,
            }
            for event in house.registry.incident_events(incident_id)
        ]
    )


@router.get("/people", operation_id="listPeople", response_model=list[PersonHere], dependencies=[Depends(reader)])
def people(house: House) -> Response:
    """Who may work on incidents."""
    return json_answer([_person(each) for each in house.registry.accounts() if acting_role(each.role) is not None])


@router.get(
    "/reignition-watches",
    operation_id="listReignitionWatches",
    response_model=list[ReignitionWatch],
    dependencies=[Depends(reader)],
)
def reignition_watches(house: House) -> Response:
    """Packs that are watched since their `critical` was closed, the watch that ends first at the front."""
    return json_answer(
        [
            {
                "alert_id": watch.alert_id,
                "pack_id": watch.pack_id,
                "unit_id": watch.unit_id,
                "provenance": watch.provenance,
                "level": watch.level,
                "from_ms": to_ms(watch.from_at),
                "until_ms": to_ms(watch.until_at),
                "released_by": watch.released_by,
                "releasing_authority": watch.releasing_authority,
            }
            for watch in house.registry.reignition_watches(house.now())
        ]
    )


@router.post(
    "/incidents/{incident_id}/take-on", operation_id="takeOnIncident", response_model=Incident, responses=_STEP
)
async def take_on(incident_id: IncidentKey, body: Version, account: Person, house: House) -> Response:
    """Work on it from now on, whoever did before."""
    hand = hand_of(account, house)
    return await _told(house.incident_desk.take_on(incident_id, hand, version=body.version), house)


@router.post(
    "/incidents/{incident_id}/hand-over", operation_id="handOverIncident", response_model=Incident, responses=_STEP
)
async def hand_over(incident_id: IncidentKey, body: HandOver, account: Person, house: House) -> Response:
    """Offer it to somebody else; who has it keeps it until that person accepts."""
    hand = hand_of(account, house)
    return await _told(house.incident_desk.hand_over(incident_id, hand, version=body.version, to=body.to), house)


@router.post("/incidents/{incident_id}/accept", operation_id="acceptIncident", response_model=Incident, responses=_STEP)
async def accept(incident_id: IncidentKey, body: Version, account: Person, house: House) -> Response:
    """Take what was offered to you."""
    hand = hand_of(account, house)
    return await _told(house.incident_desk.accept(incident_id, hand, version=body.version), house)


@router.post(
    "/incidents/{incident_id}/decline", operation_id="declineIncident", response_model=Incident, responses=_STEP
)
async def decline(incident_id: IncidentKey, body: Version, account: Person, house: House) -> Response:
    """Refuse what was offered to you, or take your offer back."""
    hand = hand_of(account, house)
    return await _told(house.incident_desk.decline(incident_id, hand, version=body.version), house)


@router.post(
    "/incidents/{incident_id}/comment", operation_id="commentIncident", response_model=Incident, responses=_STEP
)
async def comment(incident_id: IncidentKey, body: Remark, account: Person, house: House) -> Response:
    """Write down what was done: while nobody does, everyone is paged again."""
    hand = hand_of(account, house)
    return await _told(house.incident_desk.comment(incident_id, hand, body.comment.strip()), house)


@router.post("/incidents/{incident_id}/call", operation_id="noteIncidentCall", response_model=Incident, responses=_STEP)
async def call(incident_id: IncidentKey, body: Call, account: Person, house: House) -> Response:
    """Keep whom you called and what came of it. Only a call that was answered counts as something done."""
    hand = hand_of(account, house)
    step = house.incident_desk.call(incident_id, hand, to=body.to, outcome=body.outcome, note=body.note.strip())
    return await _told(step, house)


@router.post(
    "/incidents/{incident_id}/place", operation_id="noteIncidentPlace", response_model=Incident, responses=_STEP
)
async def place(incident_id: IncidentKey, body: Remark, account: Person, house: House) -> Response:
    """Keep where it is, as somebody there says: road, direction, mile marker, tunnel, people near."""
    hand = hand_of(account, house)
    return await _told(house.incident_desk.note_place(incident_id, hand, body.comment.strip()), house)


@router.post("/incidents/{incident_id}/close", operation_id="closeIncident", response_model=Incident, responses=_STEP)
async def close(incident_id: IncidentKey, body: Close, account: Person, house: House) -> Response:
    """End all of its alerts, with a reason; what was `critical` in the safety role only, naming who released it."""
    authority = body.authority.strip()
    hand = hand_of(account, house, releases=authority != "")
    closing = house.incident_desk.close(
        incident_id, hand, version=body.version, reason=body.reason.strip(), authority=authority
    )
    return await _told(closing, house)


async def _told(step: Awaitable[IncidentRecord], house: Context) -> Response:
    try:
        incident = await step
    except RefusedError as error:
        raise HTTPException(409, str(error)) from error
    house.board.note_incident_change()
    (row,) = await to_thread.run_sync(incident_rows, [incident], house)
    return json_answer(row)


def incident_rows(found: Sequence[IncidentRecord], house: Context) -> list[dict[str, Any]]:
    """Incidents as the API tells them."""
    alerts = house.registry.incident_alerts([each.incident_id for each in found])
    people = {each.account_id: _person(each) for each in house.registry.accounts()}
    return [
        {
            "incident_id": each.incident_id,
            "title": each.title,
            "cause": each.cause,
            "vehicle_id": each.vehicle_id,
            "provenance": each.provenance,
            "state": each.state,
            "level": each.level,
            "assigned_to": None if each.assigned_to is None else people.get(each.assigned_to),
            "handover_to": None if each.handover_to is None else people.get(each.handover_to),
            "opened_at_ms": to_ms(each.opened_at),
            "closed_at_ms": to_ms_or_none(each.closed_at),
            "closed_by": each.closed_by,
            "close_reason": each.close_reason,
            "releasing_authority": each.releasing_authority,
            "alerts": [
                alert_row(alert, house.board.vehicle_name(alert.gateway_id)) for alert in alerts[each.incident_id]
            ],
            "version": each.version,
        }
        for each in found
    ]


def _person(account: Account) -> dict[str, str]:
    return {"account_id": account.account_id, "display_name": account.display_name, "role": account.role}
