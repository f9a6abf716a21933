"""Sparkplug implementations of others as processes of their own, and our ingest for them to talk to."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ingest.service import IngestService
from ingest.stores.duckdb import DuckDBStore
from packwatch.directory import Directory
from registry.enrolment import Enrolment
from registry.kinds import PackClass
from registry.registry import Registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PYTHON = ROOT / ".venv-peers" / "bin" / "python"
WITH_NODE = ROOT / "scripts" / "with-node"
FLEET, GATEWAY, UNIT = "fleet-1", "gateway-1", "unit-1"


class Program:
    """A peer's process: it is told and tells by lines of JSON."""

    def __init__(self, command: Sequence[object], log: Path) -> None:
        self.heard: list[dict[str, Any]] = []
        self._log = log.open("wb")
        self._process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        for line in self._process.stdout:
            self.heard.append(json.loads(line))

    def say(self, what: str, **words: Any) -> None:
        self._process.stdin.write(json.dumps({"what": what, **words}) + "\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """Without a farewell."""
        if self._log.closed:
            return
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            pipe.close()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """What the host heard of this message type, oldest first."""
        return [message for message in self.heard if message["kind"] == kind]

    def count(self, event: str) -> int:
        """How often the edge node told this."""
        return sum(each["event"] == event for each in self.heard)


@pytest.fixture
def start_peer(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """`start_peer(*command)`; killed at the end."""
    running: list[Program] = []

    def start(*command: object) -> Program:
        assert PYTHON.exists() and (HERE / "node_modules").exists(), "the peers are missing: run scripts/test-peers"  # noqa: PT018
        running.append(Program(command, tmp_path / f"peer-{len(running)}.log"))
        return running[-1]

    yield start
    for program in running:
        program.kill()


@pytest.fixture
def start_node(start_peer: Callable[..., Program]) -> Callable[..., Program]:
    """`start_node(port, device=[...])`: an edge node of sparkplug-client with one device."""

    def start(port: int, device: list[dict[str, Any]], **more: Any) -> Program:
        names = {"fleet": FLEET, "gateway": GATEWAY, "unit": UNIT, "username": "any", "password": "any", **more}
        client = {
            "serverUrl": f"mqtt://127.0.0.1:{port}",
            "clientId": f"tahu-{names['gateway']}",
            "groupId": names["fleet"],
            "edgeNode": names["gateway"],
            "username": names["username"],
            "password": names["password"],
        }
        rebirth = {"name": "Node Control/Rebirth", "type": "Boolean", "value": False, "timestamp": 1}
        births = {"client": client, "unit": names["unit"], "node": [rebirth], "device": device}
        return start_peer(WITH_NODE, "node", HERE / "tahu_node.js", json.dumps(births))

    return start


@pytest.fixture(params=["mosquitto", "nats-server"])
def broker(request: pytest.FixtureRequest, start_broker: Callable[..., Any]) -> Any:
    return start_broker(request.param, "broker")


@pytest.fixture
def start_host(start_peer: Callable[..., Program], broker: Any) -> Callable[..., Program]:
    """`start_host(host_id)`: a primary host of pysparkplug; it is online as soon as it is connected."""

    def start(host_id: str = "their-host") -> Program:
        return start_peer(PYTHON, HERE / "pysparkplug_host.py", host_id, "fleet", broker.port)

    return start


async def until(condition: Callable[[], Any], what: str, within_s: float = 15.0) -> Any:
    """What `condition()` gives once it is true. Fails at the deadline."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.01)
    return found


@pytest.fixture(name="until")
def until_fixture() -> Callable[..., Any]:
    return until


class Heard:
    """A listener that keeps what ingest tells it of sessions."""

    def __init__(self) -> None:
        self.sessions: list[object] = []

    def observe_sessions(self, events: Sequence[object]) -> None:
        self.sessions += events

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.sessions]


class Ingest:
    """Our ingest with one enrolled unit of 2 temperature and 1 voltage channel."""

    def __init__(self, folder: Path) -> None:
        self.registry = Registry.open(f"sqlite:///{folder / 'registry.sqlite'}")
        self.store = DuckDBStore(folder / "telemetry.duckdb", threads=1, memory_limit_mb=256)
        self.heard = Heard()
        self.registry.enrol(
            Enrolment(
                fleet_id=FLEET,
                gateway_id=GATEWAY,
                vehicle_id="vehicle-1",
                pack_id="pack-1",
                pack_class=PackClass.END_OF_LIFE,
                unit_id=UNIT,
                temperature_channels=2,
                voltage_channels=1,
                simulated=False,
            ),
            datetime.now(UTC),
        )

    @asynccontextmanager
    async def running(self, broker: Any) -> AsyncIterator[IngestService]:
        service = IngestService(
            broker.access,
            host_id="packwatch",
            store=self.store,
            directory=Directory(self.registry),
            quarantine=self.registry,
            session_listeners=[self.heard],
        )
        task = asyncio.create_task(service.run())
        try:
            async with asyncio.timeout(10):
                await service.ready.wait()
            yield service
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    def rows(self) -> dict[int, list[float]]:
        """What the store holds: temperatures and voltages by time."""
        series = self.store.read(UNIT, 0, 2**42, 100_000)
        assert series.raw
        assert len(set(series.at_ms.tolist())) == series.rows, "one row a time"
        values = zip(series.temperatures_c.mean.tolist(), series.voltages_v.mean.tolist(), strict=True)
        return dict(zip(series.at_ms.tolist(), ([*celsius, *volts] for celsius, volts in values), strict=True))

    def close(self) -> None:
        self.store.close()
        self.registry.close()


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    one = Ingest(tmp_path)
    yield one
    one.close()
