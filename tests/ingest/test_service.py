"""The service on a real broker, registry and store: sessions, STATE, listeners, and orderly ends."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from ingest.events import DeviceBorn, DeviceDied, NodeBorn, NodeDied
from ingest.service import IngestService
from telemetry.sparkplug.payload import DataType, Metric
from tests.ingest.conftest import Peer

if TYPE_CHECKING:
    from collections.abc import Callable

    from telemetry.samples import ReceivedBatch

    Make = Callable[..., ReceivedBatch]

STATE = "spBv1.0/STATE/packwatch"


def now_ms() -> int:
    return int(time.time() * 1000)


def states(peer) -> list[dict[str, Any]]:
    return [json.loads(payload) for topic, payload in peer.heard if topic == STATE]


def cut(service: IngestService) -> None:
    """Cut its network."""
    service._connection._client.socket().shutdown(socket.SHUT_RDWR)


@pytest.fixture
def batch(make_batch: Make) -> Callable[..., Any]:
    def make(frame: int = 1, **given: Any) -> Any:
        return make_batch(frame=frame, sampled_at_ms=[now_ms() - 1000, now_ms()], **given).batch

    return make


class Quiet:
    """A directory that knows nothing and a quarantine that keeps nothing."""

    def assignment(self, _unit_id: str) -> None:
        return None

    async def refresh(self) -> None:
        pass

    def add_quarantine(self, entries: Any) -> None:
        pass

    def add_missing_samples(self, records: Any) -> int:
        return len(records)


@pytest.fixture
def ends(broker, registry, store):
    return broker, registry, store


class Running:
    """`async with Running(service)`: it runs, and has subscribed."""

    def __init__(self, service: IngestService) -> None:
        self.service = service

    async def __aenter__(self) -> IngestService:
        self.task = asyncio.create_task(self.service.run())
        await asyncio.wait_for(self.service.ready.wait(), 10)
        return self.service

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task


def a_service(broker, **given: Any) -> Running:
    fields = {"host_id": "packwatch", "store": None, "directory": Quiet(), "quarantine": Quiet(), **given}
    return Running(IngestService(broker.access, **fields))


class TestState:
    """The host's birth and death, as the standard has them."""

    async def test_online_and_offline_are_retained(self, broker, make_peer, eventually) -> None:
        watching = make_peer(STATE)
        async with a_service(broker):
            await eventually(lambda: states(watching), "STATE")
            late = make_peer(STATE)
            await eventually(lambda: states(late), "the retained STATE")
        await eventually(lambda: len(states(watching)) == 2, "the death certificate")
        online, offline = states(watching)
        assert (online["online"], offline["online"]) == (True, False)
        assert set(online) == {"online", "timestamp"}
        assert abs(online["timestamp"] - now_ms()) < 60_000
        assert offline["timestamp"] >= online["timestamp"]
        after = make_peer(STATE)
        await eventually(lambda: states(after), "the retained death certificate")
        assert states(after) == [offline]

    async def test_the_will_has_the_births_timestamp(self, broker, make_peer, eventually) -> None:
        watching = make_peer(STATE)
        async with a_service(broker) as service:
            await eventually(lambda: states(watching), "STATE")
            cut(service)
            await eventually(lambda: len(states(watching)) >= 3, "the will, and STATE again", 20)
            first, will, again = states(watching)[:3]
            assert will == {"online": False, "timestamp": first["timestamp"]}
            assert again["online"]
            assert again["timestamp"] > first["timestamp"]

    async def test_whoever_says_that_it_is_offline_is_contradicted(self, broker, make_peer, eventually) -> None:
        watching = make_peer(STATE)
        async with a_service(broker):
            await eventually(lambda: states(watching), "STATE")
            birth = states(watching)[0]
            watching.client.publish(STATE, json.dumps({"online": False, "timestamp": 1}), qos=1, retain=True)
            await eventually(lambda: len(states(watching)) == 3, "the contradiction")
            assert states(watching)[2] == birth

    @pytest.mark.parametrize("kind", ["mosquitto", "nats-server"])
    @pytest.mark.parametrize("online", [True, False])
    async def test_a_host_whose_clock_is_behind_its_last_life_outdoes_what_is_retained_of_it(
        self, start_broker, eventually, kind: str, online: bool
    ) -> None:
        broker = start_broker(kind, "broker")
        last_life_ms = now_ms() + 3_600_000
        with closing(Peer(broker, STATE)) as watching:
            state = json.dumps({"online": online, "timestamp": last_life_ms})
            watching.client.publish(STATE, state, qos=1, retain=True).wait_for_publish(10)

            def believed() -> list[dict[str, Any]]:
                return [state for state in states(watching) if state["timestamp"] > last_life_ms]

            async with a_service(broker):
                await eventually(believed, "a birth that edge nodes believe", 20)
                with closing(Peer(broker, STATE)) as late:
                    await eventually(lambda: states(late), "what is retained")
                    assert states(late)[0] == believed()[0] == {"online": True, "timestamp": last_life_ms + 1}
            farewell = {"online": False, "timestamp": last_life_ms + 1}
            await eventually(lambda: believed()[-1] == farewell, "its farewell is believed too")

    async def test_who_says_later_than_its_birth_that_it_is_offline_is_outdone(
        self, broker, make_peer, eventually
    ) -> None:
        watching = make_peer(STATE)
        async with a_service(broker):
            await eventually(lambda: states(watching), "STATE")
            later = states(watching)[0]["timestamp"] + 3_600_000
            watching.client.publish(STATE, json.dumps({"online": False, "timestamp": later}), qos=1, retain=True)
            await eventually(lambda: states(watching)[-1] == {"online": True, "timestamp": later + 1}, "outdone", 20)

    async def test_a_host_that_is_not_primary_keeps_its_state_to_itself_and_asks_for_the_births_it_missed(
        self, broker, make_peer, edge_node, batch, eventually
    ) -> None:
        watching = make_peer("spBv1.0/#")
        async with a_service(broker, primary=False) as service:
            edge_node.send_batch(batch())
            await eventually(lambda: service.counters.refused_by_reason, "the data without a birth")
            await eventually(edge_node.rebirths_asked, "the rebirth request")
        assert not states(watching)


