"""The unit's link over real brokers: frames, receipts, clock, configuration, and brokers that go away."""

import asyncio
from dataclasses import replace

import numpy as np
import structlog

from firmware_sim.ring import FrameRing
from firmware_sim.unit import Firmware, Rows, TickClock
from firmware_sim.unit_link import UnitLink
from telemetry.broker import BrokerAccess
from telemetry.samples import Provenance
from telemetry.unit_link import config_topic, stored_topic

ROW = Rows(temperatures_c=np.array([[21.5, np.nan]]))


def unit_on(access: BrokerAccess, **ring: object) -> UnitLink:
    clock = TickClock(booted_at_s=asyncio.get_running_loop().time())
    return UnitLink(
        Firmware(
            unit_id="u1",
            boot_id="1-test",
            provenance=Provenance.SIMULATED,
            clock=clock,
            report_interval_s=10.0,
            ring=FrameRing(**({"capacity": 200, "window": 64} | ring)),
        ),
        access,
    )


def sample(link: UnitLink, frames: int) -> None:
    for _ in range(frames):
        link.firmware.sample(ROW, asyncio.get_running_loop().time())
    link.wake()


async def test_frames_arrive_in_order_and_are_forgotten_when_stored(broker, gateway, eventually, beside):
    link = unit_on(broker.access)
    async with beside(link.run()):
        sample(link, 150)
        await eventually(lambda: len(gateway.frames) >= 150)
        await eventually(lambda: len(link.firmware.ring) == 0)
    numbers = [frame.number for frame in gateway.frames_of("u1")]
    # The newest frame does not wait for its turn; all others keep their order.
    assert sorted(numbers) == list(range(150))
    in_turn = [number for number in numbers if number != 149]
    assert in_turn == sorted(in_turn)


async def test_the_clock_is_told_at_once(broker, gateway, eventually, beside):
    link = unit_on(broker.access)
    async with beside(link.run()):
        await eventually(lambda: gateway.beats)
    unit_id, beat = gateway.beats[0]
    assert (unit_id, beat.boot_id) == ("u1", "1-test")
    assert 0 <= beat.tick_ms < 5000


async def test_frames_without_receipt_are_sent_again(broker, gateway, eventually, beside):
    gateway.acknowledging = False
    link = unit_on(broker.access, resend_after_s=0.3)
    async with beside(link.run()):
        sample(link, 3)
        await eventually(lambda: len(gateway.frames) >= 6)
        assert [frame.number for frame in gateway.frames_of("u1")[:6]] == [0, 1, 2, 0, 1, 2]
        gateway.acknowledging = True
        await eventually(lambda: len(link.firmware.ring) == 0)


async def test_the_cloud_changes_the_pace(broker, gateway, eventually, beside):
    link = unit_on(broker.access)
    async with beside(link.run()):
        await eventually(lambda: gateway.beats)
        await gateway.configure("u1", 2.5)
        await eventually(lambda: link.firmware.report_interval_s == 2.5)
        await gateway.configure("u1", None)
        await eventually(lambda: link.firmware.report_interval_s == 10.0)


async def test_nonsense_from_the_gateway_changes_nothing(broker, gateway, eventually, beside):
    link = unit_on(broker.access)
    async with beside(link.run()):
        await eventually(lambda: gateway.beats)
        for topic in (stored_topic("u1"), config_topic("u1")):
            for payload in (b"", b"\xff\x00", b"{}"):
                await gateway.client.publish(topic, payload, qos=1)
        sample(link, 1)
        await eventually(lambda: len(link.firmware.ring) == 0 and gateway.frames)
        assert link.firmware.report_interval_s == 10.0


async def test_a_unit_without_receipts_says_so_and_keeps_its_frames(tmp_path, make_broker, eventually, beside):
    may_only_publish = """authorization { users: [ { user: unit, password: secret, permissions: {
        publish: ["packwatch.>", "$MQTT.>"], subscribe: "nothing" } } ] }"""
    broker = make_broker("nats-server", tmp_path, may_only_publish)
    broker.start()
    link = unit_on(replace(broker.access, username="unit", password="secret"))
    with structlog.testing.capture_logs() as said:
        async with beside(link.run()):
            sample(link, 2)
            await eventually(lambda: any("refuses u1 its receipts" in entry.get("why", "") for entry in said))
    assert len(link.firmware.ring) == 2


async def test_a_broker_that_dies_loses_nothing(broker, gateway_at, eventually, beside):
    link = unit_on(broker.access)
    async with beside(link.run()):
        async with gateway_at(broker.access) as before:
            sample(link, 5)
            await eventually(lambda: len(link.firmware.ring) == 0)
            before.acknowledging = False
            sample(link, 5)
            await eventually(lambda: len(before.frames) >= 10)
            broker.kill()
            sample(link, 5)
        broker.start()
        async with gateway_at(broker.access) as after:
            await eventually(lambda: len(link.firmware.ring) == 0, what="receipts for all frames")
    # What was sent and not acknowledged comes again, then what was measured without a broker.
    first_seen = list(dict.fromkeys(frame.number for frame in after.frames_of("u1")))
    assert first_seen == list(range(5, 15))
    assert after.beats


async def test_it_waits_for_a_broker_that_is_not_there_yet(broker, gateway_at, eventually, beside):
    broker.kill()
    link = unit_on(broker.access)
    async with beside(link.run()):
        sample(link, 2)
        broker.start()
        async with gateway_at(broker.access) as side:
            await eventually(lambda: len(link.firmware.ring) == 0)
    assert {frame.number for frame in side.frames_of("u1")} == {0, 1}


async def test_stopping_while_the_broker_dies_stops(broker, eventually, beside):
    """Both at once, as when everything stops together; the cancellation must not drown in the lost connection."""
    for turns in range(10):
        link = unit_on(broker.access)
        async with asyncio.timeout(10), beside(link.run()):
            sample(link, 80)
            await eventually(lambda link=link: link.firmware.ring._sent)
            broker.kill()
            for _ in range(turns):
                await asyncio.sleep(0)
        broker.start()


async def test_stopping_while_it_connects_leaves_nothing_open(broker, beside):
    """A socket left behind would be a ResourceWarning, which is an error here."""
    for turns in range(12):
        async with beside(unit_on(broker.access).run()):
            for _ in range(turns):
                await asyncio.sleep(0)
