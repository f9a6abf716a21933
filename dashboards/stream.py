"""The live board as server-sent events: one generator a client, the whole board first, then what changed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
from fastapi.sse import format_sse_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from dashboards.board import Change, LiveBoard
    from dashboards.change_log import Key

TICK_S = 0.25
"""Changes are sent four times a second at most; what happens in between is one change."""
PING_EVERY_S = 5.0
"""The page takes two missed pings for a dead connection."""
RETRY_MS = 2000
"""When a browser connects again after a break. **assumed**"""


class EventEncoder:
    """Encodes each change once, however many clients it is sent to."""

    def __init__(self) -> None:
        self._encoded: dict[Key, tuple[int, bytes]] = {}

    def change(self, change: Change) -> bytes:
        """One `pack`, `vehicle`, `alert` or `intake` event."""
        version, encoded = self._encoded.get(change.key, (-1, b""))
        if version != change.version:
            encoded = event(change.key[0], change.row, change.version)
            self._encoded[change.key] = (change.version, encoded)
        return encoded

    def board(self, board: LiveBoard, now_ms: int) -> tuple[bytes, int]:
        """The whole `board` event, and the version that a client is at with it."""
        snapshot = board.snapshot(now_ms)
        version = board.version
        self._encoded.clear()  # rows that left the board are forgotten with the next client
        return event("board", snapshot, version, retry_ms=RETRY_MS), version


def event(name: str, body: object, version: int, retry_ms: int | None = None) -> bytes:
    """One event; its id is the board's version, which only grows."""
    text = orjson.dumps(body).decode()
    return format_sse_event(event=name, data_str=text, id=str(version), retry=retry_ms)


async def board_events(
    board: LiveBoard,
    encoder: EventEncoder,
    *,
    now_ms: Callable[[], int],
    shutdown: asyncio.Event,
    may_read: Callable[[], Awaitable[bool]],
) -> AsyncIterator[bytes]:
    """Events until `shutdown` is set, or until `may_read`, asked before each ping, says no.

    A client that reads slowly holds only this generator: it goes on from the newest state when it has caught up.
    """
    whole, version = encoder.board(board, now_ms())
    yield whole
    loop = asyncio.get_running_loop()
    ping_at_s = loop.time() + PING_EVERY_S
    while not await _set_within(shutdown, TICK_S):
        at_ms = now_ms()
        changes = board.changes_since(version, at_ms)
        if changes.start_over:
            chunk, version = encoder.board(board, at_ms)
        else:
            chunk, version = b"".join(encoder.change(change) for change in changes.rows), changes.version
        if loop.time() >= ping_at_s:
            if not await may_read():
                return
            ping_at_s = loop.time() + PING_EVERY_S
            chunk += event("ping", {"now_ms": at_ms}, version)
        if chunk:
            yield chunk


async def _set_within(happening: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await happening.wait()
    except TimeoutError:
        return False
    return True
