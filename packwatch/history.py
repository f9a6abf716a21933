"""Reading a store, or another process's over HTTP: DuckDB's file belongs to one process (its side: history_app.py)."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np

from ingest.stores.contract import (
    Band,
    ExportFormat,
    ExportSummary,
    HotDay,
    Series,
    StoreUnavailableError,
    UnitSpan,
)
from packwatch.credentials import Credentials
from telemetry.samples import SINGLE_CHANNELS, PositionFix, Provenance

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ingest.stores.contract import TelemetryStore
    from packwatch.settings import Settings

_BAND_PARTS = ("minimum", "mean", "maximum")
SUMMARY_HEADER = "X-Packwatch-Export"
"""JSON of what an export holds, beside its file."""


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

    def positions(self, gateway_id: str, start_ms: int, end_ms: int) -> tuple[PositionFix, ...]:
        """As TelemetryStore.positions."""
        return self._source.positions(gateway_id, start_ms, end_ms)

    def hot_days(self, above_c: float, start_ms: int, end_ms: int, limit: int) -> tuple[HotDay, ...]:
        """As TelemetryStore.hot_days."""
        return self._source.hot_days(above_c, start_ms, end_ms, limit)

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

    def hot_days(self, above_c: float, start_ms: int, end_ms: int, limit: int) -> tuple[HotDay, ...]:
        """As TelemetryStore.hot_days."""
        query: dict[str, Any] = {"above_c": above_c, "start_ms": start_ms, "end_ms": end_ms, "limit": limit}
        return tuple(HotDay(*day) for day in self._get("/history/hot-days", query).json())

    def export(self, spans: Sequence[UnitSpan], path: Path, file_format: ExportFormat) -> ExportSummary:
        """As TelemetryStore.export."""
        body = {"spans": [tuple(span) for span in spans], "file_format": file_format}
        try:
            with self._http.stream("POST", "/history/export", json=body, timeout=None) as answer:
                answer.raise_for_status()
                with path.open("wb") as file:
                    for piece in answer.iter_bytes(1 << 20):
                        file.write(piece)
                head = json.loads(answer.headers[SUMMARY_HEADER])
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
