"""One time line of an incident: what was measured, told, seen and done, from a day before to weeks after."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Response

from dashboards.answers import json_answer, only_known_parameters, problems
from dashboards.context import Context, House
from dashboards.pack_history import read_pack
from dashboards.parameters import IncidentKey, Instant
from dashboards.review_models import Timeline
from dashboards.rows import to_ms as ms_of
from dashboards.sessions import reader
from dashboards.timeline import ItemKind, timeline
from registry.case_files import CaseFile

router = APIRouter(prefix="/api", tags=["review"], dependencies=[Depends(reader)])

SPAN_MAX_MS = 366 * 86_400_000
"""A year: no trip with its aftermath is longer. **assumed**"""
PACKS_DRAWN = 8
FIXES_TOLD = 500
ITEMS_MAX = 1_000


@router.get(
    "/incidents/{incident_id}/timeline",
    operation_id="getIncidentTimeline",
    response_model=Timeline,
    responses=problems(404, 422, 503),
    dependencies=[Depends(only_known_parameters)],
)
def incident_timeline(
    incident_id: IncidentKey,
    house: House,
    *,
    from_ms: Instant | None = None,
    to_ms: Instant | None = None,
    kind: Annotated[list[ItemKind] | None, Query()] = None,
    after: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=ITEMS_MAX)] = 500,
    points: Annotated[int, Query(ge=0, le=2000)] = 300,
) -> Response:
    """The items from `after` on, and the packs' samples in `points` buckets (0: none)."""
    case = house.registry.case_file(incident_id, house.now())
    start_ms = ms_of(case.start) if from_ms is None else from_ms
    end_ms = ms_of(case.end) + 1 if to_ms is None else to_ms
    if start_ms >= end_ms:
        raise HTTPException(422, "from_ms must be earlier than to_ms.")
    if end_ms - start_ms > SPAN_MAX_MS:
        raise HTTPException(422, "That is more than a year: ask for less at a time.")
    items = [item for item in timeline(case) if start_ms <= item.at_ms < end_ms and (kind is None or item.kind in kind)]
    page = items[after : after + limit]
    return json_answer(
        {
            "incident_id": incident_id,
            "title": case.incident.title,
            "provenance": case.incident.provenance,
            "first_ms": ms_of(case.start),
            "last_ms": ms_of(case.end),
            "from_ms": start_ms,
            "to_ms": end_ms,
            "packs": [pack.pack_id for pack in case.packs],
            "items": [asdict(item) for item in page],
            "more_after": after + limit if after + limit < len(items) else None,
            "series": _series(case, house, start_ms, end_ms, points) if points else {},
            "positions": _positions(case, house, start_ms, end_ms),
        }
    )


def _series(case: CaseFile, house: Context, start_ms: int, end_ms: int, points: int) -> dict[str, Any]:
    found = {}
    for pack in case.packs[:PACKS_DRAWN]:
        spans = [
            (unit_id, max(ms_of(start), start_ms), min(ms_of(end) + 1, end_ms))
            for unit_id, start, end in case.spans_of(pack.pack_id)
        ]
        spans = [span for span in spans if span[1] < span[2]]
        found[pack.pack_id] = read_pack(house.history, spans, points=points, labels=house.board.channel_labels)
    return found


def _positions(case: CaseFile, house: Context, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
    fixes = [fix for gateway in case.gateways for fix in house.history.positions(gateway.gateway_id, start_ms, end_ms)]
    fixes.sort(key=lambda fix: fix.fixed_at_ms)
    chosen = fixes[:: max(1, -(-len(fixes) // FIXES_TOLD))]
    return [
        {
            "gateway_id": fix.gateway_id,
            "at_ms": fix.fixed_at_ms,
            "latitude_deg": fix.latitude_deg,
            "longitude_deg": fix.longitude_deg,
            "speed_m_s": fix.speed_m_s,
        }
        for fix in chosen
    ]
