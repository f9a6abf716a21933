"""The embedded broker against real MQTT clients: accounts, limits, restarts, and nothing left behind."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import aiomqtt
import pytest

from packwatch.addresses import AddressError, require_free
from packwatch.broker import EmbeddedBroker, subjects
from packwatch.credentials import AccountRole, Credentials
from packwatch.settings import HostPort

from broker_stage import client, running_broker, until


@pytest.mark.parametrize(
    ("topic_filter", "subscribe", "expected"),
    [
        ("packwatch/units/+/frames", False, ("packwatch.units.*.frames",)),
        ("spBv1.0/f/NDATA/g", False, ("spBv1//0.f.NDATA.g",)),
        ("spBv1.0/#", True, ("spBv1//0", "spBv1//0.>")),
        ("spBv1.0/#", False, ("spBv1//0.>",)),
    ],
    ids=["a plus is one token", "a dot is escaped", "a hash asks for its parent too", "nobody publishes to a parent"],
)
def test_mqtt_filters_become_nats_subjects(topic_filter, subscribe, expected):
    assert subjects(topic_filter, subscribe=subscribe) == expected


async def test_a_unit_reaches_its_gateway_and_a_forbidden_topic_reaches_nobody(tmp_path):
    async with running_broker(tmp_path) as (broker, credentials):
        gateway = credentials.account(AccountRole.GATEWAY, "g1", "fleet")
        unit = credentials.account(AccountRole.UNIT, "u1")
        async with client(broker, gateway) as listening, client(broker, unit) as sending:
            await listening.subscribe("packwatch/units/u1/frames", qos=1)
            await sending.publish("packwatch/units/u2/frames", b"forged", qos=1)
            await sending.publish("packwatch/units/u1/frames", b"true", qos=1)
            message = await asyncio.wait_for(anext(aiter(listening.messages)), 5)
            assert (message.topic.value, message.payload) == ("packwatch/units/u1/frames", b"true")
            await until(lambda: broker.counters.denied == 1)


async def test_a_50_mb_message_is_refused_counted_and_harms_nobody_else(tmp_path):
    async with running_broker(tmp_path) as (broker, credentials):
        async with client(broker, credentials.account(AccountRole.INGEST)) as listening:
            await listening.subscribe("spBv1.0/#")
            gateway = credentials.account(AccountRole.GATEWAY, "g1", "fleet")
            with pytest.raises(aiomqtt.MqttError):
                async with client(broker, gateway) as sending:
                    await sending.publish("spBv1.0/fleet/NDATA/g1", bytes(50_000_000), qos=1, timeout=5)
            await until(lambda: broker.counters.oversize == 1)
            async with client(broker, gateway) as sending:
                await sending.publish("spBv1.0/fleet/NDATA/g1", b"fine")
            message = await asyncio.wait_for(anext(aiter(listening.messages)), 5)
            assert message.payload == b"fine"


async def test_an_account_made_while_it_runs_works_after_a_reload(tmp_path):
    async with running_broker(tmp_path) as (broker, credentials):
        async with client(broker, credentials.account(AccountRole.INGEST)) as undisturbed:
            late = credentials.account(AccountRole.UNIT, "late")
            with pytest.raises(aiomqtt.MqttError):
                async with client(broker, late):
                    pass
            await broker.reload()
            async with client(broker, late) as sending:
                await sending.publish("packwatch/units/late/frames", b"x", qos=1)
            await undisturbed.publish("spBv1.0/STATE/packwatch", b"{}", qos=1)


async def test_a_killed_broker_is_started_again(tmp_path):
    async with running_broker(tmp_path) as (broker, credentials):
        os.kill(broker._child.pid, signal.SIGKILL)
        await until(lambda: broker.counters.restarts == 1 and broker.healthy)
        await until(broker._ready.is_set)
        async with client(broker, credentials.account(AccountRole.INGEST)) as again:
            await again.publish("spBv1.0/STATE/packwatch", b"{}", qos=1)


async def test_a_broker_that_outlived_a_killed_packwatch_is_replaced(tmp_path):
    async with running_broker(tmp_path) as (first, credentials):
        second = EmbeddedBroker(address=first._address, folder=tmp_path / "broker", credentials=credentials)
        first._stopping = True  # as its supervisor is dead, it does not start it again
        await second.start()
        try:
            async with client(second, credentials.account(AccountRole.INGEST)) as sending:
                await sending.publish("spBv1.0/STATE/packwatch", b"{}", qos=1)
            assert first._child.returncode == -signal.SIGKILL
        finally:
            await second.stop()


async def test_stopping_leaves_no_process(tmp_path):
    async with running_broker(tmp_path) as (broker, _):
        pid = broker._child.pid
    assert not Path(f"/proc/{pid}").exists()


async def test_a_taken_port_is_one_clear_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AddressError, match=rf"MQTT cannot listen on 127.0.0.1:{port}.*--mqtt HOST:PORT"):
            require_free(HostPort(host="127.0.0.1", port=port), "MQTT", "--mqtt")


async def test_a_gateway_hears_its_own_units_only_and_a_unit_that_moves_is_heard_by_the_new_one(tmp_path):
    async with running_broker(tmp_path) as (broker, credentials):
        other = credentials.gateway_account("g2", "fleet", "u2")
        await broker.reload()
        async with client(broker, other) as listening:
            assert (await listening.subscribe("packwatch/units/u1/frames", qos=1))[0].is_failure
            assert not (await listening.subscribe("packwatch/units/u2/frames", qos=1))[0].is_failure
        moved = credentials.gateway_account("g2", "fleet", "u1")
        await broker.reload()
        async with client(broker, moved) as listening:
            assert not (await listening.subscribe("packwatch/units/u1/frames", qos=1))[0].is_failure
        former = credentials.account(AccountRole.GATEWAY, "g1", "fleet")
        assert former.units == ()
        async with client(broker, former) as listening:
            assert (await listening.subscribe("packwatch/units/u1/frames", qos=1))[0].is_failure


async def test_a_gateway_hears_the_commands_to_itself_however_it_asks_for_them_and_no_others(tmp_path):
    async with running_broker(tmp_path) as (broker, credentials):
        gateway = credentials.account(AccountRole.GATEWAY, "g1", "fleet")
        async with client(broker, gateway) as listening:
            for topic in ("NCMD/g1", "NCMD/g1/#", "DCMD/g1/+", "DCMD/g1/#"):
                assert not (await listening.subscribe(f"spBv1.0/fleet/{topic}", qos=1))[0].is_failure, topic
            for topic in ("NCMD/+", "NCMD/#", "NCMD/g2/#", "DCMD/+/+"):
                assert (await listening.subscribe(f"spBv1.0/fleet/{topic}", qos=1))[0].is_failure, topic


async def test_the_alert_service_commands_a_unit_and_the_gateway_passes_it_on_and_tells_the_cab(tmp_path):
    """By round trips: the broker acknowledges even what it does not let through."""
    async with running_broker(tmp_path) as (broker, credentials):
        alerts = credentials.account(AccountRole.ALERTS)
        await broker.reload()
        gateway = credentials.account(AccountRole.GATEWAY, "g1", "fleet")
        unit = credentials.account(AccountRole.UNIT, "u1")
        async with (
            client(broker, alerts) as cloud,
            client(broker, gateway) as vehicle,
            client(broker, unit) as sensor,
        ):
            await vehicle.subscribe("spBv1.0/fleet/DCMD/g1/+", qos=1)
            await sensor.subscribe("packwatch/units/u1/config", qos=1)
            await cloud.publish("spBv1.0/fleet/DCMD/g1/u1", b"faster")
            async with asyncio.timeout(5):
                assert (await anext(aiter(vehicle.messages))).payload == b"faster"
                await vehicle.publish("packwatch/units/u1/config", b"1 s", qos=1, retain=True)
                assert (await anext(aiter(sensor.messages))).payload == b"1 s"
            await vehicle.publish("packwatch/vehicle/g1/alarm/u1", b"warning", qos=1, retain=True)
            assert broker.counters.denied == 0
            await vehicle.publish("packwatch/vehicle/g2/alarm/u1", b"forged", qos=1)
            await until(lambda: broker.counters.denied == 1)


def test_credentials_are_private_and_kept(tmp_path):
    first = Credentials(tmp_path / "credentials")
    account = first.account(AccountRole.GATEWAY, "g1", "fleet")
    again = Credentials(tmp_path / "credentials")
    assert again.account(AccountRole.GATEWAY, "g1", "fleet") == account
    assert again.service_token == first.service_token
    assert account.password not in repr(account)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "credentials").iterdir()} == {0o600}
