"""Between ingest and a database server: answers errors instead of the server, or instead of the server's answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

HEAD_BYTES = 65_536


class Answers(StrEnum):
    """What a client is told."""

    TRUE = "true"
    UNAVAILABLE = "unavailable"
    """503, and the server never sees the request."""
    OVERLOADED = "overloaded"
    """429 with Retry-After, likewise."""
    LOST = "lost"
    """The server does what it was asked, and the answer is an error or none at all."""


class HttpProxy:
    """Listens on a free loopback port and forwards to `upstream_port`, one request a connection. One event loop."""

    def __init__(self, upstream_port: int, random_source: random.Random) -> None:
        self.upstream_port = upstream_port
        self.port = 0
        self.answers = Answers.TRUE
        self.counts: Counter[str] = Counter()
        self._random = random_source
        self._listener: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to listen; `port` is known afterwards."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_BYTES)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End all connections."""
        if self._listener is not None:
            self._listener.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._serving.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                request = await _read_message(reader)
                writer.write(await self._answer(request))
                await writer.drain()
        except asyncio.CancelledError:
            # Only ever cancelled by `stop`, which is no reason for the server to complain.
            return
        finally:
            self._serving.discard(task)
            writer.close()

    async def _answer(self, request: bytes) -> bytes:
        match self.answers:
            case Answers.TRUE:
                return await self._ask(request)
            case Answers.UNAVAILABLE:
                self.counts["database answered 503"] += 1
                return _refusal("503 Service Unavailable")
            case Answers.OVERLOADED:
                self.counts["database answered 429"] += 1
                return _refusal("429 Too Many Requests", "Retry-After: 1\r\n")
            case Answers.LOST:
                self.counts["answers of the database lost"] += 1
                await self._ask(request)
                return b"" if self._random.random() < 0.5 else _refusal("500 Internal Server Error")

    async def _ask(self, request: bytes) -> bytes:
        """The server's answer to the request. Raises OSError while it is not there."""
        head, _, body = request.partition(b"\r\n\r\n")
        first, *fields = head.split(b"\r\n")
        kept = [field for field in fields if not field.lower().startswith((b"connection:", b"expect:"))]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        try:
            writer.write(b"\r\n".join([first, *kept, b"Connection: close"]) + b"\r\n\r\n" + body)
            await writer.drain()
            return await reader.read(-1)
        finally:
            writer.close()


async def _read_message(reader: asyncio.StreamReader) -> bytes:
    """One whole request. Its body has a length, or comes in chunks."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        chunks = [head]
        while True:
            size = await reader.readline()
            chunks += [size, await reader.readexactly(int(size.split(b";")[0], 16) + 2)]
            if int(size.split(b";")[0], 16) == 0:
                return b"".join(chunks)
    return head + await reader.readexactly(int(fields.get(b"content-length", b"0")))


def _refusal(status: str, fields: str = "") -> bytes:
    body = b'{"error":"not now"}'
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{fields}Connection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
