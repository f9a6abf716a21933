"""Real brokers on free loopback ports, and a gateway's side of the unit link to talk to."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import aiomqtt
import pytest

from telemetry.broker import BrokerAccess
from telemetry.frames import decode_frame
from telemetry.mqtt import mqtt_client
from telemetry.unit_link import (
    StoredReceipt,
    UnitConfig,
    config_topic,
    decode_clock_beat,
    decode_position,
    encode_stored_receipt,
    encode_unit_config,
    parse_unit_topic,
    stored_topic,
)

from faultline.ports import free_port


def wait_for_port(port: int, process: subprocess.Popen, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"the broker ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
    pytest.fail(f"no broker on port {port} within {seconds} s")


class Broker:
    """A broker that can be killed and started again on the same port."""

    def __init__(self, kind: str, folder: Path, more_config: str = "") -> None:
        self.port = free_port()
        self.access = BrokerAccess(host="127.0.0.1", port=self.port)
        self._process: subprocess.Popen | None = None
        config = folder / f"{kind}.conf"
        if kind == "nats-server":
            program = Path(sys.executable).parent / "nats-server"
            config.write_text(
                f'server_name: "test"\nhost: "127.0.0.1"\nport: {free_port()}\n'
                f'jetstream {{ store_dir: "{folder / "jetstream"}" }}\n'
                f'mqtt {{ host: "127.0.0.1", port: {self.port} }}\n{more_config}'
            )
            self._command = [program, "-c", config]
        else:
            program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
            assert program, "mosquitto is missing: install Debian's package of that name"
            config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n{more_config}")
            self._command = [program, "-c", config]

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_port(self.port, self._process)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(params=["nats-server", "mosquitto"])
def broker(request, tmp_path):
    """Each of the brokers that units meet: the embedded one, and the usual one on a vehicle."""
    running = Broker(request.param, tmp_path)
    running.start()
    yield running
    running.kill()


@pytest.fixture
def make_broker():
    """A broker that the test sets up and starts by itself."""
    made = []

    def make(kind: str, folder: Path, more_config: str) -> Broker:
        made.append(Broker(kind, folder, more_config))
        return made[-1]

    yield make
    for each in made:
        each.kill()


@pytest.fixture
def eventually():
    return _eventually


async def _eventually(look, seconds: float = 15.0, what: str = "the expected state"):
    """What `look()` gives once it is true. Fails at the deadline."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come within {seconds} s")
        await asyncio.sleep(0.02)
    return found


class GatewaySide:
    """Takes everything that units and receivers send; acknowledges frames while `acknowledging`."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.acknowledging = True
        self.frames: list[tuple[float, str, object]] = []
        self.beats: list[tuple[str, object]] = []
        self.fixes: list[object] = []

    async def listen(self) -> None:
        """Until the connection breaks, which a test that kills the broker expects; others miss what they wait for."""
        with contextlib.suppress(aiomqtt.MqttError):
            await self._listen()

    async def _listen(self) -> None:
        async for message in self.client.messages:
            topic, payload = message.topic.value, bytes(message.payload)
            if topic.startswith("packwatch/positions/"):
                self.fixes.append(decode_position(payload, "fleet", topic.rsplit("/", 1)[1]))
                continue
            unit_id, kind = parse_unit_topic(topic)
            if kind == "clock":
                self.beats.append((unit_id, decode_clock_beat(payload)))
                continue
            frame = decode_frame(payload)
            self.frames.append((time.monotonic(), unit_id, frame))
            if self.acknowledging:
                await self.acknowledge(unit_id, frame.boot_id, frame.number)

    async def acknowledge(self, unit_id: str, boot_id: str, number: int) -> None:
        receipt = encode_stored_receipt(StoredReceipt(boot_id=boot_id, frame=number))
        await self.client.publish(stored_topic(unit_id), receipt, qos=1)

    async def configure(self, unit_id: str, report_interval_s: float | None) -> None:
        await self.client.publish(
            config_topic(unit_id), encode_unit_config(UnitConfig(report_interval_s=report_interval_s)), qos=1
        )

    def frames_of(self, unit_id: str) -> list:
        return [frame for _, unit, frame in self.frames if unit == unit_id]


@pytest.fixture
async def gateway(broker):
    """The gateway's side, connected to the broker."""
    async with _gateway_side(broker.access) as side:
        yield side


@pytest.fixture
def gateway_at():
    """The gateway's side of any broker, for tests in which brokers come and go."""
    return _gateway_side


@contextlib.asynccontextmanager
async def _gateway_side(access: BrokerAccess):
    async with mqtt_client(access) as client:
        await client.subscribe(
            [("packwatch/units/+/frames", 1), ("packwatch/units/+/clock", 1), ("packwatch/positions/+", 1)]
        )
        side = GatewaySide(client)
        async with _beside(side.listen()):
            yield side
        # A test that kills the broker knows why the connection broke; else asyncio reports it as never looked at.
        if client._disconnected.done():
            client._disconnected.exception()


@pytest.fixture
def beside():
    """Run a coroutine beside the test until the block ends; its errors are the test's."""
    return _beside


@contextlib.asynccontextmanager
async def _beside(work):
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
