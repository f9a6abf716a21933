"""Drills: who was tested when, on which ways, and what came of it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from fastapi import Path as PathParameter

from dashboards.answers import json_answer, only_known_parameters, problems
from dashboards.context import House
from dashboards.paging_rows import drill_row
from dashboards.sessions import reader

router = APIRouter(prefix="/api", tags=["paging"])


@router.get(
    "/recipients/{recipient_id}/drills",
    operation_id="listDrills",
    responses=problems(404, 422),
    dependencies=[Depends(reader), Depends(only_known_parameters)],
)
def drills(
    recipient_id: Annotated[str, PathParameter(pattern=r"^[A-Za-z0-9_-]{1,64}$")],
    house: House,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """A person's drills, the latest first: on which ways, how each ended, and why."""
    house.registry.recipient(recipient_id, house.now())
    return json_answer([drill_row(drill) for drill in house.registry.drills(recipient_id, limit=limit)])
