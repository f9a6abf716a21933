"""Keeping one MQTT connection: connect, talk, and when it breaks wait and connect again."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING

import aiomqtt
import structlog

from telemetry.mqtt import mqtt_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from telemetry.broker import BrokerAccess

FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 8.0
"""A broker on the same vehicle or machine: it is back soon or not at all, and a knock costs it little. **assumed**"""
CALL_TIMEOUT_S = 5.0
"""For a broker's answer to connect, subscribe and publish."""
KEEPALIVE_S = 15
"""A connection that died without a word is noticed after one and a half of it."""

_log = structlog.get_logger(__name__)


async def keep_connected(
    access: BrokerAccess,
    talk: Callable[[aiomqtt.Client], Coroutine[object, object, None]],
    *,
    name: str,
    pending_calls: int = 10,
) -> None:
    """Connect and `talk`, again and again, until cancelled; then the connection is closed properly.

    `talk` runs once for every connection, never twice at a time, and is expected to raise aiomqtt.MqttError (alone or
    in a group) when the connection breaks. `pending_calls`: how many answers it may be waiting for at once.
    """
    wait_s, lost_said = FIRST_WAIT_S, False
    while True:
        try:
            async with connect(access, pending_calls=pending_calls) as client:
                _log.debug("connected", of=name, host=access.host, port=access.port)
                wait_s, lost_said = FIRST_WAIT_S, False
                await _in_a_task(talk(client), name=f"{name} talks")
        except* aiomqtt.MqttError as broken:
            # One line for each outage, not for each knock.
            say = _log.debug if lost_said else _log.info
            say("not_connected", of=name, host=access.host, port=access.port, why=_first_reason(broken))
            lost_said = True
        # Spread the knocks of many units that lost the same broker; no secret hangs on it.
        await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311
        wait_s = min(wait_s * 2.0, LONGEST_WAIT_S)


async def _in_a_task(work: Coroutine[object, object, None], *, name: str) -> None:
    """Run `work` in a task of its own: a TaskGroup in it whose child fails while all stops would swallow the stop."""
    working = asyncio.create_task(work, name=name)
    try:
        await asyncio.wait([working])
    finally:
        working.cancel()
        await asyncio.wait([working])
        broken = None if working.cancelled() else working.exception()
    if broken is not None:
        raise broken


@contextlib.asynccontextmanager
async def connect(access: BrokerAccess, *, pending_calls: int) -> AsyncIterator[aiomqtt.Client]:
    """Open an MQTT 3.1.1 connection with a clean session. Raises aiomqtt.MqttError when the broker cannot be had."""
    client = mqtt_client(access, timeout=CALL_TIMEOUT_S, keepalive=KEEPALIVE_S, max_queued_incoming_messages=1_000)
    client.pending_calls_threshold = pending_calls
    # aiomqtt leaves its socket open when it is cancelled while it connects: so let it finish first, then leave.
    entering = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.shield(entering)
    except asyncio.CancelledError:
        with contextlib.suppress(aiomqtt.MqttError):
            await entering
            await client.__aexit__(None, None, None)
        raise
    try:
        yield client
    finally:
        with contextlib.suppress(aiomqtt.MqttError):
            await client.__aexit__(None, None, None)
        # Look at why it broke, or asyncio reports an error that nobody looked at when all stops and the broker too.
        if (gone := client._disconnected).done() and not gone.cancelled():  # noqa: SLF001 - aiomqtt tells it nowhere else
            gone.exception()


def _first_reason(broken: BaseExceptionGroup[aiomqtt.MqttError]) -> str:
    inner: BaseException = broken
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    return str(inner)
