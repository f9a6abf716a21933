"""Alerts: their list, their lives, and what people do about them."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Response
from fastapi import Path as PathParameter

from dashboards.answers import json_answer, only_known_parameters, problems
from dashboards.bodies import Acknowledge, Close
from dashboards.context import Context, House
from dashboards.models import Alert, AlertEvent
from dashboards.rows import alert_row, to_ms, to_ms_or_none
from dashboards.sessions import Person, reader
from registry.errors import RefusedError
from registry.records import Account
from registry.records import Alert as AlertRecord

router = APIRouter(prefix="/api", tags=["alerts"])

AlertKey = Annotated[str, PathParameter(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


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
                "comment": event.comment,
                "reasons": event.reasons,
            }
            for event in house.registry.alert_events(alert_id)
        ]
    )


@router.post(
    "/alerts/{alert_id}/acknowledge",
    operation_id="acknowledgeAlert",
    response_model=Alert,
    responses=problems(404, 409, 422),
)
async def acknowledge(alert_id: AlertKey, body: Acknowledge, account: Person, house: House) -> Response:
    """Say that the alert was seen. 409 when it changed after `version`, or cannot be acknowledged any more."""
    try:
        alert = await house.alert_desk.acknowledge(
            alert_id, version=body.version, by=_signature(account), comment=body.comment or "", now=house.now()
        )
    except RefusedError as error:
        raise HTTPException(409, str(error)) from error
    return _told(alert, house)


@router.post(
    "/alerts/{alert_id}/close", operation_id="closeAlert", response_model=Alert, responses=problems(404, 409, 422)
)
async def close(alert_id: AlertKey, body: Close, account: Person, house: House) -> Response:
    """End the alert, with a reason. 409 when it changed after `version`, or is closed already."""
    try:
        alert = await house.alert_desk.close_alert(
            alert_id, version=body.version, by=_signature(account), reason=body.reason.strip(), now=house.now()
        )
    except RefusedError as error:
        raise HTTPException(409, str(error)) from error
    return _told(alert, house)


def _told(alert: AlertRecord, house: Context) -> Response:
    house.board.observe_alert(alert)  # a board that was not told yet shows it at once
    return json_answer(alert_row(alert, house.board.vehicle_name(alert.gateway_id)))


def _signature(account: Account) -> str:
    """Who did it, as evidence names a person: two may share a display name."""
    if account.display_name.casefold() == account.name:
        return account.display_name
    return f"{account.display_name} ({account.name})"
