"""Real brokers, and the two other ends that a gateway talks to: sensor units, and a host."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiomqtt
import numpy as np
import pytest

from gateway.service import GatewayService
from gateway.settings import GatewaySettings
from telemetry.frames import encode_frame, frame_from_values
from telemetry.mqtt import mqtt_client
from telemetry.samples import Provenance
from telemetry.sparkplug.payload import DataType, Metric, Payload, decode_payload, encode_payload
from telemetry.sparkplug.topics import encode_state, state_topic
from telemetry.unit_link import ClockBeat, clock_topic, encode_clock_beat, frames_topic


async def until(condition: Callable[[], object], what: str = "", seconds: float = 10.0) -> None:
    """Wait for a condition; fails after the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.01)


def frame_bytes(number: int, *, rows: int = 4, channels: int = 3, celsius: float = 25.0, boot_id: str = "b1") -> bytes:
    return encode_frame(
        frame_from_values(
            boot_id=boot_id,
            number=number,
            tick_ms=number * 10_000,
            period_ms=1_000,
            provenance=Provenance.SIMULATED,
            temperatures_c=np.full((rows, channels), celsius),
            voltages_v=np.full((rows, 2), 3.7),
        )
    )


class Peer:
    """A client of a broker that keeps what it receives."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.received: deque[tuple[str, bytes]] = deque()

    async def listen(self) -> None:
        async for message in self.client.messages:
            self.received.append((message.topic.value, message.payload))

    def of(self, kind: str) -> list[bytes]:
        """Payloads of topics that have this level, oldest first."""
        return [payload for topic, payload in self.received if kind in topic.split("/")]

    def kinds(self) -> list[str]:
        return [topic.split("/")[2] for topic, _ in self.received]

    async def send_frame(self, unit_id: str, number: int, **kwargs) -> None:
        await self.client.publish(frames_topic(unit_id), frame_bytes(number, **kwargs), qos=1)

    async def send_beat(self, unit_id: str, tick_ms: int, boot_id: str = "b1") -> None:
        beat = encode_clock_beat(ClockBeat(boot_id=boot_id, tick_ms=tick_ms))
        await self.client.publish(clock_topic(unit_id), beat, qos=1)

    async def say(self, *, online: bool, timestamp_ms: int) -> None:
        await self.client.publish(state_topic("host"), encode_state(online, timestamp_ms), qos=1, retain=True)

    async def command(self, **values) -> None:
        """An NCMD: rebirth=True, or box, floor and ranges of an acknowledgement."""
        metrics = []
        if values.get("rebirth"):
            metrics.append(Metric(name="Node Control/Rebirth", datatype=DataType.BOOLEAN, value=True))
        if "box" in values:
            ranges = np.array(values.get("ranges", ()), np.uint64)
            metrics += [
                Metric(name="Outbox/Id", datatype=DataType.STRING, value=values["box"]),
                Metric(name="Outbox/Stored", datatype=DataType.UINT64, value=values["floor"]),
                Metric(name="Outbox/StoredRanges", datatype=DataType.UINT64_ARRAY, value=ranges),
            ]
        payload = encode_payload(Payload(timestamp_ms=1, metrics=tuple(metrics)))
        await self.client.publish("spBv1.0/fleet/NCMD/truck", payload)


def by_name(births: list[bytes], payload: bytes) -> dict:
    """A data message's values by the names of the latest of these births."""
    names = {metric.alias: metric.name for metric in decode_payload(births[-1]).metrics}
    return {metric.name or names[metric.alias]: metric for metric in decode_payload(payload).metrics}


class Rig:
    """The gateway's surroundings: broker on the vehicle, broker of the cloud, and peers at both."""

    def __init__(self, local, uplink) -> None:
        self.local = local
        self.uplink = uplink
        self.until = until
        self.by_name = by_name
        self.frame_bytes = frame_bytes

    def settings(self, **changes) -> GatewaySettings:
        return GatewaySettings(**{"gateway_id": "truck", "fleet_id": "fleet", "host_id": None} | changes)

    @asynccontextmanager
    async def gateway(self, **changes) -> AsyncIterator[GatewayService]:
        """A gateway, ready; cancelled at the end. Without a primary host or engine, unless `changes` name one."""
        evaluator = changes.pop("evaluator", None)
        service = GatewayService(self.settings(**changes), self.local.access, self.uplink.access, evaluator)
        task = asyncio.create_task(service.run())
        try:
            async with asyncio.timeout(10):
                await service.ready.wait()
            yield service
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    @asynccontextmanager
    async def peer(self, broker, *topics: str) -> AsyncIterator[Peer]:
        """A client that is subscribed to `topics` and listens."""
        async with mqtt_client(broker.access) as client:
            one = Peer(client)
            if topics:
                await client.subscribe([(topic, 1) for topic in topics])
            listener = asyncio.create_task(one.listen())
            try:
                yield one
            finally:
                listener.cancel()
                with contextlib.suppress(asyncio.CancelledError, aiomqtt.MqttError):
                    await listener

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Peer]:
        """The units' side: one client for all of them, which hears their receipts."""
        async with self.peer(self.local, "packwatch/units/+/stored") as one:
            yield one

    @asynccontextmanager
    async def host(self) -> AsyncIterator[Peer]:
        """The cloud's side, which hears all of Sparkplug."""
        async with self.peer(self.uplink, "spBv1.0/#") as one:
            yield one


@pytest.fixture
def rig(start_broker) -> Rig:
    """Two brokers, as on a vehicle with an uplink."""
    return Rig(start_broker("mosquitto", "local"), start_broker("mosquitto", "uplink"))


@pytest.fixture(params=["mosquitto", "nats-server"])
def one_broker_rig(request, start_broker) -> Rig:
    """One broker for both sides, as on one machine."""
    broker = start_broker(request.param, "both")
    return Rig(broker, broker)
