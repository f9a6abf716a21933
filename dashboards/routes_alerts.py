"""Alerts: their list, their lives, and what people do about them."""

from collections.abc import Awaitable
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Response

from dashboards.acting import hand_of
from dashboards.answers import json_answer, only_known_parameters, problems
from dashboards.bodies import Acknowledge, Close, Shelve, Version
from dashboards.context import Context, House
from dashboards.models import Alert, AlertEvent
from dashboards.parameters import AlertKey
from dashboards.rows import alert_row, to_ms, to_ms_or_none
from dashboards.sessions import Person, reader
from registry.errors import RefusedError
from registry.records import Alert as AlertRecord

router = APIRouter(prefix="/api", tags=["alerts"])


@router.get(
    "/alerts",
    operation_id="listAlerts",
    response_model=list[Alert],
    responses=problems(422),
    dependencies=[Depends(reader), Depends(only_known_parameters)],
)
def alerts(
    house: House,
    pack_id: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> Response:
    """Alerts of all packs or of one, open and closed, newest first."""
    found = house.registry.alerts(pack_id=pack_id, limit=limit, offset=offset)
    return json_answer([alert_row(alert, house.board.vehicle_name(alert.gateway_id)) for alert in found])


@router.get(
    "/alerts/{alert_id}/events",
    operation_id="listAlertEvents",
    response_model=list[AlertEvent],
    responses=problems(404),
    dependencies=[Depends(reader)],
)
def alert_events(alert_id: AlertKey, house: House) -> Response:
    """One alert's history, oldest step first."""
    return json_answer(
        [
            {
                "alert_id": event.alert_id,
                "at_ms": to_ms(event.at),
                "sampled_at_ms": to_ms_or_none(event.sampled_at),
                "action": event.action,
                "from_state": event.from_state,
                "to_state": event.to_state,
                "level": event.level,
                "actor": event.actor,
                "actor_role": event.actor_role,
                "comment": event.comment,
                "reasons": event.reasons,
            }
            for event in house.registry.alert_events(alert_id)
        ]
    )


_STEP = problems(403, 404, 409, 422)


@router.post("/alerts/{alert_id}/acknowledge", operation_id="acknowledgeAlert", response_model=Alert, responses=_STEP)
async def acknowledge(alert_id: AlertKey, body: Acknowledge, account: Person, house: House) -> Response:
    """Say, in your role, that the alert was seen: that silences no other role.

    409 when it changed after `version`, or your role has acknowledged it already.
    """
    hand = hand_of(account, house)
    step = house.alert_desk.acknowledge(
        alert_id, version=body.version, by=hand.by, role=hand.role, comment=body.comment or "", now=hand.now
    )
    return await _told(step, house)


@router.post("/alerts/{alert_id}/close", operation_id="closeAlert", response_model=Alert, responses=_STEP)
async def close(alert_id: AlertKey, body: Close, account: Person, house: House) -> Response:
    """End the alert, with a reason; what was `critical` in the safety role only, naming who released the load.

    409 when it changed after `version`, is closed already, or is not yours to close.
    """
    authority = body.authority.strip()
    hand = hand_of(account, house, releases=authority != "")
    step = house.alert_desk.close_alert(
        alert_id,
        version=body.version,
        by=hand.by,
        role=hand.role,
        reason=body.reason.strip(),
        authority=authority,
        now=hand.now,
    )
    return await _told(step, house)


@router.post("/alerts/{alert_id}/shelve", operation_id="shelveAlert", response_model=Alert, responses=_STEP)
async def shelve(alert_id: AlertKey, body: Shelve, account: Person, house: House) -> Response:
    """Hear no more of it for a while, unless it rises. 409, with the rule's reason, where that may not be."""
    hand = hand_of(account, house)
    step = house.alert_desk.shelve(
        alert_id,
        version=body.version,
        by=hand.by,
        role=hand.role,
        reason=body.reason.strip(),
        until=hand.now + timedelta(minutes=body.minutes),
        now=hand.now,
    )
    return await _told(step, house)


@router.post("/alerts/{alert_id}/unshelve", operation_id="unshelveAlert", response_model=Alert, responses=_STEP)
async def unshelve(alert_id: AlertKey, body: Version, account: Person, house: House) -> Response:
    """Take it off its shelf."""
    hand = hand_of(account, house)
    step = house.alert_desk.unshelve(alert_id, version=body.version, by=hand.by, role=hand.role, now=hand.now)
    return await _told(step, house)


async def _told(step: Awaitable[AlertRecord], house: Context) -> Response:
    try:
        alert = await step
    except RefusedError as error:
        raise HTTPException(409, str(error)) from error
    house.board.observe_alert(alert)  # a board that was not told yet shows it at once
    return json_answer(alert_row(alert, house.board.vehicle_name(alert.gateway_id)))
