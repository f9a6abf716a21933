"""Acknowledgement through a real broker: what is told, when it is told again, and what doubles nothing."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ingest import leases
from ingest.service import IngestService
from ingest.stores.contract import StoreUnavailableError
from ingest.stores.duckdb import DuckDBStore
from telemetry.cab_report import CabAction, CabReport, encode_cab_report
from telemetry.sparkplug.acknowledgement import DropRecord, Replaced, drop_metrics
from telemetry.sparkplug.payload import DataType, Metric
from tests.ingest.conftest import EdgeNode, Recorder, Units, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from ingest.stores.contract import AppendResult
    from telemetry.samples import ReceivedBatch

    Make = Callable[..., ReceivedBatch]


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.fixture
def batch(make_batch: Make) -> Callable[..., Any]:
    def make(frame: int = 1, **given: Any) -> Any:
        at_ms = now_ms() - 1_000_000 + 10_000 * frame
        return make_batch(frame=frame, **{"sampled_at_ms": [at_ms, at_ms + 1000], **given}).batch

    return make


@pytest.fixture
def node(broker) -> Any:
    opened = EdgeNode(broker)
    yield opened
    opened.close()


@pytest.fixture
def start(broker, registry) -> Callable[..., Any]:
    """An ingest worker on the broker and registry of the test, as a context."""

    @asynccontextmanager
    async def running(store: Any, **given: Any) -> AsyncIterator[IngestService]:
        service = IngestService(
            broker.access, host_id="packwatch", store=store, directory=Units(registry), quarantine=registry, **given
        )
        task = asyncio.create_task(service.run())
        await asyncio.wait_for(service.ready.wait(), 10)
        yield service
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    return running


@pytest.fixture
def two_stores(tmp_path: Path) -> Any:
    opened = [DuckDBStore(tmp_path / f"{name}.duckdb", threads=1, memory_limit_mb=128) for name in "ab"]
    yield opened
    for store in opened:
        store.close()


async def test_what_is_stored_is_acknowledged_with_floor_and_ranges(ingest, edge_node, batch) -> None:
    edge_node.be_born("unit-1", outbox="box-1")
    await eventually(edge_node.acknowledged, "an answer to the birth")
    assert edge_node.acknowledged()[0].floor == 0
    for sequence in (1, 2, 4, 7, 8):
        edge_node.send_batch(batch(sequence), outbox_sequence=sequence)
    await eventually(lambda: edge_node.is_settled("box-1", 1, 2, 4, 7, 8), "floor 2, ranges 4 and 7 to 8")
    edge_node.send_batch(batch(3), outbox_sequence=3)
    await eventually(lambda: edge_node.acknowledged()[-1].floor == 4, "the gap is closed")
    assert ingest.service.counters.acknowledgements == len(edge_node.acknowledged())


async def test_a_gateway_hears_at_most_once_a_second(ingest, edge_node, batch) -> None:
    edge_node.be_born("unit-1", outbox="box-1")
    began = time.monotonic()
    sequence = 0
    while time.monotonic() - began < 1.5:
        sequence += 1
        edge_node.send_batch(batch(sequence % 50), outbox_sequence=sequence)
        await asyncio.sleep(0.01)
    await eventually(lambda: edge_node.acknowledged()[-1].floor == sequence, "all of it")
    assert len(edge_node.acknowledged()) <= 5, "the birth, and one a second"


async def test_a_lost_acknowledgement_is_repeated_on_duplicates_and_births(ingest, edge_node, batch) -> None:
    edge_node.be_born("unit-1", outbox="box-1")
    edge_node.send_batch(batch(1), outbox_sequence=1)
    await eventually(lambda: edge_node.is_settled("box-1", 1), "the first acknowledgement")
    edge_node.heard.clear()
    edge_node.send_batch(batch(1), outbox_sequence=1)
    await eventually(lambda: edge_node.is_settled("box-1", 1), "the same again")
    edge_node.heard.clear()
    edge_node.be_born("unit-1", outbox="box-1")
    await eventually(lambda: edge_node.is_settled("box-1", 1), "and once more on the birth")
    assert ingest.rows() == 2


async def test_after_a_restart_it_knows_what_was_settled(start, tmp_path: Path, node, batch) -> None:
    for sequences in ((1, 2), (3, 5)):
        store = DuckDBStore(tmp_path / "again.duckdb")
        async with start(store):
            node.heard.clear()
            node.be_born("unit-1", outbox="box-1")
            if sequences == (3, 5):
                await eventually(lambda: node.is_settled("box-1", 1, 2), "what the last process stored")
            for sequence in sequences:
                node.send_batch(batch(sequence), outbox_sequence=sequence)
            settled = {1, 2, *sequences}
            await eventually(lambda: node.is_settled("box-1", *settled), "all of it")  # noqa: B023 - called at once
        store.close()


async def test_what_its_gateway_knows_to_be_settled_is_taken_over(ingest, edge_node, batch) -> None:
    edge_node.be_born("unit-1", outbox="box-1", floor=40)
    edge_node.send_batch(batch(1), outbox_sequence=41)
    await eventually(lambda: edge_node.is_settled("box-1", *range(1, 42)), "a floor of 41, not a range for ever")


async def test_positions_settle(ingest, edge_node) -> None:
    edge_node.be_born(outbox="box-1")
    values = {"Latitude": 40.5, "Longitude": -80.25}
    metrics = [Metric(name=f"Position/{name}", datatype=DataType.DOUBLE, value=v) for name, v in values.items()]
    metrics.append(Metric(name="Outbox/Sequence", datatype=DataType.UINT64, value=1))
    edge_node.send("NDATA", metrics)
    await eventually(lambda: edge_node.is_settled("box-1", 1), "the position")
    assert len(ingest.store.positions("gateway-1", 0, 2**42)) == 1


async def test_a_record_with_nothing_for_the_store_settles(ingest, edge_node) -> None:
    edge_node.be_born(outbox="box-1")
    edge_node.send("NDATA", [Metric(name="Outbox/Sequence", datatype=DataType.UINT64, value=1)])
    await eventually(lambda: edge_node.is_settled("box-1", 1), "the record")


def cab_action(text: str, sequence: int) -> list[Metric]:
    return [
        Metric(name="Cab/Action", datatype=DataType.STRING, value=text),
        Metric(name="Outbox/Sequence", datatype=DataType.UINT64, value=sequence),
    ]


async def test_what_a_cab_did_settles_once_its_listener_has_kept_it(start, store, node) -> None:
    heard: list[Any] = []

    class Listener:
        observe_cab = heard.extend

    report = CabReport(
        report_id="r1", action=CabAction.SOUNDED, at_ms=now_ms(), units={"unit-1": "critical"}, detail=""
    )
    async with start(store, cab_listener=Listener()):
        node.be_born(outbox="box-1")
        node.send("NDATA", cab_action(encode_cab_report(report), 1))
        node.send("NDATA", cab_action("no action", 2))
        await eventually(lambda: node.is_settled("box-1", 2), "the quarantine has what nobody understands")
        [(told, kept)] = heard
        assert (told.fleet_id, told.gateway_id, told.report) == ("fleet-1", "gateway-1", report)
        kept()
        await eventually(lambda: node.is_settled("box-1", 1, 2), "what was kept")


async def test_what_a_cab_did_settles_at_once_where_nobody_keeps_it(ingest, edge_node) -> None:
    report = CabReport(report_id="r1", action=CabAction.FAULT, at_ms=now_ms(), units={}, detail="power: none")
    edge_node.be_born(outbox="box-1")
    edge_node.send("NDATA", cab_action(encode_cab_report(report), 1))
    await eventually(lambda: edge_node.is_settled("box-1", 1), "the record")


async def test_what_is_committed_to_the_quarantine_is_settled(ingest, edge_node, batch) -> None:
    """Refused by the store, by the decoder, and by the position's own rules: each would come again for ever."""
    edge_node.be_born("unit-1", outbox="box-1")
    alias = edge_node.alias_base("unit-1")
    at = {"timestamp_ms": now_ms()}
    no_samples = [
        Metric(alias=alias + 3, datatype=DataType.DATE_TIME, value=5, **at),
        Metric(alias=alias + 17, datatype=DataType.UINT64, value=2, **at),
    ]
    edge_node.send("DDATA", no_samples, "unit-1")
    await ingest.refused("datatype")
    nowhere = [
        Metric(name="Position/Latitude", datatype=DataType.DOUBLE, value=140.5),
        Metric(name="Position/Longitude", datatype=DataType.DOUBLE, value=-80.25),
        Metric(name="Outbox/Sequence", datatype=DataType.UINT64, value=3),
    ]
    edge_node.send("NDATA", nowhere)
    await ingest.refused("position")
    edge_node.send_batch(batch(1), outbox_sequence=1)
    await eventually(lambda: edge_node.is_settled("box-1", 1, 2, 3), "all three")


