"""Exports from the DuckDB store: DuckDB sorts (spilling to disk beyond its memory limit) and writes the file itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.stores.contract import ExportFormat, ExportSummary
from ingest.stores.duckdb_reading import contents

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import duckdb

    from ingest.stores.contract import UnitSpan

_TIME = {
    ExportFormat.CSV: "strftime(sampled_at::TIMESTAMP, '%Y-%m-%dT%H:%M:%S.%gZ') AS sampled_at",
    ExportFormat.PARQUET: "sampled_at::TIMESTAMPTZ AS sampled_at",
}


def export(
    cursor: duckdb.DuckDBPyConnection, spans: Sequence[UnitSpan], path: Path, file_format: ExportFormat
) -> ExportSummary:
    """Write the spans' samples to `path`; whole, or not at all.

    Parquet names the provenances in the file's metadata, under `packwatch.provenance`, comma separated.
    """
    where = " OR ".join(_within(span) for span in spans) or "false"
    cursor.begin()  # one snapshot for the header and the rows
    found = contents(cursor, where)
    columns = {
        **{f"temperature_{number}_c": f"temperature_c[{number}]" for number in range(1, found.temperatures + 1)},
        **{f"voltage_{number}_v": f"voltage_v[{number}]" for number in range(1, found.voltages + 1)},
        **{name: name for name in found.singles},
    }
    options = {
        ExportFormat.CSV: "FORMAT csv, HEADER true",
        ExportFormat.PARQUET: "FORMAT parquet, COMPRESSION zstd, "
        f"KV_METADATA {{'packwatch.provenance': {_text(','.join(sorted(found.provenances)))}}}",
    }[file_format]
    unfinished = path.with_name(path.name + ".unfinished")
    selected = ", ".join((_TIME[file_format], *(f"{source} AS {name}" for name, source in columns.items())))
    try:
        cursor.execute(
            f"COPY (SELECT {selected} FROM samples WHERE {where} ORDER BY samples.sampled_at, samples.unit_id) "  # noqa: S608 - the same
            f"TO {_text(str(unfinished))} ({options})"
        )
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    cursor.rollback()
    return ExportSummary(rows=found.rows, columns=("sampled_at", *columns), provenances=found.provenances)


def _within(span: UnitSpan) -> str:
    return (
        f"(unit_id = {_text(span.unit_id)} AND samples.sampled_at >= make_timestamp_ms({int(span.start_ms)}) "
        f"AND samples.sampled_at < make_timestamp_ms({int(span.end_ms)}))"
    )


def _text(text: str) -> str:
    """An SQL literal: COPY takes no parameters."""
    return "'" + text.replace("'", "''") + "'"
