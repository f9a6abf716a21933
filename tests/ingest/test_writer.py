"""The writer: a store that is away, a batch that it never takes, and a queue that is full."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from ingest.stores.contract import AppendResult, OutboxRange, RefusedBatch, StoreInUseError, StoreUnavailableError
from ingest.writer import BACKOFF_S, StorePosition, StoreWriter
from telemetry.samples import PositionFix, ReceivedBatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.stores.duckdb import DuckDBStore

    Make = Callable[..., ReceivedBatch]


class Told:
    """What a writer reported."""

    def __init__(self) -> None:
        self.rows = 0
        self.duplicates = 0
        self.refused: list[tuple[ReceivedBatch, str]] = []
        self.settled: list[OutboxRange] = []

    def writer(self, store: Any, max_bytes: int = 10_000_000) -> StoreWriter:
        return StoreWriter(
            store,
            max_bytes=max_bytes,
            on_stored=self._stored,
            on_refused=lambda *refused: self.refused.append(refused),
            on_settled=self.settled.extend,
        )

    def _stored(self, rows: int, duplicates: int) -> None:
        self.rows += rows
        self.duplicates += duplicates


@pytest.fixture
def told() -> Told:
    return Told()


async def test_a_poison_batch_is_refused_and_the_others_go_on(store: DuckDBStore, told: Told, make_batch: Make) -> None:
    writer = told.writer(store)
    poison = make_batch(frame=2**64, outbox_sequence=3, outbox_id="o")
    writer.offer([make_batch(frame=number, outbox_sequence=number, outbox_id="o") for number in (1, 2)])
    writer.offer([poison, *(make_batch(frame=number, outbox_sequence=number, outbox_id="o") for number in (4, 5))])
    await writer.finish(10)
    assert [refused for refused, _ in told.refused] == [poison]
    assert told.rows == 8
    assert [(each.first, each.last) for each in told.settled] == [(1, 2), (4, 5)]
    assert writer.ok
    assert writer.fill == 0


async def test_a_store_that_fails_in_its_own_way_refuses_the_batch(told: Told, make_batch: Make) -> None:
    class Faulty:
        def append(self, batches: Any, *_: Any) -> AppendResult:
            if any(received.batch.frame == 2 for received in batches):
                raise KeyError("a fault of the store")
            return AppendResult(stored_rows=len(batches), duplicate_batches=0)

    writer = told.writer(Faulty())
    writer.offer([make_batch(frame=number) for number in (1, 2, 3)])
    await writer.finish(10)
    assert [refused.batch.frame for refused, _ in told.refused] == [2]
    assert told.rows == 2


async def test_a_store_that_is_away_is_asked_again_and_nothing_is_lost(told: Told, make_batch: Make) -> None:
    class Away:
        def __init__(self) -> None:
            self.asked = 0

        def append(self, batches: Any, *_: Any) -> AppendResult:
            self.asked += 1
            if self.asked < 3:
                raise StoreUnavailableError("the disk is full")
            return AppendResult(stored_rows=len(batches), duplicate_batches=0)

    store = Away()
    writer = told.writer(store)
    writer.offer([make_batch(frame=1)])
    task = asyncio.create_task(writer.run())
    async with asyncio.timeout(10):
        while writer.ok:
            await asyncio.sleep(0.001)
        writer.offer([make_batch(frame=2)])
        while told.rows < 2:
            await asyncio.sleep(0.001)
    assert writer.ok
    assert writer.dropped == 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_store_that_says_when_to_come_back_is_left_alone_until_then(told: Told, make_batch: Make) -> None:
    class Busy:
        def __init__(self) -> None:
            self.asked_at_s: list[float] = []

        def append(self, *_: Any) -> AppendResult:
            self.asked_at_s.append(time.monotonic())
            if len(self.asked_at_s) == 1:
                raise StoreUnavailableError("too many requests", retry_after_s=0.7)
            return AppendResult(stored_rows=1, duplicate_batches=0)

    store = Busy()
    writer = told.writer(store)
    writer.offer([make_batch(frame=1)])
    await writer.finish(10)
    first, second = store.asked_at_s
    assert second - first >= 0.7


async def test_what_the_server_refused_is_told_and_not_sent_again_and_settled_by_the_quarantine(
    told: Told, make_batch: Make
) -> None:
    poison = make_batch(frame=2, outbox_sequence=2, outbox_id="o")

    class Partial:
        appended = 0

        def append(self, *_: Any) -> AppendResult:
            self.appended += 1
            return AppendResult(stored_rows=3, duplicate_batches=0, refused=(RefusedBatch(poison, "invalid number"),))

    store = Partial()
    writer = told.writer(store)
    writer.offer([make_batch(frame=n, outbox_sequence=n, outbox_id="o") if n != 2 else poison for n in (1, 2, 3)])
    await writer.finish(10)
    assert told.refused == [(poison, "invalid number")]
    assert [(each.first, each.last) for each in told.settled] == [(1, 1), (3, 3)]
    assert store.appended == 1


async def test_a_store_that_another_process_took_over_is_away_and_no_reason_to_refuse(
    told: Told, make_batch: Make
) -> None:
    class Taken:
        def append(self, *_: Any) -> AppendResult:
            raise StoreInUseError("open in another process")

    writer = told.writer(Taken())
    writer.offer([make_batch()])
    await writer.finish(BACKOFF_S[0] / 2)
    assert not writer.ok
    assert told.refused == []


async def test_a_full_queue_counts_what_finds_no_room(store: DuckDBStore, told: Told, make_batch: Make) -> None:
    writer = told.writer(store, max_bytes=10_000)
    writer.offer([make_batch(frame=number) for number in range(10)])
    assert writer.dropped == 6
    assert writer.fill == pytest.approx(0.8448)
    await writer.finish(10)
    assert told.rows == 8


async def test_the_end_waits_for_a_store_that_is_away_no_longer_than_told(told: Told, make_batch: Make) -> None:
    class Away:
        def append(self, *_: Any) -> AppendResult:
            raise StoreUnavailableError("the disk is full")

    writer = told.writer(Away())
    writer.offer([make_batch()])
    await writer.finish(BACKOFF_S[0] / 2)
    assert told.rows == 0
    assert writer.dropped == 1, "what was not stored is not passed over"


async def test_positions_go_to_the_store_and_are_settled(store: DuckDBStore, told: Told) -> None:
    fix = PositionFix(fleet_id="fleet", gateway_id="gateway", fixed_at_ms=1, latitude_deg=1.0, longitude_deg=2.0)
    writer = told.writer(store)
    writer.offer([StorePosition(fix=fix, outbox_sequence=number, outbox_id="o") for number in (9, None)])
    await writer.finish(10)
    assert store.positions("gateway", 0, 10) == (fix,)
    assert told.settled == [OutboxRange("fleet", "gateway", "o", 9, 9)]
