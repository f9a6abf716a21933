"""A network between an MQTT client and its broker that can be cut, left half open, slow, repetitive or forgetful."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from faultline.mqtt_stream import is_plain_publish, published_topic, read_packet

if TYPE_CHECKING:
    import random

QUEUE_PACKETS = 10_000
"""Packets that are under way at once; a sender that is faster waits, as it would with a full window."""
HELD_S = 0.1
"""How long a packet is held back so that another may overtake it."""


class Network(StrEnum):
    """What becomes of connections."""

    UP = "up"
    CUT = "cut"
    """Connections are reset, and new ones refused."""
    HALF_OPEN = "half_open"
    """The broker lost the connection; the client does not know it, and nothing answers, not even to new connections."""


@dataclass(slots=True)
class Weather:
    """What befalls packets while the network is up."""

    delay_s: float = 0.0
    duplicate: float = 0.0
    """Share of QoS 0 publishes that arrive twice."""
    reorder: float = 0.0
    """Share of QoS 0 publishes that the next one overtakes."""
    drop_topic: str | None = None
    """Publishes with this in their topic do not arrive."""


@dataclass(eq=False, slots=True)
class _Connection:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Proxy:
    """Listens on a free loopback port and forwards to `upstream_port`. One event loop."""

    def __init__(self, upstream_port: int, random_source: random.Random) -> None:
        self.upstream_port = upstream_port
        self.port = 0
        self.network = Network.UP
        self.weather = Weather()
        self.counts: Counter[str] = Counter()
        self._random = random_source
        self._connections: set[_Connection] = set()
        self._listener: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to listen; `port` is known afterwards."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End all connections."""
        if self._listener is not None:
            self._listener.close()
        self.network = Network.CUT
        tasks = [task for connection in self._connections for task in connection.tasks]
        self._reset_all()
        await asyncio.gather(*tasks, return_exceptions=True)

    def cut(self) -> None:
        """The network is gone, and both ends hear of it."""
        self.network = Network.CUT
        self.counts["cuts"] += 1
        self._reset_all()

    def half_open(self) -> None:
        """The broker's ends are reset; the clients' ends stay, and nothing comes through."""
        self.network = Network.HALF_OPEN
        self.counts["half_open"] += 1
        for connection in self._connections:
            if connection.server is not None:
                _reset(connection.server)

    def retarget(self, upstream_port: int) -> None:
        """Another broker answers from now on."""
        self.upstream_port = upstream_port
        self._reset_all()

    def restore(self) -> None:
        """All is well again. Connections that were half open meet a peer that does not know them, and are reset."""
        if self.network is Network.HALF_OPEN:
            self._reset_all()
        self.network = Network.UP
        self.weather = Weather()

    def _reset_all(self) -> None:
        for connection in list(self._connections):
            for writer in (connection.client, connection.server):
                if writer is not None:
                    _reset(writer)
            for task in connection.tasks:
                task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(client=writer)
        if self.network is Network.CUT:
            _reset(writer)
            return
        self._connections.add(connection)
        connection.tasks.append(asyncio.current_task())
        try:
            if self.network is Network.HALF_OPEN:
                await _swallow(reader)
                return
            with contextlib.suppress(OSError):
                await self._forward(connection, reader)
        except asyncio.CancelledError:
            # Only ever cancelled by _reset_all, which is no reason for the server to complain.
            return
        finally:
            _reset(writer)
            if connection.server is not None:
                _reset(connection.server)
            self._connections.discard(connection)

    async def _forward(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        answers, server = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        connection.server = server
        self.counts["connections"] += 1
        for writer in (connection.client, server):
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pumps = [
            asyncio.create_task(self._pump(reader, server)),
            asyncio.create_task(self._pump(answers, connection.client)),
        ]
        connection.tasks += pumps
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if self.network is Network.HALF_OPEN:
                # The client's end stays open, and what it says goes nowhere.
                for pump in pumps:
                    pump.cancel()
                await asyncio.wait(pumps)
                await _swallow(reader)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        queue: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue(QUEUE_PACKETS)
        writing = asyncio.create_task(_write(queue, writer))
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                await self._read(reader, queue)
            await queue.put(None)
            await writing
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _read(self, reader: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes] | None]) -> None:
        held: bytes | None = None
        while True:
            reading = asyncio.ensure_future(read_packet(reader))
            try:
                done, _ = await asyncio.wait([reading], timeout=None if held is None else HELD_S)
                if not done and held is not None:
                    await self._put(queue, held)
                    held = None
                packet = await reading
            finally:
                reading.cancel()
            topic = published_topic(packet)
            if topic is not None and self.weather.drop_topic and self.weather.drop_topic in topic:
                self.counts["dropped"] += 1
                continue
            copies = 1
            if is_plain_publish(packet):
                if held is None and self._random.random() < self.weather.reorder:
                    self.counts["reordered"] += 1
                    held = packet
                    continue
                if self._random.random() < self.weather.duplicate:
                    self.counts["duplicated"] += 1
                    copies = 2
            for each in [packet] * copies:
                await self._put(queue, each)
            if held is not None:
                await self._put(queue, held)
                held = None

    async def _put(self, queue: asyncio.Queue[tuple[float, bytes] | None], packet: bytes) -> None:
        if self.weather.delay_s:
            self.counts["delayed"] += 1
        await queue.put((asyncio.get_running_loop().time() + self.weather.delay_s, packet))


async def _write(queue: asyncio.Queue[tuple[float, bytes] | None], writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while (entry := await queue.get()) is not None:
            due_s, packet = entry
            if due_s > loop.time():
                await asyncio.sleep(due_s - loop.time())
            writer.write(packet)
            await writer.drain()


async def _swallow(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(65_536):
            pass


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: whatever was under way is lost, and both ends know."""
    with contextlib.suppress(OSError):
        raw = writer.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
