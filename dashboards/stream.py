"""The live board as server-sent events, made once for all who look: the whole board first, then what changed.

What is sent is the same for all clients that are at the same version, so it is joined and packed once. A packed block
needs nothing of the blocks before it: it ends on a byte, and points back to no text but its own (RFC 1951, a flush
with an empty history). So every client's gzip stream is put together from blocks that all share.
"""

from __future__ import annotations

import asyncio
import secrets
import zlib
from collections import OrderedDict
from functools import cached_property
from typing import TYPE_CHECKING

import orjson
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.types import Message, Send

    from dashboards.board import Change, LiveBoard
    from dashboards.change_log import Key

TICK_S = 0.25
"""Changes are sent four times a second at most; what happens in between is one change."""
PING_EVERY_S = 5.0
"""The page takes two missed pings for a dead connection."""
RETRY_MS = 2000
"""When a browser connects again after a break. **assumed**"""
STALLED_S = 30.0
"""A client that takes nothing for so long is dropped: six pings are on their way to it. **assumed**"""
WHOLE_KEPT_MS = 1000
"""For so long a whole board serves all who come: packing 5,000 packs takes a tenth of a second. **assumed**"""
_BLOCKS_KEPT = 16
_PIECE_BYTES = 64 * 1024
"""What is given to a connection at once: a client that reads slowly holds two of them at most."""
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952: deflate, no name, no time."""


class Block:
    """Some events, up to a version."""

    def __init__(self, text: bytes, version: int) -> None:
        self.text = text
        self.version = version

    @cached_property
    def packed(self) -> bytes:
        """The text as deflate, to be put into any stream of it."""
        packer = zlib.compressobj(level=1, wbits=-zlib.MAX_WBITS)
        return packer.compress(self.text) + packer.flush(zlib.Z_SYNC_FLUSH)


class Broadcast:
    """The board's events for all clients of a process, each encoded, joined and packed once."""

    def __init__(self, board: LiveBoard, *, now_ms: Callable[[], int], epoch: str | None = None) -> None:
        """epoch: names this board among those of other processes, whose versions mean something else."""
        self._board = board
        self._now_ms = now_ms
        self._epoch = secrets.token_hex(6) if epoch is None else epoch
        self._encoded: dict[Key, tuple[int, bytes]] = {}
        self._blocks: OrderedDict[tuple[int, int], Block] = OrderedDict()
        self._whole: tuple[int, Block] | None = None
        self._ping: tuple[int, Block] | None = None
        self._tick: asyncio.Event | None = None
        self.clients = 0
        self.stalled = 0
        """Clients that were dropped since they took nothing."""
        self.resumed = 0
        """Connections that went on where they had been broken."""

    def whole(self) -> Block:
        """The whole board as it was a moment ago; what follows it is told by `since`."""
        at_ms = self._now_ms()
        if (
            self._whole is None
            or not 0 <= at_ms - self._whole[0] < WHOLE_KEPT_MS
            or self._board.changes_since(self._whole[1].version, at_ms).start_over
        ):
            snapshot = self._board.snapshot(at_ms)
            version = self._board.version
            self._whole = at_ms, Block(self._event("board", snapshot, version, retry_ms=RETRY_MS), version)
            self._encoded.clear()  # rows that left the board are forgotten with the next whole one
        return self._whole[1]

    def since(self, version: int) -> Block:
        """What a client at `version` must be sent; a whole board where the changes since are not known any more."""
        at_ms = self._now_ms()
        newest = self._board.changes_since(self._board.version, at_ms).version
        block = self._blocks.get((version, newest))
        if block is None:
            changes = self._board.changes_since(version, at_ms)
            if changes.start_over:
                return self.whole()
            block = Block(b"".join(self._encoded_change(change) for change in changes.rows), changes.version)
            self._blocks[version, changes.version] = block
            if len(self._blocks) > _BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        return block

    def ping(self, version: int) -> Block:
        """Says the time."""
        at_ms = self._now_ms()
        if self._ping is None or self._ping[1].version != version or self._ping[0] != at_ms:
            self._ping = at_ms, Block(self._event("ping", {"now_ms": at_ms}, version), version)
        return self._ping[1]

    def resume_at(self, last_event_id: str | None) -> int | None:
        """The version after which a client goes on that was here before; None = it starts over."""
        epoch, _, version = (last_event_id or "").partition("-")
        if epoch != self._epoch or not version.isdecimal() or len(version) > 18:
            return None
        if self._board.changes_since(int(version), self._now_ms()).start_over:
            return None
        self.resumed += 1
        return int(version)

    async def tick(self) -> None:
        """Wait for the next moment at which all clients look."""
        if self._tick is None:
            self._tick = asyncio.Event()
            asyncio.get_running_loop().call_later(TICK_S, self._ring)
        await self._tick.wait()

    def _ring(self) -> None:
        if self._tick is not None:
            self._tick.set()
            self._tick = None

    def _encoded_change(self, change: Change) -> bytes:
        version, encoded = self._encoded.get(change.key, (-1, b""))
        if version != change.version:
            encoded = self._event(change.key[0], change.row, change.version)
            self._encoded[change.key] = (change.version, encoded)
        return encoded

    def _event(self, name: str, body: object, version: int, retry_ms: int | None = None) -> bytes:
        """One event; its id is the board's epoch and version."""
        text = orjson.dumps(body).decode()
        return format_sse_event(event=name, data_str=text, id=f"{self._epoch}-{version}", retry=retry_ms)


async def board_events(
    broadcast: Broadcast,
    *,
    last_event_id: str | None,
    shutdown: asyncio.Event,
    may_read: Callable[[], Awaitable[bool]],
) -> AsyncIterator[Block]:
    """Blocks until `shutdown` is set, or until `may_read`, asked before each ping, says no.

    A client that reads slowly holds only this generator: it goes on from the newest state when it has caught up. One
    that was here before goes on after `last_event_id`.
    """
    version = broadcast.resume_at(last_event_id)
    if version is None:
        block = broadcast.whole()
        version = block.version
        yield block
    loop = asyncio.get_running_loop()
    ping_at_s = loop.time()  # the first says the time of a board that is a moment old, or that a resumed one is live
    while not shutdown.is_set():
        block = broadcast.since(version)
        version = block.version
        if block.text:
            yield block
        if loop.time() >= ping_at_s:
            if not await may_read():
                return
            ping_at_s = loop.time() + PING_EVERY_S
            yield broadcast.ping(version)
        await broadcast.tick()


class EventResponse(StreamingResponse):
    """Blocks as text/event-stream, packed for clients that unpack; a client that takes nothing is dropped."""

    def __init__(self, blocks: AsyncIterator[Block], broadcast: Broadcast, *, packed: bool) -> None:
        headers = {"x-accel-buffering": "no", "cache-control": "no-store", "vary": "accept-encoding"}
        if packed:
            headers["content-encoding"] = "gzip"
        super().__init__(_pieces(blocks, packed=packed), media_type="text/event-stream", headers=headers)
        self._broadcast = broadcast

    async def stream_response(self, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(STALLED_S):
                await send(message)

        self._broadcast.clients += 1
        try:
            await super().stream_response(send_in_time)
        except TimeoutError:
            self._broadcast.stalled += 1
        finally:
            self._broadcast.clients -= 1


async def _pieces(blocks: AsyncIterator[Block], *, packed: bool) -> AsyncIterator[bytes]:
    head = _GZIP_HEAD if packed else b""
    async for block in blocks:
        content = block.packed if packed else block.text
        for first in range(0, len(content), _PIECE_BYTES):
            yield head + content[first : first + _PIECE_BYTES]
            head = b""
