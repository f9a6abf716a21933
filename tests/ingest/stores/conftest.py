"""The stores that the contract is held against: a DuckDB file, and a real InfluxDB."""

from __future__ import annotations

import http.server
import threading
from typing import TYPE_CHECKING

import pytest

from ingest.stores.duckdb import DuckDBStore
from ingest.stores.influx import InfluxDBStore

from influx_relay import Relay

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


@pytest.fixture
def make_relay() -> Iterator[Callable[[str], tuple[str, type[Relay]]]]:
    servers: list[http.server.ThreadingHTTPServer] = []

    def make(target: str, kind: type[Relay] = Relay) -> tuple[str, type[Relay]]:
        handler = type("RelayOfTest", (kind,), {"target": target, "seen": [], "script": []})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}", handler

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()
