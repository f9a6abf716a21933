"""The embedded store served over HTTP: DuckDB's file belongs to one process, so `packwatch ingest` answers for it."""

from __future__ import annotations

import hmac
import io
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import numpy as np
from fastapi import Depends, FastAPI, Header, HTTPException, Query
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel
from starlette.background import BackgroundTask

from ingest.stores.contract import (
    Band,
    ExportFormat,
    ExportSummary,
    Series,
    StoreError,
    StoreUnavailableError,
    UnitSpan,
)
from packwatch.credentials import Credentials
from telemetry.samples import SINGLE_CHANNELS, PositionFix, Provenance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ingest.stores.contract import TelemetryStore
    from packwatch.settings import Settings

_BAND_PARTS = ("minimum", "mean", "maximum")
_SUMMARY_HEADER = "X-Packwatch-Export"


class ExportRequest(BaseModel):
    """Which spans, in which format."""

    spans: list[tuple[str, int, int]]
    file_format: ExportFormat


def history_token(settings: Settings) -> str:
    """What the history is asked with: the setting, else the data directory's service token."""
    if settings.history_token is not None:
        return settings.history_token.get_secret_value()
    return Credentials(settings.data_dir / "credentials").service_token


def encode_series(series: Series) -> bytes:
    """A Series as a numpy archive, without pickles."""
    bands = {"temperatures_c": series.temperatures_c, "voltages_v": series.voltages_v, **series.singles}
    head = {
        "unit_id": series.unit_id,
        "start_ms": series.start_ms,
        "end_ms": series.end_ms,
        "raw": series.raw,
        "rows": series.rows,
        "provenances": sorted(series.provenances),
    }
    arrays: dict[str, NDArray[Any]] = {
        "head": np.frombuffer(json.dumps(head).encode(), np.uint8),
        "at_ms": series.at_ms,
        "quality": series.quality,
        **{f"{name}.{part}": getattr(band, part) for name, band in bands.items() for part in _BAND_PARTS},
    }
    archive = io.BytesIO()
    np.savez(archive, **arrays)  # type: ignore[arg-type]  # its stub takes allow_pickle for one of the arrays
    return archive.getvalue()


def decode_series(content: bytes) -> Series:
    """The Series of `encode_series`. Raises ValueError when the bytes are something else."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        head = json.loads(archive["head"].tobytes())

        def band(name: str) -> Band:
            return Band(**{part: archive[f"{name}.{part}"] for part in _BAND_PARTS})

        return Series(
            unit_id=head["unit_id"],
            start_ms=head["start_ms"],
            end_ms=head["end_ms"],
            at_ms=archive["at_ms"],
            raw=head["raw"],
            rows=head["rows"],
            temperatures_c=band("temperatures_c"),
            voltages_v=band("voltages_v"),
            singles={name: band(name) for name in SINGLE_CHANNELS if f"{name}.mean" in archive},
            quality=archive["quality"],
            provenances=frozenset(Provenance(word) for word in head["provenances"]),
        )


def history_app(store: TelemetryStore, token: str) -> FastAPI:
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
        return FileResponse(path, headers={_SUMMARY_HEADER: json.dumps(head)}, background=BackgroundTask(path.unlink))

    return app


class PagesHistory:
    """A store, or another process's, in the form that the pages ask for."""

    def __init__(self, source: TelemetryStore | RemoteHistory) -> None:
        self._source = source

    def latest_at(self, unit_id: str) -> int | None:
        """As TelemetryStore.latest_at."""
        return self._source.latest_at(unit_id)

    def read(self, unit_id: str, start_ms: int, end_ms: int, points: int) -> Series:
        """As TelemetryStore.read."""
        return self._source.read(unit_id, start_ms, end_ms, points)

    def export(self, spans: Sequence[tuple[str, int, int]], path: Path, file_format: str) -> ExportSummary:
        """As TelemetryStore.export, with plain tuples and words."""
        return self._source.export([UnitSpan(*span) for span in spans], path, ExportFormat(file_format))


class RemoteHistory:
    """Reads the store of another process. Raises StoreUnavailableError when that process does not answer."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30, trust_env=False
        )

    def read(self, unit_id: str, start_ms: int, end_ms: int, points: int) -> Series:
        """As TelemetryStore.read."""
        query: dict[str, str | int] = {"unit_id": unit_id, "start_ms": start_ms, "end_ms": end_ms, "points": points}
        return decode_series(self._get("/history/series", query).content)

    def latest_at(self, unit_id: str) -> int | None:
        """As TelemetryStore.latest_at."""
        at_ms: int | None = self._get("/history/latest", {"unit_id": unit_id}).json()["at_ms"]
        return at_ms

    def positions(self, gateway_id: str, start_ms: int, end_ms: int) -> tuple[PositionFix, ...]:
        """As TelemetryStore.positions."""
        query: dict[str, str | int] = {"gateway_id": gateway_id, "start_ms": start_ms, "end_ms": end_ms}
        return tuple(PositionFix(**fix) for fix in self._get("/history/positions", query).json())

    def export(self, spans: Sequence[UnitSpan], path: Path, file_format: ExportFormat) -> ExportSummary:
        """As TelemetryStore.export."""
        body = {"spans": [tuple(span) for span in spans], "file_format": file_format}
        try:
            with self._http.stream("POST", "/history/export", json=body, timeout=None) as answer:
                answer.raise_for_status()
                with path.open("wb") as file:
                    for piece in answer.iter_bytes(1 << 20):
                        file.write(piece)
                head = json.loads(answer.headers[_SUMMARY_HEADER])
        except httpx.HTTPError as error:
            raise StoreUnavailableError(f"the history at {self._http.base_url} did not answer: {error}") from error
        provenances = frozenset(Provenance(word) for word in head["provenances"])
        return ExportSummary(rows=head["rows"], columns=tuple(head["columns"]), provenances=provenances)

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def _get(self, path: str, query: dict[str, str | int]) -> httpx.Response:
        try:
            return self._http.get(path, params=query).raise_for_status()
        except httpx.HTTPError as error:
            raise StoreUnavailableError(f"the history at {self._http.base_url} did not answer: {error}") from error
