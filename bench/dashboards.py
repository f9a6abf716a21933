"""What people wait for at the screens: a month's chart, the board of 5,000 vehicles, the live stream, a large export.

Charts: 30 days of one pack (260,000 samples of 24 channels) at 1,000 points, from the call of the API's function until
its JSON is there, from a DuckDB file and from a real InfluxDB. Board: real Chromium opens the board of 5,000 vehicles
with one pack each, every one of which reports every 10 s (bench/board_page.py). Stream: 500 readers of that board.
Export: ten million samples. Prints a table, writes bench/dashboards.json, and prints that JSON last. `--only` measures
some of the parts and keeps the figures of the others.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import board_page
import numpy as np
import rooms_first  # noqa: F401 - before the rooms
from influx_bare import influxd
from rich.console import Console
from rich.table import Table

from dashboards.answers import json_answer
from dashboards.pack_history import read_pack
from ingest.stores.contract import ExportFormat, UnitSpan
from ingest.stores.duckdb import DuckDBStore
from ingest.stores.influx import InfluxDBStore
from ingest.stores.influx_server import InfluxAccess
from packwatch.history import PagesHistory
from telemetry.samples import Provenance, ReceivedBatch, SampleBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest.stores.contract import TelemetryStore

HERE = Path(__file__).parent
PARTS = ("charts", "stream", "board", "export")
PROBES, CELLS = 16, 8
SAMPLES, POINTS = 260_000, 1000
START_MS = 1_790_000_000_000
REPEATS = 7
FRAME_ROWS = 600


def batches(rows: int, step_ms: int, rows_at_once: int, noise: np.random.Generator) -> Iterator[ReceivedBatch]:
    """One unit's quiet pack: temperatures in the wire's steps of 0.05 degC, voltages in millivolts."""
    for first in range(0, rows, rows_at_once):
        count = min(rows_at_once, rows - first)
        at_ms = START_MS + step_ms * np.arange(first, first + count, dtype=np.int64)
        warmth = 25 + 5 * np.sin(at_ms / 86_400_000 * 2 * np.pi)[:, None]
        yield ReceivedBatch(
            batch=SampleBatch(
                unit_id="unit-0",
                boot_id="1",
                frame=first // rows_at_once,
                provenance=Provenance.SIMULATED,
                sampled_at_ms=at_ms,
                time_uncertainty_s=0.0,
                temperatures_c=np.round(20 * (warmth + noise.normal(0, 0.2, (count, PROBES)))).astype(np.float32) / 20,
                voltages_v=np.round(3.7 + noise.normal(0, 0.002, (count, CELLS)), 3).astype(np.float32),
            ),
            fleet_id="fleet-0",
            gateway_id="gateway-0",
            received_at_ms=int(at_ms[-1]),
        )


def fill(store: TelemetryStore, rows: int, step_ms: int, rows_at_once: int) -> None:
    waiting: list[ReceivedBatch] = []
    for batch in batches(rows, step_ms, rows_at_once, np.random.default_rng(1)):
        waiting.append(batch)
        if sum(len(each.batch) for each in waiting) >= 20_000:
            store.append(waiting)
            waiting = []
    if waiting:
        store.append(waiting)


def chart_ms(store: TelemetryStore) -> tuple[float, int]:
    """The median of some readings, ms, and the points of one."""
    history = PagesHistory(store)
    span = ("unit-0", START_MS, START_MS + 10_000 * SAMPLES)
    took = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        found = read_pack(history, [span], points=POINTS, labels=lambda _unit: ((), ()))
        json_answer(found)
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took), len(found["t_ms"])  # type: ignore[arg-type]


def charts(folder: Path) -> dict[str, Any]:
    with closing(DuckDBStore(folder / "month.duckdb")) as store:
        fill(store, SAMPLES, 10_000, FRAME_ROWS)
        duckdb_ms, duckdb_points = chart_ms(store)
    server = folder / "influxdb"
    server.mkdir()
    port = free_port()
    with (
        influxd(server, port),
        closing(InfluxDBStore(InfluxAccess(url=f"http://127.0.0.1:{port}", database="packwatch"))) as influx,
    ):
        fill(influx, SAMPLES, 10_000, FRAME_ROWS)
        unrolled_ms, _ = chart_ms(influx)
        began = time.perf_counter()
        while influx.roll_up(START_MS + 10_000 * SAMPLES + 600_000):
            pass
        rolled_s = time.perf_counter() - began
        influx_ms, influx_points = chart_ms(influx)
    return {
        "chart_duckdb_ms": round(duckdb_ms, 1),
        "chart_duckdb_points": duckdb_points,
        "chart_influxdb_ms": round(influx_ms, 1),
        "chart_influxdb_points": influx_points,
        "chart_influxdb_without_roll_ups_ms": round(unrolled_ms, 1),
        "roll_up_of_a_month_s": round(rolled_s, 1),
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def board_service(vehicles: int) -> Iterator[tuple[dict[str, str], int]]:
    """Where bench/board_service.py serves, and its process."""
    command = [sys.executable, HERE / "board_service.py", "--vehicles", str(vehicles)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            yield json.loads(process.stdout.readline() if process.stdout else b""), process.pid
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def memory_mb(pid: int) -> float:
    """What the process holds now."""
    return _status_mb(str(pid), "VmRSS")


def _status_mb(process: str, name: str) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def stream(clients: int, seconds: float, vehicles: int) -> dict[str, Any]:
    with board_service(vehicles) as (service, pid):
        command = [sys.executable, HERE / "stream_clients.py", service["url"], service["token"]]

        def run(count: int, for_s: float) -> tuple[dict[str, float], float, float]:
            chosen = [*command, "--clients", str(count), "--seconds", str(for_s)]
            with subprocess.Popen(chosen, stdout=subprocess.PIPE) as reading:
                time.sleep(count * 0.012 + 6 + for_s / 2)  # all are there and counting
                held, began_s, used_s = memory_mb(pid), time.perf_counter(), cpu_s(pid)
                time.sleep(for_s / 4)
                share = (cpu_s(pid) - used_s) / (time.perf_counter() - began_s)
                said, _ = reading.communicate(timeout=120)
            return json.loads(said), held, share

        few, held_with_few, _ = run(10, 4)
        found, held, share = run(clients, seconds)
    return {
        "sse_clients": clients,
        "sse_p99_ms": round(found["p99_ms"]),
        "sse_p50_ms": round(found["p50_ms"]),
        "sse_max_ms": round(found["max_ms"]),
        "sse_10_clients_p99_ms": round(few["p99_ms"]),
        "sse_memory_per_client_kb": round(1024 * (held - held_with_few) / (clients - 10)),
        "sse_service_memory_mb": round(held),
        "sse_service_cpu": round(share, 2),
        "sse_kb_per_s_each": found["kb_per_s_each"],
    }


def board(vehicles: int, seconds: float) -> dict[str, Any]:
    with board_service(vehicles) as (service, _):
        page = board_page.measure(service["url"] + service["claim"], watch_s=seconds)
    return {
        "board_ready_ms": page.board_ready_ms,
        "board_map_ready_ms": page.map_ready_ms,
        "board_long_tasks": page.long_tasks,
        "board_longest_task_ms": page.longest_task_ms,
        "first_page_js_gzip_kb": page.first_page_js_gzip_kb,
    }


def export_in_own_process(database: Path, output: Path, rows: int, answer: Any) -> None:
    """As the service does it, and how much memory that took it at most."""
    with closing(DuckDBStore(database, memory_limit_mb=192)) as store:
        began = time.perf_counter()
        span = UnitSpan("unit-0", START_MS, START_MS + 1000 * rows)
        found = store.export([span], output, ExportFormat(output.suffix[1:]))
        took_s = time.perf_counter() - began
    answer.put((found.rows / took_s, _status_mb("self", "VmHWM"), found.rows))


def export(folder: Path, rows: int) -> dict[str, Any]:
    database = folder / "years.duckdb"
    with closing(DuckDBStore(database, memory_limit_mb=192)) as store:
        fill(store, rows, 1000, 20_000)
    spawned = multiprocessing.get_context("spawn")
    measured: dict[tuple[str, int], tuple[float, float, int]] = {}
    for name in ("parquet", "csv"):
        for count in (rows // 10, rows):
            answer = spawned.Queue()
            output = folder / f"export.{name}"
            process = spawned.Process(target=export_in_own_process, args=(database, output, count, answer))
            process.start()
            measured[name, count] = answer.get(timeout=600)
            process.join()
            output.unlink()
    return {
        "export_rows": measured["csv", rows][2],
        "export_rows_per_s": round(measured["parquet", rows][0]),
        "export_csv_rows_per_s": round(measured["csv", rows][0]),
        "export_peak_mb": round(max(measured[name, rows][1] for name in ("parquet", "csv"))),
        "export_peak_mb_of_a_tenth": round(max(measured[name, rows // 10][1] for name in ("parquet", "csv"))),
    }


TARGETS = {
    "chart_duckdb_ms": 100,
    "chart_influxdb_ms": 300,
    "board_ready_ms": 1500,
    "board_longest_task_ms": 50,
    "sse_p99_ms": 1000,
    "first_page_js_gzip_kb": 350,
}
"""At most."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--vehicles", type=int, default=5000)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20, help="how long stream and board are watched")
    parser.add_argument("--export-rows", type=int, default=10_000_000)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    chosen = parser.parse_args()
    result: dict[str, Any] = json.loads(chosen.json.read_text()) if chosen.json.exists() else {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if "charts" in chosen.only:
            result |= charts(folder)
        if "stream" in chosen.only:
            result |= stream(chosen.clients, chosen.seconds, chosen.vehicles)
        if "board" in chosen.only:
            result |= board(chosen.vehicles, chosen.seconds)
        if "export" in chosen.only:
            result |= export(folder, chosen.export_rows)
    table = Table("what", "measured", "at most", title="The screens")
    for name, value in result.items():
        table.add_row(name.replace("_", " "), f"{value:,}", f"{TARGETS[name]:,}" if name in TARGETS else "")
    Console().print(table)
    chosen.json.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
