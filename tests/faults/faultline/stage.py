"""All parts of a round as real processes, with a network between them, and what can be done to each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
import shutil
import signal
import sqlite3
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx

from firmware_sim.flash import FrameFlash
from firmware_sim.ledger import Lost, Took, read_ledger
from firmware_sim.one_unit import FLASH_NAME, LEDGER_NAME
from packwatch.credentials import AccountRole, Credentials
from packwatch.history import decode_series
from registry.enrolment import Enrolment
from registry.kinds import PackClass
from registry.registry import Registry

from faultline.disks import Disk
from faultline.http_proxy import Answers, HttpProxy
from faultline.plan import Store
from faultline.ports import free_port
from faultline.proxy import Proxy
from faultline.servers import CloudBroker, Database, VehicleBroker, faketime_library
from faultline.stored import DATABASE

if TYPE_CHECKING:
    from pathlib import Path

    from registry.records import MissingSamples

    from faultline.nursery import Nursery, Process
    from faultline.plan import Plan, UnitPlan
    from faultline.servers import Server

FLEET = "fleet"
TERMINATE_S = 10.0
RESEND_AFTER_S = 1.0
BEAT_S = 1.0
"""A unit of a short round sends again, and tells its clock, sooner than one in life: rounds take seconds."""
LINK_UP_S = 30.0
SERVES_S = 60.0
"""From the end of all harm until every ingest worker serves; one that ends after that has failed."""
UNITS = ("unit-1", "unit-2", "unit-3")
FOREVER_MS = 2**42


@dataclass(slots=True)
class Nurseries:
    """Where processes come from: with the true clock, and with one that can be set."""

    plain: Nursery
    clocked: Nursery


def clocked_environment() -> dict[str, str]:
    """What a nursery needs so that the clocks of its children can be set. Raises MissingServerError."""
    return {
        "LD_PRELOAD": str(faketime_library()),
        "FAKETIME": "+0",
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def make_registry(path: Path) -> None:
    """A registry that knows the units of every round."""
    registry = Registry.open(f"sqlite:///{path}")
    for number, unit_id in enumerate(UNITS):
        registry.enrol(
            Enrolment(
                fleet_id=FLEET,
                gateway_id=f"gateway-{1 + number % 2}",
                vehicle_id=f"truck-{1 + number % 2}",
                pack_id=f"pack-{1 + number}",
                pack_class=PackClass.END_OF_LIFE,
                unit_id=unit_id,
                temperature_channels=16,
                voltage_channels=8,
                simulated=True,
            ),
            datetime.now(UTC),
        )
    registry.close()


class Part(ABC):
    """A process of ours. Harms overlap: what one has killed another may have started again."""

    def __init__(self) -> None:
        self.process: Process | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Start its process, unless it runs."""
        async with self._starting:
            if self.process is None or self.process.exit_code is not None:
                self.process = await self._spawn()

    @abstractmethod
    async def _spawn(self) -> Process:
        """Start the process, whatever ran before."""


class UnitPart(Part):
    """A sensor unit: its process, its folder, and its link to a vehicle's broker."""

    def __init__(self, stage: Stage, plan: UnitPlan) -> None:
        super().__init__()
        self.plan = plan
        self.folder = stage.folder / plan.unit_id
        self.folder.mkdir()
        self.gateway = plan.gateway
        self.gateways_met = {plan.gateway}
        self.link = Proxy(stage.gateways[plan.gateway].local_broker.port, stage.random)
        self._stage = stage

    async def _spawn(self) -> Process:
        plan = self.plan
        return await self._stage.nurseries.plain.start(
            "one_unit",
            "--unit", plan.unit_id, "--broker", f"127.0.0.1:{self.link.port}", "--state-dir", self.folder,
            "--seed", self._stage.plan.seed, "--interval", plan.interval_s, "--rows", plan.rows,
            "--temperatures", plan.temperatures, "--voltages", plan.voltages, "--ring-frames", plan.ring_frames,
            "--slot-bytes", plan.slot_bytes, "--resend-after", RESEND_AFTER_S, "--beat", BEAT_S,
            "--drift-ppm", plan.drift_ppm,
            environment={},
            log=self._stage.folder / f"{plan.unit_id}.log",
        )  # fmt: skip

    async def kill(self) -> None:
        """SIGKILL."""
        self._stage.counts["kills of units"] += 1
        await self.process.kill()

    def move(self, gateway: int) -> None:
        """Its radio talks to another vehicle's broker from now on."""
        self.gateway = gateway
        self.gateways_met.add(gateway)
        self.link.retarget(self._stage.gateways[gateway].local_broker.port)

    def stop_sampling(self) -> None:
        """It delivers what it has, and takes no more."""
        self.process.signal(signal.SIGUSR2)

    def ledger(self) -> list[Took | Lost]:
        """What it took and lost, so far."""
        path = self.folder / LEDGER_NAME
        return list(read_ledger(path)) if path.exists() else []

    def waiting(self) -> set[tuple[str, int]]:
        """Frames that its flash holds."""
        path = self.folder / FLASH_NAME
        if not path.exists():
            return set()
        flash = FrameFlash(path, slots=self.plan.ring_frames, slot_bytes=self.plan.slot_bytes)
        try:
            return {(frame.boot_id, frame.number) for frame in flash.recovered()}
        finally:
            flash.close()


