"""Brings batches and positions to the store, a flush at a time, and tells what was settled.

The store may be slow or away: what waits is kept within a bound, and what finds no room is not acknowledged.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from ingest.stores.contract import StoreError, StoreRefusedError
from telemetry.samples import PositionFix, ReceivedBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ingest.stores.contract import TelemetryStore

FLUSH_BYTES = 16 * 1024 * 1024
"""The largest flush: some 100 ms of the store's work. **assumed**"""
FLUSH_EVERY_S = 0.1
"""A flush gathers at least this long: many small commits cost more than one. **assumed**"""
BACKOFF_S = (0.1, 5.0)
"""The first and the longest wait before a store that was away is asked again; doubling between. **assumed**"""
_BATCH_OVERHEAD_BYTES = 2_000
"""What a batch of one sample occupies: measured at 1.6 kB with its arrays' headers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """An outbox record that is stored, or was already: its gateway may forget it."""

    fleet_id: str
    gateway_id: str
    outbox_sequence: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StorePosition:
    """A position on its way to the store."""

    fix: PositionFix
    outbox_sequence: int | None


Record = ReceivedBatch | StorePosition


class StoreWriter:
    """One writer a store; `offer` from the event loop that runs `run`."""

    def __init__(
        self,
        store: TelemetryStore,
        *,
        max_bytes: int,
        on_stored: Callable[[int, int], None],
        on_refused: Callable[[ReceivedBatch, str], None],
        on_settled: Callable[[Sequence[Settled]], None] | None = None,
    ) -> None:
        """`on_stored` gets stored rows and duplicate batches; `on_refused` a batch that the store will never take."""
        self._store = store
        self._max_bytes = max_bytes
        self._on_stored = on_stored
        self._on_refused = on_refused
        self._on_settled = on_settled
        self._waiting: deque[Record] = deque()
        self._bytes = 0
        self._offered = asyncio.Event()
        self._under_way: tuple[asyncio.Task[None], list[Record]] | None = None
        self._log = structlog.get_logger("ingest.writer")
        self.ok = True
        """False while the store does not take data."""
        self.dropped = 0
        """Records that found no room."""

    @property
    def fill(self) -> float:
        """0 empty, 1 full; a flush under way counts until it is committed."""
        return self._bytes / self._max_bytes

    def offer(self, records: Sequence[Record]) -> None:
        """Queue records; those beyond the bound are counted and left out."""
        for record in records:
            size = _size(record)
            if self._bytes + size > self._max_bytes:
                self.dropped += 1
                continue
            self._bytes += size
            self._waiting.append(record)
        if self._waiting:
            self._offered.set()

    async def run(self) -> None:
        """Write until cancelled; a flush that is under way then is left to `finish`."""
        while True:
            await self._offered.wait()
            await self._flush()
            await asyncio.sleep(FLUSH_EVERY_S)

    async def finish(self, within_s: float) -> None:
        """After `run` has ended: write what waits, as far as time allows; the rest is counted as dropped."""
        try:
            async with asyncio.timeout(within_s):
                while self._under_way is not None or self._waiting:
                    await self._flush()
        except TimeoutError:
            lost = len(self._waiting)
            if self._under_way is not None:
                work, flush = self._under_way
                work.cancel()
                lost += len(flush)
            self._log.error("records_not_stored", records=lost)
            self.dropped += lost

    async def _flush(self) -> None:
        """Write one flush. It goes on when the caller is cancelled, and the next call waits for it."""
        if self._under_way is None:
            flush = self._next_flush()
            self._under_way = asyncio.create_task(self._write(flush), name="ingest flush"), flush
        work, flush = self._under_way
        await asyncio.shield(work)
        self._under_way = None
        self._bytes -= sum(map(_size, flush))
        if not self._waiting:
            self._offered.clear()

    def _next_flush(self) -> list[Record]:
        flush: list[Record] = []
        size = 0
        while self._waiting and size < FLUSH_BYTES:
            record = self._waiting.popleft()
            size += _size(record)
            flush.append(record)
        return flush

    async def _write(self, flush: list[Record]) -> None:
        batches = [record for record in flush if isinstance(record, ReceivedBatch)]
        if batches:
            await self._append(batches)
        positions = [record for record in flush if isinstance(record, StorePosition)]
        if positions:
            await self._persist(self._store.append_positions, [record.fix for record in positions])
        self._settle(positions)

    async def _append(self, batches: Sequence[ReceivedBatch]) -> None:
        """Store batches. One that is refused is found by halving: the others go on."""
        try:
            result = await self._persist(self._store.append, batches)
        except StoreRefusedError as error:
            if len(batches) == 1:
                self._log.warning("batch_refused", unit=batches[0].batch.unit_id, reason=str(error))
                self._on_refused(batches[0], str(error))
                return
            middle = len(batches) // 2
            await self._append(batches[:middle])
            await self._append(batches[middle:])
            return
        self._on_stored(result.stored_rows, result.duplicate_batches)
        self._settle(batches)

    async def _persist(self, call: Callable[[Any], Any], records: Sequence[Any]) -> Any:
        """Call the store until it answers. Raises StoreRefusedError, also for what it cannot have meant to raise."""
        pause_s, longest_s = BACKOFF_S
        while True:
            try:
                answer = await asyncio.to_thread(call, records)
            except StoreRefusedError:
                self._told_ok()
                raise
            except StoreError as error:
                if self.ok:
                    self._log.error("store_away", reason=str(error))
                self.ok = False
                await asyncio.sleep(pause_s)
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

    def _settle(self, records: Sequence[Record]) -> None:
        if self._on_settled is None:
            return
        settled = []
        for record in records:
            if record.outbox_sequence is not None:
                owner = record if isinstance(record, ReceivedBatch) else record.fix
                settled.append(
                    Settled(
                        fleet_id=owner.fleet_id,
                        gateway_id=owner.gateway_id,
                        outbox_sequence=record.outbox_sequence,
                    )
                )
        if settled:
            self._on_settled(settled)


def _size(record: Record) -> int:
    if isinstance(record, StorePosition):
        return _BATCH_OVERHEAD_BYTES
    return _BATCH_OVERHEAD_BYTES + 4 * record.batch.values() + 12 * len(record.batch)
