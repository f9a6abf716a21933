"""The gateway between real brokers: what units send comes out as Sparkplug, whatever happens in between."""

import asyncio
import json
import signal
import sys
import time

import aiomqtt
import numpy as np
import pytest
from structlog.testing import capture_logs

from gateway.service import GatewayService
from gateway.window import HostKind
from telemetry.samples import PositionFix
from telemetry.sparkplug.batches import batch_from_metrics
from telemetry.sparkplug.payload import decode_payload, resolve_metric
from telemetry.unit_link import decode_stored_receipt, encode_position, frames_topic, position_topic


def frames_of(host, rig) -> list[int]:
    """Frame numbers of the data that the host received, in order."""
    births = host.of("DBIRTH")
    return [rig.by_name(births, payload)["Source/Frame"].value for payload in host.of("DDATA")]


def receipts_of(unit) -> list[int]:
    return [decode_stored_receipt(payload).frame for payload in unit.of("stored")]


async def test_a_units_frame_comes_out_as_the_same_values(one_broker_rig):
    rig = one_broker_rig
    async with rig.host() as host, rig.unit() as unit, rig.gateway() as service:
        before_ms = time.time_ns() // 1_000_000
        await unit.send_beat("u1", 3_000)
        await unit.send_frame("u1", 0, celsius=83.35)
        await rig.until(lambda: host.of("DDATA"), "data")
        birth, (data,) = decode_payload(host.of("DBIRTH")[0]), host.of("DDATA")
        declared = {metric.alias: metric for metric in birth.metrics}
        metrics = [
            resolve_metric(metric, name=declared[metric.alias].name, datatype=declared[metric.alias].datatype)
            for metric in decode_payload(data).metrics
        ]
        batch, sequence = batch_from_metrics(metrics, unit_id="u1", temperature_channels=3, voltage_channels=2)
        np.testing.assert_allclose(batch.temperatures_c, np.full((4, 3), 83.35), atol=0.025)
        np.testing.assert_allclose(batch.voltages_v, np.full((4, 2), 3.7), atol=0.0005)
        assert (batch.boot_id, batch.frame, batch.provenance, sequence) == ("b1", 0, "simulated", 1)
        # Tick 3000 was now, the first sample has tick 0: three seconds ago.
        assert batch.sampled_at_ms[0] == pytest.approx(before_ms - 3_000, abs=2_000)
        assert np.diff(batch.sampled_at_ms).tolist() == [1_000] * 3
        assert not batch.historical
        await rig.until(lambda: receipts_of(unit) == [0], "receipt")
        assert [kind for kind in host.kinds() if kind != "NDATA"] == ["NBIRTH", "DBIRTH", "DDATA"]
        assert service.counters.frames_accepted == 1


async def test_a_frame_sent_again_is_acknowledged_again_and_published_once(rig):
    async with rig.host() as host, rig.unit() as unit, rig.gateway() as service:
        await unit.send_beat("u1", 0)
        for number in (0, 0, 1, 0):
            await unit.send_frame("u1", number)
        await rig.until(lambda: len(unit.of("stored")) == 4, "receipts")
        await rig.until(lambda: len(host.of("DDATA")) == 2, "data")
        assert receipts_of(unit) == [0, 0, 1, 0]
        assert frames_of(host, rig) == [0, 1]
        assert service.counters.frames_again == 2


async def test_bad_input_is_counted_told_upward_and_stops_nothing(rig):
    async with rig.host() as host, rig.unit() as unit, rig.gateway() as service:
        whole = rig.frame_bytes(0)
        for topic, payload in (
            (frames_topic("u1"), b"not cbor at all"),
            (frames_topic("u1"), whole[:-7]),
            ("packwatch/units/bad.unit/frames", whole),
            ("packwatch/units/u1/clock", b"\xff"),
            (position_topic("truck"), b"\x00"),
            (frames_topic("u1"), bytes(300_000)),
        ):
            await unit.client.publish(topic, payload, qos=1)
        await unit.send_beat("u1", 0)
        await unit.send_frame("u1", 0)
        await rig.until(lambda: host.of("DDATA"), "good data beside the bad")

        def told() -> list[dict]:
            metrics = [metric for payload in host.of("NDATA") for metric in decode_payload(payload).metrics]
            return [json.loads(metric.value) for metric in metrics if metric.name == "Health/Refused"]

        await rig.until(lambda: len(told()) == 6, "refusals")
        assert [refusal["reason"] for refusal in told()[:3]] == ["cbor_malformed", "frame_truncated", "topic"]
        assert told()[2]["topic"] == "packwatch/units/bad.unit/frames"
        assert all(refusal["detail"] for refusal in told())
        assert service.counters.refused.total() == 6
        health = [metric for payload in host.of("NDATA") for metric in decode_payload(payload).metrics]
        assert any(metric.name == "Health/FramesRefused" for metric in health)
        await rig.until(lambda: receipts_of(unit) == [0], "the receipt")


