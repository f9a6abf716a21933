"""Many readers of the live stream in one process, for bench/dashboards.py: all take it in, some look into it.

A looker unpacks what it gets and notes, for each pack's row, how long after its sample it was here. The others read
as much and throw it away: 500 that unpack on the machine of the server would measure themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
import zlib
from urllib.parse import urlsplit

import numpy as np

_SAMPLED = re.compile(rb'"sampled_at_ms":(\d+)')


class Client:
    """One connection."""

    def __init__(self, *, looks: bool) -> None:
        self._unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16) if looks else None
        self._rest = b""
        self._counts = False
        self.late_ms: list[int] = []
        self.bytes = 0

    async def run(self, url: str, token: str) -> None:
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1 << 20)
        writer.write(
            f"GET /api/stream HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {token}\r\n"
            "Accept-Encoding: gzip\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise SystemExit(f"the stream answers {head!r}")
        while True:
            size = int(await reader.readline(), 16)
            content = await reader.readexactly(size + 2)
            self.bytes += size
            if self._unpacker is not None:
                self._look(self._unpacker.decompress(content[:-2]))

    def _look(self, text: bytes) -> None:
        *events, self._rest = (self._rest + text).split(b"\n\n")
        now_ms = time.time_ns() // 1_000_000
        for event in events:
            if self._counts and event.startswith(b"event: pack"):
                found = _SAMPLED.search(event)
                if found is not None:
                    self.late_ms.append(now_ms - int(found[1]))

    def start_counting(self) -> None:
        self._counts = True
        self.bytes = 0


async def measure(url: str, token: str, clients: int, lookers: int, seconds: float) -> dict[str, float]:
    every = max(clients // max(lookers, 1), 1)
    readers = [Client(looks=number % every == 0) for number in range(clients)]
    async with asyncio.TaskGroup() as group:
        tasks = []
        for reader in readers:
            tasks.append(group.create_task(reader.run(url, token)))
            await asyncio.sleep(0.01)  # a hundred a second: people come in the morning, not at one moment
        await asyncio.sleep(5)
        for reader in readers:
            reader.start_counting()
        await asyncio.sleep(seconds)
        late_ms = np.concatenate([np.array(reader.late_ms) for reader in readers if reader.late_ms])
        taken = np.array([reader.bytes for reader in readers])
        for task in tasks:
            task.cancel()
    return {
        "events_seen": len(late_ms),
        "p50_ms": float(np.percentile(late_ms, 50)),
        "p99_ms": float(np.percentile(late_ms, 99)),
        "max_ms": float(late_ms.max()),
        "kb_per_s_each": round(float(taken.mean()) / seconds / 1000, 1),
        "least_bytes_of_mean": round(float(taken.min() / taken.mean()), 3),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("token")
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--lookers", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=20)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(measure(given.url, given.token, given.clients, given.lookers, given.seconds))))