async def test_what_the_store_refuses_is_settled_through_the_quarantine(start, registry, store, node, batch) -> None:
    async with start(Choosy(store)):
        node.be_born("unit-1", outbox="box-1")
        for sequence in (1, 2, 3):
            node.send_batch(batch(sequence), outbox_sequence=sequence)
        await eventually(lambda: node.is_settled("box-1", 1, 2, 3), "the poisoned record too")
    assert registry.quarantine_counts()["store_refused"] == 1


async def test_a_message_whose_birth_is_missing_is_not_settled(ingest, edge_node, batch) -> None:
    edge_node.be_born("unit-1", outbox="box-1")
    edge_node.send_batch(batch(1, unit_id="unit-2"), outbox_sequence=1)
    await ingest.refused("birth_missing")
    edge_node.send_batch(batch(1), outbox_sequence=2)
    await eventually(lambda: edge_node.is_settled("box-1", 2), "only what was understood")


async def test_dropped_records_are_settled_and_told_as_missing(ingest, edge_node) -> None:
    edge_node.be_born("unit-1", outbox="box-1")
    lost = Replaced(
        unit_id="unit-1",
        boot_id="1-a",
        first_frame=10,
        last_frame=15,
        kept="thinned",
        kept_period_ms=60_000,
        samples_lost=300,
        from_ms=now_ms() - 10_000,
        to_ms=now_ms(),
        why="the outbox is full",
    )
    nowhere = {"unit_id": None, "boot_id": None, "first_frame": None, "last_frame": None}
    positions = {name: getattr(lost, name) for name in Replaced.__slots__} | nowhere
    positions |= {"kept": "none", "kept_period_ms": None, "to_ms": 2**60}
    drop = DropRecord(sequence=9, ranges=((1, 6), (8, 8)), details=(lost, Replaced(**positions)))
    for _ in range(2):
        edge_node.send("NDATA", drop_metrics(drop, timestamp_ms=now_ms()))
    await eventually(lambda: edge_node.is_settled("box-1", 1, 2, 3, 4, 5, 6, 8, 9), "what it stands for, and itself")
    [told, _] = sorted(ingest.registry.missing_samples(), key=lambda record: record.entry)
    assert (told.unit_id, told.boot_id, told.first_frame, told.last_frame) == ("unit-1", "1-a", 10, 15)
    assert (told.samples_lost, told.kept_period_ms, told.why) == (300, 60_000, "the outbox is full")
    entry = await ingest.refused("samples_dropped")
    assert "300 samples of unit-1 are lost" in entry.detail
    assert "one each 60 s is left" in entry.detail
    await eventually(lambda: ingest.service.counters.missing_stretches == 2, "counted once each")


