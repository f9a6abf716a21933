"""A store's reading side over HTTP, for the services that run beside the one that owns it (client: history.py)."""

from __future__ import annotations

import hmac
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, FastAPI, Header, HTTPException, Query
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel
from starlette.background import BackgroundTask

from ingest.stores.contract import ExportFormat, HotDay, StoreError, UnitSpan
from packwatch.history import SUMMARY_HEADER, encode_series
from telemetry.samples import PositionFix  # noqa: TC001 - FastAPI reads the annotation

if TYPE_CHECKING:
    from ingest.stores.contract import TelemetryStore


class ExportRequest(BaseModel):
    """Which spans, in which format."""

    spans: list[tuple[str, int, int]]
    file_format: ExportFormat


def history_app(store: TelemetryStore, token: str) -> FastAPI:  # noqa: C901 - one function a path
    """The store's reading side. Every path but /healthz asks for `Authorization: Bearer <token>`."""
    app = FastAPI(title="Packwatch history", openapi_url=None, docs_url=None, redoc_url=None)

    def authorised(authorization: Annotated[str, Header()] = "") -> None:
        if not hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
            raise HTTPException(401, "the history token is missing or wrong")

    @app.exception_handler(StoreError)
    async def unavailable(_request: object, error: StoreError) -> Response:
        return Response(json.dumps({"detail": str(error)}), 503, media_type="application/json")

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/history/series", dependencies=[Depends(authorised)])
    def series(unit_id: str, start_ms: int, end_ms: int, points: Annotated[int, Query(ge=1, le=100_000)]) -> Response:
        found = store.read(unit_id, start_ms, end_ms, points)
        return Response(encode_series(found), media_type="application/octet-stream")

    @app.get("/history/latest", dependencies=[Depends(authorised)])
    def latest(unit_id: str) -> dict[str, int | None]:
        return {"at_ms": store.latest_at(unit_id)}

    @app.get("/history/hot-days", dependencies=[Depends(authorised)])
    def hot_days(
        above_c: float, start_ms: int, end_ms: int, limit: Annotated[int, Query(ge=1, le=100_000)]
    ) -> list[HotDay]:
        return list(store.hot_days(above_c, start_ms, end_ms, limit))

    @app.get("/history/positions", dependencies=[Depends(authorised)])
    def positions(gateway_id: str, start_ms: int, end_ms: int) -> list[PositionFix]:
        return list(store.positions(gateway_id, start_ms, end_ms))

    @app.post("/history/export", dependencies=[Depends(authorised)])
    def export(request: ExportRequest) -> FileResponse:
        with tempfile.NamedTemporaryFile(delete=False, suffix=f".{request.file_format}") as file:
            path = Path(file.name)
        try:
            summary = store.export([UnitSpan(*span) for span in request.spans], path, request.file_format)
        except BaseException:
            path.unlink()
            raise
        head = {"rows": summary.rows, "columns": summary.columns, "provenances": sorted(summary.provenances)}
        return FileResponse(path, headers={SUMMARY_HEADER: json.dumps(head)}, background=BackgroundTask(path.unlink))

    return app