class GatewayPart(Part):
    """A vehicle's gateway: its process, its disk, its clock, its broker, and its two links."""

    def __init__(self, stage: Stage, number: int) -> None:
        super().__init__()
        self.number = number
        self.name = f"gateway-{number}"
        self.local_broker = VehicleBroker(stage.folder / f"vehicle-{number}")
        self.local_link = Proxy(self.local_broker.port, stage.random)
        self.uplink = Proxy(stage.broker.port, stage.random)
        self.disk = Disk(stage.folder / self.name, megabytes=32)
        self.clock_can_step = False
        self.outbox_max_mb = 16.0
        self._clock = stage.folder / f"{self.name}.clock"
        self._log = stage.folder / f"{self.name}.log"
        self._stage = stage

    async def _spawn(self) -> Process:
        stage = self._stage
        account = stage.credentials.account(AccountRole.GATEWAY, self.name, FLEET)
        environment = {
            "PACKWATCH_MQTT__USERNAME": account.username,
            "PACKWATCH_MQTT__PASSWORD": account.password,
            "PACKWATCH_GATEWAY__LOCAL__ADDRESS": f"127.0.0.1:{self.local_link.port}",
            "PACKWATCH_LOG_FORMAT": "json",
            "PACKWATCH_GATEWAY__OUTBOX_MAX_MB": str(self.outbox_max_mb),
        }
        if stage.plan.resend_s is not None:
            environment["PACKWATCH_GATEWAY__RESEND_S"] = str(stage.plan.resend_s)
        nursery = stage.nurseries.plain
        if self.clock_can_step:
            nursery = stage.nurseries.clocked
            environment["FAKETIME_TIMESTAMP_FILE"] = str(self._clock)
        return await nursery.start(
            "packwatch",
            "gateway", "--id", self.name, "--fleet", FLEET, "--data-dir", self.disk.folder,
            "--mqtt", f"127.0.0.1:{self.uplink.port}",
            environment=environment,
            log=self._log,
        )  # fmt: skip

    def is_listening(self) -> bool:
        """Whether it has said that its link to the units' broker is up."""
        return self._log.exists() and "local_link_up" in self._log.read_text()

    async def kill(self) -> None:
        """SIGKILL."""
        self._stage.counts["kills of gateways"] += 1
        await self.process.kill()

    def records(self) -> int | None:
        """How many its outbox holds, by a copy: while it runs nobody else may open the file itself.

        None where the copy is of two times, and no database.
        """
        with tempfile.TemporaryDirectory() as copy:
            try:
                for path in self.disk.folder.glob(f"outbox-{self.name}.db*"):
                    shutil.copy(path, copy)
                with contextlib.closing(sqlite3.connect(f"{copy}/outbox-{self.name}.db")) as outbox:
                    return int(outbox.execute("SELECT count(*) FROM records").fetchone()[0])
            except (FileNotFoundError, sqlite3.DatabaseError):
                return None

    def samples_given_up(self) -> int:
        """How many it has said that it gave up, in all its lives."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return sum(json.loads(line)["samples"] for line in lines if '"outbox_gave_up"' in line)

    def set_clock(self, offset_s: float) -> None:
        """Its wall clock is wrong by this from now on."""
        draft = self._clock.with_suffix(".new")
        draft.write_text(f"{offset_s:+.3f}\n")
        draft.replace(self._clock)

    def throw_away(self) -> None:
        """Another box, with an empty disk. Only while it does not run."""
        for path in self.disk.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


class IngestPart(Part):
    """An ingest worker: its process and its disk. All of a round share a registry and a link to the broker."""

    def __init__(self, stage: Stage, name: str, disk: Disk) -> None:
        super().__init__()
        self.name = name
        self.disk = disk
        self.port = free_port()
        self._stage = stage

    async def _spawn(self) -> Process:
        stage = self._stage
        account = stage.credentials.account(AccountRole.INGEST)
        return await stage.nurseries.plain.start(
            "packwatch",
            "ingest", "--data-dir", self.disk.folder, "--http", f"127.0.0.1:{self.port}",
            "--mqtt", f"127.0.0.1:{stage.ingest_link.port}",
            environment={
                "PACKWATCH_MQTT__USERNAME": account.username,
                "PACKWATCH_MQTT__PASSWORD": account.password,
                "PACKWATCH_HISTORY_TOKEN": stage.history_token,
                "PACKWATCH_REGISTRY_URL": f"sqlite:///{stage.registry_path}",
                "PACKWATCH_STORE__MEMORY_LIMIT_MB": "128",
                "PACKWATCH_STORE__THREADS": "1",
                "PACKWATCH_LOG_FORMAT": "json",
                **stage.store_settings(),
            },
            log=stage.folder / f"{self.name}.log",
        )  # fmt: skip

    async def kill(self) -> None:
        """SIGKILL."""
        self._stage.counts["kills of ingest"] += 1
        await self.process.kill()

    async def rows(self, unit_id: str) -> int | None:
        """How many samples of the unit it has stored; None while it does not answer."""
        query = {"unit_id": unit_id, "start_ms": 0, "end_ms": FOREVER_MS, "points": 1}
        headers = {"Authorization": f"Bearer {self._stage.history_token}"}
        try:
            answer = await self._stage.http.get(
                f"http://127.0.0.1:{self.port}/history/series", params=query, headers=headers
            )
            answer.raise_for_status()
        except httpx.HTTPError:
            return None
        return decode_series(answer.content).rows


class Stage:
    """All of one round, in one folder. `open` first; after `close` nothing runs, after `unmount` all is gone."""

    def __init__(self, plan: Plan, folder: Path, nurseries: Nurseries, registry_template: Path) -> None:
        self.plan = plan
        self.folder = folder
        self.nurseries = nurseries
        self.counts: Counter[str] = Counter()
        self.random = random.Random(f"network {plan.seed}")  # noqa: S311 - reproducible by intent
        self.history_token = secrets.token_urlsafe(16)
        self.http = httpx.AsyncClient(timeout=5, trust_env=False)
        self.credentials = Credentials(folder / "credentials")
        self.credentials.account(AccountRole.INGEST)
        for number in range(1, plan.gateways + 1):
            self.credentials.account(AccountRole.GATEWAY, f"gateway-{number}", FLEET)
        self.broker = CloudBroker(folder / "broker", self.credentials)
        self.ingest_link = Proxy(self.broker.port, self.random)
        self.database: Database | None = None
        self.database_link: HttpProxy | None = None
        self.disks: list[Disk] = []
        self.ingest = IngestPart(self, "ingest", self._disk("ingest", megabytes=128))
        self.registry_path = self.ingest.disk.folder / "registry.sqlite"
        shutil.copy(registry_template, self.registry_path)
        self.second_ingest: IngestPart | None = None
        if plan.store is Store.INFLUXDB:
            self.database = Database(self._disk("database", megabytes=128, growing="*.wal").folder, folder)
            self.database_link = HttpProxy(self.database.port, self.random)
        self.gateways: dict[int, GatewayPart] = {}
        for number in range(1, plan.gateways + 1):
            self.gateways[number] = GatewayPart(self, number)
            self.disks.append(self.gateways[number].disk)
        self.units = [UnitPart(self, unit) for unit in plan.units]

    @property
    def store_disk(self) -> Disk:
        """What the store's files lie on."""
        return self.ingest.disk if self.database is None else next(d for d in self.disks if d.folder.name == "database")

    def store_settings(self) -> dict[str, str]:
        """What ingest is told about its store."""
        if self.database_link is None:
            return {}
        return {
            "PACKWATCH_STORE__KIND": "influxdb",
            "PACKWATCH_STORE__URL": f"http://127.0.0.1:{self.database_link.port}",
            "PACKWATCH_STORE__DATABASE": DATABASE,
        }

    def _disk(self, name: str, *, megabytes: int, growing: str = "*") -> Disk:
        disk = Disk(self.folder / name, megabytes=megabytes, growing=growing)
        self.disks.append(disk)
        return disk

    @property
    def servers(self) -> list[Server]:
        """All that are not ours."""
        brokers: list[Server] = [self.broker, *(gateway.local_broker for gateway in self.gateways.values())]
        return brokers if self.database is None else [self.database, *brokers]

    @property
    def proxies(self) -> list[Proxy]:
        """The whole network."""
        return [
            self.ingest_link,
            *(link for gateway in self.gateways.values() for link in (gateway.uplink, gateway.local_link)),
            *(unit.link for unit in self.units),
        ]

    async def open(self) -> None:
        """Start everything."""
        for proxy in self.proxies:
            await proxy.start()
        if self.database_link is not None:
            await self.database_link.start()
        await asyncio.gather(*(server.start() for server in self.servers))
        for part in (self.ingest, *self.gateways.values()):
            await part.start()
        # A unit tells its clock as it connects; somebody should be there to hear it.
        async with asyncio.timeout(LINK_UP_S):
            while not all(gateway.is_listening() for gateway in self.gateways.values()):
                await asyncio.sleep(0.05)
        for unit in self.units:
            await unit.start()

    def add_worker(self) -> IngestPart:
        """A second ingest worker with a folder of its own and the same registry."""
        self.second_ingest = IngestPart(self, "ingest-2", self._disk("ingest-2", megabytes=64))
        return self.second_ingest

    def workers(self) -> list[IngestPart]:
        """All ingest workers."""
        return [self.ingest, *([self.second_ingest] if self.second_ingest else [])]

    def parts(self) -> list[tuple[str, Process]]:
        """Every process of ours that was started, by name."""
        named = [(unit.plan.unit_id, unit.process) for unit in self.units]
        named += [(part.name, part.process) for part in (*self.gateways.values(), *self.workers())]
        return [(name, process) for name, process in named if process is not None]

    def expect_alive(self) -> None:
        """Raises RuntimeError, with its last words, when a part has ended that nobody ended."""
        for name, process in self.parts():
            if process.exit_code is not None:
                words = (self.folder / f"{name}.log").read_text()[-1500:]
                raise RuntimeError(f"{name} ended by itself with {process.exit_code}:\n{words}")

    async def heal(self) -> None:
        """End all harm: the network is well, and what was killed runs again."""
        for proxy in self.proxies:
            proxy.restore()
        if self.database_link is not None:
            self.database_link.answers = Answers.TRUE
        for disk in self.disks:
            disk.clear()
        for server in self.servers:
            if not server.running:
                await server.start()
        for part in (*self.gateways.values(), *self.units):
            await part.start()
        await asyncio.gather(*(self._supervise(worker) for worker in self.workers()))

    async def _supervise(self, worker: IngestPart) -> None:
        """As a supervisor would: a worker that finds no database when it starts ends, and is started again."""
        async with asyncio.timeout(SERVES_S):
            while await worker.rows(UNITS[0]) is None:
                await worker.start()
                await asyncio.sleep(0.1)

    async def stored_rows(self) -> dict[str, int] | None:
        """Samples in the store by unit; None while it does not answer."""
        rows = {unit.plan.unit_id: await self.ingest.rows(unit.plan.unit_id) for unit in self.units}
        return None if None in rows.values() else rows

    def missing(self, unit_id: str) -> list[MissingSamples]:
        """What gateways told that they gave up of a unit, as ingest recorded it."""
        registry = Registry.open(f"sqlite:///{self.registry_path}")
        try:
            return list(registry.missing_samples(unit_id, limit=100_000))
        finally:
            registry.close()

    async def stop(self) -> list[str]:
        """End everything in order, as an operator would. Returns what did not end as it should."""
        wrong = []
        for name, process in self.parts():
            if process.exit_code is not None:
                wrong.append(f"died: {name} had ended with {process.exit_code} before it was stopped")
                continue
            code = await process.terminate(TERMINATE_S)
            if code is None:
                wrong.append(f"hangs: {name} did not stop within {TERMINATE_S:g} s of SIGTERM")
            elif code:
                wrong.append(f"died: {name} ended with {code}")
        return wrong

    async def close(self) -> None:
        """Kill whatever is left, and unmount."""
        for _, process in self.parts():
            if process.exit_code is None:
                await process.kill()
        for server in self.servers:
            await server.kill()
        for proxy in (*self.proxies, *([self.database_link] if self.database_link else [])):
            await proxy.stop()
            self.counts.update({f"network: {what}": times for what, times in proxy.counts.items()})
        await self.http.aclose()

    def unmount(self) -> None:
        """Let go of the disks; what they held is gone then."""
        for disk in self.disks:
            with contextlib.suppress(OSError):
                disk.remove()