async def test_a_replaced_outbox_doubles_nothing_and_is_told_apart(ingest, edge_node, batch) -> None:
    edge_node.be_born("unit-1", outbox="box-1")
    for sequence in (1, 2, 3):
        edge_node.send_batch(batch(sequence), outbox_sequence=sequence)
    await eventually(lambda: edge_node.is_settled("box-1", 1, 2, 3), "the first outbox")
    edge_node.be_born("unit-1", outbox="box-2")
    edge_node.send_batch(batch(3), outbox_sequence=1)
    edge_node.send_batch(batch(4), outbox_sequence=2)
    await eventually(lambda: edge_node.is_settled("box-2", 1, 2), "the second outbox, by its own numbers")
    assert ingest.rows() == 8
    assert ingest.service.counters.duplicate_batches == 1


async def test_a_unit_that_moves_to_another_gateway_doubles_nothing(ingest, broker, edge_node, batch) -> None:
    other = EdgeNode(broker, "gateway-2")
    edge_node.be_born("unit-1", outbox="box-1")
    other.be_born("unit-1", outbox="box-2")
    for sequence in (1, 2):
        edge_node.send_batch(batch(sequence), outbox_sequence=sequence)
    for sequence, frame in ((1, 2), (2, 3)):  # frame 2 was in the unit's ring still
        other.send_batch(batch(frame), outbox_sequence=sequence)
    await eventually(lambda: edge_node.is_settled("box-1", 1, 2) and other.is_settled("box-2", 1, 2), "both gateways")
    assert ingest.rows() == 6
    other.close()


