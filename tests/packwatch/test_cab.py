"""A vehicle's gateway as a process of its own: its siren, and the driver's page that it serves, with the uplink cut."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from packwatch.cab_page import cab_token
from telemetry.mqtt import mqtt_client
from telemetry.unit_link import ClockBeat, clock_topic, encode_clock_beat, frames_topic

from cab_stage import cut_off, frame_bytes


async def seen(condition, what: str, seconds: float = 20.0):
    deadline = time.monotonic() + seconds
    while not (found := await condition()):
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)
    return found


@pytest.fixture
def vehicle(start_broker, free_port, tmp_path):
    """Settings of a gateway whose uplink leads nowhere, and its vehicle's broker."""
    local = start_broker("mosquitto", "local")
    page, config = cut_off(tmp_path, local, free_port)
    return local, page, config


async def test_a_gateway_without_an_uplink_sounds_its_siren_and_shows_the_driver_what_it_sees(vehicle, tmp_path):
    local, page, config = vehicle
    environment = os.environ | {"PACKWATCH_CONFIG": str(config), "PACKWATCH_LOG_LEVEL": "error"}
    packwatch = str(Path(sys.executable).with_name("packwatch"))
    shown = await asyncio.to_thread(
        subprocess.run, [packwatch, "cab-link"], env=environment, capture_output=True, text=True, check=True
    )
    token = re.search(rf"http://{page}/t#(\S+)", shown.stdout).group(1)
    assert token == cab_token(tmp_path / "data" / "cab-token-truck")
    assert (tmp_path / "data" / "cab-token-truck").stat().st_mode & 0o777 == 0o600
    gateway = await asyncio.create_subprocess_exec(packwatch, "gateway", env=environment)
    heard = tmp_path / "heard"
    authorization = {"Authorization": f"Trip {token}"}
    try:
        async with (
            httpx.AsyncClient(base_url=f"http://{page}", headers=authorization) as driver,
            mqtt_client(local.access) as unit,
        ):

            async def state() -> dict:
                try:
                    return (await driver.get("/api/trip/state")).raise_for_status().json()
                except httpx.TransportError:
                    return {}

            async def stage_is(stage: str) -> dict | None:
                told = await state()
                return told if told.get("stage") == stage else None

            first = await seen(lambda: stage_is("no_data"), "grey before anything was evaluated")
            assert first["emergency_number"] == "+13035550100"
            for path in ("/api/trip/state", "/api/trip/texts"):
                for forged in ({}, {"Authorization": "Trip x"}, {"Authorization": f"Bearer {token}"}):
                    async with httpx.AsyncClient(base_url=f"http://{page}") as stranger:
                        assert (await stranger.get(path, headers=forged)).status_code == 401
            assert (await driver.get("/")).status_code == 404
            assert (await driver.get("/t")).headers["content-security-policy"]
            assert (await driver.get("/api/trip/texts")).json()["texts"]["es"]["critical"]["parked"][0]
            beat = encode_clock_beat(ClockBeat(boot_id="b1", tick_ms=20_000))
            await unit.publish(clock_topic("u1"), beat, qos=1)
            await unit.publish(frames_topic("u1"), frame_bytes(0), qos=1)
            fresh = await seen(lambda: stage_is("normal"), "green")
            assert fresh["simulation"] is True
            assert 0 <= fresh["now_ms"] - fresh["evaluated_at_ms"] < 60_000
            for number in (1, 2):
                await unit.publish(frames_topic("u1"), frame_bytes(number, celsius=84.0 + number), qos=1)
            sounded = await seen(lambda: stage_is("critical"), "critical")
            assert "siren" in await seen(lambda: asyncio.to_thread(heard.read_text), "heard")
            (waiting,) = sounded["unacknowledged"]
            stale = {"alert_id": waiting["alert_id"], "version": waiting["version"] - 1}
            assert (await driver.post("/api/trip/acknowledge", json=stale)).status_code == 409
            assert (await driver.post("/api/trip/acknowledge", json=stale | {"alert_id": "u9"})).status_code == 404
            assert (await driver.post("/api/trip/acknowledge", content=b"[")).status_code == 422
            assert (await driver.post("/api/trip/acknowledge", content=b"x" * 5000)).status_code == 413
            told = {"alert_id": waiting["alert_id"], "version": waiting["version"]}
            assert (await driver.post("/api/trip/acknowledge", json=told)).status_code == 200
            assert (await seen(lambda: stage_is("held"), "held"))["unacknowledged"] == []

            async def lowered() -> bool:
                return heard.read_text().split()[-1] == "chirp"

            await seen(lowered, "a chirp")
            assert (await driver.post("/api/trip/situation", json={"situation": "parked"})).status_code == 200
            assert (await state())["situation"] == "parked"
            assert (await driver.post("/api/trip/situation", json={"situation": "asleep"})).status_code == 422
    finally:
        gateway.send_signal(signal.SIGTERM)
        assert await gateway.wait() == 0
