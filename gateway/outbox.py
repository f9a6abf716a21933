"""What the gateway owes to the cloud: records with their sequence numbers, kept until they are settled.

This one lives in memory and ends with the process.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.ranges import RangeSet
from telemetry.samples import SINGLE_CHANNELS, PositionFix, SampleBatch

if TYPE_CHECKING:
    from collections.abc import Iterable

STORED_RANGES_LIMIT = 64
"""Most pairs of `Outbox/StoredRanges`; a range left out is merely sent again. Origin: the wire contract."""

WINDOW_RECORDS = 256
WINDOW_BYTES = 4 * 1024 * 1024
"""What may be published and not yet settled. Origin: the wire contract."""

RECORD_OVERHEAD_BYTES = 2_000
"""A record's Python objects beside its columns. Origin: `tracemalloc` over 2,000 frames says 1,800."""


class OutboxFullError(Exception):
    """No room for another record: try again when the uplink has drained some."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameRecord:
    """A unit's frame with its time fixed. The time is never computed again."""

    batch: SampleBatch
    accepted_at_ms: int
    """The gateway's clock, UTC, ms since 1970."""

    def size_bytes(self) -> int:
        """Estimated memory of the record."""
        columns = [self.batch.sampled_at_ms, self.batch.quality, self.batch.temperatures_c, self.batch.voltages_v]
        singles = [getattr(self.batch, name) for name in SINGLE_CHANNELS]
        bytes_of_columns = sum(int(column.nbytes) for column in [*columns, *singles] if column is not None)
        return RECORD_OVERHEAD_BYTES + bytes_of_columns


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionRecord:
    """Where the vehicle was."""

    fix: PositionFix
    accepted_at_ms: int
    """The gateway's clock, UTC, ms since 1970."""

    def size_bytes(self) -> int:
        """Estimated memory of the record."""
        return RECORD_OVERHEAD_BYTES


OutboxRecord = FrameRecord | PositionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEntry:
    """A record that is due to be published."""

    sequence: int
    record: OutboxRecord
    sent_before: bool
    """It went out on an earlier connection, and nobody has settled it."""


class MemoryOutbox:
    """Records in the order in which they were accepted. Call it from one thread.

    Bounded by `max_bytes` (estimated): when full it refuses, and whoever offered the record must not acknowledge it.
    Published records wait in a window for their settlement; when the window overflows, the oldest leave it
    unsettled, since a host that never acknowledges must not stop the flow. `forgotten` counts them.
    """

    def __init__(self, *, outbox_id: str, max_bytes: int) -> None:
        self.outbox_id = outbox_id
        self.forgotten = 0
        self._max_bytes = max_bytes
        self._bytes = 0
        self._next_sequence = 1
        self._waiting: deque[OutboxEntry] = deque()
        self._window: OrderedDict[int, OutboxEntry] = OrderedDict()
        self._window_bytes = 0
        self._highest_published = 0
        self._floor = 0
        self._above = RangeSet(STORED_RANGES_LIMIT)

    def __len__(self) -> int:
        """How many records wait to be published."""
        return len(self._waiting)

    def fill(self) -> float:
        """How full the outbox is, 0 to 1."""
        return min(1.0, self._bytes / self._max_bytes)

    def accept(self, record: OutboxRecord) -> int:
        """Keep the record; returns its sequence number, from 1 on. Raises OutboxFullError and changes nothing."""
        size = record.size_bytes()
        if self._bytes + size > self._max_bytes:
            raise OutboxFullError(f"{len(self._waiting)} records wait, {self._bytes} of {self._max_bytes} bytes")
        sequence = self._next_sequence
        self._next_sequence += 1
        self._bytes += size
        self._waiting.append(OutboxEntry(sequence=sequence, record=record, sent_before=False))
        return sequence

    def take(self, limit: int) -> tuple[OutboxEntry, ...]:
        """At most `limit` records to publish now, oldest first. They move to the window of the unsettled."""
        entries: list[OutboxEntry] = []
        while self._waiting and len(entries) < limit:
            entry = self._waiting.popleft()
            size = entry.record.size_bytes()
            self._bytes -= size
            if self._is_settled(entry.sequence):
                continue
            entries.append(entry)
            self._highest_published = max(self._highest_published, entry.sequence)
            self._window[entry.sequence] = entry
            self._window_bytes += size
        while len(self._window) > WINDOW_RECORDS or self._window_bytes > WINDOW_BYTES:
            _, oldest = self._window.popitem(last=False)
            self._window_bytes -= oldest.record.size_bytes()
            self.forgotten += 1
        return tuple(entries)

    def rewind(self) -> int:
        """Queue all that is published and unsettled again, oldest first. Returns how many.

        For a connection that was lost: what it swallowed last may never have reached the broker.
        """
        for entry in reversed(self._window.values()):
            self._waiting.appendleft(OutboxEntry(sequence=entry.sequence, record=entry.record, sent_before=True))
        rewound = len(self._window)
        # The window's records were accepted once; they come back even when that overfills the outbox for a while.
        self._bytes += self._window_bytes
        self._window.clear()
        self._window_bytes = 0
        return rewound

    def settle(self, floor: int, ranges: Iterable[tuple[int, int]] = ()) -> None:
        """Everything up to `floor`, and the ranges (first, last) above it, is stored: drop it.

        Raises ValueError, and changes nothing, when they name numbers that were never published: then the
        acknowledgement is about another outbox.
        """
        pairs = list(ranges)
        if max([floor, *(last for _, last in pairs)]) > self._highest_published:
            raise ValueError(f"records above {self._highest_published} were never published")
        if any(first > last for first, last in pairs):
            raise ValueError("a range ends before it begins")
        self._floor = max(self._floor, floor)
        for first, last in pairs:
            if last > self._floor:
                self._above.add(max(first, self._floor + 1), last)
        self._floor = self._above.take_prefix(self._floor)
        for sequence in [sequence for sequence in self._window if self._is_settled(sequence)]:
            self._window_bytes -= self._window.pop(sequence).record.size_bytes()

    def stored(self) -> tuple[int, tuple[tuple[int, int], ...]]:
        """The floor, up to which all is settled (0 = nothing), and the settled ranges above it."""
        return self._floor, tuple(self._above)

    def _is_settled(self, sequence: int) -> bool:
        return sequence <= self._floor or sequence in self._above
