"""Brings batches and positions to the store, a flush at a time, and tells what was settled.

The store may be slow or away, or another worker may be the one that writes: what waits is kept within a bound, and what
finds no room is not acknowledged.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from ingest.leases import Right
from ingest.stores.contract import OutboxRange, StoreError, StoreFencedError, StoreRefusedError, StoreUnavailableError
from ingest.stores.progress import settled_without
from telemetry.samples import PositionFix, ReceivedBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ingest.stores.contract import Fence, TelemetryStore

FLUSH_BYTES = 16 * 1024 * 1024
"""The largest flush: some 100 ms of the store's work. **assumed**"""
FLUSH_EVERY_S = 0.2
"""From one flush to the next, unless a whole one has gathered: many small commits cost more than one. **assumed**"""
BACKOFF_S = (0.1, 5.0)
"""The first and the longest wait before a store that was away is asked again; doubling between. **assumed**"""
LONGEST_ASKED_S = 60.0
"""The longest wait that a store may ask for itself: a mistaken header must not stop ingest for a day. **assumed**"""
UNSURE_EVERY_S = 0.1
"""How often is looked whether the right to write is known by now."""
_BATCH_OVERHEAD_BYTES = 2_000
"""What a batch of one sample occupies: measured at 1.6 kB with its arrays' headers."""
_RANGE_BYTES = 300


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StorePosition:
    """A position on its way to the store."""

    fix: PositionFix
    outbox_sequence: int | None
    outbox_id: str | None

    @property
    def fleet_id(self) -> str:
        return self.fix.fleet_id

    @property
    def gateway_id(self) -> str:
        return self.fix.gateway_id


Record = ReceivedBatch | StorePosition | OutboxRange
"""An OutboxRange is settled without anything to store: the quarantine has it, or its gateway let it go."""


class Rights(Protocol):
    """Who may write for which fleet; asked on the event loop."""

    def right(self, fleet_id: str) -> Right:
        """What this worker may do for a fleet."""

    def fences(self, fleet_ids: Iterable[str]) -> tuple[Fence, ...]:
        """What a write for these fleets must pass."""

    def look_again(self, highest: int) -> None:
        """The store says that it must not write, having seen a fence of that number."""


