"""The client that every room uses: a stop is always heard."""

import asyncio
import math

import aiomqtt
import pytest

from telemetry.broker import BrokerAccess
from telemetry.mqtt import mqtt_client

NOWHERE = BrokerAccess(host="127.0.0.1", port=1)


async def test_a_cancellation_is_heard_at_the_very_moment_the_answer_comes():
    client = mqtt_client(NOWHERE)
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    calling = asyncio.create_task(client._wait_for(answer, None))
    await asyncio.sleep(0)
    answer.set_result("late")
    calling.cancel()
    await asyncio.wait([calling])
    assert calling.cancelled()


async def test_a_call_without_an_answer_ends_with_its_limit():
    client = mqtt_client(NOWHERE)
    with pytest.raises(aiomqtt.MqttError, match="timed out"):
        await client._wait_for(asyncio.Event().wait(), 0.01)


async def test_a_connection_that_ends_before_the_broker_answers_is_an_error_at_once():
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        access = BrokerAccess(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
        client = mqtt_client(access, timeout=math.inf)
        for _ in range(2):
            with pytest.raises(aiomqtt.MqttError, match="before the broker answered"):
                await client.__aenter__()
