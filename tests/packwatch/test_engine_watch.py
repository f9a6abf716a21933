"""Pages in a process of their own show nothing as evaluated while no alert engine lives."""

import asyncio

import numpy as np
import orjson

from alerts.rules_keeper import RulesStatus
from dashboards.board import LiveBoard
from packwatch.credentials import AccountRole
from packwatch.engine_watch import EngineWatch, beat_topic
from telemetry.samples import Provenance, ReceivedBatch, SampleBatch

from broker_stage import client, running_broker


def received(fleet: str) -> ReceivedBatch:
    batch = SampleBatch(
        unit_id=f"unit-of-{fleet}", boot_id="1", frame=0, provenance=Provenance.MEASURED, time_uncertainty_s=0.0,
        sampled_at_ms=np.array([1000]), temperatures_c=np.array([[20.0]]), voltages_v=np.zeros((1, 0)),
    )  # fmt: skip
    return ReceivedBatch(batch=batch, fleet_id=fleet, gateway_id="g", received_at_ms=1000)


async def test_only_fleets_with_a_living_engine_reach_the_board(tmp_path):
    async with running_broker(tmp_path) as (broker, credentials):
        alerts, dashboard = credentials.account(AccountRole.ALERTS), credentials.account(AccountRole.DASHBOARD)
        await broker.reload()
        board = LiveBoard(now_ms=1000)
        watch = EngineWatch(broker.access(dashboard), board)
        assert "no alert engine" in watch.trouble()
        listening = asyncio.create_task(watch.run())
        async with client(broker, alerts) as engine, asyncio.timeout(10):
            while watch.trouble() is not None:
                await engine.publish(beat_topic("one"), b"{}", qos=1)
                await asyncio.sleep(0.05)
            assert watch.rules() is None
            told = {"in_force": "version 3 (abc)", "trouble": "rules.toml: it is no TOML", "refused": 2}
            while watch.rules() is None:
                await engine.publish(beat_topic("one"), orjson.dumps({"rules": told}), qos=1)
                await asyncio.sleep(0.05)
            assert watch.rules() == RulesStatus(**told)
        watch.observe([received("one"), received("two")])
        assert [row.unit_id for row in board.snapshot(1001).packs] == ["unit-of-one"]
        listening.cancel()
        await asyncio.wait([listening])
