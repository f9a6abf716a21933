"""One pack: its record, its history, and its file to take away."""

import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, BinaryIO

import numpy as np
from anyio import to_thread
from fastapi import APIRouter, Depends, HTTPException, Query, Response
from fastapi.responses import StreamingResponse

from dashboards.answers import json_answer, only_known_parameters, problems
from dashboards.context import Context, House
from dashboards.models import PackDetail, PackJudgement, PackRecord, PackSeries
from dashboards.pack_history import read_pack
from dashboards.parameters import Instant, PackKey
from dashboards.ports import FileFormat, Span
from dashboards.rows import alert_row
from dashboards.sessions import reader
from registry.errors import NotFoundError

router = APIRouter(prefix="/api", tags=["packs"], dependencies=[Depends(reader)])

UNIT_PREFIX = "unit:"
DEFAULT_SPAN_MS = 3_600_000
ALERTS_SHOWN = 200
_PIECE_BYTES = 256 * 1024

PackQuery = Annotated[str, Query(pattern=r"^(unit:)?[A-Za-z0-9_-]{1,64}$", examples=["pack-07"])]


@router.get("/packs/{pack_id}", operation_id="getPack", response_model=PackDetail, responses=problems(404))
async def pack(pack_id: PackKey, house: House) -> Response:
    """A pack's record, its row on the board, and its last alerts."""
    row = house.board.pack(pack_id, house.now_ms())
    if pack_id.startswith(UNIT_PREFIX):
        if row is None:
            raise _not_reporting(pack_id)
        return json_answer({"pack": None, "row": row, "alerts": []})

    def known() -> dict[str, object]:
        record = house.registry.pack(pack_id)
        alerts = house.registry.alerts(pack_id=pack_id, limit=ALERTS_SHOWN)
        return {
            "pack": {name: getattr(record, name) for name in PackRecord.model_fields},
            "alerts": [alert_row(alert, house.board.vehicle_name(alert.gateway_id)) for alert in alerts],
        }

    return json_answer({"row": row, **await to_thread.run_sync(known)})


@router.get(
    "/packs/{pack_id}/series",
    operation_id="getPackSeries",
    response_model=PackSeries,
    responses=problems(404, 422, 503),
    dependencies=[Depends(only_known_parameters)],
)
def series(
    pack_id: PackKey,
    house: House,
    from_ms: Instant | None = None,
    to_ms: Instant | None = None,
    points: Annotated[int, Query(ge=1, le=5000)] = 1000,
) -> Response:
    """Lowest, mean and highest of each channel in at most `points` buckets; the last hour where no time is given."""
    start_ms, end_ms = _span(from_ms, to_ms, house, default_ms=DEFAULT_SPAN_MS)
    spans = _unit_spans(house, pack_id, start_ms, end_ms)
    found = read_pack(house.history, spans, points=points, labels=house.board.channel_labels)
    return json_answer({"from_ms": start_ms, "to_ms": end_ms, **found})


@router.get(
    "/packs/{pack_id}/judgement",
    operation_id="getPackJudgement",
    response_model=PackJudgement,
    responses=problems(404, 422, 503),
    dependencies=[Depends(only_known_parameters)],
)
def judgement(
    pack_id: PackKey,
    house: House,
    from_ms: Instant | None = None,
    to_ms: Instant | None = None,
    points: Annotated[int, Query(ge=1, le=1500)] = 1000,
) -> Response:
    """What is expected of each probe, and how far it stands off, by the rules in force; the last hour by default.

    Judged are the samples, or the means of at most `points` buckets, after six hours before them: of the unit that
    watched the pack last in that time.
    """
    if house.expectations is None:
        raise HTTPException(503, "This process judges no samples again.")
    start_ms, end_ms = _span(from_ms, to_ms, house, default_ms=DEFAULT_SPAN_MS)
    spans = _unit_spans(house, pack_id, start_ms, end_ms)
    answer: dict[str, object] = {"from_ms": start_ms, "to_ms": end_ms}
    if not spans:
        empty = dict.fromkeys(("t_ms", "level", "expected", "above_others", "above_others_sigmas"), ())
        return json_answer({**answer, "unit_id": None, "rules_version": None, **empty})
    pack = None if pack_id.startswith(UNIT_PREFIX) else house.registry.pack(pack_id)
    judged = house.expectations.judge(pack, max(spans, key=lambda span: span[2]), points)
    return json_answer(
        answer
        | {
            "unit_id": judged.unit_id,
            "rules_version": judged.rules_version,
            "t_ms": judged.at_ms,
            "level": judged.levels,
            "expected": np.ascontiguousarray(judged.expected_c.T),
            "above_others": np.ascontiguousarray(judged.above_others_c.T),
            "above_others_sigmas": np.ascontiguousarray(judged.above_others_sigmas.T),
        }
    )