async def test_late_and_out_of_order_samples_take_their_place_by_time(ingest, edge_node, batch) -> None:
    edge_node.be_born("unit-1", outbox="box-1")
    order = [5, 1, 4, 2, 3]
    for sequence, frame in enumerate(order, start=1):
        edge_node.send_batch(batch(frame, historical=frame < 5), outbox_sequence=sequence)
    await ingest.stored(10)
    times = ingest.store.read("unit-1", 0, 2**42, 100).at_ms
    assert times.tolist() == sorted(times.tolist())
    assert len(set(times.tolist())) == 10


class Choosy:
    """A store that fails on one frame, in a way that no store should."""

    def __init__(self, store: DuckDBStore) -> None:
        self.store = store

    def append(self, batches: Any, *rest: Any) -> AppendResult:
        if any(received.batch.frame == 2 for received in batches):
            raise ValueError("a fault of the store")
        return self.store.append(batches, *rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


class Stubborn:
    """A store that is away until it is let go."""

    def __init__(self, store: DuckDBStore) -> None:
        self.store = store
        self.away = True

    def append(self, *what: Any) -> AppendResult:
        if self.away:
            raise StoreUnavailableError("the disk is full")
        return self.store.append(*what)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


async def test_what_is_not_stored_is_not_acknowledged_and_recovery_needs_no_hand(start, store, node, batch) -> None:
    stubborn = Stubborn(store)
    async with start(stubborn) as service:
        node.be_born("unit-1", outbox="box-1")
        for sequence in (1, 2, 3):
            node.send_batch(batch(sequence), outbox_sequence=sequence)
        await eventually(lambda: not service.counters.store_ok, "the store is away")
        node.heard.clear()
        node.be_born("unit-1", outbox="box-1")
        await eventually(node.acknowledged, "an answer to the birth")
        assert node.is_settled("box-1"), "none of it"
        stubborn.away = False
        await eventually(lambda: node.is_settled("box-1", 1, 2, 3), "all of it, once the store is back")


async def test_of_two_workers_one_writes_and_acknowledges(start, registry, two_stores, node, batch) -> None:
    heard = Recorder()
    node.be_born("unit-1", outbox="box-1")
    async with start(two_stores[1], leases=registry, holder="b", listeners=[heard]) as second:
        async with start(two_stores[0], leases=registry, holder="a") as first:
            held = lambda: (first.counters.groups_held, second.counters.groups_held)  # noqa: E731 - two words
            await eventually(lambda: sum(held()) == 1, "one of them has the lease")
            writer, waiter = (first, second) if held()[0] else (second, first)
            await eventually(lambda: waiter.counters.groups_waited_for == 1, "the other waits")
            node.be_born("unit-1", outbox="box-1")
            node.send_batch(batch(1), outbox_sequence=1)
            await eventually(lambda: node.is_settled("box-1", 1), "the record")
            await eventually(lambda: waiter.counters.left_to_another >= 1, "the other leaves it")
            assert (writer.counters.stored_rows, waiter.counters.stored_rows) == (2, 0)
            assert waiter.counters.acknowledgements == 0
            assert heard.batches, "who writes and who does not: both listen"


async def test_the_next_worker_takes_over_within_15_s(start, registry, store, node, batch) -> None:
    """With the real times: the first dies without a word, its lease runs out."""
    registry.take_lease("*", "a worker that was killed", leases.LEASE_S)
    began = time.monotonic()
    async with start(store, leases=registry):
        node.be_born("unit-1", outbox="box-1")
        node.send_batch(batch(1), outbox_sequence=1)
        await eventually(lambda: node.is_settled("box-1", 1), "the record that waited", within_s=15)
    assert time.monotonic() - began < 15
