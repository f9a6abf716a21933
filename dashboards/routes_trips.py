"""Trips, for whoever sends drivers off: open one, hand out its link, sign custody."""

from typing import Annotated

import segno
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi import Path as PathParameter

from dashboards.acting import hand_of
from dashboards.answers import json_answer, only_known_parameters, problems
from dashboards.bodies import CustodySigned, TripOpening
from dashboards.context import Context, House
from dashboards.rows import to_ms, to_ms_or_none
from dashboards.sessions import Person, reader
from dashboards.trip_models import TripLink, TripRow
from dashboards.trips import new_nonce, open_trip
from registry.accounts import account_actor
from registry.errors import RefusedError
from registry.trip_records import Trip

router = APIRouter(prefix="/api/trips", tags=["trips"])

TripKey = Annotated[str, PathParameter(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


@router.get(
    "",
    operation_id="listTrips",
    response_model=list[TripRow],
    responses=problems(422),
    dependencies=[Depends(reader), Depends(only_known_parameters)],
)
def trips(house: House) -> Response:
    """All trips that are not closed, the first opened in front."""
    house.registry.close_trips_that_are_over(house.now())
    return json_answer([trip_row(trip, house) for trip in house.registry.open_trips()])


@router.post("", operation_id="openTrip", response_model=TripLink, responses=problems(403, 404, 409, 422))
def open_one(body: TripOpening, account: Person, request: Request, house: House) -> Response:
    """Open a trip; the answer holds the driver's link. 409 while the vehicle is on another one."""
    hand_of(account, house)
    house.registry.close_trips_that_are_over(house.now())
    trip = open_trip(house.registry, now=house.now(), by=account_actor(account), **body.model_dump())
    return _link(trip, request, house)


@router.post(
    "/{trip_id}/link", operation_id="renewTripLink", response_model=TripLink, responses=problems(403, 404, 409)
)
def renew(trip_id: TripKey, account: Person, request: Request, house: House) -> Response:
    """A new link for the trip; the one before opens nothing any more."""
    hand_of(account, house)
    try:
        trip = house.registry.renew_trip_link(trip_id, new_nonce(), house.now(), by=account_actor(account))
    except RefusedError as error:
        raise HTTPException(409, str(error)) from error
    return _link(trip, request, house)


@router.post(
    "/{trip_id}/custody", operation_id="signCustody", response_model=TripRow, responses=problems(403, 404, 409, 422)
)
def sign_custody(trip_id: TripKey, body: CustodySigned, account: Person, house: House) -> Response:
    """Somebody else has the load. The trip ends now, or with the vehicle's last open incident."""
    hand_of(account, house)
    try:
        trip = house.registry.sign_custody(trip_id, body.signed_by.strip(), house.now(), by=account_actor(account))
    except RefusedError as error:
        raise HTTPException(409, str(error)) from error
    return json_answer(trip_row(trip, house))


def trip_row(trip: Trip, house: Context) -> dict[str, object]:
    """A trip without its secrets."""
    return {
        "trip_id": trip.trip_id,
        "vehicle_id": trip.vehicle_id,
        "driver_name": trip.driver_name,
        "language": trip.language,
        "phone": trip.phone,
        "opened_at_ms": to_ms(trip.opened_at),
        "link_until_ms": to_ms(trip.link_until),
        "situation": trip.situation,
        "custody_signed_by": trip.custody_signed_by,
        "custody_signed_at_ms": to_ms_or_none(trip.custody_signed_at),
        "closed_at_ms": to_ms_or_none(trip.closed_at),
        "draft_texts": house.trips.phrases.is_draft(trip.language),
    }


def _link(trip: Trip, request: Request, house: Context) -> Response:
    path = house.trips.links.path(trip)
    base = request.headers.get("origin") or str(request.base_url).rstrip("/")
    code = segno.make(f"{base}{path}", error="m")
    return json_answer({"trip": trip_row(trip, house), "path": path, "qr_uri": code.svg_data_uri(scale=4, border=4)})
