"""The rows of a real store, read without any of ingest's own reading code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from faultline.comparison import StoredRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def duckdb_rows(path: Path) -> Iterator[StoredRow]:
    """Every sample in the file, which no process may have open."""
    with duckdb.connect(path, read_only=True) as connection:
        rows = connection.execute(
            "SELECT unit_id, boot_id, frame, epoch_ms(sampled_at), time_uncertainty_s, temperature_c, voltage_v "
            "FROM samples"
        ).fetchall()
    for unit_id, boot_id, frame, at_ms, uncertainty_s, temperatures_c, voltages_v in rows:
        yield StoredRow(unit_id, boot_id, frame, at_ms, uncertainty_s, _values(temperatures_c), _values(voltages_v))


def _values(column: list[float | None]) -> tuple[float, ...]:
    return tuple(float("nan") if value is None else value for value in column)