async def test_units_of_other_gateways_are_left_to_them(rig):
    async with rig.host() as host, rig.unit() as unit, rig.gateway(units=("u1",)):
        for unit_id in ("u2", "u1"):
            await unit.send_beat(unit_id, 0)
            await unit.send_frame(unit_id, 0)
        await rig.until(lambda: host.of("DDATA") and unit.of("stored"), "data and receipt")
        assert {topic.split("/")[2] for topic, _ in unit.received} == {"u1"}
        assert {topic.split("/")[-1] for topic, _ in host.received if "/DDATA/" in topic} == {"u1"}


async def test_a_position_comes_out_as_node_data(rig):
    fix = PositionFix(
        fleet_id="fleet",
        gateway_id="truck",
        fixed_at_ms=time.time_ns() // 1_000_000,
        latitude_deg=36.1,
        longitude_deg=-115.2,
        heading_deg=271.0,
    )
    async with rig.host() as host, rig.unit() as unit, rig.gateway():
        await unit.client.publish(position_topic("truck"), encode_position(fix), qos=1)

        def positions() -> list[dict]:
            found = [{m.name: m.value for m in decode_payload(payload).metrics} for payload in host.of("NDATA")]
            return [values for values in found if "Position/Latitude" in values]

        await rig.until(positions, "position")
        (values,) = positions()
        assert (values["Position/Latitude"], values["Position/Longitude"]) == (36.1, -115.2)
        assert (values["Position/Heading"], values["Position/FixTime"]) == (271.0, fix.fixed_at_ms)
        assert (values["Position/Speed"], values["Outbox/Sequence"]) == (None, 1)


async def test_a_rebirth_on_command_tells_everything_again(rig):
    async with rig.host() as host, rig.unit() as unit, rig.gateway() as service:
        await unit.send_beat("u1", 0)
        await unit.send_frame("u1", 0)
        await rig.until(lambda: host.of("DDATA"), "data")
        host.received.clear()
        await host.command(rebirth=True)
        await rig.until(lambda: host.of("DBIRTH"), "rebirth")
        births = [payload for topic, payload in host.received if "BIRTH" in topic]
        assert [decode_payload(payload).seq for payload in births] == [0, 1]
        await unit.send_frame("u1", 1)
        await rig.until(lambda: host.of("DDATA"), "data again")
        assert frames_of(host, rig) == [1]
        assert service.counters.rebirths == 1


async def test_while_the_host_is_offline_frames_are_taken_and_then_flushed_in_order(rig):
    async with rig.host() as host, rig.unit() as unit:
        await host.say(online=False, timestamp_ms=5)
        async with rig.gateway(host_id="host"):
            await unit.send_beat("u1", 0)
            for number in range(20):
                await unit.send_frame("u1", number)
            await rig.until(lambda: receipts_of(unit) == list(range(20)), "receipts though the host is offline")
            assert "NBIRTH" not in host.kinds()
            await host.say(online=True, timestamp_ms=4)  # older than its death: not believed
            await host.say(online=True, timestamp_ms=6)
            await rig.until(lambda: len(host.of("DDATA")) == 20, "the flush")
            assert frames_of(host, rig) == list(range(20))
            births = [kind for kind in host.kinds() if kind not in ("host", "NDATA")]
            assert births[:3] == ["NBIRTH", "DBIRTH", "DDATA"]
            sequence = [decode_payload(payload).seq for topic, payload in host.received if "/STATE/" not in topic]
            assert sequence == list(range(len(sequence)))


