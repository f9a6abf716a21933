"""Reads what was stored: from the running service of the data directory, else from the stores themselves."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from dashboards.rows import alert_row
from ingest.stores.contract import ExportFormat, UnitSpan
from packwatch.client import ServiceClient
from packwatch.data_dir import running_service
from packwatch.history import RemoteHistory, history_token
from packwatch.reviewing import review_house
from packwatch.settings import SettingsError
from packwatch.stores import is_shared, open_store, store_path
from registry.audit import PROGRAM
from registry.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingest.stores.contract import TelemetryStore
    from packwatch.settings import Settings

_PAGE = 1000
"""The most alerts that one answer of the API holds."""
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)


class Reader(Protocol):
    """Two ways to the same data; both raise an error that says what was wrong."""

    def alerts(self, pack_id: str | None, limit: int) -> list[dict[str, Any]]:
        """The newest alerts, as `alert_line` gives them. An unknown pack is an error, not a pack without alerts."""

    def export(self, pack_id: str, start: datetime | None, end: datetime | None, output: Path) -> None:
        """Write the pack's samples; the format by the file's name."""

    def bundle(self, incident_id: str, output: Path, now: datetime) -> None:
        """Write an incident's evidence bundle."""


@contextlib.contextmanager
def open_reader(settings: Settings) -> Iterator[Reader]:
    """The running service, or the stores. Raises SettingsError when the data directory holds nothing."""
    client = ServiceClient.of(settings.data_dir)
    if client is not None:
        with client:
            yield _ServiceReader(client)
        return
    if not is_shared(settings) and not store_path(settings).exists():
        raise SettingsError(f"{settings.data_dir} holds no data: name the data directory with --data-dir")
    with contextlib.ExitStack() as house:
        registry = Registry.open(settings.registry_address())
        house.callback(registry.close)
        history = _history(settings)
        house.callback(history.close)
        yield _StoreReader(settings, registry, history)


def _history(settings: Settings) -> TelemetryStore | RemoteHistory:
    """The store, or the `packwatch ingest` that holds its file."""
    ingest = None if is_shared(settings) else running_service(settings.data_dir)
    if ingest is not None:
        return RemoteHistory(ingest.url, history_token(settings))
    return open_store(settings)


def alert_line(row: dict[str, Any]) -> dict[str, Any]:
    """An alert for `alert-log`: the API's alert with the pack's short name and ISO 8601 times."""
    line: dict[str, Any] = {"pack": row["pack_id"]}
    for name, value in row.items():
        if name.endswith("_at_ms"):
            line[name.removesuffix("_ms")] = None if value is None else _iso(value)
        else:
            line[name] = list(value) if isinstance(value, tuple) else value
    return line


class _ServiceReader:
    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    def alerts(self, pack_id: str | None, limit: int) -> list[dict[str, Any]]:
        if pack_id is not None:
            self._client.get(f"/api/packs/{pack_id}")
        rows: list[dict[str, Any]] = []
        while len(rows) < limit:
            wanted = min(_PAGE, limit - len(rows))
            page = self._client.get("/api/local/alerts", pack_id=pack_id, limit=wanted, offset=len(rows))
            rows += page
            if len(page) < wanted:
                break
        return [alert_line(row) for row in rows]

    def export(self, pack_id: str, start: datetime | None, end: datetime | None, output: Path) -> None:
        self._client.download(
            "/api/local/export",
            output,
            pack_id=pack_id,
            from_ms=_to_ms(start or _EARLIEST),
            to_ms=_to_ms(end or _LATEST),
            format=output.suffix.removeprefix("."),
        )

    def bundle(self, incident_id: str, output: Path, now: datetime) -> None:  # noqa: ARG002 - the service has a clock
        growing = output.with_name(output.name + ".part")
        try:
            self._client.download(f"/api/local/incidents/{incident_id}/bundle", growing)
            growing.replace(output)
        finally:
            growing.unlink(missing_ok=True)


class _StoreReader:
    def __init__(self, settings: Settings, registry: Registry, history: TelemetryStore | RemoteHistory) -> None:
        self._settings = settings
        self._registry = registry
        self._history = history

    def alerts(self, pack_id: str | None, limit: int) -> list[dict[str, Any]]:
        if pack_id is not None:
            self._registry.pack(pack_id)
        vehicles = {each.gateway_id: each.vehicle_name for each in self._registry.assignments() if each.gateway_id}
        found = self._registry.alerts(pack_id, limit)
        rows = [alert_row(alert, vehicle_name=vehicles.get(alert.gateway_id or "")) for alert in found]
        return [alert_line({name: getattr(row, name) for name in row.__slots__}) for row in rows]

    def export(self, pack_id: str, start: datetime | None, end: datetime | None, output: Path) -> None:
        spans = self._registry.units_of_pack(pack_id, start or _EARLIEST, end or _LATEST)
        self._history.export(
            [UnitSpan(span.unit_id, _to_ms(span.start), _to_ms(span.end)) for span in spans],
            output,
            ExportFormat(output.suffix.removeprefix(".")),
        )

    def bundle(self, incident_id: str, output: Path, now: datetime) -> None:
        house = review_house(self._settings, self._registry, self._history)
        house.evidence.make(incident_id, output, by=PROGRAM, now=now)


def _to_ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
