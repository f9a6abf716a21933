"""The alarm in the cab, for bench/alerts.py: a gateway of its own whose way up leads nowhere."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from alerts_road import FLEET

from telemetry.broker import BrokerAccess
from telemetry.frames import encode_frame, frame_from_values
from telemetry.mqtt import mqtt_client
from telemetry.samples import Provenance
from telemetry.unit_link import frames_topic

PACKWATCH = Path(sys.executable).parent / "packwatch"
HOT_C = 95.0


def start_vehicle(folder: Path, local: int, nowhere: int) -> list[subprocess.Popen[bytes]]:
    """A vehicle's own broker and its gateway, whose way up leads nowhere."""
    quiet = subprocess.DEVNULL
    broker = subprocess.Popen(["/usr/sbin/mosquitto", "-p", str(local)], stdout=quiet, stderr=quiet)
    words = ["--id", "cab", "--fleet", FLEET, "--data-dir", folder / "cab", "--mqtt", f"127.0.0.1:{nowhere}"]
    with (folder / "gateway.log").open("wb") as log:
        gateway = subprocess.Popen(
            [PACKWATCH, "gateway", *words],
            env={**os.environ, "PACKWATCH_GATEWAY__LOCAL__ADDRESS": f"127.0.0.1:{local}"},
            stdout=log,
            stderr=log,
        )
    return [gateway, broker]


async def cab_alarm(folder: Path, rounds: int, *, local: int, nowhere: int) -> list[float]:
    """Seconds from a critical frame on the vehicle's own broker to the alarm there, the way up cut.

    local: the port of that broker; nowhere: one where nobody listens.
    """
    processes = start_vehicle(folder, local, nowhere)
    took = []
    try:
        await asyncio.sleep(6)
        async with mqtt_client(BrokerAccess(host="127.0.0.1", port=local)) as client:
            await client.subscribe("packwatch/vehicle/cab/alarm/+", qos=1)
            for number in range(rounds):
                unit = f"cab-{number}"
                frame = frame_from_values(
                    boot_id="1-bench", number=1, tick_ms=0, period_ms=1000, provenance=Provenance.SYNTHETIC,
                    utc_at_tick_zero_ms=time.time_ns() // 1_000_000,
                    temperatures_c=np.array([[20.0, HOT_C, HOT_C, 20.0]]),
                )  # fmt: skip
                began_s = time.perf_counter()
                await client.publish(frames_topic(unit), encode_frame(frame), qos=1)
                async with asyncio.timeout(20):
                    async for message in client.messages:
                        told = bytes(message.payload).decode(errors="replace")
                        if str(message.topic).endswith(f"/{unit}") and re.search("critical|runaway", told):
                            break
                took.append(time.perf_counter() - began_s)
    finally:
        for process in processes:
            process.terminate()
            process.wait(20)
    return took
