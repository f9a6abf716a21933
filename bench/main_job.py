"""The main job at full speed through all real parts: unit, gateway, broker, ingest, DuckDB, alert engine.

Starts `packwatch up` and `packwatch replay --speed max` as real processes on this machine, and measures
values stored a second (from the first published frame until the store has the last row) and the time from publishing a
hot sample to its alert on the broker. Prints a table, writes bench/main_job.json, and prints that JSON last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from gateway.service import GatewayService
from gateway.settings import GatewaySettings
from packwatch.client import ServiceClient
from packwatch.credentials import AccountRole, Credentials
from packwatch.logging import configure_logging
from telemetry.broker import BrokerAccess
from telemetry.frames import encode_frame, frame_from_values
from telemetry.mqtt import mqtt_client
from telemetry.samples import Provenance
from telemetry.unit_link import frames_topic

PACKWATCH = Path(sys.executable).parent / "packwatch"
PROBES, VOLTAGES = 16, 8


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def write_trace(path: Path, rows: int) -> int:
    """A quiet pack of 16 probes and 8 cells, one row a second, in the trace format. Returns its values."""
    noise = np.random.default_rng(2)
    temperatures = (
        20 + np.cumsum(noise.normal(0, 0.002, (rows, PROBES)), axis=0) + noise.normal(0, 0.05, (rows, PROBES))
    )
    voltages = 3.7 + noise.normal(0, 0.001, (rows, VOLTAGES))
    names = [f"temperature_{n}_c" for n in range(1, PROBES + 1)] + [f"voltage_{n}_v" for n in range(1, VOLTAGES + 1)]
    table = np.column_stack([np.arange(rows, dtype=float), temperatures, voltages])
    np.savetxt(path, table, delimiter=",", header=",".join(["time_s", *names]), comments="", fmt="%.3f")
    return rows * (PROBES + VOLTAGES)


def start(folder: Path, *flags: str) -> tuple[subprocess.Popen[bytes], int, int]:
    http, mqtt = free_port(), free_port()
    log = (folder / "up.log").open("wb")
    process = subprocess.Popen(
        [
            PACKWATCH, "up", "--data-dir", folder / "data",
            "--http", f"127.0.0.1:{http}", "--mqtt", f"127.0.0.1:{mqtt}", *flags,
        ],
        stdout=log, stderr=log, start_new_session=True,
    )  # fmt: skip
    for _ in range(400):
        try:
            if httpx.get(f"http://127.0.0.1:{http}/healthz", trust_env=False, timeout=1).is_success:
                return process, http, mqtt
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise SystemExit((folder / "up.log").read_text())


def first_reading(folder: Path) -> float:
    """Seconds from starting `packwatch up --demo` until its board shows a live reading."""
    folder.mkdir()
    began = time.perf_counter()
    process, _, _ = start(folder, "--demo")
    try:
        while True:
            client = ServiceClient.of(folder / "data")
            if client is not None:
                with client:
                    if any(row["hottest_c"] is not None for row in client.get("/api/board")["packs"]):
                        return time.perf_counter() - began
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(20)


def throughput(folder: Path, client: ServiceClient, rows: int) -> dict[str, float]:
    trace = folder / "bench.csv"
    values = write_trace(trace, rows)
    before = client.get("/api/board")["intake"]
    command = [PACKWATCH, "replay", trace, "--pack", "bench", "--speed", "max", "--data-dir", folder / "data"]
    replay = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    first = last = None
    while True:
        now = time.perf_counter()
        stored = client.get("/api/board")["intake"]
        if first is None and stored["messages"] > before["messages"] + 2:
            first = now
        if stored["stored_rows"] - before["stored_rows"] >= rows:
            last = time.perf_counter()
            break
        if replay.poll() not in {None, 0}:
            raise SystemExit(replay.communicate()[1].decode())
        time.sleep(0.02)
    replay.wait()
    seconds = last - (first or last)
    return {"values": values, "seconds": round(seconds, 3), "values_per_s": round(values / seconds)}


async def publish_to_alert(client: ServiceClient, folder: Path, mqtt: int, packs: int) -> list[float]:
    """Seconds from publishing a unit's critical sample until the alert is on the broker, one a pack."""
    units = [f"probe-{number}" for number in range(packs)]
    for unit in units:
        client.post(
            "/api/local/enrol",
            {
                "fleet_id": "bench", "gateway_id": "bench", "pack_id": unit, "pack_class": "end_of_life",
                "unit_id": unit, "temperature_channels": 4, "voltage_channels": 0, "simulated": True,
            },
        )  # fmt: skip
    credentials = Credentials(folder)

    def access(role: AccountRole, name: str = "", fleet: str = "") -> BrokerAccess:
        account = credentials.account(role, name, fleet)
        return BrokerAccess(host="127.0.0.1", port=mqtt, username=account.username, password=account.password)

    own = access(AccountRole.GATEWAY, "bench", "bench")
    gateway = GatewayService(
        GatewaySettings(gateway_id="bench", fleet_id="bench", units=tuple(units), host_id="packwatch"),
        local=own,
        uplink=own,
    )
    running = asyncio.create_task(gateway.run())
    await gateway.ready.wait()
    listening = access(AccountRole.DASHBOARD)
    took: list[float] = []
    async with mqtt_client(listening) as alerts:
        await alerts.subscribe("packwatch/alerts/+/+", qos=1)
        for unit in units:
            reach = access(AccountRole.UNIT, unit)
            async with mqtt_client(reach) as sending:
                frame = frame_from_values(
                    boot_id="1-bench", number=1, tick_ms=0, period_ms=1000, provenance=Provenance.SYNTHETIC,
                    utc_at_tick_zero_ms=time.time_ns() // 1_000_000,
                    temperatures_c=np.array([[20.0, 20.0, 95.0, 20.0]]),
                )  # fmt: skip
                began = time.perf_counter()
                await sending.publish(frames_topic(unit), encode_frame(frame), qos=1)
                async with asyncio.timeout(20):
                    async for message in alerts.messages:
                        told = json.loads(bytes(message.payload) or b"{}")
                        if told.get("pack_id") == unit and told.get("level") in {"critical", "runaway"}:
                            break
                took.append(time.perf_counter() - began)
    running.cancel()
    await asyncio.wait([running])
    return took


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=300_000, help="samples of 24 channels to replay")
    options.add_argument("--packs", type=int, default=40, help="packs that turn hot, one after another")
    chosen = options.parse_args()
    configure_logging("warning", "auto")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        first_reading_s = first_reading(folder / "demo")
        process, _, mqtt = start(folder)
        try:
            client = ServiceClient.of(folder / "data")
            if client is None:
                raise SystemExit("packwatch up is gone")
            stored = throughput(folder, client, chosen.rows)
            took = asyncio.run(publish_to_alert(client, folder / "data" / "credentials", mqtt, chosen.packs))
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(20)
    result = {
        "values_per_s": stored["values_per_s"],
        "values": stored["values"],
        "seconds": stored["seconds"],
        "publish_to_alert_p50_ms": round(1000 * statistics.median(took), 1),
        "publish_to_alert_max_ms": round(1000 * max(took), 1),
        "alerts": len(took),
        "first_reading_s": round(first_reading_s, 2),
    }
    table = Table("what", "measured", title="The main job, all parts as real processes")
    table.add_row("values stored a second", f"{result['values_per_s']:,}")
    table.add_row("values stored", f"{result['values']:,} in {result['seconds']} s")
    table.add_row("publish to alert, median", f"{result['publish_to_alert_p50_ms']} ms")
    table.add_row("publish to alert, slowest", f"{result['publish_to_alert_max_ms']} ms of {len(took)}")
    table.add_row("start to the first live reading", f"{result['first_reading_s']} s")
    Console().print(table)
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
