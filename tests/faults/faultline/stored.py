"""The rows of a real store, read without any of ingest's own reading code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import httpx

from faultline.comparison import StoredRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

DATABASE = "packwatch"


def duckdb_rows(path: Path) -> Iterator[StoredRow]:
    """Every sample in the file, which no process may have open."""
    with duckdb.connect(path, read_only=True) as connection:
        rows = connection.execute(
            "SELECT unit_id, boot_id, frame, epoch_ms(sampled_at), time_uncertainty_s, temperature_c, voltage_v "
            "FROM samples"
        ).fetchall()
    for unit_id, boot_id, frame, at_ms, uncertainty_s, temperatures_c, voltages_v in rows:
        yield StoredRow(unit_id, boot_id, frame, at_ms, uncertainty_s, _values(temperatures_c), _values(voltages_v))


def influxdb_rows(port: int, widths: Mapping[str, tuple[int, int]]) -> Iterator[StoredRow]:
    """Every sample in the InfluxDB on that port. `widths`: temperature and voltage channels of each unit."""
    answer = httpx.get(
        f"http://127.0.0.1:{port}/query",
        params={"db": DATABASE, "q": "SELECT * FROM samples GROUP BY *", "epoch": "ms"},
        trust_env=False,
        timeout=60,
    )
    for series in answer.raise_for_status().json()["results"][0].get("series", ()):
        unit_id = series["tags"]["unit"]
        temperatures, voltages = widths.get(unit_id, (0, 0))
        for values in series["values"]:
            row = dict(zip(series["columns"], values, strict=True))
            yield StoredRow(
                unit_id,
                row.get("boot"),
                row["frame"],
                row["time"],
                # Written with a frame's first sample, for all of them.
                row.get("uncertainty") or 0.0,
                _values([row.get(f"t{channel}") for channel in range(1, temperatures + 1)]),
                _values([row.get(f"v{channel}") for channel in range(1, voltages + 1)]),
            )


def _values(column: list[float | None]) -> tuple[float, ...]:
    return tuple(float("nan") if value is None else value for value in column)
