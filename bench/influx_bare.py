"""What an InfluxDB 1 takes from a bare poster, and from the telemetry store: the yardstick of part (c) of ingest.py.

The bare poster formats the same arrays (as many units, times, 24 channels) with the same engine and posts them, the
next body formatted while the server takes one: no frames, no progress, no checks. Run with `python -P` it prints both
rates.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import httpx
import numpy as np
import pyarrow as pa

from telemetry.samples import Provenance, ReceivedBatch, SampleBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

TEMPERATURES, VOLTAGES = 16, 8
CHANNELS = TEMPERATURES + VOLTAGES
START_MS = 1_800_000_000_000
POST_ROWS = 20_000


@contextmanager
def influxd(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """An InfluxDB of its own at 127.0.0.1:port."""
    program = shutil.which("influxd")
    if program is None:
        sys.exit("influxd is missing: run scripts/test-servers")
    config = folder / "influxdb.conf"
    config.write_text(
        f'reporting-enabled = false\nbind-address = "127.0.0.1:0"\n[meta]\ndir = "{folder}/meta"\n'
        f'[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\nquery-log-enabled = false\n'
        f"[monitor]\nstore-enabled = false\n[ifql]\nenabled = false\n"
        f'[logging]\nlevel = "warn"\n[http]\nbind-address = "127.0.0.1:{port}"\nlog-enabled = false\n'
    )
    with (folder / "influxd.log").open("wb") as log:
        process = subprocess.Popen([program, "-config", config], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/ping", trust_env=False)
                break
            except httpx.TransportError:
                if time.monotonic() > deadline or process.poll() is not None:
                    sys.exit(f"influxd did not start:\n{(folder / 'influxd.log').read_text()}")
                time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait()


def readings(noise: np.random.Generator, rows: int) -> np.ndarray[Any, Any]:
    """(rows, 24) of a calm pack, as a unit gives them: degC in steps of 0.05, V in millivolts."""
    temperatures_c = np.round(noise.normal(22, 0.2, (rows, TEMPERATURES)) * 20) / 20
    voltages_v = np.round(noise.normal(3.7, 0.01, (rows, VOLTAGES)), 3)
    return np.concatenate([temperatures_c, voltages_v], axis=1).astype(np.float32)


def arrays(units: int, frames: int, rows: int) -> Iterator[tuple[str, int, np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """(unit, frame, times, (rows, 24) values): a unit's readings come again in each of its frames, as in ingest.py."""
    noise = np.random.default_rng(1)
    values = [readings(noise, rows) for _ in range(units)]
    for frame in range(frames):
        times = START_MS + 1000 * (frame * rows + np.arange(rows))
        for unit in range(units):
            yield f"unit-{unit}", frame, times, values[unit]


def bare_values_per_s(url: str, *, units: int = 100, frames: int = 40, rows: int = 60, database: str = "bare") -> float:
    """Channel values a second that the server takes from the bare poster; some seconds long."""
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as http, ThreadPoolExecutor(1) as ahead:
        http.post("/query", params={"q": f'CREATE DATABASE "{database}"'}).raise_for_status()
        everything = list(arrays(units, frames, rows))
        step = max(1, POST_ROWS // rows)
        portions = [everything[at : at + step] for at in range(0, len(everything), step)]
        engine = duckdb.connect(":memory:", config={"threads": 1})
        began = time.perf_counter()
        body = ahead.submit(_lines, engine, portions[0])
        for number in range(len(portions)):
            lines = body.result()
            if number + 1 < len(portions):
                body = ahead.submit(_lines, engine, portions[number + 1])
            answer = http.post("/write", params={"db": database, "precision": "ms"}, content=lines)
            answer.raise_for_status()
        took_s = time.perf_counter() - began
        engine.close()
    return units * frames * rows * CHANNELS / took_s


def _lines(engine: duckdb.DuckDBPyConnection, portion: list[Any]) -> bytes:
    values = np.concatenate([each[3] for each in portion])
    lengths = [len(each[2]) for each in portion]
    codes = np.repeat(np.arange(len(portion), dtype=np.int32), lengths)
    names = [f"t{number}" for number in range(TEMPERATURES)] + [f"v{number}" for number in range(VOLTAGES)]
    columns: dict[str, Any] = {name: pa.array(np.ascontiguousarray(values[:, at])) for at, name in enumerate(names)}
    columns["unit"] = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array([each[0] for each in portion]))
    columns["at_ms"] = pa.array(np.concatenate([each[2] for each in portion]))
    fields = ", ',', ".join(f"'{name}=', {name}" for name in names)
    engine.register("rows", pa.table(columns))
    lines = engine.sql(f"SELECT concat('samples,unit=', unit, ' ', {fields}, ' ', at_ms, chr(10)) FROM rows")  # noqa: S608
    return b"".join(chunk.buffers()[2].to_pybytes() for chunk in lines.to_arrow_table().column(0).chunks)


def store_values_per_s(
    url: str, *, units: int = 100, frames: int = 40, rows: int = 60, database: str = "stored"
) -> float:
    """The same through the telemetry store's `append`, a flush of some posts at a time."""
    # Beside ingest.py, `ingest` is that script, unless Python was started with -P.
    from ingest.stores.influx import InfluxDBStore  # noqa: PLC0415
    from ingest.stores.influx_server import InfluxAccess  # noqa: PLC0415

    batches = [
        ReceivedBatch(
            batch=SampleBatch(
                unit_id=unit_id,
                boot_id="1-abcdef",
                frame=frame,
                provenance=Provenance.MEASURED,
                sampled_at_ms=times,
                time_uncertainty_s=0.1,
                temperatures_c=values[:, :TEMPERATURES],
                voltages_v=values[:, TEMPERATURES:],
            ),
            fleet_id="fleet",
            gateway_id="gateway-1",
            received_at_ms=START_MS,
        )
        for unit_id, frame, times, values in arrays(units, frames, rows)
    ]
    step = max(1, 8 * POST_ROWS // rows)
    with closing(InfluxDBStore(InfluxAccess(url=url, database=database))) as store:
        store.append([])
        began = time.perf_counter()
        stored = sum(store.append(batches[at : at + step]).stored_rows for at in range(0, len(batches), step))
        took_s = time.perf_counter() - began
    if stored != units * frames * rows:
        sys.exit(f"{stored} rows were stored, not {units * frames * rows}")
    return stored * CHANNELS / took_s


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, influxd(Path(folder), 18486):
        url = "http://127.0.0.1:18486"
        rounds = []
        for number in range(3):
            bare = bare_values_per_s(url, database=f"bare{number}")
            stored = store_values_per_s(url, database=f"stored{number}")
            rounds.append((bare, stored))
        print(
            json.dumps(
                {
                    "bare_values_per_s": [round(bare) for bare, _ in rounds],
                    "store_values_per_s": [round(stored) for _, stored in rounds],
                    "ratio": [round(stored / bare, 3) for bare, stored in rounds],
                }
            )
        )


if __name__ == "__main__":
    main()
