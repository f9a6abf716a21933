"""A real embedded broker for a test, and clients of its accounts."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt

from packwatch.broker import EmbeddedBroker
from packwatch.credentials import AccountRole, Credentials
from packwatch.settings import HostPort
from telemetry.mqtt import mqtt_client

from faultline.ports import free_port


@asynccontextmanager
async def running_broker(folder: Path):
    credentials = Credentials(folder / "credentials")
    for role, name in ((AccountRole.INGEST, ""), (AccountRole.UNIT, "u1"), (AccountRole.UNIT, "u2")):
        credentials.account(role, name)
    credentials.gateway_account("g1", "fleet", "u1")
    broker = EmbeddedBroker(
        address=HostPort(host="127.0.0.1", port=free_port()), folder=folder / "broker", credentials=credentials
    )
    await broker.start()
    supervisor = asyncio.create_task(broker.run())
    try:
        yield broker, credentials
    finally:
        await broker.stop()
        await supervisor


def client(broker, account, **options) -> aiomqtt.Client:
    return mqtt_client(broker.access(account), **options)


async def until(condition, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)