class StoreWriter:
    """One writer a store; `offer` from the event loop that runs `run`."""

    def __init__(
        self,
        store: TelemetryStore,
        *,
        max_bytes: int,
        on_stored: Callable[[int, int], None],
        on_refused: Callable[[ReceivedBatch, str], None],
        on_settled: Callable[[Sequence[OutboxRange]], None] | None = None,
        rights: Rights | None = None,
    ) -> None:
        """`on_stored` gets stored rows and duplicate batches; `on_refused` a batch that the store will never take.

        `on_settled` gets what was committed. `rights` None: nobody else writes.
        """
        self._store = store
        self._max_bytes = max_bytes
        self._on_stored = on_stored
        self._on_refused = on_refused
        self._on_settled = on_settled
        self._rights = rights
        self._waiting: deque[tuple[Record, int]] = deque()
        self._bytes = 0
        self._offered = asyncio.Event()
        self._under_way: tuple[asyncio.Task[None], list[Record], int] | None = None
        self._log = structlog.get_logger("ingest.writer")
        self.ok = True
        """False while the store does not take data."""
        self.dropped = 0
        """Records that found no room."""
        self.left_to_another = 0
        """Records that were not written since another worker writes for their group."""

    @property
    def fill(self) -> float:
        """0 empty, 1 full; a flush under way counts until it is committed."""
        return self._bytes / self._max_bytes

    def offer(self, records: Iterable[Record]) -> None:
        """Queue records; those beyond the bound are counted and left out."""
        for record in records:
            size = _size(record)
            if self._bytes + size > self._max_bytes:
                self.dropped += 1
                continue
            self._bytes += size
            self._waiting.append((record, size))
        if self._waiting:
            self._offered.set()

    async def run(self) -> None:
        """Write until cancelled; a flush that is under way then is left to `finish`."""
        while True:
            await self._offered.wait()
            due_s = time.monotonic() + FLUSH_EVERY_S
            await self._flush()
            if self._bytes < FLUSH_BYTES:
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    async def finish(self, within_s: float) -> None:
        """After `run` has ended: write what waits, as far as time allows; the rest is counted as dropped."""
        try:
            async with asyncio.timeout(within_s):
                while self._under_way is not None or self._waiting:
                    await self._flush()
        except TimeoutError:
            lost = len(self._waiting)
            if self._under_way is not None:
                work, flush, _ = self._under_way
                work.cancel()
                lost += len(flush)
            self._log.error("records_not_stored", records=lost)
            self.dropped += lost

    async def _flush(self) -> None:
        """Write one flush. It goes on when the caller is cancelled, and the next call waits for it."""
        if self._under_way is None:
            flush, size = self._next_flush()
            self._under_way = asyncio.create_task(self._write(flush), name="ingest flush"), flush, size
        work, _, size = self._under_way
        await asyncio.shield(work)
        self._under_way = None
        self._bytes -= size
        if not self._waiting:
            self._offered.clear()

    def _next_flush(self) -> tuple[list[Record], int]:
        flush: list[Record] = []
        total = 0
        while self._waiting and total < FLUSH_BYTES:
            record, size = self._waiting.popleft()
            total += size
            flush.append(record)
        return flush, total

    async def _write(self, flush: list[Record]) -> None:
        """Write what is ours of a flush, once it is known to be ours."""
        left = flush
        while left := await self._ours(left):
            try:
                await self._write_ours(left)
            except StoreFencedError as error:
                self._log.warning("write_fenced", reason=str(error), records=len(left))
                if self._rights is not None:
                    self._rights.look_again(error.highest)
            else:
                return

    async def _ours(self, records: list[Record]) -> list[Record]:
        """The records of fleets that this worker writes for, once that is known of all of them."""
        if self._rights is None:
            return records
        while True:
            rights = {fleet_id: self._rights.right(fleet_id) for fleet_id in {record.fleet_id for record in records}}
            if Right.UNSURE not in rights.values():
                break
            await asyncio.sleep(UNSURE_EVERY_S)
        ours = [record for record in records if rights[record.fleet_id] is Right.HELD]
        self.left_to_another += len(records) - len(ours)
        return ours

    async def _write_ours(self, records: list[Record]) -> None:
        """Write records. After StoreFencedError some of them may be written: writing them again doubles nothing."""
        batches: list[ReceivedBatch] = []
        positions: list[StorePosition] = []
        settled: list[OutboxRange] = []
        for record in records:
            if isinstance(record, ReceivedBatch):
                batches.append(record)
            elif isinstance(record, StorePosition):
                positions.append(record)
            else:
                settled.append(record)
        if batches or settled:
            await self._append(batches, settled)
        if positions:
            await self._append_positions(positions)

    async def _append(self, batches: Sequence[ReceivedBatch], settled: Sequence[OutboxRange]) -> None:
        """Store batches. One that is refused is found by halving: the others go on."""
        ranges = [*settled, *ranges_of(batches)]
        try:
            result = await self._persist(self._store.append, batches, ranges, self._fences([*batches, *settled]))
        except StoreRefusedError as error:
            if len(batches) == 1:
                self._log.warning("batch_refused", unit=batches[0].batch.unit_id, reason=str(error))
                self._on_refused(batches[0], str(error))
                if settled:
                    await self._append((), settled)
                return
            if not batches:
                raise
            middle = len(batches) // 2
            await self._append(batches[:middle], settled)
            await self._append(batches[middle:], ())
            return
        for received, reason in result.refused:
            self._on_refused(received, reason)
        self._on_stored(result.stored_rows, result.duplicate_batches)
        self._tell(settled_without(ranges, result.refused))

    async def _append_positions(self, positions: Sequence[StorePosition]) -> None:
        ranges = ranges_of(positions)
        fixes = [position.fix for position in positions]
        await self._persist(self._store.append_positions, fixes, ranges, self._fences(positions))
        self._tell(ranges)

    def _fences(self, records: Sequence[Record]) -> tuple[Fence, ...]:
        return () if self._rights is None else self._rights.fences({record.fleet_id for record in records})

    async def _persist(self, call: Callable[..., Any], *what: Any) -> Any:
        """Call the store until it answers.

        Raises StoreFencedError, and StoreRefusedError, also for what the store cannot have meant to raise.
        """
        pause_s, longest_s = BACKOFF_S
        while True:
            try:
                answer = await asyncio.to_thread(call, *what)
            except (StoreRefusedError, StoreFencedError):
                self._told_ok()
                raise
            except StoreError as error:
                if self.ok:
                    self._log.error("store_away", reason=str(error))
                self.ok = False
                asked_s = (error.retry_after_s if isinstance(error, StoreUnavailableError) else None) or 0.0
                await asyncio.sleep(max(pause_s, min(asked_s, LONGEST_ASKED_S)))
                pause_s = min(2 * pause_s, longest_s)
            except Exception as error:
                self._log.exception("store_failed")
                raise StoreRefusedError(f"the store failed on it: {error!r}") from error
            else:
                self._told_ok()
                return answer

    def _told_ok(self) -> None:
        if not self.ok:
            self._log.info("store_back")
        self.ok = True

    def _tell(self, settled: Sequence[OutboxRange]) -> None:
        if settled and self._on_settled is not None:
            self._on_settled(settled)


def ranges_of(records: Sequence[ReceivedBatch | StorePosition]) -> list[OutboxRange]:
    """The outbox records that these are, as few ranges."""
    numbers: dict[tuple[str, str, str], list[int]] = {}
    for record in records:
        if record.outbox_sequence is not None and record.outbox_id is not None:
            outbox = record.fleet_id, record.gateway_id, record.outbox_id
            numbers.setdefault(outbox, []).append(record.outbox_sequence)
    ranges: list[OutboxRange] = []
    for outbox, sequences in numbers.items():
        sequences.sort()
        first = last = sequences[0]
        for sequence in sequences:
            if sequence > last + 1:
                ranges.append(OutboxRange(*outbox, first, last))
                first = sequence
            last = sequence
        ranges.append(OutboxRange(*outbox, first, last))
    return ranges


def _size(record: Record) -> int:
    if isinstance(record, ReceivedBatch):
        batch = record.batch
        return _BATCH_OVERHEAD_BYTES + batch.temperatures_c.nbytes + batch.voltages_v.nbytes + 36 * len(batch)
    return _BATCH_OVERHEAD_BYTES if isinstance(record, StorePosition) else _RANGE_BYTES