class TestSessions:
    """Births, deaths, and a broker that comes and goes."""

    async def test_listeners_hear_births_and_deaths(self, ingest, edge_node, eventually) -> None:
        edge_node.be_born("unit-1")
        edge_node.send("DDEATH", (), "unit-1")
        edge_node.send("NDEATH", [Metric(name="bdSeq", datatype=DataType.INT64, value=0)])
        await eventually(lambda: len(ingest.heard.sessions) == 4, "four events")
        assert [type(event) for event in ingest.heard.sessions] == [NodeBorn, DeviceBorn, DeviceDied, NodeDied]

    async def test_after_a_broker_crash_nodes_are_asked_and_data_goes_on(
        self, ingest, broker, edge_node, batch, eventually
    ) -> None:
        edge_node.be_born("unit-1")
        edge_node.send_batch(batch(1))
        await ingest.stored(2)
        broker.kill()
        await eventually(lambda: not ingest.service.counters.broker_ok, "the loss of the broker")
        broker.start()
        await eventually(lambda: ingest.service.counters.broker_ok, "the broker's return", 20)
        # The test's client reconnects by itself, but its subscription is gone with the broker's memory
        await eventually(edge_node.client.is_connected, "the node's return", 20)
        edge_node.send_batch(batch(2))
        await ingest.refused("birth_missing")
        assert ingest.service.counters.rebirths_requested >= 1
        edge_node.be_born("unit-1")
        edge_node.send_batch(batch(3))
        await ingest.stored(4)

    async def test_known_nodes_are_asked_at_once_after_a_cut(self, ingest, edge_node, batch, eventually) -> None:
        edge_node.be_born("unit-1")
        edge_node.send_batch(batch(1))
        await ingest.stored(2)
        cut(ingest.service)
        await eventually(edge_node.rebirths_asked, "the rebirth request", 20)
        edge_node.be_born("unit-1")
        edge_node.send_batch(batch(2))
        await ingest.stored(4)

    async def test_a_service_waits_for_a_broker_that_starts_later(self, broker) -> None:
        broker.kill()
        service = a_service(broker).service
        task = asyncio.create_task(service.run())
        await asyncio.sleep(0)
        assert not service.counters.broker_ok
        broker.start()
        await asyncio.wait_for(service.ready.wait(), 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_groups_limit_what_is_taken(self, broker, make_peer, eventually) -> None:
        peer = make_peer()
        async with a_service(broker, groups=("fleet-2", "fleet-3")) as service:
            for fleet in ("fleet-1", "fleet-2", "fleet-3"):
                peer.publish(f"spBv1.0/{fleet}/GREETING/gateway-1", b"")
            peer.publish("spBv1.0/fleet-3/FAREWELL/gateway-1", b"")
            await eventually(lambda: service.counters.messages >= 4, "three messages and the host's own STATE")
            assert service.counters.refused_by_reason == {"topic": 3}


class TestStream:
    """What arrives reaches listeners and store."""

    async def test_duplicates_reach_listeners_and_are_stored_once(self, ingest, edge_node, batch, eventually) -> None:
        edge_node.be_born("unit-1")
        for _ in range(3):
            edge_node.send_batch(batch(1), outbox_sequence=1)
        await eventually(lambda: ingest.service.counters.duplicate_batches == 2, "two duplicates")
        assert ingest.rows() == 2
        assert len(ingest.heard.batches) == 3
        assert ingest.heard.batches[0].outbox_sequence == 1

    async def test_a_plain_nodes_scalars_are_stored_once_by_channel_and_time(
        self, ingest, edge_node, eventually
    ) -> None:
        at_ms = now_ms()

        def scalar(name: str, value: float, **given: Any) -> Metric:
            return Metric(name=name, datatype=DataType.DOUBLE, value=value, timestamp_ms=at_ms, **given)

        edge_node.seq = 0
        edge_node.send("NBIRTH", [Metric(name="bdSeq", datatype=DataType.INT64, value=0)])
        edge_node.send("DBIRTH", [scalar("Temperature/1", 20.5, alias=1), scalar("Voltage/1", 3.5, alias=2)], "unit-1")
        edge_node.send("DDATA", [scalar("Temperature/1", 20.5)], "unit-1")
        edge_node.send(
            "DDATA", [Metric(alias=1, datatype=DataType.DOUBLE, value=21.5, timestamp_ms=at_ms + 9)], "unit-1"
        )
        await eventually(lambda: ingest.service.counters.duplicate_batches == 1, "the repeated value")
        await ingest.stored(2)
        series = ingest.store.read("unit-1", 0, 2**42, 10)
        assert series.temperatures_c.mean.tolist() == [[20.5], [21.5]]
        np.testing.assert_array_equal(series.voltages_v.mean, [[3.5], [np.nan]])

    async def test_positions_reach_listeners_and_store(self, ingest, edge_node, eventually) -> None:
        edge_node.be_born()
        at_ms = now_ms()
        values = {"Latitude": 40.5, "Longitude": -80.25, "Speed": 25.0}
        metrics = [Metric(name=f"Position/{n}", datatype=DataType.DOUBLE, value=v) for n, v in values.items()]
        metrics.append(Metric(name="Position/FixTime", datatype=DataType.DATE_TIME, value=at_ms))
        edge_node.send("NDATA", metrics)
        edge_node.send("NDATA", metrics)
        await eventually(lambda: len(ingest.heard.fixes) == 2, "two fixes heard")
        await eventually(lambda: ingest.store.positions("gateway-1", 0, 2**42), "the fix in the store")
        [fix] = ingest.store.positions("gateway-1", 0, 2**42)
        assert (fix.latitude_deg, fix.speed_m_s, fix.fixed_at_ms) == (40.5, 25.0, at_ms)

    async def test_a_listener_that_fails_harms_nobody_else(self, broker, store, edge_node, batch, eventually) -> None:
        class Broken:
            def observe(self, _batches: Any) -> None:
                raise RuntimeError("a fault of this listener")

            observe_positions = observe

        heard: list[Any] = []
        fine = Broken()
        fine.observe = heard.extend
        running = a_service(broker, store=store, listeners=[Broken(), fine])
        async with running as service:
            edge_node.be_born("unit-1")
            edge_node.send_batch(batch())
            await eventually(lambda: service.counters.stored_rows == 2, "the rows in the store")
        assert len(heard) == 1
        assert service.counters.listener_failures == 1

    async def test_what_is_here_already_is_stored_before_the_end(self, ends, edge_node, batch, eventually) -> None:
        broker, registry, store = ends
        async with a_service(broker, store=store, quarantine=registry) as service:
            edge_node.be_born("unit-1")
            for frame in range(1, 51):
                edge_node.send_batch(batch(frame))
            await eventually(lambda: service.counters.batches == 50, "all batches decoded")
        assert store.read("unit-1", 0, 2**42, 1000).rows == 100
        assert registry.quarantine_counts() == {"unknown_unit": 1}


async def test_metrics_show_the_counters(broker, edge_node, batch, eventually) -> None:
    metrics = CollectorRegistry()
    async with a_service(broker, metrics=metrics) as service:
        edge_node.be_born("unit-1")
        edge_node.send_batch(batch())
        edge_node.publish("spBv1.0/fleet-1/GREETING/gateway-1", b"")
        await eventually(lambda: service.counters.refused_by_reason, "the refusal")
        shown = generate_latest(metrics).decode()
    assert "packwatch_ingest_batches_total 1.0" in shown
    assert 'packwatch_ingest_refused_total{reason="topic"} 1.0' in shown
    assert 'packwatch_ingest_flagged_total{reason="unknown_unit"} 1.0' in shown
    assert "packwatch_ingest_broker_ok 1.0" in shown


async def test_the_death_of_the_network_thread_is_no_secret(broker, eventually) -> None:
    service = a_service(broker).service
    task = asyncio.create_task(service.run())
    await asyncio.wait_for(service.ready.wait(), 10)
    service._connection._client.loop_stop()
    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        await asyncio.wait_for(task, 10)
