"""The stores that the contract is held against: a DuckDB file, and a real InfluxDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ingest.stores.duckdb import DuckDBStore
from ingest.stores.influx import InfluxDBStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ingest.stores.contract import TelemetryStore

    Open = Callable[[], TelemetryStore]


@pytest.fixture(params=["DuckDB", "InfluxDB"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the test's store; what it holds outlives closing."""
    opened: list[TelemetryStore] = []
    if request.param == "DuckDB":

        def make() -> TelemetryStore:
            return DuckDBStore(tmp_path / "telemetry.duckdb", threads=1, memory_limit_mb=256)
    else:
        access = request.getfixturevalue("influx_access")

        def make() -> TelemetryStore:
            return InfluxDBStore(access)

    def open_it() -> TelemetryStore:
        opened.append(make())
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Open) -> TelemetryStore:
    return open_store()
