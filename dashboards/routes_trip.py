"""The driver's page: what it shows, and the little that a driver says. Opened by a trip's link, without a password."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, HTTPException, Request, Response

from dashboards.answers import json_answer, only_known_parameters, problem, problems
from dashboards.board import VehicleView
from dashboards.bodies import SituationSaid, TripAcknowledge
from dashboards.context import Context, House, context
from dashboards.models import Alert
from dashboards.motion import MOVING_FROM_M_S, situation_of
from dashboards.rows import VehicleRow, alert_row, to_ms, to_ms_or_none
from dashboards.signed_links import LinkRefusedError
from dashboards.trip_models import TripState, TripTexts
from dashboards.trip_state import fresh_at_ms, trip_stage, waits_for_driver
from dashboards.tunnels import situation_there
from registry.errors import RefusedError
from registry.kinds import Level, Role
from registry.response_kinds import Language, Situation, Stage
from registry.trip_records import Trip
from registry.trips import recipient_of_trip
from telemetry.samples import Provenance

router = APIRouter(prefix="/api/trip", tags=["trip"])

ON_THE_ROAD = frozenset({Situation.DRIVING, Situation.TUNNEL})
"""Where nothing is shown to read (49 CFR 392.80)."""
SCHEME = "Trip "
"""Of the Authorization header: no browser sends it by itself."""
_STATUS_OF = {"forged": 401, "expired": 410, "closed": 410, "renewed": 410, "unknown": 410, "other trip": 403}


async def driven(request: Request, house: Annotated[Context, Depends(context)]) -> Trip:
    """The open trip whose link the request carries; 401 for a forged link, 410 for one that is over."""
    sent = request.headers.get("authorization", "")
    token = sent[len(SCHEME) :] if sent.startswith(SCHEME) else ""
    try:
        return await to_thread.run_sync(house.trips.links.trip, token, house.registry, house.now())
    except LinkRefusedError as error:
        raise refused(error) from error


Driven = Annotated[Trip, Depends(driven)]


def refused(error: LinkRefusedError) -> HTTPException:
    """The answer to a link that opens nothing."""
    return HTTPException(_STATUS_OF[error.reason], str(error), {"x-packwatch-refusal": error.reason})


def situation_now(trip: Trip | None, view: VehicleView, now_ms: int) -> Situation:
    """Where the driver is, as far as anybody knows: driving, wherever nothing says otherwise."""
    place = _last_place(view)
    said = None if trip is None else trip.situation
    said_at_ms = None if trip is None else to_ms_or_none(trip.situation_at)
    return situation_there(
        situation_of(view.motion, said=said, said_at_ms=said_at_ms, now_ms=now_ms),
        None if place is None else place.tunnel,
    )


def _last_place(view: VehicleView) -> VehicleRow | None:
    fixed = [row for row in view.vehicles if row.fixed_at_ms is not None]
    return max(fixed, key=lambda row: row.fixed_at_ms or 0, default=None)


@router.get(
    "/state",
    operation_id="getTripState",
    response_model=TripState,
    responses=problems(410),
    dependencies=[Depends(driven), Depends(only_known_parameters)],
)
async def state(trip: Driven, house: House) -> Response:
    """The whole vehicle in one stage and one situation, with the times that tell how fresh they are."""
    now_ms = house.now_ms()
    view = house.board.vehicle(trip.vehicle_id, now_ms)
    paper = await to_thread.run_sync(house.registry.emergency_number_of_vehicle, trip.vehicle_id)
    deaf = house.health() is not None  # nobody evaluates: what the board shows is not fresh
    online = any(row.online for row in view.vehicles) and not deaf
    fresh_ms = [fresh_at_ms(row) for row, _ in view.packs]
    known_ms = [at_ms for at_ms in fresh_ms if at_ms is not None]
    stage = trip_stage(view.packs, online=online, now_ms=now_ms)
    if deaf and stage in (Stage.NORMAL, Stage.WATCH):
        stage = Stage.NO_DATA
    where = _last_place(view)
    situation = situation_now(trip, view, now_ms)
    registry, me = house.registry, recipient_of_trip(trip)
    asked = () if situation in ON_THE_ROAD else await to_thread.run_sync(registry.guardianships_asked, me)
    return json_answer(
        {
            "now_ms": now_ms,
            "trip_id": trip.trip_id,
            "driver_name": trip.driver_name,
            "language": trip.language,
            "vehicle_name": next((row.name for row in view.vehicles), trip.vehicle_id),
            "custody_signed": trip.custody_signed_at is not None,
            "stage": stage,
            "situation": situation,
            "moving": view.motion is not None and view.motion.moving,
            "evaluated_at_ms": min(known_ms) if known_ms and len(known_ms) == len(fresh_ms) else None,
            "simulation": any(row.provenance not in (None, Provenance.MEASURED) for row, _ in view.packs),
            "unacknowledged": [
                {"alert_id": alert.alert_id, "version": alert.version, "level": alert.level}
                for _, alerts in view.packs
                for alert in alerts
                if alert.level.rank >= Level.WARNING.rank and waits_for_driver(alert)
            ],
            "position": None
            if where is None
            else {
                "latitude_deg": where.latitude_deg,
                "longitude_deg": where.longitude_deg,
                "fixed_at_ms": where.fixed_at_ms,
            },
            "emergency_number": paper or trip.emergency_number,
            "dispatch_number": trip.dispatch_number,
            "guardianships": [
                {"guardian_id": guardian.id, "vehicle_name": name, "proposed_by": guardian.proposed_by}
                for guardian, name in asked
            ],
        }
    )


@router.get("/texts", operation_id="getTripTexts", response_model=TripTexts, responses=problems(410))
def texts(_trip: Driven, house: House) -> Response:
    """The whole response table, which the page keeps for when it is offline. Whether it is a draft is for staff."""
    phrases = house.trips.phrases
    return json_answer(
        {
            "version": phrases.version,
            "push_key": house.push_key,
            "texts": {
                str(language): {
                    str(stage): {str(situation): phrases.said(stage, situation, language) for situation in Situation}
                    for stage in Stage
                }
                for language in Language
            },
        }
    )


@router.post(
    "/acknowledge",
    operation_id="acknowledgeAsDriver",
    response_model=Alert,
    responses=problems(403, 404, 409, 410, 422),
)
async def acknowledge(body: TripAcknowledge, trip: Driven, house: House) -> Response:
    """The driver has seen it. It stops nobody else's paging.

    409 when the alert changed after `version`: a request that is sent again does nothing. 403 for what the vehicle
    does not carry.
    """
    carried = house.board.vehicle(trip.vehicle_id, house.now_ms()).packs
    if not any(alert.alert_id == body.alert_id for _, alerts in carried for alert in alerts):
        text = "That alert is not of this trip's vehicle: your page shows the ones that are."
        raise refused(house.trips.links.refuse("other trip", text))
    try:
        alert = await house.alert_desk.acknowledge(
            body.alert_id, version=body.version, by=trip.driver_name, role=Role.DRIVER, comment="", now=house.now()
        )
    except RefusedError as error:
        raise HTTPException(409, str(error)) from error
    house.board.observe_alert(alert)
    return json_answer(alert_row(alert, house.board.vehicle_name(alert.gateway_id)))


@router.post("/situation", operation_id="saySituation", responses=problems(409, 410, 422))
async def situation(body: SituationSaid, trip: Driven, house: House) -> Response:
    """The driver says where they are. 409 while the vehicle moves: who drives has not parked."""
    view = house.board.vehicle(trip.vehicle_id, house.now_ms())
    if body.situation is not Situation.DRIVING and view.motion is not None and view.motion.moving:
        fresh = house.now_ms() - view.motion.fixed_at_ms <= 60_000
        if fresh:
            return problem(409, f"The vehicle moves (above {MOVING_FROM_M_S:g} m/s at its newest fix).")
    changed = await to_thread.run_sync(house.registry.set_trip_situation, trip.trip_id, body.situation, house.now())
    return json_answer({"situation": changed.situation, "said_at_ms": to_ms(house.now())})
