"""Exports: the columns that others rely on, ordered by time, in constant memory."""

from __future__ import annotations

import csv
import datetime as dt
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.stores.contract import ExportFormat, StoreUnavailableError, UnitSpan
from telemetry.samples import Provenance, ReceivedBatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ingest.stores.contract import TelemetryStore
    from ingest.stores.influx_server import InfluxAccess

    Make = Callable[..., ReceivedBatch]

NOW_MS = 1_800_000_000_000
EVERYTHING = [UnitSpan("unit-1", 0, NOW_MS + 1)]


def test_csv_has_the_trace_formats_columns_and_empty_cells(
    store: TelemetryStore, make_batch: Make, tmp_path: Path
) -> None:
    later = make_batch(frame=2, temperatures_c=[[1079.25, np.nan]], voltages_v=[[3.5]], voc_ppm=[0.5])
    earlier = make_batch(frame=1, temperatures_c=[[20.05]], voltages_v=[[np.nan]], sampled_at_ms=[NOW_MS - 1500])
    store.append([later, earlier])
    path = tmp_path / "out.csv"
    summary = store.export(EVERYTHING, path, ExportFormat.CSV)
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["sampled_at", "temperature_1_c", "temperature_2_c", "voltage_1_v", "voc_ppm"],
        ["2027-01-15T07:59:58.500Z", "20.05", "", "", ""],
        ["2027-01-15T08:00:00.000Z", "1079.25", "", "3.5", "0.5"],
    ]
    assert summary.rows == 2
    assert summary.columns == tuple(rows[0])
    assert list(tmp_path.glob("out*")) == [path]


def test_late_samples_come_by_their_time(store: TelemetryStore, make_batch: Make, tmp_path: Path) -> None:
    def at(*seconds: float, celsius: float, **more: object) -> ReceivedBatch:
        times_ms = [NOW_MS - 60_000 + int(1000 * second) for second in seconds]
        rows = np.full((len(times_ms), 1), celsius)
        return make_batch(temperatures_c=rows, voltages_v=np.zeros((len(rows), 0)), sampled_at_ms=times_ms, **more)

    store.append([at(40, 50, celsius=4, frame=4)])
    store.append([at(0, 10, celsius=1, frame=1, historical=True)])  # out of a gateway's backlog, hours later
    store.append([at(35, celsius=3, boot_id=None, frame=None), at(20, 45, celsius=2, frame=2, historical=True)])
    store.append([at(5, 30, celsius=0, boot_id="2-b", frame=1, unit_id="unit-2")])
    path = tmp_path / "out.csv"
    store.export([*EVERYTHING, UnitSpan("unit-2", 0, NOW_MS + 1)], path, ExportFormat.CSV)
    with path.open(newline="") as file:
        rows = [(at[17:19], float(celsius)) for at, celsius in list(csv.reader(file))[1:]]
    assert rows == [
        ("00", 1), ("05", 0), ("10", 1), ("20", 2), ("30", 0), ("35", 3), ("40", 4), ("45", 2), ("50", 4),
    ]  # fmt: skip


def test_parquet_has_utc_times_and_says_where_the_data_comes_from(
    store: TelemetryStore, make_batch: Make, tmp_path: Path
) -> None:
    store.append([make_batch(provenance=Provenance.REPLAYED), make_batch(unit_id="unit-2")])
    path = tmp_path / "it's.parquet"
    summary = store.export([*EVERYTHING, UnitSpan("unit-2", 0, NOW_MS)], path, ExportFormat.PARQUET)
    with pq.ParquetFile(path) as file:
        table = file.read()
        assert file.metadata.metadata[b"packwatch.provenance"] == b"measured,replayed"
    assert table.schema.field("sampled_at").type == pa.timestamp("us", tz="UTC")
    assert table.column("sampled_at")[2].as_py() == dt.datetime.fromtimestamp(NOW_MS / 1000, dt.UTC)
    assert table.column_names == [
        "sampled_at",
        *(f"temperature_{number}_c" for number in (1, 2, 3)),
        *(f"voltage_{number}_v" for number in (1, 2)),
    ]
    assert table.schema.field("temperature_1_c").type == pa.float32()
    assert summary.provenances == {Provenance.REPLAYED, Provenance.MEASURED}
    assert summary.rows == 3, "unit-2's last sample is at the end of its span, which is not part of it"


