"""What ingest could not take, for the page that shows it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from dashboards.answers import json_answer, only_known_parameters, problems
from dashboards.context import House
from dashboards.models import QuarantinePage
from dashboards.rows import to_ms
from dashboards.sessions import reader

router = APIRouter(prefix="/api", tags=["intake"], dependencies=[Depends(reader)])

PREVIEW_BYTES = 256


@router.get(
    "/quarantine",
    operation_id="listQuarantine",
    response_model=QuarantinePage,
    responses=problems(422),
    dependencies=[Depends(only_known_parameters)],
)
def quarantine(
    house: House,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Response:
    """What was refused and why, newest first. Texts are as the wire brought them: data, never markup."""
    counts = house.registry.quarantine_counts()
    entries = [
        {
            "id": entry.id,
            "received_at_ms": to_ms(entry.received_at),
            "reason": entry.reason,
            "detail": entry.detail,
            "topic": entry.topic,
            "fleet_id": entry.fleet_id,
            "gateway_id": entry.gateway_id,
            "unit_id": entry.unit_id,
            "payload_size": entry.payload_size,
            "payload_preview_hex": entry.payload[:PREVIEW_BYTES].hex(),
        }
        for entry in house.registry.quarantine(limit=limit, offset=offset)
    ]
    return json_answer({"entries": entries, "counts": counts, "total": sum(counts.values())})