async def test_a_host_that_goes_offline_is_followed_and_its_records_wait(rig):
    async with rig.host() as host, rig.unit() as unit:
        await host.say(online=True, timestamp_ms=5)
        async with rig.gateway(host_id="host") as service:
            await unit.send_beat("u1", 0)
            await unit.send_frame("u1", 0)
            await rig.until(lambda: len(host.of("DDATA")) == 1, "data")
            box = {m.name: m.value for m in decode_payload(host.of("NBIRTH")[0]).metrics}["Outbox/Id"]
            await host.command(box="another", floor=1)  # a foreign acknowledgement is nobody's business
            await host.command(box=box, floor=1)
            await host.say(online=False, timestamp_ms=5)
            await rig.until(lambda: host.of("NDEATH"), "death")
            await rig.until(lambda: service.counters.uplink_connects == 2, "the next connection")
            await unit.send_frame("u1", 1)
            await rig.until(lambda: receipts_of(unit) == [0, 1], "receipts")
            assert len(host.of("DDATA")) == 1
            await host.say(online=True, timestamp_ms=7)
            await rig.until(lambda: len(host.of("DDATA")) == 2, "data after the return")
            assert frames_of(host, rig) == [0, 1]  # frame 0 was settled, so it is not sent again
            birth = {m.name: m.value for m in decode_payload(host.of("NBIRTH")[-1]).metrics}
            assert (birth["bdSeq"], birth["Outbox/Stored"]) == (1, 1)


async def test_the_uplinks_broker_restarts_and_nothing_is_lost(rig):
    async with rig.unit() as unit, rig.gateway() as service:
        await unit.send_beat("u1", 0)
        async with rig.host() as host:
            await unit.send_frame("u1", 0)
            await rig.until(lambda: host.of("DDATA"), "data")
            rig.uplink.kill()
        await rig.until(lambda: not service.ready.is_set(), "the loss to be seen")
        await unit.send_frame("u1", 1)
        await rig.until(lambda: receipts_of(unit) == [0, 1], "receipts without an uplink")
        rig.uplink.start()
        async with rig.host() as host:
            await rig.until(service.ready.is_set, "the way back")
            await host.command(rebirth=True)
            await rig.until(lambda: 1 in frames_of(host, rig) if host.of("DBIRTH") else False, "frame 1")
            await unit.send_frame("u1", 2)
            await rig.until(lambda: set(frames_of(host, rig)) == {0, 1, 2}, "what is new, and frame 0 again")
            assert service.counters.uplink_connects >= 2
            assert service.counters.resent >= 1  # frame 0 was never acknowledged


async def test_drained_waits_for_the_host_and_then_for_the_last_record(rig, monkeypatch):
    monkeypatch.setattr("gateway.window.PLAIN_AFTER_S", 0.5)
    async with rig.host() as host, rig.unit() as unit:
        await host.say(online=False, timestamp_ms=1)
        async with rig.gateway(host_id="host") as service:
            await asyncio.wait_for(service.drained(), 1)  # nothing was taken yet
            await unit.send_beat("u1", 0)
            for number in range(100):
                await unit.send_frame("u1", number)
            await rig.until(lambda: len(unit.of("stored")) == 100, "receipts")
            drained = asyncio.create_task(service.drained())
            await asyncio.wait([drained], timeout=0.1)
            assert not drained.done()
            await host.say(online=True, timestamp_ms=2)
            await asyncio.wait_for(drained, 10)
        # Stopped at once: what was drained is at the broker all the same.
        await rig.until(lambda: len(host.of("DDATA")) == 100, "data")


