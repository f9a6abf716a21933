"""Searches over history: all trips of a pack, all incidents of a chemistry, all packs that ever exceeded a heat."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Response

from dashboards.answers import json_answer, only_known_parameters, problems
from dashboards.context import House
from dashboards.hot_packs import hot_packs
from dashboards.incident_models import Incident
from dashboards.models import HotPack, TripOfPack
from dashboards.parameters import TIME_MAX_MS, Instant, PackKey
from dashboards.routes_incidents import incident_rows
from dashboards.rows import to_ms, to_ms_or_none
from dashboards.sessions import reader
from registry.kinds import Chemistry

router = APIRouter(prefix="/api", tags=["search"], dependencies=[Depends(reader), Depends(only_known_parameters)])


@router.get(
    "/packs/{pack_id}/trips",
    operation_id="listTripsOfPack",
    response_model=list[TripOfPack],
    responses=problems(404),
)
def trips(pack_id: PackKey, house: House) -> Response:
    """All trips of vehicles that carried the pack, newest first."""
    return json_answer(
        [
            {
                "trip_id": trip.trip_id,
                "vehicle_id": trip.vehicle_id,
                "driver_name": trip.driver_name,
                "opened_at_ms": to_ms(trip.opened_at),
                "closed_at_ms": to_ms_or_none(trip.closed_at),
            }
            for trip in house.registry.trips_of_pack(pack_id)
        ]
    )


@router.get(
    "/search/incidents",
    operation_id="searchIncidents",
    response_model=list[Incident],
    responses=problems(422),
)
def incidents(
    house: House,
    chemistry: Chemistry,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> Response:
    """Incidents with packs of a chemistry, those that opened last first."""
    found = house.registry.incidents_of_chemistry(chemistry, limit=limit, offset=offset)
    return json_answer(incident_rows(found, house))


@router.get(
    "/search/hot-packs",
    operation_id="searchHotPacks",
    response_model=list[HotPack],
    responses=problems(422, 503),
)
async def packs_above(
    house: House,
    above_c: Annotated[float, Query(ge=-50, le=1700, allow_inf_nan=False, examples=[60.0])],
    from_ms: Instant = 0,
    to_ms: Instant = TIME_MAX_MS,
) -> Response:
    """Packs that ever were above a temperature, hottest first, with their hottest day; days are UTC.

    Looks at the 10,000 hottest days of all units.
    """
    return json_answer(await to_thread.run_sync(hot_packs, house.history, house.registry, above_c, from_ms, to_ms))
