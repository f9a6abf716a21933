"""What the map needs beside the board."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi import Path as PathParameter

from dashboards.answers import json_answer, problems
from dashboards.context import House
from dashboards.models import Milliseconds, Model
from dashboards.sessions import reader

router = APIRouter(prefix="/api", tags=["board"])


class MapStyle(Model):
    """Where the map's looks come from."""

    style: str | None
    """The address of a MapLibre style, or of raster tiles with {z}, {x} and {y}; null: the base map of the pages."""


class TrailPoint(Model):
    """Where a vehicle was."""

    fixed_at_ms: Milliseconds
    longitude_deg: float
    latitude_deg: float


@router.get("/map", operation_id="getMap", response_model=MapStyle, dependencies=[Depends(reader)])
async def map_style(house: House) -> Response:
    """Where the map's style or tiles are."""
    return json_answer({"style": house.map_style})


@router.get(
    "/gateways/{gateway_id}/trail",
    operation_id="getTrail",
    response_model=list[TrailPoint],
    responses=problems(),
    dependencies=[Depends(reader)],
)
async def trail(gateway_id: Annotated[str, PathParameter(pattern=r"^[A-Za-z0-9_-]{1,64}$")], house: House) -> Response:
    """Where the gateway's vehicle was in the last hour, oldest first; nothing of one that is not known."""
    return json_answer(
        [
            {"fixed_at_ms": at_ms, "longitude_deg": longitude_deg, "latitude_deg": latitude_deg}
            for at_ms, longitude_deg, latitude_deg in house.board.trail(gateway_id)
        ]
    )
