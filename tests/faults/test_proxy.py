"""The network between: a real client and a real broker notice exactly the harm that is meant."""

import asyncio
import contextlib
import random
import time

import aiomqtt
import pytest

from telemetry.broker import BrokerAccess
from telemetry.mqtt import mqtt_client

from faultline.proxy import Network, Proxy
from faultline.servers import VehicleBroker


@pytest.fixture
async def proxy(tmp_path):
    broker = VehicleBroker(tmp_path / "broker")
    await broker.start()
    between = Proxy(broker.port, random.Random(1))  # noqa: S311 - the same messages every time
    await between.start()
    yield between
    await between.stop()
    await broker.kill()


@contextlib.asynccontextmanager
async def listener(proxy: Proxy):
    """What arrives on every topic, through the proxy, and a way to publish through it."""
    heard = []
    async with mqtt_client(BrokerAccess(host="127.0.0.1", port=proxy.port), keepalive=60) as client:
        await client.subscribe("#", qos=0)

        async def listen():
            with contextlib.suppress(aiomqtt.MqttError):
                async for message in client.messages:
                    heard.append((message.topic.value, bytes(message.payload)))  # noqa: PERF401 - looked at meanwhile

        task = asyncio.create_task(listen())
        try:
            yield client, heard
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if client._disconnected.done():
                client._disconnected.exception()


async def until(true, what: str, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what} did not come"
        await asyncio.sleep(0.01)


async def test_it_passes_everything_in_order_while_all_is_well(proxy):
    async with listener(proxy) as (client, heard):
        for number in range(50):
            await client.publish("a/b", b"%d" % number * 1000, qos=number % 2)
        await until(lambda: len(heard) == 50, "50 messages")
    assert heard == [("a/b", b"%d" % number * 1000) for number in range(50)]


async def test_a_cut_ends_connections_and_refuses_new_ones_until_it_is_mended(proxy):
    async with contextlib.AsyncExitStack() as stack:
        with contextlib.suppress(aiomqtt.MqttError):
            client, _ = await stack.enter_async_context(listener(proxy))
            proxy.cut()
            await until(client._disconnected.done, "the end of the connection")
            with pytest.raises(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", proxy.port, timeout=2):
                    pass
            proxy.restore()
            async with aiomqtt.Client("127.0.0.1", proxy.port):
                pass
            await stack.aclose()


async def test_half_open_swallows_in_silence_until_it_is_mended(proxy):
    with contextlib.suppress(aiomqtt.MqttError):
        async with listener(proxy) as (client, heard):
            proxy.half_open()
            assert proxy.network is Network.HALF_OPEN
            await client.publish("a", b"swallowed", qos=0)
            with pytest.raises(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", proxy.port, timeout=0.5):
                    pass
            assert not client._disconnected.done()
            assert heard == []
            proxy.restore()
            await until(client._disconnected.done, "the end of the connection")


async def test_messages_are_doubled_and_overtaken_and_none_is_lost(proxy):
    proxy.weather.duplicate = proxy.weather.reorder = 0.3
    async with listener(proxy) as (client, heard):
        for number in range(200):
            await client.publish("a", b"%d" % number, qos=0)
        await until(lambda: {int(payload) for _, payload in heard} == set(range(200)), "every message")
    numbers = [int(payload) for _, payload in heard]
    assert len(numbers) > 200
    assert numbers != sorted(numbers)
    assert proxy.counts["duplicated"] > 10
    assert proxy.counts["reordered"] > 10


async def test_messages_of_a_topic_get_lost_and_others_do_not(proxy):
    proxy.weather.drop_topic = "/NCMD/"
    async with listener(proxy) as (client, heard):
        await client.publish("spBv1.0/fleet/NCMD/gateway-1", b"lost", qos=0)
        await client.publish("spBv1.0/fleet/NDATA/gateway-1", b"kept", qos=0)
        await until(lambda: heard, "the other message")
    assert [payload for _, payload in heard] == [b"kept"]


async def test_a_delay_keeps_the_order(proxy):
    async with listener(proxy) as (client, heard):
        proxy.weather.delay_s = 0.2
        began = time.monotonic()
        for number in range(20):
            await client.publish("a", b"%d" % number, qos=0)
        await until(lambda: len(heard) == 20, "20 messages")
        took_s = time.monotonic() - began
        proxy.weather.delay_s = 0.0
    assert took_s > 0.4
    assert [int(payload) for _, payload in heard] == list(range(20))
