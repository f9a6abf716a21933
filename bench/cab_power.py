"""What a gateway without vehicle power asks of its computer: 16 packs at the battery's report interval, the uplink cut.

A real `packwatch gateway` and a real broker of the vehicle run for some minutes; CPU seconds, bytes written and memory
are the kernel's own figures of the two processes. Hours on a battery follow from the board's draw, which is an option
and not measured here. Prints a table, writes bench/cab_power.json, and prints that JSON last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from main_job import PACKWATCH
from rich.console import Console
from rich.table import Table

from telemetry.broker import BrokerAccess
from telemetry.frames import encode_frame, frame_from_values
from telemetry.mqtt import mqtt_client
from telemetry.samples import Provenance
from telemetry.unit_link import ClockBeat, clock_topic, encode_clock_beat, frames_topic

TEMPERATURES, VOLTAGES = 16, 8
STARTING_S = 15.0
"""Imports and first frames; they happen once."""
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def used(pid: int) -> tuple[float, int]:
    """CPU s and bytes that a process has written so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    io = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND, int(io["write_bytes"])


def resident_mb(pid: int) -> float:
    """Memory of a process now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def report(address: BrokerAccess, packs: int, interval_s: float) -> None:
    """All units, one sample each interval, spread over it, until cancelled."""
    noise = np.random.default_rng(1)
    began_s = time.monotonic()
    async with mqtt_client(address) as client:
        for number in range(1_000_000):
            for pack in range(packs):
                unit = f"u{pack}"
                tick_ms = round((time.monotonic() - began_s) * 1000)
                frame = frame_from_values(
                    boot_id="1-bench", number=number, tick_ms=tick_ms, period_ms=round(interval_s * 1000),
                    provenance=Provenance.SYNTHETIC,
                    temperatures_c=24.0 + 0.1 * noise.standard_normal((1, TEMPERATURES)),
                    voltages_v=3.7 + 0.001 * noise.standard_normal((1, VOLTAGES)),
                )  # fmt: skip
                await client.publish(
                    clock_topic(unit), encode_clock_beat(ClockBeat(boot_id="1-bench", tick_ms=tick_ms)), qos=1
                )
                await client.publish(frames_topic(unit), encode_frame(frame), qos=1)
                await asyncio.sleep(interval_s / packs)


def start(folder: Path, local: int) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
    """A gateway whose way up leads nowhere, and the vehicle's own broker."""
    quiet = subprocess.DEVNULL
    broker = subprocess.Popen(["/usr/sbin/mosquitto", "-p", str(local)], stdout=quiet, stderr=quiet)
    words = ["--id", "cab", "--fleet", "bench", "--data-dir", str(folder / "cab"), "--mqtt", f"127.0.0.1:{free_port()}"]
    own = {"PACKWATCH_GATEWAY__LOCAL__ADDRESS": f"127.0.0.1:{local}", "PACKWATCH_LOG_LEVEL": "error"}
    gateway = subprocess.Popen([PACKWATCH, "gateway", *words], env={**os.environ, **own}, stdout=quiet)
    return gateway, broker


async def measure(folder: Path, packs: int, interval_s: float, minutes: float) -> dict[str, float]:
    """Run both processes; what they used an hour."""
    local = free_port()
    gateway, broker = start(folder, local)
    try:
        await asyncio.sleep(3)
        units = asyncio.create_task(report(BrokerAccess(host="127.0.0.1", port=local), packs, interval_s))
        await asyncio.sleep(STARTING_S)
        before = [used(each.pid) for each in (gateway, broker)]
        await asyncio.sleep(minutes * 60)
        after = [used(each.pid) for each in (gateway, broker)]
        memory_mb = resident_mb(gateway.pid)
        if units.done():
            units.result()
        units.cancel()
        await asyncio.gather(units, return_exceptions=True)
    finally:
        for process in (gateway, broker):
            process.terminate()
            process.wait(20)
    an_hour = 60 / minutes
    (gateway_s, gateway_bytes), (broker_s, broker_bytes) = (
        (late[0] - early[0], late[1] - early[1]) for early, late in zip(before, after, strict=True)
    )
    return {
        "gateway_cpu_s_per_h": round(gateway_s * an_hour, 1),
        "broker_cpu_s_per_h": round(broker_s * an_hour, 1),
        "written_mb_per_h": round((gateway_bytes + broker_bytes) * an_hour / 1e6, 1),
        "gateway_resident_mb": round(memory_mb, 1),
    }


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--packs", type=int, default=16)
    options.add_argument("--interval", type=float, default=10.0, help="s between two samples of a pack")
    options.add_argument("--minutes", type=float, default=5.0)
    options.add_argument(
        "--idle-w", type=float, default=2.5, help="what the board draws with modem and siren standing by"
    )
    options.add_argument("--busy-w", type=float, default=4.0, help="what one busy core draws more")
    options.add_argument(
        "--slower", type=float, default=4.0, help="how many times the board's core is slower than this one"
    )
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-cab-") as folder:
        result: dict[str, Any] = asyncio.run(measure(Path(folder), chosen.packs, chosen.interval, chosen.minutes))
    busy = (result["gateway_cpu_s_per_h"] + result["broker_cpu_s_per_h"]) * chosen.slower / 3600
    draw_w = chosen.idle_w + busy * chosen.busy_w
    result |= {
        "packs": chosen.packs,
        "interval_s": chosen.interval,
        "minutes": chosen.minutes,
        "assumed_idle_w": chosen.idle_w,
        "assumed_busy_w": chosen.busy_w,
        "assumed_slower": chosen.slower,
        "board_core_busy": round(busy, 4),
        "draw_w": round(draw_w, 2),
        "battery_for_12_h_wh": round(draw_w * 12, 1),
    }
    table = Table("what", "value", title="A gateway on its own battery, the uplink cut")
    for name, value in result.items():
        table.add_row(name, str(value))
    Console().print(table)
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