async def test_a_host_whose_silence_is_known_is_not_waited_for_and_what_an_earlier_run_sent_it_is_not_owed(
    rig, monkeypatch, tmp_path
):
    monkeypatch.setattr("gateway.window.PLAIN_AFTER_S", 0.3)
    async with rig.host() as host, rig.unit() as unit:
        for run in (0, 1):  # in the second, nothing is left to send, and yet records are there
            async with rig.gateway(outbox_path=tmp_path / "outbox.db") as service:
                window = service._running._uplink._window
                assert len(service._running.outbox) == 3 * run
                if run == 0:
                    await rig.until(
                        lambda window=window: window.kind is HostKind.PLAIN, "the host's silence, before any data"
                    )
                    await unit.send_beat("u1", 0)
                    for number in range(3):
                        await unit.send_frame("u1", number)
                    await rig.until(lambda: len(unit.of("stored")) == 3, "receipts")
                async with asyncio.timeout(10):
                    await service.drained()
                assert window.kind is HostKind.PLAIN
        await rig.until(lambda: len(host.of("DDATA")) == 3, "data, once")


async def test_a_lost_local_broker_does_not_touch_the_uplink(rig):
    async with rig.host() as host, rig.gateway() as service:
        rig.local.kill()
        await rig.until(lambda: not service.ready.is_set(), "the loss to be seen")
        await host.command(rebirth=True)
        await rig.until(lambda: len(host.of("NBIRTH")) == 2, "an answer on the uplink")
        assert "NDEATH" not in host.kinds()
        rig.local.start()
        await rig.until(service.ready.is_set, "the local link")
        async with rig.unit() as unit:
            await unit.send_beat("u1", 0)
            await unit.send_frame("u1", 0)
            await rig.until(lambda: host.of("DDATA"), "data")
        assert service.counters.uplink_connects == 1


async def test_what_a_small_inbox_drops_is_not_acknowledged(rig):
    async with rig.unit() as unit, rig.gateway(inbox_max_messages=2) as service:
        counters = service.counters
        await unit.send_beat("u1", 0)
        await asyncio.gather(*(unit.client.publish(frames_topic("u1"), rig.frame_bytes(n)) for n in range(300)))
        deadline = time.monotonic() + 10
        while counters.frames_accepted + counters.inbox_dropped < 300:  # drops are counted with the next arrival
            assert time.monotonic() < deadline
            await unit.send_beat("u1", 1)
        await rig.until(lambda: len(unit.of("stored")) == counters.frames_accepted, "a receipt for each that was taken")
        assert len(set(receipts_of(unit))) == counters.frames_accepted


async def test_a_silent_unit_dies_and_is_born_again_with_its_next_frame(rig, monkeypatch):
    monkeypatch.setattr("gateway.units.SILENT_FLOOR_S", 0.1)
    async with rig.host() as host, rig.unit() as unit, rig.gateway():
        await unit.send_beat("u1", 0)
        await unit.send_frame("u1", 0)
        await rig.until(lambda: host.of("DDEATH"), "death of the unit")
        await unit.send_frame("u1", 1)
        await rig.until(lambda: len(host.of("DDATA")) == 2, "its return")
        assert [kind for kind in host.kinds() if kind.startswith("D")] == [
            "DBIRTH",
            "DDATA",
            "DDEATH",
            "DBIRTH",
            "DDATA",
        ]


async def test_a_stop_publishes_the_death_and_ends_within_a_second(rig):
    async with rig.host() as host:
        service = GatewayService(rig.settings(), rig.local.access, rig.uplink.access)
        task = asyncio.create_task(service.run())
        await rig.until(lambda: host.of("NBIRTH"), "birth")
        began_s = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began_s < 1
        await rig.until(lambda: host.of("NDEATH"), "death")
        bd_seq = {metric.name: metric.value for metric in decode_payload(host.of("NBIRTH")[0]).metrics}["bdSeq"]
        (death,) = host.of("NDEATH")
        assert [(metric.name, metric.value) for metric in decode_payload(death).metrics] == [("bdSeq", bd_seq)]


@pytest.mark.parametrize("born", [True, False])
async def test_a_stop_ends_within_a_second_though_the_broker_hangs(rig, born):
    if not born:
        rig.uplink.child.send_signal(signal.SIGSTOP)  # the kernel still takes the connection, and nobody answers
    service = GatewayService(rig.settings(), rig.local.access, rig.uplink.access)
    task = asyncio.create_task(service.run())
    if born:
        await rig.until(service.ready.is_set, "the gateway")
        rig.uplink.child.send_signal(signal.SIGSTOP)
    else:
        await asyncio.wait([task], timeout=0.3)
    began_s = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began_s < 1


