"""Where the network thread leaves messages for the event loop: bounded, never blocking, counting what it drops."""

from __future__ import annotations

import asyncio
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Arrival(NamedTuple):
    """A message as it came from the broker."""

    topic: str
    payload: bytes
    received_at_ms: int
    """UTC, ms since 1970."""


class LinkChange(NamedTuple):
    """The connection came up, or was lost, between two messages."""

    up: bool
    at_ms: int


_OVERHEAD_BYTES = 300
"""What a queued message costs beside its payload: tuple, topic and objects. Measured with sys.getsizeof, rounded up."""


class Inbox:
    """Messages and changes of the link, in order. When full, the oldest messages go: alarms need the newest most.

    Reading never stops: the broker cuts off a subscriber that does.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._filled = asyncio.Event()
        self._lock = Lock()
        self._items: deque[Arrival | LinkChange] = deque()
        self._max_bytes = max_bytes
        self._bytes = 0
        self._woken = False
        self.dropped = 0
        """Messages that gave way."""

    @property
    def fill(self) -> float:
        """0 empty, 1 full."""
        return self._bytes / self._max_bytes

    def open(self) -> None:
        """The running loop is the one that will `wait` and `take`; call it before the first `put`."""
        self._loop = asyncio.get_running_loop()

    def put(self, item: Arrival | LinkChange) -> None:
        """From the network thread."""
        self.put_all([item])

    def put_all(self, items: Sequence[Arrival | LinkChange]) -> None:
        """From the network thread, in their order."""
        size = sum(map(_size, items))
        with self._lock:
            self._items.extend(items)
            self._bytes += size
            if self._bytes > self._max_bytes:
                self._make_room()
            wake = not self._woken
            self._woken = True
        if wake and self._loop is not None:
            self._loop.call_soon_threadsafe(self._filled.set)

    async def wait(self) -> None:
        """Return once something is there."""
        await self._filled.wait()

    def take(self, limit: int) -> list[Arrival | LinkChange]:
        """What came first, at most `limit`."""
        with self._lock:
            taken = [self._items.popleft() for _ in range(min(limit, len(self._items)))]
            self._bytes -= sum(map(_size, taken))
            if not self._items:
                self._woken = False
                self._filled.clear()
        return taken

    def _make_room(self) -> None:
        changes = []
        while self._bytes > self._max_bytes and self._items:
            oldest = self._items.popleft()
            self._bytes -= _size(oldest)
            if isinstance(oldest, LinkChange):  # without it, sessions that ended would be taken for live ones
                changes.append(oldest)
            else:
                self.dropped += 1
        self._items.extendleft(reversed(changes))


def _size(item: Arrival | LinkChange) -> int:
    return 0 if isinstance(item, LinkChange) else len(item.payload) + _OVERHEAD_BYTES
