"""The client that every room uses: a stop is always heard."""

import asyncio

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