async def test_a_state_file_that_cannot_be_written_does_not_keep_the_gateway_away(rig, tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    async with rig.host() as host, rig.gateway(state_path=in_the_way / "state.json"):
        await rig.until(lambda: host.of("NBIRTH"), "birth")


async def test_the_bd_seq_is_kept_over_restarts(rig, tmp_path):
    state_path = tmp_path / "state" / "gateway.json"
    async with rig.host() as host:
        for expected in (0, 1, 2):
            async with rig.gateway(state_path=state_path):
                await rig.until(lambda expected=expected: len(host.of("NBIRTH")) == expected + 1, "birth")
        state_path.write_text("damaged")
        async with rig.gateway(state_path=state_path):
            await rig.until(lambda: len(host.of("NBIRTH")) == 4, "birth")
        told = [{m.name: m.value for m in decode_payload(birth).metrics}["bdSeq"] for birth in host.of("NBIRTH")]
        assert told == [0, 1, 2, 0]


GATEWAY_PROGRAM = """
import asyncio, sys
from gateway.service import GatewayService
from gateway.settings import GatewaySettings
from telemetry.broker import BrokerAccess
local, uplink = (BrokerAccess(host="127.0.0.1", port=int(port)) for port in sys.argv[1:])
settings = GatewaySettings(gateway_id="truck", fleet_id="fleet", host_id=None)
asyncio.run(GatewayService(settings, local, uplink).run())
"""


@pytest.mark.parametrize("kind", ["mosquitto", "nats-server"])
async def test_the_will_speaks_for_a_gateway_that_was_killed(rig, start_broker, kind):
    rig.uplink = start_broker(kind, "wills")
    async with rig.host() as host:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", GATEWAY_PROGRAM, str(rig.local.port), str(rig.uplink.port)
        )
        try:
            await rig.until(lambda: host.of("NBIRTH"), "birth", seconds=20)
            assert not host.of("NDEATH")
        finally:
            child.kill()
            await child.wait()
        await rig.until(lambda: host.of("NDEATH"), "the will")
        metrics = decode_payload(host.of("NDEATH")[0]).metrics
        assert [(metric.name, metric.value) for metric in metrics] == [("bdSeq", 0)]


async def test_a_gateway_without_brokers_tries_on_and_stops_at_once(rig):
    rig.local.kill()
    rig.uplink.kill()
    service = GatewayService(rig.settings(), rig.local.access, rig.uplink.access)
    task = asyncio.create_task(service.run())
    await asyncio.wait([task], timeout=0.6)
    assert not task.done()
    rig.local.start()
    rig.uplink.start()
    async with asyncio.timeout(10):
        await service.ready.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_subscription_that_the_broker_refuses_is_an_error_of_the_link(rig, start_broker):
    rig.uplink = start_broker(
        "nats-server",
        "strict",
        'authorization { users: [{user: g, password: g, permissions: {subscribe: {deny: "spBv1//0.>"}}}] }\n'
        "no_auth_user: g\n",
    )
    service = GatewayService(rig.settings(), rig.local.access, rig.uplink.access)
    task = asyncio.create_task(service.run())
    with capture_logs() as logs:
        await rig.until(lambda: [log for log in logs if log["event"] == "link_ended"], "the refusal")
    (ended, *_) = [log for log in logs if log["event"] == "link_ended"]
    assert "refuses the subscription to spBv1.0/fleet/NCMD/truck" in ended["error"]
    assert not service.ready.is_set()
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_two_connections_one_id_is_told_by_the_broker_and_survived(rig):
    async with rig.gateway() as service, rig.host() as host:
        async with aiomqtt.Client(
            "127.0.0.1", rig.uplink.port, identifier="fleet-truck-uplink", protocol=aiomqtt.ProtocolVersion.V311
        ):
            await rig.until(lambda: host.of("NDEATH"), "the broker's will for the connection that was replaced")
        await rig.until(lambda: service.counters.uplink_connects >= 2, "the next connection")
        await rig.until(lambda: host.of("NBIRTH"), "birth")
