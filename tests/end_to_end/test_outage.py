"""An hour without network, as real processes: all of it comes in, once, while the units go on."""

import asyncio
import json
import os
import signal
import subprocess
import time

import numpy as np
import pyarrow.parquet as pq

from gateway.intake import Intake
from gateway.outbox import Outbox
from packwatch.credentials import AccountRole, BrokerAccount, Credentials
from telemetry.broker import BrokerAccess
from telemetry.frames import encode_frame, frame_from_values
from telemetry.mqtt import mqtt_client
from telemetry.samples import Provenance
from telemetry.unit_link import ClockBeat, clock_topic, encode_clock_beat, frames_topic

from stage import PACKWATCH, eventually, packwatch_up

PACKS, STEPS, PERIOD_MS, LIVE = 4, 360, 10_000, 20


def frame(number: int, tick_ms: int) -> bytes:
    """A sample that tells its number: as hundredths and tens of a degree."""
    told = [20 + number % 20 * 0.1, 20 + number // 20 % 40 * 0.1, *[20.0] * 14]
    return encode_frame(
        frame_from_values(
            boot_id="1-outage",
            number=number,
            tick_ms=tick_ms,
            period_ms=PERIOD_MS,
            provenance=Provenance.SYNTHETIC,
            temperatures_c=np.array([told]),
            voltages_v=np.full((1, 8), 3.7),
        )
    )


async def fill(path, boot_ms: int) -> int:
    """The outbox as the hour would have left it."""
    outbox = await Outbox.open(path, fleet_id="fleet", gateway_id="truck", max_bytes=64 << 20)
    intake = Intake(gateway_id="truck", fleet_id="fleet", units=None)
    for step in range(STEPS):
        tick_ms = step * PERIOD_MS
        arrived = []
        for unit in range(PACKS):
            beat = encode_clock_beat(ClockBeat(boot_id="1-outage", tick_ms=tick_ms))
            intake.receive(clock_topic(f"unit-{unit}"), beat, boot_ms + tick_ms)
            topic = frames_topic(f"unit-{unit}")
            arrived.append(intake.receive(topic, frame(step, tick_ms), boot_ms + tick_ms).arrival)
        await outbox.take(arrived, clocks=intake.unkept_clocks())
    await outbox.keep(intake.clocks(), {})
    records = len(outbox)
    await outbox.close()
    return records


async def go_on(logins: list[BrokerAccess], boot_ms: int) -> None:
    """Each unit takes LIVE more samples."""
    for unit, login in enumerate(logins):
        async with mqtt_client(login) as client:
            for more in range(LIVE):
                tick_ms = time.time_ns() // 1_000_000 - boot_ms
                beat = encode_clock_beat(ClockBeat(boot_id="1-outage", tick_ms=tick_ms))
                await client.publish(clock_topic(f"unit-{unit}"), beat, qos=1)
                await client.publish(frames_topic(f"unit-{unit}"), frame(STEPS + more, tick_ms), qos=1)
                await asyncio.sleep(0.01)  # ticks must grow


def test_an_hour_without_network_comes_in_complete_and_once(tmp_path):
    boot_ms = time.time_ns() // 1_000_000 - STEPS * PERIOD_MS
    (tmp_path / "gateway").mkdir()
    assert asyncio.run(fill(tmp_path / "gateway" / "outbox-truck.db", boot_ms)) == PACKS * STEPS
    with packwatch_up(tmp_path) as packwatch, packwatch.client() as client:
        for unit in range(PACKS):
            client.post(
                "/api/local/enrol",
                {
                    "fleet_id": "fleet",
                    "gateway_id": "truck",
                    "pack_id": f"pack-{unit}",
                    "pack_class": "end_of_life",
                    "unit_id": f"unit-{unit}",
                    "temperature_channels": 16,
                    "voltage_channels": 8,
                    "simulated": True,
                    "bound_from": f"{np.datetime64(boot_ms - 60_000, 'ms')}+00:00",
                },
            )
        known = Credentials(packwatch.data_dir / "credentials")

        def login(account: BrokerAccount) -> BrokerAccess:
            return BrokerAccess(
                host="127.0.0.1", port=packwatch.mqtt, username=account.username, password=account.password
            )

        own = login(known.account(AccountRole.GATEWAY, "truck", "fleet"))
        broker = {"ADDRESS": f"127.0.0.1:{packwatch.mqtt}", "USERNAME": own.username, "PASSWORD": own.password}
        environment = {
            "PACKWATCH_DATA_DIR": str(tmp_path / "gateway"),
            "PACKWATCH_GATEWAY__GATEWAY_ID": "truck",
            "PACKWATCH_GATEWAY__UNITS": json.dumps([f"unit-{unit}" for unit in range(PACKS)]),
            **{f"PACKWATCH_MQTT__{name}": value for name, value in broker.items()},
            **{f"PACKWATCH_GATEWAY__LOCAL__{name}": value for name, value in broker.items()},
        }
        with (tmp_path / "gateway.log").open("wb") as log:
            gateway = subprocess.Popen(
                [PACKWATCH, "gateway"], env={**os.environ, **environment}, stdout=log, stderr=log
            )
        try:
            eventually(
                lambda: "local_link_up" in (tmp_path / "gateway.log").read_text(), 40, "the gateway's way to its units"
            )
            asyncio.run(
                go_on([login(known.account(AccountRole.UNIT, f"unit-{unit}")) for unit in range(PACKS)], boot_ms)
            )
            eventually(
                lambda: client.get("/api/board")["intake"]["stored_rows"] >= PACKS * (STEPS + LIVE), 60, "all of it"
            )
        finally:
            gateway.send_signal(signal.SIGINT)
            gateway.wait(20)
        assert client.get("/api/board")["intake"]["dropped"] == 0
        for unit in range(PACKS):
            file = tmp_path / f"{unit}.parquet"
            client.download("/api/export", file, pack_id=f"pack-{unit}", format="parquet")
            table = pq.read_table(file)
            tens = [np.rint((table[f"temperature_{n}_c"].to_numpy() - 20) * 10).astype(int) for n in (1, 2)]
            numbers = tens[0] + 20 * tens[1]
            assert numbers.tolist() == list(range(STEPS + LIVE))  # by time, each once
