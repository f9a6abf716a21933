"""What a driver answers who was asked to be called first about a vehicle. Never while driving."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Response
from fastapi import Path as PathParameter

from dashboards.answers import json_answer, problems
from dashboards.context import Context, House
from dashboards.paging_rows import guardian_row
from dashboards.routes_trip import ON_THE_ROAD, Driven, situation_now
from registry.errors import RefusedError
from registry.trip_records import Trip
from registry.trips import driver_of, recipient_of_trip

router = APIRouter(prefix="/api/trip/guardianships", tags=["trip"])

GuardianId = Annotated[int, PathParameter(ge=1, le=2**53)]
_ANSWERS = problems(404, 409, 410, 422)


@router.post("/{guardian_id}/accept", operation_id="acceptGuardianshipAsDriver", responses=_ANSWERS)
def accept(guardian_id: GuardianId, trip: Driven, house: House) -> Response:
    """The driver is called first about it from now on. 409 while driving, and without a phone proved in 31 days."""
    _asked(guardian_id, trip, house)
    try:
        guardian = house.registry.accept_guardian(guardian_id, house.now(), by=driver_of(trip))
    except RefusedError as error:
        raise HTTPException(409, str(error)) from error
    return json_answer(guardian_row(guardian))


@router.post("/{guardian_id}/decline", operation_id="declineGuardianshipAsDriver", responses=_ANSWERS)
def decline(guardian_id: GuardianId, trip: Driven, house: House) -> Response:
    """The driver says no; whoever has it keeps it. 409 while driving."""
    _asked(guardian_id, trip, house)
    try:
        guardian = house.registry.decline_guardian(guardian_id, house.now(), by=driver_of(trip))
    except RefusedError as error:
        raise HTTPException(409, str(error)) from error
    return json_answer(guardian_row(guardian))


def _asked(guardian_id: int, trip: Trip, house: Context) -> None:
    now_ms = house.now_ms()
    if situation_now(trip, house.board.vehicle(trip.vehicle_id, now_ms), now_ms) in ON_THE_ROAD:
        raise HTTPException(409, "You may be driving: park first.")
    asked = house.registry.guardianships_asked(recipient_of_trip(trip))
    if all(guardian.id != guardian_id for guardian, _ in asked):
        raise HTTPException(404, "You were not asked by that number, or it was withdrawn.")