@pytest.mark.parametrize("file_format", list(ExportFormat))
def test_nothing_to_export_is_a_header(store: TelemetryStore, tmp_path: Path, file_format: ExportFormat) -> None:
    summary = store.export([], tmp_path / "out", file_format)
    assert (summary.rows, summary.columns) == (0, ("sampled_at",))
    assert (tmp_path / "out").exists()


def test_an_export_that_fails_leaves_nothing(store: TelemetryStore, make_batch: Make, tmp_path: Path) -> None:
    store.append([make_batch()])
    with pytest.raises(StoreUnavailableError):
        store.export(EVERYTHING, tmp_path / "missing" / "out.csv", ExportFormat.CSV)
    assert not (tmp_path / "missing").exists()


FILLER = """
import sys
from pathlib import Path
import numpy as np
from ingest.stores.duckdb import DuckDBStore
from ingest.stores.influx import InfluxDBStore
from ingest.stores.influx_server import InfluxAccess
from telemetry.samples import Provenance, ReceivedBatch, SampleBatch

kind, where = sys.argv[1:3]
if kind == "DuckDB":
    store = DuckDBStore(Path(where), threads=1, memory_limit_mb=96)
else:
    url, database = where.rsplit("/", 1)
    store = InfluxDBStore(InfluxAccess(url=url, database=database))
"""
WRITE = """
random = np.random.default_rng(1)
for frame in range(int(sys.argv[3]) // 10_000):
    batch = SampleBatch(
        unit_id="unit-1", boot_id="1", frame=frame, provenance=Provenance.MEASURED,
        sampled_at_ms=10_000_000 * (1000 - frame) + 1000 * np.arange(10_000), time_uncertainty_s=0.0,
        temperatures_c=random.random((10_000, 16), np.float32),
        voltages_v=random.random((10_000, 8), np.float32))
    store.append([ReceivedBatch(batch=batch, fleet_id="f", gateway_id="g", received_at_ms=0)])
store.close()
"""
READ = """
import resource
from ingest.stores.contract import ExportFormat, UnitSpan
rows, file_format, output = sys.argv[3:]
start_ms = 10_000_000 * (1001 - int(rows) // 10_000)
written = store.export([UnitSpan("unit-1", start_ms, 2**50)], Path(output), ExportFormat(file_format))
assert written.rows == int(rows), written
store.close()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def _run(script: str, *arguments: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", FILLER + script, *arguments], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize(
    ("kind", "many", "most_mb"),
    [
        # 1,200,000 rows are 115 MB of channel values; what DuckDB holds of them is within its limit of 96 MB
        ("DuckDB", 1_200_000, 90),
        # 240,000 rows are 23 MB of values and 80 MB of the server's text, of which one piece is held at a time
        ("InfluxDB", 240_000, 30),
    ],
)
def test_memory_does_not_grow_with_the_export(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, many: int, most_mb: int
) -> None:
    where = str(tmp_path / "telemetry.duckdb")
    if kind == "InfluxDB":
        access: InfluxAccess = request.getfixturevalue("influx_access")
        where = f"{access.url}/{access.database}"
    _run(WRITE, kind, where, str(many))
    for file_format in ExportFormat:
        few_mb, many_mb = (
            int(_run(READ, kind, where, str(rows), file_format, str(tmp_path / "out"))) for rows in (many // 12, many)
        )
        assert many_mb < few_mb + most_mb, file_format
