"""The packs on the road, for bench/alerts.py: vehicles that report, and packs among them that begin to fail."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from packwatch.credentials import AccountRole, Credentials
from telemetry.broker import BrokerAccess
from telemetry.mqtt import mqtt_client
from telemetry.samples import Provenance, SampleBatch
from telemetry.sparkplug.batches import ALIASES_PER_DEVICE, batch_metrics, device_birth_metrics
from telemetry.sparkplug.payload import DataType, Metric, Payload, encode_payload

if TYPE_CHECKING:
    from pathlib import Path

    import aiomqtt

FLEET = "bench"
PACKS_EACH, PROBES = 16, 8
REPORT_EVERY_S = 10.0
CALM_C = 22.0
RISE_C = (28.0, 34.0, 40.0, 46.0)
"""A failing pack, one sample a second: critical with the third, by the rise above its neighbours."""


class Vehicle:
    """A gateway that publishes one sample of one pack at a time."""

    def __init__(self, number: int, client: aiomqtt.Client) -> None:
        self.number, self.client = number, client
        self._seq, self._frames, self._record = 0, [0] * PACKS_EACH, 0

    async def born(self) -> None:
        node = (
            Metric(name="bdSeq", datatype=DataType.INT64, value=0),
            Metric(name="Outbox/Id", datatype=DataType.STRING, value=f"outbox-{self.number}"),
        )
        await self._publish("NBIRTH", None, node, first=True)
        for pack in range(PACKS_EACH):
            base = ALIASES_PER_DEVICE * (pack + 1)
            await self._publish("DBIRTH", pack, device_birth_metrics(PROBES, 0, (), alias_base=base))

    async def sample(self, pack: int, hottest_c: float) -> float:
        """Publish; when it was, UTC seconds."""
        self._frames[pack] += 1
        self._record += 1
        frame = self._frames[pack]
        at_s = time.time()
        row = CALM_C + 0.1 * np.sin(frame + np.arange(PROBES, dtype=np.float32))[np.newaxis, :]
        if hottest_c > CALM_C:
            row[0, : PROBES // 2] = hottest_c - 0.2 * np.arange(PROBES // 2)
        batch = SampleBatch(
            unit_id=f"u{self.number}-{pack}",
            boot_id="1-bench",
            frame=frame,
            provenance=Provenance.SYNTHETIC,
            sampled_at_ms=np.array([int(at_s * 1000)], np.int64),
            time_uncertainty_s=0.05,
            temperatures_c=row,
            voltages_v=np.empty((1, 0), np.float32),
        )
        metrics = batch_metrics(batch, outbox_sequence=self._record, alias_base=ALIASES_PER_DEVICE * (pack + 1))
        await self._publish("DDATA", pack, metrics)
        return at_s

    async def _publish(self, kind: str, pack: int | None, metrics: Any, *, first: bool = False) -> None:
        self._seq = 0 if first else (self._seq + 1) % 256
        device = "" if pack is None else f"/u{self.number}-{pack}"
        payload = encode_payload(
            Payload(timestamp_ms=time.time_ns() // 1_000_000, seq=self._seq, metrics=tuple(metrics)),
            with_datatypes=kind != "DDATA",
        )
        await self.client.publish(f"spBv1.0/{FLEET}/{kind}/v{self.number}{device}", payload, qos=0)


class Road:
    """All vehicles on the road: each pack reports every 10 s, and those that failed every second of them hotter."""

    def __init__(self, *, vehicles: int, port: int, credentials: Path) -> None:
        """port: of the broker on this machine."""
        self._count, self._port = vehicles, port
        self._credentials = Credentials(credentials)
        self.vehicles: list[Vehicle] = []
        self.hot: dict[tuple[int, int], float] = {}
        """How hot each pack is that fails."""
        self.sent = 0

    async def drive(self, ready: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._count):
                tasks.create_task(self._one(number))
            while len(self.vehicles) < self._count:  # noqa: ASYNC110  each is born in its own task
                await asyncio.sleep(0.1)
            ready.set()

    async def _one(self, number: int) -> None:
        account = self._credentials.account(AccountRole.GATEWAY, f"v{number}", FLEET)
        access = BrokerAccess(host="127.0.0.1", port=self._port, username=account.username, password=account.password)
        await asyncio.sleep(number * 0.01)
        async with mqtt_client(access) as client:
            vehicle = Vehicle(number, client)
            await vehicle.born()
            self.vehicles.append(vehicle)
            pause_s = REPORT_EVERY_S / PACKS_EACH
            while True:
                for pack in range(PACKS_EACH):
                    await vehicle.sample(pack, self.hot.get((number, pack), CALM_C))
                    self.sent += 1
                    await asyncio.sleep(pause_s)

    async def fail(self, number: int, pack: int) -> None:
        vehicle = next(each for each in self.vehicles if each.number == number)
        for hottest_c in RISE_C:
            self.hot[number, pack] = hottest_c
            await vehicle.sample(pack, hottest_c)
            await asyncio.sleep(1)
