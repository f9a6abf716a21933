"""The history that one process serves to another: what it answers without its token."""

import httpx
import pytest

from ingest.stores.duckdb import DuckDBStore
from packwatch.history_app import history_app


@pytest.fixture
async def stranger(tmp_path):
    store = DuckDBStore(tmp_path / "telemetry.duckdb", threads=1, memory_limit_mb=64)
    transport = httpx.ASGITransport(app=history_app(store, "the token"))
    async with httpx.AsyncClient(transport=transport, base_url="http://history") as client:
        yield client
    store.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/history/series?unit_id=u&start_ms=0&end_ms=1&points=1"),
        ("GET", "/history/latest?unit_id=u"),
        ("GET", "/history/positions?gateway_id=g&start_ms=0&end_ms=1"),
        ("POST", "/history/export"),
    ],
)
async def test_it_answers_nobody_without_its_token(stranger, method, path):
    body = {"spans": [], "file_format": "csv"} if method == "POST" else None
    for headers in ({}, {"Authorization": "Bearer another"}):
        assert (await stranger.request(method, path, headers=headers, json=body)).status_code == 401


async def test_it_describes_itself_to_nobody(stranger):
    assert (await stranger.get("/healthz")).status_code == 200
    for path in ("/openapi.json", "/docs", "/redoc"):
        assert (await stranger.get(path)).status_code == 404


async def test_it_answers_with_its_token(stranger):
    answer = await stranger.get("/history/latest?unit_id=u", headers={"Authorization": "Bearer the token"})
    assert answer.json() == {"at_ms": None}
