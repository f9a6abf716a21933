"""A host written by others (pysparkplug) and our gateway: it reads what we say, and we do what it says."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import asynccontextmanager
from itertools import pairwise

import numpy as np

from gateway.service import GatewayService
from gateway.settings import GatewaySettings
from telemetry.frames import encode_frame, frame_from_values
from telemetry.mqtt import mqtt_client
from telemetry.samples import PositionFix, Provenance
from telemetry.unit_link import ClockBeat, clock_topic, encode_clock_beat, encode_position, frames_topic, position_topic

CELSIUS = np.array([[20.0, 25.5, np.nan], [20.05, 1000.0, -40.0]])
VOLTS = np.array([[3.7, 4.2], [3.701, np.nan]])


class Unit:
    """A sensor unit on the gateway's side."""

    def __init__(self, client) -> None:
        self._client = client

    async def send(self, number: int, unit_id: str = "u1") -> None:
        frame = frame_from_values(
            boot_id="b1",
            number=number,
            tick_ms=2_000 * number,
            period_ms=1_000,
            provenance=Provenance.SIMULATED,
            temperatures_c=CELSIUS,
            voltages_v=VOLTS,
        )
        beat = encode_clock_beat(ClockBeat(boot_id="b1", tick_ms=2_000 * number))
        await self._client.publish(clock_topic(unit_id), beat, qos=1)
        await self._client.publish(frames_topic(unit_id), encode_frame(frame), qos=1)

    async def tell_position(self, fix: PositionFix) -> None:
        await self._client.publish(position_topic(fix.gateway_id), encode_position(fix), qos=1)


@asynccontextmanager
async def gateway_and_unit(broker):
    """A gateway that follows the host `their-host`, and a unit to send through it."""
    settings = GatewaySettings(gateway_id="truck", fleet_id="fleet", host_id="their-host")
    service = GatewayService(settings, broker.access, broker.access)
    task = asyncio.create_task(service.run())
    try:
        async with asyncio.timeout(10):
            await service.ready.wait()
        async with mqtt_client(broker.access) as client:
            yield Unit(client)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def values(message) -> dict:
    return {metric["name"]: metric["value"] for metric in message["metrics"]}


def session(host) -> list[dict]:
    """What the host heard of us, oldest first."""
    return [message for message in host.heard if message["kind"] != "STATE"]


def frames(host) -> set[int]:
    """The frames of the unit whose data the host heard."""
    return {values(message)["Source/Frame"] for message in host.of("DDATA")}


async def test_it_reads_births_arrays_by_alias_node_data_and_deaths(broker, start_host, until, monkeypatch):
    monkeypatch.setattr("gateway.units.SILENT_FLOOR_S", 0.5)
    host = start_host()
    async with gateway_and_unit(broker) as unit:
        await until(lambda: host.of("NBIRTH"), "our birth, once their host is online")
        await unit.send(0)
        await until(lambda: host.of("DDATA"), "data")
        fix = PositionFix(
            fleet_id="fleet", gateway_id="truck", fixed_at_ms=time.time_ns() // 10**6, latitude_deg=36.1,
            longitude_deg=-115.2,
        )  # fmt: skip
        await unit.tell_position(fix)
        position = await until(
            lambda: next((each for each in host.of("NDATA") if "Position/Latitude" in values(each)), None), "position"
        )
        await until(lambda: host.of("DDEATH"), "the silent unit's death")
    await until(lambda: host.of("NDEATH"), "our farewell")

    assert values(position)["Position/Latitude"] == 36.1
    assert values(position)["Position/FixTime"] == fix.fixed_at_ms
    birth, device, data = host.of("NBIRTH")[0], host.of("DBIRTH")[0], host.of("DDATA")[0]
    assert values(birth)["Node Control/Rebirth"] is False
    assert {name: values(device)[name] for name in ("Channels/Temperature", "Channels/Voltage")} == {
        "Channels/Temperature": 3,
        "Channels/Voltage": 2,
    }
    aliases = [metric["alias"] for metric in device["metrics"]]
    assert None not in aliases
    assert {metric["alias"] for metric in data["metrics"]} <= set(aliases), "the names it gave come from our aliases"
    told = values(data)
    np.testing.assert_allclose(np.reshape(told["Samples/Temperature"], (2, 3)), CELSIUS, atol=0.025)
    np.testing.assert_allclose(np.reshape(told["Samples/Voltage"], (2, 2)), VOLTS, atol=0.0005)
    assert np.diff(told["Samples/Time"]).tolist() == [1_000]
    assert (told["Source/Boot"], told["Source/Frame"], told["Source/Provenance"]) == ("b1", 0, "simulated")
    assert values(host.of("NDEATH")[0]) == {"bdSeq": values(birth)["bdSeq"]}
    *said, farewell = session(host)
    assert farewell["kind"] == "NDEATH"
    assert [message["seq"] for message in said] == list(range(len(said)))
    assert not any(message["retain"] for message in (*said, farewell))


async def test_its_rebirth_command_is_answered_with_all_births(broker, start_host, until):
    host = start_host()
    async with gateway_and_unit(broker) as unit:
        await until(lambda: host.of("NBIRTH"), "our birth")
        await unit.send(0)
        await until(lambda: host.of("DDATA"), "data")
        host.say("rebirth", node="truck")
        await until(lambda: len(host.of("DBIRTH")) == 2, "the births again")
        births = [message for message in session(host) if message["kind"].endswith("BIRTH")][2:]
        assert [(message["kind"], message["seq"]) for message in births] == [("NBIRTH", 0), ("DBIRTH", 1)]
        await unit.send(1)
        await until(lambda: 1 in frames(host), "data after it")


async def test_its_state_is_followed(broker, start_host, until):
    watching = start_host("another-host")
    await until(lambda: watching.of("STATE"), "that it is there")
    async with gateway_and_unit(broker) as unit:
        await unit.send(0)
        first = start_host()
        await until(lambda: frames(first) == {0}, "what was taken before it was online")
        first.kill()
        await until(lambda: len(watching.of("NDEATH")) == 1, "our death, as its will says that it is offline")
        await unit.send(1)
        again = start_host()
        await until(lambda: frames(again) == {0, 1}, "what it has not acknowledged, and what came meanwhile")
        again.say("offline")
        await until(lambda: len(again.of("NDEATH")) == 1, "our death, as it says that it is offline")
        await unit.send(2)
        again.say("online")
        await until(lambda: 2 in frames(again), "the third frame")
    kinds = [message["kind"] for message in session(watching)]
    assert kinds[0] == "NBIRTH"
    assert [later for kind, later in pairwise(kinds) if kind == "NDEATH"] == ["NBIRTH", "NBIRTH"], "waiting is silent"
