"""The MQTT client of every room: aiomqtt (asyncio-mqtt), set up in one place."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from typing import TYPE_CHECKING, Any, TypeVar

import aiomqtt

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from telemetry.broker import BrokerAccess

T = TypeVar("T")

_NO_DELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
"""Else small messages wait some 40 ms for the acknowledgement of the one before (RFC 896 with RFC 1122)."""


class MqttClient(aiomqtt.Client):
    """aiomqtt whose calls never swallow a cancellation, and which notices an end before the beginning.

    Its own wait on `asyncio.wait_for`: in Python 3.11 a call that ends at the very moment of its task's cancellation
    returns as if nothing had been said, and a task that loops over such calls runs for ever. And where a connection
    ends before the broker answered it, they wait for that answer until their timeout.
    """

    async def _wait_for(self, fut: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109 - aiomqtt's signature
        limit_s = self.timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(None if limit_s == math.inf else limit_s):
                return await fut
        except TimeoutError:
            raise aiomqtt.MqttError("Operation timed out") from None

    def _on_disconnect(self, *args: Any, **options: Any) -> None:
        super()._on_disconnect(*args, **options)
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError("The connection ended before the broker answered"))
            self._connected.exception()  # else asyncio complains where nobody waits any more


def mqtt_client(access: BrokerAccess, **options: Any) -> MqttClient:
    """An MQTT 3.1.1 client for the account, not yet connected. `options` are those of aiomqtt.Client."""
    return MqttClient(
        access.host,
        access.port,
        username=access.username,
        password=access.password,
        protocol=aiomqtt.ProtocolVersion.V311,
        socket_options=_NO_DELAY,
        tls_context=ssl.create_default_context() if access.tls else None,
        **options,
    )