@router.get(
    "/export",
    operation_id="exportPack",
    response_class=StreamingResponse,
    responses={
        **problems(404, 422, 503),
        200: {"description": "The file", "content": {"text/csv": {}, "application/vnd.apache.parquet": {}}},
    },
    dependencies=[Depends(only_known_parameters)],
)
async def export(
    pack_id: PackQuery,
    house: House,
    from_ms: Instant | None = None,
    to_ms: Instant | None = None,
    format: FileFormat = "csv",  # noqa: A002 - the name in the URL
) -> Response:
    """Every sample of a pack as a file: `sampled_at` in UTC, then the channels. Left out, a time bounds nothing."""
    start_ms, end_ms = _span(from_ms, to_ms, house, default_ms=None)
    spans = await to_thread.run_sync(_unit_spans, house, pack_id, start_ms, end_ms)
    if not spans:
        raise HTTPException(404, f"No unit watched {pack_id} in that time: there is nothing to export.")
    if house.exports.locked():
        raise HTTPException(503, "Other exports are being written: try again in a minute.", {"retry-after": "30"})
    async with house.exports:
        file = await to_thread.run_sync(_written, house, spans, format)
    media_type = "text/csv; charset=utf-8" if format == "csv" else "application/vnd.apache.parquet"
    name = f"{pack_id.replace(':', '-')}_{_file_time(start_ms)}_{_file_time(end_ms)}.{format}"
    headers = {
        "content-disposition": f'attachment; filename="{name}"',
        "content-length": str(os.fstat(file.fileno()).st_size),
    }
    return StreamingResponse(_pieces(file), media_type=media_type, headers=headers)


def _span(from_ms: int | None, to_ms: int | None, house: Context, *, default_ms: int | None) -> tuple[int, int]:
    end_ms = house.now_ms() + 1 if to_ms is None else to_ms
    start_ms = from_ms if from_ms is not None else 0 if default_ms is None else max(0, end_ms - default_ms)
    if start_ms >= end_ms:
        raise HTTPException(422, "from_ms must be earlier than to_ms.")
    return start_ms, end_ms


def _unit_spans(house: Context, pack_id: str, start_ms: int, end_ms: int) -> Sequence[Span]:
    """Which unit watched the pack when, within [start, end). Raises NotFoundError for an unknown pack. Blocks."""
    if pack_id.startswith(UNIT_PREFIX):
        if not house.board.has_row(pack_id):
            raise _not_reporting(pack_id)
        return [(pack_id.removeprefix(UNIT_PREFIX), start_ms, end_ms)]
    house.registry.pack(pack_id)
    start, end = (datetime.fromtimestamp(at_ms / 1000, UTC) for at_ms in (start_ms, end_ms))
    spans = house.registry.units_of_pack(pack_id, start, end)
    return [(span.unit_id, round(span.start.timestamp() * 1000), round(span.end.timestamp() * 1000)) for span in spans]


def _not_reporting(pack_id: str) -> NotFoundError:
    return NotFoundError(f"unit {pack_id.removeprefix(UNIT_PREFIX)} has not reported lately, or watches a pack now")


def _written(house: Context, spans: Sequence[Span], file_format: FileFormat) -> BinaryIO:
    """The export as an open file that has no name any more: it is gone with its last reader, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="packwatch-export-") as folder:
        path = Path(folder, f"export.{file_format}")
        house.history.export(spans, path, file_format)
        return path.open("rb")


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while piece := await to_thread.run_sync(file.read, _PIECE_BYTES):
            yield piece


def _file_time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
