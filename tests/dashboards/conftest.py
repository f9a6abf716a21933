"""A registry, a store, a board and the application over them; nothing here is a mock but the clock."""
# ruff: noqa: PLR0917 - fixtures and columns come by name

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from alerts.incidents import IncidentDesk
from dashboards.accounts import ensure_administrator
from dashboards.app import create_app
from dashboards.board import LiveBoard
from dashboards.ports import BrokerLogin, Enrolled
from ingest.stores.contract import ExportFormat, StoreError, UnitSpan
from ingest.stores.duckdb import DuckDBStore
from packwatch.phrases import TablePhrases
from registry.enrolment import Enrolment
from registry.errors import RefusedError
from registry.kinds import AlertKind, AlertState, Chemistry, Level, PackClass, Role
from registry.records import Alert, AlertEvent
from registry.registry import Registry
from telemetry.samples import Provenance, ReceivedBatch, SampleBatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

NOW_MS = 1_800_000_000_000
SERVICE_TOKEN = "service-token-of-the-tests"
NAME, PASSWORD = "Ana", "four unrelated words here"
PAGE = {"X-Packwatch": "1", "Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}


@dataclass
class Clock:
    """The wall clock; tests move it."""

    ms: int = NOW_MS

    def __call__(self) -> int:
        return self.ms

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.ms / 1000, UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry's file with its schema: migrating takes a while, copying does not."""
    path = tmp_path_factory.mktemp("registry") / "registry.sqlite"
    Registry.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def registry(tmp_path: Path, empty_registry: Path) -> Iterator[Registry]:
    shutil.copy(empty_registry, tmp_path / "registry.sqlite")
    opened = Registry.open(f"sqlite:///{tmp_path / 'registry.sqlite'}")
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2, but with the least work that it takes."""
    quick = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    monkeypatch.setattr(PasswordHash, "recommended", lambda: quick)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    opened = DuckDBStore(tmp_path / "telemetry.duckdb", threads=1, memory_limit_mb=256)
    yield opened
    opened.close()


class History:
    """The real store as the pages read it."""

    def __init__(self, store: DuckDBStore) -> None:
        self._store = store
        self.latest_at, self.read, self.positions = store.latest_at, store.read, store.positions
        self.hot_days = store.hot_days

    def export(self, spans: Any, path: Path, file_format: str) -> object:
        return self._store.export([UnitSpan(*span) for span in spans], path, ExportFormat(file_format))


@pytest.fixture
def history(store: DuckDBStore) -> History:
    return History(store)


@pytest.fixture
def enrolment() -> Callable[..., Enrolment]:
    """`enrolment(pack_id="pack-1")`: a truck's unit on a pack, bound since yesterday."""

    def make(**given: Any) -> Enrolment:
        fields: dict[str, Any] = {
            "fleet_id": "fleet-1",
            "gateway_id": "gateway-1",
            "vehicle_id": "truck-1",
            "vehicle_name": "Truck 1",
            "pack_id": "pack-1",
            "chemistry": Chemistry.NMC,
            "pack_class": PackClass.END_OF_LIFE,
            "capacity_ah": 50.0,
            "series_count": 2,
            "unit_id": "unit-1",
            "temperature_channels": 3,
            "voltage_channels": 3,
            "simulated": False,
            "class_assessed_by": "A. Assessor",
            "class_criteria": "visual",
            "class_outcome": "dented",
            "bound_from": datetime.fromtimestamp(NOW_MS / 1000, UTC) - timedelta(days=1),
        }
        return Enrolment(**{**fields, **given})

    return make


@pytest.fixture
def make_batch() -> Callable[..., ReceivedBatch]:
    """`make_batch([[20, 21, 22]])`: one row a second, the last one sampled at `at_ms` and received then."""

    def make(rows: Any, *, at_ms: int = NOW_MS, step_ms: int = 1000, **given: Any) -> ReceivedBatch:
        temperatures = np.asarray(rows, np.float32)
        n = len(temperatures)
        envelope = {
            name: given.pop(name, default)
            for name, default in (("gateway_id", "gateway-1"), ("received_at_ms", at_ms), ("fleet_id", "fleet-1"))
        }
        for name in ("ambient_c", "humidity_pct"):
            if name in given:
                given[name] = np.asarray(given[name], np.float32)
        fields: dict[str, Any] = {
            "unit_id": "unit-1",
            "boot_id": "1-a",
            "frame": at_ms // 1000,
            "provenance": Provenance.MEASURED,
            "sampled_at_ms": at_ms - step_ms * np.arange(n, dtype=np.int64)[::-1],
            "time_uncertainty_s": 0.1,
            "voltages_v": np.tile(np.asarray([3.7, 3.6, 7.3], np.float32), (n, 1)),
            **given,
        }
        return ReceivedBatch(batch=SampleBatch(temperatures_c=temperatures, **fields), **envelope)

    return make


@pytest.fixture
def make_alert() -> Callable[..., Alert]:
    """`make_alert(level=Level.CRITICAL)`: raised now, of pack-1."""

    def make(**given: Any) -> Alert:
        now = datetime.fromtimestamp(NOW_MS / 1000, UTC)
        level = given.pop("level", Level.WARNING)
        fields: dict[str, Any] = {
            "alert_id": uuid4().hex,
            "kind": AlertKind.THERMAL,
            "cause": "ceiling",
            "fleet_id": "fleet-1",
            "pack_id": "pack-1",
            "unit_id": "unit-1",
            "gateway_id": "gateway-1",
            "level": level,
            "peak_level": level,
            "state": AlertState.RAISED,
            "provenance": Provenance.MEASURED,
            "reasons": ["probe 2 is 61.0 degC, above 60 degC"],
            "sampled_at": now,
            "raised_at": now,
            **given,
        }
        return Alert(**fields)

    return make


class Desk:
    """Changes alerts in the registry, one step each, as the alert engine does."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def raise_alert(self, alert: Alert) -> Alert:
        event = AlertEvent(
            alert_id=alert.alert_id, at=alert.raised_at, action="raise", to_state=alert.state, level=alert.level
        )
        self._registry.raise_alert(alert, event)
        return alert

    async def acknowledge(
        self, alert_id: str, *, version: int, by: str, comment: str, now: datetime, role: Role = Role.DISPATCHER
    ) -> Alert:
        return await asyncio.to_thread(
            self._step, alert_id, AlertState.ACKNOWLEDGED, version=version, by=by, text=comment, now=now, role=role
        )

    async def close_alert(
        self,
        alert_id: str,
        *,
        version: int,
        by: str,
        reason: str,
        now: datetime,
        role: Role = Role.DISPATCHER,
        authority: str = "",
    ) -> Alert:
        assert authority == ""
        return await asyncio.to_thread(
            self._step, alert_id, AlertState.CLOSED, version=version, by=by, text=reason, now=now, role=role
        )

    def _step(
        self,
        alert_id: str,
        to: AlertState,
        *,
        version: int,
        by: str,
        text: str,
        now: datetime,
        role: Role = Role.DISPATCHER,
    ) -> Alert:
        alert = self._registry.alert(alert_id)
        if alert.state is AlertState.CLOSED:
            raise RefusedError("the alert is closed: nothing more can be done to it")
        event = AlertEvent(
            alert_id=alert_id,
            at=now,
            action=str(to),
            from_state=alert.state,
            to_state=to,
            level=alert.level,
            actor=by,
            comment=text,
        )
        alert.state = to
        if to is AlertState.CLOSED:
            alert.closed_by, alert.closed_at, alert.close_reason = by, now, text
        else:
            alert.acknowledged_by, alert.acknowledged_at, alert.acknowledgement_comment = by, now, text
            alert.acknowledged_roles = [*alert.acknowledged_roles, role]
        return self._registry.change_alert(alert, event, version)


@pytest.fixture
def desk(registry: Registry) -> Desk:
    return Desk(registry)


class RegistryEnroller:
    """Registers for real, and makes up the broker accounts."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    async def enrol(self, enrolment: Enrolment) -> Enrolled:
        await asyncio.to_thread(self._registry.enrol, enrolment, self._clock.now)
        return Enrolled(
            fleet_id=enrolment.fleet_id,
            gateway=BrokerLogin(username=f"gateway-{enrolment.gateway_id}", password="g"),
            unit=BrokerLogin(username=f"unit-{enrolment.unit_id}", password="u"),
            mqtt_host="127.0.0.1",
            mqtt_port=1883,
        )


@pytest.fixture
def board(clock: Clock) -> LiveBoard:
    return LiveBoard(now_ms=clock.ms)


@pytest.fixture
def static_dir(tmp_path: Path) -> Path:
    """A build as Vite leaves it."""
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Packwatch</title>")
    (folder / "theme.js").write_text("1")
    (folder / "assets" / "index-5b3a.js").write_text("2")
    return folder


@pytest.fixture
def parts(
    registry: Registry, board: LiveBoard, history: History, desk: Desk, clock: Clock, static_dir: Path
) -> dict[str, Any]:
    """What `create_app` takes; a test may change an entry before it asks for `app`."""
    return {
        "registry": registry,
        "board": board,
        "history": history,
        "alert_desk": desk,
        "incident_desk": IncidentDesk(registry, desk),
        "enroller": RegistryEnroller(registry, clock),
        "phrases": TablePhrases(),
        "session_secret": "session-secret-of-the-tests",
        "service_token": SERVICE_TOKEN,
        "shutdown": asyncio.Event(),
        "allowed_hosts": ["packwatch.example"],
        "static_dir": static_dir,
        "try_again_on": [StoreError],
        "metrics": CollectorRegistry(),
        "now_ms": clock,
    }


@pytest.fixture
def app(parts: dict[str, Any]) -> Any:
    return create_app(**parts)


@pytest.fixture
async def stranger(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that is not signed in."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=PAGE) as client:
        yield client


@pytest.fixture
def claim_path(registry: Registry, clock: Clock) -> str:
    """The one-time link of the first start."""
    path = ensure_administrator(registry, clock.now)
    assert path is not None
    return path


@pytest.fixture
async def person(app: Any, claim_path: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser in which the administrator is signed in."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=PAGE) as client:
        token = claim_path.partition("token=")[2]
        answer = await client.post("/api/claim", json={"token": token, "name": NAME, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        yield client


@pytest.fixture
def bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {SERVICE_TOKEN}"}
