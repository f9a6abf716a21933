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


EXPORTER = """
import resource, sys
from pathlib import Path
import numpy as np
from ingest.stores.contract import ExportFormat, UnitSpan
from ingest.stores.duckdb import DuckDBStore
from ingest.stores.influx import InfluxDBStore
from ingest.stores.influx_server import InfluxAccess
from telemetry.samples import Provenance, ReceivedBatch, SampleBatch

kind, where, rows, file_format, output = sys.argv[1:]
if kind == "DuckDB":
    store = DuckDBStore(Path(where), threads=1, memory_limit_mb=96)
else:
    url, database = where.rsplit("/", 1)
    store = InfluxDBStore(InfluxAccess(url=url, database=database))
random = np.random.default_rng(1)
for frame in range(int(rows) // 20_000):
    batch = SampleBatch(
        unit_id="unit-1", boot_id="1", frame=frame, provenance=Provenance.MEASURED,
        sampled_at_ms=20_000_000 * (1000 - frame) + 1000 * np.arange(20_000), time_uncertainty_s=0.0,
        temperatures_c=random.random((20_000, 16), np.float32),
        voltages_v=random.random((20_000, 8), np.float32))
    store.append([ReceivedBatch(batch=batch, fleet_id="f", gateway_id="g", received_at_ms=0)])
written = store.export([UnitSpan("unit-1", 0, 2**50)], Path(output), ExportFormat(file_format))
assert written.rows == int(rows), written
store.close()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def _peak_mb(kind: str, where: str, rows: int, file_format: ExportFormat, output: Path) -> int:
    run = subprocess.run(
        [sys.executable, "-c", EXPORTER, kind, where, str(rows), file_format, str(output)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return int(run.stdout)


@pytest.mark.parametrize("file_format", list(ExportFormat))
def test_memory_does_not_grow_with_an_export_from_duckdb(tmp_path: Path, file_format: ExportFormat) -> None:
    def peak_mb(rows: int) -> int:
        return _peak_mb("DuckDB", str(tmp_path / f"{rows}.duckdb"), rows, file_format, tmp_path / "out")

    # 1,200,000 rows are 115 MB of channel values; what DuckDB holds of them is within its limit of 96 MB
    assert peak_mb(1_200_000) < peak_mb(100_000) + 90


@pytest.mark.parametrize("file_format", list(ExportFormat))
def test_memory_does_not_grow_with_an_export_from_influxdb(
    influx_access: InfluxAccess, tmp_path: Path, file_format: ExportFormat
) -> None:
    def peak_mb(rows: int) -> int:
        where = f"{influx_access.url}/{influx_access.database}_{rows}"
        return _peak_mb("InfluxDB", where, rows, file_format, tmp_path / "out")

    # 200,000 rows are 20 MB of channel values and 70 MB of the server's text, of which a piece is held at a time
    assert peak_mb(240_000) < peak_mb(40_000) + 30
